"""Warns if the int8 input of a network resolves a feature too coarsely."""

from __future__ import annotations

import numpy as np

from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric

_STEPS = 255  # of the int8 input, from its least to its greatest value
_FEW_STEPS = 24  # for the usual range of a feature; a normal one within 10 deviations has 59
_EXAMPLES = 4096  # whose percentiles are taken
GAP_POINTS = 2.0  # a larger difference of float and int8 accuracy deserves a warning


def gap_warning(
  accuracy: float,
  int8_accuracy: float,
  dataset: Dataset,
  *,
  points: float = GAP_POINTS,
  metric: Metric = Metric.ACCURACY,
) -> str:
  """Returns a warning if int8 lost much accuracy, with the cause if it is known; else ''.

  Args:
    accuracy: of the float network, in [0, 1].
    int8_accuracy: of the int8 network, on the same examples.
    dataset: the data.
    points: percentage points that the two may differ by.
    metric: the metric of the two.
  """
  lost = 100 * (accuracy - int8_accuracy)
  if lost <= points:
    return ''
  cause = coarse_features(dataset)
  return (
    f'int8 loses {lost:.1f} points of {metric.label} ({accuracy:.4f} to {int8_accuracy:.4f}). '
    + (cause or 'The input is not the cause: int8 resolves every feature.')
  )


def coarse_features(dataset: Dataset) -> str:
  """Names the features that the int8 input resolves too coarsely, and the one that causes it.

  All features share the range of the input, which is that of their scaled values. Returns '' if
  every feature has enough steps for its usual values, those between the percentiles 1 and 99.
  Mostly constant features need few.
  """
  scaling, features = dataset.scaling, dataset.scaling.features
  low, high = np.full(features, np.inf), np.full(features, -np.inf)
  for start in range(0, len(dataset.x_train), _EXAMPLES):
    seen = scaling.apply(dataset.x_train[start : start + _EXAMPLES]).reshape(-1, features)
    low, high = np.minimum(low, seen.min(0)), np.maximum(high, seen.max(0))
  some = scaling.apply(dataset.x_train[:: -(-len(dataset.x_train) // _EXAMPLES)])
  bottom, least_usual, most_usual, top = np.percentile(
    some.reshape(-1, features), (1, 5, 95, 99), axis=0
  )
  least, greatest = low.min(), high.max()
  steps = (top - bottom) / (greatest - least) * _STEPS
  coarse = np.flatnonzero((most_usual > least_usual) & (steps < _FEW_STEPS))
  if not coarse.size:
    return ''
  widest = int(np.argmax(high - low))
  worst = int(coarse[np.argmin(steps[coarse])])
  others = f' (and {coarse.size - 1} more)' * (coarse.size > 1)
  own = f'feature {worst}{others}' if features > 1 else 'their 98 % in the middle'
  wide = f'feature {widest}' if features > 1 else 'the extremes of the values'
  return (
    f'The int8 input reaches from {least:.3g} to {greatest:.3g} because of {wide}; the usual '
    f'values of {own} share {max(steps[worst], 1):.0f} of its {_STEPS + 1} values.'
  )
