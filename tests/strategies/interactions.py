"""A reward in which no choice is good by itself, and the test that a strategy learns it."""

import math

import numpy as np

from rlnas.interfaces import Strategy
from rlnas.spaces import Chain
from rlnas.spaces.table import choices_of, compile_table
from rlnas.strategies.random_search import RandomSearch
from rlnas.trial import Measurement, Proposal, Status, Trial

TABLE = compile_table(Chain(max_depth=3))
# A width is right for one kind of convolution and wrong for the other.
RIGHT = {('conv', 8), ('conv', 16), ('separable_conv', 32), ('separable_conv', 48)}


def interaction(proposal: Proposal) -> float:
  """Share of three layers whose operation and width suit each other."""
  chosen = choices_of(TABLE, proposal.tokens)
  layers = ((chosen.get(f'layer{i}/op'), chosen.get(f'layer{i}/filters')) for i in range(3))
  return sum(layer in RIGHT for layer in layers) / 3


def trials_of(proposals, rewards, first: int = 0) -> list[Trial]:
  return [
    Trial(i, i, i, proposal, Measurement(Status.COMPLETE), reward)
    for i, (proposal, reward) in enumerate(zip(proposals, rewards, strict=True), first)
  ]


def sigmas_above_random_search(strategy: Strategy, *, trials: int) -> float:
  """Mean reward of 300 proposals after `trials` trials, less that of random search's.

  In standard errors of the difference. If the strategy were no better than random search, 6 would
  be passed by chance with a probability of 1e-9.
  """
  for batch in range(trials // 5):
    proposals = strategy.ask(5, np.random.default_rng(batch))
    strategy.tell(trials_of(proposals, map(interaction, proposals), 5 * batch))
  learned, uniform = (
    [interaction(p) for p in s.ask(300, np.random.default_rng(10_000))]
    for s in (strategy, RandomSearch(TABLE))
  )
  sigma = math.sqrt((np.var(learned) + np.var(uniform)) / 300)
  return float(np.mean(learned) - np.mean(uniform)) / sigma
