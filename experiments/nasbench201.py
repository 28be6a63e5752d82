"""Compares strategies on NAS-Bench-201: a search in its table takes a fraction of a second.

  python experiments/nasbench201.py --table=nasbench201_cifar10.npz --out=runs/nasbench201.json

The published protocol (NATS-Bench: Dong et al. 2021, arXiv:2009.00437): strategies are told the
validation accuracy after 12 epochs. A search ends when the simulated seconds are spent; each
evaluation costs the time that it took on the benchmark's GPU. The result of a search is the test
accuracy after 200 epochs of the cell with the best validation accuracy. Welch's t-test compares
many runs of each strategy, and a picture beside --out shows how the results improve.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import json
import math
import multiprocessing
import pathlib
import sys
import time
from collections.abc import Sequence

import numpy as np
from absl import app, flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from rlnas.budget import Budget
from rlnas.cli import choices
from rlnas.cli.arms import Arm, read_arms
from rlnas.cli.build import build_strategy
from rlnas.data.atomic_file import write_file
from rlnas.evaluation.executors import InProcess, default_workers
from rlnas.evaluation.lookup import NasBench201Data
from rlnas.reports.rendering import encoded
from rlnas.search.loop import run_search
from rlnas.spaces.nasbench201 import NasBench201
from rlnas.spaces.table import Table, compile_table
from rlnas.trial import Measurement, Trial, derive_seed

UNLIMITED = Budget(flash_bytes=2**62, sram_bytes=2**62)  # sizes do not matter here
CHECKPOINTS = (0.3, 0.6, 1.0)  # shares of the budget at which results are printed
SPEED_TRIALS, SPEED_BATCH = 3_200, 32  # of the searches that measure the speed of the loop
RUNS_PER_TASK = 5  # workers are rarely idle, and all end at about the same time

FLAGS = flags.FLAGS
flags.DEFINE_string('table', None, 'The .npz file of results; see rlnas/evaluation/lookup.py.')
flags.DEFINE_string(
  'strategies',
  'random,evolution',
  f'Some of {", ".join(choices.STRATEGIES)}, separated by commas; or, with options, separated by '
  'semicolons: default;default:elite=3;evolution:population=50,sample=10.',
)
flags.DEFINE_float('budget_seconds', 20_000, 'Simulated time that a search may spend, in seconds.')
flags.DEFINE_integer('runs', 500, 'Number of searches by each strategy.')
flags.DEFINE_integer('seed', 0, 'Seed of the searches.')
flags.DEFINE_bool('free_repeats', False, 'Whether evaluating a cell again costs nothing.')
flags.DEFINE_integer(
  'workers', None, 'Number of processes with one thread each; default: one per core.'
)
flags.DEFINE_string('out', 'runs/nasbench201.json', 'Where to write the results; .png beside it.')
flags.mark_flag_as_required('table')


@dataclasses.dataclass(frozen=True)
class Run:
  """One search.

  Attributes:
    test_200: test accuracy in percent after 200 epochs of the cell with the best validation.
    validation_12: validation accuracy in percent of that cell after 12 epochs.
    evaluations: number of evaluations that were charged.
    curve: (simulated seconds, `test_200` from then on) for each better cell that was found.
  """

  test_200: float
  validation_12: float
  evaluations: int
  curve: tuple[tuple[float, float], ...]

  def test_after(self, seconds: float) -> float:
    """`test_200` of the cell with the best validation until then; NaN before the first."""
    return next((test for found, test in reversed(self.curve) if found <= seconds), math.nan)


class BudgetSpentError(Exception):
  """The next evaluation would end after the simulated seconds are spent."""


class Ledger:
  """An observer that counts simulated seconds and ends the search; late trials do not count."""

  def __init__(self, budget_seconds: float, *, free_repeats: bool) -> None:
    """Starts with no seconds spent."""
    self._budget_seconds = budget_seconds
    self._free_repeats = free_repeats
    self._seen: set[tuple[int, ...]] = set()
    self.seconds = 0.0
    self.evaluations = 0
    self.found: list[tuple[float, Trial]] = []  # (seconds, each trial better than all before)

  def on_trial(self, trial: Trial) -> None:
    """Charges the trial. Raises BudgetSpentError."""
    if trial.reward is None:
      raise RuntimeError(trial.measurement.detail)  # the table lacks a cell
    if not (self._free_repeats and trial.proposal.tokens in self._seen):
      if self.seconds + trial.measurement.seconds > self._budget_seconds:
        raise BudgetSpentError
      self.seconds += trial.measurement.seconds
      self.evaluations += 1
    self._seen.add(trial.proposal.tokens)
    if not self.found or trial.reward > (self.found[-1][1].reward or 0):
      self.found.append((self.seconds, trial))

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Nothing to do."""


def validation_accuracy(measurement: Measurement, budget: Budget) -> float:
  """The reward of the protocol."""
  del budget
  if measurement.validation_accuracy is None:
    raise ValueError('measurement.validation_accuracy=None: the table must hold it')
  return measurement.validation_accuracy


@functools.lru_cache(maxsize=1)
def benchmark(path: str) -> tuple[NasBench201Data, InProcess, Table, dict[tuple[int, ...], float]]:
  """The data that all runs of a process share; the last is `test_200` in percent by tokens."""
  data = NasBench201Data.read(path)
  percent = [100 * accuracy for accuracy in data.test_200.tolist()]
  by_tokens = dict(zip(map(tuple, data.operations.tolist()), percent, strict=True))
  return data, InProcess(data.evaluator()), compile_table(NasBench201()), by_tokens


def search_once(
  arm: Arm, path: str, *, budget_seconds: float, free_repeats: bool, seed: int
) -> Run:
  """Runs one search of one strategy, with batches of one and no lag, as in the published loops."""
  data, executor, table, test_200 = benchmark(path)
  ledger = Ledger(budget_seconds, free_repeats=free_repeats)
  # If repeats are free, a strategy that only repeats would never end: so the limit is ten times the
  # number of evaluations that the budget allows.
  most = 10 * math.ceil(budget_seconds / float(np.min(data.seconds)))
  with contextlib.suppress(BudgetSpentError):
    run_search(
      arm.build(table, seed=derive_seed(seed, 'strategy')),
      executor=executor,
      reward=validation_accuracy,
      budget=UNLIMITED,
      trials=most,
      batch=1,
      lag=0,
      seed=seed,
      observers=[ledger],
    )
  if not ledger.found:
    raise ValueError(f'--budget_seconds={budget_seconds}: must be long enough for one evaluation')
  curve = tuple((seconds, test_200[t.proposal.tokens]) for seconds, t in ledger.found)
  best = 100 * (ledger.found[-1][1].reward or 0)
  return Run(curve[-1][1], best, ledger.evaluations, curve)


def search_many(
  arm: Arm, path: str, seeds: Sequence[int], *, budget_seconds: float, free_repeats: bool
) -> list[Run]:
  """Does some runs of one strategy: the task of a worker."""
  search = functools.partial(
    search_once, arm, path, budget_seconds=budget_seconds, free_repeats=free_repeats
  )
  return [search(seed=seed) for seed in seeds]


def search_all(arms: Sequence[Arm], workers: int) -> dict[str, list[Run]]:
  """All runs of all arms by label, in worker processes; the same whatever their number."""
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
    tasks = {
      arm.label: [
        pool.submit(
          search_many,
          arm,
          FLAGS.table,
          [
            derive_seed(FLAGS.seed, arm.label, i)
            for i in range(first, min(first + RUNS_PER_TASK, FLAGS.runs))
          ],
          budget_seconds=FLAGS.budget_seconds,
          free_repeats=FLAGS.free_repeats,
        )
        for first in range(0, FLAGS.runs, RUNS_PER_TASK)
      ]
      for arm in arms
    }
    return {
      label: list(itertools.chain.from_iterable(task.result() for task in submitted))
      for label, submitted in tasks.items()
    }


def show(results: dict[str, list[Run]]) -> None:
  """Prints means, deviations of single runs, and whether they differ."""
  repeats = 'free' if FLAGS.free_repeats else 'paid for'
  print(f'{FLAGS.runs} runs of {FLAGS.budget_seconds:,.0f} simulated seconds, repeats {repeats}')
  times = [share * FLAGS.budget_seconds for share in CHECKPOINTS]
  heads = ''.join(f'{f"after {t:,.0f} s":>18}' for t in times)
  width = max(12, *(len(label) + 2 for label in results))
  print(f'{"test %":{width}}{heads}{"validation %":>14}{"evaluations":>13}')
  for name, runs in results.items():
    tests = ''.join(f'{spread([run.test_after(t) for run in runs]):>18}' for t in times)
    validation = np.mean([run.validation_12 for run in runs])
    evaluations = np.mean([run.evaluations for run in runs])
    print(f'{name:{width}}{tests}{validation:14.3f}{evaluations:13.1f}')
  if FLAGS.runs < 2:
    return
  for one, other in itertools.combinations(results, 2):
    a, b = ([run.test_200 for run in results[name]] for name in (one, other))
    p = stats.ttest_ind(a, b, equal_var=False).pvalue
    print(f'{one} - {other}: {np.mean(a) - np.mean(b):+.3f}, p = {p:.2g} (Welch, two-sided)')


def spread(values: Sequence[float]) -> str:
  """Mean and deviation of single values."""
  deviation = f' ± {np.std(values, ddof=1):.3f}' if len(values) > 1 else ''
  return f'{np.mean(values):.3f}{deviation}'


def show_speed() -> None:
  """Prints how many trials per second the search loop handles in this process."""
  _, executor, table, _ = benchmark(FLAGS.table)
  for name, batch in (('evolution', 1), ('zoph_le', SPEED_BATCH)):
    # The first batches trace the functions of the controller and are not counted.
    clock = Stopwatch(first_batch=3)
    run_search(
      build_strategy(name, table, seed=FLAGS.seed),
      executor=executor,
      reward=validation_accuracy,
      budget=UNLIMITED,
      trials=SPEED_TRIALS,
      batch=batch,
      seed=FLAGS.seed,
      observers=[clock],
    )
    print(f'{name}: {clock.trials_per_second:,.0f} trials per second on one core, batch {batch}')


class Stopwatch:
  """An observer that counts the trials after the first batches, and their seconds."""

  def __init__(self, first_batch: int) -> None:
    """Starts counting after `first_batch` batches."""
    self._first_batch = first_batch
    self._batches = self._trials = 0
    self._started = self._ended = 0.0

  @property
  def trials_per_second(self) -> float:
    """The mean over all counted batches."""
    return self._trials / (self._ended - self._started)

  def on_trial(self, trial: Trial) -> None:
    """Nothing to do."""

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Counts the trials of a batch."""
    self._batches += 1
    self._ended = time.perf_counter()
    if self._batches <= self._first_batch:
      self._started = self._ended
    else:
      self._trials += len(trials)


def plot(results: dict[str, list[Run]], path: pathlib.Path) -> None:
  """Draws the result so far against simulated seconds: mean, and one deviation as a band."""
  figure = Figure(figsize=(7, 4.5), layout='constrained')
  FigureCanvasAgg(figure)
  axes = figure.subplots()
  grid = np.linspace(0, FLAGS.budget_seconds, 400)
  lowest: list[float] = []
  highest: list[float] = []
  for name, runs in results.items():
    values = np.full((len(runs), len(grid)), np.nan)  # [run, grid]; NaN before the first result
    for row, run in zip(values, runs, strict=True):
      for seconds, test_200 in run.curve:
        row[grid >= seconds] = test_200
    begun = ~np.isnan(values).any(axis=0)
    mean, deviation = values[:, begun].mean(axis=0), values[:, begun].std(axis=0)
    (line,) = axes.plot(grid[begun], mean, label=name)
    axes.fill_between(
      grid[begun], mean - deviation, mean + deviation, color=line.get_color(), alpha=0.15
    )
    lowest.append(float(mean[len(mean) // 20]))
    highest.append(float(mean[-1] + deviation[-1]))
  # The first cells may have any accuracy from 10 % on; the important part is above.
  axes.set_ylim(min(lowest), max(highest) + 0.05)
  axes.set_xlabel('simulated seconds')
  axes.set_ylabel('test accuracy of the best validated cell, %')
  axes.set_title(f'NAS-Bench-201, mean and deviation of {FLAGS.runs} runs')
  axes.grid(alpha=0.3)
  axes.legend(loc='lower right')
  write_file(path, encoded(figure, '.png', dpi=150))


def main(arguments: list[str]) -> None:
  """Runs all searches, writes and prints the results."""
  if len(arguments) > 1:
    raise ValueError(f'arguments: {arguments[1:]}: must all be flags')
  workers = default_workers() if FLAGS.workers is None else FLAGS.workers
  for name, value in (('runs', FLAGS.runs), ('workers', workers)):
    if value < 1:
      raise ValueError(f'--{name}={value}: must be at least 1')
  if not 0 < FLAGS.budget_seconds < math.inf:
    raise ValueError(f'--budget_seconds={FLAGS.budget_seconds}: must be positive')
  arms = read_arms(FLAGS.strategies)
  _, _, table, _ = benchmark(FLAGS.table)
  for arm in arms:  # an error in the table or in an arm is shown before workers start
    arm.build(table, seed=FLAGS.seed)
  started = time.perf_counter()
  results = search_all(arms, workers)
  show(results)
  show_speed()
  out = pathlib.Path(FLAGS.out)
  columns = ('test_200', 'validation_12', 'evaluations')
  written = {
    name: {column: [getattr(run, column) for run in runs] for column in columns}
    for name, runs in results.items()
  }
  write_file(out, json.dumps(written) + '\n')
  plot(results, out.with_suffix('.png'))
  seconds = time.perf_counter() - started
  print(f'{out}, {out.with_suffix(".png")}; {seconds:.0f} s with {workers} workers')


def run(arguments: list[str]) -> None:
  """Runs `main`; shows an error of the user or the machine in one line, without a traceback."""
  try:
    main(arguments)
  except (ValueError, OSError) as error:
    sys.exit(f'error: {error}')


if __name__ == '__main__':
  app.run(run)
