"""Reads one's own files into arrays: .npz, CSV, and folders of images or of CSV files by class.

The arrays are not split yet and not checked as a task: `rlnas.data.own_files` makes data sets for
searches from them, and `rlnas.data.labelled` examples on which a trained network is evaluated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rlnas.data import files, folders
from rlnas.data.checks import Array
from rlnas.data.csv_files import SUFFIXES
from rlnas.data.file_settings import FileSettings, only_for
from rlnas.data.npz_keys import NO_GROUPS, assign
from rlnas.data.recordings import Reading, Source, read_examples
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.sounds import is_list, sounds_in, sounds_listed

PathLike = str | pathlib.Path


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
  """The examples of one split.

  Attributes:
    x: examples of any real type. [N, ...]
    y: labels, integers or text. [N]
    groups: the group of each example; None if there are none. [N]
    copies: changed copies of the examples, to train on; None if there are none. [copies, N, ...]
    samples: of sound, the samples of the examples; None if they are not kept. int16 [N, S]
    copied_samples: likewise those of the copies. int16 [copies, N, S]
  """

  x: Array
  y: Array
  groups: Array | None = None
  copies: Array | None = None
  samples: Array | None = None
  copied_samples: Array | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class OwnArrays:
  """What a file or a folder holds.

  Attributes:
    name: short name.
    source: the path.
    parts: the examples by split: 'train', 'val' or 'test'.
    class_names: names of the classes in the order of their labels; None if the labels are names.
    notes: remarks for the user on how it was read.
    folders: where the training examples of each class come from.
    features: names of the columns that the features come from.
    key_of: of an .npz file, the key of each array by its usual name.
    sound: how recordings of sound became the examples; None if they are something else.
  """

  name: str
  source: str
  parts: Mapping[str, Part]
  class_names: tuple[str, ...] | None = None
  notes: tuple[str, ...] = ()
  folders: tuple[str, ...] = ()
  features: tuple[str, ...] = ()
  key_of: Mapping[str, str] = dataclasses.field(default_factory=dict)
  sound: SoundSettings | None = None

  @contextlib.contextmanager
  def told(self) -> Iterator[None]:
    """A context whose errors name the file, and its arrays by the keys that they have there."""
    try:
      yield
    except ValueError as error:
      roles = r'\b[xy]_(?:train|val|test)\b|^groups(?:_val|_test)?(?=:)'
      told = re.sub(roles, lambda role: self.key_of.get(role[0], role[0]), str(error))
      raise ValueError(f'{self.source}: {told}') from error


def own_path(name_or_path: PathLike, names: Sequence[str]) -> pathlib.Path:
  """The path of one's own data. Raises ValueError if it is neither that nor one of the names."""
  path = pathlib.Path(os.path.expanduser(name_or_path))
  is_file = path.suffix.lower() in ('.npz', *SUFFIXES) and not path.is_dir()
  # An empty name would mean the working directory.
  if not name_or_path or not (path.exists() or is_file or len(path.parts) > 1):
    raise ValueError(
      f'dataset={str(name_or_path)!r}: must be one of {", ".join(names)}, '
      'an .npz file, a .csv file or a folder of images, CSV or WAV files'
    )
  return path


def own_arrays(
  path: pathlib.Path, settings: FileSettings, *, classes: tuple[str, ...] | None = None
) -> OwnArrays:
  """Reads a file or a folder.

  With `classes`, the names of those of a trained network, only the examples to evaluate it on are
  read: the test examples if the data are split, else all of them.

  Raises:
    FileNotFoundError: there is no such file or folder.
    ValueError: it takes not one of the settings, or as in `rlnas.data.own_files`.
  """
  of_tables, of_images = settings.of_tables, settings.of_images
  kind = folders.kind_in(path) if path.is_dir() else None
  if kind is folders.SOUNDS or (path.suffix.lower() in SUFFIXES and is_list(path)):
    only_for('images', f'{path} has WAV files', of_images)
    without_label = of_tables | ({'label': None} if kind is None else {})
    only_for('CSV files', f'{path} has WAV files', without_label)
    return _sounds_at(path, settings, classes)
  only_for('recordings of sound', f'{path} has no WAV files', settings.of_sound)
  if path.is_dir():
    if kind is folders.TABLES:
      only_for('images', f'{path} holds CSV files', of_images)
      return _recordings_in(path, settings.reading, classes)
    only_for('CSV files', f'{path} holds images', of_tables)
    return _images_in(path, settings.frame, settings.group, classes)
  only_for('folders of images', f'{path} is a file', of_images)
  if path.suffix.lower() in SUFFIXES:
    return _csv(path, settings.reading, classes)
  only_for('CSV files', f'not {path}', of_tables)
  if path.suffix.lower() != '.npz' and path.exists():
    raise ValueError(
      f'dataset={str(path)!r}: is a {path.suffix or "file without suffix"}; must be an '
      '.npz file, a .csv file or a folder of images, CSV or WAV files by class'
    )
  return npz_arrays(path, group=settings.group, held_out=classes is not None)


def npz_arrays(path: PathLike, *, group: str | None = None, held_out: bool = False) -> OwnArrays:
  """Reads the arrays of an .npz file.

  Args:
    path: the file.
    group: key of the groups; 'none' if there are none; by default groups.
    held_out: whether to read only x_test and y_test, or x and y if there are no test examples.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is unreadable, or a key is missing.
  """
  path = files.existing(path)
  key_of, remarks = assign(path, files.npz_keys(path), group=group, held_out=held_out)
  found = dict(zip(key_of, files.read_npz(path, tuple(key_of.values())), strict=True))
  names = found.get('class_names')
  if names is not None and (names.ndim != 1 or names.dtype.kind != 'U'):
    raise ValueError(
      f'{path}: {key_of["class_names"]}: has type {names.dtype} and shape {names.shape}; must be '
      'strings [classes]'
    )
  parts = {}
  for split in ('train', 'val', 'test'):
    x, y = found.get(f'x_{split}'), found.get(f'y_{split}')
    if x is not None and y is not None:
      parts[split] = Part(x, y, found.get('groups' if split == 'train' else f'groups_{split}'))
    elif x is not None or y is not None:
      keys = ', '.join(repr(key_of.get(role, role)) for role in (f'x_{split}', f'y_{split}'))
      raise ValueError(f'{path}: keys {keys}: only one is given; must be both or neither')
  return OwnArrays(
    name=path.stem,
    source=str(path),
    parts=parts,
    class_names=None if names is None else tuple(names.tolist()),
    notes=remarks,
    key_of=key_of,
  )


def _csv(path: pathlib.Path, how: Reading, classes: tuple[str, ...] | None) -> OwnArrays:
  path = files.existing(path)
  return _of_tables(path, [path], path.stem, how, 'train' if classes is None else 'test')


def _of_tables(
  root: pathlib.Path, paths: Sequence[pathlib.Path], name: str, how: Reading, split: str
) -> OwnArrays:
  """The examples of CSV files whose labels are a column."""
  found = read_examples([Source(path) for path in paths], how)
  return OwnArrays(
    name=name,
    source=str(root),
    parts={split: Part(found.x, found.y, found.groups)},
    notes=(found.note,),
    features=found.columns.features,
  )


def _sounds_at(
  path: pathlib.Path, settings: FileSettings, classes: tuple[str, ...] | None
) -> OwnArrays:
  """The examples of WAV files, in a folder or in the list that a CSV file is."""
  sound, group = settings.sound or SoundSettings(), settings.group
  kept = settings.keep_samples
  if path.is_dir():
    found = sounds_in(path, sound, group=group, classes=classes, keep_samples=kept)
  else:
    split = 'train' if classes is None else 'test'
    label = settings.label
    found = sounds_listed(path, sound, label=label, group=group, split=split, keep_samples=kept)
  return OwnArrays(
    name=path.resolve().name if path.is_dir() else path.stem,
    source=str(path),
    parts={
      split: Part(
        *(clips.x, clips.y, clips.groups, clips.copies if len(clips.copies) else None),
        *(clips.samples, clips.copied_samples),
      )
      for split, clips in found.parts.items()
    },
    class_names=found.classes,
    notes=found.notes,
    sound=sound,
  )


def _images_in(
  path: pathlib.Path, frame: folders.Frame, group: str | None, classes: tuple[str, ...] | None
) -> OwnArrays:
  if group not in (None, NO_GROUPS, folders.IN_FOLDERS):
    raise ValueError(
      f'group={group!r}: groups of images are folders, {folders.IN_FOLDERS!r} or {NO_GROUPS!r}'
    )
  in_folders = group == folders.IN_FOLDERS
  found = folders.split_folders(path, held_out=classes is not None)
  first = next(iter(found.values()))
  classes = folders.classes_in(first) if classes is None else classes
  parts: dict[str, Part] = {}
  notes: tuple[str, ...] = ()
  like: pathlib.Path | None = None
  for split, folder in found.items():
    labelled, passed_over = folders.files_by_class(
      folder, classes, folders.IMAGES, in_folders=in_folders
    )
    paths = [one for one, _ in labelled]
    like = like or paths[0]
    parts[split] = Part(
      folders.read_images(paths, frame, like=like),
      np.array([label for _, label in labelled]),
      np.array([one.parent.name for one in paths]) if in_folders else None,
    )
    notes += passed_over
  if said := str(frame):
    notes += (f'images {said}',)
  return _by_class(path, parts, classes, notes, first)


def _recordings_in(root: pathlib.Path, how: Reading, classes: tuple[str, ...] | None) -> OwnArrays:
  splits = folders.split_folders(root, held_out=classes is not None)
  split, top = next(iter(splits.items()))
  in_folders = bool(folders.subfolders(root))
  if not in_folders or (how.label is not None and top == root):
    return _labelled_by_column(root, how, split, in_folders=in_folders)
  if how.label is not None:
    raise ValueError(f'label={how.label!r}: the folders in {top} are the labels; leave it out')
  classes = folders.classes_in(top) if classes is None else classes
  parts: dict[str, Part] = {}
  notes: tuple[str, ...] = ()
  for split, folder in splits.items():
    labelled, passed_over = folders.files_by_class(
      folder, classes, folders.TABLES, in_folders=how.group == folders.IN_FOLDERS
    )
    read = read_examples([Source(path, classes[label]) for path, label in labelled], how)
    how = dataclasses.replace(how, features=read.columns.features)
    places = {name: place for place, name in enumerate(classes)}
    y = np.array([places[name] for name in read.y.tolist()])
    notes += (*passed_over, *([] if parts else [read.note]))
    parts[split] = Part(read.x, y, read.groups)
  return dataclasses.replace(_by_class(root, parts, classes, notes, top), features=how.features)


def _labelled_by_column(
  root: pathlib.Path, how: Reading, split: str, *, in_folders: bool
) -> OwnArrays:
  """The recordings of a folder of CSV files whose labels are a column."""
  paths, _ = folders.class_files(root, folders.TABLES, in_folders=in_folders)
  found = _of_tables(root, paths, root.resolve().name, how, split)
  part, names = found.parts[split], folders.subfolders(root)
  if part.groups is not None and set(part.groups.tolist()) == set(names):
    pairs = set(zip(part.groups.tolist(), part.y.tolist(), strict=True))
    if len(pairs) == len(names) == len(set(part.y.tolist())) and len(names) > 1:
      raise ValueError(f'label={how.label!r}: the folders in {root} are the labels; leave it out')
  return found


def _by_class(
  root: pathlib.Path,
  parts: Mapping[str, Part],
  classes: tuple[str, ...],
  notes: tuple[str, ...],
  top: pathlib.Path,
) -> OwnArrays:
  return OwnArrays(
    name=root.resolve().name,
    source=str(root),
    parts=parts,
    class_names=classes,
    notes=notes,
    folders=tuple(str(top / name) for name in classes),
  )
