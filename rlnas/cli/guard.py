"""Shows expected errors, of the user or the machine, in one line without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from absl import app


class Guard:
  """A context in which an expected error ends the process with one line, exit code 1."""

  def __enter__(self) -> None:
    """Does nothing."""

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    """Ends the process with the text of an expected error."""
    if isinstance(error, KeyboardInterrupt):
      sys.exit('\nstopped; run the same command again to resume')
    if isinstance(error, _expected()):
      sys.exit(f'error: {error}')


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
