"""Every strategy that learns beats random search on rewards whose decisions interact."""

import functools
import itertools
import math
import zlib

import numpy as np
import pytest

from rlnas.spaces import BlockQNN, Chain, MultiBranch
from rlnas.spaces.table import choices_of, compile_table
from rlnas.strategies.controller import Controller
from rlnas.strategies.ppo import PPO
from rlnas.strategies.random_search import RandomSearch
from rlnas.strategies.reinforce import Reinforce
from rlnas.strategies.zoph_le import ZophLe
from tests.strategies.test_zoph_le import trials_of

SPACES = {
  'chain': Chain(max_depth=4),
  'multibranch': MultiBranch(depth=4),
  'blockqnn': BlockQNN(),
}
# Of Reinforce a single descent, for the first trials of another one are random again.
STRATEGIES = {  # and how many batches of 8 it takes
  'zoph_le': (
    60,
    lambda table, controller: ZophLe(
      table, controller=controller, learning_rate=0.02, normalise_advantages=True
    ),
  ),
  'ppo': (
    60,
    lambda table, controller: PPO(table, controller=controller, learning_rate=0.01, updates=4),
  ),
  'reinforce': (
    10,
    lambda table, controller: Reinforce(table, controller=controller, patience=1000),
  ),
  'reinforce_alone': (  # by its own draws
    20,
    lambda table, controller: Reinforce(
      table, controller=controller, patience=1000, candidates=1, elite=0
    ),
  ),
}


def interacting_reward(table, tokens) -> float:
  """A fixed random number for every named choice and for every two that follow each other."""
  named = [f'{name}={choice}' for name, choice in choices_of(table, tokens).items()]
  pairs = [f'{a} {b}' for a, b in itertools.pairwise(named)]
  return sum(weight(key) for key in named + pairs) / math.sqrt(2 * len(named))


@functools.cache
def weight(key: str) -> float:
  return float(np.random.default_rng(zlib.crc32(key.encode())).normal())


NIGHTLY = {'multibranch', 'blockqnn', 'reinforce_alone'}


def cases(names):
  marks = {True: pytest.mark.nightly, False: pytest.mark.slow}
  return [pytest.param(name, marks=marks[name in NIGHTLY]) for name in names]


@pytest.mark.parametrize('space', cases(SPACES))
@pytest.mark.parametrize('strategy', cases(STRATEGIES))
def test_it_beats_random_search(strategy, space):
  """The last 40 proposals pass random search's mean by 4 sigma.

  Sigma is the standard error of the difference of the two means, 40 proposals against 400. For a
  strategy that has not moved from random search the false-alarm rate is 3e-5 a case.
  """
  batches, make = STRATEGIES[strategy]
  table = compile_table(SPACES[space])
  learner = make(table, Controller(table, units=16, seed=0))
  rewards = []
  for batch in range(batches):
    proposals = learner.ask(8, np.random.default_rng(batch))
    earned = [interacting_reward(table, p.tokens) for p in proposals]
    learner.tell(trials_of(proposals, earned))
    rewards += earned
  uniform = RandomSearch(table).ask(400, np.random.default_rng(1000))
  random = [interacting_reward(table, p.tokens) for p in uniform]
  sigma = math.sqrt(np.var(rewards[-40:]) / 40 + np.var(random) / 400)
  assert np.mean(rewards[-40:]) - np.mean(random) > 4 * sigma
