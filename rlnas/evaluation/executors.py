"""Where evaluations run: in this process, or in worker processes of one thread each.

If an evaluation fails (an exception, a worker killed by a signal, a training that does not end),
the executor returns a measurement of status 'failed' that says why, and the search continues. If an
evaluator cannot write a file, as on a full disk, `collect` raises the `WriteError`.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing.connection
import os
import time
from collections.abc import Hashable

from absl import logging

from rlnas.data.atomic_file import WriteError
from rlnas.evaluation.shared_memory import Shared
from rlnas.evaluation.workers import (
  GUARD,
  Task,
  Worker,
  end_if_imported_by_worker,
  evaluate_safely,
  start_worker,
)
from rlnas.interfaces import Evaluator
from rlnas.progress import Step, changed_by, tell
from rlnas.trial import NO_TERMS, Measurement, Status, Terms

TRIAL_TIMEOUT = 3600.0  # seconds; a trial trains for seconds to minutes
_MOST_FALSE_STARTS = 3  # workers in a row that end before they are ready


class ExecutorError(RuntimeError):
  """The executor cannot evaluate any network."""


class InProcess:
  """Evaluates one network after the other in this process, each when `collect` is called.

  Simple, and enough for a cheap evaluator. Each training leaves memory behind: for more than a few
  dozen trainings use `WorkerPool`, which also survives a crash.
  """

  def __init__(self, evaluator: Evaluator) -> None:
    self._evaluator = evaluator
    self._queue: collections.deque[Task] = collections.deque()

  def submit(self, key: int, value: Hashable, *, seed: int, terms: Terms = NO_TERMS) -> None:
    """Queues one evaluation."""
    self._queue.append(Task(key, value, seed, terms))

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Evaluates the oldest task, however long it takes. Returns None if nothing is queued.

    Raises:
      WriteError: the evaluator cannot write a file.
    """
    if not self._queue:
      return None
    task = self._queue.popleft()
    with changed_by(lambda step: dataclasses.replace(step, key=task.key)):
      found = evaluate_safely(self._evaluator, task.value, task.seed, task.terms)
    return task.key, found

  def withdraw(self) -> list[int]:
    """Drops all queued evaluations and returns their keys."""
    return _emptied(self._queue)

  def close(self) -> None:
    """Does nothing."""


class WorkerPool:
  """Evaluates in spawned worker processes, each of which is replaced after some evaluations.

  If there is one worker for each core, each is pinned to its core (on Linux). All workers map the
  evaluator's arrays instead of copying them. While a worker does its last evaluation, the next
  worker already starts.

  If a worker dies, the pool replaces it and evaluates the network a second time: a worker's death
  does not mean that the network failed. If the second worker dies too, the trial has failed.
  Workers end with this process, however it ends.
  """

  def __init__(
    self, evaluator: Evaluator, *, workers: int, trial_timeout: float = TRIAL_TIMEOUT
  ) -> None:
    """Stores the settings; workers start at the first `submit`.

    Args:
      evaluator: pickled; its arrays are shared by all workers.
      workers: number of processes; each trains with one thread, so one per core is best.
      trial_timeout: seconds after which an evaluation is killed and counts as failed.

    Raises:
      ValueError: `workers` is below 1, or `trial_timeout` is not positive.
    """
    end_if_imported_by_worker()
    if workers < 1:
      raise ValueError(f'workers={workers}: must be at least 1')
    check_timeout(trial_timeout)
    self._evaluator = Shared(evaluator)
    self._size = workers
    self._trial_timeout = trial_timeout
    self._workers: list[Worker] = []
    self._queue: collections.deque[Task] = collections.deque()
    self._results: collections.deque[tuple[int, Measurement]] = collections.deque()
    self._false_starts = 0

  def submit(self, key: int, value: Hashable, *, seed: int, terms: Terms = NO_TERMS) -> None:
    """Queues one evaluation, and starts it if a worker is free."""
    self._queue.append(Task(key, value, seed, terms))
    self._hand_out()

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Waits for one measurement.

    Args:
      timeout: seconds to wait at most.

    Returns:
      The key it was submitted with and the measurement, or None if none arrived in time.

    Raises:
      ExecutorError: workers end before they are ready, or cannot load the evaluator.
      WriteError: an evaluator cannot write a file.
    """
    until = time.monotonic() + timeout
    while not self._results:
      self._hand_out()
      now = time.monotonic()
      wake = min([until, *(w.deadline for w in self._workers if w.task is not None)])
      by_connection = {worker.connection: worker for worker in self._workers}
      for ready in multiprocessing.connection.wait(list(by_connection), max(0.0, wake - now)):
        self._receive(by_connection[ready])  # type: ignore[index]
      for worker in [w for w in self._workers if w.is_overdue()]:
        self._time_out(worker)
      if not self._results and time.monotonic() >= until:
        return None
    self._hand_out()
    return self._results.popleft()

  def withdraw(self) -> list[int]:
    """Drops the evaluations that no worker has begun.

    Returns:
      Their keys; the measurements of all others can still be collected.
    """
    return _emptied(self._queue)

  def close(self) -> None:
    """Ends all workers; running evaluations are lost."""
    self._queue.clear()
    for worker in list(self._workers):
      self._dismiss(worker)
    self._evaluator.close()

  def _hand_out(self) -> None:
    """Sends queued tasks to workers, and starts workers if needed."""
    while self._queue:
      free = next((w for w in self._workers if self._is_free(w)), None)
      if free is None:
        starting = sum(not w.ready for w in self._workers)
        for slot in range(self._size):
          if starting >= len(self._queue):
            return
          if not any(w.slot == slot for w in self._workers):
            self._workers.append(start_worker(slot, self._core(slot)))
            starting += 1
        return
      task = self._queue.popleft()
      free.task, free.deadline = task, time.monotonic() + self._trial_timeout
      free.evaluated += 1
      with contextlib.suppress(OSError):  # it died; `_receive` will notice
        free.connection.send((task.value, task.seed, task.terms))
      if free.is_spent() and self._queue:
        self._workers.append(start_worker(free.slot, self._core(free.slot)))

  def _tell_workers(self, *, loaded: int = 0) -> None:
    """Tells how many of the first workers are ready, and how many modules one has loaded."""
    if all(w.evaluated == 0 for w in self._workers):
      ready = sum(w.ready for w in self._workers)
      unit = f'loading {loaded:,} modules, workers' if loaded else 'starting workers'
      tell(Step(ready, len(self._workers), unit=unit))

  def _is_free(self, worker: Worker) -> bool:
    """Whether it can take a task; a new worker waits until the one that it replaces is done."""
    rivals = (w for w in self._workers if w.slot == worker.slot)
    return worker.ready and all(w.task is None for w in rivals)

  def _core(self, slot: int) -> int | None:
    """The core of a slot if there is one worker for each core; else None: the system chooses.

    Otherwise several small pools would share the first cores while other cores are idle.
    """
    if not hasattr(os, 'sched_getaffinity'):
      return None
    cores = sorted(os.sched_getaffinity(0))
    return cores[slot] if self._size == len(cores) else None

  def _receive(self, worker: Worker) -> None:
    try:
      message = worker.connection.recv()
    except (EOFError, OSError):
      self._remove_dead(worker)
      return
    if isinstance(message, Measurement):
      assert worker.task is not None  # noqa: S101  a worker sends only answers
      self._results.append((worker.task.key, message))
      worker.task = None
      if worker.is_spent():
        self._dismiss(worker)
    elif isinstance(message, Step):
      if worker.task is not None:
        tell(dataclasses.replace(message, key=worker.task.key))
      elif not worker.ready:
        self._tell_workers(loaded=round(message.done))
    elif isinstance(message, WriteError):
      self._dismiss(worker)
      raise message
    elif message:
      raise ExecutorError(f'a worker process cannot load the evaluator: {message}')
    elif worker.greeted:
      worker.ready, self._false_starts = True, 0
      self._tell_workers()
    else:
      worker.greeted = True
      self._tell_workers()
      with contextlib.suppress(OSError):
        worker.connection.send(self._evaluator.handle)

  def _remove_dead(self, worker: Worker) -> None:
    """Handles a worker process that ended by itself."""
    self._dismiss(worker)
    code, task = worker.process.exitcode, worker.task
    cause = f'the worker process died (exit code {code}; a negative code is a signal)'
    if not worker.ready:
      self._false_starts += 1
      if self._false_starts >= _MOST_FALSE_STARTS:
        raise ExecutorError(
          f'{self._false_starts} worker processes ended before they were ready (the last with exit '
          f'code {code}). {GUARD}'
        ) from None
    elif task is not None and not task.again:
      logging.warning('%s; its trial runs once more', cause)
      self._queue.appendleft(dataclasses.replace(task, again=True))
    elif task is not None:
      self._results.append((task.key, Measurement(Status.FAILED, detail=f'{cause}, twice')))

  def _time_out(self, worker: Worker) -> None:
    """Ends a worker whose evaluation takes too long."""
    self._dismiss(worker)
    if worker.task is not None:
      detail = f'the trial ran for longer than trial_timeout={self._trial_timeout:g} seconds'
      self._results.append((worker.task.key, Measurement(Status.FAILED, detail=detail)))

  def _dismiss(self, worker: Worker) -> None:
    self._workers.remove(worker)
    worker.connection.close()
    worker.process.kill()  # does nothing if it has ended already
    worker.process.join()


def check_timeout(trial_timeout: float) -> None:
  """Raises ValueError if a number of seconds is not positive."""
  if not trial_timeout > 0:
    raise ValueError(f'trial_timeout={trial_timeout}: must be a positive number of seconds')


def default_workers() -> int:
  """One worker for each core that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _emptied(queue: collections.deque[Task]) -> list[int]:
  keys = [task.key for task in queue]
  queue.clear()
  return keys
