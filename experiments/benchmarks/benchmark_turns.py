"""Measures what random turns of motion sensors gain with people who are in no training data.

  python experiments/benchmarks/benchmark_turns.py --dataset=moves.npz

The file holds x [N, T, F], with x, y, z of one sensor after the other, y [N], and groups [N], such
as people. The groups are parted into folds. Networks of the space `temporal`, drawn uniformly among
those with at most --max_macs, are trained on all folds but one, with each of --degrees, and judged
on the fold left out: accuracy, mean ± deviation over folds and networks, and the difference between
pairs, for float and for int8.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
from absl import flags

from rlnas.architecture import Architecture, TaskShape
from rlnas.backend import keras
from rlnas.child.builder import build
from rlnas.child.train import accuracy, train
from rlnas.child.turns import for_motion
from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.cost.cost import estimate_cost
from rlnas.data import as_row, assemble
from rlnas.data.dataset import Dataset
from rlnas.spaces import Temporal
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.inference import int8_accuracy
from rlnas.tflite.quantize import calibration_rows, quantize
from rlnas.trial import derive_seed

FLAGS = flags.FLAGS


flags.DEFINE_string('dataset', None, 'An .npz file with x, y and groups.', required=True)
flags.DEFINE_list('degrees', ['0', '15'], 'Angles to compare; see --finish_turn.')
flags.DEFINE_integer('folds', 6, 'Number of parts of the groups.')
flags.DEFINE_integer('networks', 3, 'Number of networks.')
flags.DEFINE_integer('epochs', 30, 'Number of epochs of each training.')
flags.DEFINE_integer('max_macs', 60_000, 'Number of multiply-accumulates of the largest network.')
flags.DEFINE_integer('seed', 0, 'Seed of folds, networks and trainings.')


def folds_of(path: str, count: int, seed: int) -> Iterator[Dataset]:
  """The data with each fold of the groups as validation data.

  Raises:
    ValueError: the file lacks an array, or has fewer groups than folds.
    OSError: the file cannot be read.
  """
  with np.load(path, allow_pickle=False) as file:
    missing = {'x', 'y', 'groups'} - set(file)
    if missing:
      raise ValueError(f'dataset={path}: has no array {", ".join(sorted(missing))}')
    x, y, groups = (file[key] for key in ('x', 'y', 'groups'))
  names = np.unique(groups)
  if count > len(names):
    raise ValueError(f'folds={count}: must be at most the {len(names)} groups')
  rng = np.random.default_rng(seed)
  for part in np.array_split(rng.permutation(names), count):
    left_out = np.isin(groups, part)
    pair, judged = (x[~left_out], y[~left_out]), (x[left_out], y[left_out])
    yield as_row(assemble('moves', pair, val=judged, test=judged, source=path))


def networks_of(task: TaskShape, count: int, max_macs: int, seed: int) -> list[Architecture]:
  """Networks with at most so many multiply-accumulates, drawn uniformly."""
  table, rng = compile_table(Temporal()), np.random.default_rng(seed)
  found: list[Architecture] = []
  while len(found) < count:
    network = decode(table.space, sample_uniform(table, rng))
    if estimate_cost(network, task).macs <= max_macs:
      found.append(network)
  return found


def main(arguments: list[str]) -> None:
  """Trains all and prints a table."""
  no_arguments(arguments)
  for name in ('folds', 'networks', 'epochs', 'max_macs'):
    check_positive(name)
  angles = [float(text) for text in FLAGS.degrees]
  results: dict[tuple[str, float], list[float]] = {}
  for number, data in enumerate(folds_of(FLAGS.dataset, FLAGS.folds, FLAGS.seed)):
    networks = networks_of(data.task, FLAGS.networks, FLAGS.max_macs, FLAGS.seed)
    for index, network in enumerate(networks):
      seed = derive_seed(FLAGS.seed, number, index)
      for angle in angles:
        model = build(network, data.task, seed=seed)
        turns = for_motion(data, angle)
        train(model, data, epochs=FLAGS.epochs, seed=seed, augmentation=turns)
        for kind, judged in judge(model, data).items():
          results.setdefault((kind, angle), []).append(judged)
          where = f'fold {number} network {index} {angle:g} degrees'
          print(f'{where} {kind}: {judged:.4f}', flush=True)
  print('\n| degrees | network | accuracy | against the first |\n|---|---|---|---|')
  for (kind, angle), found in results.items():
    pairs = [a - b for a, b in zip(found, results[kind, angles[0]], strict=True)]
    print(f'| {angle:g} | {kind} | {_summary(found)} | {_summary(pairs)} |')


def judge(model: keras.Model, data: Dataset) -> dict[str, float]:
  """The accuracy of a trained network and of its int8 form on the validation data."""
  x, y, scaling = data.x_val, data.y_val, data.scaling
  int8 = quantize(model, calibration_rows(data.x_train, scaling=scaling))
  return {
    'float': accuracy(model, x, y, scaling=scaling),
    'int8': int8_accuracy(int8, x, y, scaling=scaling),
  }


def _summary(values: list[float]) -> str:
  deviation = f' ± {statistics.stdev(values):.4f}' if len(values) > 1 else ''
  return f'{statistics.mean(values):.4f}{deviation}'


if __name__ == '__main__':
  run(main)
