"""The work of MLPerf Tiny's four networks, layer by layer from their papers, and read times."""

from rlnas.cost.terms import CASES, Values, Window, Workload, no_work
from rlnas.cost.workload import add_work

Sides = tuple[int, int, int]


def _layer(
  load: Workload,
  kind: str,
  before: Sides,
  after: Sides,
  window: Window,
  products: int,
  inputs: int = 1,
) -> Sides:
  height, width, channels = before
  values = Values(*after, *before, inputs * height * width * channels, inputs)
  add_work(load, CASES.index(kind), values, window, products, 1.0)
  return after


def conv(load: Workload, before: Sides, filters: int, sizes: tuple[int, int], stride: int) -> Sides:
  """A convolution with 'same' padding."""
  height, width, channels = before
  after = -(-height // stride), -(-width // stride), filters
  products = after[0] * after[1] * filters * channels * sizes[0] * sizes[1]
  return _layer(load, 'CONV_2D', before, after, Window(*sizes, stride, stride), products)


def depthwise(load: Workload, before: Sides, stride: int) -> Sides:
  """A depthwise 3x3 convolution with 'same' padding."""
  height, width, channels = before
  after = -(-height // stride), -(-width // stride), channels
  products = after[0] * after[1] * channels * 9
  return _layer(load, 'DEPTHWISE_CONV_2D', before, after, Window(3, 3, stride, stride), products)


def dense(load: Workload, before: int, after: int) -> int:
  """A dense layer."""
  _layer(load, 'FULLY_CONNECTED', (1, 1, before), (1, 1, after), Window(), before * after)
  return after


def pool(load: Workload, before: Sides) -> int:
  """An average over the whole map."""
  window = Window(before[0], before[1], 1, 1, 1, 1, False)
  _layer(load, 'AVERAGE_POOL_2D', before, (1, 1, before[2]), window, 0)
  return before[2]


def keywords() -> Workload:
  """Keyword spotting: a depthwise-separable network."""
  load = no_work()
  x = conv(load, (49, 10, 1), 64, (10, 4), 2)
  for _ in range(4):
    x = conv(load, depthwise(load, x, 1), 64, (1, 1), 1)
  dense(load, pool(load, x), 12)
  return load


def anomalies() -> Workload:
  """Anomaly detection: an autoencoder of dense layers."""
  load = no_work()
  x = 640
  for units in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640):
    x = dense(load, x, units)
  return load


def images() -> Workload:
  """Image classification: a residual network."""
  load = no_work()
  x = conv(load, (32, 32, 3), 16, (3, 3), 1)
  for filters, stride in ((16, 1), (32, 2), (64, 2)):
    y = conv(load, conv(load, x, filters, (3, 3), stride), filters, (3, 3), 1)
    if stride > 1:
      conv(load, x, filters, (1, 1), stride)
    x = _layer(load, 'ADD', y, y, Window(), 0, inputs=2)
  dense(load, pool(load, x), 10)
  return load


def persons() -> Workload:
  """Person detection: MobileNet v1 of a quarter of the width."""
  load = no_work()
  x = conv(load, (96, 96, 3), 8, (3, 3), 2)
  filters = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
  strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
  for count, stride in zip(filters, strides, strict=True):
    x = conv(load, depthwise(load, x, stride), count, (1, 1), 1)
  dense(load, pool(load, x), 2)
  return load


NETWORKS = {'keywords': keywords, 'anomalies': anomalies, 'images': images, 'persons': persons}
# Milliseconds; those of the NUCLEO-L4R5ZI are published as inferences a second.
READ = {
  'esp32': {'keywords': 162.334, 'anomalies': 49.29, 'images': 724.457, 'persons': 474.22},
  'arduino-nano-33-ble': {
    'keywords': 224.553,
    'anomalies': 22.025,
    'images': 1241.774,
    'persons': 657.3,
  },
  'nucleo-l4r5zi': {
    'keywords': 1000 / 5.497,
    'anomalies': 1000 / 99.49,
    'images': 1000 / 1.42,
    'persons': 1000 / 1.665,
  },
}
