"""Where evaluations run: in this process, or in worker processes of one thread each.

Whatever goes wrong with a child (an exception, a worker killed by a signal, a training that does
not end) comes back as a measurement of status 'failed' that says why; the search goes on.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing.connection
import os
import time

from absl import logging

from rlnas.architecture import Architecture
from rlnas.evaluation.shared_memory import Shared
from rlnas.evaluation.workers import Task, Worker, evaluate_safely, start_worker
from rlnas.interfaces import Evaluator
from rlnas.trial import NO_TERMS, Measurement, Status, Terms

TRIAL_TIMEOUT = 3600.0  # seconds; children train for seconds to minutes
_MOST_FALSE_STARTS = 3  # workers in a row that end before they are ready


class ExecutorError(RuntimeError):
  """Nothing can be evaluated, whatever the child."""


class InProcess:
  """Evaluates one child after the other in this process, when a result is asked for.

  Simple, and all that a cheap evaluator needs. Children that train leave memory behind: for more
  than some dozens of them use `WorkerPool`, which also survives their death.
  """

  def __init__(self, evaluator: Evaluator) -> None:
    self._evaluator = evaluator
    self._queue: collections.deque[Task] = collections.deque()

  def submit(
    self, key: int, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> None:
    """Queues one evaluation."""
    self._queue.append(Task(key, architecture, seed, terms))

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Evaluates the oldest, however long it takes; None where nothing is queued."""
    if not self._queue:
      return None
    task = self._queue.popleft()
    return task.key, evaluate_safely(self._evaluator, task.architecture, task.seed, task.terms)

  def withdraw(self) -> list[int]:
    """Gives up all that is queued."""
    return _emptied(self._queue)

  def close(self) -> None:
    """Nothing to end."""


class WorkerPool:
  """Evaluates in spawned worker processes, which are replaced after some children.

  Where there is one for each core they are held to it (on Linux), and all map the evaluator's
  arrays instead of copying them. Its successor starts while it evaluates its last child.

  A worker that dies is replaced and its child evaluated once more, since the fault may have been
  the machine's; a child whose second worker dies too has failed. Workers end with this process,
  however it ends.
  """

  def __init__(
    self, evaluator: Evaluator, *, workers: int, trial_timeout: float = TRIAL_TIMEOUT
  ) -> None:
    """Starts nothing yet.

    Args:
      evaluator: pickled; its arrays are shared by all workers.
      workers: number of processes; each trains with one thread, so one a core is best.
      trial_timeout: seconds after which a child is killed and has failed.

    Raises:
      ValueError: `workers` is below 1, or `trial_timeout` is not positive.
    """
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

  def submit(
    self, key: int, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> None:
    """Queues one evaluation, and starts it where a worker is free."""
    self._queue.append(Task(key, architecture, seed, terms))
    self._hand_out()

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Waits for one measurement.

    Args:
      timeout: seconds to wait at most.

    Returns:
      The key it was submitted with and the measurement, or None where none came in time.

    Raises:
      ExecutorError: workers end before they are ready, or cannot load the evaluator.
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
    """Gives up what no worker has begun.

    Returns:
      The keys; all others will still be collected.
    """
    return _emptied(self._queue)

  def close(self) -> None:
    """Ends all workers; evaluations still under way are given up."""
    self._queue.clear()
    for worker in list(self._workers):
      self._dismiss(worker)
    self._evaluator.close()

  def _hand_out(self) -> None:
    """Hands queued tasks to workers, starting them where needed."""
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
        free.connection.send((task.architecture, task.seed, task.terms))
      if free.is_spent() and self._queue:
        self._workers.append(start_worker(free.slot, self._core(free.slot)))

  def _is_free(self, worker: Worker) -> bool:
    """Whether it can be given a task; a successor waits for the one whose place it takes."""
    rivals = (w for w in self._workers if w.slot == worker.slot)
    return worker.ready and all(w.task is None for w in rivals)

  def _core(self, slot: int) -> int | None:
    """The core of a slot where there is one worker for each core; else the system chooses.

    Several small pools would otherwise share the first cores while others are idle.
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
      assert worker.task is not None  # noqa: S101  a worker speaks when it is asked
      self._results.append((worker.task.key, message))
      worker.task = None
      if worker.is_spent():
        self._dismiss(worker)
    elif message:
      raise ExecutorError(f'a worker process cannot load the evaluator: {message}')
    elif worker.greeted:
      worker.ready, self._false_starts = True, 0
    else:
      worker.greeted = True
      with contextlib.suppress(OSError):
        worker.connection.send(self._evaluator.handle)

  def _remove_dead(self, worker: Worker) -> None:
    """Its process has ended without being told to."""
    self._dismiss(worker)
    code, task = worker.process.exitcode, worker.task
    cause = f'the worker process died (exit code {code}; a negative code is a signal)'
    if not worker.ready:
      self._false_starts += 1
      if self._false_starts >= _MOST_FALSE_STARTS:
        raise ExecutorError(
          f'{self._false_starts} worker processes ended before they were ready (the last with exit '
          f'code {code}). A script that starts workers must do so under '
          "if __name__ == '__main__':"
        )
    elif task is not None and not task.again:
      logging.warning('%s; its child runs once more', cause)
      self._queue.appendleft(dataclasses.replace(task, again=True))
    elif task is not None:
      self._results.append((task.key, Measurement(Status.FAILED, detail=f'{cause}, twice')))

  def _time_out(self, worker: Worker) -> None:
    """Its child takes too long."""
    self._dismiss(worker)
    if worker.task is not None:
      detail = f'the child ran for longer than trial_timeout={self._trial_timeout:g} seconds'
      self._results.append((worker.task.key, Measurement(Status.FAILED, detail=detail)))

  def _dismiss(self, worker: Worker) -> None:
    self._workers.remove(worker)
    worker.connection.close()
    worker.process.kill()  # a no-op where it has ended already
    worker.process.join()


def check_timeout(trial_timeout: float) -> None:
  """Raises ValueError where a number of seconds is not positive."""
  if not trial_timeout > 0:
    raise ValueError(f'trial_timeout={trial_timeout}: must be a positive number of seconds')


def default_workers() -> int:
  """One worker a core that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _emptied(queue: collections.deque[Task]) -> list[int]:
  keys = [task.key for task in queue]
  queue.clear()
  return keys
