"""Turns a walk through a table into the proposal of a strategy."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rlnas.spaces.decision import decode
from rlnas.spaces.table import Table, sample_uniform
from rlnas.trial import Proposal

_DECODED = 1000  # latest networks that are kept, of 10 to 30 KB each
_UNIFORM = 1000  # samples of the whole space in which admitted networks are looked for


@functools.lru_cache(_DECODED)
def value_of(table: Table, tokens: tuple[int, ...]) -> Any:
  """The network, or other value, of a walk. Raises ValueError if it is not a walk of the space."""
  return decode(table.space, tokens)


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
    tokens: the walk, one choice index per decision.
    log_prob: log-probability of the walk (natural log), if it is drawn from a distribution.
    parent: index of the trial that it is a mutant of, if any.

  Raises:
    ValueError: `tokens` is not a walk through the space.
  """
  return Proposal(tokens, value_of(table, tokens), log_prob, parent)


def propose_uniform(table: Table, rng: np.random.Generator) -> Proposal:
  """Proposes a network drawn uniformly from the walks of a space."""
  return propose(table, sample_uniform(table, rng), log_prob=-math.log(table.size))


def propose_admitted(
  table: Table, admits: Callable[[Any], bool], count: int, rng: np.random.Generator
) -> list[Proposal]:
  """The first `count` networks that `admits` accepts, of 1,000 uniform samples; or all of these.

  Their log-probabilities are those of the uniform distribution over the whole space.
  """
  admitted: list[Proposal] = []
  for _ in range(_UNIFORM if count else 0):
    proposal = propose_uniform(table, rng)
    if admits(proposal.value):
      admitted.append(proposal)
    if len(admitted) == count:
      break
  return admitted
