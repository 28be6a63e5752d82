"""The part that REINFORCE and PPO share: sample from the policy, learn from the advantages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import Table, states_of
from rlnas.strategies.controller import Controller
from rlnas.strategies.learner import Baseline, Learner, Objective
from rlnas.strategies.proposals import propose, propose_uniform
from rlnas.strategies.trial_batches import (
  Watch,
  check_at_least,
  check_settings,
  rewards_of,
  settings_of,
  taught,
)
from rlnas.strategies.warm_start import Penalty, WarmStart, budget_value
from rlnas.trial import Proposal, Trial, derive_seed

_DRAWN = 32  # to see what the policy draws; a share of them is known to 9 points (deviation)


class PolicyGradient:
  """Samples from the controller and updates it with the given objective.

  The objective takes three vectors, each [B]: the advantages, the log-probabilities at the time of
  the proposal, and the numbers of decisions.
  """

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    objective: Objective,
    settings: Sequence[float],
    learning_rate: float,
    baseline_decay: float,
    normalise: bool,
    updates: int,
    replays: int,
    warm_start: int,
    seed: int,
    penalty: Penalty | None,
  ) -> None:
    """Prepares the learner.

    See the strategy, `Learner` and `WarmStart` for the arguments. `normalise` scales the advantages
    that a step learns from to mean 0 and deviation 1. `settings` are the numbers that the objective
    was made with: a state with others is refused.
    """
    check_at_least(1, updates=updates)
    check_at_least(0, replays=replays)
    self._table = table
    self._controller = controller
    self._normalise = normalise
    self._updates = updates
    self._replays = replays
    self._earlier: list[Trial] = []  # the latest that were told, at most `replays`
    self._baseline = Baseline(baseline_decay)
    self._budget_value = penalty and budget_value(table, penalty)
    self._seed = seed
    self._batches = 0  # told, with a result
    self._watch = Watch()
    self._warm_start = WarmStart(
      table, controller=controller, value=self._budget_value, steps=warm_start, seed=seed
    )
    self._uniform_first = warm_start > 0
    self._settings = settings_of(
      tuple(settings), learning_rate, baseline_decay, normalise, updates, replays, warm_start, seed
    )
    self._learner = Learner(
      table,
      controller=controller,
      objective=objective,
      learning_rate=learning_rate,
    )

  @property
  def controller(self) -> Controller:
    """The policy that learns."""
    return self._controller

  def prepare(self) -> bool:
    """Takes a step of the warm start. Returns whether more are left."""
    return self._warm_start.prepare()

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Samples `count` token sequences from the policy.

    With a warm start, the proposals before the first result are uniform samples of the space, as
    the policy is still learning then.

    Raises:
      ValueError: `count` is below 1.
    """
    if self._uniform_first and count > 0:
      return [propose_uniform(self._table, rng) for _ in range(count)]
    sample = self._controller.sample(self._table, count, rng)
    return [
      propose(self._table, tokens, log_prob=log_prob)
      for tokens, log_prob in zip(sample.sequences, sample.log_prob.tolist(), strict=True)
    ]

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Learns from one batch and from the latest earlier trials."""
    self._warm_start.finish()
    trials = taught(trials)
    if not trials:
      return {}
    self._batches += 1
    self._uniform_first = False
    learnt = [*trials, *self._earlier]
    log_probs = _log_probs(learnt)
    advantages = self._baseline.advantages(rewards_of(trials), rewards_of(self._earlier))
    if self._normalise and len(learnt) > 1:
      advantages = (advantages - advantages.mean()) / max(advantages.std(), 1e-8)
    tokens = [trial.proposal.tokens for trial in learnt]
    decisions = [self._decisions(walk) for walk in tokens]
    loss, entropy, norm = self._learner.step(
      tokens, advantages, log_probs, decisions, times=self._updates
    )
    self._remember(trials)
    return {
      'loss': loss,
      'baseline': float(self._baseline.value or 0.0),
      'entropy': entropy,
      'gradient_norm': norm,
      **self._draws(),
      **self._watch.scalars(trials),
    }

  def state(self) -> dict[str, npt.NDArray[Any]]:
    """Weights, moments and settings of the learner; see `rlnas.interfaces.Resumable`."""
    return {**self._learner.state(), **self._settings}

  def restore(self, state: Mapping[str, npt.NDArray[Any]], told: Sequence[Sequence[Trial]]) -> None:
    """Restores the state after the batches `told`. Raises ValueError for another strategy's."""
    check_settings(state, self._settings)
    self._learner.restore(state)
    self._warm_start.skip()
    for trials in map(taught, told):
      if trials:
        self._batches += 1
        self._uniform_first = False
        self._baseline.advantages(rewards_of(trials))
        self._watch.scalars(trials)
        self._remember(trials)

  def _remember(self, trials: Sequence[Trial]) -> None:
    """Keeps the latest `replays` trials."""
    kept = [*self._earlier, *trials]
    self._earlier = kept[max(0, len(kept) - self._replays) :]

  def _decisions(self, walk: tuple[int, ...]) -> int:
    """The number of decisions with more than one choice; 1 if there is none."""
    return max(1, sum(len(self._table.choices[s]) > 1 for s in states_of(self._table, walk)))

  def _draws(self) -> dict[str, float]:
    """Draws of the policy as it is now, with random numbers of their own; they are not proposed."""
    if self._budget_value is None:
      return {}
    rng = np.random.default_rng(derive_seed(self._seed, 'draws', self._batches))
    sample = self._controller.sample(self._table, _DRAWN, rng)
    fits = self._budget_value(sample.sequences) == 0
    return {'fit_rate': float(fits.mean()), 'entropy': float(sample.entropy.mean())}


def _log_probs(trials: Sequence[Trial]) -> list[float]:
  """The log-probabilities of the proposals. Raises ValueError if one has none."""
  found = [trial.proposal.log_prob for trial in trials if trial.proposal.log_prob is not None]
  if len(found) < len(trials):
    raise ValueError('trials: log_prob=None: the proposal comes from a strategy without a policy')
  return found
