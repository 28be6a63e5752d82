"""How the values of a data set are scaled for a network."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

PerFeature = float | npt.NDArray[np.float32]  # one number for all values, or one for each feature


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
  """Scales x to `(x - offset) / scale`, the float32 input of the network.

  Two scalings are equal if their numbers and shapes are equal.

  Attributes:
    offset: value of x that becomes 0. A number, or float32 [F] (sequences), [C] or [W, C] (images).
    scale: divisor, in units of x; a number or an array as `offset`.

  Raises:
    ValueError: `offset` is not finite, or `scale` is not positive and finite.
  """

  offset: PerFeature
  scale: PerFeature

  def __post_init__(self) -> None:
    if not np.all(np.isfinite(self.offset)):
      raise ValueError(f'offset={self.offset}: must be finite')
    if not (np.all(np.isfinite(self.scale)) and np.all(np.asarray(self.scale) > 0)):
      raise ValueError(f'scale={self.scale}: must be positive and finite')

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, Scaling):
      return NotImplemented
    return np.array_equal(self.offset, other.offset) and np.array_equal(self.scale, other.scale)

  def __hash__(self) -> int:
    numbers = (*np.ravel(self.offset).tolist(), *np.ravel(self.scale).tolist())
    return hash((np.shape(self.offset), np.shape(self.scale), numbers))

  @property
  def is_per_feature(self) -> bool:
    """Whether each feature has its own offset or scale."""
    return np.ndim(self.offset) > 0 or np.ndim(self.scale) > 0

  def apply(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scales examples [N, ...], as precisely as the type of `x` allows."""
    return (x - self.offset) / self.scale


PIXELS = Scaling(0.0, 255.0)  # of uint8 images: to [0, 1]
UNSCALED = Scaling(0.0, 1.0)
