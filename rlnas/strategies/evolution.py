"""Evolution by tournament and mutation (Real et al. 2017, arXiv:1703.01041; 2019, 1802.01548).

The strategy keeps a population of evaluated networks. Each proposal is a mutant of a parent, which
is the best of a few individuals drawn at random. The papers differ in what a new one replaces:

- aging evolution (Real et al. 2019, algorithm 1): the oldest. So a network with a lucky evaluation
  leaves the population after some time, and only its descendants can remain.
- large-scale evolution (Real et al. 2017, section 3.1): the worse of two drawn at random.

There is no policy, so proposals have no log-probability.
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
  """Proposes uniformly until the population is full, and mutants from then on.

  The papers evaluate thousands of networks; the defaults here suit one or two hundred. Theirs are
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
      population: largest number of individuals; once it is reached, each new one replaces another.
      sample: number of different individuals drawn for a tournament. The best becomes the parent;
        without aging, the worst of another tournament is removed.
      aging: whether to remove the oldest individual instead of the worst of a tournament.
      seed: seed of the tournaments that decide which individual is removed.

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
    """Draws `count` parents from the current population and mutates them.

    While the population is not full, all `count` proposals are uniform; so if batches overlap,
    somewhat more than `population` proposals are uniform.

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
    """Adds the trials one by one; once the population is full, each replaces an individual.

    Failed trials are ignored. In the paper of 2017, the loser of the tournament that chose the
    parent is removed. A trial does not record that tournament, and if batches overlap, the loser
    may be gone already. So this method holds a separate tournament, seeded by a hash of the seed
    and the number of trials told.

    Returns:
      population (its size), population_reward_mean, population_reward_best; empty while the
      population is empty.

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

  def parents(self) -> frozenset[int]:
    """The trials of the population (`rlnas.interfaces.Breeding`)."""
    return frozenset(individual.index for individual in self._population)

  def _mutant(self, rng: np.random.Generator) -> Proposal:
    parent = self._parent(rng)
    tokens = mutate(self._table, parent.tokens, rng)
    return propose(self._table, tokens, parent=parent.index)

  def _parent(self, rng: np.random.Generator) -> _Individual:
    drawn = rng.choice(self._size, self._sample, replace=False).tolist()
    return max((self._population[i] for i in drawn), key=lambda individual: individual.reward)

  def _victim(self) -> int:
    """Index in the population of the individual to remove; the oldest of several."""
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
