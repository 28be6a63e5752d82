"""From a walk through a table to what a strategy proposes."""

from __future__ import annotations

from rlnas.spaces.decision import decode
from rlnas.spaces.table import Table
from rlnas.trial import Proposal


def propose(
  table: Table,
  tokens: tuple[int, ...],
  *,
  log_prob: float | None = None,
  parent: int | None = None,
) -> Proposal:
  """Proposes the network that a walk describes.

  Args:
    table: the compiled space.
    tokens: the walk, one choice index a decision.
    log_prob: log-probability of the walk (natural log), if it is drawn from a distribution.
    parent: index of the trial that it is a mutant of, if any.

  Raises:
    ValueError: `tokens` is no walk through the space.
  """
  return Proposal(tokens, decode(table.space, tokens), log_prob, parent)
