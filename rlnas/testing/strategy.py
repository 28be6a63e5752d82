"""The rules that every strategy must keep (`rlnas.interfaces.Strategy`)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.interfaces import Preparing, Resumable, Strategy
from rlnas.spaces.decision import decode
from rlnas.spaces.table import Table, states_of
from rlnas.testing.rules import require, require_value_error
from rlnas.trial import Measurement, Proposal, Status, Trial

Make = Callable[[Table], Strategy]

# Batches of trials, large enough together to fill a population or to end a warm-up.
_COUNTS = (1, 5, 16, 32, 16)
# A trial's index differs from its position in its batch and from the neighbours of other indices,
# so a `parent` that is wrong by one, or that is a position, is not a trial's index.
_FIRST_INDEX = 1000
_INDEX_STEP = 3
_MOST_TRIALS = 64  # in a batch
_MOST_CALLS = 10_000  # of `prepare`


def check_strategy(make: Make, table: Table) -> None:
  """Runs the whole suite.

  Args:
    make: builds a new strategy for a table; two calls must give equal strategies.
    table: a compiled space with at least a few hundred token sequences.

  Raises:
    AssertionError: a rule is broken; the message names it.
  """
  check_proposals_are_in_the_space(make, table)
  check_parents_were_told(make, table)
  check_ask_changes_no_state(make, table)
  check_ask_depends_on_the_generator(make, table)
  check_prepare_changes_nothing(make, table)
  check_fold_is_deterministic_to_the_bit(make, table)
  check_its_state_replaces_learning(make, table)
  check_failed_trials_teach_nothing(make, table)
  check_scalars_are_finite(make, table)
  check_a_count_below_one_is_refused(make, table)


def check_proposals_are_in_the_space(make: Make, table: Table) -> None:
  """`ask` gives the right number of proposals, all in the space. Raises AssertionError."""
  strategy = make(table)
  for batch, count in enumerate(_COUNTS):
    proposals = strategy.ask(count, _generator(batch))
    require(
      len(proposals) == count, f'ask({count}) gives {count} proposals', proposals=len(proposals)
    )
    for proposal in proposals:
      _check_proposal(proposal, table)
    strategy.tell(evaluated(proposals, batch))


def _check_proposal(proposal: Proposal, table: Table) -> None:
  tokens, log_prob = proposal.tokens, proposal.log_prob
  require(
    type(tokens) is tuple and all(type(token) is int for token in tokens),
    'tokens are a tuple of Python integers',
    tokens=tokens,
  )
  try:
    states_of(table, tokens)
  except ValueError as error:
    raise AssertionError(f'tokens are a walk of the space; found {tokens}: {error}') from error
  require(
    proposal.value == decode(table.space, tokens),
    'the architecture is the one that the tokens decode to',
    tokens=tokens,
  )
  require(
    log_prob is None or (type(log_prob) is float and math.isfinite(log_prob) and log_prob <= 1e-6),
    'log_prob is None or a Python float, finite and at most 0',
    log_prob=log_prob,
  )


def check_parents_were_told(make: Make, table: Table) -> None:
  """A parent is None or the index of a trial that was told before. Raises AssertionError."""
  strategy = make(table)
  told: set[int] = set()
  for batch, count in enumerate(_COUNTS):
    proposals = strategy.ask(count, _generator(batch))
    for proposal in proposals:
      require(
        proposal.parent is None or (type(proposal.parent) is int and proposal.parent in told),
        'parent is None or the index of a trial that was told before',
        parent=proposal.parent,
        told=sorted(told),
      )
    trials = evaluated(proposals, batch)
    strategy.tell(trials)
    told.update(trial.index for trial in trials)


def check_ask_changes_no_state(make: Make, table: Table) -> None:
  """Further calls of `ask` change no later result. Raises AssertionError."""
  curious, quiet = make(table), make(table)
  for batch in range(3):
    first = curious.ask(6, _generator(batch))
    curious.ask(3, _generator(99))
    again = curious.ask(6, _generator(batch))
    rule = 'ask changes no state: asked again with an equal generator, it gives equal proposals'
    require(again == first, rule, first=first, again=again)
    other = quiet.ask(6, _generator(batch))
    rule = 'ask changes no state: a strategy with fewer calls of ask gives equal proposals'
    require(other == first, rule, first=first, other=other)
    trials = evaluated(first, batch)
    scalars, others = curious.tell(trials), quiet.tell(trials)
    rule = 'ask changes no state: a strategy with fewer calls of ask returns equal scalars'
    require(scalars == others, rule, scalars=scalars, others=others)


def check_ask_depends_on_the_generator(make: Make, table: Table) -> None:
  """Different generators give different proposals. Raises AssertionError."""
  strategy = make(table)
  require(
    strategy.ask(16, _generator(0)) != strategy.ask(16, _generator(1)),
    'ask takes its randomness from the generator: two generators give different proposals',
  )


def check_prepare_changes_nothing(make: Make, table: Table) -> None:
  """However often `prepare` is called, all results are the same. Raises AssertionError.

  A strategy without `prepare` passes (`rlnas.interfaces.Preparing`).
  """
  unprepared = make(table)
  if not isinstance(unprepared, Preparing):
    return
  called_once, prepared = make(table), make(table)
  _prepare(called_once, calls=1)
  require(
    not _prepare(prepared, calls=_MOST_CALLS),
    f'prepare returns False once nothing is left to do, after at most {_MOST_CALLS} calls',
  )
  for batch in range(3):
    expected = unprepared.ask(6, _generator(batch))
    trials = evaluated(expected, batch)
    scalars = unprepared.tell(trials)
    for strategy in (called_once, prepared):
      found = strategy.ask(6, _generator(batch))
      rule = 'prepare changes nothing: however often it was called, proposals are equal'
      require(found == expected, rule, without=expected, after=found)
      others = strategy.tell(trials)
      rule = 'prepare changes nothing: however often it was called, scalars are equal'
      require(others == scalars, rule, without=scalars, after=others)
      more = _prepare(strategy, calls=1)  # while other networks are still trained
      require(not more, 'prepare returns False once the first trials were told')


def _prepare(strategy: Strategy, *, calls: int) -> bool:
  """Calls `prepare` as long as it returns True, so often at most. Returns its last answer."""
  more = True
  while more and calls:
    more = isinstance(strategy, Preparing) and strategy.prepare()
    calls -= 1
  return more


def check_fold_is_deterministic_to_the_bit(make: Make, table: Table) -> None:
  """With a journal's trials and no `ask`, it proposes the same. Raises AssertionError."""
  original, resumed = make(table), make(table)
  journal = []
  for batch, count in enumerate((6, 6, 1, 6)):
    trials = evaluated(original.ask(count, _generator(batch)), batch)
    original.tell(trials)
    journal.append([trial.to_json() for trial in trials])
  for lines in journal:
    resumed.tell([Trial.from_json(line) for line in lines])
  expected, found = (strategy.ask(16, _generator(7)) for strategy in (original, resumed))
  rule = 'a strategy that is told the trials of a journal, without being asked, proposes the same'
  require(found == expected, rule, expected=expected, resumed=found)


def check_its_state_replaces_learning(make: Make, table: Table) -> None:
  """Restored from its state, it proposes and learns the same. Raises AssertionError.

  Strategies that are not `rlnas.interfaces.Resumable` pass.
  """
  original, restored = make(table), make(table)
  if not isinstance(original, Resumable) or not isinstance(restored, Resumable):
    return
  if (new := original.state()) is None:
    return
  told = []
  for batch, count in enumerate((6, 6, 1, 6)):
    told.append(evaluated(original.ask(count, _generator(batch)), batch))
    original.tell(told[-1])
  told.append(failed(original.ask(3, _generator(8)), len(told)))
  original.tell(told[-1])
  state = original.state() or {}
  for name in new:
    require_value_error(
      functools.partial(restored.restore, {k: v for k, v in state.items() if k != name}, told),
      'state',
      f'restore refuses a state without {name}',
    )
  rule = 'a state that is refused changes nothing'
  require(_equal(restored.state() or {}, new), rule, before=new, after=restored.state())
  restored.restore(state, told)
  trials = evaluated(original.ask(6, _generator(9)), len(told))
  scalars, others = original.tell(trials), restored.tell(trials)
  rule = 'a strategy restored from its state learns the same'
  require(scalars == others, rule, scalars=scalars, restored=others)
  expected, found = (strategy.ask(16, _generator(7)) for strategy in (original, restored))
  rule = 'a strategy restored from its state proposes the same'
  require(found == expected, rule, expected=expected, restored=found)
  state, other = original.state() or {}, restored.state() or {}
  rule = 'a strategy restored from its state has the same state after it learnt again'
  require(_equal(state, other), rule, state=state, restored=other)


def _equal(one: Mapping[str, npt.NDArray[Any]], other: Mapping[str, npt.NDArray[Any]]) -> bool:
  return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def check_failed_trials_teach_nothing(make: Make, table: Table) -> None:
  """Failed trials, alone or among others, change no proposal. Raises AssertionError.

  A strategy may or may not propose failed networks again: so this check tells them again, as
  evaluated trials.
  """
  spared, burdened = make(table), make(table)
  for batch in range(2):
    proposals = spared.ask(6, _generator(batch))
    burdened.tell(failed(proposals, 2 * batch))
    trials = evaluated(proposals, 2 * batch + 1)
    burdened.tell(trials)
    spared.tell([trial for trial in trials if trial.reward is not None])
    expected, found = (strategy.ask(8, _generator(9)) for strategy in (spared, burdened))
    require(found == expected, 'failed trials teach nothing', without=expected, after=found)


def check_scalars_are_finite(make: Make, table: Table) -> None:
  """Scalars are finite, even if rewards are equal or all trials fail. Raises AssertionError."""
  strategy = make(table)
  proposals = strategy.ask(6, _generator(0))
  for trials in (
    evaluated(proposals, 0),
    evaluated(proposals, 1, reward=lambda _: 0.5),
    evaluated(proposals[:1], 2),
    failed(proposals, 3),
  ):
    for name, value in strategy.tell(trials).items():
      require(
        type(name) is str and type(value) is float and math.isfinite(value),
        'tell returns finite Python floats by name',
        **{str(name): value},
      )


def check_a_count_below_one_is_refused(make: Make, table: Table) -> None:
  """`ask(0, rng)` raises a ValueError that names the argument. Raises AssertionError."""
  strategy = make(table)
  require_value_error(
    lambda: strategy.ask(0, _generator(0)), 'count=0', 'ask refuses a count below 1'
  )


def evaluated(
  proposals: Sequence[Proposal],
  batch: int,
  *,
  reward: Callable[[Proposal], float] | None = None,
) -> list[Trial]:
  """Trials of a batch, at most 64; the second is infeasible, the third failed.

  Args:
    proposals: the evaluated proposals.
    batch: number of the batch; the indices of trials grow with it.
    reward: gives the reward of a complete trial; by default rewards differ.
  """
  trials = []
  for i, proposal in enumerate(proposals):
    status = {1: Status.INFEASIBLE, 2: Status.FAILED}.get(i, Status.COMPLETE)
    earned = reward(proposal) if reward else math.sin(1 + i + sum(proposal.tokens))
    told = {Status.FAILED: None, Status.INFEASIBLE: -1.0}.get(status, earned)
    trials.append(_trial(i, batch, proposal, Measurement(status), told))
  return trials


def failed(proposals: Sequence[Proposal], batch: int) -> list[Trial]:
  """Trials of a batch, at most 64, which have all failed."""
  measurement = Measurement(Status.FAILED, detail='a test failure')
  return [_trial(i, batch, proposal, measurement, None) for i, proposal in enumerate(proposals)]


def _trial(
  place: int, batch: int, proposal: Proposal, measurement: Measurement, reward: float | None
) -> Trial:
  index = _FIRST_INDEX + _INDEX_STEP * (_MOST_TRIALS * batch + place)
  return Trial(index, batch, index, proposal, measurement, reward)


def _generator(seed: int) -> np.random.Generator:
  return np.random.default_rng(seed)
