"""Q-learning over the states of a space.

BlockQNN (Zhong et al. 2018, arXiv:1708.05552, section 3.2), which builds on MetaQNN (Baker
et al. 2017, arXiv:1611.02167).

A network is a walk through the table: in state s, choose token a, receive a share of the network's
reward and move to the next state. Q(s, a), the reward from there to the end of the walk, is learned
from stored walks that are replayed. At each decision a new walk takes the choice with the largest Q
or, with probability epsilon, a random one. Epsilon falls in stages. There is no policy in the sense
of REINFORCE, so proposals have no log-probability.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from rlnas.spaces.table import ROOT, Table, states_of
from rlnas.strategies.proposals import propose
from rlnas.trial import Proposal, Trial, derive_seed

# (epsilon, trials): the stages of BlockQNN (section 4.1), which holds 1.0 for a little more than
# half of its 178 iterations of 64 networks, shortened to a search of a few hundred networks. The
# last epsilon holds from then on.
SCHEDULE = (
  (1.0, 50),
  (0.9, 4),
  (0.8, 4),
  (0.7, 4),
  (0.6, 6),
  (0.5, 6),
  (0.4, 6),
  (0.3, 6),
  (0.2, 6),
  (0.1, 8),
)


@dataclasses.dataclass(frozen=True)
class _Memory:
  """A walk and its reward."""

  steps: tuple[tuple[int, int], ...]  # (state, token)
  reward: float


class QLearning:
  """Tabular Q-learning with epsilon-greedy exploration and experience replay."""

  def __init__(
    self,
    table: Table,
    *,
    schedule: Sequence[tuple[float, int]] = SCHEDULE,
    replays: int = 64,
    learning_rate: float = 0.1,
    initial: float = 0.5,
    seed: int = 0,
  ) -> None:
    """Sets every entry of Q to `initial`.

    Args:
      table: the compiled space to propose from.
      schedule: stages of exploration, each a pair (epsilon, number of trials); epsilon is the
        probability of a random choice.
      replays: number of stored walks, drawn with replacement, that are learned from after each
        trial. MetaQNN draws 100 to 128; BlockQNN draws 64 for every 64 trials, too few for a short
        search.
      learning_rate: share of the distance to its target that an entry of Q moves in one update.
        Both papers use 0.01, for thousands of networks; in a short search, a walk found late is
        replayed only a few dozen times, so it needs 0.1 to have an effect.
      initial: value of all entries of Q at the start; 0.5 in MetaQNN, whose authors advise the
        reward of an average network.
      seed: seed of the draws of walks to replay.

    Raises:
      ValueError: an argument is out of its range.
    """
    for epsilon, trials in schedule:
      if not 0 <= epsilon <= 1 or trials < 1:
        raise ValueError(
          f'schedule: stage {(epsilon, trials)}: must have epsilon in [0, 1], trials >= 1'
        )
    if not schedule:
      raise ValueError(f'schedule={schedule}: must have at least one stage')
    if replays < 1:
      raise ValueError(f'replays={replays}: must be at least 1')
    if not 0 < learning_rate <= 1:
      raise ValueError(f'learning_rate={learning_rate}: must lie in (0, 1]')
    if not math.isfinite(initial):
      raise ValueError(f'initial={initial}: must be finite')
    self._table = table
    self._schedule = tuple(schedule)
    self._replays = replays
    self._learning_rate = learning_rate
    self._seed = seed
    # Lists rather than arrays: entries are read and written one at a time. [S][A]
    self._q = [[initial] * len(choices) for choices in table.choices] + [[0.0]]  # and END
    self._next = table.next.tolist()
    self._memories: list[_Memory] = []

  @property
  def epsilon(self) -> float:
    """The current probability of a random choice."""
    left = len(self._memories)
    for epsilon, trials in self._schedule:
      left -= trials
      if left < 0:
        return epsilon
    return self._schedule[-1][0]

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Proposes `count` walks; each decision is greedy with probability 1 - epsilon.

    Raises:
      ValueError: `count` is below 1.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    drawn = [self._walk(rng) for _ in range(count)]
    return [propose(self._table, tokens) for tokens in drawn]

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Stores the trials one by one and replays walks after each; failed trials are ignored.

    Returns:
      epsilon (of the next proposals) and q_best (the largest Q at the first decision).

    Raises:
      ValueError: a reward is not finite, or tokens are not in the space.
    """
    for memory in [_memory(self._table, t) for t in trials if t.reward is not None]:
      self._memories.append(memory)
      number = len(self._memories)
      rng = np.random.default_rng(derive_seed(self._seed, 'replay', number))
      for place in rng.integers(number, size=self._replays).tolist():
        self._learn(self._memories[place])
    return {'epsilon': self.epsilon, 'q_best': max(self._q[ROOT])}

  def _walk(self, rng: np.random.Generator) -> tuple[int, ...]:
    epsilon = self.epsilon
    tokens: list[int] = []
    state = ROOT
    while state != self._table.end:
      values = self._q[state]
      best = max(values)
      explore = rng.random() < epsilon
      offered = [a for a, value in enumerate(values) if explore or value == best]
      tokens.append(offered[int(rng.integers(len(offered)))])
      state = self._next[state][tokens[-1]]
    return tuple(tokens)

  def _learn(self, memory: _Memory) -> None:
    """Replays one walk, from its end to its beginning (BlockQNN, section 3.2).

      Q(s_t, a_t) <- (1 - alpha) Q(s_t, a_t) + alpha (r_t + max_a Q(s_t+1, a))

    The discount is 1 and the intermediate reward r_t = r_T / T. If there was a reward at the end
    only, the entries of early decisions would keep close to the initial values for a long time, and
    the agent would end its walks too early. The drawback: an early entry tends to the mean share of
    the walks replayed through it plus the largest entry that follows, not to the reward of the best
    walk.
    """
    share = memory.reward / len(memory.steps)
    following = 0.0
    for state, token in reversed(memory.steps):
      values = self._q[state]
      values[token] += self._learning_rate * (share + following - values[token])
      following = max(values)


def _memory(table: Table, trial: Trial) -> _Memory:
  tokens = trial.proposal.tokens
  if trial.reward is None or not math.isfinite(trial.reward):
    raise ValueError(f'trials: reward {trial.reward} of trial {trial.index}: must be finite')
  return _Memory(tuple(zip(states_of(table, tokens), tokens, strict=True)), trial.reward)
