"""The curves that TensorBoard shows of a search: their names, descriptions and layout.

The part of a name before the slash is its group. Several runs have scalars of the same name, and so
are curves of one chart: each trial, the mean of 20, the best so far, the budget, what was
predicted. Accuracy is the metric of the search.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from rlnas.backend import quiet
from rlnas.budget import Budget
from rlnas.trial import Trial

with quiet():  # it loads TensorFlow, which `rlnas.backend` must do first
  from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
  from tensorboard.compat.proto.tensor_pb2 import TensorProto
  from tensorboard.compat.proto.types_pb2 import DT_FLOAT
  from tensorboard.plugins.custom_scalar import layout_pb2
  from tensorboard.plugins.custom_scalar.summary import pb as layout_pb
  from tensorboard.plugins.scalar.summary_v2 import scalar_pb

# The runs of a search: the curves of one chart. Each has a color of its own.
EACH, MEAN, BEST, LIMIT = 'each trial', 'mean of 20', 'best so far', 'budget'
PREDICTED = 'predicted'
RUNS = (EACH, MEAN, BEST, LIMIT, PREDICTED)

DESCRIPTIONS = {
  'reward': 'Reward of each trial; mean of the last 20: what the strategy has learned so far; best '
  'so far of a trial that fits the budget.',
  'search/feasible_rate': 'Share of all trials so far that fit the budget.',
  'search/unique_rate': 'Number of distinct networks per trial so far.',
  'search/failed_rate': 'Share of all trials so far that failed: errors, not bad networks.',
  'trial/int8_validation_accuracy': 'Validation accuracy of the int8 network: of each trial, and '
  'of the best so far that fits.',
  'trial/quality': 'What the search maximises within the budget: the int8 validation accuracy, or '
  'another metric that it was given, such as R² of a regression.',
  'trial/validation_accuracy': 'Validation accuracy of the float network.',
  'trial/flash_kib': 'Size of the .tflite file, estimated if not trained; what the board has.',
  'trial/sram_kib': 'Size of the tensor arena, estimated if not trained; what the board has.',
  'trial/mega_macs': 'Million multiply-accumulates of one inference.',
  'trial/latency_ms': 'Estimated time of one inference on the board.',
  'trial/seconds': 'Wall time of the evaluation.',
  'strategy/score': 'Mean score of the trials of a batch, and the mean of what the regressor had '
  'predicted for them; 0 is the median of all trials, 1 a standard deviation better.',
  'strategy/imagined_score': "Mean score that the regressor predicts for the policy's own draws; "
  '0 is the median of the trials, 1 a standard deviation better.',
  'strategy/fit_rate': "Share of the policy's own draws that fit by the estimate, before any "
  'filter.',
  'strategy/tried_rate': "Share of the policy's own draws that were tried before; it has converged "
  'where it is a half or more.',
  'strategy/surrogate_correlation': 'Predictions of each trial from all others, against what it '
  'reached; 0 is chance.',
  'strategy/surrogate_error': 'Mean distance of the scores of a batch from what the regressor had '
  'predicted, in standard deviations.',
  'strategy/elite_mean': 'Mean reward of the networks that the policy imitates.',
  'strategy/descents': 'How many times the policy began, restarts included.',
  'strategy/baseline': 'Moving average of the rewards; an advantage is a reward minus it.',
  'strategy/entropy': 'Entropy of the policy in nats per network; 0 if all proposals are equal.',
  'strategy/gradient_norm': 'Norm of the gradient of the loss at the first step of a batch.',
  'strategy/loss': 'Loss of the strategy before the first step of a batch.',
  'strategy/repeat_rate': 'Share of a batch that an earlier batch had already proposed.',
  'strategy/reward_mean': 'Mean reward of a batch.',
  'strategy/unique_rate': 'Share of distinct proposals within a batch.',
}

# Charts of the page Custom Scalars, in the order of the questions. A chart has one scalar, since a
# color belongs to a run.
_LAYOUT: Mapping[str, Mapping[str, str]] = {
  'Is it getting better?': {
    'reward': 'reward',
    'int8 validation accuracy': 'trial/int8_validation_accuracy',
  },
  'Does it fit?': {
    'flash, KiB': 'trial/flash_kib',
    'SRAM, KiB': 'trial/sram_kib',
    'share of trials that fit': 'search/feasible_rate',
    'share of trials that failed': 'search/failed_rate',
  },
  'Does the policy learn?': {
    'score of the trials: real and predicted': 'strategy/score',
    'predicted score of its own draws': 'strategy/imagined_score',
    'share of its draws that fit, before any filter': 'strategy/fit_rate',
    'predictions against results: correlation': 'strategy/surrogate_correlation',
    'predictions against results: error': 'strategy/surrogate_error',
  },
  'Does it still explore?': {
    'entropy of the policy, nats': 'strategy/entropy',
    'new networks per trial': 'search/unique_rate',
    'share of its draws that were tried': 'strategy/tried_rate',
    'share of repeats in a batch': 'strategy/repeat_rate',
  },
}


def summary_of(values: Mapping[str, float]) -> bytes:
  """Scalars by name as one serialized summary: much faster than writing each alone."""
  summary = Summary()
  for name, value in values.items():
    tensor = TensorProto(dtype=DT_FLOAT, float_val=[value])
    summary.value.add(tag=name, metadata=_metadata(name), tensor=tensor)
  return bytes(summary.SerializeToString())


@functools.cache
def _metadata(name: str) -> SummaryMetadata:
  return scalar_pb(name, 0.0, DESCRIPTIONS.get(name)).value[0].metadata


def layout_summary() -> bytes:
  """The layout of the page Custom Scalars, serialized."""
  layout = layout_pb2.Layout()
  for question, charts in _LAYOUT.items():
    category = layout.category.add(title=question)
    for title, name in charts.items():
      # TensorBoard takes regular expressions, and wants the whole name to match.
      category.chart.add(title=title).multiline.tag.append(f'^{name}$')
  return bytes(layout_pb(layout).SerializeToString())


def strategy_scalars(scalars: Mapping[str, float]) -> dict[str, dict[str, float]]:
  """The scalars of a strategy after a batch, by run: its predictions are curves of their own."""
  each = {f'strategy/{name}': value for name, value in scalars.items()}
  predicted = each.pop('strategy/predicted_score', None)
  return {EACH: each, PREDICTED: {} if predicted is None else {'strategy/score': predicted}}


def trial_scalars(trial: Trial, group: str = 'trial') -> dict[str, float]:
  """The known results of a trial, in the units that the names give."""
  m = trial.measurement
  figures = {
    'quality': (m.quality, 1),
    'int8_validation_accuracy': (m.int8_validation_accuracy, 1),
    'validation_accuracy': (m.validation_accuracy, 1),
    'flash_kib': (m.flash_bytes, 1024),
    'sram_kib': (m.sram_bytes, 1024),
    'mega_macs': (m.macs, 1e6),
    'latency_ms': (m.latency_ms, 1),
    'seconds': (m.seconds, 1),
  }
  return {
    f'{group}/{name}': value / unit for name, (value, unit) in figures.items() if value is not None
  }


def budget_scalars(budget: Budget) -> dict[str, float]:
  """The limits of the budget, by the name of the scalar that each limits."""
  limits = {
    'trial/flash_kib': (budget.flash_bytes, 1024),
    'trial/sram_kib': (budget.sram_bytes, 1024),
    'trial/mega_macs': (budget.macs, 1e6),
    'trial/latency_ms': (budget.latency_ms, 1),
  }
  return {name: limit / unit for name, (limit, unit) in limits.items() if limit is not None}
