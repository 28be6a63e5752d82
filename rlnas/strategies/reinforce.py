"""REINFORCE with a moving-average baseline (Zoph & Le 2016, arXiv:1611.01578, section 3.2).

The controller proposes, and each batch of rewards makes one step of Adam along the gradient of
the expected reward. The paper's learning rate of 6e-4 suits its thousands of children; a search
of some dozens wants a higher one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rlnas import losses
from rlnas.backend import keras, tf
from rlnas.controller import Controller, pad_tokens
from rlnas.decision import decode
from rlnas.table import Table
from rlnas.trial import Proposal, Trial


class Reinforce:
  """Learns by policy gradient; its state depends on its arguments and the trials told alone."""

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    learning_rate: float = 6e-4,
    baseline_decay: float = 0.95,
    entropy_weight: float = 0.0,
  ) -> None:
    """Prepares the optimizer.

    Args:
      table: the compiled space to propose from.
      controller: the policy that learns; it must know the table's symbols.
      learning_rate: of Adam.
      baseline_decay: weight of the past in the baseline, an exponential moving average over the
        rewards of single trials in their order. The mean of the first batch starts it.
      entropy_weight: weight of the entropy bonus, in units of reward per nat; 0 as in the paper.

    Raises:
      ValueError: an argument is out of its range.
    """
    if not learning_rate > 0:
      raise ValueError(f'learning_rate={learning_rate}: must be positive')
    if not 0 <= baseline_decay < 1:
      raise ValueError(f'baseline_decay={baseline_decay}: must lie in [0, 1)')
    if not entropy_weight >= 0:
      raise ValueError(f'entropy_weight={entropy_weight}: must be at least 0')
    self._table = table
    self._controller = controller
    self._baseline_decay = baseline_decay
    self._entropy_weight = entropy_weight
    self._baseline: float | None = None
    self._optimizer = keras.optimizers.Adam(learning_rate)
    self._optimizer.build(controller.trainable_variables)
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.float32)]
    self._update = tf.function(self._update_graph, signature, autograph=False)

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Samples `count` token sequences from the policy.

    Raises:
      ValueError: `count` is below 1.
    """
    sample = self._controller.sample(self._table, count, rng)
    return [
      Proposal(tokens, decode(self._table.space, tokens), log_prob)
      for tokens, log_prob in zip(sample.sequences, sample.log_prob.tolist(), strict=True)
    ]

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """One step of Adam on a batch; failed trials are left out, a batch without others is nothing.

    The advantage of a trial is its reward less the baseline before this batch.

    Returns:
      loss, baseline (after this batch), entropy of the policy in nats (estimated on the batch),
      reward_mean and gradient_norm; nothing where all trials failed.

    Raises:
      ValueError: a reward is not finite, or tokens are not in the space.
    """
    taught = [(trial.proposal.tokens, trial.reward) for trial in trials if trial.reward is not None]
    if not taught:
      return {}
    rewards = [reward for _, reward in taught]
    if not all(map(math.isfinite, rewards)):
      raise ValueError(f'trials: rewards {rewards}: must be finite')
    mean = sum(rewards) / len(rewards)
    first = self._baseline is None
    baseline = mean if self._baseline is None else self._baseline
    advantages = np.array([reward - baseline for reward in rewards], np.float32)
    tokens = pad_tokens(self._table, [tokens for tokens, _ in taught])
    loss, entropy, norm = self._update(tokens, advantages)
    for reward in () if first else rewards:
      baseline = self._baseline_decay * baseline + (1 - self._baseline_decay) * reward
    self._baseline = baseline
    return {
      'loss': float(loss),
      'baseline': baseline,
      'entropy': float(entropy),
      'reward_mean': mean,
      'gradient_norm': float(norm),
    }

  def _update_graph(self, tokens: tf.Tensor, advantage: tf.Tensor) -> tuple[tf.Tensor, ...]:
    variables = self._controller.trainable_variables
    with tf.GradientTape() as tape:
      log_prob, entropy = self._controller.score(self._table, tokens)  # [B], [B]
      loss = losses.reinforce(log_prob, advantage)
      loss += self._entropy_weight * losses.entropy_bonus(entropy)
    gradients = tape.gradient(loss, variables)
    self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return loss, tf.reduce_mean(entropy), tf.linalg.global_norm(gradients)
