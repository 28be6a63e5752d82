"""Small data of which one class has 97 % of the examples."""

from __future__ import annotations

import pathlib

import numpy as np

CLASSES = ('normal', 'a', 'b', 'c')
SIZES = (97, 1, 1, 1)  # per hundred
_BRIGHT = ((0, 0), (0, 0), (0, 4), (4, 0))  # corner of the part of an image that is brighter


def write_imbalanced(path: pathlib.Path, *, hundreds: int = 20, contrast: float = 1.5) -> None:
  """Writes images of noise, 8 x 8; those of a rare class are brighter in a part of its own."""
  rng = np.random.default_rng(0)
  y = np.repeat(np.arange(4), [hundreds * size for size in SIZES])
  x = rng.normal(size=(len(y), 8, 8, 1)).astype(np.float32)
  for label, (row, column) in enumerate(_BRIGHT):
    if label:
      x[y == label, row : row + 4, column : column + 4] += contrast
  np.savez(path, x_train=x, y_train=y, class_names=CLASSES)
