"""Writes files atomically: no reader, crash or full disk ever leaves a part of one.

It writes all files of a search except its files of lines (`rlnas.search.line_file`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import uuid
from collections.abc import Mapping

Content = bytes | str  # text is written as UTF-8


class WriteError(OSError):
  """A file cannot be written; an earlier file of that name is unchanged."""


def write_file(path: str | os.PathLike[str], content: Content) -> None:
  """Writes one file; see `write_files`."""
  write_files({path: content})


def write_folder(folder: str | os.PathLike[str], contents: Mapping[str, Content]) -> None:
  """Writes files of a folder, by their names in it; see `write_files`."""
  write_files({pathlib.Path(folder) / name: content for name, content in contents.items()})


def write_files(contents: Mapping[str | os.PathLike[str], Content]) -> None:
  """Writes files, and creates their folders if needed. All are written, or all stay as they were.

  The content of each goes to a temporary file beside it first. Only when the disk has all of them,
  each is renamed and replaces what was there. The files have the usual permissions (the umask), and
  no temporary file is left.

  Args:
    contents: the content of each file, by its path.

  Raises:
    WriteError: a file cannot be written; the error names it.
  """
  temporary: dict[pathlib.Path, pathlib.Path] = {}  # by the path of the file
  path = pathlib.Path()
  try:
    for path, content in ((pathlib.Path(name), value) for name, value in contents.items()):
      if path.exists() and not path.is_file():
        raise OSError(errno.EISDIR, 'it is a directory or a device')
      path.parent.mkdir(parents=True, exist_ok=True)
      temporary[path] = path.with_name(f'.{uuid.uuid4().hex}.tmp')
      _write(temporary[path], content.encode() if isinstance(content, str) else content)
    for path in tuple(temporary):
      os.replace(temporary[path], path)
      del temporary[path]
      sync_folder(path.parent)
  except OSError as error:
    cause = error.strerror or str(error)
    raise WriteError(error.errno, f'cannot be written ({cause})', str(path)) from error
  finally:
    for left in temporary.values():
      with contextlib.suppress(OSError):
        left.unlink()


def _write(path: pathlib.Path, content: bytes) -> None:
  """Writes a new file and waits until the disk has it."""
  rest = memoryview(content)
  with path.open('xb', buffering=0) as file:  # no buffer: `close` writes nothing
    while rest:
      rest = rest[file.write(rest) or 0 :]
    os.fsync(file.fileno())


def sync_folder(folder: pathlib.Path) -> None:
  """Waits until the disk has the entries of a folder: a new file is safe only after that."""
  if os.name == 'posix':
    descriptor = os.open(folder, os.O_RDONLY)
    try:
      os.fsync(descriptor)
    finally:
      os.close(descriptor)
