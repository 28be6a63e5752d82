"""Results of a search: the best trial, and the Pareto front with its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlnas.budget import Budget
from rlnas.reward import is_feasible
from rlnas.trial import Trial

if TYPE_CHECKING:
  pass


def best_trial(trials: Sequence[Trial], budget: Budget) -> Trial | None:
  """Returns the feasible trial of highest reward, the first of equals; None if there is none."""
  feasible = [t for t in trials if is_feasible(t.measurement, budget)]
  return max(feasible, key=lambda t: (t.reward, -t.index), default=None)


def objectives(trial: Trial) -> tuple[float, int, int, int]:
  """Returns (int8 validation accuracy, flash bytes, SRAM bytes, MACs) of a complete trial.

  Raises:
    ValueError: one of the figures was not measured.
  """
  if not is_measured(trial):
    status = trial.measurement.status.value
    raise ValueError(f'trial {trial.index}: {status}, not completely measured')
  return _figures(trial)  # type: ignore[return-value]


def is_measured(trial: Trial) -> bool:
  """Whether a trial has all of its `objectives`; what is no network has no sizes."""
  return None not in _figures(trial)


def _figures(trial: Trial) -> tuple[float | None, ...]:
  m = trial.measurement
  return (m.int8_validation_accuracy, m.flash_bytes, m.sram_bytes, m.macs)


def pareto_front(trials: Sequence[Trial], budget: Budget) -> list[Trial]:
  """Returns the feasible trials that no other dominates in accuracy, flash, SRAM and MACs.

  Of trials with equal figures, the front has the first.

  Returns:
    The trials of the front, most accurate first.
  """
  costs: dict[tuple[float, ...], Trial] = {}
  for trial in trials:
    if is_measured(trial) and is_feasible(trial.measurement, budget):
      accuracy, *sizes = objectives(trial)
      costs.setdefault((-accuracy, *sizes), trial)
  front = [
    trial
    for cost, trial in costs.items()
    if not any(o != cost and all(a <= b for a, b in zip(o, cost, strict=True)) for o in costs)
  ]
  return sorted(front, key=lambda t: (-objectives(t)[0], *objectives(t)[1:]))


def format_front(front: Sequence[Trial], *, title: str = 'accuracy') -> str:
  """Formats the front as a table for a terminal; `title` names what the search calls accuracy."""
  head = f'int8 {title}'
  lines = [f'{"trial":>5}  {head:>13}  {"flash B":>8}  {"SRAM B":>8}  {"MACs":>11}']
  for trial in front:
    accuracy, flash, sram, macs = objectives(trial)
    lines.append(
      f'{trial.index:5d}  {accuracy:{max(len(head), 13)}.4f}  {flash:8,d}  {sram:8,d}  {macs:11,d}'
    )
  return '\n'.join(lines)
