"""Where evaluations run: in this process, or in worker processes of one thread each.

Whatever goes wrong with a child (an exception, a worker killed by a signal, a training that does
not end) comes back as a measurement of status 'failed' that says why; the search goes on.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from absl import logging

from rlnas.architecture import Architecture
from rlnas.interfaces import Evaluator
from rlnas.trial import Measurement, Status

# A Keras child leaves 14 to 19 MB behind in its process (measured; clear_session does not help),
# so that a worker has grown by some 0.7 GB when it is replaced.
CHILDREN_PER_WORKER = 40
TRIAL_TIMEOUT = 3600.0  # seconds; children train for seconds to minutes
_MOST_FALSE_STARTS = 3  # workers in a row that end before they are ready


class ExecutorError(RuntimeError):
  """Nothing can be evaluated, whatever the child."""


def evaluate_safely(evaluator: Evaluator, architecture: Architecture, seed: int) -> Measurement:
  """Evaluates; an exception becomes a 'failed' measurement with its traceback."""
  started = time.perf_counter()
  try:
    return evaluator.evaluate(architecture, seed=seed)
  except Exception:  # whatever a child does, the search must hear of it and go on
    seconds = time.perf_counter() - started
    return Measurement(Status.FAILED, seconds=seconds, detail=traceback.format_exc())


class InProcess:
  """Evaluates one child after the other in this process, when a result is asked for.

  Simple, and all that a cheap evaluator needs. Children that train leave memory behind: for more
  than some dozens of them use `WorkerPool`, which also survives their death.
  """

  def __init__(self, evaluator: Evaluator) -> None:
    self._evaluator = evaluator
    self._queue: collections.deque[_Task] = collections.deque()

  def submit(self, key: int, architecture: Architecture, *, seed: int) -> None:
    """Queues one evaluation."""
    self._queue.append(_Task(key, architecture, seed))

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Evaluates the oldest, however long it takes; None where nothing is queued."""
    if not self._queue:
      return None
    task = self._queue.popleft()
    return task.key, evaluate_safely(self._evaluator, task.architecture, task.seed)

  def withdraw(self) -> list[int]:
    """Gives up all that is queued."""
    return _emptied(self._queue)

  def close(self) -> None:
    """Nothing to end."""


class WorkerPool:
  """Evaluates in spawned worker processes, which are replaced after some children.

  A worker that dies is replaced and its child evaluated once more, since the fault may have been
  the machine's; a child whose second worker dies too has failed. Workers end with this process,
  however it ends.
  """

  def __init__(
    self, evaluator: Evaluator, *, workers: int, trial_timeout: float = TRIAL_TIMEOUT
  ) -> None:
    """Starts nothing yet.

    Args:
      evaluator: pickled to each worker once.
      workers: number of processes; each trains with one thread, so one a core is best.
      trial_timeout: seconds after which a child is killed and has failed.

    Raises:
      ValueError: `workers` is below 1, or `trial_timeout` is not positive.
    """
    if workers < 1:
      raise ValueError(f'workers={workers}: must be at least 1')
    check_timeout(trial_timeout)
    self._evaluator = evaluator
    self._size = workers
    self._trial_timeout = trial_timeout
    self._workers: list[_Worker] = []
    self._queue: collections.deque[_Task] = collections.deque()
    self._results: collections.deque[tuple[int, Measurement]] = collections.deque()
    self._false_starts = 0

  def submit(self, key: int, architecture: Architecture, *, seed: int) -> None:
    """Queues one evaluation, and starts it where a worker is free."""
    self._queue.append(_Task(key, architecture, seed))
    self._employ()

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
      self._employ()
      now = time.monotonic()
      wake = min([until, *(w.deadline for w in self._workers if w.task is not None)])
      by_connection = {worker.connection: worker for worker in self._workers}
      for ready in multiprocessing.connection.wait(list(by_connection), max(0.0, wake - now)):
        self._hear(by_connection[ready])  # type: ignore[index]
      for worker in [w for w in self._workers if w.is_overdue()]:
        self._give_up(worker)
      if not self._results and time.monotonic() >= until:
        return None
    self._employ()
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

  def _employ(self) -> None:
    """Hands queued tasks to workers, starting and replacing them where needed."""
    while self._queue:
      free = next((w for w in self._workers if w.ready and w.task is None), None)
      if free is None:
        starting = sum(not w.ready for w in self._workers)
        while len(self._workers) < self._size and starting < len(self._queue):
          self._workers.append(_start_worker())
          starting += 1
        return
      if free.evaluated == CHILDREN_PER_WORKER:
        self._dismiss(free)
        continue
      task = self._queue.popleft()
      free.task, free.deadline = task, time.monotonic() + self._trial_timeout
      free.evaluated += 1
      with contextlib.suppress(OSError):  # it died; `_hear` will notice
        free.connection.send((task.architecture, task.seed))

  def _hear(self, worker: _Worker) -> None:
    try:
      message = worker.connection.recv()
    except (EOFError, OSError):
      self._bury(worker)
      return
    if isinstance(message, Measurement):
      assert worker.task is not None  # noqa: S101  a worker speaks when it is asked
      self._results.append((worker.task.key, message))
      worker.task = None
    elif message:
      raise ExecutorError(f'a worker process cannot load the evaluator: {message}')
    elif worker.greeted:
      worker.ready, self._false_starts = True, 0
    else:
      worker.greeted = True
      with contextlib.suppress(OSError):
        worker.connection.send(self._evaluator)

  def _bury(self, worker: _Worker) -> None:
    """Its process has ended without being told to."""
    self._dismiss(worker)
    code, task = worker.process.exitcode, worker.task
    cause = f'the worker process died (exit code {code}; a negative code is a signal)'
    if not worker.ready:
      self._false_starts += 1
      if self._false_starts == _MOST_FALSE_STARTS:
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

  def _give_up(self, worker: _Worker) -> None:
    """Its child takes too long."""
    self._dismiss(worker)
    if worker.task is not None:
      detail = f'the child ran for longer than trial_timeout={self._trial_timeout:g} seconds'
      self._results.append((worker.task.key, Measurement(Status.FAILED, detail=detail)))

  def _dismiss(self, worker: _Worker) -> None:
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


@dataclasses.dataclass(frozen=True)
class _Task:
  key: int
  architecture: Architecture
  seed: int
  again: bool = False  # its first worker died


@dataclasses.dataclass
class _Worker:
  """A process as this side sees it. It greets, is sent the evaluator, says that it is ready."""

  process: SpawnProcess
  connection: Connection
  greeted: bool = False
  ready: bool = False
  task: _Task | None = None
  deadline: float = 0.0  # of the task, on the monotonic clock
  evaluated: int = 0

  def is_overdue(self) -> bool:
    return self.task is not None and time.monotonic() >= self.deadline


def _emptied(queue: collections.deque[_Task]) -> list[int]:
  keys = [task.key for task in queue]
  queue.clear()
  return keys


def _start_worker() -> _Worker:
  context = multiprocessing.get_context('spawn')
  ours, theirs = context.Pipe()
  process = context.Process(target=_work, args=(theirs, os.getpid()), daemon=True)
  with _interrupts_blocked():
    process.start()
  theirs.close()  # so that the end of the process is the end of the pipe
  return _Worker(process, ours)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
  """A process started in here never hears Ctrl-C, which the terminal sends to workers too."""
  if not hasattr(signal, 'pthread_sigmask'):  # Windows; `_work` does what it can
    yield
    return
  before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, parent: int) -> None:
  """What a worker process does until its pipe ends."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  _end_with_parent(parent)
  connection.send('')
  try:
    evaluator = connection.recv()
  except EOFError:
    return
  except Exception:
    connection.send(traceback.format_exc())
    return
  connection.send('')
  while True:
    try:
      architecture, seed = connection.recv()
    except EOFError:
      return
    connection.send(evaluate_safely(evaluator, architecture, seed))


def _end_with_parent(parent: int) -> None:
  """A parent that is killed cannot end its workers: each sees to it itself.

  On Linux the kernel does it, even while TensorFlow computes; elsewhere a thread waits for the
  parent's end.
  """
  if sys.platform == 'linux':
    pr_set_pdeathsig = 1  # linux/prctl.h
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
      os._exit(1)
  process = multiprocessing.parent_process()
  if process is not None:
    threading.Thread(target=_exit_after, args=(process,), daemon=True).start()


def _exit_after(process: multiprocessing.process.BaseProcess) -> None:
  process.join()
  os._exit(1)
