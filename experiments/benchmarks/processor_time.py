"""Searches with equal processor time, for comparisons that a busy machine does not change.

Each trial, in order, goes to the simulated core that is free first. The time that a search on real
cores waits for the slowest trial of a batch does not count.
"""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Sequence

from rlnas.architecture import Architecture
from rlnas.budget import Budget
from rlnas.interfaces import StagedEvaluator
from rlnas.reward import is_feasible
from rlnas.trial import NO_TERMS, Measurement, Terms, Trial

MOST_TRIALS = 100_000  # the clock ends a search long before


@dataclasses.dataclass(frozen=True)
class Timed:
  """Wraps an evaluator; `seconds` are processor time."""

  evaluator: StagedEvaluator

  def evaluate(
    self, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> Measurement:
    """Evaluates."""
    started = time.process_time()
    measurement = self.evaluator.evaluate(architecture, seed=seed, terms=terms)
    return dataclasses.replace(measurement, seconds=time.process_time() - started)


class TimeIsUpError(Exception):
  """Ends a search."""


class Clock:
  """An observer that assigns trials to cores and ends the search after some time, or at a target.

  Args:
    budget: decides which trials are feasible.
    stages: number of stages of a full training.
    workers: number of cores.
    seconds: time after which the search ends.
    target: accuracy at which it ends earlier.

  Attributes:
    curve: (seconds, best accuracy so far of a feasible trial that completed all stages), one for
      each such trial that was better than those before.
    seconds: end of the last trial so far.
    trials: number of trials.
    whole: number of trials that completed all stages.
  """

  def __init__(
    self, budget: Budget, *, stages: int, workers: int, seconds: float, target: float = 2.0
  ) -> None:
    self._budget, self._stages = budget, stages
    self._limit, self._target = seconds, target
    self._free = [0.0] * workers
    self.curve: list[tuple[float, float]] = []
    self.seconds = 0.0
    self.trials = self.whole = 0

  @property
  def best(self) -> float:
    """The best accuracy so far."""
    return self.curve[-1][1] if self.curve else 0.0

  def on_trial(self, trial: Trial) -> None:
    """Adds a trial. Raises TimeIsUpError."""
    end = heapq.heappop(self._free) + trial.measurement.seconds
    heapq.heappush(self._free, end)
    if end > self._limit:
      raise TimeIsUpError
    self.trials += 1
    self.seconds = max(self.seconds, end)
    measurement = trial.measurement
    accuracy = measurement.int8_validation_accuracy or 0.0
    if len(measurement.curve) == self._stages and is_feasible(measurement, self._budget):
      self.whole += 1
      if accuracy > self.best:
        self.curve.append((end, accuracy))
    if self.best >= self._target:
      raise TimeIsUpError

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Nothing to do."""
