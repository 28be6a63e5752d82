"""The classes of labels: their names, and their numbers from 0 on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


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
      f'{len(y)}; number the classes from 0 on'
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
    ValueError: a label is of no class.
  """
  for index in np.flatnonzero(~np.isin(y, classes))[:1]:
    raise ValueError(f'{key}: label {y[index]} at index {index}; no training example has it')
  return np.searchsorted(classes, y).astype(np.int32)


def titles(
  classes: Array, class_names: Sequence[str], folders: Sequence[str] = ()
) -> tuple[str, ...]:
  """What error messages call each class: its label, its name and the folder of its examples."""
  found = []
  for index, (label, name) in enumerate(zip(classes, class_names, strict=True)):
    more = [f'class {name!r}'] * (name != str(label)) + [*folders[index : index + 1]]
    found.append(f'label {label}' + (f' ({", ".join(more)})' if more else ''))
  return tuple(found)
