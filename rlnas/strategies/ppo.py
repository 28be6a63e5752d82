"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), the search of NASNet.

Zoph et al. 2018 (arXiv:1707.07012), appendix A: PPO with learning rate 0.00035, an entropy bonus
of weight 0.00001 and, as baseline, an exponential moving average with decay 0.95. Clip 0.2 is the
best in table 1 of Schulman et al. A search of a few dozen networks needs a higher learning rate.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import Table
from rlnas.strategies import losses
from rlnas.strategies.controller import Controller
from rlnas.strategies.learner import FloatArray, Slopes
from rlnas.strategies.policy_gradient import PolicyGradient
from rlnas.strategies.trial_batches import check_at_least
from rlnas.strategies.warm_start import Penalty
from rlnas.trial import Proposal, Trial


class PPO:
  """Learns with the clipped surrogate objective.

  Its state depends only on its arguments and on the trials that `tell` received.
  """

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    learning_rate: float = 3.5e-4,
    baseline_decay: float = 0.95,
    entropy_weight: float = 1e-5,
    clip: float = 0.2,
    normalise_advantages: bool = False,
    updates: int = 10,
    replays: int = 0,
    warm_start: int = 0,
    seed: int = 0,
    penalty: Penalty | None = None,
  ) -> None:
    """Prepares the optimiser.

    Args:
      table: the compiled space to propose from.
      controller: the policy that learns; it must know the table's symbols.
      learning_rate: learning rate of Adam.
      baseline_decay: weight of earlier trials in the baseline (see `ZophLe`).
      entropy_weight: weight of the entropy bonus, in units of reward per nat.
      clip: largest relative change of the probability of a decision since the proposal, in the
        geometric mean over a sequence's decisions; updates that would take it further have no
        gradient (`losses.clipped_surrogate`).
      normalise_advantages: whether to scale the advantages that a step learns from to mean 0 and
        standard deviation 1; a single one is not scaled.
      updates: gradient steps for each batch; Schulman et al. use 10 epochs (table 3).
      replays: number of the latest earlier trials that the steps of a batch learn from again; the
        clip bounds the change since each was proposed.
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
    if not 0 < clip < 1:
      raise ValueError(f'clip={clip}: must lie in (0, 1)')
    self._policy = PolicyGradient(
      table,
      controller=controller,
      objective=functools.partial(_objective, entropy_weight=entropy_weight, clip=clip),
      settings=(entropy_weight, clip),
      learning_rate=learning_rate,
      baseline_decay=baseline_decay,
      normalise=normalise_advantages,
      updates=updates,
      replays=replays,
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
    """Learns from a batch; the scalars and errors are those of `ZophLe.tell`.

    With `replays`, loss, gradient_norm and the entropy of a batch are those of all that a step
    learns from.
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
  clip: float,
) -> Slopes:
  surrogate = losses.clipped_surrogate(log_prob, old_log_prob, advantage, decisions, clip)
  bonus = losses.entropy_bonus(entropy)
  return Slopes(
    surrogate.value + entropy_weight * bonus.value, surrogate.slope, entropy_weight * bonus.slope
  )
