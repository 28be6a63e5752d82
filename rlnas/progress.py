"""Reports the progress of a training to a listener; it changes nothing that is computed.

A training may run in a worker process, inside an evaluator that knows nothing of terminals. So it
calls `tell(Step(...))`, which gives the step to the listener of its context (`told_to`); without a
listener nothing happens. A worker's listener sends steps to its parent process, whose listener may
be a progress bar (`rlnas.reports.progress_bar`).
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import sys
import threading
from collections.abc import Callable, Iterator


@dataclasses.dataclass(frozen=True)
class Step:
  """The progress of a training, or of something else that takes long.

  Attributes:
    done: how much of it is done, in [0, total].
    total: all of it.
    unit: what `done` counts, such as 'epoch'.
    key: tells apart what runs at the same time: the key of the evaluation, None for the executor
      itself.
    name: its name for people; '' if the key says enough.
    accuracy: accuracy on validation data so far, if known; the metric of the search.
  """

  done: float
  total: float
  unit: str = 'epoch'
  key: int | None = None
  name: str = ''
  accuracy: float | None = None


PICTURE = 'picture'  # the unit of the step that each drawing tells when it begins
WAITING = 'waiting'  # the unit of the step that ends a part of a training; another may follow
Listener = Callable[[Step], None]
_LOADING_SECONDS = 1.0
_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar(
  'listener', default=None
)


def is_heard() -> bool:
  """Whether there is a listener, so that it is worth computing what to report."""
  return _listener.get() is not None


def tell(step: Step) -> None:
  """Gives a step to the listener, if there is one."""
  listener = _listener.get()
  if listener is not None:
    listener(step)


@contextlib.contextmanager
def told_to(listener: Listener) -> Iterator[None]:
  """A context in which `tell` gives steps to this listener, and to no outer one."""
  token = _listener.set(listener)
  try:
    yield
  finally:
    _listener.reset(token)


@contextlib.contextmanager
def changed_by(change: Callable[[Step], Step]) -> Iterator[None]:
  """A context that changes each step before the outer listener gets it."""
  outer = _listener.get()
  if outer is None:
    yield
    return
  with told_to(lambda step: outer(change(step))):
    yield


@contextlib.contextmanager
def loading(on_modules: Callable[[int], None]) -> Iterator[None]:
  """A context that imports a large library; tells every second how many modules are loaded.

  Args:
    on_modules: called from another thread, and never after the end of the context.
  """
  ended = threading.Event()

  def count() -> None:
    while not ended.wait(_LOADING_SECONDS):
      on_modules(len(sys.modules))

  thread = threading.Thread(target=count, daemon=True)
  thread.start()
  try:
    yield
  finally:
    ended.set()
    thread.join()


@contextlib.contextmanager
def part_of(total: float, *, after: float) -> Iterator[None]:
  """A context that reports its training as a part of a longer one.

  Args:
    total: the whole, in the unit of the steps.
    after: how much of the whole was done before.
  """
  with changed_by(lambda step: dataclasses.replace(step, done=after + step.done, total=total)):
    yield
