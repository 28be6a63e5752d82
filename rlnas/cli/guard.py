"""What every experiment needs: errors in one line, and checks of flags. It defines no flags."""

from __future__ import annotations

import sys
from collections.abc import Callable

from absl import app, flags

from rlnas.backend import tf
from rlnas.evaluation.executors import ExecutorError
from rlnas.search.loop import SearchError

FLAGS = flags.FLAGS


def run(main: Callable[[list[str]], None]) -> None:
  """Runs an experiment; a mistake of the user or of the machine is one line, not a traceback."""

  def guarded(arguments: list[str]) -> None:
    try:
      main(arguments)
    except (
      ValueError,
      OSError,
      ImportError,
      SearchError,
      ExecutorError,
      tf.errors.OpError,
    ) as error:
      sys.exit(f'error: {error}')
    except KeyboardInterrupt:
      sys.exit('\nstopped; the same command goes on')

  app.run(guarded)


def check_positive(name: str) -> None:
  """Raises ValueError where an integer flag is given and below 1."""
  value = FLAGS[name].value
  if value is not None and value < 1:
    raise ValueError(f'--{name}={value}: must be at least 1')
