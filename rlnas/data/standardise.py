"""Robust offset and scale of each feature, and the number type that keeps its digits.

All features share the one range of the int8 input. So a feature that is divided by too small a
deviation, or that has a corrupt reading, takes the range from all others. Percentiles therefore
show which values are outliers, mostly constant features get a deviation in relation to those of the
other features, and scaled values saturate at `LIMIT`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.scaling import Scaling

Array = npt.NDArray[Any]
Float64Array = npt.NDArray[np.float64]

LIMIT = 10.0  # of scaled float data, in deviations: 1 step of int8 is then at most 0.08 deviations

_CENTRE = (1, 99)  # percentiles between which a feature has its usual values
# Values that are farther from these percentiles than so many times their distance are outliers. Of
# normal values they are more than 11 deviations from the mean.
_FENCE = 2.0
_MOST = (5, 95)  # a feature is mostly constant if these percentiles are equal
_SAMPLE_VALUES = (
  1 << 22
)  # the percentiles are those of evenly spaced examples, about so many values
_DIGITS = 1 / 256  # of a feature's usual range: finer digits may be lost


def standardising(x: Array) -> Scaling:
  """Scaling by mean and standard deviation of each feature (the last axis), without outliers.

  Values beyond the fence count as lying on it. Without such values, and if no feature is mostly
  constant, the result is mean and deviation. A mostly constant feature has a small deviation, by
  which its few other values would become huge. Its deviation is raised to the median of those of
  the other features, but no farther than until all of its values are within `LIMIT`. For a feature
  that never varies by more than rounding errors, the deviation is set to 1.

  Args:
    x: training examples, float32 or float64. [N, ..., F]

  Returns:
    Two numbers if there is one feature, else two arrays [F] of the type of `x`; and `LIMIT`.

  Raises:
    ValueError: every value is the same.
  """
  axes = tuple(range(x.ndim - 1))
  low, high = x.min(axes).astype(np.float64), x.max(axes).astype(np.float64)
  if low.min() == high.max():
    raise ValueError(f'x_train: every value is {x.flat[0]}; must vary')
  bottom, least, most, top = _percentiles(x, (_CENTRE[0], *_MOST, _CENTRE[1]))
  usual = top - bottom
  is_fixed = _is_same(bottom, top, x.dtype)
  is_mostly_constant = _is_same(least, most, x.dtype)
  fence = (
    np.where(is_fixed, low, np.maximum(low, bottom - _FENCE * usual)),
    np.where(is_fixed, high, np.minimum(high, top + _FENCE * usual)),
  )
  mean, deviation = _moments(x, fence)
  others = deviation[~is_mostly_constant]
  reach = np.maximum(high - mean, mean - low) / LIMIT
  floor = np.minimum(reach, np.median(others)) if others.size else reach
  deviation = np.where(is_mostly_constant, np.maximum(deviation, floor), deviation)
  deviation = np.where(_is_same(low, high, x.dtype), 1.0, deviation)
  if len(mean) == 1:
    return Scaling(float(mean[0]), float(deviation[0]), LIMIT)
  return Scaling(mean.astype(x.dtype), deviation.astype(x.dtype), LIMIT)


def _is_same(low: Float64Array, high: Float64Array, dtype: npt.DTypeLike) -> npt.NDArray[np.bool_]:
  """Whether the values of each feature differ by rounding errors only."""
  rounding = 16 * float(np.finfo(dtype).eps)
  return high - low <= rounding * np.maximum(np.abs(low), np.abs(high))


def _moments(x: Array, fence: tuple[Float64Array, Float64Array]) -> tuple[Float64Array, ...]:
  """Mean and standard deviation of each feature, in float64 but without a float64 copy of all."""
  axes = tuple(range(x.ndim - 1))
  low, high = fence
  is_inside = np.all(low <= x.min(axes)) and np.all(x.max(axes) <= high)
  examples = x if is_inside else (np.clip(example, low, high) for example in x)
  if is_inside:
    mean = np.asarray(np.mean(x, axes, dtype=np.float64))
  else:
    total = sum(np.clip(example, low, high).sum(axes[:-1], dtype=np.float64) for example in x)
    mean = np.asarray(total) * len(low) / x.size
  squares = np.zeros_like(mean)
  for example in examples:
    squares += np.square(np.subtract(example, mean, dtype=np.float64)).sum(axes[:-1])
  return mean, np.sqrt(squares * len(mean) / x.size)


def storage_type(key: str, x: Array) -> npt.DTypeLike:
  """Returns the smallest type that keeps the digits of every feature: float32 or float64.

  Time stamps of 1e9 seconds, for example, differ by less than float32 can tell.

  Args:
    key: name of the array, for error messages.
    x: training examples of any real type. [N, ..., F]

  Raises:
    ValueError: not even float64 tells the integers of a feature apart.
  """
  if x.dtype.kind not in 'iuf' or x.dtype.itemsize < 4 or x.dtype == np.float32:
    return np.float32
  if not lost_digits(x, np.float32):
    return np.float32
  for feature in lost_digits(x, np.float64):
    raise ValueError(
      f'{key}: feature {feature} holds integers up to {x[..., feature].max()} that differ by less '
      'than float64 can tell; subtract a constant from them'
    )
  return np.float64


def lost_digits(x: Array, dtype: npt.DTypeLike) -> list[int]:
  """Returns the features of x [N, ..., F] whose usual range has too few steps in a number type."""
  axes = tuple(range(x.ndim - 1))
  bottom, top = _percentiles(x, _CENTRE)
  # As Python numbers, since the difference of two int64 can be too large for int64.
  reach = x.max(axes).astype(object) - x.min(axes).astype(object)
  usual = np.where(top > bottom, top - bottom, reach.astype(np.float64))
  with np.errstate(over='ignore', invalid='ignore'):  # beyond float32: `check_examples` tells
    step = np.spacing(np.maximum(np.abs(bottom), np.abs(top)).astype(dtype))
    return np.flatnonzero((usual > 0) & (step.astype(np.float64) > _DIGITS * usual)).tolist()


def _percentiles(x: Array, shares: tuple[int, ...]) -> Float64Array:
  """Percentiles of each feature, of evenly spaced examples. [shares, F]."""
  some = x[:: -(-x.size // _SAMPLE_VALUES)].reshape(-1, x.shape[-1]).astype(np.float64)
  return np.asarray(np.percentile(some, shares, axis=0))
