"""Trains all networks briefly, and only promising ones further (successive halving).

Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943) in its asynchronous form (Li et al.
2020, arXiv:1810.05934, algorithm 2): a network is promoted to the next stage of its training if it
is among the best at the current stage. Here it is compared with the trials that the strategy had
been told before the network was proposed, never with running trials. So the thresholds that it must
reach are known when its training starts: it is promoted without waiting for other trials, in one
worker and from its own weights, and the course of a search does not depend on timing or on the
number of workers.

The accuracy of a pruned trial is that of a short training. A reward of that accuracy would rank it
below later trials of the same stage, however promising it is. So its accuracy after all stages may
be predicted: by a regression on the trials that completed all stages, or by BlockQNN's formula.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture
from rlnas.trial import Measurement, Trial

WINDOW = 32  # a network is compared with so many of the latest trials
_MOST_FITTED = 64  # of the latest trials that completed all stages, from which others are predicted
_LEAST_FITTED = 8  # trials that completed all stages before anything is predicted
_RIDGE = 0.1  # weight of the squared slopes of standardised features, per trial
_SIGMAS = 1.0  # a prediction may miss the target by so many standard deviations before it stops


class PromotionRule(Protocol):
  """Gives the accuracy that a network must reach at each stage except the last."""

  def __call__(self, curves: Sequence[tuple[float, ...]], *, stages: int) -> tuple[float, ...]:
    """Returns the thresholds.

    Args:
      curves: accuracies by stage of the earlier trials, as far as each was trained.
      stages: number of stages of a training.

    Returns:
      stages - 1 accuracies; every network reaches 0.
    """
    ...


class Predictor(Protocol):
  """Predicts the accuracy that a pruned trial would have reached."""

  def __call__(
    self,
    value: Any,
    measurement: Measurement,
    told: Sequence[Trial],
    /,
    *,
    stages: int,
  ) -> float | None:
    """The int8 validation accuracy after all stages, in [0, 1]; None if it cannot be predicted."""
    ...


class Pruner:
  """Decides which networks are trained further, and predicts the accuracy of the others.

  Args:
    stages: number of stages of a training (`rlnas.evaluation.trained.Stage`), at least 2.
    rule: gives the thresholds.
    predictor: predicts the accuracy of pruned trials; without it they keep the one they reached.

  Raises:
    ValueError: there are fewer than two stages.
  """

  def __init__(
    self, stages: int, *, rule: PromotionRule, predictor: Predictor | None = None
  ) -> None:
    if stages < 2:
      raise ValueError(f'stages={stages}: must be at least 2')
    self._stages = stages
    self._rule = rule
    self._predictor = predictor

  def thresholds(self, told: Sequence[Trial]) -> tuple[float, ...]:
    """The thresholds for networks that are proposed now, one for each stage except the last.

    Args:
      told: the trials that the strategy was told, in order.
    """
    curves = [t.measurement.curve for t in told if t.measurement.curve]
    return self._rule(curves, stages=self._stages)

  def predicted_accuracy(
    self, value: Hashable, measurement: Measurement, told: Sequence[Trial]
  ) -> float | None:
    """The accuracy that a pruned trial would have reached; None for all other trials.

    Args:
      value: the network of the trial, as the space returned it.
      measurement: measurement of the trial.
      told: the trials that the strategy had been told when it proposed the network.
    """
    if self._predictor is None or not 0 < len(measurement.curve) < self._stages:
      return None
    return self._predictor(value, measurement, told, stages=self._stages)


class SuccessiveHalving:
  """Promotes a network if it is among the best of the last `WINDOW` trials at its stage.

  It promotes `share` of them, or fewer if more than that were promoted recently: a search improves,
  so most of its networks are better than earlier ones.

  Args:
    share: share to promote, in (0, 1); Li et al. 2020 recommend a third (eta = 3).

  Raises:
    ValueError: `share` is out of its range.
  """

  def __init__(self, share: float = 1 / 3) -> None:
    if not 0 < share < 1:
      raise ValueError(f'share={share}: must lie in (0, 1)')
    self._share = share

  def __call__(self, curves: Sequence[tuple[float, ...]], *, stages: int) -> tuple[float, ...]:
    """See `PromotionRule`."""
    thresholds = []
    for stage in range(stages - 1):
      latest = [curve for curve in curves if len(curve) > stage][-WINDOW:]
      if len(latest) * self._share < 1:
        thresholds.append(0.0)
        continue
      went_on = sum(len(curve) > stage + 1 for curve in latest) / len(latest)
      share = self._share * min(1.0, self._share / max(went_on, 1e-9))
      going = max(1, int(len(latest) * share))
      thresholds.append(sorted(curve[stage] for curve in latest)[-going])
    return tuple(thresholds)


def promote_none(curves: Sequence[tuple[float, ...]], *, stages: int) -> tuple[float, ...]:
  """Promotes no network: for a predictor that needs only the first stage."""
  del curves
  return (math.inf,) * (stages - 1)


class CurveExtrapolation:
  """Promotes a network unless its curve predicts a final accuracy below the best `share` of trials.

  From the trials that completed all stages it fits a line from the accuracy at a stage to that at
  the end. A training is stopped if even a standard deviation above the line is not enough (after
  Baker et al. 2018, arXiv:1705.10823, with a linear model in place of a support vector machine).

  Args:
    share: the share of completed trials that a network should be among, in (0, 1).

  Raises:
    ValueError: `share` is out of its range.
  """

  def __init__(self, share: float = 1 / 3) -> None:
    if not 0 < share < 1:
      raise ValueError(f'share={share}: must lie in (0, 1)')
    self._share = share

  def __call__(self, curves: Sequence[tuple[float, ...]], *, stages: int) -> tuple[float, ...]:
    """See `PromotionRule`."""
    finished = np.array([curve for curve in curves if len(curve) == stages][-WINDOW:])
    if len(finished) < _LEAST_FITTED:
      return (0.0,) * (stages - 1)
    final = finished[:, -1]
    target = np.sort(final)[-max(1, int(len(final) * self._share))]
    thresholds = []
    for early in finished[:, :-1].T:
      slope = float(np.cov(early, final)[0, 1] / max(np.var(early, ddof=1), 1e-12))
      level = float(final.mean() - slope * early.mean())
      error = float(np.std(final - level - slope * early))
      useless = slope < 1e-3  # the accuracy at this stage predicts nothing
      thresholds.append(
        0.0 if useless else min(max((target - _SIGMAS * error - level) / slope, 0), 1)
      )
    return tuple(float(threshold) for threshold in thresholds)


def by_regression(
  value: Hashable, measurement: Measurement, told: Sequence[Trial], *, stages: int
) -> float | None:
  """Ridge regression on completed trials: from accuracy, log MACs and log parameters.

  A large network improves more in later stages, so the accuracy after a short training ranks large
  networks too low.
  """
  del value
  stage = len(measurement.curve) - 1
  climbed = [
    t.measurement
    for t in told
    if len(t.measurement.curve) == stages and t.measurement.int8_validation_accuracy is not None
  ][-_MOST_FITTED:]
  if len(climbed) < _LEAST_FITTED:
    return None
  features = np.array([_features(m, stage) for m in climbed])  # [trials, 3]
  final = np.array([m.int8_validation_accuracy for m in climbed], float)
  centre, spread = features.mean(0), np.maximum(features.std(0), 1e-6)
  scaled = (features - centre) / spread
  gram = scaled.T @ scaled + _RIDGE * len(climbed) * np.eye(3)
  slopes = np.linalg.solve(gram, scaled.T @ (final - final.mean()))
  own = (_features(measurement, stage) - centre) / spread
  return float(np.clip(final.mean() + own @ slopes, 0, 1))


def _features(measurement: Measurement, stage: int) -> npt.NDArray[np.float64]:
  sizes = (math.log(size or 1) for size in (measurement.macs, measurement.parameters))
  return np.array([measurement.curve[stage], *sizes])


def as_blockqnn(
  architecture: Architecture, measurement: Measurement, told: Sequence[Trial], *, stages: int
) -> float | None:
  """Zhong et al. 2018 (arXiv:1708.05552), section 3.3: the early-stop estimate.

    accuracy - mu log(FLOPs) - rho log(density), in per cent, with mu = 1 and rho = 8

  FLOPs are taken in millions of multiply-accumulates; the density is the number of edges over the
  number of operations of the network.

  Raises:
    ValueError: the space returned something else than an `Architecture`.
  """
  del told, stages
  if not isinstance(architecture, Architecture):
    raise ValueError(f'value={architecture!r}: is not a network; the formula needs an Architecture')
  accuracy = measurement.int8_validation_accuracy
  if accuracy is None:
    return None
  edges = sum(len(node.inputs) for node in architecture.nodes)
  density = edges / (len(architecture.nodes) - 1)  # without the input
  work = math.log(max(1e-3, (measurement.macs or 0) / 1e6))
  return min(1.0, max(0.0, accuracy - 0.01 * work - 0.08 * math.log(density)))
