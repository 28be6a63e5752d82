"""Stratified splits that are the same in every process and for every version of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]

_SEED = 0  # fixed: no split depends on the seed of a search


def split(
  y: npt.NDArray[Any], *, val: int, test: int, titles: Sequence[str] = ()
) -> tuple[Indices, Indices, Indices]:
  """Shuffles the examples and splits off validation and test examples, stratified by class.

  Args:
    y: labels, integers from 0. [N]
    val: number of validation examples, in proportion to the classes but at least one of each; 0
      for none.
    test: number of test examples, likewise.
    titles: what error messages call each class; its label by default.

  Returns:
    Shuffled indices into `y` for training, validation and test; each index is in one of them.

  Raises:
    ValueError: a class has too few examples for one in every split.
  """
  sizes = np.bincount(y)
  least = 1 + bool(val) + bool(test)
  for small in np.flatnonzero((sizes > 0) & (sizes < least)).tolist():
    title = titles[small] if titles else f'label {small}'
    examples = f'{sizes[small]} example{"s" * int(sizes[small] > 1)}'
    raise ValueError(
      f'y_train: {title} has {examples}; must have at least {least}, since validation or test '
      'examples are to be split off'
    )
  bits = np.random.PCG64(_SEED)
  role = np.zeros(len(y), np.int8)  # 0 training, 1 validation, 2 test
  drawn = _permutation(bits, len(y))
  for number, count in ((2, test), (1, val)):
    free = drawn[role[drawn] == 0]
    labels = y[free]
    for label, quota in enumerate(_apportion(np.bincount(labels), count)):
      role[free[labels == label][:quota]] = number
  # Shuffle again: in the first order, classes whose quotas fill early would lead the rest.
  order = _permutation(bits, len(y))
  train, val_indices, test_indices = (order[role[order] == number] for number in range(3))
  return train, val_indices, test_indices


def _permutation(bits: np.random.PCG64, count: int) -> Indices:
  """A random order. NumPy guarantees the same raw bits in every version."""
  return np.argsort(bits.random_raw(count), kind='stable')


def _apportion(sizes: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
  """Divides `count` by largest remainder; each class with examples gets at least 1."""
  if not count:
    return np.zeros_like(sizes)
  quotas, remainders = np.divmod(sizes * count, sizes.sum())
  remainders[quotas == 0] = 0  # these get their one below
  quotas = np.maximum(quotas, sizes > 0)
  missing = max(0, count - int(quotas.sum()))
  quotas[np.argsort(-remainders, kind='stable')[:missing]] += 1
  return quotas
