"""Products of small matrices by one thread.

A second thread computes them no sooner. It waits busily for more, on the core of a worker that
trains a network; and it rounds differently, so that a seed would give another search on a machine
with another number of cores.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from threadpoolctl import ThreadpoolController


def one_thread() -> contextlib.AbstractContextManager[object]:
  """A context in which NumPy, and SciPy if it is loaded, multiply matrices by one thread."""
  libraries = _libraries('scipy.linalg' in sys.modules)
  limits: contextlib.AbstractContextManager[object] = libraries.limit(limits=1)
  return limits


@functools.cache
def _libraries(scipy: bool) -> ThreadpoolController:
  """The libraries that multiply matrices; SciPy has one of its own, found once it is loaded."""
  del scipy
  from threadpoolctl import ThreadpoolController

  return ThreadpoolController().select(user_api='blas')
