"""Finds the files of a folder by class, reports what it skips, and reads images."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.csv_files import SUFFIXES
from rlnas.data.files import UNREADABLE, refuse

Array = npt.NDArray[Any]

_FORMATS = ('BMP', 'JPEG', 'PNG', 'WEBP')  # of the files, by their content
_CONVERTIBLE = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK')  # modes; of 8 bits at most
_SPLITS = {
  **dict.fromkeys(('train', 'training'), 'train'),
  **dict.fromkeys(('val', 'valid', 'validation'), 'val'),
  **dict.fromkeys(('test', 'testing'), 'test'),
}


# Holds recordings of noise beside the folders of the classes: as Speech Commands has them (Warden
# 2018, arXiv:1804.03209).
NOISE_FOLDER = '_background_noise_'


def subfolders(folder: pathlib.Path) -> tuple[str, ...]:
  """The names of the folders in a folder, sorted, without hidden ones and that of noise."""
  names = (p.name for p in folder.iterdir() if p.is_dir())
  return tuple(sorted(name for name in names if name[0] != '.' and name != NOISE_FOLDER))


def split_folders(root: pathlib.Path, *, held_out: bool = False) -> dict[str, pathlib.Path]:
  """Returns the folder of each split: 'train' first, then 'val' and 'test' if they are there.

  If the subfolders are not splits, they are the classes, and `root` is the folder of 'train'. Names
  of splits are train or training, val, valid or validation, test or testing, in any case.

  Args:
    root: the folder.
    held_out: whether to return only one folder, that of 'test': `root` if it is not split.

  Raises:
    ValueError: two folders are one split, or there is no training split, or no test split if it is
      wanted.
  """
  names = subfolders(root)
  if not names or not all(name.casefold() in _SPLITS for name in names):
    return {'test' if held_out else 'train': root}
  found: dict[str, pathlib.Path] = {}
  for name in names:
    split = _SPLITS[name.casefold()]
    if split in found:
      raise ValueError(f'{root}: has {found[split].name} and {name}; must have one of them')
    found[split] = root / name
  if held_out and 'test' not in found:
    raise ValueError(f'{root}: has {" and ".join(names)}; must have test (or testing) beside them')
  if held_out:
    return {'test': found['test']}
  if 'train' not in found:
    raise ValueError(
      f'{root}: has {" and ".join(names)}; must have train (or training) beside them'
    )
  return {split: found[split] for split in ('train', 'val', 'test') if split in found}


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of files.

  Attributes:
    name: what people call one of them.
    suffixes: ends of their names, in lower case.
  """

  name: str
  suffixes: tuple[str, ...]

  def has(self, path: pathlib.Path) -> bool:
    """Whether a path ends as these files do."""
    return path.suffix.lower() in self.suffixes


IMAGES = Kind('image', ('.bmp', '.jpeg', '.jpg', '.png', '.webp'))
TABLES = Kind('CSV file', SUFFIXES)
SOUNDS = Kind('WAV file', ('.wav', '.wave'))
IN_FOLDERS = 'folder'  # as the name of the groups: they are the folders in those of the classes


def kind_in(root: pathlib.Path) -> Kind:
  """The kind of files that a folder is read for: WAV or else CSV files if it has no images."""
  found = set()
  for path in root.rglob('*'):
    if any(part[0] == '.' for part in path.relative_to(root).parts):
      continue
    if IMAGES.has(path):
      return IMAGES
    found |= {kind for kind in (SOUNDS, TABLES) if kind.has(path)}
  return next((kind for kind in (SOUNDS, TABLES) if kind in found), IMAGES)


def class_files(
  folder: pathlib.Path, kind: Kind, *, in_folders: bool = False
) -> tuple[list[pathlib.Path], Mapping[str, int]]:
  """Finds the files of a class.

  Args:
    folder: the folder of the class.
    kind: the files to find.
    in_folders: whether they lie in folders below, one for each group.

  Returns:
    The files of that kind, sorted; and how many other files there are, by the ends of their names.
    Hidden ones do not count.

  Raises:
    ValueError: there are none, more other files than these, or some at another depth.
  """
  found: list[pathlib.Path] = []
  skipped = collections.Counter[str]()
  for path in sorted(folder.iterdir()):
    if path.name[0] == '.':
      continue
    if path.is_dir() and in_folders:
      of_group, others = class_files(path, kind)
      found += of_group
      skipped.update(others)
    elif path.is_dir():
      nested = sum(map(kind.has, path.rglob('*')))
      if nested:
        raise ValueError(
          f'{path}: has {nested} {kind.name}{"s" * (nested > 1)} below the class {folder.name!r}; '
          f'the {kind.name}s of a class must lie in its folder itself. Splits must be named train, '
          'val and test, without other folders beside them. If it is a recording or a person, give '
          f'--group={IN_FOLDERS}'
        )
    elif kind.has(path) and in_folders:
      raise ValueError(
        f'{path}: lies in the folder of a class; with --group={IN_FOLDERS} every {kind.name} must '
        'lie in a folder of its group below that'
      )
    elif kind.has(path):
      found.append(path)
    else:
      skipped[path.suffix.lower() or 'without suffix'] += 1
  if not found or skipped.total() > len(found):
    has = f'has {len(found)} {kind.name}s and {_listed(skipped)}' if skipped else ''
    raise ValueError(
      f'{folder}: {has or f"has no {kind.name}"}; must have at least one {kind.name} '
      f'{"/".join(kind.suffixes)}, and no more other files than {kind.name}s'
    )
  return found, skipped


def classes_in(folder: pathlib.Path) -> tuple[str, ...]:
  """The names of the folders of the classes. Raises ValueError if there are fewer than two."""
  classes = subfolders(folder)
  if len(classes) < 2:
    raise ValueError(
      f'{folder}: has {f"the subfolder {classes[0]} alone" if classes else "no subfolders"}; must '
      'have one for each class, at least 2'
    )
  return classes


def files_by_class(
  folder: pathlib.Path, classes: Sequence[str], kind: Kind, *, in_folders: bool = False
) -> tuple[list[tuple[pathlib.Path, int]], tuple[str, ...]]:
  """Finds the files of a folder that has one subfolder for each class.

  Args:
    folder: the folder; its subfolders must be named after classes, at least one of them.
    classes: names of the classes in the order of their labels.
    kind: the files to find.
    in_folders: see `class_files`.

  Returns:
    The files with their labels; and remarks on what was skipped.

  Raises:
    ValueError: a subfolder is not a class, or `class_files` refuses it.
  """
  found = subfolders(folder)
  if not found or not set(found) <= set(classes):
    raise ValueError(f'{folder}: has the classes {found}; must be at least one of {classes}')
  paths, notes = [], []
  loose = sum(kind.has(p) for p in folder.iterdir() if p.is_file())
  if loose:
    notes.append(f'{loose} {kind.name}{"s" * (loose > 1)} in {folder} skipped: in no class')
  for name in found:
    files, skipped = class_files(folder / name, kind, in_folders=in_folders)
    paths += [(path, classes.index(name)) for path in files]
    if skipped:
      suffixes = '/'.join(kind.suffixes)
      notes.append(f'{_listed(skipped)} in {folder / name} skipped: no {suffixes}')
  return paths, tuple(notes)


@dataclasses.dataclass(frozen=True)
class Frame:
  """The size and mode that all images are converted to.

  Attributes:
    size: height and width: an image is scaled until it covers both, and its middle is cut out. By
      default images keep their size, which must be one for all.
    channels: 1 for grey, 3 for colour; by default images keep their mode, 'L' or 'RGB'.

  Raises:
    ValueError: a side is below 1, or there are other numbers of channels.
  """

  size: tuple[int, int] | None = None
  channels: int | None = None

  def __post_init__(self) -> None:
    if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
      raise ValueError(f'image_size={self.size}: must be height and width, at least 1 each')
    if self.channels not in (None, 1, 3):
      raise ValueError(f'channels={self.channels}: must be 1 (grey) or 3 (colour)')

  def __str__(self) -> str:
    parts = []
    if self.size is not None:
      parts.append(f'scaled to cover {self.size[0]} x {self.size[1]} and cropped to the middle')
    if self.channels is not None:
      parts.append('made grey' if self.channels == 1 else 'made RGB')
    return ', '.join(parts)


def read_images(paths: Sequence[pathlib.Path], frame: Frame, *, like: pathlib.Path) -> Array:
  """Reads images.

  Args:
    paths: the files.
    frame: what they are converted to.
    like: an image whose size and mode all must have, unless `frame` sets them.

  Returns:
    uint8 images [N, H, W, C] with C = 1 or 3.

  Raises:
    ValueError: an image cannot be decoded, or differs from `like`.
  """
  first = _read_image(like, frame)
  pixels = np.empty((len(paths), *first.shape), np.uint8)
  for i, path in enumerate(paths):
    image = _read_image(path, frame)
    if image.shape != first.shape:
      height, width, _ = first.shape
      cures = [f'--image_size={height},{width}'] * (image.shape[:2] != first.shape[:2])
      cures += ['--channels=1 or --channels=3'] * (image.shape[2] != first.shape[2])
      raise ValueError(
        f'{path}: has height, width, channels {image.shape}; must have {first.shape} as {like}; '
        f'{" and ".join(cures)} makes all alike'
      )
    pixels[i] = image
  return pixels


def _listed(skipped: Mapping[str, int]) -> str:
  counts = ', '.join(f'{count} {suffix}' for suffix, count in sorted(skipped.items()))
  return f'{sum(skipped.values())} other files ({counts})'


def _read_image(path: pathlib.Path, frame: Frame) -> Array:
  from PIL import Image, ImageOps  # here, since most data sets do not need it

  try:
    with Image.open(path, formats=_FORMATS) as image:
      mode = image.mode
      # Phones turn pictures by an EXIF tag alone: read them upright, as every viewer shows them.
      upright = ImageOps.exif_transpose(image)
      if frame.channels is not None and mode in _CONVERTIBLE:
        mode = 'L' if frame.channels == 1 else 'RGB'
        upright = upright.convert(mode)
      if frame.size is not None and mode in ('L', 'RGB'):
        upright = ImageOps.fit(upright, frame.size[::-1], Image.Resampling.BILINEAR)
      pixels = np.asarray(upright)
  except (*UNREADABLE, Image.DecompressionBombError) as error:
    refuse(path, 'is not a readable PNG, JPEG, BMP or WebP image', error)
  if mode not in ('L', 'RGB'):
    cure = '; --channels=1 or --channels=3 converts it' if mode in _CONVERTIBLE else ''
    raise ValueError(f"{path}: has mode {mode!r}; must be 'L' (greyscale) or 'RGB'{cure}")
  return pixels.reshape(*pixels.shape[:2], -1)
