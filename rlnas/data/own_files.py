"""Loaders of one's own files: .npz, CSV, and folders of images or of CSV files by class.

What was decided in reading them is said in the data set's `notes`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rlnas.data import files, folders
from rlnas.data.dataset import Array, Dataset, Pair, assemble
from rlnas.data.npz_keys import NO_GROUPS, assign
from rlnas.data.recordings import Examples, Reading, Source, read_examples

PathLike = str | pathlib.Path


def from_npz(path: PathLike, *, group: str | None = None) -> Dataset:
  """Loads a classification task from an .npz file of plain arrays.

  Keys: x_train and y_train; optionally x_val and y_val, x_test and y_test, class_names, groups. The
  usual other names are taken as well, such as X and y (`rlnas.data.npz_keys`). An absent validation
  or test split is taken from the training data: 10 % of each class, at least one; with groups (one
  for each training example, such as its recording or person), whole groups.

  Examples are images [N, H, W, C] or sequences [N, T, F]. Arrays of three sides are always
  sequences, so greyscale images need a last side of 1. uint8 values are pixels of 0 to 255; every
  other type becomes float32, or float64 where float32 would lose digits, with the mean and
  deviation of the training data as offset and scale (`rlnas.data.standardise`). Labels are integers
  or text. With class_names they are these names, or count from 0 or from 1; otherwise the distinct
  training labels are the classes.

  Args:
    path: the file.
    group: key of the groups; 'none' if there are none; by default groups.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is unreadable, a key is missing, or its array breaks a rule.
  """
  path = files.existing(path)
  key_of, remarks = assign(path, files.npz_keys(path), group=group)
  found = dict(zip(key_of, files.read_npz(path, tuple(key_of.values())), strict=True))
  names = found.get('class_names')
  if names is not None and (names.ndim != 1 or names.dtype.kind != 'U'):
    raise ValueError(
      f'{path}: {key_of["class_names"]}: has type {names.dtype} and shape {names.shape}; must be '
      'strings [classes]'
    )
  with _told_by_keys(path, key_of):
    return assemble(
      path.stem,
      (found['x_train'], found['y_train']),
      val=_both_or_neither('val', found),
      test=_both_or_neither('test', found),
      class_names=None if names is None else tuple(names.tolist()),
      source=str(path),
      notes=remarks,
      groups=found.get('groups'),
    )


@contextlib.contextmanager
def _told_by_keys(path: pathlib.Path, key_of: Mapping[str, str]) -> Iterator[None]:
  """A context whose errors name the file, and its arrays by the keys that they have there."""
  try:
    yield
  except ValueError as error:
    roles = r'\b[xy]_(?:train|val|test)\b|^groups(?=:)'
    told = re.sub(roles, lambda role: key_of.get(role[0], role[0]), str(error))
    raise ValueError(f'{path}: {told}') from error


def from_csv(
  path: PathLike,
  *,
  label: str | None = None,
  group: str | None = None,
  features: Sequence[str] = (),
  window: int | None = None,
  hop: int | None = None,
) -> Dataset:
  """Loads a classification task from one CSV file.

  Its first line names the columns; without such a line they are 1, 2, ... Without `window` each row
  is an example: an image of one pixel whose channels are the features, which convolutions read as
  dense layers would. With `window`, the rows are those of recordings, one after the other: another
  one begins where the label, the group or a column such as recording changes, or where a column
  such as time goes back. Windows of one recording lie in one split (`rlnas.data.recordings`).

  Args:
    path: the file.
    label: column of the labels, text or numbers; by default one of a usual name (label, class,
      target, activity, ...), or else the only column of text.
    group: column of the groups, whose examples lie in one split: a person, say; 'none' for none; by
      default one of a usual name (subject, person, recording, ...), or else each recording.
    features: the columns that networks read; by default all but these, times and numbers of rows.
    window: rows of a window.
    hop: rows from the beginning of a window to that of the next; by default half a window.

  Returns:
    Images [N, 1, 1, F] or windows [N, window, F].

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: a column is missing or cannot be told, a cell is no number, no recording is as long
      as a window, or a class has too few examples or groups.
  """
  path = files.existing(path)
  found = read_examples([Source(path)], Reading(label, group, tuple(features), window, hop))
  return assemble(
    path.stem,
    (found.x, found.y),
    source=str(path),
    notes=(found.note,),
    groups=found.groups,
  )


def from_folder(
  path: PathLike,
  *,
  label: str | None = None,
  group: str | None = None,
  features: Sequence[str] = (),
  window: int | None = None,
  hop: int | None = None,
  image_size: tuple[int, int] | None = None,
  channels: int | None = None,
) -> Dataset:
  """Loads images or recordings from a folder with one subfolder for each class.

  The class folders can be inside of folders for the splits: train or training, val, valid or
  validation, test or testing (at least the first). An absent split is taken from the training data:
  10 % of each class, at least one. Classes are numbered in the order of their names. Hidden files
  are ignored; the data set's `notes` say what was skipped.

  PNG, JPEG, BMP and WebP files are read, greyscale or RGB, and turned as their EXIF orientation
  says. A folder without images is read for CSV files: each is a recording, whole or cut into
  windows that lie in one split, with columns as in `from_csv`. If such a folder has no subfolders,
  a column of its files has the labels.

  Args:
    path: the folder.
    label: see `from_csv`; of CSV files. The folders are no classes then but groups, unless a column
      has the groups.
    group: 'folder' if the files of a class lie in folders for each group, such as a person; folders
      of one name are one group in all classes. A group lies in one split as a whole. Of CSV files
      it may also be a column, as in `from_csv`.
    features: see `from_csv`.
    window: see `from_csv`.
    hop: see `from_csv`.
    image_size: height and width: every image is scaled until it covers both, and its middle is cut
      out. By default all must have one size.
    channels: 1 makes images grey, 3 coloured. By default all must have one mode.

  Returns:
    uint8 images [N, H, W, 1] or [N, H, W, 3]; windows or recordings [N, T, F].

  Raises:
    FileNotFoundError: there is no such folder.
    ValueError: there are no classes, a class has no or too few files or groups, most of its files
      are others, it has files in subfolders, or a file is unreadable or differs in size, mode or
      columns.
  """
  root = files.existing(path)
  if not root.is_dir():
    raise ValueError(f'{root}: is a file; must be a folder with one subfolder for each class')
  of_tables = {'label': label, 'features': features or None, 'window': window, 'hop': hop}
  of_images = {'image_size': image_size, 'channels': channels}
  if folders.kind_in(root) is folders.TABLES:
    only_for('images', f'{root} holds CSV files', of_images)
    return _recordings_in(root, Reading(label, group, tuple(features), window, hop))
  only_for('CSV files', f'{root} holds images', of_tables)
  if group not in (None, NO_GROUPS, folders.IN_FOLDERS):
    raise ValueError(
      f'group={group!r}: groups of images are folders, {folders.IN_FOLDERS!r} or {NO_GROUPS!r}'
    )
  return _images_in(root, folders.Frame(image_size, channels), group == folders.IN_FOLDERS)


def only_for(what: str, found: str, settings: Mapping[str, object]) -> None:
  """Raises ValueError if one of the settings is given, which data of this kind do not have."""
  for name, value in settings.items():
    if value is not None:
      raise ValueError(f'{name}={value}: is for {what} alone; {found}')


def _images_in(root: pathlib.Path, frame: folders.Frame, in_folders: bool) -> Dataset:
  found = folders.split_folders(root)
  classes = folders.classes_in(found['train'])
  pairs: dict[str, Pair] = {}
  notes: tuple[str, ...] = ()
  groups: Array | None = None
  like: pathlib.Path | None = None
  for split, folder in found.items():
    labelled, passed_over = folders.files_by_class(
      folder, classes, folders.IMAGES, in_folders=in_folders
    )
    paths, labels = [path for path, _ in labelled], [label for _, label in labelled]
    like = like or paths[0]
    pairs[split] = folders.read_images(paths, frame, like=like), np.array(labels)
    notes += passed_over
    if in_folders and split == 'train':
      groups = np.array([path.parent.name for path in paths])
  if said := str(frame):
    notes += (f'images {said}',)
  return _assembled(root, pairs, classes, notes, groups, found['train'])


def _recordings_in(root: pathlib.Path, how: Reading) -> Dataset:
  splits = folders.split_folders(root)
  in_folders = bool(folders.subfolders(root))
  if not in_folders or (how.label is not None and splits['train'] == root):
    paths, _ = folders.class_files(root, folders.TABLES, in_folders=in_folders)
    found = read_examples([Source(path) for path in paths], how)
    names = folders.subfolders(root)
    if found.groups is not None and set(found.groups.tolist()) == set(names):
      pairs_found = set(zip(found.groups.tolist(), found.y.tolist(), strict=True))
      if len(pairs_found) == len(names) == len(set(found.y.tolist())):
        raise ValueError(f'label={how.label!r}: the folders in {root} are the labels; leave it out')
    pair = found.x, found.y
    return assemble(
      root.resolve().name, pair, source=str(root), notes=(found.note,), groups=found.groups
    )
  if how.label is not None:
    raise ValueError(
      f'label={how.label!r}: the folders in {splits["train"]} are the labels; leave it out'
    )
  classes = folders.classes_in(splits['train'])
  in_folders = how.group == folders.IN_FOLDERS
  pairs: dict[str, Pair] = {}
  notes: tuple[str, ...] = ()
  first: Examples | None = None
  for split, folder in splits.items():
    labelled, passed_over = folders.files_by_class(
      folder, classes, folders.TABLES, in_folders=in_folders
    )
    read = read_examples([Source(path, classes[label]) for path, label in labelled], how)
    first = first or read
    how = dataclasses.replace(how, features=first.columns.features)
    places = {name: place for place, name in enumerate(classes)}
    pairs[split] = read.x, np.array([places[name] for name in read.y.tolist()])
    notes += (*passed_over, *([read.note] if split == 'train' else []))
  groups = None if first is None else first.groups
  return _assembled(root, pairs, classes, notes, groups, splits['train'])


def _assembled(
  root: pathlib.Path,
  pairs: dict[str, Pair],
  classes: tuple[str, ...],
  notes: tuple[str, ...],
  groups: Array | None,
  train: pathlib.Path,
) -> Dataset:
  return assemble(
    root.resolve().name,
    pairs['train'],
    val=pairs.get('val'),
    test=pairs.get('test'),
    class_names=classes,
    source=str(root),
    notes=notes,
    folders=tuple(str(train / name) for name in classes),
    groups=groups,
  )


def _both_or_neither(split: str, found: dict[str, Array]) -> Pair | None:
  x, y = found.get(f'x_{split}'), found.get(f'y_{split}')
  if x is None and y is None:
    return None
  if x is None or y is None:
    raise ValueError(f"keys 'x_{split}', 'y_{split}': only one is given; must be both or neither")
  return x, y
