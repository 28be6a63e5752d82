"""How much the accuracy differs between people, machines or recordings.

The mean over all examples hides the person for whom a network does not work, and intervals that
take examples as independent are too narrow if those of a person are alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class GroupAccuracy(NamedTuple):
  """The accuracy on the examples of one group.

  Attributes:
    group: its name.
    accuracy: share of its examples that are recognised.
    examples: their number.
  """

  group: str
  accuracy: float
  examples: int


@dataclasses.dataclass(frozen=True)
class Spread:
  """The accuracies on several groups.

  Attributes:
    groups: at least one, the worst first; if accuracies are equal, the one with the most examples
      first.
  """

  groups: tuple[GroupAccuracy, ...]

  @property
  def worst(self) -> GroupAccuracy:
    """The group with the lowest accuracy."""
    return self.groups[0]

  @property
  def best(self) -> GroupAccuracy:
    """The group with the highest accuracy."""
    return self.groups[-1]

  @property
  def mean(self) -> float:
    """The mean accuracy of the groups, each counted alike."""
    return float(np.mean([one.accuracy for one in self.groups]))

  def to_record(self) -> dict[str, Any]:
    """The figures that files hold, as JSON values."""
    return {
      'worst': self.worst.accuracy,
      'mean': self.mean,
      'best': self.best.accuracy,
      'by_group': {
        one.group: {'accuracy': one.accuracy, 'examples': one.examples} for one in self.groups
      },
    }

  def __str__(self) -> str:
    return told(self.to_record())


def spread(right: npt.NDArray[np.bool_], groups: npt.NDArray[Any]) -> Spread:
  """Computes the accuracy on each group.

  Args:
    right: which examples are recognised, at least one. [N]
    groups: the group of each example, integers or text. [N]
  """
  names, places = np.unique(groups.astype(str), return_inverse=True)
  examples = np.bincount(places)
  counted = np.bincount(places, weights=right)
  found = [
    GroupAccuracy(name, float(part / whole), int(whole))
    for name, part, whole in zip(names.tolist(), counted, examples, strict=True)
  ]
  return Spread(tuple(sorted(found, key=lambda one: (one.accuracy, -one.examples, one.group))))


def told(record: Mapping[str, Any]) -> str:
  """Describes what `Spread.to_record` returned, in one line of text."""
  groups = list(record['by_group'])
  shown = f'worst {record["worst"]:.4f} ({groups[0]}), mean {record["mean"]:.4f}, '
  return shown + f'best {record["best"]:.4f} ({groups[-1]}); groups: {len(groups)}'
