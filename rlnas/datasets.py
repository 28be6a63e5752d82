"""Data sets as arrays in memory, split into training, validation and test."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A classification task.

  The network sees `(x - offset) / scale` as float32: 0 and 255 for uint8 images, mean and
  deviation of the training data for float features.

  Attributes:
    name: short name.
    x_train: uint8 or float32 images [N, H, W, C] or sequences [N, T, F].
    y_train: int32 labels in [0, classes). [N]
    x_val: as x_train, for choosing among networks.
    y_val: as y_train.
    x_test: as x_train, read once, for the winners.
    y_test: as y_train.
    class_names: one name a class.
    offset: see above, in units of x.
    scale: see above, in units of x.
    source: where the data are from, and their licence.
  """

  name: str
  x_train: npt.NDArray[Any]
  y_train: npt.NDArray[np.int32]
  x_val: npt.NDArray[Any]
  y_val: npt.NDArray[np.int32]
  x_test: npt.NDArray[Any]
  y_test: npt.NDArray[np.int32]
  class_names: tuple[str, ...]
  offset: float = 0.0
  scale: float = 255.0
  source: str = ''

  @property
  def input_shape(self) -> tuple[int, ...]:
    """Shape of one example: (height, width, channels) or (time, features)."""
    return tuple(self.x_train.shape[1:])

  @property
  def classes(self) -> int:
    """Number of classes."""
    return len(self.class_names)

  def without_test(self) -> Dataset:
    """The data that a search may see: the test arrays are empty."""
    return dataclasses.replace(self, x_test=self.x_test[:0], y_test=self.y_test[:0])
