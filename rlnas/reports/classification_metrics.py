"""Metrics of a classifier: accuracy, recall and precision by class, and calibration."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from scipy.stats import binned_statistic, binomtest
from sklearn.metrics import precision_recall_fscore_support

from rlnas.data.metrics import Metric, confusion_matrix
from rlnas.data.spread import Spread, spread

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
    recall: for each class the share of its examples that was recognised; None if it has none.
    precision: for each class the share of its predictions that was right; None if there were none.
    reliability: the bins of confidence that are not empty, lowest first.
    groups: the accuracy on each group, such as a person; None if the examples have none.
  """

  confusion: tuple[tuple[int, ...], ...]
  recall: tuple[float | None, ...]
  precision: tuple[float | None, ...]
  reliability: tuple[Bin, ...]
  groups: Spread | None = None

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

  @property
  def interval(self) -> tuple[float, float]:
    """The 95 % confidence interval of the accuracy (`wilson_interval`)."""
    return wilson_interval(self.correct, self.examples)

  def score(self, metric: Metric) -> float:
    """A metric of the examples."""
    return metric.of(np.array(self.confusion))

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


def assess(
  logits: npt.NDArray[Any],
  labels: npt.NDArray[Any],
  *,
  groups: npt.NDArray[Any] | None = None,
) -> Quality:
  """Computes the metrics of a classifier from its outputs.

  Args:
    logits: outputs before a softmax, in real units. [N, classes]
    labels: in [0, classes). [N]
    groups: the group of each example, integers or text, if there are any. [N]

  Raises:
    ValueError: there are no examples, or the number of labels or groups differs.
  """
  if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
    raise ValueError(
      f'logits of shape {logits.shape}, labels of shape {labels.shape}: must be (N, classes) and '
      '(N,), N >= 1'
    )
  if groups is not None and groups.shape != labels.shape:
    raise ValueError(f'groups of shape {groups.shape}: must be {labels.shape}')
  classes = logits.shape[1]
  predicted = logits.argmax(axis=1)
  precision, recall, _, _ = precision_recall_fscore_support(
    labels, predicted, labels=range(classes), zero_division=np.nan
  )
  return Quality(
    confusion=tuple(map(tuple, confusion_matrix(labels, predicted, classes=classes).tolist())),
    recall=_known(recall),
    precision=_known(precision),
    reliability=_bins(softmax(logits, axis=1).max(axis=1), predicted == labels),
    groups=None if groups is None else spread(predicted == labels, groups),
  )


def wilson_interval(correct: int, examples: int) -> tuple[float, float]:
  """The 95 % confidence interval of a share (Wilson 1927).

  It covers the random choice of the examples, not that of the training's seed. Raises ValueError if
  there are no examples.
  """
  if not 0 <= correct <= examples or examples < 1:
    raise ValueError(f'correct={correct}: must lie in [0, examples={examples}], examples >= 1')
  interval = binomtest(correct, examples).proportion_ci(0.95, method='wilson')
  return float(interval.low), float(interval.high)


def _bins(confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> tuple[Bin, ...]:
  """Ten bins of equal width over [0, 1]."""
  counts, edges, _ = binned_statistic(confidence, confidence, 'count', BINS, (0, 1))
  means, _, _ = binned_statistic(confidence, [confidence, right], 'mean', edges)
  return tuple(
    Bin(float(mean), float(share), int(count))
    for mean, share, count in zip(*means, counts, strict=True)
    if count
  )


def _known(shares: npt.NDArray[np.float64]) -> tuple[float | None, ...]:
  """The shares; None in place of 0 / 0."""
  return tuple(None if np.isnan(share) else float(share) for share in shares)
