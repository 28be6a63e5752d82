"""The trials of a search as rows of TensorBoard's page HParams.

The columns exist for every space (number of convolutions, largest width); the metrics are the
results of the trial, as far as it has them: a network that was not trained has no accuracy.
"""

from __future__ import annotations

import functools
import io
import math
import pathlib
import shutil
import time
from typing import Any

from rlnas.architecture import Architecture
from rlnas.backend import quiet
from rlnas.data.atomic_file import write_file
from rlnas.reports.tensorboard_scalars import trial_scalars
from rlnas.trial import Trial

with quiet():  # it loads TensorFlow, which `rlnas.backend` must do first
  from tensorboard.compat.proto.event_pb2 import Event
  from tensorboard.compat.proto.summary_pb2 import Summary
  from tensorboard.plugins.hparams import api as hparams
  from tensorboard.plugins.scalar.summary_v2 import scalar_pb
  from tensorboard.summary.writer.record_writer import RecordWriter

_METRICS = {
  'hparams/reward': 'reward',
  'hparams/int8_validation_accuracy': 'int8 validation accuracy',
  'hparams/flash_kib': 'flash KiB',
  'hparams/sram_kib': 'SRAM KiB',
  'hparams/mega_macs': 'million MACs',
  'hparams/latency_ms': 'latency ms',
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


class TrialRows:
  """Writes rows below a folder; each is a run of its own.

  Args:
    path: the folder.
    search: name of the search: tells apart rows of several searches in one log directory.
    most: number of rows that are kept, those of highest reward; None keeps all.
  """

  def __init__(self, path: pathlib.Path, *, search: str, most: int | None = None) -> None:
    self._path = path
    self._search = search
    self._most = most
    self._kept: list[tuple[float, int]] = []  # reward, and index with the sign changed

  def write(self, trial: Trial) -> None:
    """Adds the row of a trial, unless better ones fill the folder. Raises WriteError."""
    if self._most is not None:
      self._kept.append((-math.inf if trial.reward is None else trial.reward, -trial.index))
      if len(self._kept) > self._most:
        worst = min(self._kept)
        self._kept.remove(worst)
        if -worst[1] == trial.index:
          return
        shutil.rmtree(self._path / _name(-worst[1]), ignore_errors=True)
    name = _name(trial.index)
    write_file(self._path / name / 'events.out.tfevents.trial', self._events(trial, name))

  def _events(self, trial: Trial, name: str) -> bytes:
    """The content of the event file of a row."""
    scalars = trial_scalars(trial, 'hparams')
    if trial.reward is not None:
      scalars['hparams/reward'] = trial.reward
    summaries = [
      _columns(),  # in each row, so that none depends on another
      hparams.hparams_pb(_hyperparameters(trial), trial_id=f'{name} of {self._search}'),
      *(scalar_pb(tag, scalars[tag]) for tag in _METRICS if tag in scalars),
    ]
    content, now = io.BytesIO(), time.time()
    records = RecordWriter(content)
    records.write(Event(wall_time=now, file_version='brain.Event:2').SerializeToString())
    for summary in summaries:
      event = Event(wall_time=now, step=trial.index, summary=summary)
      records.write(event.SerializeToString())
    return content.getvalue()


def _name(index: int) -> str:
  return f'{index:04d}'


@functools.cache
def _columns() -> Summary:
  return hparams.hparams_config_pb(
    hparams=[hparams.HParam(name) for name in _COLUMNS],
    metrics=[hparams.Metric(tag, display_name=name) for tag, name in _METRICS.items()],
  )


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
    sum(n.op in ('depthwise_conv', 'dilated_depthwise_conv') for n in nodes),
    sum(n.op in ('max_pool', 'avg_pool') for n in nodes),
    sum(a.get('stride', 1) == 2 for a in attributes),
    max((int(a.get('filters', a.get('units', 0))) for a in attributes), default=0),
    trial.measurement.parameters or 0,
  )
  return dict(zip(_COLUMNS, values, strict=True))
