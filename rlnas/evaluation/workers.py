"""A worker process: one thread, one core, one evaluation at a time; it ends with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Hashable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

from rlnas.cost import machine_code
from rlnas.data.atomic_file import WriteError
from rlnas.evaluation.shared_memory import attach
from rlnas.interfaces import Evaluator, StagedEvaluator
from rlnas.progress import Step, loading, told_to
from rlnas.trial import NO_TERMS, Measurement, Status, Terms

# A Keras network leaves 14 to 19 MB behind in its process (measured; clear_session does not help),
# so a worker has grown by about 0.7 GB when it is replaced.
CHILDREN_PER_WORKER = 40
_TOLD_SECONDS = 0.5  # between steps that a worker tells its parent
GUARD = "A script that starts workers must do so under if __name__ == '__main__':"


def evaluate_safely(
  evaluator: Evaluator | StagedEvaluator,
  value: Hashable,
  seed: int,
  terms: Terms = NO_TERMS,
) -> Measurement:
  """Evaluates a network; an exception becomes a 'failed' measurement with its traceback.

  Raises:
    WriteError: the evaluator cannot write a file, which is no fault of the network.
  """
  started = time.perf_counter()
  try:
    if terms == NO_TERMS:
      found = evaluator.evaluate(value, seed=seed)
    else:
      found = cast(StagedEvaluator, evaluator).evaluate(value, seed=seed, terms=terms)
    if not isinstance(found, Measurement):
      raise TypeError(f'evaluate returned {found!r}: must be a Measurement')
    return found
  except WriteError:
    raise
  except Exception:  # whatever goes wrong, the search must get an answer and continue
    seconds = time.perf_counter() - started
    return Measurement(Status.FAILED, seconds=seconds, detail=traceback.format_exc())


@dataclasses.dataclass(frozen=True)
class Task:
  """An evaluation to run."""

  key: int
  value: Hashable
  seed: int
  terms: Terms
  again: bool = False  # its first worker died


@dataclasses.dataclass
class Worker:
  """A process as its parent sees it: it sends a greeting, gets the evaluator, reports ready."""

  process: SpawnProcess
  connection: Connection
  slot: int  # its place among the workers
  greeted: bool = False
  ready: bool = False
  task: Task | None = None
  deadline: float = 0.0  # of the task, on the monotonic clock
  evaluated: int = 0

  def is_spent(self) -> bool:
    return self.evaluated >= CHILDREN_PER_WORKER

  def is_overdue(self) -> bool:
    return self.task is not None and time.monotonic() >= self.deadline


def end_if_imported_by_worker() -> None:
  """Ends a worker process that imports a script without a guard, with one line that says so.

  A worker imports the script of its parent before anything else. Without a guard that would begin
  the search again, in every worker, until something fails without a visible cause.
  """
  if getattr(multiprocessing.current_process(), '_inheriting', False):
    sys.exit(f'error: a worker process began to run the whole script. {GUARD}')


def start_worker(slot: int, core: int | None) -> Worker:
  """Starts a process.

  Args:
    slot: its place among the workers.
    core: the core that it is pinned to, or None.
  """
  context = multiprocessing.get_context('spawn')
  ours, theirs = context.Pipe()
  process = context.Process(target=_work, args=(theirs, os.getpid(), core), daemon=True)
  with _interrupts_blocked():
    process.start()
  theirs.close()  # so that the end of the process is the end of the pipe
  return Worker(process, ours, slot)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
  """A process started in here never gets Ctrl-C, which the terminal sends to workers too."""
  if not hasattr(signal, 'pthread_sigmask'):  # Windows; `_work` ignores the signal instead
    yield
    return
  before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, parent: int, core: int | None) -> None:
  """What a worker process does until its pipe ends."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  _end_with_parent(parent)
  if core is not None:
    with contextlib.suppress(OSError):  # the core was taken from this process meanwhile
      os.sched_setaffinity(0, {core})
  machine_code.compile_in_background()
  with contextlib.suppress(EOFError, ConnectionError):  # the parent has closed the pipe
    _serve(connection)


def _serve(connection: Connection) -> None:
  """Evaluates what the parent sends. Raises EOFError or ConnectionError when the pipe ends."""
  connection.send('')
  handle = connection.recv()
  reporter = _Reporter(connection)
  try:
    with loading(lambda modules: reporter(Step(modules, 0, unit='modules'))):
      evaluator, _mapped = attach(handle)
  except Exception:
    connection.send(traceback.format_exc())
    return
  connection.send('')
  while True:
    value, seed, terms = connection.recv()
    try:
      with told_to(reporter):
        found = evaluate_safely(evaluator, value, seed, terms)
    except WriteError as error:
      connection.send(error)
    else:
      connection.send(found)


class _Reporter:
  """Sends steps to the parent process, but not so many that the pipe could fill up.

  The last step of a training is always sent.
  """

  def __init__(self, connection: Connection) -> None:
    self._connection = connection
    self._next = 0.0  # on the clock

  def __call__(self, step: Step) -> None:
    if (now := time.monotonic()) >= self._next or step.done == step.total:
      self._next = now + _TOLD_SECONDS
      with contextlib.suppress(OSError):  # the parent ends; so will this process
        self._connection.send(step)


def _end_with_parent(parent: int) -> None:
  """Ends this process when its parent ends: a killed parent cannot end its workers itself.

  On Linux the kernel does it, even while TensorFlow computes; on other systems a thread waits for
  the parent's end.
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
