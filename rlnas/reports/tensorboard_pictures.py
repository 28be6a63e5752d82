"""Pictures and texts of a search for TensorBoard: the best network, the Pareto front, choices.

Their memory and time are bounded: a picture of 100,000 trials takes no longer than one of 1,000.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rlnas.architecture import TaskShape
from rlnas.budget import Budget
from rlnas.data.metrics import Metric
from rlnas.pareto import is_measured, pareto_front
from rlnas.reports.choice_counts import Preference
from rlnas.reports.graph_boxes import boxes
from rlnas.reports.rendering import pixels_of
from rlnas.spaces.table import Table, states_of
from rlnas.trial import Measurement, Status, Trial

if TYPE_CHECKING:
  from matplotlib.figure import Figure

Pixels = npt.NDArray[np.uint8]

_MOST_POINTS = 1000  # of a picture, besides the front
_MOST_PERIODS = 24
_DPI = 100


class Front:
  """The Pareto front of a running search."""

  def __init__(self, budget: Budget, metric: Metric) -> None:
    """Stores the budget, which decides which trials fit, and what accuracy means."""
    self._budget = budget
    self._metric = metric
    self._recent: collections.deque[Trial] = collections.deque(maxlen=_MOST_POINTS)
    self._front: list[Trial] = []

  def add(self, trials: Sequence[Trial]) -> None:
    """Adds trials."""
    complete = [t for t in trials if t.measurement.status is Status.COMPLETE and is_measured(t)]
    self._recent.extend(complete)
    self._front = pareto_front([*self._front, *complete], self._budget)

  def picture(self) -> Pixels | None:
    """Accuracy over flash and SRAM of the latest trials and the front; None without trials."""
    shown = {trial.index: trial for trial in (*self._front, *self._recent)}
    if not shown:
      return None
    from rlnas.reports.model_figures import style  # late: the first trials need no Matplotlib
    from rlnas.reports.pareto_figure import pareto_figure

    found = f'{len(self._front)} trials on the Pareto front'
    trials = [shown[i] for i in sorted(shown)]
    with style():
      return _pixels(pareto_figure(trials, self._budget, title=found, metric=self._metric))


class Choices:
  """How often each choice was proposed, by kind of decision and period.

  A period is a batch at first; if there are more than twice `_MOST_PERIODS`, each two neighbours
  are merged.
  """

  def __init__(self, table: Table) -> None:
    """Stores the compiled space."""
    self._table = table
    self._first: list[int] = []  # first trial of each period
    self._counts: list[npt.NDArray[np.int64]] = []  # [periods][symbols]
    self._end = 0

  def add(self, trials: Sequence[Trial]) -> None:
    """Adds a batch. Raises ValueError if tokens are not in the space."""
    counts = np.zeros(len(self._table.symbols), np.int64)
    for trial in trials:
      states = states_of(self._table, trial.proposal.tokens)
      np.add.at(counts, self._table.symbol[list(states), list(trial.proposal.tokens)], 1)
    self._first.append(trials[0].index)
    self._counts.append(counts)
    self._end = trials[-1].index + 1
    if len(self._counts) > 2 * _MOST_PERIODS:
      self._first, self._counts = self._first[::2], _sums_of_two(self._counts)

  def preferences(self) -> list[Preference]:
    """The counts of each kind of decision with more than one choice."""
    found: dict[str, list[int]] = {}
    for symbol, (kind, _, _) in enumerate(self._table.symbols):
      found.setdefault(kind, []).append(symbol)
    if not self._counts:
      return []
    counts = np.stack(self._counts, axis=1)  # [symbols, periods]
    return [
      Preference(kind, tuple(str(self._table.symbols[s][2]) for s in symbols), counts[symbols])
      for kind, symbols in found.items()
      if len(symbols) > 1
    ]

  def pictures(self) -> dict[str, Pixels]:
    """A heat map for each kind of decision: the share of each choice."""
    from rlnas.reports.model_figures import style
    from rlnas.reports.search_figures import preference_figure

    edges = [*self._first, self._end]
    pictures = {}
    for preference in self.preferences():
      totals = preference.counts.sum(axis=0)
      shares = np.where(totals > 0, preference.counts / np.maximum(totals, 1), np.nan)
      with style():
        pictures[preference.kind] = _pixels(preference_figure(shares, preference.choices, edges))
    return pictures


def _sums_of_two(counts: Sequence[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
  return [np.sum(counts[i : i + 2], axis=0) for i in range(0, len(counts), 2)]


def _pixels(figure: Figure) -> Pixels:
  """A figure as an image [height, width, 3]."""
  figure.set_facecolor('white')
  return pixels_of(figure, dpi=_DPI)


def best_text(trial: Trial, budget: Budget, task: TaskShape, metric: Metric) -> str:
  """A network as Markdown: its accuracy, its share of the budget, its layers.

  Raises:
    ValueError: the architecture cannot read the input.
  """
  m = trial.measurement
  accuracy = 'unknown' if (a := m.int8_validation_accuracy) is None else f'{a:.4f}'
  lines = [
    f'**Trial {trial.index}**, network `{trial.proposal.digest[:8]}`: '
    f'int8 validation {metric.label} **{accuracy}**, reward {trial.reward:.4f}',
    '',
    '| | used | budget | share |',
    '|---|---|---|---|',
    *_fit(m, budget),
    '',
    '| layer | | output |',
    '|---|---|---|',
  ]
  parts = boxes(trial.proposal.architecture, task)
  lines += [f'| {i} | {box.label} | {box.shape} |' for i, box in enumerate(parts)]
  return '\n'.join(lines)


def _fit(m: Measurement, budget: Budget) -> list[str]:
  rows = (
    ('flash, bytes', m.flash_bytes, budget.flash_bytes),
    ('SRAM, bytes', m.sram_bytes, budget.sram_bytes),
    ('MACs', m.macs, budget.macs),
    ('latency, ms', m.latency_ms, budget.latency_ms),
  )
  return [
    f'| {name} | {_figure(used)} | {_figure(limit)} | {used / limit:.0%} |'
    if limit is not None
    else f'| {name} | {_figure(used)} | – | – |'
    for name, used, limit in rows
    if used is not None
  ]


def _figure(value: float) -> str:
  """A number for people: all digits of a whole number, one decimal of another."""
  return f'{value:,}' if isinstance(value, int) else f'{value:,.1f}'
