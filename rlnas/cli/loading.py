"""Shows the progress of slow steps around a command's work: loading TensorFlow, drawing."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from rlnas.progress import PICTURE


def load_tensorflow() -> None:
  """Loads TensorFlow, and shows a message if it is not loaded yet: it takes about 5 s."""
  if 'tensorflow' in sys.modules:
    return
  from rlnas.progress import loading
  from rlnas.reports.progress_bar import Bar

  # Output to the standard error is hidden while TensorFlow loads, so the bar has its own way.
  with contextlib.ExitStack() as stack:
    stream = sys.stderr
    with contextlib.suppress(AttributeError, OSError, ValueError):
      stream = stack.enter_context(os.fdopen(os.dup(sys.stderr.fileno()), 'w'))
    bar = stack.enter_context(Bar(None, 'loading TensorFlow', stream=stream))
    stack.enter_context(loading(lambda modules: bar.show(f'{modules:,} modules')))
    import rlnas.backend  # noqa: F401


def start_compiler() -> None:
  """Starts a process that compiles the cost estimate, if this installation has not done so yet."""
  from rlnas.cost import machine_code

  machine_code.compile_in_background()
  machine_code.is_awaited()


@contextlib.contextmanager
def pictures_counted(what: str) -> Iterator[None]:
  """A context that shows how many pictures were drawn in it.

  Args:
    what: what they are for, such as 'writing the report'.
  """
  from rlnas.progress import Step, told_to
  from rlnas.reports.progress_bar import Bar

  drawn = 0
  with Bar(None, what) as bar:

    def on_step(step: Step) -> None:
      nonlocal drawn
      drawn += step.unit == PICTURE
      bar.show(f'{drawn} pictures')

    with told_to(on_step):
      yield
