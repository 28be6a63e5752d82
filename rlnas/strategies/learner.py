"""Gradient steps and baseline, shared by the strategies with a controller.

All state here depends only on the trials told and their order. So a search can be resumed from its
journal and continues bit for bit as if it had not stopped.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.adam import adam_step
from rlnas.backend import tf
from rlnas.spaces.table import Table
from rlnas.strategies import lstm
from rlnas.strategies.controller import Controller, pad_tokens

# Maps log_prob [B], entropy [B], vectors (each [B]) and settings (scalars) to the loss, a scalar.
# It must be a module-level function: then controllers of one shape share its traced graph.
Objective = Callable[
  [tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]], tf.Tensor
]


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
    """Prepares the moments.

    Args:
      table: the compiled space of the token sequences.
      controller: the policy that learns.
      objective: the loss to minimise.
      vectors: number of vectors that the objective takes.
      settings: values of the scalars that the objective takes.
      learning_rate: learning rate of Adam.

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
    self._vectors = vectors

  @functools.cached_property
  def _descend(self) -> Callable[..., tf.Tensor]:
    """The step; the first call for a controller of this shape traces it, which takes a second.

    Called directly, since the dispatch of a traced function takes longer than a small step.
    """
    return _descend.get_concrete_function(
      self._objective,
      self._controller.weights,
      self._moments,
      lstm.TABLE_SPECS,
      lstm.TOKENS_SPEC,
      (tf.TensorSpec([None], tf.float32),) * self._vectors,
      (lstm.SCALAR_SPEC,) * len(self._settings),
      _Schedule(lstm.SCALAR_SPEC, *(tf.TensorSpec([], tf.int32),) * 2),
    )

  def trace(self) -> None:
    """Traces the step before it is needed, if it is not traced yet."""
    _ = self._descend

  def keep(self) -> None:
    """Saves the current weights for `reset`."""
    self._initial = [v.numpy() for v in self._controller.trainable_variables]

  def reset(self) -> None:
    """Resets the weights to those at the beginning, or of the last `keep`, and the moments to 0."""
    self._steps = 0
    for variable, initial in zip(self._controller.trainable_variables, self._initial, strict=True):
      variable.assign(initial)
    for moment in (*self._moments[0], *self._moments[1]):
      moment.assign(tf.zeros_like(moment))

  def state(self) -> dict[str, npt.NDArray[Any]]:
    """Weights, moments, the weights that `reset` restores and the number of steps, by name."""
    values = {
      'weights': [v.numpy() for v in self._controller.trainable_variables],
      'initial': self._initial,
      'first': [moment.numpy() for moment in self._moments[0]],
      'second': [moment.numpy() for moment in self._moments[1]],
    }
    named = {f'{name}{i}': value for name in values for i, value in enumerate(values[name])}
    return {**named, 'steps': np.array(self._steps)}

  def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
    """Restores what `state` returned, to the bit; ignores other arrays.

    Raises:
      ValueError: an array is missing, or has another shape or type; nothing has changed.
    """
    for name, value in self.state().items():
      found = state.get(name)
      if found is None or (found.shape, found.dtype) != (value.shape, value.dtype):
        raise ValueError(f'state: {name}: must be {value.dtype} of shape {list(value.shape)}')
    variables = self._controller.trainable_variables
    groups = {'weights': variables, 'first': self._moments[0], 'second': self._moments[1]}
    for name, group in groups.items():
      for i, variable in enumerate(group):
        variable.assign(state[f'{name}{i}'])
    self._initial = [state[f'initial{i}'] for i in range(len(variables))]
    self._steps = int(state['steps'])

  def step(
    self, sequences: Sequence[Sequence[int]], *vectors: npt.ArrayLike, times: int = 1
  ) -> tuple[float, float, float]:
    """Takes `times` gradient steps on the same sequences.

    Args:
      sequences: B token sequences.
      vectors: the vectors that the objective takes, each [B].
      times: number of steps, at least 1.

    Returns:
      loss, entropy of the policy (mean over the sequences) and norm of the gradient, all of the
      first step.

    Raises:
      ValueError: there is no sequence, or one is not in the space.
    """
    results = self._descend(
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
  """Learning rate of Adam, steps taken before, and steps to take; all scalars."""

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
  """Steps of Adam. Returns loss, mean entropy and gradient norm of the first step. [3]."""
  variables = tf.nest.flatten(weights)

  def body(step: tf.Tensor, scalars: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape() as tape:
      log_prob, entropy = lstm.score_graph(weights, table, tokens)  # [B], [B]
      loss = objective(log_prob, entropy, vectors, settings)
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
    number = tf.cast(schedule.taken + step + 1, tf.float32)
    updates = zip(variables, *moments, gradients, strict=True)
    adam_step(updates, learning_rate=schedule.learning_rate, step=number)
    now = tf.stack([loss, tf.reduce_mean(entropy), tf.linalg.global_norm(gradients)])
    return step + 1, tf.where(step == 0, now, scalars)

  start = (tf.constant(0), tf.zeros([3]))
  return tf.while_loop(lambda step, _: step < schedule.times, body, start)[1]


class Baseline:
  """An exponential moving average of the rewards, trial by trial.

  Zoph & Le 2016, section 3.2. It starts at the mean of the first batch.
  """

  def __init__(self, decay: float) -> None:
    """Sets the weight of earlier trials. Raises ValueError if it is not in [0, 1)."""
    if not 0 <= decay < 1:
      raise ValueError(f'baseline_decay={decay}: must lie in [0, 1)')
    self._decay = decay
    self.value: float | None = None

  def advantages(self, rewards: Sequence[float]) -> npt.NDArray[np.float64]:
    """Returns rewards minus the baseline before this batch, then updates the baseline. [B]."""
    first = self.value is None
    value = sum(rewards) / len(rewards) if self.value is None else self.value
    advantages = np.array(rewards, np.float64) - value
    for reward in () if first else rewards:
      value = self._decay * value + (1 - self._decay) * reward
    self.value = value
    return advantages
