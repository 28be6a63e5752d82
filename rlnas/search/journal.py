"""The only state of a search: an append-only file of JSON lines.

The first line holds the format's version and the configuration of the search; every further line
is one trial, in order of their indices. A line is on the disk before the strategy is told its
trial, so a search that was killed at any moment can resume from its journal. A half-written last
line is dropped (its trial runs again); damage anywhere else is an error.

Workers do not finish in order. A trial that finishes before an earlier one waits in a second file
of the same format, `<journal>.ahead`, until it is next. So the journal has the same bytes whatever
the order in which workers finish, and no finished trial is lost.
"""

from __future__ import annotations

import gc
import json
import os
import pathlib
from collections.abc import Mapping

from absl import logging

from rlnas.architecture import Scalar
from rlnas.search.line_file import LineFile, LockedError
from rlnas.trial import Trial, check_types

FORMAT = 'rlnas-journal'
VERSION = 2
_READABLE = (1, 2)  # version 1 had the predicted accuracy in the measurement
# Settings that earlier journals of this version do not name, as those searches had them.
_UNNAMED: Mapping[str, Scalar | None] = {'metric': 'accuracy', 'learn_from': None}


class JournalError(ValueError):
  """A journal is damaged, or belongs to another search."""


class Journal:
  """The journal of one search.

  Args:
    path: the file; created, with its folder, if it does not exist.
    configuration: every setting that decides the course of the search, by name. A journal with
      another configuration is refused, so one file never mixes two searches.

  Attributes:
    trials: the trials that the journal held when it was opened, in order of their indices.

  Raises:
    JournalError: the file is not a journal, is damaged, has another configuration or an earlier
      version, or another process is writing it.
    OSError: the file cannot be read or written.
  """

  def __init__(
    self, path: str | os.PathLike[str], *, configuration: Mapping[str, Scalar | None]
  ) -> None:
    self.path = pathlib.Path(path)
    self._configuration = dict(configuration)
    self._ahead: LineFile | None = None  # created when a trial first finishes before an earlier one
    self._waiting: dict[int, Trial] = {}  # finished, but not in the journal yet
    self._file, trials = self._open(self.path)
    try:
      _check_order(self.path, trials)
      self._next = len(trials)
      if _ahead_of(self.path).exists():
        self._ahead, early = self._open(_ahead_of(self.path))
        self._waiting = {trial.index: trial for trial in early if trial.index >= self._next}
      self._found = dict(self._waiting)
      self.trials = (*trials, *self._settle())
    except BaseException:
      self._file.close()
      if self._ahead is not None:
        self._ahead.close()
      raise

  @property
  def header(self) -> str:
    """The first line: the format and the configuration."""
    return json.dumps({'format': FORMAT, 'version': VERSION, 'configuration': self._configuration})

  @property
  def state_path(self) -> pathlib.Path:
    """Path of the strategy's state, a cache (`rlnas.search.strategy_state`)."""
    return self.path.with_name(f'{self.path.stem}.state.npz')

  def find(self, index: int) -> Trial | None:
    """The trial of that index if the files held it when they were opened, else None."""
    return self.trials[index] if index < len(self.trials) else self._found.get(index)

  def add(self, trial: Trial) -> None:
    """Adds one trial, in any order, and waits until the disk has it.

    Raises:
      OSError: the disk is full, or the files were removed; earlier trials are safe.
      ValueError: the trial was added before.
    """
    if trial.index < self._next or trial.index in self._waiting:
      raise ValueError(f'trial {trial.index}: {self.path} holds it already')
    if trial.index > self._next:
      if self._ahead is None:
        self._ahead, _ = self._open(_ahead_of(self.path))
      self._ahead.append([trial.to_json()])
    self._waiting[trial.index] = trial
    self._settle()
    self._check_present()

  def close(self) -> None:
    """Closes the files; an empty second one is removed."""
    if self._ahead is not None:
      self._ahead.close()
      if not self._waiting:
        self._ahead.path.unlink(missing_ok=True)
      self._ahead = None
    self._file.close()

  def _open(self, path: pathlib.Path) -> tuple[LineFile, list[Trial]]:
    try:
      file = LineFile(path)
    except LockedError as error:
      raise JournalError(f'{path}: another search is writing it') from error
    try:
      return file, self._begin(file)
    except BaseException:
      file.close()
      raise

  def _begin(self, file: LineFile) -> list[Trial]:
    """Reads a file, cuts off a half-written line, and writes a header if the file is new."""
    content = file.read()
    lines = _whole_lines(content)
    header = self.header
    if lines:
      version, configuration = _read_header(file.path, lines[0])
      if version != VERSION:
        raise JournalError(
          f'{file.path}: is of format version {version}; its search can be read and finished, but '
          f'only a journal of version {VERSION} can be resumed: choose another folder'
        )
      _check_configuration(file.path, configuration, self._configuration)
    elif not header.encode().startswith(content):
      raise JournalError(f'{file.path}:1: not the header of a journal: {content[:80]!r}')
    trials = _parse(file.path, lines[1:])
    whole = content.rfind(b'\n') + 1
    if whole < len(content):
      logging.warning('%s: the last line is half written; its trial runs again', file.path)
      file.truncate(whole)
    if not lines:
      file.append([header])
    return trials

  def _settle(self) -> list[Trial]:
    """Writes to the journal all waiting trials that are next, and returns them."""
    settled: list[Trial] = []
    while self._next + len(settled) in self._waiting:
      settled.append(self._waiting[self._next + len(settled)])
    if settled:
      self._file.append([trial.to_json() for trial in settled])
      self._next += len(settled)
      for trial in settled:
        del self._waiting[trial.index]
    begun = len(self.header) + 1
    if self._ahead is not None and not self._waiting and self._ahead.size > begun:
      self._ahead.truncate(begun)
    return settled

  def _check_present(self) -> None:
    files = [file for file in (self._file, self._ahead) if file is not None]
    if not any(file.is_lost() for file in files):
      return
    try:
      places = ', '.join(str(file.restore()) for file in files if file.is_lost())
      outcome = f'all its trials were written again, to {places}'
    except OSError as error:
      outcome = f'it could not be written again ({error})'
    raise OSError(f'{self.path} was removed or replaced while the search ran; {outcome}')


def read_journal(path: str | os.PathLike[str]) -> tuple[dict[str, Scalar | None], list[Trial]]:
  """Reads a journal of this version or an earlier one, without changing it.

  Returns:
    The configuration and the trials.

  Raises:
    JournalError: the file is damaged.
    OSError: it cannot be read.
  """
  path = pathlib.Path(path)
  lines = _whole_lines(path.read_bytes())
  if not lines:
    raise JournalError(f'{path}: no header line')
  trials = _parse(path, lines[1:])
  _check_order(path, trials)
  return _read_header(path, lines[0])[1], trials


def _ahead_of(path: pathlib.Path) -> pathlib.Path:
  return path.with_name(f'{path.name}.ahead')


def _whole_lines(content: bytes) -> list[bytes]:
  """The lines before the last newline; the rest is a half-written line."""
  return content.split(b'\n')[:-1]


def _read_header(path: pathlib.Path, line: bytes) -> tuple[int, dict[str, Scalar | None]]:
  """The version and the configuration in a journal's first line. Raises JournalError."""
  try:
    header = json.loads(line)
    if header['format'] != FORMAT or header['version'] not in _READABLE:
      versions = ' or '.join(map(str, _READABLE))
      raise JournalError(f'{path}: not of format {FORMAT} version {versions}: {line[:80]!r}')
    return header['version'], dict(header['configuration'])
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
  found, wanted = {**_UNNAMED, **found}, {**_UNNAMED, **wanted}
  differences = [
    f'{name} was {found.get(name, "absent")!r}, now {wanted.get(name, "absent")!r}'
    for name in sorted({*found, *wanted})
    if found.get(name, missing) != wanted.get(name, missing)
  ]
  if differences:
    raise JournalError(
      f'{path} belongs to a search with another configuration: {"; ".join(differences)}. '
      'Give the same settings to resume it, or another folder (--workdir).'
    )


def _parse(path: pathlib.Path, lines: list[bytes]) -> list[Trial]:
  trials: list[Trial] = []
  collecting = gc.isenabled()
  gc.disable()  # trials have no reference cycles, and scanning millions of objects is slow
  try:
    for index, line in enumerate(lines):
      trials.append(_parse_line(path, index, line))
  finally:
    if collecting:
      gc.enable()
  return trials


def _parse_line(path: pathlib.Path, index: int, line: bytes) -> Trial:
  try:
    trial = Trial.from_json(line.decode())
    check_types(trial)
  except ValueError as error:
    raise JournalError(
      f'{path}:{index + 2}: damaged line ({error}). Restore the file, or keep only its first '
      f'{index + 1} lines to run the later trials again.'
    ) from error
  return trial


def _check_order(path: pathlib.Path, trials: list[Trial]) -> None:
  for index, trial in enumerate(trials):
    if trial.index != index:
      raise JournalError(
        f'{path}:{index + 2}: is trial {trial.index}, must be trial {index}. Restore the file, or '
        f'keep only its first {index + 1} lines to run the later trials again.'
      )
