"""Where the machine code of compiled functions is kept, and which process compiles it.

A process that has called `compile_in_background` does not compile (`rlnas.cost.jit`). If the folder
of the machine code has no marker, which says that it is complete, one process
(`rlnas.cost.compiler`) is started for all that wait. It holds a lock on a file of the folder, which
the system releases however it ends. A process that finds neither a marker nor a lock starts the
next one, so that a killed compiler is replaced. If a compiler ends without a marker (the disk may
be full), the process that started it compiles after all.

The compiler does not end with the process that started it: it is done within seconds, and the next
start gains from it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO

from absl import logging

from rlnas.cost.file_locks import locked

_COST = (
  *('arena_head', 'arena_tail', 'beam_search', 'builds', 'cost', 'file_locks', 'flash', 'hearing'),
  *('jit', 'kinds', 'limits', 'machine_code', 'mel_bank', 'nodes', 'operators', 'preprocessing'),
  *('scale_order', 'schedule', 'structures', 'tasks', 'terms', 'window', 'workload'),
)
SOURCES = ('architecture.py', 'budget.py', *(f'cost/{name}.py' for name in _COST))
_PACKAGE = pathlib.Path(__file__).parents[1]
_PREFIX, _MARKER, _LOCK = 'numba-', 'complete', 'lock'
_GIVEN = 'NUMBA_CACHE_DIR'  # where the folder is, if the environment says so
_LOOK_SECONDS = 0.1  # between looks whether another process is done
# A folder of another state of the sources is removed if no process began to use it for so long. A
# process that still uses it has loaded what it needs, or compiles once more.
_OUTDATED_SECONDS = 7 * 24 * 3600.0


class _State:
  """The state of the machine code as this process knows it."""

  def __init__(self) -> None:
    self.in_background = False
    self.complete = self.failed = False
    self.next_look = 0.0
    self.compiler: subprocess.Popen[bytes] | None = None
    self.errors: IO[bytes] | None = None


_state = _State()


def compile_in_background() -> None:
  """From now on, functions of this process run uncompiled until their machine code is complete.

  The process that compiles is started when the first of them is called; `is_awaited` starts it at
  once.
  """
  _state.in_background = True


def in_background() -> bool:
  """Whether `compile_in_background` was called, and there is a folder for the machine code."""
  return _state.in_background and folder() is not None


def is_disabled() -> bool:
  """Whether Numba is told to compile nothing."""
  return os.environ.get('NUMBA_DISABLE_JIT', '0') not in ('', '0')


def is_complete() -> bool:
  """Whether the machine code of all functions is on disk."""
  if not _state.complete and (where := folder()) is not None:
    marker = os.path.join(where, _MARKER)
    _state.complete = os.path.exists(marker)
    if _state.complete:
      with contextlib.suppress(OSError):
        os.utime(marker)  # tells that the folder is in use
  return _state.complete


def renounce() -> None:
  """Records that machine code is missing after all: the next process that starts compiles again."""
  where = folder()
  if where is not None:
    with contextlib.suppress(OSError):
      os.unlink(os.path.join(where, _MARKER))
      logging.warning('Machine code of the cost model is missing in %s: estimates are slow', where)


def is_awaited() -> bool:
  """Whether another process is compiling; starts it if there is none.

  False if there is nothing to wait for: the machine code is complete, no process can be started or
  the one that was started has failed, or this process does not compile in the background.
  """
  if not in_background() or is_disabled() or _state.failed or _state.complete:
    return False
  now = time.monotonic()
  if now < _state.next_look:
    return True
  _state.next_look = now + _LOOK_SECONDS
  try:
    return _is_compiling()
  except OSError as error:
    _fail(str(error))
    return False


def _is_compiling() -> bool:
  """As `is_awaited`. Raises OSError."""
  ended = _state.compiler is not None and _state.compiler.poll() is not None
  if is_complete():
    return False
  if ended:
    _fail(_last_line(_state.errors))
    return False
  if _state.compiler is not None:
    return True
  lock = _locked()
  if lock is None:
    return True  # another process waits or compiles
  try:
    if is_complete():
      return False
    _start(lock)
  finally:
    os.close(lock)  # the compiler holds it, too
  return True


def _start(lock: int) -> None:
  root = str(_PACKAGE.parent)
  paths = [root, *filter(None, [os.environ.get('PYTHONPATH')])]
  where = folder()
  assert where is not None  # noqa: S101  the lock is in it
  _state.errors = tempfile.TemporaryFile()  # noqa: SIM115  read when the process has ended
  _state.compiler = subprocess.Popen(  # noqa: S603  a module of this package
    [sys.executable, '-m', 'rlnas.cost.compiler', str(lock)],
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=_state.errors,
    cwd=root,
    env=os.environ | {'PYTHONPATH': os.pathsep.join(paths), _GIVEN: os.path.dirname(where)},
    pass_fds=[lock],
    start_new_session=True,  # Ctrl-C is not meant for it
  )


def _fail(cause: str) -> None:
  _state.failed = True
  logging.warning(
    'The cost model cannot be compiled in the background (%s); that happens now, where needed.',
    cause or 'no cause is known',
  )


def _last_line(file: IO[bytes] | None) -> str:
  if file is None:
    return ''
  file.seek(0)
  lines = file.read().decode(errors='replace').strip().splitlines()
  return lines[-1] if lines else ''


def _locked(*, wait: bool = False) -> int | None:
  """As `locked`, for the file that the process that compiles holds. Raises OSError."""
  where = folder()
  assert where is not None  # noqa: S101  asked before
  return locked(os.path.join(where, _LOCK), create=True, wait=wait)


@contextlib.contextmanager
def completing(*, inherited: bool) -> Iterator[bool]:
  """A context that compiles everything and marks it as complete, unless it raises.

  Args:
    inherited: whether the process that started this one has locked the file for it.

  Yields:
    Whether there is something to compile.

  Raises:
    OSError: there is no folder that can be written, or no lock.
  """
  where = folder()
  if where is None:
    raise OSError('no folder for machine code can be written')
  lock = None if inherited else _locked(wait=True)
  try:
    missing = not is_complete()
    yield missing
    if missing:
      _mark(where)
      _remove_outdated(os.path.dirname(where))
  finally:
    if lock is not None:
      os.close(lock)


def _mark(where: str) -> None:
  """Writes the marker, as a whole or not at all. Raises OSError."""
  descriptor, name = tempfile.mkstemp(dir=where)
  os.close(descriptor)
  os.replace(name, os.path.join(where, _MARKER))


def _remove_outdated(base: str) -> None:
  """Removes the folders of other states of the sources that no process uses any longer."""
  limit = time.time() - _OUTDATED_SECONDS
  for place in pathlib.Path(base).glob(f'{_PREFIX}*'):
    with contextlib.suppress(OSError):
      times = [path.stat().st_mtime for path in (place, place / _MARKER) if path.exists()]
      if str(place) != folder() and max(times) < limit:
        shutil.rmtree(place, ignore_errors=True)


@functools.cache
def folder() -> str | None:
  """Returns the cache folder for this state of the sources; None if no folder can be made."""
  home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  choices = (str(_PACKAGE / '__pycache__'), os.path.join(home, 'rlnas'))
  given = os.environ.get(_GIVEN)
  for base in (given,) if given else choices:
    path = os.path.abspath(os.path.join(base, f'{_PREFIX}{_digest()}'))
    try:
      os.makedirs(path, exist_ok=True)
      tempfile.TemporaryFile(dir=path).close()  # as Numba does: permissions alone are no proof
    except OSError:
      continue
    return path
  return None


def _digest() -> str:
  """Of all that machine code depends on; Numba looks at most of it, too, before it takes a file."""
  sources = [_PACKAGE / name for name in SOURCES]
  parts = [
    sys.version,
    *map(importlib.metadata.version, ('numba', 'llvmlite', 'numpy')),
    platform.machine(),
    _processor(),
    str(sorted((k, v) for k, v in os.environ.items() if k.startswith('NUMBA_') and k != _GIVEN)),
    str(_PACKAGE),
    *(f'{path.stat().st_mtime} {path.read_text(encoding="utf-8")}' for path in sources),
  ]
  return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
  """The processor's name and instruction sets: a folder may be shared by several machines."""
  try:
    text = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace')
  except OSError:
    return platform.processor()
  known = [line for line in text.split('\n\n')[0].splitlines() if ':' in line]
  return '\n'.join(
    line for line in known if line.startswith(('model name', 'flags', 'Features', 'CPU part'))
  )
