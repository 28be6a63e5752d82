"""A warm start of the controller that trains no network.

An untrained controller proposes mostly short walks, because at each decision to stop it stops with
about the same probability as it continues, and few of its networks fit a small budget. An estimate
gives in a fraction of a millisecond by how much a network exceeds the budget. So before the first
results arrive, the policy learns from imagined episodes (`rlnas.strategies.episodes`) whose value
is

  -penalty(x) / SOFTNESS,

and comes close to the uniform distribution over the networks that fit, not to a few small ones. If
earlier searches of the space are known, the value includes a prediction from what they found.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.cost import machine_code
from rlnas.progress import Step, tell
from rlnas.spaces.table import Table
from rlnas.strategies.controller import Controller
from rlnas.strategies.episodes import imagine, objective
from rlnas.strategies.learner import Learner
from rlnas.strategies.proposals import value_of
from rlnas.strategies.trial_batches import check_at_least
from rlnas.trial import derive_seed

Tokens = tuple[int, ...]
FloatArray = npt.NDArray[np.float64]
Penalty = Callable[[Any], float]  # of what a walk returns, an `Architecture`
Value = Callable[[Sequence[Tokens]], FloatArray]

# Penalty that makes a network e times less likely. A harder limit makes the policy keep away from
# it, so that its networks are smaller than uniform ones that fit.
SOFTNESS = 0.15
_EPISODES = 64  # in each step
_LEARNING_RATE = 4e-3
_REMEMBERED = 10_000  # walks whose penalty is kept
_PAUSE_SECONDS = 0.05


def budget_value(table: Table, penalty: Penalty) -> Value:
  """The part of an episode's value that the budget decides: -penalty / SOFTNESS, in nats.

  Args:
    table: the compiled space.
    penalty: returns by how much a network exceeds the budget, at least 0, and 0 if it fits: the sum
      of the logarithms of used / limit of every resource beyond its limit
      (`rlnas.evaluation.screened.excess`).

  Returns:
    A function that gives the value of each walk: 0 if its network fits, otherwise less.
  """

  @functools.lru_cache(_REMEMBERED)
  def value(walk: Tokens) -> float:
    return -penalty(value_of(table, walk)) / SOFTNESS

  return lambda walks: np.array([value(walk) for walk in walks])


class WarmStart:
  """Teaches a controller which networks fit, in single steps, so it can run while others train."""

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    value: Value | None,
    steps: int,
    seed: int,
  ) -> None:
    """Prepares the optimiser.

    Args:
      table: the compiled space.
      controller: the policy that learns.
      value: gives the value of walks in nats, such as `budget_value`; without it, the policy learns
        to be uniform.
      steps: number of steps; 0 leaves the controller as it is.
      seed: seed of the imagined episodes.

    Raises:
      ValueError: `steps` is below 0.
    """
    check_at_least(0, warm_start=steps)
    self._table = table
    self._controller = controller
    self._value = value or (lambda walks: np.zeros(len(walks)))
    self._steps = self._left = steps
    self._rng = np.random.default_rng(derive_seed(seed, 'warm start'))
    if steps:
      self._learner = Learner(
        table,
        controller=controller,
        objective=functools.partial(objective, imitation_weight=0.0),
        learning_rate=_LEARNING_RATE,
      )

  def step(self) -> bool:
    """Takes one step, if any is left. Returns whether more are left."""
    if self._left:
      self._left -= 1
      drawn = imagine(self._controller, self._table, _EPISODES, self._rng, self._value)
      self._learner.step(*drawn)
    return self._left > 0

  def prepare(self) -> bool:
    """As `step`, but does nothing while the estimate is compiled, since steps are slow until then.

    It would also slow the compiler down, and the networks that are being trained.
    """
    if self._left and machine_code.is_awaited():
      time.sleep(_PAUSE_SECONDS)
      return True
    return self.step()

  def finish(self) -> None:
    """Takes all steps that are left, and tells how far it is (`rlnas.progress.tell`)."""
    more = self._left > 0
    while more:
      more = self.step()
      tell(Step(self._steps - self._left, self._steps, unit='warm start'))

  def skip(self) -> None:
    """Leaves out all steps that are left: the controller's weights come from elsewhere."""
    self._left = 0
