"""Functions that Numba compiles when they are first called.

What is compiled is kept on the disk, beside the package where that can be written to and in the
user's cache otherwise, so that it takes its seconds once an installation. Numba compiles a function
anew when the file changes that it stands in; a compiled function, however, holds the machine code
of those it calls and the constants that it takes from other modules, too. So there is a folder for
every state of `SOURCES` together: the modules of compiled functions, and those whose names, codes
and layouts are frozen in them.

Numba is imported here alone, as TensorFlow is in `rlnas.backend`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import config, njit

Function = TypeVar('Function', bound=Callable[..., Any])

_COST = (
  *('arena_head', 'arena_tail', 'beam_search', 'cost', 'flash', 'jit', 'limits', 'nodes'),
  *('operators', 'scale_order', 'schedule', 'tasks'),
)
SOURCES = ('architecture.py', 'budget.py', *(f'cost/{name}.py' for name in _COST))
_PACKAGE = pathlib.Path(__file__).parents[1]


def compiled(function: Function) -> Function:
  """The function as machine code; for integers, arrays, records and tuples of them."""
  return _compiled(function, inline='never')


def inlined(function: Function) -> Function:
  """As `compiled`, put in place of its calls: to hand over arrays takes longer than a few lines."""
  return _compiled(function, inline='always')


def _compiled(function: Function, inline: str) -> Function:
  folder = _folder()
  if folder is None:
    return cast(Function, njit(inline=inline)(function))
  before, config.CACHE_DIR = config.CACHE_DIR, folder  # it is asked for by `njit` alone
  try:
    return cast(Function, njit(cache=True, inline=inline)(function))
  except RuntimeError:  # the folder could be written to a moment ago, and Numba found no other
    return cast(Function, njit(inline=inline)(function))
  finally:
    config.CACHE_DIR = before


@functools.cache
def _folder() -> str | None:
  """Where machine code of this state of the sources is kept; None if no folder can be made."""
  state = hashlib.sha256(b''.join((_PACKAGE / name).read_bytes() for name in SOURCES))
  name = f'numba-{state.hexdigest()[:16]}'
  home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  choices = (str(_PACKAGE / '__pycache__'), os.path.join(home, 'rlnas'))
  for base in (config.CACHE_DIR,) if config.CACHE_DIR else choices:
    folder = os.path.join(base, name)
    try:
      os.makedirs(folder, exist_ok=True)
      tempfile.TemporaryFile(dir=folder).close()  # as Numba does: permissions do not tell all
    except OSError:
      continue
    return folder
  return None
