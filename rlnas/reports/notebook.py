"""A search in a notebook: shows progress and a picture in the output of the cell."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

from rlnas.budget import Budget
from rlnas.pareto import best_trial
from rlnas.reports.pareto_figure import pareto_figure
from rlnas.trial import Status, Trial

_SECONDS = 2.0  # between pictures: each takes a third of a second


class Progress:
  """An observer that shows the progress of a search, its best network, and accuracy over memory.

  Args:
    trials: number of trials of the search.
    budget: decides what is feasible.

  Raises:
    ImportError: IPython is not installed.
  """

  def __init__(self, trials: int, *, budget: Budget) -> None:
    try:
      from IPython import display
    except ImportError as error:
      raise ImportError('Progress needs IPython, which comes with a notebook') from error
    self._display = display
    self._total = trials
    self._budget = budget
    self._trials: list[Trial] = []
    self._shown = time.monotonic() - _SECONDS
    self._text, self._picture = (display.display(display_id=True) for _ in range(2))

  def on_trial(self, trial: Trial) -> None:
    """Adds one trial."""
    self._trials.append(trial)

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Shows the progress; draws the picture again, but not too often."""
    best = best_trial(self._trials, self._budget)
    found = 'nothing fits the budget yet'
    if best is not None:
      found = f'best int8 accuracy {best.measurement.int8_validation_accuracy:.4f}'
    done = len(self._trials)
    self._text.update(self._display.Markdown(f'**{done} of {self._total}** trials: {found}'))
    if time.monotonic() - self._shown >= _SECONDS or done >= self._total:
      self._draw()
      self._shown = time.monotonic()

  def _draw(self) -> None:
    if any(trial.measurement.status is Status.COMPLETE for trial in self._trials):
      png = io.BytesIO()
      pareto_figure(self._trials, self._budget, title='').savefig(png, dpi=80)
      self._picture.update(self._display.Image(png.getvalue()))
