"""Watching a search: a bar on the terminal, and TensorBoard.

TensorBoard shows curves of a search, and every child as a row of the HParams table. On resuming,
the search loop hands over the trials of the journal again, so the event files are begun anew and
the curves go on without a jump.
"""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import tqdm
from absl import logging

from rlnas.backend import quiet, tf
from rlnas.board import Budget
from rlnas.drawing import pixels
from rlnas.report import objectives
from rlnas.reward import is_feasible
from rlnas.trial import Status, Trial

with quiet():  # it loads TensorFlow, which `rlnas.backend` must do first
  from tensorboard.plugins.hparams import api as hparams

# Each child in the HParams table is a folder with an event file of its own; TensorBoard becomes
# slow with thousands of them.
MOST_CHILDREN = 500
_METRICS = (
  ('hparams/reward', 'reward'),
  ('hparams/int8_validation_accuracy', 'int8 validation accuracy'),
  ('hparams/flash_kib', 'flash KiB'),
  ('hparams/sram_kib', 'SRAM KiB'),
  ('hparams/mega_macs', 'million MACs'),
)
_COLUMNS = (
  'architecture',
  'nodes',
  'convolutions',
  'depthwise_convolutions',
  'poolings',
  'strides_of_2',
  'widest_layer',
  'parameters',
)


class TensorBoard:
  """An observer that writes TensorBoard events.

  Scalars, by trial: reward (of the trial, mean of the last 20, best feasible so far), int8
  accuracy, flash, SRAM, share of feasible and of distinct architectures. By batch: what the
  strategy reports (baseline, entropy, loss, ...). Image: the architecture of each new best.

  Args:
    path: folder for the events; event files that it holds are deleted.
    budget: decides what is feasible.
    input_shape: of the examples; the drawing tells the shapes that follow.
    classes: how many there are.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    *,
    budget: Budget,
    input_shape: Sequence[int],
    classes: int,
  ) -> None:
    self._path = pathlib.Path(path)
    self._budget = budget
    self._input_shape = tuple(input_shape)
    self._classes = classes
    for old in self._path.rglob('events.out.tfevents.*'):
      old.unlink()
    self._writer = tf.summary.create_file_writer(str(self._path / 'search'))
    self._recent: collections.deque[float] = collections.deque(maxlen=20)
    self._digests: set[str] = set()
    self._counts: collections.Counter[str] = collections.Counter()
    self._best: Trial | None = None
    with tf.summary.create_file_writer(str(self._path / 'children')).as_default():
      hparams.hparams_config(
        hparams=[hparams.HParam(name) for name in _COLUMNS],
        metrics=[hparams.Metric(tag, display_name=name) for tag, name in _METRICS],
      )

  def on_trial(self, trial: Trial) -> None:
    """Writes one trial's scalars and its row of the HParams table."""
    self._count(trial)
    with self._writer.as_default(step=trial.index):
      for name, value in self._search_scalars(trial).items():
        tf.summary.scalar(name, value)
      for name, value in _child_scalars(trial).items():
        tf.summary.scalar(name, value)
      if trial is self._best:
        self._write_drawing(trial)
    if trial.measurement.status is Status.COMPLETE and trial.index < MOST_CHILDREN:
      self._write_child(trial)

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Writes what the strategy reports."""
    with self._writer.as_default(step=trials[-1].index):
      for name, value in scalars.items():
        tf.summary.scalar(f'strategy/{name}', value)
    self._writer.flush()

  def _count(self, trial: Trial) -> None:
    self._digests.add(trial.proposal.architecture.digest)
    feasible = is_feasible(trial.measurement, self._budget)
    self._counts.update(trials=1, feasible=int(feasible))
    if trial.reward is None:
      return
    self._recent.append(trial.reward)
    if feasible and (self._best is None or trial.reward > (self._best.reward or 0.0)):
      self._best = trial

  def _search_scalars(self, trial: Trial) -> dict[str, float]:
    scalars = {
      'search/feasible_rate': self._counts['feasible'] / self._counts['trials'],
      'search/unique_rate': len(self._digests) / self._counts['trials'],
    }
    if trial.reward is not None:
      scalars['reward/trial'] = trial.reward
      scalars['reward/mean_of_20'] = sum(self._recent) / len(self._recent)
    if self._best is not None:
      best = self._best
      scalars['reward/best_feasible'] = best.reward or 0.0
      scalars['best/int8_validation_accuracy'] = best.measurement.int8_validation_accuracy or 0.0
    return scalars

  def _write_drawing(self, trial: Trial) -> None:
    accuracy, flash, sram, _ = objectives(trial)
    title = f'trial {trial.index}: int8 validation accuracy {accuracy:.4f}\n'
    title += f'flash {flash:,} B, SRAM {sram:,} B'
    try:
      image = pixels(
        trial.proposal.architecture,
        input_shape=self._input_shape,
        classes=self._classes,
        title=title,
      )
    except Exception:
      # Hours of search must not end because of a picture; whoever reads the log can mend it.
      logging.exception('trial %d: its architecture could not be drawn', trial.index)
      return
    tf.summary.image('best/architecture', image[np.newaxis])  # [1, height, width, 3]

  def _write_child(self, trial: Trial) -> None:
    folder = self._path / 'children' / f'{trial.index:04d}'
    with tf.summary.create_file_writer(str(folder)).as_default(step=trial.index), quiet():
      hparams.hparams(_hyperparameters(trial), trial_id=f'{trial.index:04d}')
      scalars = {**_child_scalars(trial), 'child/reward': trial.reward}
      for tag, _ in _METRICS:
        tf.summary.scalar(tag, scalars[tag.replace('hparams', 'child')])


def _child_scalars(trial: Trial) -> dict[str, float]:
  m = trial.measurement
  figures = {
    'child/int8_validation_accuracy': (m.int8_validation_accuracy, 1),
    'child/validation_accuracy': (m.validation_accuracy, 1),
    'child/flash_kib': (m.flash_bytes, 1024),
    'child/sram_kib': (m.sram_bytes, 1024),
    'child/mega_macs': (m.macs, 1e6),
    'child/seconds': (m.seconds, 1),
  }
  return {name: value / unit for name, (value, unit) in figures.items() if value is not None}


def _hyperparameters(trial: Trial) -> dict[str, int | str]:
  """The shape of a network in a few columns that every space has."""
  nodes = trial.proposal.architecture.nodes
  attributes = [dict(n.attributes) for n in nodes]
  values = (
    trial.proposal.architecture.digest[:8],
    len(nodes),
    sum(n.op in ('conv', 'dilated_conv') for n in nodes),
    sum(n.op == 'depthwise_conv' for n in nodes),
    sum(n.op in ('max_pool', 'avg_pool') for n in nodes),
    sum(a.get('stride', 1) == 2 for a in attributes),
    max(int(a.get('filters', a.get('units', 0))) for a in attributes),
    trial.measurement.parameters or 0,
  )
  return dict(zip(_COLUMNS, values, strict=True))


class ProgressBar:
  """An observer that shows a bar on the terminal: best accuracy, feasible share, time left.

  Args:
    trials: length of the search.
    budget: decides what is feasible.
  """

  def __init__(self, trials: int, *, budget: Budget) -> None:
    self._bar = tqdm.tqdm(total=trials, unit='child', dynamic_ncols=True, desc='search')
    self._budget = budget
    self._feasible = 0
    self._best = 0.0

  def on_trial(self, trial: Trial) -> None:
    """Moves on by one child."""
    if is_feasible(trial.measurement, self._budget):
      self._feasible += 1
      self._best = max(self._best, trial.measurement.int8_validation_accuracy or 0.0)
    self._bar.update()
    share = self._feasible / self._bar.n
    best = f'{self._best:.4f}' if self._feasible else 'none yet'
    self._bar.set_postfix_str(f'best int8 accuracy {best}, feasible {share:.0%}')

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Nothing to show."""

  def close(self) -> None:
    """Leaves the finished bar on the terminal."""
    self._bar.close()
