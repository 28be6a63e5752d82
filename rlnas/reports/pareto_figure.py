"""Pictures of the trade-offs of a search: accuracy against what a network costs.

A picture emphasises the networks that fit. Those that do not fit are faint, and outliers, which
would compress the scale, are arrows on the border.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator

from rlnas.budget import Budget
from rlnas.data.atomic_file import write_file
from rlnas.data.metrics import Metric
from rlnas.pareto import is_measured, objectives, pareto_front
from rlnas.reports.model_figures import BLUE, GREY, INK, ORANGE, PALE_BLUE, legend_below, style
from rlnas.reports.rendering import encoded
from rlnas.reward import is_feasible
from rlnas.trial import Status, Trial

_REACH = 1.5  # times the budget: costs beyond it lie on the border
_FAR = 4.0  # a budget of more than so many times the largest cost is named, but not drawn
_HALO = (withStroke(linewidth=3, foreground='white'),)


@dataclasses.dataclass(frozen=True)
class Cost:
  """The quantity on the horizontal axis of a picture.

  Attributes:
    label: its name and unit.
    of: returns the cost of a complete trial, in that unit; None if it is unknown.
    limit: the budget, in that unit; None without one.
    unit: the unit alone.
  """

  label: str
  of: Callable[[Trial], float | None]
  limit: float | None = None
  unit: str = ''


def memory_costs(budget: Budget) -> tuple[Cost, Cost]:
  """Flash and SRAM."""
  return (
    Cost(
      'flash: .tflite file, KiB',
      lambda t: objectives(t)[1] / 1024,
      budget.flash_bytes / 1024,
      'KiB',
    ),
    Cost(
      'SRAM: tensor arena, KiB', lambda t: objectives(t)[2] / 1024, budget.sram_bytes / 1024, 'KiB'
    ),
  )


def time_costs(budget: Budget) -> tuple[Cost, Cost]:
  """Multiply-accumulates and latency."""
  macs = None if budget.macs is None else budget.macs / 1e6
  return (
    Cost('million MACs', lambda t: objectives(t)[3] / 1e6, macs, 'million'),
    Cost('latency, ms (estimated)', lambda t: t.measurement.latency_ms, budget.latency_ms, 'ms'),
  )


def plot_pareto(
  trials: Sequence[Trial],
  budget: Budget,
  path: str | os.PathLike[str],
  *,
  title: str,
  metric: Metric = Metric.ACCURACY,
  winner: Trial | None = None,
) -> None:
  """Draws `pareto_figure` into a PNG file. Raises OSError."""
  with style():
    figure = pareto_figure(trials, budget, title=title, metric=metric, winner=winner)
    content = encoded(figure, '.png', dpi=120)
  write_file(path, content)


def pareto_figure(
  trials: Sequence[Trial],
  budget: Budget,
  *,
  title: str = '',
  metric: Metric = Metric.ACCURACY,
  winner: Trial | None = None,
  mark: str = 'winner',
  costs: Sequence[Cost] = (),
) -> Figure:
  """int8 accuracy, or what `metric` says, against costs, side by side on equal scales.

  Call it within `rlnas.reports.model_figures.style`.

  Args:
    trials: the trials; those that were not measured completely are left out.
    budget: decides which trials fit.
    title: a line above.
    metric: the metric that the search maximises.
    winner: the trial that is marked; it need not be one of `trials`.
    mark: the label of the winner.
    costs: what the axes show; by default flash and SRAM.
  """
  costs = costs or memory_costs(budget)
  complete = [t for t in trials if t.measurement.status is Status.COMPLETE and is_measured(t)]
  front = pareto_front(complete, budget)
  on_front = {t.index for t in front}
  fitting = [t for t in complete if is_feasible(t.measurement, budget)]
  groups = {
    'does not fit': [t for t in complete if not is_feasible(t.measurement, budget)],
    'fits': [t for t in fitting if t.index not in on_front],
    'Pareto front': front,
  }
  marked = winner if winner is not None and winner.measurement.status is Status.COMPLETE else None
  figure = Figure(figsize=(4.9 * len(costs), 3.9))
  if title:
    figure.suptitle(title, fontsize=10.5)
  panels = figure.subplots(1, len(costs), sharex=True, sharey=True, squeeze=False)[0]
  points = {
    name: [[(cost.of(t), objectives(t)[0]) for t in group] for cost in costs]
    for name, group in groups.items()
  }
  shown = fitting or complete
  frame = _frame([objectives(t)[0] for t in shown], costs, shown, complete)
  for i, (axes, cost) in enumerate(zip(panels, costs, strict=True)):
    for name, columns in points.items():
      _scatter(axes, columns[i], name, frame)
    _draw_best(axes, [*points['fits'][i], *points['Pareto front'][i]], frame, cost.unit)
    if cost.limit is not None:
      _draw_limit(axes, cost, frame)
    place = None if marked is None else cost.of(marked)
    if marked is not None and place is not None:
      _mark(axes, (place, objectives(marked)[0]), f'{mark}: trial {marked.index}', frame)
    axes.set_xlabel(cost.label)
  panels[0].set_ylabel(f'int8 validation {metric.label}')
  legend_below(figure, panels[0])
  return figure


@dataclasses.dataclass(frozen=True)
class _Frame:
  """The ranges of the axes."""

  left: float
  right: float
  low: float
  high: float

  def inside(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points, with those outside moved to the border. [N, 2]."""
    return np.clip(points, (self.left, self.low), (self.right, self.high))


def _frame(
  accuracies: Sequence[float],
  costs: Sequence[Cost],
  shown: Sequence[Trial],
  complete: Sequence[Trial],
) -> _Frame:
  """Ranges that hold what fits; what lies far from the others is beyond the border (Tukey 1977)."""
  low, high = fence(accuracies)
  high = max([high, *(objectives(t)[0] + 0.02 * (high - low) for t in complete)])
  known = [x for cost in costs for t in shown if (x := cost.of(t)) is not None and x > 0] or [1.0]
  every = [x for cost in costs for t in complete if (x := cost.of(t)) is not None]
  limits = [cost.limit for cost in costs if cost.limit is not None]
  near = [limit for limit in limits if limit <= _FAR * max(known)]
  right = max([*known, *near])
  if near:
    right = max(right, min(max(every, default=0.0), _REACH * max(near)))
  pad = (right / min(known)) ** 0.04 + 0.01  # the axis is logarithmic
  return _Frame(min(known) / pad, right * pad, low, high)


def fence(values: Sequence[float] | npt.NDArray[Any]) -> tuple[float, float]:
  """A range of the vertical axis that shows most values, with some space around them.

  Values farther than 1.5 interquartile ranges below the first quartile are left out (Tukey 1977).
  """
  if not len(values):
    return 0.0, 1.0
  first, third = np.quantile(values, (0.25, 0.75))
  low = max(float(np.min(values)), float(first - 1.5 * (third - first)))
  high = float(np.max(values))
  low = min(low, high - 0.01)
  return low - 0.05 * (high - low), high + 0.06 * (high - low)


_MARKS: dict[str, dict[str, Any]] = {
  'does not fit': {'marker': 'x', 'c': GREY, 's': 20, 'alpha': 0.45, 'linewidth': 0.9},
  'fits': {'marker': 'o', 'c': PALE_BLUE, 's': 24, 'linewidth': 0},
  'Pareto front': {'marker': 'D', 'c': BLUE, 's': 26, 'linewidth': 0},
}


def _scatter(
  axes: Any, points: Sequence[tuple[float | None, float]], name: str, frame: _Frame
) -> None:
  found = np.array([(x, y) for x, y in points if x is not None]).reshape(-1, 2)
  moved = frame.inside(found)
  outside = (moved != found).any(axis=1)
  axes.scatter(*moved[~outside].T, label=name if points else None, zorder=3, **_MARKS[name])
  look = {**_MARKS[name], 'linewidth': 0, 'alpha': 0.6, 's': 22, 'clip_on': False}
  for marker, chosen in (
    ('>', outside & (found[:, 0] > frame.right)),
    ('v', outside & (found[:, 0] <= frame.right)),
  ):
    axes.scatter(*moved[chosen].T, **{**look, 'marker': marker}, zorder=4)


def _draw_best(
  axes: Any, points: Sequence[tuple[float | None, float]], frame: _Frame, unit: str
) -> None:
  """The best accuracy up to each cost."""
  found = sorted((x, y) for x, y in points if x is not None)
  if found:
    x, y = zip(*found, strict=True)
    best = np.maximum.accumulate(y)
    axes.step(
      [*x, frame.right], [*best, best[-1]], where='post', color=BLUE, linewidth=0.8, alpha=0.5
    )
  axes.set_xscale('log', base=2)
  if frame.right < 3 * frame.left:
    axes.xaxis.set_major_locator(MaxNLocator(5))
  elif unit == 'KiB':
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=8))
  else:
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5), numticks=8))
  axes.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}' if x >= 10 else f'{x:.2g}')
  axes.xaxis.set_minor_formatter('')
  axes.set(xlim=(frame.left, frame.right), ylim=(frame.low, frame.high))


def _draw_limit(axes: Any, cost: Cost, frame: _Frame) -> None:
  """The budget as a line with its name above, or its name alone if it is far away."""
  limit = cost.limit or 0.0
  above = axes.get_xaxis_transform()  # of height, a share
  text = f'budget {limit:.3g} {cost.unit}'
  if limit <= frame.right:
    axes.axvline(limit, color=INK, linestyle='--', linewidth=0.9)
    middle = (frame.left * frame.right) ** 0.5
    side = 'right' if limit > middle else 'left'
    axes.text(limit, 1.01, text, transform=above, ha=side, va='bottom', fontsize=8, color=INK)
  else:
    axes.text(
      *(frame.right, 1.01, f'{text} →'),
      **{'transform': above, 'ha': 'right', 'va': 'bottom', 'fontsize': 8, 'color': INK},
    )


def _mark(axes: Any, point: tuple[float, float], text: str, frame: _Frame) -> None:
  """A ring around a point, with a text beside it."""
  x, y = frame.inside(np.array([point]))[0]
  axes.scatter(
    [x], [y], s=130, facecolors='none', edgecolors=ORANGE, linewidth=1.8, zorder=5, clip_on=False
  )
  is_right = x > (frame.left * frame.right) ** 0.5
  axes.annotate(
    text,
    (x, y),
    xytext=(-11, 0) if is_right else (11, -10),  # a line may run to the right
    textcoords='offset points',
    ha='right' if is_right else 'left',
    va='center',
    fontsize=8.5,
    fontweight='bold',
    color=ORANGE,
    path_effects=_HALO,
    zorder=6,
  )
