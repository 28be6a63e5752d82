"""Helpers for strategies that learn from batches of trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.trial import Trial


class Watch:
  """Computes scalars that show whether a policy has collapsed onto a few architectures."""

  def __init__(self) -> None:
    """Starts without earlier batches."""
    self._seen: set[tuple[int, ...]] = set()

  def scalars(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Returns reward_mean, unique_rate and repeat_rate of a batch, which must not be empty.

    unique_rate is the share of distinct token sequences in the batch, repeat_rate the share of
    trials whose sequence is in an earlier batch.
    """
    tokens = [trial.proposal.tokens for trial in trials]
    rewards = rewards_of(trials)
    scalars = {
      'reward_mean': sum(rewards) / len(rewards),
      'unique_rate': len(set(tokens)) / len(tokens),
      'repeat_rate': sum(t in self._seen for t in tokens) / len(tokens),
    }
    self._seen.update(tokens)
    return scalars


def taught(trials: Sequence[Trial]) -> list[Trial]:
  """Returns the trials to learn from: all but the failed ones.

  Raises:
    ValueError: a reward is not finite.
  """
  kept = [trial for trial in trials if trial.reward is not None]
  rewards = rewards_of(kept)
  if not all(map(math.isfinite, rewards)):
    raise ValueError(f'trials: rewards {rewards}: must be finite')
  return kept


def rewards_of(trials: Sequence[Trial]) -> list[float]:
  """The rewards of trials that have one."""
  return [trial.reward for trial in trials if trial.reward is not None]


def settings_of(*values: object) -> dict[str, npt.NDArray[Any]]:
  """The settings of a strategy as a part of its state (`rlnas.interfaces.Resumable`)."""
  return {'settings': np.array(repr(values))}


def check_settings(
  state: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, npt.NDArray[Any]]
) -> None:
  """Raises ValueError if a state has other settings, or none."""
  for name, value in settings.items():
    if name not in state or not np.array_equal(state[name], value):
      raise ValueError(f'state: {name} were {state.get(name)}, now {value}')


def check_at_least(least: float, **values: float) -> None:
  """Raises ValueError if a value is below `least` or not finite; names the first such argument."""
  for name, value in values.items():
    if not least <= value < math.inf:
      raise ValueError(f'{name}={value}: must be at least {least}')
