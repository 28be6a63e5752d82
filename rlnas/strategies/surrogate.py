"""A regressor that ranks architectures which nobody has trained yet.

Kernel ridge regression. Two architectures are similar by their decisions, (1 + s)^2 / 4 where s is
the share of named choices that two walks have in common, and by the features of the networks
(`rlnas.strategies.network_features`), as a Gaussian of their standardised distance; the kernel is
the sum. It learns from the order of the rewards alone, as normal scores, and only from that of the
better half: how far the others miss, and by how much a reward punishes it, is nothing to it.
(Predictors within architecture search: Deng et al. 2017, arXiv:1712.03351; White et al. 2021,
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

_PENALTY = 0.3  # of kernel values up to 2
_WIDTH = 0.3  # of the Gaussian: its exponent is this times the mean squared difference of features
_NORMAL = statistics.NormalDist()


class _Network(NamedTuple):
  choices: tuple[tuple[str, Scalar], ...]  # the name of each decision, and what was chosen
  traits: FloatArray


class Surrogate:
  """Ranks walks of one space by what is known of others."""

  def __init__(self, table: Table) -> None:
    """Knows the space alone."""
    self._table = table
    self._networks: dict[Tokens, _Network] = {}  # that it has learnt from, or met since
    self._learnt: list[_Network] = []
    self._weights = np.zeros(0)  # of those that it has learnt from

  def learn(self, walks: Sequence[Tokens], rewards: Sequence[float]) -> None:
    """Forgets what it knew and learns from these; the time grows with their third power.

    Args:
      walks: token sequences, at least one.
      rewards: theirs.

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
    """Scores of walks, at least one; higher is better.

    Raises:
      ValueError: it has learnt nothing yet, or a sequence is not in the space.
    """
    if not self._learnt:
      raise ValueError('predict: learn comes first')
    return _kernel([self._network(walk) for walk in walks], self._learnt) @ self._weights

  def _network(self, walk: Tokens) -> _Network:
    if walk not in self._networks:
      choices = tuple(choices_of(self._table, walk).items())
      self._networks[walk] = _Network(choices, traits(decode(self._table.space, walk)))
    return self._networks[walk]


def _kernel(networks: Sequence[_Network], learnt: Sequence[_Network]) -> FloatArray:
  """How similar each is to each that was learnt from. [networks, learnt]."""
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
  """A column a choice that was learnt; products of rows are the shares in common."""
  columns = {c: i for i, c in enumerate(dict.fromkeys(c for n in learnt for c in n.choices))}
  rows = np.zeros((len(networks), len(columns)))
  for row, network in zip(rows, networks, strict=True):
    row[[columns[c] for c in network.choices if c in columns]] = len(network.choices) ** -0.5
  return rows


def normal_scores(rewards: Sequence[float]) -> FloatArray:
  """Quantiles of the normal distribution at the ranks of the rewards; equal ones share theirs.

  (Blom 1958, with constant 1/2.)
  """
  order = np.sort(rewards)
  below = np.searchsorted(order, rewards, 'left') + np.searchsorted(order, rewards, 'right')
  return np.array([_NORMAL.inv_cdf(b / (2 * len(order))) for b in below.tolist()])
