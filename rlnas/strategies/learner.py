"""What the strategies with a controller share: gradient steps and baseline.

Everything here is a function of what was told, in its order, so that a search can be folded from
its journal to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.backend import tf
from rlnas.spaces.table import Table
from rlnas.strategies import lstm
from rlnas.strategies.controller import Controller, pad_tokens

# Maps log_prob [B], entropy [B], vectors (each [B]) and settings (scalars) to the loss, a scalar.
# A function of a module: controllers of one shape share what is traced from it.
Objective = Callable[
  [tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]], tf.Tensor
]
_BETAS = (0.9, 0.999)
_EPSILON = 1e-7


class Learner:
  """Adam (Kingma & Ba 2014, arXiv:1412.6980, algorithm 1) on the weights of a controller."""

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    objective: Objective,
    vectors: int,
    settings: Sequence[float],
    learning_rate: float,
  ) -> None:
    """Prepares the moments and traces the step where no controller of this shape did before.

    Args:
      table: the compiled space that is learned on.
      controller: what learns.
      objective: the loss to minimise.
      vectors: how many vectors the objective takes.
      settings: the scalars that the objective takes.
      learning_rate: of Adam.

    Raises:
      ValueError: `learning_rate` is not positive, or the controller does not know the table.
    """
    if not 0 < learning_rate < math.inf:
      raise ValueError(f'learning_rate={learning_rate}: must be positive')
    self._table = table
    self._controller = controller
    self._objective = objective
    self._settings = tuple(tf.constant(value, tf.float32) for value in settings)
    self._learning_rate = learning_rate
    self._steps = 0
    self._moments = tuple(
      tuple(tf.Variable(tf.zeros_like(v)) for v in controller.trainable_variables) for _ in range(2)
    )
    self._initial = [v.numpy() for v in controller.trainable_variables]
    self._tensors = controller.tensors_of(table)
    _descend.get_concrete_function(
      objective,
      controller.weights,
      self._moments,
      lstm.TABLE_SPECS,
      lstm.TOKENS_SPEC,
      (tf.TensorSpec([None], tf.float32),) * vectors,
      (lstm.SCALAR_SPEC,) * len(self._settings),
      _Schedule(lstm.SCALAR_SPEC, *(tf.TensorSpec([], tf.int32),) * 2),
    )

  def reset(self) -> None:
    """Takes weights and moments back to where they were at the beginning."""
    self._steps = 0
    for variable, initial in zip(self._controller.trainable_variables, self._initial, strict=True):
      variable.assign(initial)
    for moment in (*self._moments[0], *self._moments[1]):
      moment.assign(tf.zeros_like(moment))

  def step(
    self, sequences: Sequence[Sequence[int]], *vectors: npt.ArrayLike, times: int = 1
  ) -> tuple[float, float, float]:
    """Goes `times` steps down the loss on the same sequences.

    Args:
      sequences: tokens, B of them.
      vectors: what the objective takes beside them, each [B].
      times: at least 1.

    Returns:
      loss, entropy of the policy (mean over the sequences) and norm of the gradient, of the first
      step.

    Raises:
      ValueError: there is no sequence, or one is not in the space.
    """
    results = _descend(
      self._objective,
      self._controller.weights,
      self._moments,
      self._tensors,
      tf.constant(pad_tokens(self._table, sequences)),
      tuple(tf.constant(vector, tf.float32) for vector in vectors),
      self._settings,
      _Schedule(
        tf.constant(self._learning_rate, tf.float32), tf.constant(self._steps), tf.constant(times)
      ),
    )
    self._steps += times
    loss, entropy, norm = results.numpy().tolist()
    return loss, entropy, norm


class _Schedule(NamedTuple):
  """Learning rate of Adam, steps taken before, and steps to take: scalars."""

  learning_rate: tf.Tensor
  taken: tf.Tensor
  times: tf.Tensor


@tf.function(autograph=False)
def _descend(
  objective: Objective,
  weights: lstm.Weights,
  moments: tuple[tuple[tf.Variable, ...], ...],
  table: lstm.TableTensors,
  tokens: tf.Tensor,
  vectors: tuple[tf.Tensor, ...],
  settings: tuple[tf.Tensor, ...],
  schedule: _Schedule,
) -> tf.Tensor:
  """Steps of Adam; loss, mean entropy and norm of the gradient of the first one. [3]."""
  variables = tf.nest.flatten(weights)

  def body(step: tf.Tensor, scalars: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape() as tape:
      log_prob, entropy = lstm.score_graph(weights, table, tokens)  # [B], [B]
      loss = objective(log_prob, entropy, vectors, settings)
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
    number = tf.cast(schedule.taken + step + 1, tf.float32)
    for variable, first, second, gradient in zip(variables, *moments, gradients, strict=True):
      tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=first.handle,
        v=second.handle,
        beta1_power=_BETAS[0] ** number,
        beta2_power=_BETAS[1] ** number,
        lr=schedule.learning_rate,
        beta1=_BETAS[0],
        beta2=_BETAS[1],
        epsilon=_EPSILON,
        grad=gradient,
      )
    now = tf.stack([loss, tf.reduce_mean(entropy), tf.linalg.global_norm(gradients)])
    return step + 1, tf.where(step == 0, now, scalars)

  start = (tf.constant(0), tf.zeros([3]))
  return tf.while_loop(lambda step, _: step < schedule.times, body, start)[1]


class Baseline:
  """An exponential moving average over the rewards of single trials in their order.

  Zoph & Le 2016, section 3.2. The mean of the first batch starts it.
  """

  def __init__(self, decay: float) -> None:
    """Takes the weight of the past. Raises ValueError where it does not lie in [0, 1)."""
    if not 0 <= decay < 1:
      raise ValueError(f'baseline_decay={decay}: must lie in [0, 1)')
    self._decay = decay
    self.value: float | None = None

  def advantages(self, rewards: Sequence[float]) -> npt.NDArray[np.float64]:
    """Rewards less the baseline before this batch; then moves the baseline. [B]."""
    first = self.value is None
    value = sum(rewards) / len(rewards) if self.value is None else self.value
    advantages = np.array(rewards, np.float64) - value
    for reward in () if first else rewards:
      value = self._decay * value + (1 - self._decay) * reward
    self.value = value
    return advantages
