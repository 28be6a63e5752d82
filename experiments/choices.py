"""The names that flags may give, and what each stands for. The one place to add another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from rlnas import reward
from rlnas.controller import Controller
from rlnas.decision import Space
from rlnas.interfaces import Reward, Strategy
from rlnas.spaces import Chain
from rlnas.strategies.random_search import RandomSearch
from rlnas.strategies.reinforce import Reinforce
from rlnas.table import Table

SPACES: dict[str, Callable[[], Space]] = {'chain': Chain}

# Searches on real children see some dozens of trials, the papers thousands: the learning rate is
# raised to match (BUILD_NOTES.md, "Learning rate").
STRATEGIES: dict[str, Callable[[Table, int], Strategy]] = {
  'reinforce': lambda table, seed: Reinforce(
    table, controller=Controller(table, seed=seed), learning_rate=0.01
  ),
  'random': lambda table, seed: RandomSearch(table),
}

REWARDS: dict[str, Reward] = {
  'linear_excess': reward.linear_excess,
  'weighted_product': reward.weighted_product,
  'absolute': reward.absolute,
  'death_penalty': reward.death_penalty,
}


Chosen = TypeVar('Chosen')


def choose(flag: str, value: str, offered: Mapping[str, Chosen]) -> Chosen:
  """The entry that a flag names. Raises ValueError that lists what there is."""
  if value not in offered:
    raise ValueError(f'--{flag}={value!r}: must be one of {", ".join(offered)}')
  return offered[value]
