"""Skips the training of networks that exceed the budget.

The cost of a network is estimated before anything is built (`rlnas.cost.cost`). If the estimate is
further from the budget than its known error, the estimate decides. Near the limit the network is
converted with random weights and measured; this takes a few tenths of a second and gives exactly
the size of the trained network (`rlnas.evaluation.untrained`). So no network that exceeds the
budget is trained, and no network that fits it is rejected.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import cast

from rlnas.architecture import Architecture, TaskShape
from rlnas.budget import Budget, Resources
from rlnas.cost.builds import HOST, Build
from rlnas.cost.cost import Cost, estimate_cost
from rlnas.cost.latency import instruction_count, latency_ms
from rlnas.cost.speed import Speed
from rlnas.evaluation.untrained import untrained_footprint
from rlnas.interfaces import Evaluator, StagedEvaluator
from rlnas.reward import WORST_RATIO
from rlnas.tflite.footprint import ArenaOverflow
from rlnas.trial import NO_TERMS, Measurement, Status, Terms

# Twice the largest measured error of the estimate (`rlnas.cost.cost`).
MARGIN = 0.05


def may_fit(
  architecture: Architecture,
  budget: Budget,
  task: TaskShape,
  *,
  speed: Speed | None = None,
  build: Build = HOST,
) -> bool:
  """Whether a network may fit a budget; False if the estimate rules it out.

  The arguments and errors are those of `excess`.
  """
  return excess(architecture, budget, task, speed=speed, build=build) == 0


def excess(
  architecture: Architecture,
  budget: Budget,
  task: TaskShape,
  *,
  speed: Speed | None = None,
  build: Build = HOST,
) -> float:
  """By how much a network exceeds a budget, by the estimate; 0 if it may fit.

  Args:
    architecture: the network.
    budget: the limits.
    task: the input shape and the number of classes.
    speed: speed of the board; needed if the budget limits the latency.
    build: the board's build of TFLite Micro, whose arena the budget limits.

  Returns:
    The sum of ln(used / limit) over the resources beyond their limits, where the sizes used are
    lower bounds: the estimate less its margin of error.

  Raises:
    ValueError: the budget limits the latency, and `speed` is None.
  """
  check_speed(budget, speed)
  estimate = estimate_cost(architecture, task, build=build)
  least = _least(estimate, latency_ms(architecture, task, speed=speed))
  ratios = (WORST_RATIO if used is None else used / limit for used, limit in budget.limited(least))
  return sum(math.log(ratio) for ratio in ratios if ratio > 1)


def _least(estimate: Cost, latency: float | None) -> Resources:
  """The least that a network may take."""
  flash, sram = (size / (1 + MARGIN) for size in (estimate.flash_bytes, estimate.sram_bytes))
  return Resources(flash, sram, estimate.macs, latency)


def check_speed(budget: Budget, speed: Speed | None) -> None:
  """Raises ValueError if a budget limits the latency and the board's speed is not known."""
  if budget.latency_ms is not None and speed is None:
    raise ValueError(f'speed=None: must be given, as the budget allows {budget.latency_ms} ms')


@dataclasses.dataclass(frozen=True)
class Screened:
  """Wraps an evaluator; a network that exceeds the budget is 'infeasible' and not trained.

  Such a measurement has no accuracy, but it has sizes, so that a reward can still tell how far the
  network is from the budget. The sizes are measured if `sram_source` is 'tflm', else estimated.

  Attributes:
    evaluator: evaluates the networks that fit.
    budget: the limits.
    task: the input shape and the number of classes.
    speed: speed of the board; needed if the budget limits the latency.
    build: the board's build of TFLite Micro, whose arena the budget limits.

  Raises:
    ValueError: the budget limits the latency, and `speed` is None.
  """

  evaluator: Evaluator | StagedEvaluator
  budget: Budget
  task: TaskShape
  speed: Speed | None = None
  build: Build = HOST

  def __post_init__(self) -> None:
    check_speed(self.budget, self.speed)

  def evaluate(
    self, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> Measurement:
    """Evaluates the network if it fits. Raises what the wrapped evaluator raises."""
    started = time.perf_counter()
    found = self._screen(architecture, estimate_cost(architecture, self.task, build=self.build))
    if found is None:
      if terms == NO_TERMS:
        return self.evaluator.evaluate(architecture, seed=seed)
      return cast(StagedEvaluator, self.evaluator).evaluate(architecture, seed=seed, terms=terms)
    return dataclasses.replace(found, seconds=time.perf_counter() - started)

  def _screen(self, architecture: Architecture, estimate: Cost) -> Measurement | None:
    """The measurement of a network that exceeds the budget; None if it fits the budget."""
    latency = latency_ms(architecture, self.task, speed=self.speed)
    missed = Measurement(
      Status.INFEASIBLE,
      flash_bytes=estimate.flash_bytes,
      sram_bytes=estimate.sram_bytes,
      sram_source='analytic',
      sram_build=self.build.name,
      macs=estimate.macs,
      parameters=estimate.parameters,
      latency_ms=latency,
      instructions=instruction_count(architecture, self.task, speed=self.speed),
      detail='estimated beyond the budget; not trained',
    )

    def fits(flash_bytes: float, sram_bytes: float) -> bool:
      return self.budget.fits(Resources(flash_bytes, sram_bytes, estimate.macs, latency))

    flash, sram = estimate.flash_bytes, estimate.sram_bytes
    if not self.budget.fits(_least(estimate, latency)):
      return missed
    if fits(flash * (1 + MARGIN), sram * (1 + MARGIN)):
      return None
    try:
      footprint = untrained_footprint(architecture, self.task, build=self.build)
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
