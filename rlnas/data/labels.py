"""The classes of labels: their names, and their numbers from 0 on; the values of a regression.

Labels are integers, or text. Those that name classes by their order may count from 0 or from 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.data.checks import check_labels
from rlnas.data.tasks import ANOMALOUS, NORMAL, as_targets, check_varies, target_names

_STRATA = 10  # of a regression's examples, by the first value
_EXAMPLES_OF_STRATUM = 30  # at least

Array = npt.NDArray[Any]


def as_integers(
  labels: Mapping[str, Array], class_names: tuple[str, ...] | None
) -> tuple[dict[str, Array], tuple[str, ...] | None, tuple[str, ...]]:
  """Replaces labels of text, and labels that count from 1, by integers from 0 on.

  Without names of classes, the distinct training labels of text are the classes, in the order of
  the alphabet. Other labels are returned as they are, and not checked.

  Args:
    labels: labels of each split, by its name ('train' among them).
    class_names: names of the classes in the order of their labels; or None.

  Returns:
    The labels, the names, and a remark if labels count from 1.

  Raises:
    ValueError: labels of a split are text and those of another are not, or text is not a class.
  """
  texts = {s: y.astype(str) for s, y in labels.items() if _is_text(y)}
  if texts:
    for split in labels.keys() - texts.keys():
      text = next(iter(texts))
      raise ValueError(
        f'y_{split}: labels are numbers, those of y_{text} text; must be of one kind'
      )
    names = class_names or tuple(np.unique(texts['train']).tolist())
    return {s: _places(f'y_{s}', y, names) for s, y in texts.items()}, names, ()
  train = labels['train']
  if class_names is None or train.dtype.kind not in 'iu' or not train.size:
    return dict(labels), class_names, ()
  if (train.min(), train.max()) != (1, len(class_names)):
    return dict(labels), class_names, ()
  shifted = {s: y - y.dtype.type(1) if y.dtype.kind in 'iu' else y for s, y in labels.items()}
  for split, y in labels.items():  # before unsigned ones become large
    for index in np.flatnonzero(y < 1)[:1]:
      raise ValueError(
        f'y_{split}: label {y[index]} at index {index}; labels of the training data count from 1'
      )
  return shifted, class_names, (f'labels count from 1: label 1 is {class_names[0]!r}',)


def _is_text(y: Array) -> bool:
  return isinstance(y, np.ndarray) and y.dtype.kind in 'US'


def _places(key: str, y: Array, names: tuple[str, ...]) -> Array:
  places = {name: place for place, name in enumerate(names)}
  for index in np.flatnonzero(~np.isin(y, names))[:1]:
    raise ValueError(
      f'{key}: label {str(y[index])!r} at index {index}; must be one of the classes '
      f'{_listed(names)}'
    )
  return np.array([places[label] for label in y.ravel().tolist()], np.int64).reshape(y.shape)


def _listed(names: Sequence[str]) -> str:
  return ', '.join(names[:12]) + (', ...' if len(names) > 12 else '')


def places_among(
  key: str,
  y: Array,
  class_names: tuple[str, ...],
  *,
  count: int,
  own_names: tuple[str, ...] | None = None,
) -> npt.NDArray[np.int32]:
  """The class of a trained network for each label of other data.

  Labels of text are names of classes. So are numbers if names are given for them (which they then
  count through, from 0 or from 1), if the network's classes are all named by numbers, or if each is
  the name of a class. Other numbers are places from 0 on.

  Args:
    key: name of the labels, for error messages.
    y: labels. [N]
    class_names: names of the network's classes, in order.
    count: number of labels that there must be.
    own_names: names of the classes of the labels, in the order of their numbers; or None.

  Raises:
    ValueError: a label belongs to no class of the network, or there are fewer or more labels.
  """
  if own_names is not None:
    for name in own_names:
      if name not in class_names:
        raise ValueError(
          f'class_names: {name!r} is not a class of the network; must be of {_listed(class_names)}'
        )
  if _is_text(y):
    check_labels(key, np.zeros(y.shape, np.int64), examples=count, classes=None)
    return _places(key, y.astype(str), class_names).astype(np.int32)
  check_labels(key, y, examples=count, classes=None)
  if own_names is not None:
    first = int(y.max() == len(own_names) and y.min() > 0)
    check_labels(key, y - y.dtype.type(first), examples=count, classes=len(own_names))
    return _places(key, np.array(own_names)[y - first], class_names).astype(np.int32)
  texts = y.astype(str)
  if all(map(_is_number, class_names)) or np.isin(texts, class_names).all():
    return _places(key, texts, class_names).astype(np.int32)
  check_labels(key, y, examples=count, classes=len(class_names))
  return y.astype(np.int32)


def check_counting(key: str, y: Array, own_names: tuple[str, ...] | None) -> None:
  """Raises ValueError if numbers of named classes may count from 0 as well as from 1."""
  if own_names is None or _is_text(y) or not y.size:
    return
  if y.min() > 0 and y.max() < len(own_names):
    raise ValueError(
      f'{key}: labels {y.min()} to {y.max()} of {len(own_names)} class_names may count from 0 or '
      'from 1; must hold 0 or the last one, or be the names themselves'
    )


def as_places(
  key: str, y: Array, class_names: tuple[str, ...], *, count: int
) -> npt.NDArray[np.int32]:
  """The classes of a network that labels of a program name: by text, or by places from 0 on.

  Args:
    key: name of the labels, for error messages.
    y: labels. [N]
    class_names: names of the network's classes, in order.
    count: number of labels that there must be.

  Raises:
    ValueError: a label belongs to no class of the network, or there are fewer or more labels.
  """
  if _is_text(y):
    return places_among(key, y, class_names, count=count)
  check_labels(key, y, examples=count, classes=len(class_names))
  return y.astype(np.int32)


def _is_number(name: str) -> bool:
  return name.removeprefix('-').isdecimal()


def classes_of(y: Array, class_names: tuple[str, ...] | None) -> tuple[Array, tuple[str, ...]]:
  """Returns the label of each class, sorted, and its name.

  Without names, the distinct labels are the classes and their names.

  Args:
    y: training labels. [N]
    class_names: names of the classes 0, 1, ...; or None.

  Raises:
    ValueError: there is only one class, a named class has no training example, or the greatest
      label is implausible.
  """
  found = np.unique(y)
  if class_names is None and found[-1] >= len(y):  # one wrong label would otherwise be a class
    raise ValueError(
      f'label {found[-1]}: the greatest label must be below the number of training examples, '
      f'{len(y)}; number the classes from 0 on, or set task=regression if these are values'
    )
  if len(found) == 1:
    raise ValueError(f'y_train: every label is {found[0]}; must be at least 2 classes')
  if class_names is None:
    return found, tuple(str(label) for label in found)
  for label in sorted(set(range(len(class_names))) - set(found.tolist())):
    raise ValueError(
      f'class_names: no training example has label {label}, {class_names[label]!r}; each class '
      'must have some, since the network has an output for it'
    )
  return found, class_names


def numbered(key: str, y: Array, classes: Array) -> npt.NDArray[np.int32]:
  """Replaces each label by the index of its class.

  Args:
    key: name of the labels, for error messages.
    y: labels. [N]
    classes: the label of each class, sorted; each has training examples.

  Raises:
    ValueError: a label belongs to no class.
  """
  for index in np.flatnonzero(~np.isin(y, classes))[:1]:
    raise ValueError(f'{key}: label {y[index]} at index {index}; no training example has it')
  return np.searchsorted(classes, y).astype(np.int32)


def titles(
  classes: Array, class_names: Sequence[str], folders: Sequence[str] = ()
) -> tuple[str, ...]:
  """Each class as error messages name it: its label, its name and the folder of its examples."""
  found = []
  for index, (label, name) in enumerate(zip(classes, class_names, strict=True)):
    more = [f'class {name!r}'] * (name != str(label)) + [*folders[index : index + 1]]
    found.append(f'label {label}' + (f' ({", ".join(more)})' if more else ''))
  return tuple(found)


class Labels(NamedTuple):
  """The labels of a task as a data set holds them.

  Attributes:
    labels: classes [N] or values [N, K] of each split.
    class_names: names of the classes or values.
    strata: by which the training examples are split. [N]
    titles: the name of each stratum in error messages.
    notes: remarks for the user on how they were read.
  """

  labels: dict[str, Array]
  class_names: tuple[str, ...]
  strata: Array
  titles: tuple[str, ...]
  notes: tuple[str, ...]


def as_classes(
  labels: dict[str, Array],
  examples: Mapping[str, int],
  class_names: tuple[str, ...] | None,
  folders: tuple[str, ...],
) -> Labels:
  """Labels as classes, counted from 0.

  Args:
    labels: labels of each split, by its name.
    examples: number of examples of each split.
    class_names: names of the classes; or None.
    folders: where the training examples of each class come from.

  Raises:
    ValueError: a label is not a class, or a class has no training examples.
  """
  labels, class_names, notes = as_integers(labels, class_names)
  count = None if class_names is None else len(class_names)
  for split, y in labels.items():
    check_labels(f'y_{split}', y, examples=examples[split], classes=count)
  classes, class_names = classes_of(labels['train'], class_names)
  if classes[-1] >= len(classes):
    notes += (f'labels {", ".join(class_names)} are numbered from 0 on',)
  labels = {split: numbered(f'y_{split}', y, classes) for split, y in labels.items()}
  named = titles(classes, class_names, folders)
  return Labels(labels, class_names, labels['train'], named, notes)


def as_anomalies(labels: Mapping[str, Array], notes: tuple[str, ...]) -> Labels:
  """Labels of anomaly detection, 0 for normal and 1 for anomalous, as `arranged` gives them."""
  strata = np.zeros(len(labels['train']), np.int32)
  return Labels(dict(labels), (NORMAL, ANOMALOUS), strata, (NORMAL,), notes)


def as_values(
  labels: dict[str, Array],
  examples: Mapping[str, int],
  class_names: tuple[str, ...] | None,
) -> Labels:
  """Labels as values of a regression; the strata are tenths of the first one if there are enough.

  Args:
    labels: values of each split, by its name. [N] or [N, K]
    examples: number of examples of each split.
    class_names: names of the values; or None.

  Raises:
    ValueError: they are not finite numbers, or a split has constant ones or another number of them.
  """
  rows = {s: as_targets(f'y_{s}', y, examples=examples[s]) for s, y in labels.items()}
  train = rows['train']
  names = target_names(class_names, train.shape[1])
  for split, y in rows.items():
    if y.shape[1] != len(names):
      raise ValueError(f'y_{split}: has {y.shape[1]} values; those of y_train have {len(names)}')
    check_varies(f'y_{split}', y, names)
  strata = max(1, min(_STRATA, len(train) // _EXAMPLES_OF_STRATUM))
  order = np.argsort(np.argsort(train[:, 0], kind='stable'), kind='stable')
  named = tuple(f'part {i + 1} of {strata} by value' for i in range(strata))
  return Labels(rows, names, order * strata // len(train), named, ())
