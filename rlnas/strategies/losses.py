"""Losses of policy gradients: functions of log-probabilities or entropies, with their derivatives.

B is the batch size. Each log-probability belongs to a whole token sequence, since each architecture
has one reward. Advantages are constants: no gradient flows into them. Arguments may be arrays or
lists; all is computed in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_LARGEST_CHANGE = 20.0  # of a log-probability, beyond any clip: ratios stay finite


class Loss(NamedTuple):
  """A loss to minimise.

  Attributes:
    value: the loss.
    slope: its derivative in the log-probability, or the entropy, of each sequence. [B]
  """

  value: float
  slope: FloatArray


def reinforce(log_prob: npt.ArrayLike, advantage: npt.ArrayLike) -> Loss:
  """-mean(advantage * log_prob), whose gradient is REINFORCE's estimate.

  Williams 1992, theorem 1; Zoph & Le 2016 (arXiv:1611.01578), section 3.2, where the sum over
  steps of log P(a_t | a_(t-1:1)) is `log_prob` and R_k - b is `advantage`.

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    advantage: reward minus baseline, times the importance weight if an earlier policy proposed the
      sequence (`truncated_importance`). [B]

  Returns:
    The loss with its derivative in `log_prob`.

  Raises:
    ValueError: the shapes are not both [B].
  """
  log_prob, advantage = _vectors(log_prob=log_prob, advantage=advantage)
  return Loss(-float(np.mean(advantage * log_prob)), -advantage / len(advantage))


def truncated_importance(log_prob: npt.ArrayLike, old_log_prob: npt.ArrayLike) -> FloatArray:
  """min(1, new probability / old probability): the weight of a sequence of an earlier policy.

  Truncated importance sampling (Ionides 2008, J. Comput. Graph. Stat. 17(2)) at the level 1 of
  IMPALA (Espeholt et al. 2018, arXiv:1802.01561, section 4.1): no sequence weighs more than a
  new one, so the variance stays that of REINFORCE, at the cost of some bias towards the earlier
  policy.

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    old_log_prob: log-probability under the distribution that proposed the sequence. [B]

  Returns:
    The weights, in (0, 1]; a loss takes them as constants. [B]

  Raises:
    ValueError: the shapes are not both [B].
  """
  log_prob, old_log_prob = _vectors(log_prob=log_prob, old_log_prob=old_log_prob)
  return np.exp(np.minimum(log_prob - old_log_prob, 0.0))


def clipped_surrogate(
  log_prob: npt.ArrayLike,
  old_log_prob: npt.ArrayLike,
  advantage: npt.ArrayLike,
  decisions: npt.ArrayLike,
  clip: float,
) -> Loss:
  """-mean(min(r * advantage, clip(r, 1 - clip, 1 + clip) * advantage)), r = exp((new - old) / n).

  Schulman et al. 2017 (arXiv:1707.06347), equation 7, with the opposite sign for minimising. There
  an action is one decision and has its own advantage. Here the reward belongs to a sequence of n
  decisions, so the ratio is the geometric mean over them (Zheng et al. 2025, arXiv:2507.18071,
  section 4.1): the clip bounds the mean change of a decision, whatever the length of the sequence.
  If it bounded the ratio of the whole sequence, a long one would hardly learn.

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    old_log_prob: log-probability under the policy that proposed the sequence; a constant. [B]
    advantage: reward minus baseline. [B]
    decisions: number n of decisions of each sequence, at least 1. [B]
    clip: distance of the ratio r from 1 beyond which the gradient is 0 (epsilon in the paper), in
      (0, 1).

  Returns:
    The loss with its derivative in `log_prob`.

  Raises:
    ValueError: the shapes are not all [B].
  """
  log_prob, old_log_prob, advantage, decisions = _vectors(
    log_prob=log_prob, old_log_prob=old_log_prob, advantage=advantage, decisions=decisions
  )
  change = (log_prob - old_log_prob) / decisions
  ratio = np.exp(np.minimum(change, _LARGEST_CHANGE))  # [B]
  gain, clipped = ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage  # [B]
  learns = (gain <= clipped) & (change < _LARGEST_CHANGE)
  slope = np.where(learns, -gain / decisions, 0.0) / len(gain)
  return Loss(-float(np.mean(np.minimum(gain, clipped))), slope)


def entropy_bonus(entropy: npt.ArrayLike) -> Loss:
  """-mean(entropy): added to a loss with a positive weight, it rewards exploration.

  Williams & Peng 1991 (Function optimization using connectionist reinforcement learning
  algorithms, section 5).

  Args:
    entropy: entropy of the choices of each sequence, in nats. [B]

  Returns:
    The loss with its derivative in `entropy`.

  Raises:
    ValueError: the shape is not [B].
  """
  (entropy,) = _vectors(entropy=entropy)
  return Loss(-float(np.mean(entropy)), np.full(len(entropy), -1 / len(entropy)))


def _vectors(**given: npt.ArrayLike) -> list[FloatArray]:
  """All that is given as float64.

  Rejects shapes other than [B]: [B] and [B, 1] would broadcast to [B, B] without an error.
  """
  vectors = {name: np.asarray(vector, np.float64) for name, vector in given.items()}
  shapes = {name: list(vector.shape) for name, vector in vectors.items()}
  first = next(iter(shapes.values()))
  for name, shape in shapes.items():
    if len(shape) != 1 or shape != first:
      raise ValueError(f'{name}: shape {shape} among {shapes}: all must be [B]')
  return list(vectors.values())
