"""Compares strategies on NAS-Bench-201: a search in its table takes a fraction of a second.

  python experiments/nasbench201.py --table=nasbench201_cifar10.npz --out=runs/nasbench201.json

The published protocol (NATS-Bench: Dong et al. 2021, arXiv:2009.00437): strategies are told the
validation accuracy after 12 epochs. A search ends when the simulated seconds are spent; each
evaluation costs the time that it took on the benchmark's GPU. The result of a search is the test
accuracy after 200 epochs of the cell with the best validation accuracy. Welch's t-test compares
many runs of each strategy, and a picture beside --out shows how the results improve. Runs that have
ended are written every few seconds; after Ctrl-C the results are those of the runs so far.

With --max_params_m or --max_flops_m, cells beyond a limit are not evaluated. With --networks,
searches end after so many evaluated networks that fit; cells that differ only in edges on which
their output does not depend are one network:

  python experiments/nasbench201.py --table=nasbench201_cifar10.npz --max_params_m=0.22 \
    --max_flops_m=30 --networks=100 --strategies=default,evolution,random
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
import multiprocessing.queues
import pathlib
import signal
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import app, flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from rlnas.architecture import Architecture
from rlnas.budget import UNLIMITED, Budget
from rlnas.cli import choices
from rlnas.cli.arms import Arm, read_arms
from rlnas.cli.build import build_strategy
from rlnas.cli.guard import INTERRUPTED
from rlnas.data.atomic_file import write_file
from rlnas.evaluation.executors import InProcess, default_workers
from rlnas.evaluation.lookup import Lookup, NasBench201Data
from rlnas.progress import Step, changed_by, tell, told_to
from rlnas.reports.progress_bar import Bar, note
from rlnas.reports.rendering import encoded
from rlnas.search.loop import run_search
from rlnas.spaces.nasbench201 import NasBench201
from rlnas.spaces.table import Table, compile_table
from rlnas.trial import Measurement, Trial, derive_seed

CHECKPOINTS = (0.3, 0.6, 1.0)  # shares of the seconds or networks at which results are printed
WRITTEN_EVERY = 10.0  # seconds
SPEED_TRIALS, SPEED_BATCH = 3_200, 32  # of the searches that measure the speed of the loop
_OPEN = contextlib.ExitStack()  # of a worker, until it ends

FLAGS = flags.FLAGS
flags.DEFINE_string('table', None, 'The .npz file of results; see rlnas/evaluation/lookup.py.')
flags.DEFINE_string(
  'strategies',
  'random,evolution',
  f'Some of {", ".join(choices.STRATEGIES)}, separated by commas; or, with options, separated by '
  'semicolons: default;default:elite=3;evolution:population=50,sample=10.',
)
flags.DEFINE_float('budget_seconds', 20_000, 'Simulated time that a search may spend, in seconds.')
flags.DEFINE_integer(
  'networks',
  None,
  'Number of evaluated networks that fit, after which a search ends; default: it ends after '
  '--budget_seconds.',
)
flags.DEFINE_float(
  'max_params_m',
  None,
  'Number of parameters, in millions, that a cell may have; default: no limit.',
)
flags.DEFINE_float(
  'max_flops_m',
  None,
  'Number of multiply-accumulates, in millions, that a cell may take; default: no limit.',
)
flags.DEFINE_integer('runs', 500, 'Number of searches by each strategy.')
flags.DEFINE_integer('seed', 0, 'Seed of the searches.')
flags.DEFINE_bool('free_repeats', False, 'Whether evaluating a cell again costs nothing.')
flags.DEFINE_integer(
  'workers', None, 'Number of processes with one thread each; default: one per core.'
)
flags.DEFINE_string('out', 'runs/nasbench201.json', 'Where to write the results; .png beside it.')
flags.mark_flag_as_required('table')


@dataclasses.dataclass(frozen=True)
class Protocol:
  """What a search may spend, and which cells fit.

  Attributes:
    seconds: simulated time that a search may spend; infinite if `networks` ends it.
    networks: number of evaluated networks that fit after which a search ends.
    free_repeats: whether evaluating a cell again costs nothing.
    parameters: largest number of parameters.
    macs: largest number of multiply-accumulates.
  """

  seconds: float
  networks: float = math.inf
  free_repeats: bool = False
  parameters: float = math.inf
  macs: float = math.inf

  @property
  def limited(self) -> bool:
    """Whether some cells do not fit."""
    return min(self.parameters, self.macs) < math.inf

  def excess(self, measurement: Measurement) -> float:
    """Sum of ln(used / limit) over what is beyond its limit; 0 if the cell fits."""
    used = ((measurement.parameters, self.parameters), (measurement.macs, self.macs))
    return sum(math.log(max(1.0, (amount or 0) / limit)) for amount, limit in used)

  def reward(self, measurement: Measurement, budget: Budget) -> float:
    """Validation accuracy less the excess, as `rlnas.reward.linear_excess` has it."""
    del budget
    if measurement.validation_accuracy is None:
      raise ValueError('measurement.validation_accuracy=None: the table must hold it')
    return measurement.validation_accuracy - self.excess(measurement)


class Found(NamedTuple):
  """A cell that validates better than all that fit before it.

  Attributes:
    seconds: simulated seconds until then.
    networks: evaluated networks that fit until then.
    test_200: its test accuracy in percent after 200 epochs.
    validation_12: its validation accuracy in percent after 12 epochs.
  """

  seconds: float
  networks: int
  test_200: float
  validation_12: float


@dataclasses.dataclass(frozen=True)
class Run:
  """One search.

  Attributes:
    test_200: test accuracy in percent after 200 epochs of the cell with the best validation.
    validation_12: validation accuracy in percent of that cell after 12 epochs.
    evaluations: number of evaluations that were charged.
    curve: each better cell that was found.
  """

  test_200: float
  validation_12: float
  evaluations: int
  curve: tuple[Found, ...]

  def after(self, *, seconds: float = math.inf, networks: float = math.inf) -> Found:
    """The best validated cell until then; NaN before the first."""
    for found in reversed(self.curve):
      if found.seconds <= seconds and found.networks <= networks:
        return found
    return Found(math.nan, 0, math.nan, math.nan)


class BudgetSpentError(Exception):
  """The search has spent what it may."""


class Ledger:
  """An observer that counts what is spent and ends the search; late trials do not count.

  It tells how far it is once a second.
  """

  def __init__(self, protocol: Protocol) -> None:
    """Starts with nothing spent."""
    self._protocol = protocol
    self._told = time.monotonic()
    self._seen: set[tuple[int, ...]] = set()
    self._fitting: set[str] = set()  # digests
    self.seconds = 0.0
    self.evaluations = 0
    # (seconds, networks that fit, trial) of each trial that is better than all before.
    self.found: list[tuple[float, int, Trial]] = []

  def on_trial(self, trial: Trial) -> None:
    """Charges the trial. Raises BudgetSpentError."""
    if trial.reward is None:
      raise RuntimeError(trial.measurement.detail)  # the table lacks a cell
    if not (self._protocol.free_repeats and trial.proposal.tokens in self._seen):
      if self.seconds + trial.measurement.seconds > self._protocol.seconds:
        raise BudgetSpentError
      self.seconds += trial.measurement.seconds
      self.evaluations += 1
    self._seen.add(trial.proposal.tokens)
    if self._protocol.excess(trial.measurement):
      return
    self._fitting.add(trial.proposal.digest)
    if not self.found or trial.reward > (self.found[-1][-1].reward or 0):
      self.found.append((self.seconds, len(self._fitting), trial))
    if len(self._fitting) >= self._protocol.networks:
      raise BudgetSpentError

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Tells the number of evaluations, if the last time is a second ago."""
    if time.monotonic() - self._told >= 1:
      self._told = time.monotonic()
      tell(Step(self.evaluations, self.evaluations, unit='evaluations'))


@functools.lru_cache(maxsize=1)
def benchmark(path: str) -> tuple[NasBench201Data, Lookup, Table, dict[tuple[int, ...], float]]:
  """The data that all runs of a process share; the last is `test_200` in percent by tokens."""
  data = NasBench201Data.read(path)
  percent = [100 * accuracy for accuracy in data.test_200.tolist()]
  by_tokens = dict(zip(map(tuple, data.operations.tolist()), percent, strict=True))
  return data, data.evaluator(), compile_table(NasBench201()), by_tokens


def search_once(arm: Arm, path: str, *, protocol: Protocol, seed: int) -> Run:
  """Runs one search of one strategy, with batches of one and no lag, as in the published loops."""
  data, evaluator, table, test_200 = benchmark(path)
  ledger = Ledger(protocol)

  def penalty(architecture: Architecture) -> float:
    return protocol.excess(evaluator.evaluate(architecture, seed=0))

  # A strategy may repeat itself for ever, where repeats are free or do not count: so the limit is
  # ten times the number of evaluations that the protocol allows.
  allowed = min(protocol.networks, protocol.seconds / float(np.min(data.seconds)))
  most = 10 * math.ceil(allowed)
  with (
    contextlib.suppress(BudgetSpentError),
    changed_by(lambda step: dataclasses.replace(step, name=arm.label)),
  ):
    run_search(
      arm.build(
        table,
        seed=derive_seed(seed, 'strategy'),
        penalty=penalty if protocol.limited else None,
      ),
      executor=InProcess(evaluator),
      reward=protocol.reward,
      budget=UNLIMITED,
      trials=most,
      batch=1,
      lag=0,
      seed=seed,
      observers=[ledger],
    )
  if not ledger.found and protocol.limited:
    raise ValueError(
      f'--max_params_m={protocol.parameters / 1e6}, --max_flops_m={protocol.macs / 1e6}: no cell '
      f'that fits was found in {most} trials; must be larger'
    )
  if not ledger.found:
    raise ValueError(f'--budget_seconds={protocol.seconds}: must be long enough for one evaluation')
  curve = tuple(
    Found(seconds, networks, test_200[t.proposal.tokens], 100 * (t.reward or 0))
    for seconds, networks, t in ledger.found
  )
  return Run(curve[-1].test_200, curve[-1].validation_12, ledger.evaluations, curve)


def search_all(arms: Sequence[Arm], protocol: Protocol, workers: int) -> dict[str, list[Run]]:
  """All runs of all arms by label, in worker processes; the same whatever their number.

  They are written as they end. After Ctrl-C, those that have ended are returned.
  """
  context = multiprocessing.get_context('spawn')
  said: multiprocessing.queues.SimpleQueue[str] = context.SimpleQueue()
  pool = concurrent.futures.ProcessPoolExecutor(workers, context, _begin_worker, (said,))
  ended: dict[str, dict[int, Run]] = {arm.label: {} for arm in arms}
  with pool, Bar(len(arms) * FLAGS.runs, 'search', unit='searches') as bar:
    names = {
      pool.submit(
        search_once,
        arm,
        FLAGS.table,
        protocol=protocol,
        seed=derive_seed(FLAGS.seed, arm.label, i),
      ): (arm.label, i)
      for arm in arms
      for i in range(FLAGS.runs)
    }
    running = set(names)
    written = time.monotonic()
    try:
      while running:
        done, running = concurrent.futures.wait(
          running, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED
        )
        while not said.empty():
          bar.show(said.get())
        for task in done:
          label, i = names[task]
          ended[label][i] = task.result()
          bar.advance(text=label)
        if time.monotonic() - written >= WRITTEN_EVERY:
          write(in_order(ended))
          written = time.monotonic()
    except KeyboardInterrupt:
      note('stopped; the searches that are running end first')
      pool.shutdown(cancel_futures=True)
  return in_order(ended)


def in_order(ended: dict[str, dict[int, Run]]) -> dict[str, list[Run]]:
  """The runs of each arm that has any, by their numbers."""
  return {label: [runs[i] for i in sorted(runs)] for label, runs in ended.items() if runs}


def write(results: dict[str, list[Run]]) -> None:
  """Writes --out."""
  columns = ('test_200', 'validation_12', 'evaluations')
  written = {
    name: {column: [getattr(run, column) for run in runs] for column in columns}
    for name, runs in results.items()
  }
  write_file(pathlib.Path(FLAGS.out), json.dumps(written) + '\n')


def _begin_worker(said: multiprocessing.queues.SimpleQueue[str]) -> None:
  """Begins a new worker, which says what it does."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
  _OPEN.enter_context(told_to(lambda step: said.put(f'{step.name}, {step.done:,} {step.unit}')))


def show(results: dict[str, list[Run]], protocol: Protocol) -> None:
  """Prints means, deviations of single runs, and whether they differ.

  What counts is the test accuracy of the best validated cell; under limits its validation accuracy,
  which a search maximises: among small cells, test accuracy follows it loosely.
  """
  by = 'networks' if protocol.networks < math.inf else 'seconds'
  spent = getattr(protocol, by)
  repeats = 'free' if protocol.free_repeats else 'paid for'
  unit = 'networks that fit' if by == 'networks' else f'simulated seconds, repeats {repeats}'
  print(f'Runs of {spent:,.0f} {unit}')
  columns = ('validation_12', 'test_200') if protocol.limited else ('test_200',)
  width = max(12, *(len(label) + 2 for label in results))
  points = [share * spent for share in CHECKPOINTS]
  for column in columns:
    heads = ''.join(f'{f"after {point:,.0f}":>18}' for point in points)
    print(f'{column.split("_")[0] + " %":{width}}{heads}{"evaluations":>13}{"runs":>6}')
    for name, runs in results.items():
      cells = [[getattr(run.after(**{by: point}), column) for run in runs] for point in points]
      evaluations = np.mean([run.evaluations for run in runs])
      columns_of = ''.join(f'{spread(c):>18}' for c in cells)
      print(f'{name:{width}}{columns_of}{evaluations:13.1f}{len(runs):6}')
  repeated = [name for name, runs in results.items() if len(runs) > 1]
  for one, other in itertools.combinations(repeated, 2):
    a, b = ([getattr(run, columns[0]) for run in results[name]] for name in (one, other))
    p = stats.ttest_ind(a, b, equal_var=False).pvalue
    print(f'{one} - {other}: {np.mean(a) - np.mean(b):+.3f}, p = {p:.2g} (Welch, two-sided)')


def spread(values: Sequence[float]) -> str:
  """Mean and deviation of single values."""
  deviation = f' ± {np.std(values, ddof=1):.3f}' if len(values) > 1 else ''
  return f'{np.mean(values):.3f}{deviation}'


def show_speed() -> None:
  """Prints how many trials per second the search loop handles in this process."""
  _, evaluator, table, _ = benchmark(FLAGS.table)
  for name, batch in (('evolution', 1), ('zoph_le', SPEED_BATCH)):
    # The first batches trace the functions of the controller and are not counted.
    clock = Stopwatch(first_batch=3)
    run_search(
      build_strategy(name, table, seed=FLAGS.seed),
      executor=InProcess(evaluator),
      reward=Protocol(math.inf).reward,
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


def plot(results: dict[str, list[Run]], protocol: Protocol, path: pathlib.Path) -> None:
  """Draws the result so far against what is spent: mean, and one deviation as a band."""
  by = 'networks' if protocol.networks < math.inf else 'seconds'
  column = 'validation_12' if protocol.limited else 'test_200'
  figure = Figure(figsize=(7, 4.5), layout='constrained')
  FigureCanvasAgg(figure)
  axes = figure.subplots()
  grid = np.linspace(0, getattr(protocol, by), 400)
  lowest: list[float] = []
  highest: list[float] = []
  for name, runs in results.items():
    values = np.full((len(runs), len(grid)), np.nan)  # [run, grid]; NaN before the first result
    for row, run in zip(values, runs, strict=True):
      for found in run.curve:
        row[grid >= getattr(found, by)] = getattr(found, column)
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
  axes.set_xlabel('simulated seconds' if by == 'seconds' else 'evaluated networks that fit')
  axes.set_ylabel(f'{column.split("_")[0]} accuracy of the best validated cell, %')
  axes.set_title(f'NAS-Bench-201, mean and deviation of {min(map(len, results.values()))} runs')
  axes.grid(alpha=0.3)
  axes.legend(loc='lower right')
  write_file(path, encoded(figure, '.png', dpi=150))


def main(arguments: list[str]) -> None:
  """Runs all searches, writes and prints the results; exits with 130 after Ctrl-C."""
  if len(arguments) > 1:
    raise ValueError(f'arguments: {arguments[1:]}: must all be flags')
  workers = default_workers() if FLAGS.workers is None else FLAGS.workers
  for name, value in (('runs', FLAGS.runs), ('workers', workers)):
    if value < 1:
      raise ValueError(f'--{name}={value}: must be at least 1')
  if not 0 < FLAGS.budget_seconds < math.inf:
    raise ValueError(f'--budget_seconds={FLAGS.budget_seconds}: must be positive')
  for name in ('networks', 'max_params_m', 'max_flops_m'):
    value = FLAGS[name].value
    if value is not None and not 0 < value < math.inf:
      raise ValueError(f'--{name}={value}: must be positive')
  protocol = Protocol(
    FLAGS.budget_seconds if FLAGS.networks is None else math.inf,
    networks=FLAGS.networks or math.inf,
    free_repeats=FLAGS.free_repeats,
    parameters=1e6 * (FLAGS.max_params_m or math.inf),
    macs=1e6 * (FLAGS.max_flops_m or math.inf),
  )
  arms = read_arms(FLAGS.strategies)
  _, _, table, _ = benchmark(FLAGS.table)
  for arm in arms:  # an error in the table or in an arm is shown before workers start
    arm.build(table, seed=FLAGS.seed)
  started = time.perf_counter()
  results = search_all(arms, protocol, workers)
  if not results:
    sys.exit(INTERRUPTED)
  write(results)
  show(results, protocol)
  note('measuring the speed of the search loop')
  show_speed()
  out = pathlib.Path(FLAGS.out)
  plot(results, protocol, out.with_suffix('.png'))
  seconds = time.perf_counter() - started
  print(f'{out}, {out.with_suffix(".png")}; {seconds:.0f} s with {workers} workers')
  if sum(map(len, results.values())) < len(arms) * FLAGS.runs:
    sys.exit(INTERRUPTED)


def run(arguments: list[str]) -> None:
  """Runs `main`; shows an error of the user or the machine in one line, without a traceback."""
  try:
    main(arguments)
  except (ValueError, OSError) as error:
    sys.exit(f'error: {error}')


if __name__ == '__main__':
  app.run(run)
