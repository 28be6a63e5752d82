"""A regressor that ranks architectures before they are trained.

It is kernel ridge regression. The kernel is a sum of two similarities of architectures: that of
their decisions, (1 + s)^2 / 4, where s is the share of named choices that two walks have in common,
and that of their features (`rlnas.strategies.network_features`), a Gaussian of the standardised
distance. The targets are normal scores of the rewards, so only their order matters. All rewards
below the median count as equal, so the size of a reward's penalty has no influence.
(Predictors in architecture search: Deng et al. 2017, arXiv:1712.03351; White et al. 2021,
arXiv:2104.01177, compare them.)
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from rlnas.architecture import Scalar
from rlnas.spaces.decision import decode
from rlnas.spaces.table import Table, choices_of
from rlnas.strategies.network_features import traits

Tokens = tuple[int, ...]
FloatArray = npt.NDArray[np.float64]

_PENALTY = 0.3  # of ridge regression, for kernel values up to 2
_WIDTH = 0.3  # of the Gaussian: its exponent is this times the mean squared difference of features
_NORMAL = statistics.NormalDist()


class _Network(NamedTuple):
  choices: tuple[tuple[str, Scalar], ...]  # (name of the decision, choice)
  traits: FloatArray


class Surrogate:
  """Ranks walks of one space by the rewards of other walks."""

  def __init__(self, table: Table) -> None:
    """Starts untrained; `table` is the compiled space."""
    self._table = table
    self._networks: dict[Tokens, _Network] = {}  # cache: learnt from, or predicted since
    self._learnt: list[_Network] = []
    self._weights = np.zeros(0)  # of the networks learnt from

  def learn(self, walks: Sequence[Tokens], rewards: Sequence[float]) -> None:
    """Fits the regressor to these walks alone; the time grows with the cube of their number.

    Args:
      walks: token sequences, at least one.
      rewards: rewards of the walks.

    Raises:
      ValueError: a sequence is not in the space.
    """
    self._learnt = [self._network(walk) for walk in walks]
    self._networks = dict(zip(walks, self._learnt, strict=True))
    model = KernelRidge(kernel='precomputed', alpha=_PENALTY)
    floor = float(np.median(rewards))
    scores = normal_scores([max(reward, floor) for reward in rewards])
    model.fit(_kernel(self._learnt, self._learnt), scores)
    self._weights = model.dual_coef_

  def predict(self, walks: Sequence[Tokens]) -> FloatArray:
    """Returns a score for each walk, higher is better; needs at least one walk.

    Raises:
      ValueError: `learn` was not called, or a sequence is not in the space.
    """
    if not self._learnt:
      raise ValueError('predict: call learn first')
    return _kernel([self._network(walk) for walk in walks], self._learnt) @ self._weights

  def _network(self, walk: Tokens) -> _Network:
    if walk not in self._networks:
      choices = tuple(choices_of(self._table, walk).items())
      self._networks[walk] = _Network(choices, traits(decode(self._table.space, walk)))
    return self._networks[walk]


def _kernel(networks: Sequence[_Network], learnt: Sequence[_Network]) -> FloatArray:
  """Similarity of each network to each one learnt from. [networks, learnt]."""
  shared = _choices(networks, learnt) @ _choices(learnt, learnt).T
  numbers = np.stack([network.traits for network in learnt])
  varied = np.ptp(numbers, axis=0) > 0  # rounded, the deviation of equal numbers need not be 0
  if not varied.any():
    return (1 + shared) ** 2 / 4
  deviation = numbers[:, varied].std(0)
  own = np.stack([network.traits for network in networks])[:, varied] / deviation
  gaussian = rbf_kernel(own, numbers[:, varied] / deviation, gamma=_WIDTH / varied.sum())
  return (1 + shared) ** 2 / 4 + gaussian


def _choices(networks: Sequence[_Network], learnt: Sequence[_Network]) -> FloatArray:
  """One column for each choice learnt; the product of two rows is the share in common."""
  columns = {c: i for i, c in enumerate(dict.fromkeys(c for n in learnt for c in n.choices))}
  rows = np.zeros((len(networks), len(columns)))
  for row, network in zip(rows, networks, strict=True):
    row[[columns[c] for c in network.choices if c in columns]] = len(network.choices) ** -0.5
  return rows


def normal_scores(rewards: Sequence[float]) -> FloatArray:
  """Quantiles of the normal distribution at the ranks of the rewards; equal rewards share one.

  (Blom 1958, with constant 1/2.)
  """
  order = np.sort(rewards)
  below = np.searchsorted(order, rewards, 'left') + np.searchsorted(order, rewards, 'right')
  return np.array([_NORMAL.inv_cdf(b / (2 * len(order))) for b in below.tolist()])
