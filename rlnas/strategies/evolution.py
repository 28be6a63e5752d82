"""Evolution by tournament and mutation (Real et al. 2017, arXiv:1703.01041; 2019, 1802.01548).

A population of evaluated networks; each further proposal is a mutant of the best of a few that are
drawn from it. Who makes room for the newcomer distinguishes the two papers:

- aging evolution (Real et al. 2019, algorithm 1): the oldest dies. Nothing survives but by being
  found good again and again, so a lucky evaluation does not rule the population for ever.
- large-scale evolution (Real et al. 2017, section 3.1): of two drawn at random the worse dies.

No policy, so proposals have no log-probability.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from rlnas.spaces.table import Table, mutate, sample_uniform, states_of
from rlnas.strategies.proposals import propose
from rlnas.trial import Proposal, Trial, derive_seed


@dataclasses.dataclass(frozen=True)
class _Individual:
  tokens: tuple[int, ...]
  reward: float
  index: int  # of its trial


class Evolution:
  """Proposes uniformly until the population is full, mutants from then on.

  The papers evaluate thousands of networks; the defaults here are for one or two hundred. Theirs:
  `population=100, sample=25` (2019), `population=1000, sample=2, aging=False` (2017).
  """

  def __init__(
    self,
    table: Table,
    *,
    population: int = 20,
    sample: int = 5,
    aging: bool = True,
    seed: int = 0,
  ) -> None:
    """Starts with an empty population.

    Args:
      table: the compiled space to propose from.
      population: number of individuals from which on one dies for each newcomer.
      sample: how many different individuals are drawn for a tournament. The best becomes parent;
        without aging, the worst of another draw dies.
      aging: whether the oldest dies instead.
      seed: decides the draws of those that may die.

    Raises:
      ValueError: `population` is below 1, or `sample` is not in [1, population].
    """
    if population < 1:
      raise ValueError(f'population={population}: must be at least 1')
    if not 1 <= sample <= population:
      raise ValueError(f'sample={sample}: must lie in [1, population={population}]')
    self._table = table
    self._size = population
    self._sample = sample
    self._aging = aging
    self._seed = seed
    self._population: list[_Individual] = []  # in the order of their trials
    self._told = 0

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Draws `count` parents from the present population and mutates them.

    While the population is not full, all `count` are uniform; so where batches overlap, somewhat
    more than `population` are.

    Raises:
      ValueError: `count` is below 1.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    if len(self._population) < self._size:
      drawn = [sample_uniform(self._table, rng) for _ in range(count)]
      return [propose(self._table, tokens) for tokens in drawn]
    return [self._mutant(rng) for _ in range(count)]

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Takes the trials into the population one by one, each for one that dies; failed ones not.

    In the paper of 2017 the loser of the tournament that chose the parent dies. A trial does not
    know that tournament, and with overlapping batches the loser may be dead already; so another
    one is held here, drawn from a hash of the seed and the number of trials told.

    Returns:
      population (its size), population_reward_mean, population_reward_best; nothing while it is
      empty.

    Raises:
      ValueError: a reward is not finite, or tokens are not in the space.
    """
    newcomers = [_individual(self._table, t) for t in trials if t.reward is not None]
    for newcomer in newcomers:
      if len(self._population) == self._size:
        self._population.pop(self._victim())
      self._population.append(newcomer)
      self._told += 1
    if not self._population:
      return {}
    rewards = [individual.reward for individual in self._population]
    return {
      'population': float(len(rewards)),
      'population_reward_mean': sum(rewards) / len(rewards),
      'population_reward_best': max(rewards),
    }

  def _mutant(self, rng: np.random.Generator) -> Proposal:
    parent = self._parent(rng)
    tokens = mutate(self._table, parent.tokens, rng)
    return propose(self._table, tokens, parent=parent.index)

  def _parent(self, rng: np.random.Generator) -> _Individual:
    drawn = rng.choice(self._size, self._sample, replace=False).tolist()
    return max((self._population[i] for i in drawn), key=lambda individual: individual.reward)

  def _victim(self) -> int:
    """Place in the population of the one that dies; of equals the oldest."""
    if self._aging:
      return 0
    rng = np.random.default_rng(derive_seed(self._seed, 'death', self._told))
    drawn = rng.choice(self._size, self._sample, replace=False).tolist()
    return min(drawn, key=lambda i: (self._population[i].reward, i))


def _individual(table: Table, trial: Trial) -> _Individual:
  states_of(table, trial.proposal.tokens)
  if trial.reward is None or not math.isfinite(trial.reward):
    raise ValueError(f'trials: reward {trial.reward} of trial {trial.index}: must be finite')
  return _Individual(trial.proposal.tokens, trial.reward, trial.index)
