"""Measures what --learn_from gains, and what it costs if the earlier search misleads.

  python experiments/benchmarks/benchmark_earlier.py

No network is trained. The space is that of chains of up to four layers. A data set is a function
that gives each network its accuracy, in deviations over the space: a part that all data sets of a
run share (it grows with the logarithm of the work, and depends on the decisions and on pairs that
follow each other), a part of its own of the same kind, and noise. Each run searches a data set
after 0 or more others, which evolution searched, as that is quick. The table shows the accuracy
without noise of the trial with the best reward so far, mean and standard error over the runs.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import itertools
import math
import multiprocessing
import zlib

import numpy as np
from absl import flags

from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.evaluation.executors import default_workers
from rlnas.interfaces import Strategy
from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import Table, choices_of, compile_table, sample_uniform
from rlnas.strategies.controller import Controller
from rlnas.strategies.earlier_results import Earlier
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.network_features import traits
from rlnas.strategies.reinforce import Reinforce
from rlnas.trial import Measurement, Status, Trial, derive_seed

FLAGS = flags.FLAGS
flags.DEFINE_integer('runs', 20, 'Number of searches of each kind.')
flags.DEFINE_list('counts', ['8', '20', '40'], 'After how many trials a search is judged.')
flags.DEFINE_integer('earlier', 40, 'Number of trials of each earlier search.')
flags.DEFINE_float('own', 0.3, "Share of a data set's own part in the variance of its accuracies.")
flags.DEFINE_integer('seed', 0, 'Seed of everything random.')
flags.DEFINE_integer('workers', None, 'Number of processes; default: one per core.')

NOISE = 0.2  # deviation
BATCH, LAG = 4, 1  # those of `rlnas search`


@dataclasses.dataclass(frozen=True)
class Kind:
  """What a search learns from.

  Attributes:
    before: number of data sets searched before.
    share: share of their own part; None is that of the flag.
    sign: factor of the rewards that are learnt from; -1 turns their order around.
    warm_up: number of trials of the warm-up, which a search after others has not.
  """

  before: int
  share: float | None = None
  sign: int = 1
  warm_up: int = 8


KINDS = {
  'no earlier search': Kind(0),
  'no earlier search, no warm-up': Kind(0, warm_up=0),
  'after one': Kind(1),
  'after one that shares only the preference for work': Kind(1, share=1.0),
  'after one with the opposite order': Kind(1, sign=-1),
  'after three': Kind(3),
}


@dataclasses.dataclass(frozen=True)
class Landscape:
  """A random function of networks with mean 0 and deviation 1 over the space."""

  table: Table
  seed: int

  def __call__(self, tokens: tuple[int, ...]) -> float:
    """The value of a network."""
    mean, deviation = self._scale
    return (self._raw(tokens) - mean) / deviation

  @functools.cached_property
  def _scale(self) -> tuple[float, float]:
    rng = np.random.default_rng(self.seed)
    values = [self._raw(sample_uniform(self.table, rng)) for _ in range(400)]
    return float(np.mean(values)), float(np.std(values))

  def _raw(self, tokens: tuple[int, ...]) -> float:
    chosen = choices_of(self.table, tokens).items()
    named = [f'{name.rpartition("/")[2]}={choice}' for name, choice in chosen]
    pairs = [f'{a} {b}' for a, b in itertools.pairwise(named)]
    decided = sum(map(self._weight, named + pairs)) / math.sqrt(2 * len(named))
    work = float(traits(decode(self.table.space, tokens))[0])
    return decided + 0.3 * work

  def _weight(self, key: str) -> float:
    return _weight(self.seed, key)


@functools.cache
def _weight(seed: int, key: str) -> float:
  return float(np.random.default_rng([seed, zlib.crc32(key.encode())]).normal())


@dataclasses.dataclass(frozen=True)
class Data:
  """A data set: the accuracy of each network, in deviations."""

  shared: Landscape
  its_own: Landscape
  share: float  # of its own part

  def truth(self, tokens: tuple[int, ...]) -> float:
    """Accuracy without noise."""
    common = math.sqrt(1 - self.share) * self.shared(tokens)
    return common + math.sqrt(self.share) * self.its_own(tokens)

  def measured(self, tokens: tuple[int, ...]) -> float:
    """Accuracy as a search measures it."""
    rng = np.random.default_rng([self.its_own.seed, *tokens])
    return self.truth(tokens) + NOISE * float(rng.normal())


def data_of(table: Table, seed: int, number: int, share: float) -> Data:
  """The data set of a number; those of one seed share their common part."""
  shared, own = (derive_seed(seed, name, i) for name, i in (('shared', 0), ('own', number)))
  return Data(Landscape(table, shared), Landscape(table, own), share)


def search(table: Table, data: Data, trials: int, seed: int, strategy: Strategy) -> Earlier:
  """Searches one data set; what it found, in order."""
  told: list[Trial] = []
  waiting: collections.deque[list[Trial]] = collections.deque()
  for batch in range(math.ceil(trials / BATCH)):
    if len(waiting) > LAG:
      strategy.tell(waiting.popleft())
    rng = np.random.default_rng(derive_seed(seed, 'batch', batch))
    ordered = [
      Trial(0, batch, 0, p, Measurement(Status.COMPLETE), data.measured(p.tokens))
      for p in strategy.ask(BATCH, rng)
    ]
    waiting.append(ordered)
    told += ordered
  return Earlier(tuple(t.proposal.tokens for t in told), tuple(t.reward or 0.0 for t in told))


def best_after(
  kind: str, seed: int, counts: tuple[int, ...], length: int, own: float
) -> list[float]:
  """One search of a kind: accuracy without noise of the trial with the best reward so far."""
  table = compile_table(Chain(max_depth=4))
  known = KINDS[kind]
  share = own if known.share is None else known.share
  earlier = [
    search(table, data_of(table, seed, i, share), length, seed + i, Evolution(table))
    for i in range(1, known.before + 1)
  ]
  earlier = [Earlier(e.walks, tuple(known.sign * r for r in e.rewards)) for e in earlier]
  data = data_of(table, seed, 0, own)
  controller = Controller(table, seed=seed)
  strategy = Reinforce(
    table, controller=controller, seed=seed, earlier=earlier, warm_up=known.warm_up
  )
  found = search(table, data, max(counts), seed, strategy)
  best = [max(range(count), key=found.rewards.__getitem__) for count in counts]
  return [data.truth(found.walks[i]) for i in best]


def main(arguments: list[str]) -> None:
  """Prints one row for each kind of search."""
  no_arguments(arguments)
  for name in ('runs', 'earlier', 'workers'):
    check_positive(name)
  if not 0 <= FLAGS.own <= 1:
    raise ValueError(f'--own={FLAGS.own}: must lie in [0, 1]')
  counts = tuple(int(count) for count in FLAGS.counts)
  if min(counts) < 1:
    raise ValueError(f'--counts={",".join(FLAGS.counts)}: must be at least 1')
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(FLAGS.workers or default_workers(), context) as pool:
    submitted = {
      kind: [
        pool.submit(
          best_after, kind, derive_seed(FLAGS.seed, 'run', i), counts, FLAGS.earlier, FLAGS.own
        )
        for i in range(FLAGS.runs)
      ]
      for kind in KINDS
    }
    print(f'| {FLAGS.runs} searches | {" | ".join(f"{c} trials" for c in counts)} |')
    print(f'|{"---|" * (1 + len(counts))}')
    for kind, tasks in submitted.items():
      found = np.array([task.result() for task in tasks])  # [runs, counts]
      errors = found.std(0) / math.sqrt(FLAGS.runs)
      cells = (f'{m:.2f} ± {e:.2f}' for m, e in zip(found.mean(0), errors, strict=True))
      print(f'| {kind} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
  run(main)
