"""Compiles functions with Numba when they are first called.

The machine code is kept on disk, so that an installation compiles only once, for some seconds: in
the package's folder if it is writable, otherwise in the user's cache. Numba recompiles a function
if the file that defines it changes. A compiled function, however, also contains the machine code of
the functions that it calls and the constants that it takes from other modules. Therefore each
state of all `SOURCES` together has its own cache folder. `SOURCES` are the modules with compiled
functions, and those whose names, codes and layouts are frozen in the compiled functions.

Only this module imports Numba, as only `rlnas.backend` imports TensorFlow.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from numba import config, njit
from numba.core import event

Function = TypeVar('Function', bound=Callable[..., Any])

_COST = (
  *('arena_head', 'arena_tail', 'beam_search', 'builds', 'cost', 'flash', 'jit', 'kinds', 'limits'),
  *('nodes', 'operators', 'scale_order', 'schedule', 'structures', 'tasks', 'terms', 'workload'),
)
SOURCES = ('architecture.py', 'budget.py', *(f'cost/{name}.py' for name in _COST))
_PACKAGE = pathlib.Path(__file__).parents[1]


def compiled(function: Function) -> Function:
  """Compiles a function of integers, arrays, records and tuples of them to machine code."""
  return _compiled(function, inline='never')


def inlined(function: Function) -> Function:
  """As `compiled`, but inlined: for short functions, since passing arrays takes longer."""
  return _compiled(function, inline='always')


def _compiled(function: Function, inline: str) -> Function:
  folder = _folder()
  if folder is None:
    return cast(Function, njit(inline=inline)(function))
  before, config.CACHE_DIR = config.CACHE_DIR, folder  # only `njit` reads it
  try:
    return cast(Function, _kept_if_possible(njit(cache=True, inline=inline)(function)))
  except RuntimeError:  # the folder is no longer writable, and Numba found no other
    return cast(Function, njit(inline=inline)(function))
  finally:
    config.CACHE_DIR = before


def _kept_if_possible(dispatcher: Any) -> Any:
  """Changes a compiled function: if its machine code cannot be kept (the disk is full), it runs."""
  save = dispatcher._cache.save_overload

  def save_if_possible(*arguments: Any) -> None:
    with contextlib.suppress(OSError):
      save(*arguments)

  dispatcher._cache.save_overload = save_if_possible
  return dispatcher


@contextlib.contextmanager
def compilation_heard(on_function: Callable[[], None]) -> Iterator[None]:
  """A context in which each function that is compiled is told when it is; none if all are on disk.

  Args:
    on_function: called without arguments.
  """
  listener = _Listener(on_function)
  event.register('numba:compile', listener)
  try:
    yield
  finally:
    event.unregister('numba:compile', listener)


class _Listener(event.Listener):
  def __init__(self, on_function: Callable[[], None]) -> None:
    self._on_function = on_function

  def on_start(self, event: Any) -> None:
    """Called before a function is compiled."""
    self._on_function()

  def on_end(self, event: Any) -> None:
    """Called after that."""
    self._on_function()


@functools.cache
def _folder() -> str | None:
  """Returns the cache folder for this state of the sources; None if no folder can be made."""
  state = hashlib.sha256(b''.join((_PACKAGE / name).read_bytes() for name in SOURCES))
  name = f'numba-{state.hexdigest()[:16]}'
  home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  choices = (str(_PACKAGE / '__pycache__'), os.path.join(home, 'rlnas'))
  for base in (config.CACHE_DIR,) if config.CACHE_DIR else choices:
    folder = os.path.join(base, name)
    try:
      os.makedirs(folder, exist_ok=True)
      tempfile.TemporaryFile(dir=folder).close()  # as Numba does: permissions alone are no proof
    except OSError:
      continue
    return folder
  return None
