"""Reads CSV files: their cells, and the roles of their columns.

A cell that should hold a number and does not is an error that names its line. So no row is dropped
silently.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from rlnas.data.files import existing, refuse
from rlnas.data.npz_keys import NO_GROUPS
from rlnas.data.tasks import MOST_CLASSES_OF_FLOATS

SUFFIXES = ('.csv', '.tsv')
_DELIMITERS = ',;\t'

# The usual names of columns in lower case, without '_id' at the end.
_LABELS = ('label', 'labels', 'class', 'target', 'activity', 'category')
_PEOPLE = ('group', 'groups', 'subject', 'person', 'participant', 'user', 'patient')
_RECORDINGS = ('recording', 'session', 'trial', 'file', 'sequence')
_NO_FEATURES = ('', 'id', 'index')  # of rows; to_csv of pandas writes a column without a name


@dataclasses.dataclass(frozen=True, eq=False)
class CsvTable:
  """The cells of a CSV file.

  Attributes:
    path: the file.
    names: names of the columns; '1', '2', ... if the file has no header.
    rows: the cells of each row as text, without spaces around them.
    lines: the line of the file that each row ends in, from 1.
  """

  path: pathlib.Path
  names: tuple[str, ...]
  rows: list[list[str]]
  lines: list[int]

  def column(self, name: str) -> list[str]:
    """The cells of a column."""
    place = self.names.index(name)
    return [row[place] for row in self.rows]

  def holds_text(self, name: str) -> bool:
    """Whether the first cell of a column that is not empty is not a number."""
    place = self.names.index(name)
    first = next((row[place] for row in self.rows if row[place]), '0')
    return not _is_number(first)

  def numbers(self, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """The cells of columns as numbers. [rows, names].

    Raises:
      ValueError: a cell is not a finite number; the error names its line and column.
    """
    columns = [self.column(name) for name in names]
    try:
      values = np.array([list(map(float, cells)) for cells in columns], np.float64).T
    except ValueError:
      self._refuse_cell(names, columns)
    if not np.isfinite(values).all():
      self._refuse_cell(names, columns)
    return values

  def _refuse_cell(self, names: Sequence[str], columns: Sequence[Sequence[str]]) -> NoReturn:
    row, name, cell = next(
      (row, name, cells[row])
      for row in range(len(self.rows))
      for name, cells in zip(names, columns, strict=True)
      if not (_is_number(cells[row]) and math.isfinite(float(cells[row])))
    )
    if not cell or cell.casefold() in ('nan', 'na', 'null'):
      cure = 'fill it in, or delete the line'
    elif _is_number(cell.replace(',', '.', 1)):
      cure = 'write decimals with a point'
    else:
      cure = f'name the columns of numbers, --features={",".join(self.names[:2])},...'
    raise ValueError(
      f'{self.path}: line {self.lines[row]}, column {name!r}: {cell!r}; must be a finite number: '
      f'{cure}'
    )


def read_csv(path: pathlib.Path) -> CsvTable:
  """Reads a CSV file: commas, semicolons or tabs between cells; UTF-8.

  Its first line names the columns, unless it holds numbers alone. Empty lines do not count.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is not a readable CSV file, has no row, two columns have one name, or a
      line has more or fewer cells than the first one.
  """
  existing(path)
  try:
    with path.open(encoding='utf-8-sig', newline='') as file:
      head = file.readline()
      file.seek(0)
      reader = csv.reader(file, delimiter=max(_DELIMITERS, key=head.count), strict=True)
      found = [([cell.strip() for cell in cells], reader.line_num) for cells in reader]
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    refuse(path, 'is not a readable CSV file in UTF-8', error)
  found = [(cells, line) for cells, line in found if any(cells)]
  if not found:
    raise ValueError(f'{path}: is empty; must have rows of numbers')
  first = found[0][0]
  has_header = not all(map(_is_number, first))
  names = tuple(first) if has_header else tuple(str(i + 1) for i in range(len(first)))
  rows = found[1:] if has_header else found
  if not rows:
    raise ValueError(f'{path}: has a header alone; must have rows of numbers below it')
  for name in names:
    if name and names.count(name) > 1:
      raise ValueError(f'{path}: two columns have the name {name!r}; names must differ')
  for cells, line in rows:
    if len(cells) != len(names):
      raise ValueError(f'{path}: line {line} has {len(cells)} cells; must have {len(names)}')
  return CsvTable(path, names, [cells for cells, _ in rows], [line for _, line in rows])


@dataclasses.dataclass(frozen=True)
class Columns:
  """The roles of the columns of a table.

  Attributes:
    features: columns that the networks read.
    label: column of the labels; None if the folder is the label.
    group: column of the groups; None if there is none.
    marks: further columns whose change begins another recording.
    time: column of the time; None if there is none.
  """

  features: tuple[str, ...]
  label: str | None
  group: str | None
  marks: tuple[str, ...]
  time: str | None


def columns_of(
  table: CsvTable,
  *,
  label: str | None = None,
  group: str | None = None,
  features: Sequence[str] = (),
  in_class: bool = False,
) -> Columns:
  """Finds the role of each column, by the names given and by the usual ones.

  Args:
    table: the table.
    label: name of the column of labels; by default a usual name, or else the only column of text.
    group: name of the column of groups; 'none' for none; by default a usual name.
    features: names of the columns that networks read; by default all others.
    in_class: whether the folder of the file is the label, so that no column must be.

  Raises:
    ValueError: there is no such column, or it is unclear which one is the label.
  """
  for setting, names in (('label', [label]), ('group', [group]), ('features', features)):
    for name in names:
      if name is not None and name not in table.names and (setting, name) != ('group', NO_GROUPS):
        raise ValueError(
          f'{setting}={name!r}: {table.path} has no such column, only {", ".join(table.names)}'
        )
  people, recordings = _usual(table.names, _PEOPLE), _usual(table.names, _RECORDINGS)
  labels = [label] if label is not None else _usual(table.names, _LABELS)
  if not in_class:
    apart = (group, *people, *recordings, *features)
    labels = [_label_among(table, [n for n in labels if n != group], apart, features)]
  marks = [name for name in (*people, *recordings) if name not in (*labels, *features)]
  if group is None:
    group = marks[0] if marks else None
  times = [name for name in table.names if _is_time(name) and name not in (*labels, group)]
  apart = (*labels, group, *marks, *times)
  others = [n for n in table.names if n not in apart and _plain(n) not in _NO_FEATURES]
  if not features and not others:
    raise ValueError(f'{table.path}: no column is left for the features; name them: --features=A,B')
  return Columns(
    features=tuple(features) or tuple(others),
    label=None if in_class else labels[0],
    group=None if group == NO_GROUPS else group,
    marks=tuple(name for name in marks if name != group),
    time=times[0] if times else None,
  )


def _label_among(
  table: CsvTable, named: Sequence[str], apart: Sequence[str | None], features: Sequence[str]
) -> str:
  """The column of the labels.

  Args:
    table: the table.
    named: columns that are named as labels are.
    apart: columns that cannot be the label by being of text.
    features: columns that are features.

  Raises:
    ValueError: no column or several may be the label, or it is a feature.
  """
  for name in named:
    if name in features:
      raise ValueError(
        f'features={name!r}: is the label, by --label or by its usual name; name another column: '
        '--label=NAME'
      )
  if not named:
    left = [name for name in table.names if name not in apart and not _is_time(name)]
    named = [name for name in left if table.holds_text(name)]
  if len(named) != 1:
    found = f'{" and ".join(map(repr, named))} may each be the label' if named else 'none is named '
    found += '' if named else ', '.join(_LABELS)
    raise ValueError(
      f'{table.path}: of the columns {", ".join(table.names)} {found}; name that of the labels: '
      '--label=NAME'
    )
  return named[0]


def check_filled(table: CsvTable, name: str) -> None:
  """Raises ValueError if a cell of a column, of labels or groups, is empty."""
  for cell, line in zip(table.column(name), table.lines, strict=True):
    if not cell:
      raise ValueError(
        f'{table.path}: line {line}, column {name!r}: is empty; fill it in, or delete the line'
      )


def typed_labels(cells: Sequence[str]) -> npt.NDArray[Any]:
  """Labels as integers if all are whole numbers, as floats if they look like values, else as text.

  More than `MOST_CLASSES_OF_FLOATS` different numbers, not all whole, look like values.
  """
  distinct = set(cells)
  are_numbers = all(_is_number(cell) and math.isfinite(float(cell)) for cell in distinct)
  if are_numbers and len(distinct) > MOST_CLASSES_OF_FLOATS:
    values = np.array([float(cell) for cell in cells])
    if not np.array_equal(values, np.rint(values)):
      return values
  if are_numbers and all(float(cell).is_integer() for cell in distinct):
    number = {cell: int(float(cell)) for cell in distinct}
    return np.array([number[cell] for cell in cells], np.int64)
  return np.array(cells, str)


def _usual(names: Sequence[str], usual: Sequence[str]) -> list[str]:
  """The names that are usual, in the order of the usual ones."""
  found = [name for name in names if _plain(name) in usual]
  return sorted(found, key=lambda name: usual.index(_plain(name)))


def _plain(name: str) -> str:
  plain = name.casefold().replace(' ', '_').replace('-', '_')
  return plain if plain == 'id' else plain.removesuffix('id').removesuffix('_')


def _is_time(name: str) -> bool:
  plain = name.casefold()
  return plain.startswith(('time', 'date')) or plain in ('t', 'sec', 'seconds', 'ms', 'millis')


def _is_number(text: str) -> bool:
  try:
    float(text)
  except ValueError:
    return False
  return True
