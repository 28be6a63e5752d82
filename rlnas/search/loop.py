"""The search loop: ask, evaluate, reward, append, tell.

Batches overlap and the search stays deterministic: batch k is proposed as soon as the strategy was
told the batches up to k - 1 - lag. So the course of a search depends on its seed, batch size and
lag, never on the number of workers or on their timing. To resume, a search runs its journal through
the same loop: trials that the journal holds are not evaluated again, all other steps are the same.
A strategy that learns slowly may be restored from a file instead (`rlnas.search.strategy_state`).
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from rlnas.budget import Budget
from rlnas.interfaces import Executor, LiveObserver, Observer, Preparing, Reward, Strategy
from rlnas.search.fidelity import Pruner
from rlnas.search.interrupt import SoftInterrupt
from rlnas.search.journal import Journal, JournalError
from rlnas.search.strategy_state import Teller
from rlnas.trial import (
  Measurement,
  Proposal,
  Status,
  Terms,
  Trial,
  check_types,
  derive_seed,
  weights_name,
)

# A few failures are recorded and the search continues; this many mean that something is broken.
MOST_FAILURES = 12  # in a row
MOST_FAILED_SHARE = 0.5  # of all trials evaluated since the (re)start
LEAST_JUDGED = 24  # trials that the share needs
# Of a long journal only some batches are proposed again, to check that this strategy made them: so
# many at the beginning, after a restored state and at the end, and every so many-th between. The
# strategy is told the others as the journal has them.
_VERIFIED_BATCHES = 128
_REMEMBERED = 1024  # latest trials that a pruner gets
_PATIENCE_SECONDS = 0.5  # between checks whether the user wants to stop


class SearchError(RuntimeError):
  """A search cannot continue, or ended without a result."""


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
  pruner: Pruner | None = None,
  inherit: bool = False,
  journal: Journal | None = None,
  enough: Callable[[Sequence[Trial]], bool] | None = None,
  observers: Sequence[Observer] = (),
) -> tuple[Trial, ...]:
  """Runs a search, or resumes the search in `journal`.

  Args:
    strategy: proposes and learns; must be new (`tell` was never called).
    executor: evaluates; the caller closes it.
    reward: turns a measurement and the budget into one number.
    budget: the limits of the model.
    trials: number of trials, including those of the journal.
    batch: number of networks per `ask`, and of trials per `tell`.
    lag: number of batches that may run besides the oldest one.
    seed: decides what `ask` draws, and the seed of each evaluation. A controller has its own.
    pruner: decides which networks are trained beyond their first stage; needs a `StagedEvaluator`.
    inherit: whether mutants start from the weights of their parent trial; needs an evaluator that
      keeps weights.
    journal: stores the trials; without one the search cannot resume.
    enough: returns whether the trials told so far suffice. Then the search ends early, once the
      running trials are told, too.
    observers: called for every trial and batch; a `LiveObserver` also as soon as a trial is done.

  Returns:
    All trials in order.

  Raises:
    ValueError: `trials` or `batch` is below 1, or `lag` below 0; or the strategy proposes more or
      fewer architectures than asked for, or tokens or a `log_prob` that a journal cannot hold.
    JournalError: the proposals in the journal differ from those of this strategy.
    OSError: the journal or another file cannot be written, or the journal was removed.
    SearchError: each of the last `MOST_FAILURES` trials failed, or more than `MOST_FAILED_SHARE`
      of all.
    KeyboardInterrupt: Ctrl-C; running trials were finished and recorded first (a second Ctrl-C
      drops them).
  """
  for name, value, least in (('trials', trials, 1), ('batch', batch, 1), ('lag', lag, 0)):
    if value < least:
      raise ValueError(f'{name}={value}: must be at least {least}')
  under_way: collections.deque[list[_Ordered]] = collections.deque()
  health = _Health(min(trials, MOST_FAILURES))
  done: list[Trial] = []
  weights: list[str] = []  # names of the weights of the trials in `done`
  teller = Teller(strategy, journal=journal, trials=trials, batch=batch, lag=lag)
  with SoftInterrupt() as interrupt, teller:
    live = [observer for observer in observers if isinstance(observer, LiveObserver)]
    children = _Children(executor, reward, budget, journal, interrupt, pruner, live)
    if isinstance(strategy, Preparing):
      children.while_waiting = strategy.prepare

    def tell_oldest() -> None:
      oldest = under_way.popleft()
      told = [children.finish(ordered) for ordered in oldest]
      done.extend(told)
      weights.extend(map(_weights_of, oldest, told))
      for trial in told:
        for observer in observers:
          observer.on_trial(trial)
      health.check(told, evaluated=children.evaluated)
      scalars = teller.tell(told)
      for observer in observers:
        observer.on_batch(told, scalars)

    for first in range(0, trials, batch):
      if len(under_way) > lag:
        tell_oldest()
      if enough is not None and enough(done):
        break
      number = first // batch
      proposals = children.recall(number, range(first, min(first + batch, trials)), teller)
      if proposals is None:
        rng = np.random.default_rng(derive_seed(seed, 'batch', number))
        # A whole batch is asked for, so that a search with more trials continues this course.
        proposals = _checked(strategy.ask(batch, rng), batch)[: trials - first]
      known = done[-_REMEMBERED:]
      thresholds = () if pruner is None else pruner.thresholds(known)
      ordered = []
      for index, proposal in enumerate(proposals, first):
        parent = weights[proposal.parent] if inherit and proposal.parent is not None else ''
        place = (index, number, child_seed(seed, proposal))
        ordered.append(children.begin(_Ordered(*place, proposal, Terms(thresholds, parent), known)))
      under_way.append(ordered)
    while under_way:
      tell_oldest()
  return tuple(done)


def child_seed(seed: int, proposal: Proposal) -> int:
  """The seed of an evaluation: equal networks of one search get equal seeds."""
  return derive_seed(seed, 'child', proposal.digest)


@dataclasses.dataclass(frozen=True)
class _Ordered:
  """A proposal with its place in the search, and the latest trials told before it was made."""

  index: int
  batch: int
  seed: int
  proposal: Proposal
  terms: Terms
  known: list[Trial]


def _weights_of(ordered: _Ordered, trial: Trial) -> str:
  stages = len(trial.measurement.curve)
  if not stages:
    return ''  # it was not trained
  return weights_name(ordered.proposal.value, ordered.seed, ordered.terms, stages)


class _Children:
  """The running trials: from the journal if it holds them, else from the executor."""

  def __init__(
    self,
    executor: Executor,
    reward: Reward,
    budget: Budget,
    journal: Journal | None,
    interrupt: SoftInterrupt,
    pruner: Pruner | None,
    live: Sequence[LiveObserver],
  ) -> None:
    self._live = live
    self._executor = executor
    self._reward = reward
    self._budget = budget
    self._journal = journal
    self._interrupt = interrupt
    self._pruner = pruner
    self._running: dict[int, _Ordered] = {}
    self._finished: dict[int, Trial] = {}
    self.evaluated: set[int] = set()  # by this process
    self.while_waiting: Callable[[], bool] | None = None  # returns whether to call it again

  def recall(self, batch: int, indices: range, teller: Teller) -> list[Proposal] | None:
    """The proposals of a batch inside the journal; None if `ask` must make them.

    `ask` changes no state, so it can be skipped.
    """
    if self._journal is None:
      return None
    since = batch - teller.first_proposed if batch >= teller.first_proposed else batch
    left = len(self._journal.trials) - indices.stop
    near = since < _VERIFIED_BATCHES or left < _VERIFIED_BATCHES * len(indices)
    if (near or batch % _VERIFIED_BATCHES == 0) and not teller.is_behind:
      return None
    return [self._journal.trials[index].proposal for index in indices]

  def begin(self, ordered: _Ordered) -> _Ordered:
    """Finds a proposal's trial in the journal, or submits the proposal to the executor."""
    recorded = None if self._journal is None else self._journal.find(ordered.index)
    if recorded is None:
      self._running[ordered.index] = ordered
      self.evaluated.add(ordered.index)
      self._executor.submit(
        ordered.index, ordered.proposal.value, seed=ordered.seed, terms=ordered.terms
      )
    else:
      _check_same(recorded, ordered)
      self._finished[ordered.index] = recorded
    return ordered

  def finish(self, ordered: _Ordered) -> Trial:
    """Waits for one trial, and stores all that finish before it."""
    while ordered.index not in self._finished:
      self._keep_next()
      if self._interrupt.requested:
        self._stop()
    return self._finished.pop(ordered.index)

  def _keep_next(self) -> None:
    arrived = self._executor.collect(0.0 if self.while_waiting else _PATIENCE_SECONDS)
    if arrived is None:
      if self.while_waiting and not self.while_waiting():
        self.while_waiting = None
      return
    index, measurement = arrived
    ordered, predicted = self._running[index], None
    if self._pruner is not None:
      value = ordered.proposal.value
      predicted = self._pruner.predicted_accuracy(value, measurement, ordered.known)
    trial = _conclude(ordered, measurement, predicted, self._reward, self._budget)
    if self._journal is not None:
      self._journal.add(trial)
    self._finished[index] = trial
    del self._running[index]
    for observer in self._live:
      observer.on_arrival(trial)

  def _stop(self) -> None:
    """Finishes running trials and drops the others. Raises KeyboardInterrupt."""
    for index in self._executor.withdraw():
      del self._running[index]
    while self._running:
      self._keep_next()
    raise KeyboardInterrupt


def _checked(proposals: list[Proposal], count: int) -> list[Proposal]:
  if len(proposals) != count:
    raise ValueError(f'strategy: ask({count}) gave {len(proposals)} proposals: must give {count}')
  for proposal in proposals:
    if not all(type(token) is int for token in proposal.tokens):
      raise ValueError(f'strategy: tokens={proposal.tokens!r}: must be of type int')
    if proposal.log_prob is not None and not math.isfinite(proposal.log_prob):
      raise ValueError(f'strategy: log_prob={proposal.log_prob}: must be finite')
  return proposals


def _check_same(trial: Trial, ordered: _Ordered) -> None:
  found, wanted = trial.proposal, ordered.proposal
  if (found, trial.seed, trial.batch) != (wanted, ordered.seed, ordered.batch):
    raise JournalError(
      f'journal: trial {trial.index} has tokens {found.tokens} of log-probability '
      f'{found.log_prob}, but the strategy now proposes {wanted.tokens} of {wanted.log_prob}: the '
      'journal was made with other settings, another version or on another kind of processor'
    )


def _conclude(
  ordered: _Ordered,
  measurement: Measurement,
  predicted: float | None,
  reward: Reward,
  budget: Budget,
) -> Trial:
  """Makes a trial with its reward. Without a reward, or if JSON cannot hold it, it has failed."""
  place = (ordered.index, ordered.batch, ordered.seed)
  trial = Trial(*place, ordered.proposal, measurement, None, predicted)
  if measurement.status is Status.FAILED:
    return trial
  try:
    concluded = dataclasses.replace(trial, reward=reward(trial.rewarded_measurement, budget))
    concluded.to_json()
    check_types(concluded)  # otherwise the journal could not be read again
  except Exception as error:  # the reward is the user's; the search continues
    found = trial.rewarded_measurement
    detail = f'cannot be rewarded or recorded ({type(error).__name__}: {error}): {found}'
    return Trial(*place, ordered.proposal, Measurement(Status.FAILED, detail=detail), None)
  return concluded


class _Health:
  """Stops a search if so many trials fail that something must be broken."""

  def __init__(self, in_a_row: int) -> None:
    self._in_a_row = in_a_row
    self._last: collections.deque[Trial] = collections.deque(maxlen=in_a_row)
    self._judged = self._failed = 0
    self._failure: Trial | None = None  # the latest

  def check(self, told: Sequence[Trial], *, evaluated: set[int]) -> None:
    """Checks a batch; trials from the journal alone never stop the search.

    Raises:
      SearchError: too many failed.
    """
    self._last.extend(told)
    self._failure = next((t for t in reversed(told) if t.reward is None), self._failure)
    fresh = [trial for trial in told if trial.index in evaluated]
    self._judged += len(fresh)
    self._failed += sum(trial.reward is None for trial in fresh)
    if not fresh or self._failure is None:
      return
    if len(self._last) == self._in_a_row and all(trial.reward is None for trial in self._last):
      found = f'{len(self._last)} trials failed one after the other'
    elif self._judged >= LEAST_JUDGED and self._failed > MOST_FAILED_SHARE * self._judged:
      found = f'{self._failed} of {self._judged} trials failed'
    else:
      return
    cause = self._failure.measurement.detail.strip().splitlines()[-1:] or ['unknown cause']
    raise SearchError(
      f'{found}, trial {self._failure.index} with: {cause[0]}. '
      'Fix the cause, then start the same search again to resume it.'
    )
