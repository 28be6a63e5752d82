"""Metrics of anomaly detection: areas under the ROC curve, and the alarms at each threshold."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.data.anomalies import thresholds_of
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric
from rlnas.data.resampling import interval_of
from rlnas.tflite.inference import int8_answers


class Alarms(NamedTuple):
  """The alarms at a threshold.

  Attributes:
    rate: share of the normal validation examples that it was chosen for.
    threshold: scores above it are alarms.
    false_alarms: share of the normal examples that are alarms.
    found: share of the anomalous examples that are alarms.
  """

  rate: float
  threshold: float
  false_alarms: float
  found: float


@dataclasses.dataclass(frozen=True, eq=False)
class AnomalyQuality:
  """The results of an anomaly detection on labelled examples.

  Attributes:
    auc: area under the ROC curve.
    partial_auc: the same for at most 10 % of false alarms, scaled so that chance is .5.
    interval: 95 % interval of `auc` over the choice of the examples (bootstrap).
    alarms: the alarms at each threshold.
    truth: 0 for normal and 1 for anomalous examples. [N]
    scores: the score of each. [N]
  """

  auc: float
  partial_auc: float
  interval: tuple[float, float]
  alarms: tuple[Alarms, ...]
  truth: npt.NDArray[Any]
  scores: npt.NDArray[np.float64]

  @property
  def examples(self) -> int:
    """The number of examples."""
    return len(self.truth)

  def to_record(self) -> dict[str, Any]:
    """The figures that files hold, by name."""
    return {
      'auc': self.auc,
      'partial_auc': self.partial_auc,
      'alarms': [alarm._asdict() for alarm in self.alarms],
    }


def assess_scores(
  truth: npt.NDArray[Any],
  scores: npt.NDArray[np.float64],
  *,
  thresholds: tuple[tuple[float, float], ...],
) -> AnomalyQuality:
  """Computes the metrics of an anomaly detection.

  Args:
    truth: 0 for normal and 1 for anomalous examples, some of each. [N]
    scores: their scores. [N]
    thresholds: rates and thresholds, from `rlnas.data.anomalies.thresholds_of` for validation data.
  """
  alarms = tuple(
    Alarms(
      rate,
      threshold,
      float(np.mean(scores[truth == 0] > threshold)),
      float(np.mean(scores[truth == 1] > threshold)),
    )
    for rate, threshold in thresholds
  )
  return AnomalyQuality(
    auc=Metric.AUC.judge(truth, scores, outputs=1),
    partial_auc=Metric.PARTIAL_AUC.judge(truth, scores, outputs=1),
    interval=interval_of(truth, scores, Metric.AUC),
    alarms=alarms,
    truth=truth,
    scores=scores,
  )


def judged_scores(model: bytes, dataset: Dataset, split: str) -> AnomalyQuality:
  """The results of an anomaly detection on a split, with thresholds of the validation data."""

  def scores(part: str) -> npt.NDArray[np.float64]:
    x = getattr(dataset, f'x_{part}')
    return int8_answers(model, x, scaling=dataset.scaling, head=dataset.head)

  known = scores('val')
  thresholds = thresholds_of(dataset.y_val, known)
  found = known if split == 'val' else scores(split)
  return assess_scores(getattr(dataset, f'y_{split}'), found, thresholds=thresholds)
