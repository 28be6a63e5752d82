"""REINFORCE with a moving-average baseline (Zoph & Le 2016, arXiv:1611.01578, section 3.2).

The controller proposes networks, and each batch of rewards updates its weights with Adam along the
gradient of the expected reward. The paper's learning rate of 6e-4 suits its thousands of networks;
a search of a few dozen needs a higher one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.interfaces import Preparing, Resumable, Strategy
from rlnas.spaces.table import Table
from rlnas.strategies import losses
from rlnas.strategies.controller import Controller
from rlnas.strategies.learner import FloatArray, Slopes
from rlnas.strategies.policy_gradient import PolicyGradient
from rlnas.strategies.trial_batches import check_at_least
from rlnas.strategies.warm_start import Penalty
from rlnas.trial import Proposal, Trial


class ZophLe:
  """Learns by policy gradient.

  Its state depends only on its arguments and on the trials that `tell` received.
  """

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    learning_rate: float = 6e-4,
    baseline_decay: float = 0.95,
    entropy_weight: float = 0.0,
    normalise_advantages: bool = False,
    updates: int = 1,
    warm_start: int = 0,
    seed: int = 0,
    penalty: Penalty | None = None,
  ) -> None:
    """Prepares the optimiser.

    Args:
      table: the compiled space to propose from.
      controller: the policy that learns; it must know the table's symbols.
      learning_rate: learning rate of Adam.
      baseline_decay: weight of earlier trials in the baseline, an exponential moving average of the
        rewards, trial by trial. The baseline starts at the mean of the first batch.
      entropy_weight: weight of the entropy bonus, in units of reward per nat; 0 as in the paper.
      normalise_advantages: whether to scale the advantages of each batch to mean 0 and standard
        deviation 1; a batch of one trial is not scaled.
      updates: gradient steps for each batch. A sequence whose probability has fallen since it was
        proposed (through earlier steps or the search's lag) has a smaller weight
        (`losses.truncated_importance`).
      warm_start: number of steps that the policy learns from the estimate alone, before the first
        result (`rlnas.strategies.warm_start`); 0 as in the paper. With them, the proposals before
        the first result are uniform samples of the space.
      seed: seed of the warm start, and of the draws that only give fit_rate.
      penalty: returns by how much an architecture exceeds the budget, for the warm start and for
        fit_rate (`rlnas.evaluation.screened.excess`); by default, nothing does.

    Raises:
      ValueError: an argument is out of its range.
    """
    check_at_least(0, entropy_weight=entropy_weight)
    self._policy = PolicyGradient(
      table,
      controller=controller,
      objective=functools.partial(_objective, entropy_weight=entropy_weight),
      settings=(entropy_weight,),
      learning_rate=learning_rate,
      baseline_decay=baseline_decay,
      normalise=normalise_advantages,
      updates=updates,
      replays=0,
      warm_start=warm_start,
      seed=seed,
      penalty=penalty,
    )

  @property
  def controller(self) -> Controller:
    """The policy that learns: what to save after a search (`Controller.save`)."""
    return self._policy.controller

  def prepare(self) -> bool:
    """Takes a step of the warm start; the search calls it while it waits for the first results.

    Returns:
      Whether there is more to do for another call.
    """
    return self._policy.prepare()

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Samples `count` token sequences from the policy; see `warm_start` for the first of them.

    Raises:
      ValueError: `count` is below 1.
    """
    return self._policy.ask(count, rng)

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Learns from a batch of trials; failed trials are ignored.

    The advantage of a trial is its reward minus the baseline before this batch.

    Returns:
      loss, entropy of the policy in nats (estimated on the batch) and gradient_norm, all before
      the first step; baseline after this batch; reward_mean, unique_rate and repeat_rate
      (`rlnas.strategies.trial_batches.Watch`). With a penalty also fit_rate, the share of 32 draws
      from the policy after this batch that have no penalty; entropy is then that of these draws,
      since the batch lacks the networks that an estimate rejected. Empty if all trials failed.

    Raises:
      ValueError: a reward is not finite, tokens are not in the space, or a proposal has no
        log-probability.
    """
    return self._policy.tell(trials)

  def state(self) -> dict[str, npt.NDArray[Any]]:
    """Weights, Adam's moments and settings (`rlnas.interfaces.Resumable`)."""
    return self._policy.state()

  def restore(self, state: Mapping[str, npt.NDArray[Any]], told: Sequence[Sequence[Trial]]) -> None:
    """Restores the state after the batches `told`. Raises ValueError for another strategy's."""
    self._policy.restore(state, told)


def _objective(
  log_prob: FloatArray,
  entropy: FloatArray,
  advantage: FloatArray,
  old_log_prob: FloatArray,
  decisions: FloatArray,
  *,
  entropy_weight: float,
) -> Slopes:
  del decisions
  weight = losses.truncated_importance(log_prob, old_log_prob)
  gain, bonus = losses.reinforce(log_prob, weight * advantage), losses.entropy_bonus(entropy)
  return Slopes(gain.value + entropy_weight * bonus.value, gain.slope, entropy_weight * bonus.slope)


class CubedReward:
  """Wraps a strategy and passes it the cube of each reward, which spreads out the best rewards.

  Zoph & Le 2016, section 4.1: the reward of an image classifier is "the maximum validation
  accuracy of the last 5 epochs cubed".
  """

  def __init__(self, strategy: Strategy) -> None:
    """Wraps any strategy."""
    self._strategy = strategy

  @property
  def controller(self) -> Controller:
    """The controller of the wrapped strategy. Raises AttributeError if it has none."""
    controller: Controller = self._strategy.controller  # type: ignore[attr-defined]
    return controller

  def prepare(self) -> bool:
    """Lets the wrapped strategy prepare, if it does (`rlnas.interfaces.Preparing`)."""
    return isinstance(self._strategy, Preparing) and self._strategy.prepare()

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Returns the proposals of the wrapped strategy."""
    return self._strategy.ask(count, rng)

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Passes the cubed rewards on; the scalars returned are computed from the cubes."""
    return self._strategy.tell(_cubed(trials))

  def state(self) -> dict[str, npt.NDArray[Any]] | None:
    """The state of the wrapped strategy; None if it has none (`rlnas.interfaces.Resumable`)."""
    return self._strategy.state() if isinstance(self._strategy, Resumable) else None

  def restore(self, state: Mapping[str, npt.NDArray[Any]], told: Sequence[Sequence[Trial]]) -> None:
    """Restores the wrapped strategy. Raises ValueError if the state is not of this strategy."""
    if not isinstance(self._strategy, Resumable):
      raise ValueError('state: the wrapped strategy has none')
    self._strategy.restore(state, [_cubed(trials) for trials in told])


def _cubed(trials: Sequence[Trial]) -> list[Trial]:
  return [
    trial if trial.reward is None else dataclasses.replace(trial, reward=trial.reward**3)
    for trial in trials
  ]
