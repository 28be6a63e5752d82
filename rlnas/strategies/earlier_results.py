"""Results of earlier searches of the same space, as a prior of `rlnas.strategies.surrogate`.

Networks that are good on one data set tend to be good on another (Wistuba et al. 2019,
arXiv:1905.01392, review such transfers). The scale of accuracies does not transfer,
only their order does. So the rewards of each search become normal scores by themselves, and one
regressor learns the scores of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rlnas.spaces.table import Table

if TYPE_CHECKING:
  from rlnas.strategies.surrogate import Surrogate

Tokens = tuple[int, ...]

# Networks that the prior learns. Each of its predictions takes time in proportion, and one gradient
# step of `Reinforce` asks for a few dozen; from 60 to 120 networks the correlation of predictions
# with the truth grows by no more than .05 (docs/results.md).
MOST = 300


class Earlier(NamedTuple):
  """The networks of an earlier search.

  Attributes:
    walks: token sequences of the same space.
    rewards: rewards of the walks, in that search's own scale.
  """

  walks: tuple[Tokens, ...]
  rewards: tuple[float, ...]


def prior_of(table: Table, earlier: Sequence[Earlier], *, most: int = MOST) -> Surrogate | None:
  """The regressor that learnt earlier searches; None if they have no walk.

  Args:
    table: the compiled space.
    earlier: the searches. `most` is divided evenly among them; searches with fewer walks leave the
      rest to the others.
    most: number of walks that are learnt.

  Raises:
    ValueError: a sequence is not in the space.
  """
  from rlnas.strategies.surrogate import Surrogate, normal_scores  # scikit-learn

  walks: list[Tokens] = []
  scores: list[float] = []
  searches = [_distinct(search) for search in earlier]
  for search, share in zip(searches, _shares([len(s.walks) for s in searches], most), strict=True):
    own = normal_scores(search.rewards) if search.walks else ()
    for i in _chosen(search.rewards, share):
      walks.append(search.walks[i])
      scores.append(float(own[i]))
  if not walks:
    return None
  prior = Surrogate(table)
  prior.learn_scores(walks, scores)
  return prior


def digest_of(earlier: Sequence[Earlier]) -> str:
  """A digest of all walks and rewards."""
  return hashlib.sha256(repr([tuple(search) for search in earlier]).encode()).hexdigest()


def _distinct(search: Earlier) -> Earlier:
  """Each walk once, with its best reward."""
  best: dict[Tokens, float] = {}
  for walk, reward in zip(*search, strict=True):
    best[walk] = max(reward, best.get(walk, reward))
  return Earlier(tuple(best), tuple(best.values()))


def _shares(counts: Sequence[int], most: int) -> list[int]:
  """Shares `most` among searches; what a short one does not need, the others get."""
  shares = [0] * len(counts)
  left = most
  for place, i in enumerate(sorted(range(len(counts)), key=lambda i: counts[i])):
    shares[i] = min(counts[i], left // (len(counts) - place))
    left -= shares[i]
  return shares


def _chosen(rewards: Sequence[float], share: int) -> list[int]:
  """The best half of a share, and for the other half every so many-th of the rest by rank.

  The best say where to look; without the others the regressor would not know what is worse.
  """
  ranked = sorted(range(len(rewards)), key=lambda i: -rewards[i])
  if share >= len(ranked):
    return ranked
  best, rest = ranked[: (share + 1) // 2], ranked[(share + 1) // 2 :]
  places = np.linspace(0, len(rest) - 1, share // 2).round().astype(int)
  return best + [rest[i] for i in places.tolist()]
