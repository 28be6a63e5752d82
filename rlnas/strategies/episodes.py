"""Episodes, imagined and real: walks with a value, from which REINFORCE learns.

A network costs minutes to train; a prediction of its accuracy and the estimate of its size cost
next to nothing. Dyna (Sutton 1990, Integrated architectures for learning, planning, and reacting)
lets a policy learn from a model of its rewards between real experiences; DyNA-PPO (Angermueller et
al., ICLR 2020, Model-based reinforcement learning for biological sequence design) does so for
sequences that are designed in few, expensive rounds. Here the reward of an episode x is

  R(x) = value(x) - log p(x),

where p is the policy. So REINFORCE climbs the expected value plus the entropy of the policy, and
the best policy has probabilities proportional to exp(value(x)) (maximum-entropy reinforcement
learning: Levine 2018, arXiv:1805.00909, section 2). If all networks that fit have one value and the
others a far lower one, that is the uniform distribution over what fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import Table
from rlnas.strategies import losses
from rlnas.strategies.controller import Controller
from rlnas.strategies.learner import Slopes

Tokens = tuple[int, ...]
FloatArray = npt.NDArray[np.float64]

_LEAST_DEVIATION = 1e-3  # of rewards, in nats: what differs by less counts as equal


class Episodes(NamedTuple):
  """Walks with their values in nats, and the log-probabilities that they were drawn with.

  `imitated` is 1 for walks that are imitated whatever their value, 0 for episodes.
  """

  walks: tuple[Tokens, ...]
  value: FloatArray
  log_prob: FloatArray
  imitated: FloatArray

  def and_also(self, other: Episodes) -> Episodes:
    """The episodes of both."""
    arrays = (np.concatenate(pair) for pair in zip(self[1:], other[1:], strict=True))
    return Episodes(self.walks + other.walks, *arrays)


def imagine(
  controller: Controller,
  table: Table,
  count: int,
  rng: np.random.Generator,
  value: Callable[[Sequence[Tokens]], FloatArray],
) -> Episodes:
  """Draws episodes from the policy.

  Args:
    controller: the policy.
    table: the compiled space.
    count: number of episodes.
    rng: the only source of randomness.
    value: gives the value of each walk, in nats.
  """
  sample = controller.sample(table, count, rng)
  walks = sample.sequences
  return Episodes(walks, value(walks), sample.log_prob.astype(np.float64), np.zeros(count))


def to_imitate(walks: Sequence[Tokens]) -> Episodes:
  """Walks that the policy imitates."""
  zeros = np.zeros(len(walks))
  return Episodes(tuple(walks), zeros, zeros, np.ones(len(walks)))


def objective(
  log_prob: FloatArray,
  entropy: FloatArray,
  value: FloatArray,
  old_log_prob: FloatArray,
  imitated: FloatArray,
  *,
  imitation_weight: float,
) -> Slopes:
  """The loss of `Learner`: REINFORCE on the episodes, and imitation of the others.

  The advantages are the rewards scaled to mean 0 and standard deviation 1 over the episodes. An
  episode whose probability has fallen since it was drawn counts less
  (`losses.truncated_importance`).

  Args:
    log_prob: log-probability of each walk under the policy that learns. [B]
    entropy: entropy of the policy, which the rewards hold already; not used. [B]
    value: `Episodes.value`. [B]
    old_log_prob: `Episodes.log_prob`. [B]
    imitated: `Episodes.imitated`. [B]
    imitation_weight: weight of the mean log-likelihood of the walks to imitate, where an episode
      that is one standard deviation better than the mean has weight 1.
  """
  episode = 1 - imitated
  share, imitated_share = (x.mean() + 1e-9 for x in (episode, imitated))
  reward = value - log_prob
  centred = reward - (episode * reward).mean() / share
  deviation = math.sqrt((episode * centred**2).mean() / share)
  advantage = centred / max(deviation, _LEAST_DEVIATION)
  lateness = losses.truncated_importance(log_prob, old_log_prob)
  weight = episode / share * lateness * advantage
  loss = losses.reinforce(log_prob, weight + imitation_weight * imitated / imitated_share)
  return Slopes(loss.value, loss.slope, np.zeros_like(entropy))
