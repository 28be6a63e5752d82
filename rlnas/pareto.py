"""Results of a search: the best trial, and the Pareto front with its table."""

from __future__ import annotations

from collections.abc import Sequence

from rlnas.budget import Budget, Resources
from rlnas.reward import is_feasible
from rlnas.trial import Trial


def best_trial(trials: Sequence[Trial], budget: Budget) -> Trial | None:
  """Returns the feasible trial of highest reward, the first of several; None if there is none."""
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
  """Whether a trial has all of its `objectives`; values that are not networks have no sizes."""
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


def format_front(
  front: Sequence[Trial], *, title: str = 'accuracy', winner: Trial | None = None
) -> str:
  """Formats the front as a table for a terminal.

  Args:
    front: trials of a Pareto front, most accurate first.
    title: name of the metric that the search maximises.
    winner: the trial whose network won; it is marked with a star. If it is not on the front, it has
      a row nevertheless, which says so.
  """
  rows = list(front)
  if winner is not None and all(trial.index != winner.index for trial in front):
    rows = sorted([*front, winner], key=lambda t: -objectives(t)[0])
  has_latency = any(trial.measurement.latency_ms is not None for trial in rows)
  head = f'int8 {title}'
  width = max(len(head), 13)
  latency_head = f'  {"ms":>7}' if has_latency else ''
  lines = [
    f'  {"trial":>5}  {head:>{width}}  {"flash B":>9}  {"SRAM B":>9}  {"MACs":>11}{latency_head}'
  ]
  for trial in rows:
    accuracy, flash, sram, macs = objectives(trial)
    has_won = winner is not None and trial.index == winner.index
    latency_ms = trial.measurement.latency_ms
    lines.append(
      f'{"*" if has_won else " "} {trial.index:5d}  {accuracy:{width}.4f}  {flash:9,d}  '
      f'{sram:9,d}  {macs:11,d}' + (f'  {milliseconds(latency_ms):>7}' if has_latency else '')
    )
  if winner is not None:
    on_front = len(rows) == len(front)
    lines.append('* the winner' + ('' if on_front else ', not on this front of short trainings'))
  return '\n'.join(lines)


def milliseconds(latency_ms: float | None) -> str:
  """Formats a latency in milliseconds with three digits; '' if it is not known."""
  if latency_ms is None:
    return ''
  return f'{latency_ms:,.0f}' if latency_ms >= 100 else f'{latency_ms:.3g}'


def compared(one: Resources, other: Resources) -> str:
  """The difference of `one` from `other`: '12% less flash, 5% more MACs'; '' if there is none."""
  parts = []
  for name, mine, theirs in (
    ('flash', one.flash_bytes, other.flash_bytes),
    ('SRAM', one.sram_bytes, other.sram_bytes),
    ('MACs', one.macs, other.macs),
  ):
    if mine is not None and theirs and mine != theirs:
      share = abs(mine / theirs - 1)
      word = 'more' if mine > theirs else 'fewer' if name == 'MACs' else 'less'
      parts.append(f'{f"{share:.0%}" if share >= 0.01 else "under 1%"} {word} {name}')
  return ', '.join(parts)
