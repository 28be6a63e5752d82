"""The bootstrap (Efron 1979): how much a metric depends on the choice of the examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.metrics import Metric

RESAMPLES = 2000
_CONFIDENCE = 0.95


def resampled(
  truth: npt.NDArray[Any], answers: Sequence[npt.NDArray[Any]], metric: Metric
) -> npt.NDArray[np.float64]:
  """The metric of some networks on 2,000 bootstrap resamples, drawn with a fixed seed.

  A resample in which a target is constant, or all examples are of one kind, is drawn again.

  Args:
    truth: the true values, which must vary: values [N, K], or 0 and 1 [N].
    answers: the answers of each network: values [N, K], or scores [N].
    metric: a metric of regressions or of anomaly detection.

  Returns:
    One row per resample. [R, networks]
  """
  rng = np.random.default_rng(0)
  found = np.empty((RESAMPLES, len(answers)))
  for row in range(RESAMPLES):
    drawn = rng.integers(len(truth), size=len(truth))
    while np.any(np.ptp(truth[drawn], axis=0) == 0):
      drawn = rng.integers(len(truth), size=len(truth))
    found[row] = [metric.judge(truth[drawn], one[drawn], outputs=truth[0].size) for one in answers]
  return found


def interval_of(
  truth: npt.NDArray[Any], answers: npt.NDArray[Any], metric: Metric
) -> tuple[float, float]:
  """The 95 % interval of a metric over the choice of the examples; see `resampled`."""
  found = resampled(truth, (answers,), metric)[:, 0]
  low, high = np.quantile(found, ((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2))
  return float(low), float(high)
