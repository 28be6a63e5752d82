"""The picture of a Pareto front."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlnas.budget import Budget
from rlnas.data.atomic_file import write_file
from rlnas.data.metrics import Metric
from rlnas.pareto import is_measured, objectives, pareto_front
from rlnas.reports.rendering import encoded
from rlnas.reward import is_feasible
from rlnas.trial import Status, Trial

if TYPE_CHECKING:
  from matplotlib.figure import Figure


def plot_pareto(
  trials: Sequence[Trial],
  budget: Budget,
  path: str | os.PathLike[str],
  *,
  title: str,
  metric: Metric = Metric.ACCURACY,
) -> None:
  """Draws `pareto_figure` into a PNG file. Raises OSError."""
  figure = pareto_figure(trials, budget, title=title, metric=metric)
  write_file(path, encoded(figure, '.png', dpi=120))


def pareto_figure(
  trials: Sequence[Trial], budget: Budget, *, title: str, metric: Metric = Metric.ACCURACY
) -> Figure:
  """int8 accuracy, or what `metric` says, against flash and SRAM with the budget and the front."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  complete = [t for t in trials if t.measurement.status is Status.COMPLETE and is_measured(t)]
  fitting = [t for t in complete if is_feasible(t.measurement, budget)]
  missing = [t for t in complete if not is_feasible(t.measurement, budget)]
  groups = (
    ('x', '0.6', 'over the budget', missing),
    ('o', 'tab:blue', 'fits', fitting),
    ('D', 'tab:orange', 'Pareto front', pareto_front(complete, budget)),
  )
  figure = Figure(figsize=(10, 4.2), layout='constrained')
  FigureCanvasAgg(figure)
  figure.suptitle(title)
  left, right = figure.subplots(1, 2, sharey=True)
  panels = (
    (left, 1, budget.flash_bytes, 'flash: .tflite file, KiB'),
    (right, 2, budget.sram_bytes, 'SRAM: tensor arena, KiB'),
  )
  for axes, column, limit, label in panels:
    for marker, color, name, group in groups:
      sizes = [objectives(t)[column] / 1024 for t in group]
      axes.scatter(sizes, [objectives(t)[0] for t in group], marker=marker, c=color, label=name)
    axes.axvline(limit / 1024, color='tab:red', linestyle='--', label='budget')
    axes.set_xscale('log', base=2)
    axes.xaxis.set_major_formatter('{x:g}')
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)
  left.set_ylabel(f'int8 validation {metric.label}')
  left.legend(loc='lower right')
  return figure
