"""Metrics of a regression, for each of its values: R², and errors in the unit of the target."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.data.metrics import Metric, explained
from rlnas.data.resampling import interval_of
from rlnas.data.tasks import Head

RANGES = 5  # of the truth, with as many examples each


class Range(NamedTuple):
  """Examples whose true values are near each other.

  Attributes:
    low: the smallest true value.
    high: the largest one.
    examples: their number.
    mean: mean of predicted - true.
    mae: mean of the absolute differences.
  """

  low: float
  high: float
  examples: int
  mean: float
  mae: float


class ValueErrors(NamedTuple):
  """How well one value is predicted.

  Attributes:
    name: name of the value.
    r2: share of its variance that is explained; negative if its mean would be better.
    mae: mean absolute error, in the unit of the value.
    rmse: root of the mean squared error, likewise.
    mean_mae: mean absolute error of always giving the mean of the training data.
    mean_rmse: root mean squared error of that.
    ranges: the errors by fifths of the true values, the smallest values first.
  """

  name: str
  r2: float
  mae: float
  rmse: float
  mean_mae: float
  mean_rmse: float
  ranges: tuple[Range, ...]

  def to_record(self) -> dict[str, float]:
    """The figures that files hold, by name."""
    names = ('r2', 'mae', 'rmse', 'mean_mae', 'mean_rmse')
    return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True, eq=False)
class RegressionQuality:
  """The results of a regression on examples whose values are known.

  Attributes:
    values: the errors of each value.
    quality: R² as searches maximise it: the mean over the values, at least 0.
    interval: 95 % interval of that over the choice of the examples (bootstrap).
    truth: the true values. [N, K]
    answers: the predicted ones. [N, K]
  """

  values: tuple[ValueErrors, ...]
  quality: float
  interval: tuple[float, float]
  truth: npt.NDArray[np.float64]
  answers: npt.NDArray[np.float64]

  @property
  def examples(self) -> int:
    """The number of examples."""
    return len(self.truth)


def assess_values(
  truth: npt.NDArray[np.float64],
  answers: npt.NDArray[np.float64],
  *,
  names: Sequence[str],
  head: Head,
) -> RegressionQuality:
  """Computes the metrics of a regression.

  Args:
    truth: true values, each of which varies. [N, K]
    answers: what a network gives, in the same unit. [N, K]
    names: name of each value.
    head: its offsets are the means of the values in the training data.
  """
  means = np.ravel(0.0 if head.targets is None else head.targets.offset)
  shares, found = explained(truth, answers), []
  for column, name in enumerate(names):
    true, given = truth[:, column], answers[:, column]
    mae, rmse = _errors(true, given)
    ranges = _ranges(true, given)
    found.append(
      ValueErrors(name, float(shares[column]), mae, rmse, *_errors(true, means[column]), ranges)
    )
  return RegressionQuality(
    values=tuple(found),
    quality=Metric.R2.judge(truth, answers, outputs=len(names)),
    interval=interval_of(truth, answers, Metric.R2),
    truth=truth,
    answers=answers,
  )


def _errors(true: npt.NDArray[np.float64], given: npt.NDArray[Any]) -> tuple[float, float]:
  """Mean absolute error, and root of the mean squared error."""
  missed = given - true
  return float(np.mean(np.abs(missed))), float(np.sqrt(np.mean(np.square(missed))))


def _ranges(true: npt.NDArray[np.float64], given: npt.NDArray[np.float64]) -> tuple[Range, ...]:
  order = np.argsort(true, kind='stable')
  parts = [part for part in np.array_split(order, RANGES) if len(part)]
  return tuple(
    Range(
      float(true[part[0]]),
      float(true[part[-1]]),
      len(part),
      float(np.mean(given[part] - true[part])),
      float(np.mean(np.abs(given[part] - true[part]))),
    )
    for part in parts
  )
