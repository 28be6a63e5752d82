"""Raw examples in the shape and type that a trained network's scaling expects.

A search brings its data to the shape that its networks read (`rlnas.data.shapes.as_images`,
`as_sequences`) and keeps them as uint8, float32 or float64. Later examples must go the same way,
or the int8 inputs would differ in the last unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.data.checks import Array


def shaped(key: str, x: Array, shape: Sequence[int]) -> Array:
  """Examples in the shape that a network reads; axes of length 1 may be missing.

  Images [N, H, W, C] become sequences [N, H, W * C] of their rows if the network reads those, and
  all examples become images of one pixel if it reads these.

  Args:
    key: name of the examples, for error messages.
    x: raw examples. [N, ...]
    shape: shape of one example, as the network reads it.

  Raises:
    ValueError: they have another shape, or are not numbers.
  """
  wanted, given = _without_ones(shape), x.shape
  reads_rows = len(shape) == 2 or shape[0] == 1
  of_rows = (*given[:2], math.prod(given[2:])) if len(given) == 4 and reads_rows else given
  fits = any(_without_ones(sides[1:]) == wanted for sides in (given, of_rows))
  fits |= tuple(shape[:-1]) == (1, 1) and math.prod(given[1:]) == shape[-1]
  if not x.size or x.ndim < 1 or not fits:
    cure = '; one example is x[np.newaxis]' if _without_ones(given) == wanted else ''
    sides = ', '.join(map(str, shape))
    raise ValueError(f'{key} of shape {given}: must be (N, {sides}), N >= 1{cure}')
  if x.dtype.kind not in 'buif':
    raise ValueError(f'{key} of type {x.dtype}: must be numbers')
  return x.reshape(-1, math.prod(shape)).reshape(-1, *shape)


def typed(key: str, x: Array, dtype: npt.DTypeLike) -> Array:
  """Examples of the type in which the training examples were kept.

  Args:
    key: name of the examples, for error messages.
    x: raw examples. [N, ...]
    dtype: uint8, float32 or float64.

  Raises:
    ValueError: the training examples were pixels, and these are not whole numbers of 0 to 255.
  """
  if x.dtype == dtype:
    return x
  if np.dtype(dtype) != np.uint8:
    return x.astype(dtype)
  wrong = np.flatnonzero((x != np.rint(x)) | (x < 0) | (x > 255))
  if wrong.size:
    raise ValueError(
      f'{key} of type {x.dtype}: holds {x.flat[wrong[0]]}; must be whole numbers of 0 to 255, as '
      'the training examples are uint8'
    )
  return x.astype(np.uint8)


def _without_ones(shape: Sequence[int]) -> list[int]:
  return [side for side in shape if side != 1]
