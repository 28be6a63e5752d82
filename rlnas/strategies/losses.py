"""Equations of policy gradients as functions without state: tensors in, a scalar to minimise out.

B is the batch. A log-probability is that of a whole token sequence, for an architecture earns one
reward; advantages are constants, no gradient flows into them.
"""

from __future__ import annotations

from rlnas.backend import tf


def reinforce(log_prob: tf.Tensor, advantage: tf.Tensor) -> tf.Tensor:
  """-mean(advantage * log_prob), whose gradient is REINFORCE's estimate.

  Williams 1992, theorem 1; Zoph & Le 2016 (arXiv:1611.01578), section 3.2, where the sum over
  steps of log P(a_t | a_(t-1:1)) is `log_prob` and R_k - b is `advantage`.

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    advantage: reward less baseline, times the importance weight where the sequence was proposed
      by an earlier policy (`truncated_importance`). [B]

  Returns:
    The loss, a scalar.

  Raises:
    ValueError: the shapes are not both [B].
  """
  _check_vectors(log_prob=log_prob, advantage=advantage)
  return -tf.reduce_mean(tf.stop_gradient(advantage) * log_prob)


def truncated_importance(log_prob: tf.Tensor, old_log_prob: tf.Tensor) -> tf.Tensor:
  """min(1, new probability / old probability): what a result of an earlier policy still counts.

  Truncated importance sampling (Ionides 2008, J. Comput. Graph. Stat. 17(2)) at the level 1 of
  IMPALA (Espeholt et al. 2018, arXiv:1802.01561, section 4.1): no sequence counts more than a
  fresh one, so the variance stays that of REINFORCE, at the price of some bias towards the earlier
  policy.

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    old_log_prob: the same under the distribution that proposed them. [B]

  Returns:
    The weights, constants in (0, 1]. [B]

  Raises:
    ValueError: the shapes are not both [B].
  """
  _check_vectors(log_prob=log_prob, old_log_prob=old_log_prob)
  return tf.stop_gradient(tf.exp(tf.minimum(log_prob - old_log_prob, 0.0)))


def imitation(log_prob: tf.Tensor) -> tf.Tensor:
  """-mean(log_prob) of the sequences to imitate: maximum likelihood.

  Priority queue training, Abolafia et al. 2018 (arXiv:1801.03526), section 3: its sequences are
  the K best that were found so far.

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [K]

  Returns:
    The loss, a scalar.

  Raises:
    ValueError: the shape is not [K].
  """
  _check_vectors(log_prob=log_prob)
  return -tf.reduce_mean(log_prob)


def clipped_surrogate(
  log_prob: tf.Tensor, old_log_prob: tf.Tensor, advantage: tf.Tensor, clip: tf.Tensor | float
) -> tf.Tensor:
  """-mean(min(r * advantage, clip(r, 1 - clip, 1 + clip) * advantage)), r = exp(new - old).

  Schulman et al. 2017 (arXiv:1707.06347), equation 7, with its sign turned for minimising. The
  action is the whole sequence, as it is what earns the reward; so is the ratio (Zheng et al. 2025,
  arXiv:2507.18071, argue so where rewards are those of whole sequences).

  Args:
    log_prob: log-probability of each sequence under the policy that learns. [B]
    old_log_prob: the same under the policy that proposed them; a constant. [B]
    advantage: reward less baseline. [B]
    clip: how far the ratio r may leave 1 before the gradient ends (epsilon in the paper), in
      (0, 1).

  Returns:
    The loss, a scalar.

  Raises:
    ValueError: the shapes are not all [B].
  """
  _check_vectors(log_prob=log_prob, old_log_prob=old_log_prob, advantage=advantage)
  advantage = tf.stop_gradient(advantage)
  # Beyond any clip, but finite: of an infinite ratio the gradient is NaN even where it is clipped.
  ratio = tf.exp(tf.minimum(log_prob - tf.stop_gradient(old_log_prob), 20.0))  # [B]
  clipped = tf.clip_by_value(ratio, 1 - clip, 1 + clip)  # [B]
  return -tf.reduce_mean(tf.minimum(ratio * advantage, clipped * advantage))


def entropy_bonus(entropy: tf.Tensor) -> tf.Tensor:
  """-mean(entropy): added to a loss with a positive weight, it keeps the policy exploring.

  Williams & Peng 1991 (Function optimization using connectionist reinforcement learning
  algorithms, section 5).

  Args:
    entropy: of each sequence's choices, in nats. [B]

  Returns:
    The loss, a scalar.

  Raises:
    ValueError: the shape is not [B].
  """
  _check_vectors(entropy=entropy)
  return -tf.reduce_mean(entropy)


def _check_vectors(**tensors: tf.Tensor) -> None:
  """[B] beside [B, 1] would broadcast to [B, B] and learn nonsense in silence."""
  shapes = {name: tensor.shape for name, tensor in tensors.items()}
  first = next(iter(shapes.values()))
  for name, shape in shapes.items():
    if shape.rank != 1 or not shape.is_compatible_with(first):
      raise ValueError(f'{name}: shape {shape} among {shapes}: all must be [B]')
