"""Fits the size of .tflite files and prints the errors of `cost` on other networks.

  python experiments/benchmarks/fit_cost.py --count=25 --held_out=20

Networks of all spaces, drawn uniformly, are converted with random weights and measured. The least
squares are weighted to minimise relative errors. Prints `FLASH_BYTES` of `rlnas.cost.flash`, to be
copied, and a Markdown table of the errors of all estimates on networks that were not fitted. Every
network is timed alone in each of many passes over all networks, so that a time in which the machine
is slow does not affect only one space. The last columns are the means of the networks' best and
median passes, and the median of the slowest network.
"""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import sys
import timeit
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pebble
from absl import app, flags
from random_networks import cases, draw, task_of

from rlnas.architecture import Architecture, TaskShape
from rlnas.cost.cost import estimate_cost
from rlnas.cost.flash import FLASH_BYTES, flash_features
from rlnas.cost.operators import predict_operators
from rlnas.evaluation.executors import default_workers
from rlnas.evaluation.untrained import convert_untrained
from rlnas.evaluation.workers import CHILDREN_PER_WORKER
from rlnas.spaces import Recurrent
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.footprint import ArenaOverflow, Footprint, measure
from rlnas.trial import derive_seed

# What networks are measured at, in turn.
IMAGES = (
  TaskShape((28, 28, 1), 10),
  TaskShape((32, 32, 3), 10),
  TaskShape((13, 21, 2), 3),
  TaskShape((28, 28, 1), 100),
)
SEQUENCES = (
  TaskShape((49, 10), 10),
  TaskShape((49, 10), 12),
  TaskShape((60, 7), 3),
  TaskShape((49, 1), 100),
)
PASSES = 200  # over all networks, to be timed
# Unrolled otherwise, or one step could not be told from one network.
OTHER_RECURRENT = Recurrent(base=2, units=16, steps=3, frames_per_step=9)

FLAGS = flags.FLAGS
flags.DEFINE_integer('count', 25, 'Number of networks of each space to fit.', lower_bound=1)
flags.DEFINE_integer(
  'held_out', 20, 'Number of further networks of each space, for the errors.', lower_bound=1
)
flags.DEFINE_list('spaces', list(cases()), 'Whose networks to fit, and to state the errors of.')
flags.DEFINE_list('parts', [], 'Parts to fit, if the others shall keep their bytes; default: all.')
flags.DEFINE_integer('seed', 0, 'Seed of networks and weights.')
flags.DEFINE_integer('workers', None, 'Number of processes; default: one per core.', lower_bound=1)


@dataclasses.dataclass(frozen=True)
class Sample:
  """A measured network."""

  case: str
  architecture: Architecture
  task: TaskShape
  footprint: Footprint


def sample(case: str, architecture: Architecture, task: TaskShape, seed: int) -> Sample | None:
  """Converts and measures a network; None if it needs too large an arena."""
  model = convert_untrained(architecture, task, seed=seed)
  try:
    return Sample(case, architecture, task, measure(model))
  except ArenaOverflow:
    return None


def sample_all(count: int, seed: int) -> list[Sample]:
  """Networks of all spaces, in worker processes."""
  rng = np.random.default_rng(seed)
  table = compile_table(OTHER_RECURRENT)
  networks = {name: draw(name, count, seed) for name in cases() if name in FLAGS.spaces}
  if 'recurrent' in networks:
    drawn = tuple(decode(OTHER_RECURRENT, sample_uniform(table, rng)) for _ in range(count))
    networks['recurrent, 3 steps'] = drawn
  with pebble.ProcessPool(
    max_workers=FLAGS.workers or default_workers(),
    max_tasks=CHILDREN_PER_WORKER,
    context=multiprocessing.get_context('spawn'),
  ) as pool:
    futures = []
    for case, architectures in networks.items():
      tasks = itertools.cycle(zip(IMAGES, SEQUENCES, strict=True))
      for i, (architecture, (image, sequence)) in enumerate(
        zip(architectures, tasks, strict=False)
      ):
        task = task_of(case.partition(',')[0], image=image, sequence=sequence)
        arguments = (case, architecture, task, derive_seed(seed, case, i) % 2**31)
        futures.append(pool.schedule(sample, args=arguments))
    return [s for s in (future.result() for future in futures) if s is not None]


def fit(samples: Sequence[Sample]) -> dict[str, float]:
  """Bytes per feature, by least squares of the relative errors."""
  features = [flash_features(predict_operators(s.architecture, s.task)) for s in samples]
  names = sorted(FLAGS.parts or set().union(*features))
  kept = {name: size for name, size in FLASH_BYTES.items() if name not in names}
  matrix = np.array([[f[name] for name in names] for f in features], float)  # [sample, feature]
  sizes = np.array([s.footprint.flash_bytes for s in samples], float)
  rest = [sum(f[name] * size for name, size in kept.items()) for f in features]
  wanted = 1 - np.array(rest, float) / sizes
  found = np.linalg.lstsq(matrix / sizes[:, None], wanted, rcond=None)[0]
  return {**kept, **dict(zip(names, found.tolist(), strict=True))}


def time_estimates(samples: Sequence[Sample]) -> npt.NDArray[np.float64]:
  """Microseconds of an estimate of each network, in each pass, [PASSES, N]."""
  taken = np.empty((PASSES, len(samples)))
  for row, (column, s) in itertools.product(range(PASSES), enumerate(samples)):
    network = dataclasses.replace(s.architecture)  # with which no estimate is kept yet
    begin = timeit.default_timer()
    estimate_cost(network, s.task)
    taken[row, column] = 1e6 * (timeit.default_timer() - begin)
  return taken


def errors(samples: Sequence[Sample], constants: dict[str, float]) -> str:
  """A table of relative errors, and times, in Markdown."""
  taken = time_estimates(samples)
  rows = [
    '| space | n | flash mean | worst | head exact | others | tail mean | worst '
    '| µs, best | median | slowest |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  ]
  for case in dict.fromkeys(s.case for s in samples):
    places = [i for i, s in enumerate(samples) if s.case == case]
    known = [samples[i] for i in places]
    flash, head, tail = [], [], []
    for s in known:
      c = estimate_cost(s.architecture, s.task)
      network = predict_operators(s.architecture, s.task)
      counted = flash_features(network)
      size = sum(constants.get(name, 0) * count for name, count in counted.items())
      flash.append(size / s.footprint.flash_bytes - 1)
      head.append(c.arena_head_bytes / s.footprint.arena_head_bytes - 1)
      tail.append(c.arena_tail_bytes / s.footprint.arena_tail_bytes - 1)
    others = [h for h in head if h]
    cells = [
      case,
      str(len(known)),
      f'{np.abs(flash).mean():.2%}',
      f'{np.abs(flash).max():.2%}',
      f'{1 - len(others) / len(head):.1%}',
      f'{min(others):+.1%} to {max(others):+.1%}' if others else '–',
      f'{np.abs(tail).mean():.2%}',
      f'{np.abs(tail).max():.2%}',
      *_times(taken[:, places]),
    ]
    rows.append(f'| {" | ".join(cells)} |')
  best, median, slowest = _times(taken)
  rows.append(f'\nAll networks: {best} µs in the best passes, {median} median, slowest {slowest}')
  return '\n'.join(rows)


def _times(taken: npt.NDArray[np.float64]) -> tuple[str, str, str]:
  """Means of the networks' best and median passes, and the largest median."""
  medians = np.median(taken, axis=0)
  return f'{taken.min(axis=0).mean():.0f}', f'{medians.mean():.0f}', f'{medians.max():.0f}'


def main(arguments: list[str]) -> None:
  """Samples, fits and prints."""
  if len(arguments) > 1:
    sys.exit(f'error: arguments {arguments[1:]} are not understood; all settings are flags')
  for name, offered in (('spaces', cases()), ('parts', FLASH_BYTES)):
    if set(FLAGS[name].value) - set(offered):
      sys.exit(f'error: --{name}={",".join(FLAGS[name].value)}: must be of {", ".join(offered)}')
  samples = sample_all(FLAGS.count, FLAGS.seed)
  constants = fit(samples)
  print('FLASH_BYTES = {')
  for name, size in constants.items():
    print(f"  '{name}': {size:.2f},")
  print('}\n', flush=True)
  print(errors(sample_all(FLAGS.held_out, FLAGS.seed + 1), constants))


if __name__ == '__main__':
  app.run(main)
