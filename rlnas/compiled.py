"""Functions that Numba compiles when they are first called.

What is compiled is kept on the disk, beside the module where that can be written to, so that it
takes its seconds once an installation. Two rules follow from how it is kept:

- A compiled function calls compiled functions of its own module alone: it is compiled anew when
  that file changes, and when no other does.
- Constants that it takes from other modules (codes, layouts) are frozen in it. After such a change
  `make clean` removes what was kept.

Numba is imported here alone, as TensorFlow is in `rlnas.backend`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar('Function', bound=Callable[..., Any])


def compiled(function: Function) -> Function:
  """The function as machine code; for integers, arrays, records and tuples of them."""
  try:
    return cast(Function, njit(cache=True)(function))
  except RuntimeError:  # there is no folder that could be written to
    return cast(Function, njit(function))
