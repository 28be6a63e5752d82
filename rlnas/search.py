"""The search loop: ask, evaluate, reward, append, tell.

Batches overlap without losing determinism: batch k is proposed once the batches up to k - 1 - lag
are told. So the course of a search depends on its seed, batch size and lag, never on the number
of workers or on their timing. A search resumes by folding its journal through the same loop: a
trial that the journal holds is not evaluated again, everything else happens as it did.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from rlnas.board import Budget
from rlnas.interfaces import Executor, Observer, Pending, Reward, Strategy
from rlnas.journal import Journal, JournalError
from rlnas.trial import Proposal, Status, Trial, derive_seed

MOST_FAILURES = 12  # in a row; rarer accidents are recorded and the search goes on


class SearchError(RuntimeError):
  """A search cannot go on, or ended without a result."""


def run_search(
  strategy: Strategy,
  *,
  executor: Executor,
  reward: Reward,
  budget: Budget,
  trials: int,
  batch: int = 8,
  lag: int = 1,
  seed: int = 0,
  journal: Journal | None = None,
  observers: Sequence[Observer] = (),
) -> tuple[Trial, ...]:
  """Searches, or goes on with the search in `journal`.

  Args:
    strategy: proposes and learns; must not have been told anything yet.
    executor: evaluates; the caller closes it.
    reward: turns a measurement and the budget into one number.
    budget: what the model may take.
    trials: how many children to evaluate, the journal's included.
    batch: how many are proposed, and told, together.
    lag: how many batches may be under way beside the one that is told.
    seed: decides everything random.
    journal: remembers the trials; without one the search cannot resume.
    observers: hear of every trial and batch.

  Returns:
    All trials in order.

  Raises:
    ValueError: `trials` or `batch` is below 1, or `lag` below 0.
    JournalError: the journal holds other proposals than this strategy makes.
    SearchError: each of the last `MOST_FAILURES` trials, or all trials so far, failed.
  """
  for name, value, least in (('trials', trials, 1), ('batch', batch, 1), ('lag', lag, 0)):
    if value < least:
      raise ValueError(f'{name}={value}: must be at least {least}')
  recorded = () if journal is None else journal.trials
  done: list[Trial] = []
  under_way: collections.deque[list[_Ordered]] = collections.deque()

  def tell_oldest() -> None:
    told = []
    batch_under_way = under_way.popleft()
    fresh = any(ordered.recorded is None for ordered in batch_under_way)
    for ordered in batch_under_way:
      trial = ordered.recorded or _finish(ordered, reward, budget)
      if journal is not None and ordered.recorded is None:
        journal.append(trial)
      told.append(trial)
      for observer in observers:
        observer.on_trial(trial)
    done.extend(told)
    if fresh:
      _check_alive(done, min(trials, MOST_FAILURES))
    scalars = strategy.tell(told)
    for observer in observers:
      observer.on_batch(told, scalars)

  for first in range(0, trials, batch):
    if len(under_way) > lag:
      tell_oldest()
    number = first // batch
    rng = np.random.default_rng(derive_seed(seed, 'batch', number))
    proposals = strategy.ask(batch, rng)[: trials - first]
    under_way.append(
      [
        _order(first + i, number, proposal, recorded, executor, seed)
        for i, proposal in enumerate(proposals)
      ]
    )
  while under_way:
    tell_oldest()
  return tuple(done)


@dataclasses.dataclass(frozen=True)
class _Ordered:
  """A proposal on its way: either recorded in the journal or pending."""

  index: int
  batch: int
  seed: int
  proposal: Proposal
  recorded: Trial | None
  pending: Pending | None


def _order(
  index: int,
  batch: int,
  proposal: Proposal,
  recorded: Sequence[Trial],
  executor: Executor,
  run_seed: int,
) -> _Ordered:
  seed = derive_seed(run_seed, 'trial', index)
  if index >= len(recorded):
    pending = executor.submit(proposal.architecture, seed=seed)
    return _Ordered(index, batch, seed, proposal, None, pending)
  trial = recorded[index]
  found, wanted = trial.proposal, proposal
  if (found, trial.seed, trial.batch) != (wanted, seed, batch):
    raise JournalError(
      f'journal: trial {index} has tokens {found.tokens} of log-probability {found.log_prob}, but '
      f'the strategy now proposes {wanted.tokens} of {wanted.log_prob}: the journal was made with '
      'other settings, another version or on another kind of processor'
    )
  return _Ordered(index, batch, seed, proposal, trial, None)


def _finish(ordered: _Ordered, reward: Reward, budget: Budget) -> Trial:
  if ordered.pending is None:
    raise ValueError(f'trial {ordered.index}: neither recorded nor submitted')
  measurement = ordered.pending.result()
  failed = measurement.status is Status.FAILED
  earned = None if failed else reward(measurement, budget)
  return Trial(ordered.index, ordered.batch, ordered.seed, ordered.proposal, measurement, earned)


def _check_alive(done: Sequence[Trial], most: int) -> None:
  """A search whose every child fails has a fault that no further child will mend."""
  last = done[-most:]
  if len(last) == most and all(trial.measurement.status is Status.FAILED for trial in last):
    cause = last[0].measurement.detail.strip().splitlines()[-1:] or ['unknown cause']
    raise SearchError(
      f'{len(last)} trials failed one after the other, the first of them with: {cause[0]}. '
      'Once the cause is mended, the same search goes on.'
    )
