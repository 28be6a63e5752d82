"""Labelled examples, not split, on which a trained network is evaluated.

They are read as the data of a search are. Their classes are those of the network: labels of text,
and of files with names of classes, are matched by name, other numbers by their place. The labels of
a regression are values.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy.typing as npt

from rlnas.data import loaders
from rlnas.data.anomalies import is_anomalous
from rlnas.data.checks import Array, check_groups, check_real
from rlnas.data.dataset import Dataset
from rlnas.data.file_settings import FileSettings
from rlnas.data.labels import check_counting, places_among
from rlnas.data.own_arrays import own_arrays, own_path
from rlnas.data.raw_inputs import shaped, typed
from rlnas.data.tasks import CLASSES, Head, Task, as_targets


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
  """Examples with labels.

  Attributes:
    name: short name.
    source: where they come from.
    x: raw examples in the shape and type that a network's scaling expects. [N, ...]
    y: classes of the network [N], or values [N, K].
    groups: the group of each example, such as its person; None if there are none. [N]
    notes: remarks for the user on how they were read.
  """

  name: str
  source: str
  x: Array
  y: Array
  groups: Array | None
  notes: tuple[str, ...] = ()


def load_labelled(
  name_or_path: str | pathlib.Path,
  *,
  class_names: tuple[str, ...],
  input_shape: tuple[int, ...],
  dtype: npt.DTypeLike,
  head: Head = CLASSES,
  data_dir: str | None = None,
  **reading: Any,
) -> Labelled:
  """Reads the examples of a file, a folder or a built-in data set: its test data if it is split.

  Args:
    name_or_path: see `rlnas.data.load`.
    class_names: names of the network's classes, in order.
    input_shape: shape of one example, as the network reads it.
    dtype: type in which its training examples were kept: uint8, float32 or float64.
    head: the task of the network.
    data_dir: see `rlnas.data.load`.
    **reading: how files are read; see `rlnas.data.load`.

  Raises:
    FileNotFoundError: there is no such file or folder.
    ValueError: it breaks a rule, or does not fit the network; names the file and its key.
  """
  if name_or_path in loaders.BUILT_IN or data_dir is not None:
    return test_part(loaders.load(name_or_path, data_dir, **reading), class_names, input_shape)
  path = own_path(name_or_path, tuple(loaders.BUILT_IN))
  found = own_arrays(path, FileSettings(**reading), classes=class_names)
  ((split, part),) = found.parts.items()
  with found.told():
    check_real(f'x_{split}', part.x)
    x = typed(f'x_{split}', shaped(f'x_{split}', part.x, input_shape), dtype)
    y: Array
    if head.task is Task.REGRESSION:
      y = as_targets(f'y_{split}', part.y, examples=len(x))
      return Labelled(found.name, found.source, x, y, part.groups, found.notes)
    if head.task is Task.ANOMALY:
      y = is_anomalous(part.y, found.class_names)
      return Labelled(found.name, found.source, x, y, part.groups, found.notes)
    if path.suffix == '.npz':  # folders are numbered here
      check_counting(f'y_{split}', part.y, found.class_names)
    y = places_among(f'y_{split}', part.y, class_names, own_names=found.class_names, count=len(x))
    if part.groups is not None:
      check_groups(
        'groups' if split == 'train' else f'groups_{split}', part.groups, examples=len(x)
      )
  return Labelled(found.name, found.source, x, y, part.groups, found.notes)


def test_part(
  dataset: Dataset, class_names: tuple[str, ...], input_shape: tuple[int, ...]
) -> Labelled:
  """The test examples of a data set. Raises ValueError if they do not fit a network."""
  try:
    x = shaped('x_test', dataset.x_test, input_shape)
    y = dataset.y_test
    if dataset.class_names != class_names and dataset.head.task is Task.CLASSIFICATION:
      y = places_among('y_test', y, class_names, own_names=dataset.class_names, count=len(x))
  except ValueError as error:
    raise ValueError(f'{dataset.name}: {error}') from error
  return Labelled(dataset.name, dataset.source, x, y, dataset.groups_test, dataset.notes)
