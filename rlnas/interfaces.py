"""The protocols between the parts of the library. Implement one and pass the object.

A strategy proposes networks, an evaluator measures them, and an executor runs evaluators. (`Space`
is a callable, defined beside `Decision` in `rlnas.spaces.decision`.)

A network is an `Architecture`, or whatever else the walks of the space return: only the space and
the evaluator need to agree on its type. So an evaluator may annotate and name the argument as it
likes, such as `def evaluate(self, architecture: Architecture, *, seed: int)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rlnas.budget import Budget
from rlnas.trial import NO_TERMS, Measurement, Proposal, Terms, Trial


class Strategy(Protocol):
  """Proposes architectures and learns from their rewards, without data or models."""

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Proposes `count` architectures. Changes no state; takes all randomness from `rng`."""
    ...

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Learns from one batch of trials; ignores failed ones (reward None).

    Returns:
      Scalars to log, by name.
    """
    ...


@runtime_checkable
class Preparing(Protocol):
  """A strategy that has work to do before the first results, such as a warm start."""

  def prepare(self) -> bool:
    """Does a short part of it; the search calls it while networks are trained.

    The part that is left is done when the first trials are told, so the number of calls changes no
    result.

    Returns:
      Whether there is more to do for another call.
    """
    ...


@runtime_checkable
class Breeding(Protocol):
  """A strategy whose proposals have parents: trials that were told before."""

  def parents(self) -> frozenset[int]:
    """Indices of all trials that further proposals may have as parents.

    Once a trial that was told is no longer among them, it never returns.
    """
    ...


@runtime_checkable
class Resumable(Protocol):
  """A strategy whose state a search may keep in a file, as learning it again takes long.

  The file is only a cache: `tell` of all trials must lead to the same strategy, to the bit.
  """

  def state(self) -> dict[str, npt.NDArray[Any]] | None:
    """Data that cannot be rebuilt quickly from the trials, such as weights, and the settings.

    A search uses a state only if, when it began, `state` of a new strategy was the same.

    Returns:
      Arrays by name, without Python objects; None if there is nothing to keep, as in a wrapper of a
      strategy that is not `Resumable`.
    """
    ...

  def restore(self, state: Mapping[str, npt.NDArray[Any]], told: Sequence[Sequence[Trial]]) -> None:
    """Makes a new strategy equal to the one that gave `state` after it was told these batches.

    Raises:
      ValueError: the state belongs to another strategy; nothing has changed.
    """
    ...


@runtime_checkable
class LiveObserver(Protocol):
  """An observer that is also called as soon as a trial is done, such as a progress bar."""

  def on_arrival(self, trial: Trial) -> None:
    """Called for each trial that this process evaluated, in the order in which they are done."""
    ...


class Evaluator(Protocol):
  """Measures a network; the same network and seed give the same result everywhere."""

  def evaluate(self, value: Any, /, *, seed: int) -> Measurement:
    """Measures what a walk returned. It may raise any exception; the executor records it."""
    ...


class StagedEvaluator(Protocol):
  """An evaluator that also depends on `Terms`: stages of training, inherited weights."""

  def evaluate(self, value: Any, /, *, seed: int, terms: Terms = NO_TERMS) -> Measurement:
    """As `Evaluator.evaluate`; the result depends only on the three arguments."""
    ...


class Reward(Protocol):
  """Turns a measurement into one number to maximise.

  It must be a pure function, so new rewards can be computed for the trials of a journal.
  """

  def __call__(self, measurement: Measurement, budget: Budget) -> float:
    """Returns the reward of a complete or infeasible measurement."""
    ...


class Executor(Protocol):
  """Runs evaluations: in this process, in worker processes or on a cluster.

  If one evaluation fails, its measurement has the status 'failed'; methods raise only errors that
  stop all evaluations. All methods are called from one thread.
  """

  def submit(self, key: int, value: Any, /, *, seed: int, terms: Terms = NO_TERMS) -> None:
    """Queues one evaluation. No other evaluation in progress may have the same key.

    Terms other than the default need a `StagedEvaluator`.
    """
    ...

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Waits up to `timeout` seconds for a measurement; returns (key, measurement) or None.

    Raises:
      WriteError: an evaluator cannot write a file (`rlnas.data.atomic_file`), as on a full disk:
        this is no fault of the network, so the search stops.
    """
    ...

  def withdraw(self) -> list[int]:
    """Cancels evaluations that have not begun; returns their keys, which `collect` then omits."""
    ...

  def close(self) -> None:
    """Ends all workers and cancels evaluations in progress."""
    ...


class Observer(Protocol):
  """Follows a search, such as a progress bar or a TensorBoard writer."""

  def on_trial(self, trial: Trial) -> None:
    """Called once for each trial, in order of index; on resuming, also for earlier trials."""
    ...

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Called after the strategy learned from a batch, with the scalars that `tell` returned."""
    ...
