"""Counts the choices of a search by kind of decision and period, to show preferences."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rlnas.spaces.decision import Decision, Space, walk
from rlnas.trial import Trial

_MOST_CHOICES = 12  # rows of a picture; the rarest choices share one row


@dataclasses.dataclass(frozen=True)
class Preference:
  """Counts of the choices of one kind of decision, by period.

  Attributes:
    kind: the kind of decision.
    choices: the choices as text, in the order of the space; the last may be all rarer ones.
    counts: number of decisions by choice and period. [choices, periods]
  """

  kind: str
  choices: tuple[str, ...]
  counts: npt.NDArray[np.int64]


def preferences(
  trials: Sequence[Trial], space: Space, edges: Sequence[int]
) -> tuple[Preference, ...]:
  """Counts the choices of each kind of decision with more than one choice.

  Args:
    trials: the trials, in order.
    space: the space of their tokens.
    edges: positions in `trials` at which periods begin, and one past the last.

  Raises:
    ValueError: the tokens do not belong to the space.
  """
  found: dict[str, dict[str, npt.NDArray[np.int64]]] = {}
  for period, (start, end) in enumerate(itertools.pairwise(edges)):
    for trial in trials[start:end]:
      for decision, token in _decisions(trial, space):
        rows = found.setdefault(decision.kind, {})
        for choice in decision.choices:
          rows.setdefault(str(choice), np.zeros(len(edges) - 1, np.int64))
        rows[str(decision.choices[token])][period] += 1
  return tuple(_preference(kind, rows) for kind, rows in found.items() if len(rows) > 1)


def _decisions(trial: Trial, space: Space) -> list[tuple[Decision, int]]:
  remaining = iter(trial.proposal.tokens)
  try:
    decisions, tokens, value = walk(space, lambda _: next(remaining, -1))
  except ValueError as error:
    raise ValueError(f'trial {trial.index}: its tokens are not of this space ({error})') from error
  if value != trial.proposal.value:
    raise ValueError(f'trial {trial.index}: its tokens mean another network in this space')
  return list(zip(decisions, tokens, strict=True))


def _preference(kind: str, rows: Mapping[str, npt.NDArray[np.int64]]) -> Preference:
  shown = list(rows)
  if len(rows) > _MOST_CHOICES:
    frequent = set(sorted(rows, key=lambda c: -rows[c].sum())[: _MOST_CHOICES - 1])
    shown = [choice for choice in rows if choice in frequent]
  counts = [rows[choice] for choice in shown]
  if len(shown) < len(rows):
    rare = [row for choice, row in rows.items() if choice not in shown]
    shown.append(f'{len(rare)} others')
    counts.append(np.sum(rare, axis=0))
  return Preference(kind, tuple(shown), np.stack(counts))
