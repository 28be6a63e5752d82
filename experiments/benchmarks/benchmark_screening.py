"""Compares the screening of networks with training all of them, and prints the saved time.

  python experiments/benchmarks/benchmark_screening.py --space=nasnet --trials=50 --flash_kib=32 \
    --sram_kib=24

Networks drawn uniformly from the space are trained, quantized and measured; each is also converted
with random weights, and screened. The exit code is 1 if the untrained network has another size than
the trained one, or if the screening is wrong about the budget.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
import time

import numpy as np
import pebble
import tqdm
from absl import flags

from rlnas.architecture import Architecture
from rlnas.cli import flags as cli_flags
from rlnas.cli.build import Setup
from rlnas.cli.flags import OF_TIMED_SEARCH, define_search_flags, read_setup
from rlnas.cli.guard import run
from rlnas.evaluation.screened import Screened
from rlnas.evaluation.trained import Trained
from rlnas.evaluation.untrained import untrained_footprint
from rlnas.evaluation.workers import CHILDREN_PER_WORKER
from rlnas.reward import is_feasible
from rlnas.spaces.decision import decode
from rlnas.spaces.table import sample_uniform
from rlnas.tflite.footprint import ArenaOverflow
from rlnas.trial import Measurement, Status, derive_seed

FLAGS = flags.FLAGS
define_search_flags(without=OF_TIMED_SEARCH)
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_integer('seed', 0, 'Seed of the networks and their training.')


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The results for a network.

  Attributes:
    trained: measurement after training.
    untrained: (flash, SRAM) in bytes of the network with random weights; (0, 0) if the arena
      overflows.
    untrained_seconds: time of that measurement.
    passed: whether the screening would train it.
    screening_seconds: time of the screening.
  """

  trained: Measurement
  untrained: tuple[int, int]
  untrained_seconds: float
  passed: bool
  screening_seconds: float


class Verdict:
  """An evaluator in place of training: whoever comes here has passed the screening."""

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    """Says that it was asked."""
    del architecture, seed
    return Measurement(Status.COMPLETE)


def check(architecture: Architecture, setup: Setup, epochs: int, seed: int) -> Outcome:
  """Trains a network, and measures it without training."""
  data = setup.dataset
  screened = Screened(Verdict(), setup.budget, data.task, build=setup.build)
  times = [time.perf_counter()]
  try:
    footprint = untrained_footprint(architecture, data.task, build=setup.build)
    untrained = footprint.flash_bytes, footprint.sram_bytes
  except ArenaOverflow:
    untrained = (0, 0)
  times.append(time.perf_counter())
  passed = screened.evaluate(architecture, seed=seed).status is Status.COMPLETE
  times.append(time.perf_counter())
  trained = Trained(data, epochs=epochs, build=setup.build).evaluate(architecture, seed=seed)
  return Outcome(trained, untrained, times[1] - times[0], passed, times[2] - times[1])


def check_all(setup: Setup) -> list[Outcome]:
  """All networks, in worker processes."""
  rng = np.random.default_rng(FLAGS.seed)
  table = setup.table
  networks = [decode(table.space, sample_uniform(table, rng)) for _ in range(FLAGS.trials)]
  small = dataclasses.replace(setup, dataset=setup.dataset.without_test())
  with pebble.ProcessPool(
    max_workers=setup.workers,
    max_tasks=CHILDREN_PER_WORKER,
    context=multiprocessing.get_context('spawn'),
  ) as pool:
    futures = [
      pool.schedule(check, args=(network, small, FLAGS.epochs, derive_seed(FLAGS.seed, i)))
      for i, network in enumerate(networks)
    ]
    return [future.result() for future in tqdm.tqdm(futures, unit='network', dynamic_ncols=True)]


def main(arguments: list[str]) -> None:
  """Runs and prints."""
  setup = read_setup(arguments)
  outcomes = check_all(setup)
  show(outcomes, setup)
  differing = [o for o in outcomes if o.untrained != size(o.trained)]
  for o in differing:
    print(f'differs: untrained {o.untrained}, trained {size(o.trained)}')
  wrong = any(o.passed != is_feasible(o.trained, setup.budget) for o in outcomes)
  sys.exit(1 if differing or wrong else 0)


def size(measurement: Measurement) -> tuple[int, int]:
  """(flash, SRAM) in bytes, as `Outcome.untrained`."""
  return measurement.flash_bytes or 0, measurement.sram_bytes or 0


def show(outcomes: list[Outcome], setup: Setup) -> None:
  """Prints how often the screening was right, and the saved time."""
  count, budget = len(outcomes), setup.budget
  fits = [is_feasible(o.trained, budget) for o in outcomes]
  exact = sum(o.untrained == size(o.trained) for o in outcomes)
  right = sum(o.passed == f for o, f in zip(outcomes, fits, strict=True))
  trained = sum(o.passed and not f for o, f in zip(outcomes, fits, strict=True))
  everything = sum(o.trained.seconds for o in outcomes)
  screened = sum(o.screening_seconds + o.passed * o.trained.seconds for o in outcomes)
  print(f'{setup.config.space}, {budget.flash_bytes:,} B flash, {budget.sram_bytes:,} B SRAM')
  print(f'networks that fit                          {sum(fits)} of {count}')
  print(f'size of the trained network known before   {exact} of {count}')
  print(f'right decisions of the screening           {right} of {count}')
  print(f'infeasible networks that would be trained  {trained}')
  print(f'training everything                        {everything:.0f} s')
  print(f'screening, and training what passes        {screened:.0f} s')
  print(f'saved                                      {1 - screened / everything:.1%}')
  measuring = np.mean([o.untrained_seconds for o in outcomes])
  print(f'converting and measuring without training  {measuring:.2f} s a network')


if __name__ == '__main__':
  run(main)
