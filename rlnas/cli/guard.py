"""Errors in one line: what the user or the machine did wrong is told, without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from absl import app


class Guard:
  """A context in which an expected error ends the process with one line, exit code 1."""

  def __enter__(self) -> None:
    """Nothing to prepare."""

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    """Tells the error."""
    if isinstance(error, KeyboardInterrupt):
      sys.exit('\nstopped; the same command goes on')
    if isinstance(error, _expected()):
      sys.exit(f'error: {error}')


def run(main: Callable[[list[str]], None]) -> None:
  """Runs an experiment that has absl's flags."""

  def guarded(arguments: list[str]) -> None:
    with Guard():
      main(arguments)

  app.run(guarded)


def _expected() -> tuple[Any, ...]:
  """The errors that are the user's or the machine's; imported late, for a command's help."""
  from rlnas.evaluation.executors import ExecutorError
  from rlnas.search.loop import SearchError

  found: list[Any] = [ValueError, OSError, ImportError, SearchError, ExecutorError]
  if 'tensorflow' in sys.modules:
    found.append(sys.modules['tensorflow'].errors.OpError)
  return tuple(found)
