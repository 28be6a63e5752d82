"""The metrics that a search can maximise: accuracy and others of classes, R², ROC areas.

If one class has most of the examples, a network that always answers with it is accurate. The two
other metrics count every class alike, however rare it is. All of them are computed here, from the
same counts, for networks in floating point and in int8.

The quality of a regression is R², the share of the targets' variance that a network explains: the
mean over the targets, and 0 for a network that is worse than the means of the targets.

That of anomaly detection is the area under the ROC curve: the probability that an anomalous
example has a greater score than a normal one. The partial area looks only at thresholds with at
most 10 % of false alarms, and is scaled so that chance is .5 (McClish 1989), as in DCASE's task 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlnas.data.tasks import Task
from rlnas.data.word import Word

if TYPE_CHECKING:
  from rlnas.data.dataset import Dataset

Confusion = npt.NDArray[np.int64]  # examples by true class, then by named class: [C, C]

MOST_FALSE_ALARMS = 0.1  # of the partial area
NOTABLE_SHARE = 1.5  # of the largest class, over the share that each of equal classes has
UNBALANCED = 10.0  # the largest class over the smallest: from here on another metric is advised


class Metric(Word):
  """A figure in [0, 1] by which networks are compared.

  Raises:
    ValueError: there is no metric of that name.
  """

  ACCURACY = 'accuracy'  # share of the examples that are recognised
  BALANCED_ACCURACY = 'balanced_accuracy'  # mean of the recalls of all classes
  MACRO_F1 = 'macro_f1'  # mean of the F1 scores of all classes
  R2 = 'r2'  # mean of the shares of variance explained, at least 0
  AUC = 'auc'  # area under the ROC curve
  PARTIAL_AUC = 'partial_auc'  # the same for at most 10 % of false alarms

  @property
  def label(self) -> str:
    """The name for people."""
    known = {
      Metric.MACRO_F1: 'macro F1',
      Metric.R2: 'R²',
      Metric.AUC: 'AUC',
      Metric.PARTIAL_AUC: 'partial AUC',
    }
    return known.get(self, self.value.replace('_', ' '))

  @property
  def task(self) -> Task:
    """The task whose networks it compares."""
    if self in (Metric.AUC, Metric.PARTIAL_AUC):
      return Task.ANOMALY
    return Task.CLASSIFICATION if self in _FORMULAS else Task.REGRESSION

  def judge(self, truth: npt.NDArray[Any], answers: npt.NDArray[Any], *, outputs: int) -> float:
    """Computes the metric, in [0, 1], of a network's answers for some examples.

    Args:
      truth: classes [N], of which 1 is anomalous in anomaly detection, or values [N, K].
      answers: the network's answers, from `rlnas.data.tasks.Head.answers`.
      outputs: number of classes or of values.
    """
    if self.task is Task.CLASSIFICATION:
      return self.of(confusion_matrix(truth, answers, classes=outputs))
    if self.task is Task.REGRESSION:
      return max(0.0, float(np.mean(explained(truth, answers))))
    return _area(truth, answers, most=MOST_FALSE_ALARMS if self is Metric.PARTIAL_AUC else 1.0)

  def of(self, confusion: Confusion) -> float:
    """Computes a metric of classes, as scikit-learn does.

    Balanced accuracy leaves out classes without examples; macro F1 leaves them out if they are not
    named either.

    Args:
      confusion: from `confusion_matrix`, with at least one example. [C, C]
    """
    return _FORMULAS[self](confusion)


def confusion_matrix(
  labels: npt.NDArray[Any], named: npt.NDArray[Any], *, classes: int
) -> Confusion:
  """Counts the examples by true class and named class.

  Args:
    labels: true classes, in [0, classes). [N]
    named: classes that a network names, likewise. [N]
    classes: number of classes, C.

  Returns:
    The counts: row by true class, column by named class. [C, C]

  Raises:
    ValueError: a label is not a class.
  """
  for index in np.flatnonzero((labels < 0) | (labels >= classes))[:1]:
    raise ValueError(f'labels: {labels[index]} at index {index}; must lie in [0, {classes})')
  places = labels.astype(np.int64) * classes + named
  return np.bincount(places, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def recall_by_class(confusion: Confusion) -> tuple[float | None, ...]:
  """For each class the share of its examples that was recognised; None if it has none."""
  examples, right = confusion.sum(1).tolist(), confusion.diagonal().tolist()
  return tuple(part / whole if whole else None for part, whole in zip(right, examples, strict=True))


def largest_class(y: npt.NDArray[Any], *, classes: int) -> int:
  """The class with the most examples, the first if several have as many."""
  return int(np.argmax(np.bincount(y, minlength=classes)))


def chance_confusion(counts: Sequence[int] | npt.NDArray[Any], named: int) -> Confusion:
  """The confusions of a classifier that always names one class.

  Args:
    counts: examples of each class. [C]
    named: the class that it names.
  """
  confusion = np.zeros((len(counts), len(counts)), np.int64)
  confusion[:, named] = counts
  return confusion


def class_weights(y: npt.NDArray[Any], *, classes: int) -> npt.NDArray[np.float64]:
  """The weight of each class in a loss that counts all classes alike.

  The weight is inverse to the number of examples (King & Zeng 2001, "Logistic regression in rare
  events data", the section on weighting, for classes of equal share; 'balanced' in scikit-learn).
  Its mean over the examples is 1.

  Args:
    y: labels of the training data, at least one. [N]
    classes: number of classes.

  Returns:
    The weights; 0 for a class without examples. [classes]
  """
  counts = np.bincount(y, minlength=classes)
  present = np.count_nonzero(counts)
  return np.where(counts > 0, len(y) / (present * np.maximum(counts, 1)), 0.0)


def _accuracy(confusion: Confusion) -> float:
  return int(confusion.trace()) / int(confusion.sum())


def _balanced_accuracy(confusion: Confusion) -> float:
  recalls = [recall for recall in recall_by_class(confusion) if recall is not None]
  return float(np.mean(recalls))


def _macro_f1(confusion: Confusion) -> float:
  """F1 = 2 right / (examples + named), 0 for a class that is never recognised."""
  sizes = confusion.sum(1) + confusion.sum(0)
  met = sizes > 0
  return float(np.mean(2 * confusion.diagonal()[met] / sizes[met]))


def _area(truth: npt.NDArray[Any], scores: npt.NDArray[np.float64], *, most: float) -> float:
  """The area under the ROC curve, for at most a share of false alarms; 0 if not finite.

  It is that of scikit-learn's `roc_auc_score`, which takes 30 times as long: an interval needs
  thousands. Equal scores are one point of the curve.
  """
  if not np.isfinite(scores).all():
    return 0.0
  order = np.argsort(-scores, kind='stable')
  ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
  odd = np.append(0, np.cumsum(truth[order] == 1)[ends])
  normal = np.append(0, ends + 1) - odd
  found, alarms = odd / odd[-1], normal / normal[-1]
  width = np.diff(alarms)
  kept = np.clip(most - alarms[:-1], 0, width)  # of each step of the curve
  height = found[:-1] + np.diff(found) * kept / (2 * np.where(width > 0, width, 1))
  area = float(np.sum(kept * height))
  if most == 1:
    return area
  least = most**2 / 2  # by chance
  return 0.5 * (1 + (area - least) / (most - least))


def explained(
  truth: npt.NDArray[np.float64], answers: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
  """R² of each value, the coefficient of determination: 1 - squared errors / squared deviations.

  It is negative for answers that are worse than the mean of the truth, and -inf for answers that
  are not finite.

  Args:
    truth: values, of which each must vary. [N, K]
    answers: what a network gives. [N, K]

  Returns:
    One figure for each value. [K]
  """
  with np.errstate(invalid='ignore', over='ignore'):
    missed = np.square(answers - truth).sum(axis=0)
  spread = np.square(truth - truth.mean(axis=0)).sum(axis=0)
  return np.where(np.isfinite(missed), 1 - missed / spread, -np.inf)


def metrics_of(task: Task) -> tuple[Metric, ...]:
  """The metrics of a task; the first is the default."""
  return tuple(metric for metric in Metric if metric.task is task)


def metric_for(dataset: Dataset, metric: Metric | str | None = None) -> Metric:
  """The metric of networks for a data set: the given one, or the default of its task.

  Raises:
    ValueError: there is no such metric, or it does not suit the task of the data.
  """
  offered = metrics_of(dataset.head.task)
  if metric is None:
    return offered[0]
  found = Metric(metric)
  if found not in offered:
    names = ', '.join(one.value for one in offered)
    raise ValueError(
      f'metric={found.value!r}: must be one of {names}, since the task of {dataset.name} is '
      f'{dataset.head.task.value}'
    )
  return found


_FORMULAS = {
  Metric.ACCURACY: _accuracy,
  Metric.BALANCED_ACCURACY: _balanced_accuracy,
  Metric.MACRO_F1: _macro_f1,
}
