"""The only state of a search: an append-only file of JSON lines.

The first line carries the format's version and the configuration of the search; every further
line is one trial, in order of their indices. A line is on the disk before the strategy hears of
its trial, so a search that was killed at any instant goes on from its journal. A half-written
last line is dropped (its trial runs again); damage anywhere else is an error, never a guess.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from typing import IO

from absl import logging

from rlnas.architecture import Scalar
from rlnas.trial import Trial

try:
  import fcntl
except ImportError:
  fcntl = None  # type: ignore[assignment]

FORMAT = 'rlnas-journal'
VERSION = 1


class JournalError(ValueError):
  """A journal is damaged, or belongs to another search."""


class Journal:
  """The journal of one search.

  Args:
    path: the file; made, with its folder, where it does not exist.
    configuration: whatever decides the course of the search, by name. A journal that was begun
      with another configuration is refused, so that one file never mixes two searches.

  Raises:
    JournalError: the file is no journal, is damaged, was begun with another configuration, or is
      being written by another process.
    OSError: the file cannot be read or written.
  """

  def __init__(
    self, path: str | os.PathLike[str], *, configuration: Mapping[str, Scalar | None]
  ) -> None:
    self.path = pathlib.Path(path)
    self.path.parent.mkdir(parents=True, exist_ok=True)
    self._file = self.path.open('a+b')
    _lock(self.path, self._file)
    self._file.seek(0)
    content = self._file.read()
    lines = _whole_lines(self.path, content)
    header = json.dumps({'format': FORMAT, 'version': VERSION, 'configuration': {**configuration}})
    if lines:
      _check_configuration(self.path, _read_header(self.path, lines[0]), configuration)
    elif not header.encode().startswith(content):
      raise JournalError(f'{self.path}:1: not the header of a journal: {content[:80]!r}')
    self.trials = tuple(_parse(self.path, lines[1:]))
    whole = content.rfind(b'\n') + 1
    if whole < len(content):
      logging.warning('%s: the last line is half written; its trial runs again', self.path)
      self._file.truncate(whole)
    if not lines:
      self._write(header)

  def append(self, trial: Trial) -> None:
    """Adds one trial and waits until the disk has it."""
    self._write(trial.to_json())

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def _write(self, line: str) -> None:
    self._file.write(line.encode() + b'\n')
    self._file.flush()
    os.fsync(self._file.fileno())


def read_journal(path: str | os.PathLike[str]) -> tuple[dict[str, Scalar | None], list[Trial]]:
  """Reads a journal without touching it.

  Returns:
    The configuration and the trials.

  Raises:
    JournalError: the file is damaged.
    OSError: it cannot be read.
  """
  path = pathlib.Path(path)
  lines = _whole_lines(path, path.read_bytes())
  if not lines:
    raise JournalError(f'{path}: no header line')
  return _read_header(path, lines[0]), _parse(path, lines[1:])


def _lock(path: pathlib.Path, file: IO[bytes]) -> None:
  """Keeps a second search from writing into the same file; the lock ends with the process."""
  if fcntl is None:  # Windows
    return
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError as error:
    raise JournalError(f'{path}: another search is writing it') from error


def _whole_lines(path: pathlib.Path, content: bytes) -> list[str]:
  """The lines before the last newline; what stands behind it was not written to its end."""
  try:
    return content[: content.rfind(b'\n') + 1].decode().splitlines()
  except UnicodeDecodeError as error:
    raise JournalError(f'{path}: not UTF-8 text ({error})') from error


def _read_header(path: pathlib.Path, line: str) -> dict[str, Scalar | None]:
  """The configuration in a journal's first line. Raises JournalError."""
  try:
    header = json.loads(line)
    if header['format'] != FORMAT or header['version'] != VERSION:
      raise JournalError(f'{path}: not of format {FORMAT} version {VERSION}: {line[:80]}')
    return dict(header['configuration'])
  except (ValueError, KeyError, TypeError) as error:
    if isinstance(error, JournalError):
      raise
    raise JournalError(f'{path}:1: not the header of a journal: {line[:80]!r}') from error


def _check_configuration(
  path: pathlib.Path,
  found: Mapping[str, Scalar | None],
  wanted: Mapping[str, Scalar | None],
) -> None:
  missing = object()
  differences = [
    f'{name} was {found.get(name, "absent")!r}, now {wanted.get(name, "absent")!r}'
    for name in sorted({*found, *wanted})
    if found.get(name, missing) != wanted.get(name, missing)
  ]
  if differences:
    raise JournalError(
      f'{path} belongs to a search with another configuration: {"; ".join(differences)}. '
      'Give the same settings to resume it, or another folder.'
    )


def _parse(path: pathlib.Path, lines: list[str]) -> list[Trial]:
  trials: list[Trial] = []
  for index, line in enumerate(lines):
    try:
      trial = Trial.from_json(line)
    except ValueError as error:
      raise JournalError(
        f'{path}:{index + 2}: damaged line ({error}). Restore the file, or cut it off before this '
        'line to run the later trials again.'
      ) from error
    if trial.index != index:
      raise JournalError(f'{path}:{index + 2}: trial {trial.index} stands where {index} belongs')
    trials.append(trial)
  return trials
