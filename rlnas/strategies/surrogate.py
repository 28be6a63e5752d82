"""A regressor that predicts how good architectures are before they are trained.

It is a Gaussian process (Rasmussen & Williams 2006, Gaussian Processes for Machine Learning,
algorithm 2.1), so it also gives the uncertainty of a prediction. The kernel is a sum of two
similarities of architectures: that of their decisions, (1 + s)^2 / 4, where s is the share of named
choices that two walks have in common, and that of their features
(`rlnas.strategies.network_features`), a Gaussian of the standardised distance. The targets are
normal scores of the rewards, so only their order matters. (Predictors in architecture search: Deng
et al. 2017, arXiv:1712.03351; White et al. 2021, arXiv:2104.01177, compare them.)
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture, Scalar
from rlnas.spaces.table import Table, choices_of
from rlnas.strategies.linear_algebra import one_thread
from rlnas.strategies.network_features import traits
from rlnas.strategies.proposals import value_of

Tokens = tuple[int, ...]
FloatArray = npt.NDArray[np.float64]

_NOISE = 0.6  # variance of the noise; the variance of a network's own score is 2 before it is known
_WIDTH = 0.3  # of the Gaussian: its exponent is this times the mean squared difference of features
_REMEMBERED = 10_000  # networks whose features are kept
_LEAST = 3  # networks that a correlation needs
_NORMAL = statistics.NormalDist()


class Network(NamedTuple):
  """The inputs of the regressor for a walk: its named choices and its features.

  A value that is not a network has no features; such walks differ by their choices alone.
  """

  choices: tuple[tuple[str, Scalar], ...]
  traits: FloatArray


class Surrogate:
  """Predicts the scores of walks of one space from the rewards of other walks."""

  def __init__(self, table: Table, *, prior: Surrogate | None = None) -> None:
    """Starts untrained.

    Args:
      table: the compiled space.
      prior: a trained regressor. Its predictions are the prior mean of this one, and `learn` fits
        the differences from them. A factor multiplies them, which is learnt too: its prior has mean
        1 and standard deviation 1, and it falls if the predictions mislead (Rasmussen & Williams
        2006, section 2.7). By default, the prior mean is 0.
    """
    self._table = table
    self._prior = prior
    self._by_prior = np.zeros(0)  # its predictions of the walks learnt
    self._kernel: _Kernel | None = None
    self._inverse = np.zeros((0, 0))  # of the matrix of kernel values plus noise
    self._residuals = np.zeros(0)  # what the scores differ from the prior's predictions
    self._scores = np.zeros(0)

  @property
  def trained(self) -> bool:
    """Whether `predict` can be called."""
    return self._kernel is not None or self._prior is not None

  def learn(self, walks: Sequence[Tokens], rewards: Sequence[float]) -> FloatArray:
    """Fits the regressor to these walks alone; the time grows with the cube of their number.

    Args:
      walks: token sequences, at least one.
      rewards: rewards of the walks.

    Returns:
      The normal scores of the rewards. [walks]

    Raises:
      ValueError: a sequence is not in the space.
    """
    return self.learn_scores(walks, normal_scores(rewards))

  def learn_scores(self, walks: Sequence[Tokens], scores: npt.ArrayLike) -> FloatArray:
    """As `learn`, from scores in place of rewards."""
    from scipy.linalg import cho_factor, cho_solve  # they take a second to load

    self._by_prior = self._mean(walks)
    with one_thread():
      self._kernel = _Kernel([network_of(self._table, walk) for walk in walks])
      matrix = self._kernel.among_learnt + np.outer(self._by_prior, self._by_prior)
      matrix += _NOISE * np.eye(len(walks))
      self._inverse = cho_solve(cho_factor(matrix), np.eye(len(walks)))
    self._scores = np.array(scores, np.float64)
    self._residuals = self._scores - self._by_prior
    return self._scores

  def predict(self, walks: Sequence[Tokens]) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the score of each walk, at least one. [walks] each.

    Raises:
      ValueError: it is not trained, or a sequence is not in the space.
    """
    if not self.trained:
      raise ValueError('predict: call learn first')
    mean = self._mean(walks)
    if self._kernel is None:
      return mean, np.sqrt(2 + mean**2)
    with one_thread():
      similar = self._kernel([network_of(self._table, walk) for walk in walks])
      similar += np.outer(mean, self._by_prior)
      explained = ((similar @ self._inverse) * similar).sum(1)
      deviation = np.sqrt(np.maximum(self._kernel.variance + mean**2 - explained, 0.0))
      return mean + similar @ (self._inverse @ self._residuals), deviation

  def held_back_correlation(self) -> float:
    """Correlation of the scores learnt with predictions by all others (leave one out).

    Rasmussen & Williams 2006, equation 5.12. Above 0, the predictions are better than chance.

    Returns:
      Pearson's correlation; 0 where there are too few walks or all have one score. With too few
      walks, a regressor that has a prior returns the correlation of the prior.
    """
    if len(self._scores) < _LEAST:
      return self._prior.held_back_correlation() if self._prior else 0.0
    missed = (self._inverse @ self._residuals) / np.diagonal(self._inverse)
    predicted = self._scores - missed
    if np.ptp(self._scores) == 0 or np.ptp(predicted) < 1e-9:
      return 0.0
    return float(np.corrcoef(predicted, self._scores)[0, 1])

  def _mean(self, walks: Sequence[Tokens]) -> FloatArray:
    """What the prior predicts."""
    return self._prior.predict(walks)[0] if self._prior else np.zeros(len(walks))


@functools.lru_cache(_REMEMBERED)
def network_of(table: Table, walk: Tokens) -> Network:
  """The inputs of the regressor for a walk. Raises ValueError if it is not in the space."""
  choices = tuple(choices_of(table, walk).items())
  value = value_of(table, walk)
  return Network(choices, traits(value) if isinstance(value, Architecture) else np.zeros(0))


class _Kernel:
  """Similarity of any networks to those learnt."""

  def __init__(self, learnt: Sequence[Network]) -> None:
    names = dict.fromkeys(choice for network in learnt for choice in network.choices)
    self._column = {choice: i for i, choice in enumerate(names)}
    features = np.stack([network.traits for network in learnt])
    # Rounded, the deviation of equal numbers need not be 0.
    self._varied = np.ptp(features, axis=0) > 0
    self._deviation = features[:, self._varied].std(0)
    self._choices, self._features = self._rows(learnt)
    self.among_learnt = self._between(self._choices, self._features)
    self.variance = 1.0 + bool(self._varied.any())  # similarity of a network to itself

  def __call__(self, networks: Sequence[Network]) -> FloatArray:
    """Similarity of each network to each one learnt. [networks, learnt]."""
    return self._between(*self._rows(networks))

  def _rows(self, networks: Sequence[Network]) -> tuple[FloatArray, FloatArray]:
    """A column for each choice learnt, with rows of length 1; and the standardised features."""
    choices = np.zeros((len(networks), len(self._column)))
    for row, network in zip(choices, networks, strict=True):
      known = [self._column[c] for c in network.choices if c in self._column]
      row[known] = len(network.choices) ** -0.5
    features = np.stack([network.traits for network in networks])[:, self._varied]
    return choices, features / self._deviation

  def _between(self, choices: FloatArray, features: FloatArray) -> FloatArray:
    by_decisions: FloatArray = (1 + choices @ self._choices.T) ** 2 / 4
    if not self._varied.any():
      return by_decisions
    distance = -2 * (features @ self._features.T)
    distance += _squares(features)[:, np.newaxis]
    distance += _squares(self._features)
    np.maximum(distance, 0, out=distance)
    if features is self._features:
      np.fill_diagonal(distance, 0)
    by_features: FloatArray = np.exp(distance * -(_WIDTH / self._varied.sum()))
    return by_decisions + by_features


def _squares(rows: FloatArray) -> FloatArray:
  """Squared length of each row."""
  squares: FloatArray = np.einsum('ij,ij->i', rows, rows)
  return squares


def normal_scores(rewards: Sequence[float]) -> FloatArray:
  """Quantiles of the normal distribution at the ranks of the rewards; equal rewards share one.

  (Blom 1958, with constant 1/2.)
  """
  order = np.sort(rewards)
  below = np.searchsorted(order, rewards, 'left') + np.searchsorted(order, rewards, 'right')
  return np.array([_NORMAL.inv_cdf(b / (2 * len(order))) for b in below.tolist()])
