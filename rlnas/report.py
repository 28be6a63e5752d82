"""What a search found: the best trial, the Pareto front, their table and picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlnas.board import Budget
from rlnas.reward import is_feasible
from rlnas.trial import Status, Trial

if TYPE_CHECKING:
  from matplotlib.figure import Figure


def best_trial(trials: Sequence[Trial], budget: Budget) -> Trial | None:
  """The feasible trial of highest reward, the earliest among equals; None where none fits."""
  feasible = [t for t in trials if is_feasible(t.measurement, budget)]
  return max(feasible, key=lambda t: (t.reward, -t.index), default=None)


def objectives(trial: Trial) -> tuple[float, int, int, int]:
  """(int8 validation accuracy, flash bytes, SRAM bytes, MACs) of a complete trial."""
  m = trial.measurement
  figures = (m.int8_validation_accuracy, m.flash_bytes, m.sram_bytes, m.macs)
  if any(figure is None for figure in figures):
    raise ValueError(f'trial {trial.index}: {m.status.value}, not completely measured')
  return figures  # type: ignore[return-value]


def pareto_front(trials: Sequence[Trial], budget: Budget) -> list[Trial]:
  """The feasible trials that no other one beats in accuracy, flash, SRAM and MACs together.

  Of trials with equal figures the earliest stands for all.

  Returns:
    The front, most accurate first.
  """
  costs: dict[tuple[float, ...], Trial] = {}
  for trial in trials:
    if is_feasible(trial.measurement, budget):
      accuracy, *sizes = objectives(trial)
      costs.setdefault((-accuracy, *sizes), trial)
  front = [
    trial
    for cost, trial in costs.items()
    if not any(o != cost and all(a <= b for a, b in zip(o, cost, strict=True)) for o in costs)
  ]
  return sorted(front, key=lambda t: (-objectives(t)[0], *objectives(t)[1:]))


def format_front(front: Sequence[Trial]) -> str:
  """The front as a table for a terminal."""
  lines = [f'{"trial":>5}  {"int8 accuracy":>13}  {"flash B":>8}  {"SRAM B":>8}  {"MACs":>11}']
  for trial in front:
    accuracy, flash, sram, macs = objectives(trial)
    lines.append(f'{trial.index:5d}  {accuracy:13.4f}  {flash:8,d}  {sram:8,d}  {macs:11,d}')
  return '\n'.join(lines)


def plot_pareto(
  trials: Sequence[Trial], budget: Budget, path: str | os.PathLike[str], *, title: str
) -> None:
  """Draws `pareto_figure` into a PNG file."""
  pareto_figure(trials, budget, title=title).savefig(path, dpi=120)


def pareto_figure(trials: Sequence[Trial], budget: Budget, *, title: str) -> Figure:
  """int8 accuracy against flash and SRAM with the budget and the front."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  complete = [t for t in trials if t.measurement.status is Status.COMPLETE]
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
  left.set_ylabel('int8 validation accuracy')
  left.legend(loc='lower right')
  return figure
