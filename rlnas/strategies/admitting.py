"""Skips proposals that cannot fit: a wrapper around any strategy.

An estimate of a network's size costs a fraction of a millisecond, an evaluation costs seconds to
minutes. So a strategy should not spend trials on networks that the estimate rules out, and a
comparison of strategies is fair only if all of them have the estimate. The wrapper gives it to
strategies that do not use it themselves. In statistics this is rejection sampling: if the wrapped
strategy draws its proposals independently from a distribution p, the wrapper draws from p given
that the network is admitted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlnas.interfaces import Breeding, Preparing, Resumable, Strategy
from rlnas.spaces.table import Table
from rlnas.strategies.proposals import propose_admitted
from rlnas.strategies.trial_batches import check_at_least
from rlnas.trial import Proposal, Trial

if TYPE_CHECKING:
  from rlnas.strategies.controller import Controller


class Admitting:
  """Proposes what the wrapped strategy proposes, without the networks that `admits` rejects.

  What a policy learns: `log_prob` stays that of the wrapped policy p, before anything is skipped.
  The proposals have the probability p(x) / Z, where Z is the probability that the policy draws an
  admitted network. The gradient of their expected reward is

    grad E[R] = E[R (grad log p - grad log Z)] = E[(R - E[R]) grad log p],

  since E[grad log p] = grad log Z; every expectation is over proposals. So REINFORCE with a
  baseline close to the mean reward of its trials, as here, climbs the expected reward of admitted
  networks without knowing Z. Importance weights take p's ratio in place of that of p / Z. They are
  wrong by the factor that Z has changed by since the proposal, which is the same for all sequences
  of a batch and close to 1 within a few steps: it scales a step and does not turn it.

  Nothing tells the strategy of the networks skipped: a journal does not hold them, and a strategy
  must follow from its journal.
  """

  def __init__(
    self,
    strategy: Strategy,
    *,
    table: Table,
    admits: Callable[[Any], bool],
    calls: int = 64,
  ) -> None:
    """Wraps a strategy.

    Args:
      strategy: the strategy that proposes and learns.
      table: the compiled space that it proposes from.
      admits: returns whether an architecture is worth an evaluation, such as
        `rlnas.evaluation.screened.may_fit`.
      calls: largest number of times that the wrapped strategy is asked for one batch.

    Raises:
      ValueError: `calls` is below 1.
    """
    check_at_least(1, calls=calls)
    self._strategy = strategy
    self._table = table
    self._admits = admits
    self._calls = calls

  @property
  def controller(self) -> Controller:
    """The controller of the wrapped strategy. Raises AttributeError if it has none."""
    controller: Controller = self._strategy.controller  # type: ignore[attr-defined]
    return controller

  def prepare(self) -> bool:
    """Lets the wrapped strategy prepare, if it does (`rlnas.interfaces.Preparing`)."""
    return isinstance(self._strategy, Preparing) and self._strategy.prepare()

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Asks the wrapped strategy for `count` proposals until so many are admitted.

    If `calls` batches have too few, the rest are uniform samples of the space that are admitted,
    with the log-probability of the uniform distribution if the strategy has log-probabilities. If
    these are too few as well, the rest are the first proposals that were rejected.

    Raises:
      ValueError: `count` is below 1, or the wrapped strategy gives another number of proposals.
    """
    admitted: list[Proposal] = []
    rejected: list[Proposal] = []
    for _ in range(self._calls):
      drawn = self._strategy.ask(count, rng)
      if len(drawn) != count:
        raise ValueError(f'strategy: ask({count}) gave {len(drawn)} proposals: must give {count}')
      for proposal in drawn:
        (admitted if self._admits(proposal.value) else rejected).append(proposal)
      if len(admitted) >= count:
        return admitted[:count]
    uniform = propose_admitted(self._table, self._admits, count - len(admitted), rng)
    if rejected[0].log_prob is None:  # the strategy has no policy
      uniform = [dataclasses.replace(proposal, log_prob=None) for proposal in uniform]
    return [*admitted, *uniform, *rejected][:count]

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Passes the trials on and returns the scalars of the wrapped strategy."""
    return self._strategy.tell(trials)

  def parents(self) -> frozenset[int]:
    """The parents of the wrapped strategy; none if it has none (`rlnas.interfaces.Breeding`)."""
    return self._strategy.parents() if isinstance(self._strategy, Breeding) else frozenset()

  def state(self) -> dict[str, npt.NDArray[Any]] | None:
    """The state of the wrapped strategy; None if it has none (`rlnas.interfaces.Resumable`)."""
    return self._strategy.state() if isinstance(self._strategy, Resumable) else None

  def restore(self, state: Mapping[str, npt.NDArray[Any]], told: Sequence[Sequence[Trial]]) -> None:
    """Restores the wrapped strategy. Raises ValueError if the state is not of this strategy."""
    if not isinstance(self._strategy, Resumable):
      raise ValueError('state: the wrapped strategy has none')
    self._strategy.restore(state, told)
