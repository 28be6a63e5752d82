"""Examples of CSV files: each row is one, or each window of a recording, or each recording.

A recording is a file, or a part of one: another begins where the label, the group or a column such
as 'recording' changes, and where the time goes back. No window reaches over its end. All windows of
a recording are in one group, so that they lie in one split.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.csv_files import (
  Columns,
  CsvTable,
  check_filled,
  columns_of,
  read_csv,
  typed_labels,
)
from rlnas.data.folders import IN_FOLDERS
from rlnas.data.npz_keys import NO_GROUPS

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Reading:
  """How CSV files are read.

  Attributes:
    label: column of the labels; by default a usual name, or else the only column of text.
    group: column of the groups, 'folder' for the folder of a file, or 'none'; by default a column
      with a usual name, or else the folder of files whose label is a column and that lie in several
      folders, or else each recording is a group.
    features: columns that the networks read; by default all that are nothing else.
    window: rows of a window; by default a row is an example, and in folders by class a file.
    hop: rows from the beginning of a window to that of the next; by default half a window.

  Raises:
    ValueError: `window` or `hop` is below 1, or there is a hop without a window.
  """

  label: str | None = None
  group: str | None = None
  features: tuple[str, ...] = ()
  window: int | None = None
  hop: int | None = None

  def __post_init__(self) -> None:
    for name, value in (('window', self.window), ('hop', self.hop)):
      if value is not None and value < 1:
        raise ValueError(f'{name}={value}: must be at least 1 row')
    if self.hop is not None and self.window is None:
      raise ValueError(f'hop={self.hop}: needs a window')


@dataclasses.dataclass(frozen=True)
class Source:
  """A CSV file, and the class that its folder stands for, if any."""

  path: pathlib.Path
  class_name: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
  """The examples of some files.

  Attributes:
    x: rows [N, 1, 1, F], images of one pixel whose channels are the features; windows or
      recordings [N, T, F].
    y: labels, integers or text. [N]
    groups: group of each example; None if each is on its own. [N]
    columns: the roles of the columns of the files.
    note: the choice of columns and windows, in one line.
  """

  x: Array
  y: Array
  groups: Array | None
  columns: Columns
  note: str


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
  """A recording, or rows of a file of one label: its values [rows, F], label, group and place."""

  values: Array
  label: str
  group: str
  place: str


def read_examples(sources: Sequence[Source], how: Reading) -> Examples:
  """Reads the examples of files with the same columns.

  Raises:
    FileNotFoundError: a file is missing.
    ValueError: a file cannot be read, lacks a column, or has a cell that is not a number; no
      recording is as long as a window; or, without window, recordings by class differ in length.
  """
  by_class = sources[0].class_name is not None
  first = read_csv(sources[0].path)
  by_folder = how.group == IN_FOLDERS
  columns = columns_of(
    first,
    label=how.label,
    group=None if by_folder else how.group,
    features=how.features,
    in_class=by_class,
  )
  if by_folder and columns.group is not None:  # its changes still part recordings
    columns = dataclasses.replace(columns, group=None, marks=(columns.group, *columns.marks))
  elif how.group is None and columns.group is None and not by_class:
    by_folder = len({source.path.parent for source in sources}) > 1
  # One table after the other, since text takes much memory.
  tables = itertools.chain([first], (read_csv(source.path) for source in sources[1:]))
  parts: list[_Part] = []
  for source, table in zip(sources, tables, strict=True):
    _check_columns(table, columns, first)
    parts += _parts(source, table, columns, how, by_folder=by_folder, alone=len(sources) == 1)
  if how.window is not None:
    x, y, groups, said = _windows(parts, how.window, how.hop or max(1, how.window // 2))
  elif by_class:
    x, y, groups, said = _recordings(parts)
  else:
    x, y, groups, said = _rows(parts)
  rising = [] if how.features or not (how.window or by_class) else _rising(parts, columns.features)
  has_groups = columns.group is not None or by_folder or how.window is not None
  has_groups |= len(sources) > 1 and not by_class
  return Examples(
    x=x,
    y=np.array(y, str) if by_class else typed_labels(y),
    groups=np.array(groups, str) if has_groups and how.group != NO_GROUPS else None,
    columns=columns,
    note=_note(first, columns, said, rising, by_folder=by_folder),
  )


def _check_columns(table: CsvTable, columns: Columns, first: CsvTable) -> None:
  """Raises ValueError if a table lacks a column that the first one has."""
  for name in (*columns.features, columns.label, columns.group):
    if name is not None and name not in table.names:
      raise ValueError(
        f'{table.path}: has no column {name!r}, only {", ".join(table.names)}; must have the '
        f'columns of {first.path}'
      )


def _parts(
  source: Source,
  table: CsvTable,
  columns: Columns,
  how: Reading,
  *,
  by_folder: bool,
  alone: bool,
) -> Iterator[_Part]:
  """The recordings of a file; the file itself if it is of a class, and there are no windows.

  Unless the file is alone, all of its recordings are one group; all of a folder if `by_folder`.
  """
  values = table.numbers(columns.features)
  for name in (columns.label, columns.group):
    if name is not None:
      check_filled(table, name)
  rows = len(values)
  if source.class_name is not None or columns.label is None:
    labels = [str(source.class_name)] * rows
  else:
    labels = table.column(columns.label)
  groups = None if columns.group is None else table.column(columns.group)
  marks = [table.column(name) for name in columns.marks if name in table.names]
  keys = [labels, *([groups] if groups else []), *marks]
  is_whole = source.class_name is not None and how.window is None
  cuts = set() if is_whole else _changes(keys) | _resets(table, columns.time)
  edges = [0, *sorted(cuts), rows]
  for start, end in itertools.pairwise(edges):
    place = f'{table.path}, lines {table.lines[start]} to {table.lines[end - 1]}'
    if groups is not None:
      group = groups[start]
    elif by_folder:
      group = table.path.parent.name
    else:
      group = place if alone else str(table.path)
    yield _Part(values[start:end], labels[start], group, place)


def _changes(columns: Sequence[Sequence[str]]) -> set[int]:
  """The rows at which a cell in one of the columns differs from that in the row before."""
  return {i for cells in columns for i in range(1, len(cells)) if cells[i] != cells[i - 1]}


def _resets(table: CsvTable, time: str | None) -> set[int]:
  """The rows whose time is before that of the row before."""
  if time is None or time not in table.names:
    return set()
  cells: Sequence[Any] = table.column(time)
  if not table.holds_text(time):
    cells = table.numbers([time])[:, 0].tolist()
  return {i for i in range(1, len(cells)) if cells[i] < cells[i - 1]}


_Found = tuple[Array, list[str], list[str], str]  # examples, labels, groups, what they are


def _windows(parts: Sequence[_Part], window: int, hop: int) -> _Found:
  long = [part for part in parts if len(part.values) >= window]
  if not long:
    most = max(parts, key=lambda part: len(part.values))
    raise ValueError(
      f'window={window}: the longest recording has {len(most.values)} rows ({most.place}); must '
      'be at most that. Another recording begins where label, group or recording change, or the '
      'time goes back'
    )
  x, y, groups = [], [], []
  for part in long:
    # [windows, F, window]
    found = np.lib.stride_tricks.sliding_window_view(part.values, window, axis=0)[::hop]
    x.append(found.transpose(0, 2, 1))
    y += [part.label] * len(found)
    groups += [part.group] * len(found)
  said = f'windows of {window} rows, every {hop}, of {len(long)} recordings'
  if len(long) < len(parts):
    said += f' ({len(parts) - len(long)} shorter skipped)'
  return np.concatenate(x), y, groups, said


def _recordings(parts: Sequence[_Part]) -> _Found:
  first = parts[0]
  for part in parts:
    if len(part.values) != len(first.values):
      raise ValueError(
        f'{part.place}: has {len(part.values)} rows, {first.place} {len(first.values)}; recordings '
        'must have one length, or be cut into windows: --window=ROWS'
      )
  x = np.stack([part.values for part in parts])
  said = f'each of {len(parts)} recordings is one example'
  return x, [part.label for part in parts], [part.group for part in parts], said


def _rows(parts: Sequence[_Part]) -> _Found:
  x = np.concatenate([part.values for part in parts])[:, np.newaxis, np.newaxis]
  y = [part.label for part in parts for _ in part.values]
  groups = [part.group for part in parts for _ in part.values]
  return x, y, groups, 'each row is one example'


def _rising(parts: Sequence[_Part], features: Sequence[str]) -> list[str]:
  """The features that grow from each row of a recording to the next, as times and counters do."""
  rises = np.all([np.all(np.diff(part.values, axis=0) > 0, axis=0) for part in parts], axis=0)
  return [name for name, always in zip(features, rises, strict=True) if always]


def _note(
  table: CsvTable, columns: Columns, said: str, rising: Sequence[str], *, by_folder: bool
) -> str:
  """What was decided, in one line."""
  features = columns.features
  shown = ', '.join(features) if len(features) <= 8 else f'{features[0]} to {features[-1]}'
  known = [f'{said}; {len(features)} feature{"s" * (len(features) > 1)} {shown}']
  known += [f'label {columns.label}'] if columns.label else []
  known += [f'group {columns.group}'] if columns.group else []
  known += ['each folder is a group'] if by_folder else []
  used = {*features, columns.label, columns.group}
  rest = [name or 'the column without a name' for name in table.names if name not in used]
  known += [f'not features: {", ".join(rest)}'] if rest else []
  if rising:
    known += [f'{", ".join(rising)} only rises: if it counts time, name the others (--features)']
  return '; '.join(known)
