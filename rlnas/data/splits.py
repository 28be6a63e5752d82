"""Stratified splits that are the same in every process and for every version of NumPy.

Where examples belong to groups, such as the windows of one recording, a group lies in one split as
a whole: otherwise a network is tested on examples that resemble its training data. The groups of
each split are drawn by scikit-learn (`StratifiedGroupKFold`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]

_SEED = 0  # fixed: no split depends on the seed of a search
_TRIES = 20  # ways to deal groups into so many parts


def split(
  y: npt.NDArray[Any], *, val: int, test: int, titles: Sequence[str] = ()
) -> tuple[Indices, Indices, Indices]:
  """Shuffles the examples and splits off validation and test examples, stratified by class.

  Args:
    y: labels, integers from 0. [N]
    val: number of validation examples, in proportion to the classes but at least one of each; 0
      for none.
    test: number of test examples, likewise.
    titles: the name of each class in error messages; its label by default.

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


def split_groups(
  y: npt.NDArray[Any],
  groups: npt.NDArray[Any],
  *,
  val: float,
  test: float,
  titles: Sequence[str] = (),
) -> tuple[Indices, Indices, Indices]:
  """Splits as `split` does, with every group as a whole in one of the splits.

  The groups are divided into parts of about equal size and with about equal shares of the classes;
  there are at most as many parts as the rarest class has groups. One part becomes the test
  examples, one the validation examples.

  Args:
    y: labels, integers from 0. [N]
    groups: the group of each example, integers or text. [N]
    val: share of the examples that become validation examples, below 1; 0 for none. With few
      groups, the split may be larger.
    test: share of the examples that become test examples, likewise.
    titles: the name of each class in error messages; its label by default.

  Returns:
    Shuffled indices into `y` for training, validation and test; each index is in one of them.

  Raises:
    ValueError: a class is in too few groups for one in every split, or no such split was found.
  """
  from sklearn.model_selection import StratifiedGroupKFold  # takes a second to load

  shares = [share for share in (test, val) if share]
  bits = np.random.PCG64(_SEED)
  order = _permutation(bits, len(y))
  if not shares:
    return order, order[:0], order[:0]
  least, labels = 1 + len(shares), np.unique(y)
  of_class = {label: np.unique(groups[y == label]) for label in labels.tolist()}
  for label, found in of_class.items():
    if len(found) < least:
      title = titles[label] if titles else f'label {label}'
      raise ValueError(
        f'y_train: {title} is in {len(found)} group{"s" * (len(found) > 1)} '
        f'({", ".join(map(str, found))}); must be in at least {least}, since a group (a recording, '
        'a person) lies in one split as a whole: add others, or give your own split'
      )
  most = min(len(found) for found in of_class.values())
  _, numbers = np.unique(groups, return_inverse=True)
  for parts in range(max(least, min(most, round(1 / min(shares)))), least - 1, -1):
    for _ in range(_TRIES):
      # Our own shuffling: that of scikit-learn is not the same in every version.
      shuffled = _permutation(bits, int(numbers.max()) + 1)[numbers]
      with warnings.catch_warnings():  # a class may have fewer examples than there are parts
        warnings.simplefilter('ignore', UserWarning)
        dealt = [held for _, held in StratifiedGroupKFold(parts).split(y, y, shuffled)]
      whole = [held for held in dealt if np.array_equal(np.unique(y[held]), labels)]
      role = np.zeros(len(y), np.int8)  # 0 training, 1 validation, 2 test
      for number, held in zip([2] * bool(test) + [1] * bool(val), whole, strict=False):
        role[held] = number
      trained = np.array_equal(np.unique(y[role == 0]), labels)
      if trained and len(whole) >= len(shares):
        train, val_indices, test_indices = (order[role[order] == i] for i in range(3))
        return train, val_indices, test_indices
  raise ValueError(
    'groups: no split was found in which training, validation and test examples have every class; '
    'let each class be in more groups, or give your own split'
  )


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
