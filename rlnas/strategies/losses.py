"""Losses of policy gradients: stateless functions from tensors to a scalar to minimise.

B is the batch size. Each log-probability belongs to a whole token sequence, since each architecture
has one reward. Advantages are constants: no gradient flows into them. Arguments may be NumPy arrays
or lists as well; all are taken in the type of the first, float32 if that is not a float.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy.typing as npt

from rlnas.backend import tf

Vector: TypeAlias = 'tf.Tensor | npt.ArrayLike'


def reinforce(log_prob: Vector, advantage: Vector) -> tf.Tensor:
  """-mean(advantage * log_prob), whose gradient is REINFORCE's estimate.

  Williams 1992, theorem 1; Zoph & Le 2016 (arXiv:1611.01578), section 3.2, where the sum over
  steps of log P(a_t | a_(t-1:1)) is `log_prob` and R_k - b is `advantage`.

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    advantage: reward minus baseline, times the importance weight if an earlier policy proposed the
      sequence (`truncated_importance`). [B]

  Returns:
    The loss, a scalar.

  Raises:
    ValueError: the shapes are not both [B].
  """
  log_prob, advantage = _vectors(log_prob=log_prob, advantage=advantage)
  return -tf.reduce_mean(tf.stop_gradient(advantage) * log_prob)


def truncated_importance(log_prob: Vector, old_log_prob: Vector) -> tf.Tensor:
  """min(1, new probability / old probability): the weight of a sequence of an earlier policy.

  Truncated importance sampling (Ionides 2008, J. Comput. Graph. Stat. 17(2)) at the level 1 of
  IMPALA (Espeholt et al. 2018, arXiv:1802.01561, section 4.1): no sequence weighs more than a
  new one, so the variance stays that of REINFORCE, at the cost of some bias towards the earlier
  policy.

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    old_log_prob: log-probability under the distribution that proposed the sequence. [B]

  Returns:
    The weights, constants in (0, 1]. [B]

  Raises:
    ValueError: the shapes are not both [B].
  """
  log_prob, old_log_prob = _vectors(log_prob=log_prob, old_log_prob=old_log_prob)
  return tf.stop_gradient(tf.exp(tf.minimum(log_prob - old_log_prob, 0.0)))


def clipped_surrogate(
  log_prob: Vector, old_log_prob: Vector, advantage: Vector, clip: tf.Tensor | float
) -> tf.Tensor:
  """-mean(min(r * advantage, clip(r, 1 - clip, 1 + clip) * advantage)), r = exp(new - old).

  Schulman et al. 2017 (arXiv:1707.06347), equation 7, with the opposite sign for minimising. The
  action is the whole sequence, since the reward belongs to it; so the ratio is that of the whole
  sequence (Zheng et al. 2025, arXiv:2507.18071, argue for this if sequences are rewarded).

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    old_log_prob: log-probability under the policy that proposed the sequence; a constant. [B]
    advantage: reward minus baseline. [B]
    clip: distance of the ratio r from 1 beyond which the gradient is 0 (epsilon in the paper), in
      (0, 1).

  Returns:
    The loss, a scalar.

  Raises:
    ValueError: the shapes are not all [B].
  """
  log_prob, old_log_prob, advantage = _vectors(
    log_prob=log_prob, old_log_prob=old_log_prob, advantage=advantage
  )
  advantage = tf.stop_gradient(advantage)
  # Bounded beyond any clip: the gradient of an infinite ratio is NaN even if it is clipped.
  ratio = tf.exp(tf.minimum(log_prob - tf.stop_gradient(old_log_prob), 20.0))  # [B]
  clipped = tf.clip_by_value(ratio, 1 - clip, 1 + clip)  # [B]
  return -tf.reduce_mean(tf.minimum(ratio * advantage, clipped * advantage))


def entropy_bonus(entropy: Vector) -> tf.Tensor:
  """-mean(entropy): added to a loss with a positive weight, it rewards exploration.

  Williams & Peng 1991 (Function optimization using connectionist reinforcement learning
  algorithms, section 5).

  Args:
    entropy: entropy of the choices of each sequence, in nats. [B]

  Returns:
    The loss, a scalar.

  Raises:
    ValueError: the shape is not [B].
  """
  (entropy,) = _vectors(entropy=entropy)
  return -tf.reduce_mean(entropy)


def _vectors(**given: Vector) -> list[tf.Tensor]:
  """Tensors of one type of all that is given.

  Rejects shapes other than [B]: [B] and [B, 1] would broadcast to [B, B] without an error.
  """
  tensors = {name: tf.convert_to_tensor(vector) for name, vector in given.items()}
  shapes = {name: tensor.shape for name, tensor in tensors.items()}
  first = next(iter(shapes.values()))
  for name, shape in shapes.items():
    if shape.rank != 1 or not shape.is_compatible_with(first):
      raise ValueError(f'{name}: shape {shape} among {shapes}: all must be [B]')
  dtype = next(iter(tensors.values())).dtype
  return [tf.cast(t, dtype if dtype.is_floating else tf.float32) for t in tensors.values()]
