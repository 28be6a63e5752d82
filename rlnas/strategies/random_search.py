"""Random search: every token sequence of the space is equally likely, and nothing is learned.

Random search is the baseline for every other strategy (Li & Talwalkar 2019, arXiv:1902.07638).
A uniform choice at each decision would instead favour the short walks of a space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlnas.spaces.table import Table
from rlnas.strategies.proposals import propose_uniform
from rlnas.trial import Proposal, Trial


class RandomSearch:
  """Proposes uniformly over a compiled space."""

  def __init__(self, table: Table) -> None:
    """Sets the compiled space to draw from."""
    self._table = table

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Draws `count` token sequences with replacement.

    Raises:
      ValueError: `count` is below 1.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    return [propose_uniform(self._table, rng) for _ in range(count)]

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Learns nothing and returns no scalars."""
    del trials
    return {}
