"""Pictures of a search for reports, as SVG text, styled as `rlnas.reports.model_figures`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rlnas.reports.model_figures import (
  BLUE,
  GREY,
  ORANGE,
  PALE_BLUE,
  legend_below,
  short,
  style,
  svg,
)
from rlnas.reports.pareto_figure import fence

_BATCHES = 5  # of a moving mean


def course(
  indices: Sequence[int],
  values: Sequence[float],
  feasible: Sequence[bool],
  *,
  ylabel: str,
  mean: Sequence[float],
  mean_name: str,
) -> str:
  """A value of each trial over the trials, their moving mean, and the best so far that fits.

  Args:
    indices: the trials.
    values: the value of each.
    feasible: whether each fits.
    ylabel: what the value is.
    mean: the moving mean of the values.
    mean_name: its name.
  """
  fits = np.array(feasible, bool)
  x, y = np.array(indices), np.array(values)
  low, high = fence(y)
  with style():
    figure = Figure(figsize=(4.9, 3.4))
    axes = figure.add_subplot()
    looks: tuple[tuple[npt.NDArray[np.bool_], dict[str, Any]], ...] = (
      (~fits, {'marker': 'x', 'c': GREY, 'linewidth': 0.8, 'label': 'does not fit'}),
      (fits, {'marker': 'o', 'c': PALE_BLUE, 'linewidth': 0, 'label': 'fits'}),
    )
    for chosen, look in looks:
      within, below = chosen & (y >= low), chosen & (y < low)
      if chosen.any():
        axes.scatter(x[within], y[within], s=16, **look)
      lowest = np.full(below.sum(), low)
      axes.scatter(x[below], lowest, s=16, marker='v', c=look['c'], linewidth=0, clip_on=False)
    axes.plot(x, np.maximum(mean, low), color=ORANGE, linewidth=1.4, label=mean_name)
    if fits.any():
      best = np.maximum.accumulate(y[fits])
      end = [*x[fits], x[-1]]
      axes.step(
        end, [*best, best[-1]], where='post', color=BLUE, linewidth=1.6, label='best so far'
      )
    axes.set(xlabel='trial', ylabel=ylabel, ylim=(low, high))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes)
    return svg(figure)


def share(
  indices: Sequence[int], shares: Mapping[str, Sequence[float]], *, ylabel: str, percent: bool
) -> str:
  """Draws each share as a line over the trials."""
  with style():
    figure = Figure(figsize=(4.9, 3.2))
    axes = figure.add_subplot()
    for color, (name, values) in zip((BLUE, GREY, ORANGE), shares.items(), strict=False):
      axes.plot(indices, values, color=color, linewidth=1.4, label=name)
    axes.set(xlabel='trial', ylabel=ylabel)
    if percent:
      axes.set_ylim(-0.02, 1.02)
      axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(shares) > 1:
      legend_below(figure, axes)
    return svg(figure)


def preference(
  shares: npt.NDArray[np.float64], choices: Sequence[str], edges: Sequence[int]
) -> str:
  """How often each choice was taken, over the trials. See `preference_figure` for arguments."""
  with style():
    return svg(preference_figure(shares, choices, edges))


def preference_figure(
  shares: npt.NDArray[np.float64], choices: Sequence[str], edges: Sequence[int]
) -> Figure:
  """A heat map of how often each choice was taken, over the trials. Call it within a `style`.

  Args:
    shares: share of each choice among the decisions of a period; a column sums to 1, or is NaN if
      there were no decisions. [choices, periods]
    choices: name of each row.
    edges: first trial of each period, and one past the last. Length periods + 1.
  """
  figure = Figure(figsize=(4.9, 0.9 + 0.3 * len(choices)))
  axes = figure.add_subplot()
  axes.grid(visible=False)
  shade = axes.pcolormesh(
    *(np.array(edges) - 0.5, np.arange(len(choices) + 1) - 0.5, shares),
    cmap='Blues',
    vmin=0,
    vmax=1,
    edgecolors='white',
    linewidth=0.6,
  )
  axes.invert_yaxis()
  axes.set_yticks(range(len(choices)), [short(choice) for choice in choices])
  axes.tick_params(axis='y', length=0)
  axes.spines[:].set_visible(False)
  axes.set_xlabel('trial')
  axes.xaxis.set_major_locator(MaxNLocator(integer=True))
  bar = figure.colorbar(shade, ax=axes, pad=0.02, fraction=0.06, ticks=[0, 0.5, 1])
  bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
  bar.outline.set_visible(False)
  return figure


def bars(amounts: Mapping[str, float], *, xlabel: str) -> str:
  """One bar for each name, the first on top."""
  names = list(amounts)
  with style():
    figure = Figure(figsize=(4.9, 0.9 + 0.36 * len(names)))
    axes = figure.add_subplot()
    axes.barh(range(len(names)), [amounts[name] for name in names], color=BLUE, height=0.6)
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    axes.tick_params(axis='y', length=0)
    axes.invert_yaxis()
    axes.grid(visible=False, axis='y')
    axes.set_xlabel(xlabel)
    return svg(figure)


def progress(
  values: Mapping[int, float],
  *,
  ylabel: str,
  percent: bool = False,
  least: float | None = None,
  reference: tuple[float, str] | None = None,
  restarts: Sequence[int] = (),
) -> str:
  """A value of the strategy over the trials: each batch as a point, and their moving mean.

  Args:
    values: the value of each batch, by the index of its last trial; at least one.
    ylabel: what the value is, with its unit.
    percent: whether it is a share.
    least: where the axis begins; by default a little below the values.
    reference: a value to compare with, and its name.
    restarts: trials after which the strategy began again.
  """
  x, y = np.array(list(values)), np.array(list(values.values()))
  with style():
    figure = Figure(figsize=(4.9, 2.9))
    axes = figure.add_subplot()
    for i, trial in enumerate(restarts):
      axes.axvline(trial, color=GREY, linestyle=':', linewidth=1)
      if i == 0:
        above = axes.get_xaxis_transform()  # of height, a share
        axes.text(trial, 0.98, ' restart', transform=above, color=GREY, fontsize=8, va='top')
    if reference is not None:
      level, name = reference
      axes.axhline(level, color=ORANGE, linestyle='--', linewidth=1)
      beside = axes.get_yaxis_transform()  # of width, a share
      axes.text(
        *(0.99, level, name), transform=beside, color=ORANGE, fontsize=8, ha='right', va='bottom'
      )
    axes.scatter(x, y, s=14, c=PALE_BLUE, linewidth=0)
    axes.plot(x, _smooth(y), color=BLUE, linewidth=1.6)
    axes.set(xlabel='trial', ylabel=ylabel)
    axes.set_xlim(left=0)
    if least is not None and y.max() > least:
      axes.set_ylim(least, least + 1.08 * (y.max() - least))
    if percent:
      axes.set_ylim(-0.02, 1.02)
      axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return svg(figure)


def _smooth(values: npt.NDArray[np.float64]) -> list[float]:
  """The mean of each value and those before it, at most `_BATCHES`."""
  return [float(values[max(0, i + 1 - _BATCHES) : i + 1].mean()) for i in range(len(values))]
