"""Finds and reads the images of a folder by class, and says what it passes over."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.files import UNREADABLE, refuse

Array = npt.NDArray[Any]

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.webp')
_FORMATS = ('BMP', 'JPEG', 'PNG', 'WEBP')  # of the files, by their content
_SPLITS = {
  **dict.fromkeys(('train', 'training'), 'train'),
  **dict.fromkeys(('val', 'valid', 'validation'), 'val'),
  **dict.fromkeys(('test', 'testing'), 'test'),
}


def subfolders(folder: pathlib.Path) -> tuple[str, ...]:
  """Returns the names of the folders in a folder, sorted, without hidden ones."""
  return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != '.'))


def split_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns the folder of each split: 'train', and 'val' and 'test' if they are there.

  If the subfolders are no splits, they are the classes, and `root` is the folder of 'train'. Names
  of splits are train or training, val, valid or validation, test or testing, in any case.

  Raises:
    ValueError: two folders are one split, or there is no training split.
  """
  names = subfolders(root)
  if not names or not all(name.casefold() in _SPLITS for name in names):
    return {'train': root}
  found: dict[str, pathlib.Path] = {}
  for name in names:
    split = _SPLITS[name.casefold()]
    if split in found:
      raise ValueError(f'{root}: has {found[split].name} and {name}; must have one of them')
    found[split] = root / name
  if 'train' not in found:
    raise ValueError(
      f'{root}: has {" and ".join(names)}; must have train (or training) beside them'
    )
  return found


def image_paths(folder: pathlib.Path) -> tuple[list[pathlib.Path], Mapping[str, int]]:
  """Finds the images of a class.

  Returns:
    The PNG, JPEG, BMP and WebP files of the folder, sorted; and how many other files there are, by
    the ends of their names. Hidden ones do not count.

  Raises:
    ValueError: there are no images, more other files than images, or images in subfolders.
  """
  images, skipped = [], collections.Counter[str]()
  for path in sorted(folder.iterdir()):
    if path.name[0] == '.':
      continue
    if path.is_dir():
      nested = sum(p.suffix.lower() in IMAGE_SUFFIXES for p in path.rglob('*'))
      if nested:
        raise ValueError(
          f'{path}: has {nested} image{"s" * (nested > 1)} below the class {folder.name!r}; the '
          'images of a class must lie in its folder itself. Splits must be named train, val and '
          'test, without other folders beside them'
        )
    elif path.suffix.lower() in IMAGE_SUFFIXES:
      images.append(path)
    else:
      skipped[path.suffix.lower() or 'without suffix'] += 1
  if not images or skipped.total() > len(images):
    has = f'has {len(images)} images and {_listed(skipped)}' if skipped else 'has no image'
    raise ValueError(
      f'{folder}: {has}; must have at least one image {"/".join(IMAGE_SUFFIXES)}, and no more '
      'other files than images'
    )
  return images, skipped


def read_image_classes(
  folder: pathlib.Path, classes: Sequence[str], *, like: pathlib.Path
) -> tuple[tuple[Array, Array], tuple[str, ...]]:
  """Reads the images of a folder that has one subfolder for each class.

  Args:
    folder: the folder; its subfolders must be named after classes, at least one of them.
    classes: names of the classes in the order of their labels.
    like: an image whose size and mode ('L', greyscale, or 'RGB') all images must have.

  Returns:
    uint8 images [N, H, W, C] with C = 1 or 3, and labels [N]; and what was passed over.

  Raises:
    ValueError: a subfolder is no class, `image_paths` refuses it, or an image cannot be decoded or
      differs from `like` in size or mode.
  """
  found = subfolders(folder)
  if not found or not set(found) <= set(classes):
    raise ValueError(f'{folder}: has the classes {found}; must be at least one of {classes}')
  paths, notes = [], []
  loose = sum(p.suffix.lower() in IMAGE_SUFFIXES for p in folder.iterdir() if p.is_file())
  if loose:
    notes.append(f'{loose} image{"s" * (loose > 1)} in {folder} skipped: in no class')
  for name in found:
    images, skipped = image_paths(folder / name)
    paths += [(path, classes.index(name)) for path in images]
    if skipped:
      notes.append(f'{_listed(skipped)} in {folder / name} skipped: no {"/".join(IMAGE_SUFFIXES)}')
  first = _read_image(like)
  pixels = np.empty((len(paths), *first.shape), np.uint8)
  for i, (path, _) in enumerate(paths):
    image = _read_image(path)
    if image.shape != first.shape:
      raise ValueError(
        f'{path}: has height, width, channels {image.shape}; must have {first.shape} as {like}'
      )
    pixels[i] = image
  return (pixels, np.array([label for _, label in paths])), tuple(notes)


def _listed(skipped: Mapping[str, int]) -> str:
  counts = ', '.join(f'{count} {suffix}' for suffix, count in sorted(skipped.items()))
  return f'{sum(skipped.values())} other files ({counts})'


def _read_image(path: pathlib.Path) -> Array:
  from PIL import Image, ImageOps  # here, since most data sets do not need it

  try:
    with Image.open(path, formats=_FORMATS) as image:
      # Phones turn pictures by an EXIF tag alone: read them upright, as every viewer shows them.
      mode, pixels = image.mode, np.asarray(ImageOps.exif_transpose(image))
  except (*UNREADABLE, Image.DecompressionBombError) as error:
    refuse(path, 'is not a readable PNG, JPEG, BMP or WebP image', error)
  if mode not in ('L', 'RGB'):
    raise ValueError(f"{path}: has mode {mode!r}; must be 'L' (greyscale) or 'RGB'")
  return pixels.reshape(*pixels.shape[:2], -1)
