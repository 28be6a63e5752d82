"""An observer that shows a search in TensorBoard.

TensorBoard shows curves and pictures of a search, and the trials as rows of the HParams table. It
shows no curve at all if a folder has more than 40 runs, and each row is a run: so all trials have a
folder of their own beside that of the curves, which has only the best of them. A resumed search
passes the trials of its journal to the observers again, so the event files are written again from
the first trial and the curves have no gap.
"""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from absl import logging

from rlnas.architecture import Architecture, TaskShape
from rlnas.backend import tf
from rlnas.budget import Budget
from rlnas.data.metrics import Metric
from rlnas.pareto import objectives
from rlnas.reports.tensorboard_files import named_errors
from rlnas.reports.tensorboard_pictures import Choices, Front, Pixels, best_text
from rlnas.reports.tensorboard_scalars import (
  BEST,
  EACH,
  LIMIT,
  MEAN,
  RUNS,
  budget_scalars,
  layout_summary,
  strategy_scalars,
  summary_of,
  trial_scalars,
)
from rlnas.reports.tensorboard_trials import TrialRows
from rlnas.reward import is_feasible
from rlnas.spaces.table import Table
from rlnas.trial import Status, Trial

MOST_RUNS = 35  # of a folder, the curves included
_FIRST_PICTURES = 20  # trials; the next pictures after half as many more, and at the end


class TensorBoard:
  """An observer that writes TensorBoard events.

  - Scalars: `rlnas.reports.tensorboard_scalars.DESCRIPTIONS` describes each. The strategy reports
    those of the group `strategy`, by batch. Each trial, the mean of 20, the best so far, the budget
    and what was predicted are runs in the folder `search`, and so curves of one chart. Custom
    Scalars has them by question.
  - Images: the architecture of each new best trial; from time to time the Pareto front, and how
    often each choice was proposed over the trials, by kind of decision.
  - Text: the best network, and its share of the budget.
  - HParams: the trials of highest reward, `MOST_RUNS` with the curves. All trials are in another
    folder, `all_trials` (`rlnas.reports.tensorboard_trials`).

  Args:
    path: folder for the events; old event files there and in `all_trials` are deleted.
    budget: decides which trials are feasible.
    task: input shape and number of classes of the networks; the drawing shows the shapes that
      follow.
    table: the compiled space; without it there are no pictures of choices.
    metric: the metric that the search maximises.

  Raises:
    OSError: an event file cannot be written; methods raise it, too.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    *,
    budget: Budget,
    task: TaskShape,
    table: Table | None = None,
    metric: Metric = Metric.ACCURACY,
  ) -> None:
    self._path = path = pathlib.Path(path)
    self._budget = budget
    self._task = task
    self._metric = metric
    for folder in (path, all_trials(path)):
      for old in folder.rglob('events.out.tfevents.*'):
        old.unlink()
    # All begin here, before any trial: TensorBoard gives out its seven colors in this order.
    self._writers = {run: tf.summary.create_file_writer(str(path / 'search' / run)) for run in RUNS}
    search = '/'.join(path.resolve().parts[-2:])
    self._rows = (
      TrialRows(path / 'trials', search=search, most=MOST_RUNS - len(RUNS)),
      TrialRows(all_trials(path), search=search),
    )
    self._recent: collections.deque[float] = collections.deque(maxlen=20)
    self._digests: set[str] = set()
    self._counts: collections.Counter[str] = collections.Counter()
    self._best: Trial | None = None
    self._front = Front(budget, metric)
    self._choices = None if table is None else Choices(table)
    self._next_pictures = _FIRST_PICTURES
    self._pictured = 0  # trials, when the last pictures were drawn
    with self._written(EACH, step=0):
      tf.summary.experimental.write_raw_pb(layout_summary())

  def on_trial(self, trial: Trial) -> None:
    """Writes one trial's scalars and its row of the HParams table."""
    self._count(trial)
    for run, scalars in self._scalars(trial).items():
      self._write(run, scalars, step=trial.index)
    if trial is self._best:
      with self._written(BEST, step=trial.index):
        self._write_best(trial)
    for rows in self._rows:
      rows.write(trial)

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Writes the scalars of the strategy, and the pictures if they are due."""
    for run, named in strategy_scalars(scalars).items():
      self._write(run, named, step=trials[-1].index)
    self._front.add(trials)
    if self._choices is not None:
      self._choices.add(trials)
    if self._counts['trials'] >= self._next_pictures:
      self._write_pictures()
      self._next_pictures = self._counts['trials'] * 3 // 2
    for run, writer in self._writers.items():
      with self._written(run):
        writer.flush()

  def close(self) -> None:
    """Draws the last pictures and closes the files."""
    self._write_pictures()
    for run, writer in self._writers.items():
      with self._written(run):
        writer.close()

  @contextlib.contextmanager
  def _written(self, run: str, *, step: int = 0) -> Iterator[None]:
    """A context that writes to a run. Raises WriteError."""
    with named_errors(self._path / 'search' / run), self._writers[run].as_default(step=step):
      yield

  def _write(self, run: str, scalars: Mapping[str, float], *, step: int) -> None:
    if scalars:
      with self._written(run, step=step):
        tf.summary.experimental.write_raw_pb(summary_of(scalars))

  def _count(self, trial: Trial) -> None:
    self._digests.add(trial.proposal.digest)
    feasible = is_feasible(trial.measurement, self._budget)
    failed = trial.measurement.status is Status.FAILED
    self._counts.update(trials=1, feasible=int(feasible), failed=int(failed))
    if trial.reward is None:
      return
    self._recent.append(trial.reward)
    if feasible and (self._best is None or trial.reward > (self._best.reward or 0.0)):
      self._best = trial

  def _scalars(self, trial: Trial) -> dict[str, dict[str, float]]:
    """What a trial adds to the curves, by run."""
    trials = self._counts['trials']
    each = {
      'search/feasible_rate': self._counts['feasible'] / trials,
      'search/failed_rate': self._counts['failed'] / trials,
      'search/unique_rate': len(self._digests) / trials,
      **trial_scalars(trial),
    }
    found = {EACH: each, LIMIT: budget_scalars(self._budget)}
    if trial.reward is not None:
      each['reward'] = trial.reward
      found[MEAN] = {'reward': sum(self._recent) / len(self._recent)}
    if self._best is not None:
      best = trial_scalars(self._best)
      best.pop('trial/seconds', None)
      found[BEST] = {'reward': self._best.reward or 0.0, **best}
    return found

  def _write_best(self, trial: Trial) -> None:
    if not isinstance(trial.proposal.value, Architecture):  # it cannot be drawn
      found = f'**Trial {trial.index}**: {trial.proposal.value}, reward {trial.reward:.4f}'
      tf.summary.text('best/network', found)
      return
    accuracy, flash, sram, _ = objectives(trial)
    title = f'trial {trial.index}: int8 validation {self._metric.label} {accuracy:.4f}\n'
    title += f'flash {flash:,} B, SRAM {sram:,} B'
    try:
      from rlnas.reports.graph_drawing import pixels

      drawing = pixels(trial.proposal.architecture, task=self._task, title=title)
      text = best_text(trial, self._budget, self._task, self._metric)
    except Exception:
      # A picture must not end a search that has run for hours; the log holds the error.
      logging.exception('trial %d: its architecture could not be drawn', trial.index)
      return
    _image('best/architecture', drawing)
    tf.summary.text('best/network', text)

  def _write_pictures(self) -> None:
    trials = self._counts['trials']
    if trials == self._pictured:
      return
    self._pictured = trials
    with self._written(EACH, step=trials - 1):
      for name, picture in self._pictures().items():
        _image(name, picture)

  def _pictures(self) -> dict[str, Pixels]:
    """The Pareto front and the choices so far, by name."""
    found = {}
    try:
      front = self._front.picture()
      if front is not None:
        found['search/pareto_front'] = front
      if self._choices is not None:
        pictures = self._choices.pictures()
        found |= {f'policy/{kind}': picture for kind, picture in pictures.items()}
    except Exception:
      logging.exception('the pictures after %d trials could not be drawn', self._counts['trials'])
    return found


def all_trials(path: str | os.PathLike[str]) -> pathlib.Path:
  """The folder with a row for each trial, beside that of the curves."""
  folder = pathlib.Path(path)
  return folder.with_name(f'{folder.name}_trials')


def _image(name: str, picture: Pixels) -> None:
  tf.summary.image(name, picture[np.newaxis])  # [1, height, width, 3]
