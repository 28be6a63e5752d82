"""A search in a notebook: shows progress and a picture in the output of the cell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rlnas.budget import Budget
from rlnas.data.metrics import Metric
from rlnas.pareto import best_trial, is_measured
from rlnas.reports.model_figures import style
from rlnas.reports.pareto_figure import pareto_figure
from rlnas.reports.progress_bar import ProgressBar
from rlnas.reports.rendering import encoded
from rlnas.trial import Trial

_SECONDS = 2.0  # between pictures: each takes a third of a second


class Progress:
  """An observer that shows the progress of a search, its best network, and accuracy over memory.

  Outside a notebook, as in a script or a terminal, it is a `ProgressBar`.

  Args:
    trials: number of trials of the search.
    budget: decides what is feasible.
    metric: the metric that the search maximises.
  """

  def __init__(self, trials: int, *, budget: Budget, metric: Metric = Metric.ACCURACY) -> None:
    self._total = trials
    self._budget = budget
    self._metric = metric
    self._trials: list[Trial] = []
    self._shown = time.monotonic() - _SECONDS
    self._display = _display_of_notebook()
    self._bar: ProgressBar | None = None
    if self._display is None:
      self._bar = ProgressBar(trials, budget=budget, metric=metric)
    else:
      self._text, self._picture = (self._display.display(display_id=True) for _ in range(2))

  def on_arrival(self, trial: Trial) -> None:
    """Counts a trial as soon as it is done, outside a notebook."""
    if self._bar is not None:
      self._bar.on_arrival(trial)

  def on_trial(self, trial: Trial) -> None:
    """Adds one trial."""
    self._trials.append(trial)
    if self._bar is not None:
      self._bar.on_trial(trial)

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Shows the progress; draws the picture again, but not too often."""
    done = len(self._trials)
    if self._bar is not None:
      if done >= self._total:
        self._bar.close()
      return
    best = best_trial(self._trials, self._budget)
    found = 'nothing fits the budget yet'
    if best is not None:
      reached = best.measurement.int8_validation_accuracy
      found = f'best int8 {self._metric.label} {reached:.4f}'
    self._text.update(self._display.Markdown(f'**{done} of {self._total}** trials: {found}'))
    if time.monotonic() - self._shown >= _SECONDS or done >= self._total:
      self._draw(self._display)
      self._shown = time.monotonic()

  def _draw(self, display: Any) -> None:
    if any(map(is_measured, self._trials)):
      with style():
        figure = pareto_figure(self._trials, self._budget, metric=self._metric)
        content = encoded(figure, '.png', dpi=80)
      self._picture.update(display.Image(content))


def _display_of_notebook() -> Any:
  """The module of IPython that shows pictures in a cell; None outside a notebook."""
  try:
    from IPython import display, get_ipython
  except ImportError:
    return None
  shell = get_ipython()
  if shell is None or 'image/png' not in shell.display_formatter.active_types:
    return None  # a script, or IPython in a terminal
  return display
