"""Measures the own time of a search: of the strategy in each trial, and to resume it.

  python experiments/benchmarks/benchmark_resume.py --trials=2000

The evaluator is a formula, so nothing is trained. The table shows what the strategy takes for each
trial (`ask` and `tell`) around some numbers of trials, on the clock and in processor time (of all
threads, so it can be higher). The last lines show how long the search takes to resume with the
state of the strategy beside its journal (`rlnas.search.strategy_state`) and without it; both must
end with the same controller. Reading the journal is included, loading TensorFlow is not. Other jobs
on the machine make all figures larger.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import flags

from rlnas.architecture import Architecture, TaskShape
from rlnas.board import BOARDS
from rlnas.cli.build import build_strategy
from rlnas.cli.config import SearchConfig
from rlnas.cli.flags import check_positive
from rlnas.cli.guard import run
from rlnas.cost.operators import count_macs
from rlnas.evaluation.executors import InProcess
from rlnas.evaluation.screened import excess
from rlnas.interfaces import Resumable, Strategy
from rlnas.reward import linear_excess
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import Table, compile_table
from rlnas.trial import Measurement, Proposal, Status, Trial, derive_seed

FLAGS = flags.FLAGS
flags.DEFINE_integer('trials', 2000, 'Number of trials; default: 2000.')
flags.DEFINE_integer('batch', 8, 'Number of trials in a batch; default: 8.')
flags.DEFINE_string('strategy', SearchConfig.strategy, 'The strategy; default: that of a search.')
flags.DEFINE_multi_string('strategy_option', [], 'Its options, as for a search.')
flags.DEFINE_integer('seed', 0, 'Seed of the search; default: 0.')

_BOARD = 'nucleo-l010rb'
_TASK = TaskShape((28, 28, 1), 10)


@dataclasses.dataclass(frozen=True)
class Formula:
  """Accuracy grows with work; some noise stands for all that is not known of a network."""

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    """Computes a measurement at once."""
    noise = np.random.default_rng(derive_seed(seed, 'noise')).normal()
    macs, weights = count_macs(architecture, _TASK)
    accuracy = 1 - 1 / math.log(10 + macs) + 0.005 * noise
    return Measurement(
      Status.COMPLETE,
      validation_accuracy=accuracy,
      int8_validation_accuracy=accuracy,
      flash_bytes=weights,
      sram_bytes=1,
      macs=macs,
      parameters=weights,
      sram_source='analytic',
    )


class Timed:
  """Wraps a strategy and measures what each batch takes."""

  def __init__(self, strategy: Strategy) -> None:
    """Wraps it."""
    self._strategy = strategy
    self._spent = np.zeros(2)  # in this batch: seconds on the clock and of processors
    self.batches: list[npt.NDArray[np.float64]] = []  # milliseconds a trial, likewise

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Asks the strategy."""
    started = _clocks()
    proposals = self._strategy.ask(count, rng)
    self._spent += _clocks() - started
    return proposals

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Tells the strategy."""
    started = _clocks()
    scalars = self._strategy.tell(trials)
    self.batches.append(1000 * (self._spent + _clocks() - started) / len(trials))
    self._spent = np.zeros(2)
    return scalars

  def state(self) -> dict[str, npt.NDArray[Any]] | None:
    """The strategy's state."""
    return self._strategy.state() if isinstance(self._strategy, Resumable) else None

  def restore(self, state: Mapping[str, npt.NDArray[Any]], told: Sequence[Sequence[Trial]]) -> None:
    """Restores the strategy."""
    if isinstance(self._strategy, Resumable):
      self._strategy.restore(state, told)

  @property
  def controller(self) -> Any:
    """The strategy's controller, if it has one."""
    return getattr(self._strategy, 'controller', None)


def _clocks() -> npt.NDArray[np.float64]:
  return np.array([time.perf_counter(), time.process_time()])


def search(path: pathlib.Path, table: Table) -> tuple[Timed, float]:
  """Runs the search or resumes it. Returns its strategy and how many seconds it took."""
  budget, build = BOARDS[_BOARD].budget, SearchConfig(board=_BOARD).target_build()
  penalty = functools.partial(excess, budget=budget, task=_TASK, build=build)
  options = tuple(FLAGS.strategy_option)
  strategy = Timed(
    build_strategy(FLAGS.strategy, table, seed=FLAGS.seed, options=options, penalty=penalty)
  )
  started = time.perf_counter()
  journal = Journal(path, configuration={'strategy': FLAGS.strategy, 'seed': FLAGS.seed})
  run_search(
    strategy,
    executor=InProcess(Formula()),
    reward=linear_excess,
    budget=budget,
    trials=FLAGS.trials,
    batch=FLAGS.batch,
    seed=FLAGS.seed,
    journal=journal,
  )
  journal.close()
  return strategy, time.perf_counter() - started


def main(arguments: list[str]) -> None:
  """Prints both tables."""
  del arguments
  for name in ('trials', 'batch'):
    check_positive(name)
  table = compile_table(Chain())
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, 'journal.jsonl')
    first, seconds = search(path, table)
    print(f'{FLAGS.strategy}, {_BOARD}: {FLAGS.trials} trials in {seconds:.1f} s')
    print('| trials | ms per trial | processor ms per trial |\n|---|---|---|')
    for trials in (50, 100, 300, 1000, 2000):
      place = trials // FLAGS.batch
      around = first.batches[max(0, place - 4) : place + 4]
      if trials <= FLAGS.trials and around:
        clock, processor = (statistics.median(column) for column in np.transpose(around).tolist())
        print(f'| {trials} | {clock:.0f} | {processor:.0f} |')
    resumed = {}
    resumed['with the state'], seconds = search(path, table)
    print(f'resumed with the state in {seconds:.1f} s')
    path.with_name('journal.state.npz').unlink(missing_ok=True)
    resumed['without it'], seconds = search(path, table)
    print(f'resumed without it in {seconds:.1f} s')
  for name, strategy in resumed.items():
    if not _equal(strategy.controller, first.controller):
      raise ValueError(f'resumed {name}: ends with another controller')


def _equal(one: Any, other: Any) -> bool:
  if one is None or other is None:
    return one is other
  return all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


if __name__ == '__main__':
  run(main)
