"""An observer that shows the progress of a search on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import tqdm

from rlnas.budget import Budget
from rlnas.data.metrics import Metric
from rlnas.reward import is_feasible
from rlnas.trial import Trial


class ProgressBar:
  """An observer that shows a bar on the terminal: best accuracy, feasible share, time left.

  Args:
    trials: number of trials of the search.
    budget: decides which trials are feasible.
    metric: what the search calls accuracy.
  """

  def __init__(self, trials: int, *, budget: Budget, metric: Metric = Metric.ACCURACY) -> None:
    self._bar = tqdm.tqdm(total=trials, unit='trial', dynamic_ncols=True, desc='search')
    self._budget = budget
    self._metric = metric
    self._feasible = 0
    self._best = 0.0

  def on_trial(self, trial: Trial) -> None:
    """Moves the bar by one trial."""
    if is_feasible(trial.measurement, self._budget):
      self._feasible += 1
      self._best = max(self._best, trial.measurement.int8_validation_accuracy or 0.0)
    self._bar.update()
    share = self._feasible / self._bar.n
    best = f'{self._best:.4f}' if self._feasible else 'none yet'
    self._bar.set_postfix_str(f'best int8 {self._metric.label} {best}, feasible {share:.0%}')

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Does nothing."""

  def close(self) -> None:
    """Leaves the finished bar on the terminal."""
    self._bar.close()
