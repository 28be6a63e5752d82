"""Measures how many workers one search keeps busy: real loop and strategy, simulated workers.

  python experiments/benchmarks/simulate_cluster.py --workers=1000 --batches=100,250,500 \
    --lags=1,3,7

The loop, the journal and the strategy are real; only the evaluations are simulated: their durations
are random, and their results depend on the network. The clock is simulated too, but the real time
that this process needs to propose, record and learn is added to it, while workers wait. Shares are
those of the middle of the search, between the trials at a fifth and at four fifths.
"""

from __future__ import annotations

import collections
import heapq
import pathlib
import tempfile
import time

import numpy as np
from absl import app, flags

from rlnas.architecture import Architecture
from rlnas.board import BOARDS
from rlnas.cli.build import build_strategy
from rlnas.cli.choices import STRATEGIES, choose
from rlnas.reward import weighted_product
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.trial import NO_TERMS, Measurement, Status, Terms, derive_seed

FLAGS = flags.FLAGS
flags.DEFINE_integer('workers', 1000, 'Number of simulated workers.', lower_bound=1)
flags.DEFINE_integer('trials', None, 'Number of trials; default: 30 per worker.', lower_bound=10)
flags.DEFINE_list('batches', ['100', '250', '500', '1000'], 'Batch sizes to try.')
flags.DEFINE_list('lags', ['1', '3', '7'], 'Lags to try.')
flags.DEFINE_float('seconds', 60.0, 'Mean duration of a trial, in seconds.', lower_bound=0.001)
flags.DEFINE_float('spread', 0.5, 'Deviation of the logarithm of durations.', lower_bound=0)
flags.DEFINE_float(
  'deaths', 0.01, 'Share of trials whose worker dies once.', lower_bound=0, upper_bound=1
)
flags.DEFINE_float(
  'hangs', 0.001, 'Share of trials that hang until the time-out.', lower_bound=0, upper_bound=1
)
flags.DEFINE_float('timeout', 600.0, 'Time-out of a trial, in seconds.', lower_bound=0)
flags.DEFINE_string('strategy', 'evolution', f'One of {", ".join(STRATEGIES)}.')
flags.DEFINE_string('folder', None, 'Folder for the journals; default: a temporary one.')


class SimulatedCluster:
  """An executor whose workers take simulated time.

  Attributes:
    now: simulated seconds since the start.
    coordinator_seconds: real time that this process needed between calls.
    work: (begin, end) of each evaluation, in simulated seconds.
    collected_at: simulated time at which each result was fetched, in order.
  """

  def __init__(self, workers: int) -> None:
    self.now = 0.0
    self.coordinator_seconds = 0.0
    self.work: list[tuple[float, float]] = []
    self.collected_at: list[float] = []
    self._free = workers
    self._queue: collections.deque[tuple[int, Architecture, int]] = collections.deque()
    self._finishing: list[tuple[float, int, Measurement]] = []  # a heap
    self._left = time.perf_counter()  # when this class was last left

  def submit(
    self, key: int, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> None:
    """Queues one evaluation; the time it takes does not depend on the terms."""
    self._charge()
    self._queue.append((key, architecture, seed))
    self._hand_out()
    self._left = time.perf_counter()

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Moves the clock to the next time at which a worker finishes."""
    self._charge()
    if not self._finishing:
      return None
    finished, key, measurement = heapq.heappop(self._finishing)
    self.now = max(self.now, finished)
    self._free += 1
    self._hand_out()
    self.collected_at.append(self.now)
    self._left = time.perf_counter()
    return key, measurement

  def withdraw(self) -> list[int]:
    """Drops the evaluations that no worker has begun."""
    keys = [key for key, _, _ in self._queue]
    self._queue.clear()
    return keys

  def close(self) -> None:
    """Does nothing."""

  def _charge(self) -> None:
    elapsed = time.perf_counter() - self._left
    self.coordinator_seconds += elapsed
    self.now += elapsed

  def _hand_out(self) -> None:
    while self._free and self._queue:
      key, architecture, seed = self._queue.popleft()
      seconds, measurement = evaluate(architecture, seed)
      self._free -= 1
      self.work.append((self.now, self.now + seconds))
      heapq.heappush(self._finishing, (self.now + seconds, key, measurement))


def evaluate(architecture: Architecture, seed: int) -> tuple[float, Measurement]:
  """The duration of a simulated evaluation, in seconds, and its result."""
  rng = np.random.default_rng(seed)
  seconds = FLAGS.seconds * float(np.exp(FLAGS.spread * rng.normal() - FLAGS.spread**2 / 2))
  if rng.random() < FLAGS.hangs:
    return FLAGS.timeout, Measurement(Status.FAILED, detail='ran for longer than the time-out')
  if rng.random() < FLAGS.deaths:
    seconds *= 1 + rng.random()  # until its worker died, and once more
  filters = sum(int(dict(node.attributes).get('filters', 0)) for node in architecture.nodes)
  accuracy = min(1.0, filters / (filters + 30) + 0.01 * float(rng.normal()))
  return seconds, Measurement(
    Status.COMPLETE,
    validation_accuracy=max(0.0, accuracy),
    int8_validation_accuracy=max(0.0, accuracy),
    flash_bytes=3000 + 300 * filters,
    sram_bytes=3000 + 100 * filters,
    sram_source='tflm',
    macs=10_000 * filters,
    parameters=250 * filters,
    seconds=seconds,
  )


def busy_share(cluster: SimulatedCluster, workers: int) -> float:
  """Share of their time that workers were busy, in the middle of the search."""
  count = len(cluster.collected_at)
  begin, end = cluster.collected_at[count // 5], cluster.collected_at[4 * count // 5]
  worked = sum(max(0.0, min(e, end) - max(b, begin)) for b, e in cluster.work)
  return worked / (workers * (end - begin))


def simulate(batch: int, lag: int, trials: int, folder: pathlib.Path) -> str:
  """Runs one search and returns a row of figures."""
  path = folder / f'{FLAGS.strategy}-{FLAGS.workers}-{batch}-{lag}.jsonl'
  cluster = SimulatedCluster(FLAGS.workers)
  strategy = build_strategy(FLAGS.strategy, compile_table(Chain()), seed=derive_seed(0, 'strategy'))
  journal = Journal(path, configuration={'batch': batch, 'lag': lag})
  run_search(
    strategy,
    executor=cluster,
    reward=weighted_product,
    budget=BOARDS['nucleo-l010rb'].budget,
    trials=trials,
    batch=batch,
    lag=lag,
    journal=journal,
  )
  journal.close()
  own = 1000 * cluster.coordinator_seconds / trials
  return (
    f'{batch:6} {lag:4} {batch * (lag + 1):7} {busy_share(cluster, FLAGS.workers):7.1%} '
    f'{cluster.now / 3600:7.2f} {own:9.2f} {path.stat().st_size / trials:8.0f}'
  )


def main(arguments: list[str]) -> None:
  """Prints a row for each batch size and lag."""
  choose('strategy', FLAGS.strategy, STRATEGIES)
  if len(arguments) > 1:
    raise app.UsageError(f'arguments: {arguments[1:]}: must all be flags')
  trials = 30 * FLAGS.workers if FLAGS.trials is None else FLAGS.trials
  print(f'{FLAGS.workers} workers, {trials} trials of {FLAGS.seconds:g} s, {FLAGS.strategy}')
  print(
    f'{"batch":>6} {"lag":>4} {"window":>7} {"busy":>7} {"hours":>7} {"own ms":>9} {"bytes":>8}'
  )
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(FLAGS.folder or temporary)
    for batch in map(int, FLAGS.batches):
      for lag in map(int, FLAGS.lags):
        print(simulate(batch, lag, trials, folder), flush=True)


if __name__ == '__main__':
  app.run(main)
