"""Says what takes long before and after the work of a command: loading, compiling, drawing."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from rlnas.architecture import Architecture, TaskShape
from rlnas.child.progress import PICTURE

_COMPILING = 'compiling the cost model, once per installation, about 40 s'


def load_tensorflow() -> None:
  """Loads TensorFlow, and says so if it is not loaded yet: it takes some 5 s."""
  if 'tensorflow' in sys.modules:
    return
  from rlnas.child.progress import loading
  from rlnas.reports.progress_bar import Bar

  # Output to the standard error is hidden while TensorFlow loads, so the bar has its own way.
  with contextlib.ExitStack() as stack:
    stream = sys.stderr
    with contextlib.suppress(AttributeError, OSError, ValueError):
      stream = stack.enter_context(os.fdopen(os.dup(sys.stderr.fileno()), 'w'))
    bar = stack.enter_context(Bar(None, 'loading TensorFlow', stream=stream))
    stack.enter_context(loading(lambda modules: bar.show(f'{modules:,} modules')))
    import rlnas.backend  # noqa: F401


def compile_estimate(architecture: Architecture, task: TaskShape) -> None:
  """Computes one estimate, so that it is compiled before worker processes need it."""
  with compilation_shown():
    from rlnas.cost.cost import estimate_cost

    estimate_cost(architecture, task)


@contextlib.contextmanager
def pictures_counted(what: str) -> Iterator[None]:
  """A context that shows how many pictures were drawn in it.

  Args:
    what: what they are for, as 'writing the report'.
  """
  from rlnas.child.progress import Step, told_to
  from rlnas.reports.progress_bar import Bar

  drawn = 0
  with Bar(None, what) as bar:

    def on_step(step: Step) -> None:
      nonlocal drawn
      drawn += step.unit == PICTURE
      bar.show(f'{drawn} pictures')

    with told_to(on_step):
      yield


@contextlib.contextmanager
def compilation_shown() -> Iterator[None]:
  """A context that shows how many functions of the estimate were compiled, if any are."""
  from rlnas.cost.jit import compilation_heard
  from rlnas.reports.progress_bar import Bar

  heard, bar = 0, None

  def on_function() -> None:
    nonlocal heard, bar
    if bar is None:
      bar = Bar(None, _COMPILING)
    heard += 1
    bar.show(f'{heard // 2} functions')  # each is heard when it begins and when it ends

  try:
    with compilation_heard(on_function):
      yield
  finally:
    if bar is not None:
      bar.close()
