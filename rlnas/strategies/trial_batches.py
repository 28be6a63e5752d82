"""What strategies that learn look at in the trials that they are told."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlnas.trial import Trial


class Watch:
  """Tells a policy that learns from one that has collapsed onto a few architectures."""

  def __init__(self) -> None:
    """Has seen nothing."""
    self._seen: set[tuple[int, ...]] = set()

  def scalars(self, trials: Sequence[Trial]) -> dict[str, float]:
    """reward_mean, unique_rate and repeat_rate of a batch that is not empty.

    unique_rate is the share of distinct token sequences in the batch, repeat_rate that of trials
    whose sequence an earlier batch held.
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
  """The trials that teach: all but the failed.

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


def check_at_least(least: float, **values: float) -> None:
  """Raises ValueError that names the first argument below `least`, or not finite."""
  for name, value in values.items():
    if not least <= value < math.inf:
      raise ValueError(f'{name}={value}: must be at least {least}')
