"""A worker process: one thread, one core, one child after the other, no longer than its parent."""

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
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

from rlnas.architecture import Architecture
from rlnas.evaluation.shared_memory import attach
from rlnas.interfaces import Evaluator, StagedEvaluator
from rlnas.trial import NO_TERMS, Measurement, Status, Terms

# A Keras child leaves 14 to 19 MB behind in its process (measured; clear_session does not help),
# so that a worker has grown by some 0.7 GB when it is replaced.
CHILDREN_PER_WORKER = 40


def evaluate_safely(
  evaluator: Evaluator | StagedEvaluator,
  architecture: Architecture,
  seed: int,
  terms: Terms = NO_TERMS,
) -> Measurement:
  """Evaluates; an exception becomes a 'failed' measurement with its traceback."""
  started = time.perf_counter()
  try:
    if terms == NO_TERMS:
      found = evaluator.evaluate(architecture, seed=seed)
    else:
      found = cast(StagedEvaluator, evaluator).evaluate(architecture, seed=seed, terms=terms)
    if not isinstance(found, Measurement):
      raise TypeError(f'evaluate returned {found!r}: must be a Measurement')
    return found
  except Exception:  # whatever a child does, the search must hear of it and go on
    seconds = time.perf_counter() - started
    return Measurement(Status.FAILED, seconds=seconds, detail=traceback.format_exc())


@dataclasses.dataclass(frozen=True)
class Task:
  """An evaluation that was asked for."""

  key: int
  architecture: Architecture
  seed: int
  terms: Terms
  again: bool = False  # its first worker died


@dataclasses.dataclass
class Worker:
  """A process as this side sees it. It greets, is sent the evaluator, says that it is ready."""

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


def start_worker(slot: int, core: int | None) -> Worker:
  """Starts a process.

  Args:
    slot: its place among the workers.
    core: that it is held to, if any.
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
  """A process started in here never hears Ctrl-C, which the terminal sends to workers too."""
  if not hasattr(signal, 'pthread_sigmask'):  # Windows; `_work` does what it can
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
  connection.send('')
  try:
    evaluator, _mapped = attach(connection.recv())
  except EOFError:
    return
  except Exception:
    connection.send(traceback.format_exc())
    return
  connection.send('')
  while True:
    try:
      architecture, seed, terms = connection.recv()
    except EOFError:
      return
    connection.send(evaluate_safely(evaluator, architecture, seed, terms))


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
