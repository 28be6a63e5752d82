"""Gradient steps and baseline, shared by the strategies with a controller.

All state here depends only on the trials told and their order. So a search can be resumed from its
journal and continues bit for bit as if it had not stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import IntArray, Table
from rlnas.strategies.controller import Controller, pad_tokens

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # of Adam, as Keras has it
FloatArray = npt.NDArray[np.float64]


class Slopes(NamedTuple):
  """A loss and its derivatives in the log-probability and in the entropy of each sequence, [B]."""

  loss: float
  log_prob: FloatArray
  entropy: FloatArray


# Maps log_prob [B], entropy [B] and further vectors, each [B] and float64, to the loss.
Objective = Callable[..., Slopes]


class Learner:
  """Adam (Kingma & Ba 2015, arXiv:1412.6980, end of section 2) on the weights of a controller."""

  def __init__(
    self, table: Table, *, controller: Controller, objective: Objective, learning_rate: float
  ) -> None:
    """Prepares the moments.

    Args:
      table: the compiled space of the token sequences.
      controller: the policy that learns.
      objective: the loss to minimise.
      learning_rate: learning rate of Adam.

    Raises:
      ValueError: `learning_rate` is not positive, or the controller does not know the table.
    """
    if not 0 < learning_rate < math.inf:
      raise ValueError(f'learning_rate={learning_rate}: must be positive')
    self._table = table
    self._controller = controller
    self._objective = objective
    self._learning_rate = learning_rate
    self._steps = 0
    controller.check(table)
    weights = controller.weights
    self._first, self._second = (
      {name: np.zeros_like(weight) for name, weight in weights.items()} for _ in range(2)
    )
    self.keep()

  def keep(self) -> None:
    """Saves the current weights for `reset`."""
    self._initial = {name: weight.copy() for name, weight in self._controller.weights.items()}

  def reset(self) -> None:
    """Resets the weights to those at the beginning, or of the last `keep`, and the moments to 0."""
    self._steps = 0
    for name, weight in self._controller.weights.items():
      weight[:] = self._initial[name]
      self._first[name][:] = self._second[name][:] = 0

  def state(self) -> dict[str, npt.NDArray[Any]]:
    """Weights, moments, the weights that `reset` restores and the number of steps, by name."""
    values = self._arrays() | {'initial': self._initial}
    named = {
      f'{kind}/{name}': values[kind][name].copy() for kind in values for name in values[kind]
    }
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
    for kind, arrays in self._arrays().items():
      for name, array in arrays.items():
        array[:] = state[f'{kind}/{name}']
    self._initial = {name: state[f'initial/{name}'] for name in self._initial}
    self._steps = int(state['steps'])

  def _arrays(self) -> dict[str, Mapping[str, npt.NDArray[np.float32]]]:
    """What a step changes."""
    return {
      'weights': self._controller.weights,
      'first': self._first,
      'second': self._second,
    }

  def step(
    self, sequences: Sequence[Sequence[int]], *vectors: npt.ArrayLike, times: int = 1
  ) -> tuple[float, float, float]:
    """Takes `times` gradient steps on the same sequences.

    Args:
      sequences: B token sequences.
      vectors: further arguments of the objective, each [B].
      times: number of steps, at least 1.

    Returns:
      loss, entropy of the policy (mean over the sequences) and norm of the gradient, all of the
      first step.

    Raises:
      ValueError: there is no sequence, or one is not in the space.
    """
    tokens = pad_tokens(self._table, sequences)
    given = tuple(np.asarray(vector, np.float64) for vector in vectors)
    first = self._descend(tokens, given)
    for _ in range(times - 1):
      self._descend(tokens, given)
    return first

  def _descend(
    self, tokens: IntArray, vectors: tuple[FloatArray, ...]
  ) -> tuple[float, float, float]:
    """Takes one step. Returns loss, mean entropy and norm of the gradient before it."""
    scores = self._controller.score(self._table, tokens)
    log_prob, entropy = scores.log_prob.astype(np.float64), scores.entropy.astype(np.float64)
    slopes = self._objective(log_prob, entropy, *vectors)
    gradients = scores.gradient(slopes.log_prob, slopes.entropy)
    self._steps += 1
    rate = np.float32(
      self._learning_rate * math.sqrt(1 - _BETA_2**self._steps) / (1 - _BETA_1**self._steps)
    )
    for name, weight in self._controller.weights.items():
      gradient, first, second = gradients[name], self._first[name], self._second[name]
      first += (gradient - first) * np.float32(1 - _BETA_1)
      second += (gradient * gradient - second) * np.float32(1 - _BETA_2)
      weight -= rate * first / (np.sqrt(second) + np.float32(_EPSILON))
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
    return slopes.loss, float(entropy.mean()), norm


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

  def advantages(self, rewards: Sequence[float], earlier: Sequence[float] = ()) -> FloatArray:
    """Returns rewards minus the baseline before this batch, then updates the baseline.

    Args:
      rewards: rewards of the batch. [B]
      earlier: rewards of E trials that the baseline knows. [E]

    Returns:
      The advantages of the batch, then those of the earlier trials. [B + E]
    """
    first = self.value is None
    value = sum(rewards) / len(rewards) if self.value is None else self.value
    advantages = np.array([*rewards, *earlier], np.float64) - value
    for reward in () if first else rewards:
      value = self._decay * value + (1 - self._decay) * reward
    self.value = value
    return advantages
