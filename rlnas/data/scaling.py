"""How the values of a data set are scaled for a network."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

# One number for all values, or one for each feature: float32, or float64 if the data are float64.
PerFeature = float | npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
  """Scales x to `(x - offset) / scale`, the float32 input of the network.

  Two scalings are equal if their numbers and shapes are equal.

  Attributes:
    offset: value of x that becomes 0. A number, or an array [F] (sequences), [C] or [W, C]
      (images).
    scale: divisor, in units of x; a number or an array as `offset`.
    limit: scaled values beyond -limit or limit become -limit or limit, so that a corrupt reading
      does not stretch the one range that the int8 input has for all features. If None, there is no
      limit.

  Raises:
    ValueError: `offset` is not finite, or `scale` or `limit` is not positive and finite.
  """

  offset: PerFeature
  scale: PerFeature
  limit: float | None = None

  def __post_init__(self) -> None:
    if not np.all(np.isfinite(self.offset)):
      raise ValueError(f'offset={self.offset}: must be finite')
    if not (np.all(np.isfinite(self.scale)) and np.all(np.asarray(self.scale) > 0)):
      raise ValueError(f'scale={self.scale}: must be positive and finite')
    if self.limit is not None and not (self.limit > 0 and math.isfinite(self.limit)):
      raise ValueError(f'limit={self.limit}: must be positive and finite, or None')

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, Scaling):
      return NotImplemented
    return (
      np.array_equal(self.offset, other.offset)
      and np.array_equal(self.scale, other.scale)
      and self.limit == other.limit
    )

  def __hash__(self) -> int:
    numbers = (*np.ravel(self.offset).tolist(), *np.ravel(self.scale).tolist(), self.limit)
    return hash((np.shape(self.offset), np.shape(self.scale), numbers))

  @property
  def is_per_feature(self) -> bool:
    """Whether each feature has its own offset or scale."""
    return np.ndim(self.offset) > 0 or np.ndim(self.scale) > 0

  @property
  def features(self) -> int:
    """How many features have an offset and a scale of their own; 1 if all values share them."""
    return np.broadcast(np.ravel(self.offset), np.ravel(self.scale)).size

  def apply(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scales examples [N, ...], as precisely as the type of `x` allows."""
    seen = self.without_limit(x)
    return seen if self.limit is None else np.clip(seen, -self.limit, self.limit)

  def without_limit(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As `apply`, but values beyond the limit are kept."""
    return (x - self.offset) / self.scale

  def inputs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Scales examples to what a network reads; values of float64 lose digits only afterwards."""
    precise = x if x.dtype == np.float64 else x.astype(np.float32)
    return self.apply(precise).astype(np.float32)


PIXELS = Scaling(0.0, 255.0)  # of uint8 images: to [0, 1]
UNSCALED = Scaling(0.0, 1.0)
