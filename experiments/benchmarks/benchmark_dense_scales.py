"""Measures what one scale for all weights of a dense layer costs, against one for each output.

  python experiments/benchmarks/benchmark_dense_scales.py

For each data set, networks are drawn uniformly from the spaces, without those of more than
--most_mmacs. Each is trained, calibrated once and quantized twice from the same weights. The table
shows the accuracies on validation data as means, the difference (per tensor minus per channel, in
percentage points) as mean ± deviation with the worst network, in how many of 10,000 examples the
class of the int8 model is not that of the float network, and the bytes that are saved on the mean.
Below it, paired tests of the difference: Student's t and Wilcoxon's signed ranks.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import multiprocessing
from collections.abc import Iterator, Sequence

import numpy as np
import pebble
import tqdm
from absl import flags
from scipy import stats

from rlnas.architecture import Architecture
from rlnas.child.builder import build
from rlnas.child.train import train
from rlnas.cli.build import shaped_for
from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.evaluation.executors import default_workers
from rlnas.evaluation.workers import CHILDREN_PER_WORKER
from rlnas.spaces import BlockQNN, Chain, Joint, MultiBranch, NASNet, Recurrent
from rlnas.spaces.decision import Space, decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.compact import compact
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_logits
from rlnas.tflite.quantize import calibrate, calibration_rows, to_int8
from rlnas.trial import derive_seed

FLAGS = flags.FLAGS
flags.DEFINE_list('datasets', ['mnist5k', 'digits'], 'Images to train on.')
flags.DEFINE_integer('count', 20, 'Number of networks for each data set, from the spaces in turn.')
flags.DEFINE_integer('epochs', 3, 'Number of epochs of each training.')
flags.DEFINE_float('most_mmacs', 2.0, 'Number of MACs, in millions, that a network may have.')
flags.DEFINE_integer('seed', 0, 'Seed of networks and trainings.')
flags.DEFINE_integer('workers', None, 'Number of processes; default: one per core.', lower_bound=1)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """A network, quantized with scales per channel (first) and per tensor (second).

  Attributes:
    space: name of its space.
    dataset: name of its data.
    accuracy: accuracy of the float network.
    int8: accuracies of the int8 models.
    flips: share of the examples whose int8 class differs from the float one.
    flash_bytes: sizes of the files.
    sram_bytes: sizes of the arenas.
  """

  space: str
  dataset: str
  accuracy: float
  int8: tuple[float, float]
  flips: tuple[float, float]
  flash_bytes: tuple[int, int]
  sram_bytes: tuple[int, int]

  @property
  def points(self) -> float:
    """What scales per tensor win, in percentage points."""
    return 100 * (self.int8[1] - self.int8[0])


def main(arguments: list[str]) -> None:
  """Prints a row for each space and data set, then for all."""
  no_arguments(arguments)
  for name in ('count', 'epochs', 'most_mmacs'):
    check_positive(name)
  outcomes = list(measured(FLAGS.datasets))
  head = ['space', 'data', 'n', 'float', 'per channel', 'per tensor', 'difference, points', 'worst']
  head += ['flips: channel', 'tensor', 'flash B saved', 'SRAM B saved']
  print(f'| {" | ".join(head)} |\n|{"---|" * len(head)}')
  for key in dict.fromkeys((o.space, o.dataset) for o in outcomes):
    print(row(*key, [o for o in outcomes if (o.space, o.dataset) == key]))
  for name in FLAGS.datasets:
    print(row('all', name, [o for o in outcomes if o.dataset == name]))
  print(row('all', 'all', outcomes))
  differences = [o.points for o in outcomes]
  lower = sum(d < 0 for d in differences)
  higher = sum(d > 0 for d in differences)
  print(f'\nPer tensor is lower in {lower} of {len(differences)}, higher in {higher}, else equal.')
  if lower + higher > 1:
    t, signed = stats.ttest_1samp(differences, 0).pvalue, stats.wilcoxon(differences).pvalue
    low, high = stats.t.interval(
      0.95, len(differences) - 1, np.mean(differences), stats.sem(differences)
    )
    print(f'p = {t:.2f} (t), {signed:.2f} (Wilcoxon); 95 % interval {low:+.2f} to {high:+.2f}')


def row(space: str, dataset: str, outcomes: Sequence[Outcome]) -> str:
  """One row of the table."""
  pairs = np.array([o.int8 for o in outcomes]).mean(axis=0)
  flips = 1e4 * np.array([o.flips for o in outcomes]).mean(axis=0)
  points = np.array([o.points for o in outcomes])
  saved = [
    float(np.mean([before - after for before, after in sizes]))
    for sizes in ([o.flash_bytes for o in outcomes], [o.sram_bytes for o in outcomes])
  ]
  cells = [space, dataset, str(len(outcomes)), f'{np.mean([o.accuracy for o in outcomes]):.4f}']
  cells += [f'{value:.4f}' for value in pairs]
  cells += [f'{points.mean():+.3f} ± {points.std():.2f}', f'{points.min():+.2f}']
  cells += [f'{value:.0f}' for value in flips] + [f'{size:,.0f}' for size in saved]
  return f'| {" | ".join(cells)} |'


def measured(datasets: Sequence[str]) -> Iterator[Outcome]:
  """The networks on each data set, in worker processes, in order."""
  with pebble.ProcessPool(
    max_workers=FLAGS.workers or default_workers(),
    max_tasks=CHILDREN_PER_WORKER,
    context=multiprocessing.get_context('spawn'),
  ) as pool:
    futures = []
    for dataset in datasets:
      for number, (space, architecture) in enumerate(networks(dataset)):
        seed = derive_seed(FLAGS.seed, dataset, number) % 2**31
        arguments = (space, architecture, dataset, FLAGS.epochs, seed)
        futures.append(pool.schedule(quantized_twice, args=arguments))
    for future in tqdm.tqdm(futures, unit='network', dynamic_ncols=True):
      yield future.result()


def networks(dataset: str) -> list[tuple[str, Architecture]]:
  """The names of spaces and networks from them, in turn."""
  data = loaders.as_images(loaders.load(dataset))
  spaces: dict[str, Space] = {
    'chain': Chain(),
    'multibranch': MultiBranch(),
    'nasnet': NASNet(),
    'blockqnn': BlockQNN(),
    'recurrent': Recurrent(frames=data.input_shape[0]),
    'joint': Joint(),
  }
  drawn = {name: draw(space, data) for name, space in spaces.items()}
  return [
    (name, next(drawn[name])) for name in itertools.islice(itertools.cycle(drawn), FLAGS.count)
  ]


def draw(space: Space, dataset: Dataset) -> Iterator[Architecture]:
  """Networks drawn uniformly, without large ones."""
  seed = derive_seed(FLAGS.seed, dataset.name, repr(space))
  table, rng = compile_table(space), np.random.default_rng(seed)
  while True:
    architecture = decode(space, sample_uniform(table, rng))
    macs = estimate_cost(architecture, shaped_for(architecture, dataset).task).macs
    if macs <= 1e6 * FLAGS.most_mmacs:
      yield architecture


@functools.cache
def data_of(name: str) -> Dataset:
  """A data set, read once a process."""
  return loaders.load(name)


def quantized_twice(
  space: str, architecture: Architecture, dataset: str, epochs: int, seed: int
) -> Outcome:
  """Trains one network and quantizes it in both ways."""
  data = shaped_for(architecture, data_of(dataset))
  network = build(architecture, data.task, seed=seed)
  train(network, data, epochs=epochs, seed=seed)
  x, y, scaling = data.x_val, data.y_val, data.scaling
  floats = network(scaling.inputs(x), training=False).numpy().argmax(axis=1)
  calibrated = calibrate(network, calibration_rows(data.x_train, scaling=scaling))
  models = [compact(to_int8(calibrated, per_channel_dense=way)) for way in (True, False)]
  found = [int8_logits(model, x, scaling=scaling).argmax(axis=1) for model in models]
  feet = [measure(model) for model in models]
  return Outcome(
    space,
    dataset,
    float(np.mean(floats == y)),
    int8=(float(np.mean(found[0] == y)), float(np.mean(found[1] == y))),
    flips=(float(np.mean(found[0] != floats)), float(np.mean(found[1] != floats))),
    flash_bytes=(feet[0].flash_bytes, feet[1].flash_bytes),
    sram_bytes=(feet[0].sram_bytes, feet[1].sram_bytes),
  )


if __name__ == '__main__':
  run(main)
