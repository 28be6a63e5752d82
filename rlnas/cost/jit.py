"""Functions that Numba compiles to machine code, and that run as plain Python until it is there.

The machine code is kept on disk, so that an installation compiles only once: in the package's
folder if it is writable, otherwise in the user's cache. A compiled function also contains the
machine code of the functions that it calls and the constants that it takes from other modules, of
which Numba knows nothing when it looks for outdated files. Therefore each state of all `SOURCES`
together has its own cache folder. `SOURCES` are the modules with compiled functions, and those
whose names, codes and layouts are frozen in the compiled functions.

A function is compiled when it is first called. A search must not wait for that: after
`compile_in_background`, another process compiles (`rlnas.cost.compiler`), and until it is done the
functions of this process run uncompiled, with the same results.

Only this module imports Numba, and only when a compiled function is called.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from rlnas.cost import machine_code

Function = TypeVar('Function', bound=Callable[..., Any])

unsaved: list[str] = []
"""Why machine code could not be written to disk."""

# What need not be compiled: tests of divisions by zero, and forms that C calls.
_OPTIONS = {'error_model': 'numpy', 'no_cfunc_wrapper': True}


def compiled(function: Function) -> Function:
  """Compiles a function of integers, arrays, records and tuples of them to machine code."""
  return cast(Function, Compiled(function))


def inner(function: Function) -> Function:
  """As `compiled`, for functions that compiled ones call; called from Python, they run uncompiled.

  They need no code that converts Python's objects, a tenth of all that would be compiled.
  """
  return cast(Function, Compiled(function, no_cpython_wrapper=True))


def inlined(function: Function) -> Function:
  """As `inner`, but inlined in its callers: for short functions with many arrays."""
  return cast(Function, Compiled(function, inline='always', no_cpython_wrapper=True))


class _MissingError(Exception):
  """The machine code of a function is not on disk, and this process must not compile it."""


class Compiled:
  """A function in two forms, compiled and plain Python; calling it runs one of them.

  Attributes:
    py_func: the function as it is written.
    targetoptions: Numba's options, which it reads when another function calls this one.
  """

  def __init__(self, function: Callable[..., Any], **options: Any) -> None:
    """Stores the function; nothing is compiled or loaded."""
    functools.update_wrapper(self, function)
    self.py_func = function
    self.targetoptions = _OPTIONS | options
    self._form = self._chosen

  def __call__(self, *arguments: Any) -> Any:
    """Calls the compiled function if its machine code can be used now, else the plain one."""
    return self._form(*arguments)

  @functools.cached_property
  def dispatcher(self) -> Any:
    """Numba's dispatcher of the function."""
    return _dispatcher(self.py_func, self.targetoptions)

  @property
  def _numba_type_(self) -> Any:
    return self.dispatcher._numba_type_  # so that compiled functions can call this one

  @functools.cached_property
  def plain(self) -> Callable[..., Any]:
    """The function uncompiled; those that it calls are uncompiled, too."""
    return _without_compilation(self.py_func)

  def _uncompiled(self, *arguments: Any) -> Any:
    with np.errstate(over='ignore'):  # machine code does not tell of it, either
      return self.plain(*arguments)

  def _kept(self, *arguments: Any) -> Any:
    """Calls machine code from the disk, and never compiles."""
    try:
      return self.dispatcher(*arguments)
    except _MissingError:
      machine_code.renounce()
      self._form = self._uncompiled
      return self._form(*arguments)

  def _chosen(self, *arguments: Any) -> Any:
    """Decides which form serves from now on, unless that is still open."""
    if 'no_cpython_wrapper' in self.targetoptions or machine_code.is_disabled():
      self._form = self._uncompiled
    elif not machine_code.in_background():
      self._form = self.dispatcher
    elif machine_code.is_awaited():
      return self._uncompiled(*arguments)
    elif machine_code.is_complete():
      self.dispatcher._compiler.compile = _refuse
      self._form = self._kept
    else:
      self._form = self.dispatcher  # the other process has failed
    return self._form(*arguments)


def _refuse(*_: Any) -> Any:
  raise _MissingError


def _without_compilation(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a copy of a function that calls copies of the functions that would be compiled."""
  assert isinstance(function, types.FunctionType)  # noqa: S101  `compiled` takes only those
  known = _plain_globals(function.__module__, function.__globals__)
  return types.FunctionType(
    function.__code__, known, function.__name__, function.__defaults__, function.__closure__
  )


class _PlainGlobals(dict[str, Any]):
  """The names of a module, where uncompiled functions stand for compiled ones."""

  def __init__(self, given: dict[str, Any]) -> None:
    super().__init__({k: v for k, v in given.items() if not isinstance(v, Compiled)})
    self._given = given

  def fill(self) -> None:
    """Adds the uncompiled functions."""
    for name, value in self._given.items():
      if isinstance(value, Compiled):
        self[name] = value.plain


_plain: dict[str, _PlainGlobals] = {}


def _plain_globals(module: str, given: dict[str, Any]) -> dict[str, Any]:
  """Returns the names of a module for its uncompiled functions."""
  if module not in _plain:
    _plain[module] = _PlainGlobals(given)  # first, since functions call each other
    _plain[module].fill()
  return _plain[module]


def _dispatcher(function: Callable[..., Any], options: dict[str, Any]) -> Any:
  """Returns Numba's dispatcher of a function, whose machine code is kept on disk if possible."""
  from numba import config, njit

  folder = machine_code.folder()
  if folder is None:
    return njit(**options)(function)
  before, config.CACHE_DIR = config.CACHE_DIR, folder  # only `njit` reads it
  try:
    return _kept_if_possible(njit(cache=True, **options)(function))
  except RuntimeError:  # the folder is no longer writable, and Numba found no other
    return njit(**options)(function)
  finally:
    config.CACHE_DIR = before


def _kept_if_possible(dispatcher: Any) -> Any:
  """Changes a compiled function: if its machine code cannot be kept (the disk is full), it runs."""
  save = dispatcher._cache.save_overload

  def save_if_possible(*arguments: Any) -> None:
    try:
      save(*arguments)
    except OSError as error:
      unsaved.append(str(error))

  dispatcher._cache.save_overload = save_if_possible
  return dispatcher
