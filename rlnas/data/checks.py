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


def check_examples(key: str, x: Array) -> None:
  """Checks examples as a data set holds them.

  Raises:
    ValueError: `x` is not of type uint8, float32 or float64, or as `check_real` does.
  """
  if not isinstance(x, np.ndarray) or x.dtype not in (np.uint8, np.float32, np.float64):
    raise ValueError(f'{key}: is {kind_of(x)}; must be a NumPy array of uint8, float32 or float64')
  check_real(key, x)


def check_real(key: str, x: Array) -> None:
  """Checks examples of any real type.

  Args:
    key: name of the array, for error messages.
    x: images [N, H, W, C] or sequences [N, T, F].

  Raises:
    ValueError: `x` is not of real numbers, has another rank, an empty axis or its channels first,
      or holds values that are NaN or infinite as float32.
  """
  if x.dtype.kind not in 'buif':
    raise ValueError(f'{key}: has type {x.dtype}; must hold real numbers')
  if x.ndim not in (3, 4):
    raise ValueError(
      f'{key}: has shape {x.shape}; must be images [N, H, W, C] or sequences [N, T, F]'
    )
  if 0 in x.shape:
    raise ValueError(f'{key}: has shape {x.shape}; every side must be at least 1')
  if x.ndim == 4 and _has_channels_first(x.shape):
    raise ValueError(
      f'{key}: has shape {x.shape}; must be images [N, H, W, C], channels last: '
      'numpy.transpose(x, (0, 2, 3, 1))'
    )
  # Minimum and maximum show NaN and infinity without a mask of the size of the data.
  if x.dtype.kind == 'f' and not _is_finite(np.array([x.min(), x.max()])):
    bad = [index for index, example in enumerate(x) if not _is_finite(example)]
    place = ', '.join(map(str, np.argwhere(~_finite(x[bad[0]]))[0]))
    raise ValueError(
      f'{key}: holds NaN or infinite values (as float32) in {len(bad)} of {len(x)} examples, '
      f'first in {key}[{bad[0]}, {place}]; all must be finite: fill them in, or leave these '
      'examples out'
    )


def _finite(x: Array) -> npt.NDArray[np.bool_]:
  """Which values are finite as float32."""
  with np.errstate(over='ignore'):  # values too large for float32 become infinite
    return np.isfinite(x.astype(np.float32))


def _is_finite(x: Array) -> bool:
  return bool(_finite(x).all())


def _has_channels_first(shape: tuple[int, ...]) -> bool:
  """Whether images are surely [N, C, H, W]: one or three rows of many channels.

  Those of one pixel are not: their channels are the features of a row of a table.
  """
  _, first, middle, last = shape
  is_pixel = first == middle == 1
  return first in (1, 3) and not is_pixel and last >= 8 and (last >= 16 or middle == last)


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
    whole = isinstance(y, np.ndarray) and y.dtype.kind == 'f'
    cure = ': y.astype(int) if all are whole numbers, or task=regression' if whole else ''
    raise ValueError(f'{key}: is {kind_of(y)}; labels must be integers or text{cure}')
  if y.shape != (examples,):
    raise ValueError(
      f'{key}: has shape {y.shape}; must be ({examples},), one label for each of the examples'
      + _flat(y.shape, examples)
    )
  for index in (int(np.argmin(y)), int(np.argmax(y))):
    if y[index] < 0 or (classes is not None and y[index] >= classes):
      top = 'number of classes' if classes is None else classes
      raise ValueError(f'{key}: label {y[index]} at index {index}; labels must be in [0, {top})')


def _flat(shape: tuple[int, ...], examples: int) -> str:
  """What makes labels of a shape flat."""
  if len(shape) != 2 or shape[0] != examples:
    return ''
  return ': y.ravel()' if shape[1] == 1 else ' (if one of each row is 1: numpy.argmax(y, 1))'


def check_groups(key: str, groups: Array, *, examples: int) -> None:
  """Checks groups: one integer or text for each example. Raises ValueError."""
  if groups.dtype.kind not in 'iuUS':
    raise ValueError(f'{key}: is {kind_of(groups)}; groups must be integers or text')
  if groups.shape != (examples,):
    raise ValueError(
      f'{key}: has shape {groups.shape}; must be ({examples},), one group for each of the examples'
      + _flat(groups.shape, examples)
    )


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
