"""Checks of the arrays of a data set, run once, before a network is trained on them.

Every error is one `ValueError` that names the array, its content and the rule. The checks do not
copy the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def as_examples(key: str, x: Array) -> Array:
  """Checks examples and converts them to a type that a data set can hold.

  Args:
    key: name of the array, for error messages.
    x: images [N, H, W, C] or sequences [N, T, F] of any real type.

  Returns:
    The examples: uint8 unchanged, every other type as float32.

  Raises:
    ValueError: `x` is not of real numbers, has another rank or an empty side, or holds values that
      are NaN or infinite as float32.
  """
  if x.dtype.kind not in 'buif':
    raise ValueError(f'{key}: has type {x.dtype}; must hold real numbers')
  if x.dtype != np.uint8:
    with np.errstate(over='ignore'):  # too large values become infinite and are reported
      x = x.astype(np.float32, copy=False)
  check_examples(key, x)
  return x


def check_examples(key: str, x: Array) -> None:
  """Checks examples of type uint8 or float32. Raises ValueError as `as_examples` does."""
  if not isinstance(x, np.ndarray) or x.dtype not in (np.uint8, np.float32):
    raise ValueError(f'{key}: is {kind_of(x)}; must be a NumPy array of uint8 or float32')
  if x.ndim not in (3, 4):
    raise ValueError(
      f'{key}: has shape {x.shape}; must be images [N, H, W, C] or sequences [N, T, F]'
    )
  if 0 in x.shape:
    raise ValueError(f'{key}: has shape {x.shape}; every side must be at least 1')
  # Minimum and maximum show NaN and infinity without a mask of the size of the data.
  if x.dtype == np.float32 and not (np.isfinite(x.min()) and np.isfinite(x.max())):
    raise ValueError(f'{key}: holds NaN or infinite values (as float32); all must be finite')


def check_labels(key: str, y: Array, *, examples: int, classes: int | None) -> None:
  """Checks labels.

  Args:
    key: name of the array, for error messages.
    y: labels of any integer type. [N]
    examples: number of labels that there must be.
    classes: labels must lie in [0, classes); if None, there is no upper limit.

  Raises:
    ValueError: a rule is broken.
  """
  if not isinstance(y, np.ndarray) or y.dtype.kind not in 'iu':
    raise ValueError(f'{key}: is {kind_of(y)}; labels must be integers')
  if y.shape != (examples,):
    raise ValueError(
      f'{key}: has shape {y.shape}; must be ({examples},), one label for each of the examples'
    )
  for index in (int(np.argmin(y)), int(np.argmax(y))):
    if y[index] < 0 or (classes is not None and y[index] >= classes):
      top = 'number of classes' if classes is None else classes
      raise ValueError(f'{key}: label {y[index]} at index {index}; labels must be in [0, {top})')


def check_class_names(class_names: Sequence[str]) -> None:
  """Checks that there are at least two classes, with different names. Raises ValueError."""
  if not all(isinstance(name, str) and name for name in class_names):
    raise ValueError(f'class_names={tuple(class_names)}: must be non-empty strings')
  if len(class_names) < 2:
    raise ValueError(f'class_names={tuple(class_names)}: must be at least 2 classes')
  if len(set(class_names)) < len(class_names):
    twice = next(name for name in class_names if class_names.count(name) > 1)
    raise ValueError(f'class_names: {twice!r} occurs more than once; names must differ')


def kind_of(value: object) -> str:
  """Describes the type of a value, or of an array's elements, for error messages."""
  return f'of type {value.dtype}' if isinstance(value, np.ndarray) else type(value).__name__
