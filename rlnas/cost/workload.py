"""Counts the work of one inference, as `rlnas.cost.terms` defines it.

The counts do not depend on kernels or chip, so they are taken once for all boards. The same
function counts for architectures and for .tflite files.
"""

from __future__ import annotations

import numpy as np

from rlnas.architecture import Architecture, TaskShape
from rlnas.cost.jit import compiled, inner
from rlnas.cost.operators import Converted, predict_operators
from rlnas.cost.structures import KINDS
from rlnas.cost.tasks import INPUT
from rlnas.cost.terms import CASES, DEPTHWISE_3X3, POINTWISE, Values, Window, Workload, no_work

_CONV, _DEPTHWISE, _DENSE, _CONCAT = (
  KINDS.index(kind) for kind in ('CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'CONCATENATION')
)
_POOLS = tuple(KINDS.index(kind) for kind in ('AVERAGE_POOL_2D', 'MAX_POOL_2D'))
_MAPPED = (_CONV, _DEPTHWISE, *_POOLS)  # operators with a window
_POINTWISE, _DEPTHWISE_3X3 = CASES.index(POINTWISE), CASES.index(DEPTHWISE_3X3)
# Channels that CMSIS-NN's matrix product and depthwise convolution compute together.
_GROUP, _DEPTHWISE_GROUP = 16, 4


@inner
def add_work(
  load: Workload, kind: int, values: Values, window: Window, products: int, runs: float
) -> None:
  """Adds the work of an operator to a table.

  Args:
    load: the table.
    kind: index of the operator's kind in `CASES`.
    values: what it reads and writes.
    window: its kernel; of size 1 if it has none.
    products: its multiply-accumulates in one run.
    runs: how often it runs in one inference.
  """
  places, size = values.height * values.width, window.height * window.width
  results = places * values.channels
  inside = (
    _inside(
      values.height,
      values.from_height,
      window.height,
      window.stride_height,
      window.dilation_height,
      window.is_same,
    )
    * _inside(
      values.width,
      values.from_width,
      window.width,
      window.stride_width,
      window.dilation_width,
      window.is_same,
    )
    * values.channels
  )
  row = kind
  if kind == _CONV and size == 1:
    row = _POINTWISE
  if kind == _DEPTHWISE and window.height == window.width == 3:
    row = _DEPTHWISE_3X3
  line = load[row]
  line[0] += runs
  line[1] += runs * results
  line[2] += runs * values.reads
  line[3] += runs * places
  line[7] += runs * products
  if kind in _MAPPED:
    line[4] += runs * results * window.height
    line[5] += runs * results * size
    line[6] += runs * inside
    line[10] += runs * places * size
  if kind == _CONV:
    line[8] += runs * inside * values.from_channels
    line[9] += runs * places * size * values.from_channels
    line[11] += runs * results * (values.from_channels % _GROUP)
  if kind == _DEPTHWISE:
    line[8] += runs * inside
    line[11] += runs * places * size * (values.channels % _DEPTHWISE_GROUP)
  if kind == _CONCAT:
    line[12] += runs * places * values.inputs


@inner
def _inside(count: int, length: int, size: int, stride: int, dilation: int, is_same: bool) -> int:
  """Returns how many places of the kernel lie inside the map, over all places of the result.

  Along one side: `count` places of the result, a map of `length` values, a kernel of `size`.
  """
  before = 0
  if is_same:
    before = max(0, (count - 1) * stride + (size - 1) * dilation + 1 - length) // 2
  found = 0
  for place in range(count):
    for tap in range(size):
      at = place * stride - before + tap * dilation
      found += int(0 <= at < length)
  return found


def workload_of(architecture: Architecture, task: TaskShape) -> Workload:
  """Counts the work of one inference of a network.

  Args:
    architecture: the network.
    task: shape of its input and number of its classes.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  load = no_work()
  add_network(load, predict_operators(architecture, task))
  return load


@compiled
def add_network(load: Workload, network: Converted) -> None:
  """Adds the work of all operators of a converted network to a table."""
  operators, products = network.operators, np.zeros(len(network.nodes), np.int64)
  for kernel in network.kernels:
    products[kernel['node']] = kernel['macs']
  for index in range(len(operators)):
    operator = operators[index]
    node, begin, end = (
      network.nodes[operator['node']],
      network.starts[index],
      network.starts[index + 1],
    )
    reads = 0
    for source in network.sources[begin:end]:
      reads += _elements(network, source)
    first = network.sources[begin]
    if first == INPUT:
      shape = network.shapes[0]
      height, width, channels = shape['height'], shape['width'], shape['channels']
    else:
      before = operators[first]
      height, width, channels = before['height'], before['width'], before['channels']
    values = Values(
      operator['height'],
      operator['width'],
      operator['channels'],
      height,
      width,
      channels,
      reads,
      end - begin,
    )
    window = Window(
      max(node['kernel_height'], 1),
      max(node['kernel_width'], 1),
      max(node['stride'], 1),
      max(node['stride'], 1),
      max(node['dilation'], 1),
      max(node['dilation'], 1),
      True,
    )
    add_work(load, operator['kind'], values, window, products[operator['node']], 1.0)


@inner
def _elements(network: Converted, source: int) -> int:
  """Returns the number of elements of an operator's result, or of the input."""
  if source == INPUT:
    entry = network.shapes[0]
    return int(entry['height'] * entry['width'] * entry['channels'])
  return int(network.operators[source]['elements'])
