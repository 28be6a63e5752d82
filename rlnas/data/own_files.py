"""Loaders of one's own files: .npz, CSV, and folders of images, CSV or WAV files by class.

The `notes` of the data set list the decisions made in reading them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from rlnas.data import files
from rlnas.data.assembling import assemble
from rlnas.data.dataset import Dataset, Pair
from rlnas.data.file_settings import FileSettings
from rlnas.data.own_arrays import OwnArrays, Part, PathLike, npz_arrays, own_arrays
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.tasks import Task


def from_npz(path: PathLike, *, group: str | None = None) -> Dataset:
  """Loads a classification task from an .npz file of plain arrays.

  Keys: x_train and y_train; optionally x_val and y_val, x_test and y_test, class_names, groups. The
  usual other names are taken as well, such as X and y (`rlnas.data.npz_keys`). An absent validation
  or test split is taken from the training data: 10 % of each class, at least one; with groups (one
  for each training example, such as its recording or person), whole groups. Splits that are given
  may have groups of their own, groups_val and groups_test; results are then reported by group.

  Examples are images [N, H, W, C] or sequences [N, T, F]. Arrays of three axes are always
  sequences, so greyscale images need a last axis of length 1. uint8 values are pixels of 0 to 255;
  every other type becomes float32, or float64 where float32 would lose digits, with the mean and
  standard deviation of the training data as offset and scale (`rlnas.data.standardise`). Labels are
  integers or text. With class_names they are these names, or count from 0 or from 1; otherwise the
  distinct training labels are the classes.

  Args:
    path: the file.
    group: key of the groups; 'none' if there are none; by default groups.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is unreadable, a key is missing, or its array breaks a rule.
  """
  return assembled(npz_arrays(path, group=group))


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
    ValueError: a column is missing or its role is unclear, a cell is not a number, no recording is
      as long as a window, or a class has too few examples or groups.
  """
  path = files.existing(path)
  return assembled(own_arrays(path, FileSettings(label, group, features, window, hop)))


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
  sound: SoundSettings | None = None,
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

  A folder of WAV files without images is read as sound: clips of the recordings become features.
  It may have lists of validation and test files and a folder of noise, as Speech Commands
  (`rlnas.data.sounds`).

  Args:
    path: the folder.
    label: see `from_csv`; of CSV files. The folders are not classes then but groups, unless a
      column has the groups.
    group: 'folder' if the files of a class lie in folders for each group, such as a person; folders
      of one name are one group in all classes. A group lies in one split as a whole. Of CSV files
      it may also be a column, as in `from_csv`.
    features: see `from_csv`.
    window: see `from_csv`.
    hop: see `from_csv`.
    image_size: height and width: every image is scaled until it covers both, and its middle is cut
      out. By default all must have one size.
    channels: 1 makes images grey, 3 coloured. By default all must have one mode.
    sound: how WAV files become examples; see `SoundSettings`.

  Returns:
    uint8 images [N, H, W, 1] or [N, H, W, 3]; windows or recordings [N, T, F]; uint8 features of
    sound [N, frames, bins].

  Raises:
    FileNotFoundError: there is no such folder.
    ValueError: there are no classes, a class has no or too few files or groups, most of its files
      are others, it has files in subfolders, or a file is unreadable or differs in size, mode or
      columns.
  """
  root = files.existing(path)
  if not root.is_dir():
    raise ValueError(f'{root}: is a file; must be a folder with one subfolder for each class')
  return assembled(
    own_arrays(root, FileSettings(label, group, features, window, hop, image_size, channels, sound))
  )


def assembled(found: OwnArrays, *, task: Task | None = None) -> Dataset:
  """The data set of what a file or folder holds. Arguments and errors as `assemble`."""
  train, val, test = (found.parts.get(split) for split in ('train', 'val', 'test'))
  if train is None:
    raise ValueError(f'{found.source}: must have training examples')

  def pair(part: Part | None) -> Pair | None:
    return None if part is None else (part.x, part.y)

  with found.told() if found.key_of else contextlib.nullcontext():
    return assemble(
      found.name,
      (train.x, train.y),
      val=pair(val),
      test=pair(test),
      class_names=found.class_names,
      source=found.source,
      notes=found.notes,
      folders=found.folders,
      groups=train.groups,
      groups_val=None if val is None else val.groups,
      groups_test=None if test is None else test.groups,
      features=found.features,
      sound=found.sound,
      copies=train.copies,
      samples={split: p.samples for split, p in found.parts.items() if p.samples is not None},
      copied_samples=train.copied_samples,
      task=task,
    )
