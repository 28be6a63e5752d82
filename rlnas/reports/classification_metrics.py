"""Metrics of a classifier: accuracy, recall and precision by class, and calibration."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.data.metrics import Metric, confusion_matrix, recall_by_class

BINS = 10


class Bin(NamedTuple):
  """Examples of about equal confidence.

  Attributes:
    confidence: their mean largest probability.
    accuracy: share of them that is right.
    examples: their number.
  """

  confidence: float
  accuracy: float
  examples: int


@dataclasses.dataclass(frozen=True)
class Quality:
  """The results of a classifier on labelled examples.

  Attributes:
    confusion: number of examples by true class, then by predicted class.
    reliability: the bins of confidence that are not empty, lowest first.
  """

  confusion: tuple[tuple[int, ...], ...]
  reliability: tuple[Bin, ...]

  @property
  def examples(self) -> int:
    """The number of examples."""
    return sum(map(sum, self.confusion))

  @property
  def correct(self) -> int:
    """The number of examples that were classified right."""
    return sum(row[i] for i, row in enumerate(self.confusion))

  @property
  def accuracy(self) -> float:
    """Share of the examples that were classified right."""
    return self.correct / self.examples

  def score(self, metric: Metric) -> float:
    """A metric of the examples."""
    return metric.of(np.array(self.confusion))

  @property
  def recall(self) -> tuple[float | None, ...]:
    """For each class the share of its examples that was recognised; None if it has none."""
    return recall_by_class(np.array(self.confusion))

  @property
  def precision(self) -> tuple[float | None, ...]:
    """For each class the share of its predictions that was right; None if there were none."""
    columns = tuple(zip(*self.confusion, strict=True))
    return tuple(_share(column[i], sum(column)) for i, column in enumerate(columns))

  @property
  def calibration_error(self) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv:1706.04599, equation 3)."""
    gaps = (b.examples * abs(b.accuracy - b.confidence) for b in self.reliability)
    return sum(gaps) / self.examples

  def confusions(self, count: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes as (true class, predicted class, examples)."""
    found = [
      (true, predicted, examples)
      for true, row in enumerate(self.confusion)
      for predicted, examples in enumerate(row)
      if true != predicted and examples
    ]
    return sorted(found, key=lambda mistake: (-mistake[2], mistake))[:count]


def assess(logits: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Quality:
  """Computes the metrics of a classifier from its outputs.

  Args:
    logits: outputs before a softmax, in real units. [N, classes]
    labels: in [0, classes). [N]

  Raises:
    ValueError: there are no examples, or the number of labels differs.
  """
  if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
    raise ValueError(
      f'logits of shape {logits.shape}, labels of shape {labels.shape}: must be (N, classes) and '
      '(N,), N >= 1'
    )
  classes = logits.shape[1]
  predicted = logits.argmax(axis=1)
  confusion = confusion_matrix(labels, predicted, classes=classes)
  shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
  confidence = (shifted / shifted.sum(axis=1, keepdims=True)).max(axis=1)
  return Quality(
    confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    reliability=_bins(confidence, predicted == labels),
  )


def wilson_interval(correct: int, examples: int, *, z: float = 1.96) -> tuple[float, float]:
  """The 95 % confidence interval of a share (Wilson 1927), for `z` = 1.96.

  It covers the random choice of the examples, not that of the training's seed. Raises ValueError if
  there are no examples.
  """
  if not 0 <= correct <= examples or examples < 1:
    raise ValueError(f'correct={correct}: must lie in [0, examples={examples}], examples >= 1')
  share, spread = correct / examples, z * z / examples
  middle = share + spread / 2
  half = z * math.sqrt(share * (1 - share) / examples + spread / (4 * examples))
  return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def _bins(confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> tuple[Bin, ...]:
  index = np.minimum((confidence * BINS).astype(int), BINS - 1)
  groups: Sequence[npt.NDArray[np.bool_]] = [index == i for i in range(BINS)]
  return tuple(
    Bin(float(confidence[group].mean()), float(right[group].mean()), int(group.sum()))
    for group in groups
    if group.any()
  )


def _share(part: int, whole: int) -> float | None:
  return part / whole if whole else None
