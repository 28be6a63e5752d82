"""The protocols that hold the library together. Nothing here has code: implement and pass.

A strategy proposes, an evaluator measures, an executor says where evaluators run. (`Space`
is a callable and stands beside `Decision` in `rlnas.spaces.decision`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rlnas.architecture import Architecture
from rlnas.budget import Budget
from rlnas.trial import NO_TERMS, Measurement, Proposal, Terms, Trial


class Strategy(Protocol):
  """Proposes architectures and learns from their rewards. It never sees data or a model."""

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Proposes `count` architectures. Changes no state; all randomness comes from `rng`."""
    ...

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Learns from one batch of trials; failed ones (reward None) teach nothing.

    Returns:
      Scalars worth watching, by name.
    """
    ...


class Evaluator(Protocol):
  """Measures an architecture. Pure: same architecture and seed, same result, in any process."""

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    """Measures one architecture; an accident may be raised, the executor records it."""
    ...


class StagedEvaluator(Protocol):
  """An evaluator whose result depends on `Terms` too: stages of training, inherited weights."""

  def evaluate(
    self, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> Measurement:
    """As `Evaluator.evaluate`; pure in all three arguments."""
    ...


class Reward(Protocol):
  """Turns a measurement into one number to maximise; pure, so a journal can be re-rewarded."""

  def __call__(self, measurement: Measurement, budget: Budget) -> float:
    """The reward of a complete or infeasible measurement."""
    ...


class Executor(Protocol):
  """Runs evaluations somewhere: here, in worker processes, on a cluster.

  Accidents of a child are measurements too (status 'failed'); only what stops all evaluation is
  raised. All methods are called from one thread.
  """

  def submit(
    self, key: int, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> None:
    """Queues one evaluation under a key that no other one under way has.

    Terms other than the default need a `StagedEvaluator`.
    """
    ...

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Waits up to `timeout` seconds for any one measurement; returns its key with it, or None."""
    ...

  def withdraw(self) -> list[int]:
    """Gives up evaluations that have not begun; returns their keys, which never come back."""
    ...

  def close(self) -> None:
    """Ends all workers; evaluations still under way are given up."""
    ...


class Observer(Protocol):
  """Watches a search: a progress bar, TensorBoard."""

  def on_trial(self, trial: Trial) -> None:
    """Called once a trial, in order of their indices, the ones read back on resuming included."""
    ...

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Called after the strategy was told a batch, with the scalars that it gave."""
    ...
