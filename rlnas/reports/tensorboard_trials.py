"""The trials of a search as rows of TensorBoard's page HParams.

The columns exist for every space (number of convolutions, largest width); the metrics are the
results of the trial, as far as it has them: a network that was not trained has no accuracy.
"""

from __future__ import annotations

import pathlib
from typing import Any

from rlnas.architecture import Architecture
from rlnas.backend import quiet, tf
from rlnas.reports.tensorboard_files import named_errors
from rlnas.reports.tensorboard_scalars import child_scalars
from rlnas.trial import Trial

with quiet():  # it loads TensorFlow, which `rlnas.backend` must do first
  from tensorboard.plugins.hparams import api as hparams

# Each row is a folder with an event file of its own; TensorBoard becomes slow with thousands.
MOST_CHILDREN = 500
_METRICS = {
  'hparams/reward': 'reward',
  'hparams/int8_validation_accuracy': 'int8 validation accuracy',
  'hparams/flash_kib': 'flash KiB',
  'hparams/sram_kib': 'SRAM KiB',
  'hparams/mega_macs': 'million MACs',
}
_COLUMNS = (
  'status',
  'architecture',
  'nodes',
  'convolutions',
  'depthwise_convolutions',
  'poolings',
  'strides_of_2',
  'widest_layer',
  'parameters',
)


class Children:
  """Writes rows below a folder.

  Args:
    path: the folder.
    run: name of the search: tells apart rows of several searches in one log directory.
  """

  def __init__(self, path: pathlib.Path, *, run: str) -> None:
    self._path = path
    self._run = run
    with named_errors(path), tf.summary.create_file_writer(str(path)).as_default():
      hparams.hparams_config(
        hparams=[hparams.HParam(name) for name in _COLUMNS],
        metrics=[hparams.Metric(tag, display_name=name) for tag, name in _METRICS.items()],
      )

  def write(self, trial: Trial) -> None:
    """Adds the row of a trial if it is among the first `MOST_CHILDREN`."""
    if trial.index >= MOST_CHILDREN:
      return
    name = f'{trial.index:04d}'
    scalars = child_scalars(trial, 'hparams')
    if trial.reward is not None:
      scalars['hparams/reward'] = trial.reward
    writer = tf.summary.create_file_writer(str(self._path / name))
    with named_errors(self._path / name), writer.as_default(step=trial.index):
      with quiet():
        hparams.hparams(_hyperparameters(trial), trial_id=f'{name} of {self._run}')
      for tag in (tag for tag in _METRICS if tag in scalars):
        tf.summary.scalar(tag, scalars[tag])


def _hyperparameters(trial: Trial) -> dict[str, int | str]:
  """The size and the layers of a network, in columns that exist for every space of networks."""
  value = trial.proposal.value
  nodes = value.nodes if isinstance(value, Architecture) else ()
  attributes: list[dict[str, Any]] = [dict(n.attributes) for n in nodes]
  values = (
    trial.measurement.status.value,
    trial.proposal.digest[:8],
    len(nodes),
    sum(n.op in ('conv', 'dilated_conv') for n in nodes),
    sum(n.op == 'depthwise_conv' for n in nodes),
    sum(n.op in ('max_pool', 'avg_pool') for n in nodes),
    sum(a.get('stride', 1) == 2 for a in attributes),
    max((int(a.get('filters', a.get('units', 0))) for a in attributes), default=0),
    trial.measurement.parameters or 0,
  )
  return dict(zip(_COLUMNS, values, strict=True))
