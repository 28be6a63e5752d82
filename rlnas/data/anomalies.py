"""The splits of anomaly detection, whose training examples are normal, and its thresholds.

Every label but that of normal examples means an anomaly. Anomalies among the training examples are
not trained on: if validation and test data are to be split off, each gets half of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data import splits

Array = npt.NDArray[Any]

# Shares of normal validation examples that a threshold may call anomalous; the bundle has the
# second one.
FALSE_ALARM_RATES = (0.01, 0.05, 0.1)
BUNDLED_RATE = 0.05

_SPOKEN = {'val': 'validation', 'test': 'test'}
_NAMES = ('normal', 'ok', 'good', '0')  # of normal examples, the first of those that there are


@dataclasses.dataclass(frozen=True, eq=False)
class Arranged:
  """Which examples lie in which split, and their labels.

  Attributes:
    places: for each split the given split that its examples come from, and their places there.
    labels: for each split 0 for normal and 1 for anomalous examples. [N] each
    notes: the decisions made.
  """

  places: Mapping[str, tuple[str, npt.NDArray[np.intp]]]
  labels: Mapping[str, npt.NDArray[np.int32]]
  notes: tuple[str, ...]

  def of(self, split: str, given: Mapping[str, Any]) -> Any:
    """The rows of a split, from the arrays of the given splits; None if its source has none."""
    source, index = self.places[split]
    rows = given.get(source)
    return None if rows is None else rows[index]


def looks_like_anomalies(labels: Mapping[str, Array]) -> bool:
  """Whether the training labels are all the same, and another split has others as well."""
  if any(not isinstance(y, np.ndarray) or y.ndim != 1 for y in labels.values()):
    return False
  train = np.unique(labels['train'])
  others = [np.unique(y) for split, y in labels.items() if split != 'train']
  return len(train) == 1 and any(len(y) > 1 and np.isin(train, y).all() for y in others)


def is_anomalous(y: Array, class_names: tuple[str, ...] | None) -> npt.NDArray[np.int32]:
  """0 for each example with the label of normal ones, 1 for others. Raises ValueError."""
  return (y != _normal(y, class_names)).astype(np.int32)


def arranged(
  labels: Mapping[str, Array],
  *,
  class_names: tuple[str, ...] | None,
  groups: Array | None,
  val_fraction: float,
  test_fraction: float,
) -> Arranged:
  """Arranges the examples of anomaly detection.

  Args:
    labels: labels of each given split, 'train' among them: integers or text.
    class_names: names of integer labels; or None.
    groups: the group of each training example, which lies in one split; None if there are none.
    val_fraction: share of the normal examples that become validation data, if there are none.
    test_fraction: likewise test data.

  Raises:
    ValueError: it is unclear which label is normal, or there are too few examples to split.
  """
  normal = _normal(labels['train'], class_names)
  is_odd = {split: (y != normal).astype(np.int32) for split, y in labels.items()}
  odd, fine = (np.flatnonzero(is_odd['train'] == kind) for kind in (1, 0))
  known = class_names is not None and np.asarray(normal).dtype.kind in 'iu'
  named = class_names[int(normal)] if known and class_names else str(normal)
  notes = [f'normal examples are labelled {named}; all others are anomalies']
  places = {split: (split, np.arange(len(y))) for split, y in labels.items()}
  if {'val', 'test'} <= labels.keys():
    if len(odd):
      notes.append(f'{len(odd)} anomalies of the training data are left out')
    places['train'] = ('train', fine)
    return _found(places, is_odd, notes)
  if len(labels) > 1:  # one of the two is given: it is halved
    (given,) = labels.keys() - {'train'}
    y = is_odd[given]
    _check_both(given, y)
    rest, half, _ = splits.split(y, val=len(y) // 2, test=0)
    missing = 'val' if given == 'test' else 'test'
    places = {'train': ('train', fine), given: (given, rest), missing: (given, half)}
    notes.append(f'half of the {_SPOKEN[given]} examples are {_SPOKEN[missing]} examples')
    return _found(places, is_odd, notes)
  _check_both('train', is_odd['train'])
  zeros = np.zeros(len(fine), np.int32)
  if groups is None:
    counts = (round(len(fine) * share) or 1 for share in (val_fraction, test_fraction))
    val, test = counts
    parts = splits.split(zeros, val=val, test=test, titles=('normal',))
    odds = np.array_split(odd[_order(len(odd))], 2)
  else:
    shares = {'val': val_fraction, 'test': test_fraction}
    parts = splits.split_groups(zeros, groups[fine], **shares, titles=('normal',))
    _, numbers = np.unique(groups[odd], return_inverse=True)
    odds = [odd[numbers % 2 == half] for half in (0, 1)]
  train, val_part, test_part = (fine[part] for part in parts)
  places = {
    'train': ('train', train),
    'val': ('train', np.concatenate([val_part, odds[0]])),
    'test': ('train', np.concatenate([test_part, odds[1]])),
  }
  return _found(places, is_odd, notes)


def _found(
  places: Mapping[str, tuple[str, npt.NDArray[np.intp]]],
  is_odd: Mapping[str, npt.NDArray[np.int32]],
  notes: list[str],
) -> Arranged:
  labels = {split: is_odd[source][index] for split, (source, index) in places.items()}
  return Arranged(places, labels, tuple(notes))


def _order(count: int) -> npt.NDArray[np.intp]:
  """The same random order in every process and version of NumPy."""
  return splits.split(np.zeros(count, np.int32), val=0, test=0)[0]


def _check_both(split: str, y: npt.NDArray[np.int32]) -> None:
  """Raises ValueError if a split has fewer than two examples of a kind."""
  for kind, name in ((0, 'normal'), (1, 'anomalous')):
    if np.count_nonzero(y == kind) < 2:
      raise ValueError(
        f'y_{split}: has {np.count_nonzero(y == kind)} {name} examples; must have at least 2, as '
        'validation and test data need both kinds'
      )


def _normal(y: Array, class_names: tuple[str, ...] | None) -> Any:
  """The label of normal examples. Raises ValueError if it is unclear."""
  if not isinstance(y, np.ndarray) or y.ndim != 1 or y.dtype.kind not in 'iuUS' or not y.size:
    raise ValueError('y_train: must be labels of examples [N], integers or text')
  found = np.unique(y)
  if len(found) == 1:
    return found[0]
  names = {str(label).casefold(): label for label in found.tolist()}
  if class_names is not None and y.dtype.kind in 'iu':
    names = {name.casefold(): place for place, name in enumerate(class_names)}
  for name in _NAMES:
    if name in names:
      return names[name]
  raise ValueError(
    f'y_train: has the labels {", ".join(map(str, found[:12]))}; one must be named '
    f'{", ".join(_NAMES)}, or all must be the same: that of normal examples'
  )


def thresholds_of(
  truth: npt.NDArray[Any], scores: npt.NDArray[np.float64]
) -> tuple[tuple[float, float], ...]:
  """The lowest threshold for each of `FALSE_ALARM_RATES`, as (rate, threshold).

  Args:
    truth: 0 for normal and 1 for anomalous validation examples. [N]
    scores: their scores in int8. [N]
  """
  normal = np.sort(scores[truth == 0])
  return tuple(
    (rate, float(normal[len(normal) - 1 - int(rate * len(normal))])) for rate in FALSE_ALARM_RATES
  )
