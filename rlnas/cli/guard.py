"""Shows errors and messages to people: one line each, without a traceback or a log's prefix."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol

from absl import app
from absl import logging as absl_logging

INTERRUPTED = 130  # exit code of a command that Ctrl-C ended: 128 + SIGINT


class Guard:
  """A context in which an expected error ends the process with one line, exit code 1.

  Ctrl-C ends it with one line and exit code 130. Messages of the library are lines above a bar.
  """

  def __enter__(self) -> None:
    """Shows messages without a log's prefix."""
    self._messages = contextlib.ExitStack()
    self._messages.enter_context(_messages_shown())

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    """Ends the process with the text of an expected error."""
    self._messages.close()
    if isinstance(error, KeyboardInterrupt):
      text = str(error) or 'stopped; run the same command to continue'
      with contextlib.suppress(OSError):
        sys.stderr.write(f'\n{text}\n')
      sys.exit(INTERRUPTED)
    if isinstance(error, _expected()):
      sys.exit(f'error: {error}')


class _Counting(Protocol):
  """What shows how much is done: `rlnas.reports.progress_bar.Bar` and `ProgressBar`."""

  @property
  def done(self) -> int: ...

  def close(self) -> None: ...


@contextlib.contextmanager
def stopping(bar: _Counting, total: int, unit: str) -> Iterator[None]:
  """A context in which Ctrl-C closes the bar; the KeyboardInterrupt then says how far it came."""
  try:
    yield
  except KeyboardInterrupt as error:
    bar.close()
    text = f'stopped at {bar.done} of {total} {unit}; run the same command to continue'
    raise KeyboardInterrupt(text) from error


class _Messages(logging.Handler):
  """Shows log messages as people read them, above a bar if there is one."""

  def emit(self, record: logging.LogRecord) -> None:
    from rlnas.reports.progress_bar import note

    level = '' if record.levelno < logging.ERROR else f'{record.levelname.lower()}: '
    with contextlib.suppress(RuntimeError):  # Ctrl-C arrived while a line was being written
      note(f'{level}{record.getMessage()}')


@contextlib.contextmanager
def _messages_shown() -> Iterator[None]:
  logger, handler = absl_logging.get_absl_logger(), _Messages()
  propagate, logger.propagate = logger.propagate, False
  logger.addHandler(handler)
  try:
    yield
  finally:
    logger.removeHandler(handler)
    logger.propagate = propagate


def run(main: Callable[[list[str]], None]) -> None:
  """Runs an experiment that has absl's flags."""

  def guarded(arguments: list[str]) -> None:
    with Guard():
      main(arguments)

  app.run(guarded)


def _expected() -> tuple[Any, ...]:
  """The errors of the user or the machine; imported late, so that a command's help is fast."""
  from rlnas.evaluation.executors import ExecutorError
  from rlnas.search.loop import SearchError

  found: list[Any] = [ValueError, OSError, ImportError, SearchError, ExecutorError]
  if 'tensorflow' in sys.modules:
    found.append(sys.modules['tensorflow'].errors.OpError)
  return tuple(found)
