"""Where evaluations run: in this process, or in worker processes of one thread each.

Whatever goes wrong with a child (an exception, a worker killed by a signal) comes back as a
measurement of status 'failed' that says why; the search goes on.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
import traceback
from typing import Any

import pebble

from rlnas.architecture import Architecture
from rlnas.interfaces import Evaluator
from rlnas.trial import Measurement, Status

# A Keras child leaves 14 to 19 MB behind in its process (measured; clear_session does not help),
# so that a worker has grown by some 0.7 GB when it is replaced.
CHILDREN_PER_WORKER = 40


def evaluate_safely(evaluator: Evaluator, architecture: Architecture, seed: int) -> Measurement:
  """Evaluates; an exception becomes a 'failed' measurement with its traceback."""
  started = time.perf_counter()
  try:
    return evaluator.evaluate(architecture, seed=seed)
  except Exception:  # whatever a child does, the search must hear of it and go on
    seconds = time.perf_counter() - started
    return Measurement(Status.FAILED, seconds=seconds, detail=traceback.format_exc())


class InProcess:
  """Evaluates one child after the other in this process, when its result is asked for.

  Simple, and all that a cheap evaluator needs. Children that train leave memory behind: for more
  than some dozens of them use `WorkerPool`.
  """

  def __init__(self, evaluator: Evaluator) -> None:
    self._evaluator = evaluator

  def submit(self, architecture: Architecture, *, seed: int) -> _Later:
    """Queues one evaluation."""
    return _Later(self._evaluator, architecture, seed)

  def close(self) -> None:
    """Nothing to end."""


class WorkerPool:
  """Evaluates in spawned worker processes, which are replaced after some children.

  Args:
    evaluator: pickled to each worker once.
    workers: number of processes; each trains with one thread, so one a core is best.

  Raises:
    ValueError: `workers` is below 1.
  """

  def __init__(self, evaluator: Evaluator, *, workers: int) -> None:
    if workers < 1:
      raise ValueError(f'workers={workers}: must be at least 1')
    self._pool = pebble.ProcessPool(
      max_workers=workers,
      max_tasks=CHILDREN_PER_WORKER,
      initializer=_start_worker,
      initargs=(evaluator,),
      context=multiprocessing.get_context('spawn'),
    )

  def submit(self, architecture: Architecture, *, seed: int) -> _FromWorker:
    """Queues one evaluation."""
    return _FromWorker(self._pool.schedule(_evaluate_in_worker, args=(architecture, seed)))

  def close(self) -> None:
    """Ends all workers; evaluations still under way are given up."""
    self._pool.stop()
    self._pool.join()


def default_workers() -> int:
  """One worker a core that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class _Later:
  evaluator: Evaluator
  architecture: Architecture
  seed: int

  def result(self) -> Measurement:
    return evaluate_safely(self.evaluator, self.architecture, self.seed)


@dataclasses.dataclass(frozen=True)
class _FromWorker:
  future: Any  # pebble.ProcessFuture

  def result(self) -> Measurement:
    try:
      measurement: Measurement = self.future.result()
    except pebble.ProcessExpired as error:
      cause = f'the worker process died (exit code {error.exitcode}); a negative code is a signal'
      return Measurement(Status.FAILED, detail=cause)
    return measurement


_worker_evaluator: Evaluator | None = None


def _start_worker(evaluator: Evaluator) -> None:
  global _worker_evaluator
  _worker_evaluator = evaluator


def _evaluate_in_worker(architecture: Architecture, seed: int) -> Measurement:
  if _worker_evaluator is None:
    raise RuntimeError('the worker was not started by WorkerPool')
  return evaluate_safely(_worker_evaluator, architecture, seed)
