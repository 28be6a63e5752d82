"""Spares the training of networks that miss the budget.

What a network needs is estimated before anything is built (`rlnas.cost.cost`). Where the estimate
is further from the budget than its known error, it decides. Near the limit the network is converted
with random weights and measured, a few tenths of a second, which gives the size of the trained
network exactly (`rlnas.evaluation.untrained`). So nothing that misses the budget is ever trained,
and nothing that keeps it is turned down.
"""

from __future__ import annotations

import dataclasses
import time
from typing import cast

from rlnas.architecture import Architecture, TaskShape
from rlnas.budget import Budget, Resources
from rlnas.cost.cost import Cost, estimate_cost
from rlnas.cost.kernels import Speed
from rlnas.cost.latency import latency_ms
from rlnas.evaluation.untrained import untrained_footprint
from rlnas.interfaces import Evaluator, StagedEvaluator
from rlnas.tflite.footprint import ArenaOverflow
from rlnas.trial import NO_TERMS, Measurement, Status, Terms

# Twice the worst error of the estimate that was measured (`rlnas.cost.cost`).
MARGIN = 0.05


def may_fit(
  architecture: Architecture,
  budget: Budget,
  task: TaskShape,
  *,
  speed: Speed | None = None,
) -> bool:
  """Whether a network may keep a budget; False where the estimate rules it out.

  Args:
    architecture: the network.
    budget: what has to be kept.
    task: what the network reads and tells apart.
    speed: of the board, where the budget limits the latency.

  Raises:
    ValueError: the budget limits the latency, and `speed` is None.
  """
  _check_speed(budget, speed)
  estimate = estimate_cost(architecture, task)
  latency = latency_ms(architecture, task, speed=speed)
  return _may_fit(budget, estimate, latency)


def _may_fit(budget: Budget, estimate: Cost, latency: float | None) -> bool:
  flash, sram = (size / (1 + MARGIN) for size in (estimate.flash_bytes, estimate.sram_bytes))
  return budget.fits(Resources(flash, sram, estimate.macs, latency))


def _check_speed(budget: Budget, speed: Speed | None) -> None:
  if budget.latency_ms is not None and speed is None:
    raise ValueError(f'speed=None: must be given, for the budget allows {budget.latency_ms} ms')


@dataclasses.dataclass(frozen=True)
class Screened:
  """Wraps an evaluator; what misses the budget is 'infeasible' and not trained.

  Such a measurement has no accuracy, but it has sizes, so that a reward can still say how far away
  the budget is: those measured where `sram_source` is 'tflm', else those estimated.

  Attributes:
    evaluator: evaluates the others.
    budget: what has to be kept.
    task: what the network reads and tells apart.
    speed: of the board, where the budget limits the latency.

  Raises:
    ValueError: the budget limits the latency, and `speed` is None.
  """

  evaluator: Evaluator | StagedEvaluator
  budget: Budget
  task: TaskShape
  speed: Speed | None = None

  def __post_init__(self) -> None:
    _check_speed(self.budget, self.speed)

  def evaluate(
    self, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> Measurement:
    """Screens, and evaluates what fits. Raises what the wrapped evaluator raises."""
    started = time.perf_counter()
    found = self._screen(architecture, estimate_cost(architecture, self.task))
    if found is None:
      if terms == NO_TERMS:
        return self.evaluator.evaluate(architecture, seed=seed)
      return cast(StagedEvaluator, self.evaluator).evaluate(architecture, seed=seed, terms=terms)
    return dataclasses.replace(found, seconds=time.perf_counter() - started)

  def _screen(self, architecture: Architecture, estimate: Cost) -> Measurement | None:
    """What is known of a network that misses the budget; None where it keeps it."""
    latency = latency_ms(architecture, self.task, speed=self.speed)
    missed = Measurement(
      Status.INFEASIBLE,
      flash_bytes=estimate.flash_bytes,
      sram_bytes=estimate.sram_bytes,
      sram_source='analytic',
      macs=estimate.macs,
      parameters=estimate.parameters,
      latency_ms=latency,
      detail='estimated beyond the budget; not trained',
    )

    def fits(flash_bytes: float, sram_bytes: float) -> bool:
      return self.budget.fits(Resources(flash_bytes, sram_bytes, estimate.macs, latency))

    flash, sram = estimate.flash_bytes, estimate.sram_bytes
    if not _may_fit(self.budget, estimate, latency):
      return missed
    if fits(flash * (1 + MARGIN), sram * (1 + MARGIN)):
      return None
    try:
      footprint = untrained_footprint(architecture, self.task)
    except ArenaOverflow:
      return missed
    if fits(footprint.flash_bytes, footprint.sram_bytes):
      return None
    return dataclasses.replace(
      missed,
      flash_bytes=footprint.flash_bytes,
      sram_bytes=footprint.sram_bytes,
      sram_source=footprint.sram_source,
      detail='measured beyond the budget; not trained',
    )
