"""What every strategy must hold. A new strategy passes by adding one line to `STRATEGIES`.

`Make` builds a fresh strategy for a table; two calls must give equal strategies.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from rlnas.interfaces import Strategy
from rlnas.spaces.decision import decode
from rlnas.spaces.table import Table, states_of
from rlnas.trial import Measurement, Proposal, Status, Trial

Make = Callable[[Table], Strategy]


def generator(seed: int) -> np.random.Generator:
  return np.random.default_rng(seed)


def evaluated(proposals: Sequence[Proposal], batch: int, *, reward=None) -> list[Trial]:
  """Trials with rewards that differ; the second is infeasible, the third failed."""
  trials = []
  for i, proposal in enumerate(proposals):
    status = {1: Status.INFEASIBLE, 2: Status.FAILED}.get(i, Status.COMPLETE)
    earned = reward(proposal) if reward else math.sin(1 + i + sum(proposal.tokens))
    told = None if status is Status.FAILED else -1.0 if status is Status.INFEASIBLE else earned
    trials.append(Trial(i, batch, i, proposal, Measurement(status), told))
  return trials


def failed(proposals: Sequence[Proposal], batch: int) -> list[Trial]:
  measurement = Measurement(Status.FAILED, detail='an accident')
  return [Trial(i, batch, i, p, measurement, None) for i, p in enumerate(proposals)]


def check_proposals_are_in_the_space(strategy: Strategy, table: Table):
  for batch, count in enumerate((1, 5, 16)):
    proposals = strategy.ask(count, generator(batch))
    assert len(proposals) == count
    for proposal in proposals:
      states_of(table, proposal.tokens)
      assert proposal.architecture == decode(table.space, proposal.tokens)
      assert all(type(token) is int for token in proposal.tokens)
      assert proposal.log_prob is None or (
        type(proposal.log_prob) is float and proposal.log_prob <= 1e-6
      )
    strategy.tell(evaluated(proposals, batch))


def check_ask_changes_no_state(make: Make, table: Table):
  """Asking twice, or asking something else between, changes no later answer."""
  curious, quiet = make(table), make(table)
  for batch in range(3):
    first = curious.ask(6, generator(batch))
    curious.ask(3, generator(99))
    assert curious.ask(6, generator(batch)) == first
    assert quiet.ask(6, generator(batch)) == first
    trials = evaluated(first, batch)
    assert curious.tell(trials) == quiet.tell(trials)


def check_ask_depends_on_the_generator(strategy: Strategy):
  assert strategy.ask(16, generator(0)) != strategy.ask(16, generator(1))


def check_fold_is_deterministic_to_the_bit(make: Make, table: Table):
  """Told the same trials, read back from JSON and without ever being asked, it goes on alike."""
  original, resumed = make(table), make(table)
  journal = []
  for batch, count in enumerate((6, 6, 1, 6)):
    trials = evaluated(original.ask(count, generator(batch)), batch)
    original.tell(trials)
    journal.append([trial.to_json() for trial in trials])
  for lines in journal:
    resumed.tell([Trial.from_json(line) for line in lines])
  assert resumed.ask(16, generator(7)) == original.ask(16, generator(7))


def check_failed_trials_teach_nothing(make: Make, table: Table):
  spared, burdened = make(table), make(table)
  for batch in range(2):
    proposals = spared.ask(6, generator(batch))
    trials = evaluated(proposals, batch)
    burdened.tell(failed(proposals, batch))
    burdened.tell(trials)
    spared.tell([trial for trial in trials if trial.reward is not None])
    assert burdened.ask(8, generator(9)) == spared.ask(8, generator(9))


def check_scalars_are_finite(strategy: Strategy):
  """Also where all rewards are equal, a single trial is told, or all have failed."""
  proposals = strategy.ask(6, generator(0))
  for trials in (
    evaluated(proposals, 0),
    evaluated(proposals, 1, reward=lambda _: 0.5),
    evaluated(proposals[:1], 2),
    failed(proposals, 3),
  ):
    for name, value in strategy.tell(trials).items():
      assert type(value) is float, name
      assert math.isfinite(value), name


def check_a_count_below_one_is_refused(strategy: Strategy):
  with pytest.raises(ValueError, match='count=0'):
    strategy.ask(0, generator(0))
