"""A file of lines that survives a crash: `append` writes whole lines and waits for the disk.

Only one process can hold such a file. If a line cannot be written (the disk is full), the file
stays as it was. If the file is removed while it is open, it can be restored.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from rlnas.data.atomic_file import sync_folder

try:
  import fcntl
except ImportError:
  fcntl = None  # type: ignore[assignment]


class LockedError(Exception):
  """Another process holds the file."""


class LineFile:
  """An append-only file of lines, locked as long as it is open.

  Args:
    path: the file; created, with its folder, if it does not exist.

  Raises:
    LockedError: another process has it open; the lock ends with that process.
    OSError: it cannot be read or written.
  """

  def __init__(self, path: pathlib.Path) -> None:
    self.path = path
    path.parent.mkdir(parents=True, exist_ok=True)
    self._file = path.open('a+b', buffering=0)  # no buffer: no write happens later
    if fcntl is not None:  # Windows has none
      try:
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError as error:
        self._file.close()
        raise LockedError(str(path)) from error
    sync_folder(path.parent)
    self.size = self._file.seek(0, os.SEEK_END)

  def read(self) -> bytes:
    """Everything that the file holds, even if its path was removed or replaced."""
    self._file.seek(0)
    return b''.join(iter(lambda: self._file.read(1 << 24), b''))

  def append(self, lines: Sequence[str]) -> None:
    """Adds lines and waits until the disk has them.

    Raises:
      OSError: the lines cannot be written; the file is as before.
    """
    data = memoryview(''.join(f'{line}\n' for line in lines).encode())
    written = 0
    try:
      while written < len(data):
        written += self._file.write(data[written:]) or 0
      os.fsync(self._file.fileno())
    except OSError as error:
      self._file.truncate(self.size)
      cause = error.strerror or str(error)
      raise OSError(
        error.errno, f'cannot be written ({cause}); its earlier lines are safe', str(self.path)
      ) from error
    self.size += written

  def truncate(self, size: int) -> None:
    """Cuts the file off after `size` bytes."""
    self._file.truncate(size)
    os.fsync(self._file.fileno())
    self.size = size

  def is_lost(self) -> bool:
    """Whether the path was removed, or leads to another file."""
    try:
      return not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
    except OSError:
      return True

  def restore(self) -> pathlib.Path:
    """Writes a lost file again, beside any file that has its path now.

    Returns:
      The path of the new file.

    Raises:
      OSError: the new file cannot be written either.
    """
    place = self.path
    if place.exists():
      place = place.with_name(f'{place.name}.restored-{os.getpid()}')
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open('xb') as file:
      file.write(self.read())
      file.flush()
      os.fsync(file.fileno())
    return place

  def close(self) -> None:
    """Closes and unlocks the file."""
    self._file.close()
