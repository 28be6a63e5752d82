"""The curves that TensorBoard shows of a search: their names, descriptions and layout.

The part of a name before the slash is its group. Accuracy is the metric of the search.
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

DESCRIPTIONS = {
  'reward/trial': 'Reward of each trial.',
  'reward/mean_of_20': 'Mean reward of the last 20 trials: what the strategy has learned so far.',
  'reward/best_feasible': 'Best reward so far of a trial that fits the budget.',
  'best/int8_validation_accuracy': 'Best trial so far that fits: int8 validation accuracy.',
  'best/flash_kib': 'Best trial so far that fits: size of the .tflite file.',
  'best/sram_kib': 'Best trial so far that fits: size of the tensor arena.',
  'best/mega_macs': 'Best trial so far that fits: million multiply-accumulates.',
  'search/feasible_rate': 'Share of all trials so far that fit the budget.',
  'search/unique_rate': 'Number of distinct networks per trial so far.',
  'search/failed_rate': 'Share of all trials so far that failed: errors, not bad networks.',
  'child/int8_validation_accuracy': 'Each trial: validation accuracy of the int8 network.',
  'child/validation_accuracy': 'Each trial: validation accuracy of the float network.',
  'child/flash_kib': 'Each trial: size of the .tflite file; estimated if not trained.',
  'child/sram_kib': 'Each trial: size of the tensor arena; estimated if not trained.',
  'child/mega_macs': 'Each trial: million multiply-accumulates of one inference.',
  'child/latency_ms': 'Each trial: estimated time of one inference on the board.',
  'child/seconds': 'Each trial: wall time of its evaluation.',
  'limit/flash_kib': 'Flash that the board has for the .tflite file.',
  'limit/sram_kib': 'SRAM that the board has for the tensor arena.',
  'strategy/imagined_score': "Mean score that the regressor predicts for the policy's own draws; "
  '0 is a network unlike any trial, 1 a deviation better.',
  'strategy/fit_rate': "Share of the policy's own draws that fit by the estimate, before any "
  'filter.',
  'strategy/surrogate_correlation': 'Predictions of each trial from all others, against what it '
  'reached; 0 is chance.',
  'strategy/surrogate_error': 'Mean distance of the scores of a batch from what the regressor had '
  'predicted, in deviations.',
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

# Charts of the page Custom Scalars: several curves in one, in the order of the questions.
_LAYOUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
  'Is it getting better?': {
    'reward': ('reward/trial', 'reward/mean_of_20', 'reward/best_feasible'),
    'accuracy': ('child/int8_validation_accuracy', 'best/int8_validation_accuracy'),
  },
  'Does it fit?': {
    'flash, KiB': ('child/flash_kib', 'best/flash_kib', 'limit/flash_kib'),
    'SRAM, KiB': ('child/sram_kib', 'best/sram_kib', 'limit/sram_kib'),
    'shares of trials': ('search/feasible_rate', 'search/failed_rate'),
  },
  'Does the policy learn?': {
    'predicted score of its own draws': ('strategy/imagined_score',),
    'share of its draws that fit, before any filter': ('strategy/fit_rate',),
    'predictions against results: correlation': ('strategy/surrogate_correlation',),
    'predictions against results: error': ('strategy/surrogate_error',),
  },
  'Does it still explore?': {
    'entropy of the policy, nats': ('strategy/entropy',),
    'new networks': ('search/unique_rate', 'strategy/repeat_rate'),
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
    for title, names in charts.items():
      # TensorBoard takes regular expressions, and wants the whole name to match.
      category.chart.add(title=title).multiline.tag.extend(f'^{name}$' for name in names)
  return bytes(layout_pb(layout).SerializeToString())


def child_scalars(trial: Trial, group: str = 'child') -> dict[str, float]:
  """The known results of a trial, in the units that the names give."""
  m = trial.measurement
  figures = {
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
  """The limits, as curves to compare with."""
  return {
    'limit/flash_kib': budget.flash_bytes / 1024,
    'limit/sram_kib': budget.sram_bytes / 1024,
  }
