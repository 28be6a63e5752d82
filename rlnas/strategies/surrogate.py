"""A regressor that ranks architectures which nobody has trained yet.

Kernel ridge regression over the decisions of a walk and their pairs: two walks are as similar as
the share of named choices that they have in common, s, and the kernel is (1 + s)^2. It learns from
the order of the rewards alone, as normal scores, so that the scale of a reward and the depth of
its failures do not matter. (Predictors within architecture search: Deng et al. 2017,
arXiv:1712.03351; White et al. 2021, arXiv:2104.01177, compare them.)
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.kernel_ridge import KernelRidge

from rlnas.table import Table, choices_of

_PENALTY = 0.1  # of kernel values up to 4: a noise of 1/40 of the variance of the scores
_NORMAL = statistics.NormalDist()


def predict(
  table: Table,
  walks: Sequence[Sequence[int]],
  rewards: Sequence[float],
  candidates: Sequence[Sequence[int]],
) -> npt.NDArray[np.float64]:
  """Scores of candidates, higher being better.

  Args:
    table: the compiled space.
    walks: token sequences whose rewards are known, at least one.
    rewards: theirs.
    candidates: token sequences to be ranked, at least one.

  Raises:
    ValueError: a sequence is not in the space.
  """
  features = _features(table, [*walks, *candidates])
  model = KernelRidge(kernel='poly', degree=2, gamma=1, coef0=1, alpha=_PENALTY)
  model.fit(features[: len(walks)], normal_scores(rewards))
  return model.predict(features[len(walks) :])


def normal_scores(rewards: Sequence[float]) -> npt.NDArray[np.float64]:
  """Quantiles of the normal distribution at the ranks of the rewards; equal ones share theirs.

  The mean of the scores is 0, whatever the rewards (Blom 1958, with constant 1/2).
  """
  order = np.sort(rewards)
  below = np.searchsorted(order, rewards, 'left') + np.searchsorted(order, rewards, 'right')
  return np.array([_NORMAL.inv_cdf(b / (2 * len(order))) for b in below.tolist()])


def _features(table: Table, walks: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
  """One column a named choice that is met; rows of length 1, so that their product is s."""
  named = [tuple(choices_of(table, walk).items()) for walk in walks]
  columns = {key: i for i, key in enumerate(dict.fromkeys(key for row in named for key in row))}
  features = np.zeros((len(walks), len(columns)))
  for row, keys in zip(features, named, strict=True):
    row[[columns[key] for key in keys]] = 1 / np.sqrt(len(keys))
  return features
