"""The names that flags may give, and what each stands for. The one place to add another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from rlnas import reward
from rlnas.architecture import Architecture
from rlnas.interfaces import Reward, Strategy
from rlnas.search.fidelity import (
  CurveExtrapolation,
  Pruner,
  SuccessiveHalving,
  as_blockqnn,
  by_regression,
  promote_none,
)
from rlnas.spaces import BlockQNN, Chain, Joint, MultiBranch, NASNet, Recurrent
from rlnas.spaces.table import Table
from rlnas.strategies.controller import Controller
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.imitation import Imitation
from rlnas.strategies.optuna_sampler import OptunaSampler
from rlnas.strategies.ppo import PPO
from rlnas.strategies.qlearning import QLearning
from rlnas.strategies.random_search import RandomSearch
from rlnas.strategies.reinforce import Reinforce

# Whether a network is worth an evaluation.
Admits = Callable[[Architecture], bool]

SPACES: dict[str, type] = {
  'chain': Chain,
  'multibranch': MultiBranch,
  'nasnet': NASNet,
  'blockqnn': BlockQNN,
  'recurrent': Recurrent,
  'joint': Joint,
}
SEQUENCE_SPACES = ('recurrent',)  # read (time, features); the others (height, width, channels)

# Of a space, a seed, and what is worth an evaluation, for strategies that ask. Searches on real
# children see some dozens of trials, the papers thousands: learning rates are raised to match
# (BUILD_NOTES.md).
STRATEGIES: dict[str, Callable[[Table, int, Admits | None], Strategy]] = {
  'imitation': lambda table, seed, admits: Imitation(
    table, controller=Controller(table, seed=seed), admits=admits
  ),
  'reinforce': lambda table, seed, admits: Reinforce(
    table, controller=Controller(table, seed=seed), learning_rate=2.5e-3
  ),
  'ppo': lambda table, seed, admits: PPO(
    table, controller=Controller(table, seed=seed), learning_rate=1e-3, updates=4
  ),
  'qlearning': lambda table, seed, admits: QLearning(table, seed=seed),
  'evolution': lambda table, seed, admits: Evolution(table, seed=seed),
  'tpe': lambda table, seed, admits: OptunaSampler(table),
  'random': lambda table, seed, admits: RandomSearch(table),
}

REWARDS: dict[str, Reward] = {
  'linear_excess': reward.linear_excess,
  'weighted_product': reward.weighted_product,
  'absolute': reward.absolute,
  'death_penalty': reward.death_penalty,
}


# By the number of stages of a training.
PRUNERS: dict[str, Callable[[int], Pruner]] = {
  'halving': lambda stages: Pruner(stages, rule=SuccessiveHalving(), predictor=by_regression),
  'curve': lambda stages: Pruner(stages, rule=CurveExtrapolation(), predictor=by_regression),
  'blockqnn': lambda stages: Pruner(stages, rule=promote_none, predictor=as_blockqnn),
}


Chosen = TypeVar('Chosen')


def choose(flag: str, value: str, offered: Mapping[str, Chosen]) -> Chosen:
  """The entry that a flag names. Raises ValueError that lists what there is."""
  if value not in offered:
    raise ValueError(f'--{flag}={value!r}: must be one of {", ".join(offered)}')
  return offered[value]


def describe_options(space: type) -> str:
  """The options of a space with their defaults, for help texts."""
  return ', '.join(f'{f.name}={_written(f.default)}' for f in dataclasses.fields(space))


def with_options(space: type[Chosen], options: Sequence[str]) -> Chosen:
  """Builds a space from 'name=value' texts, each read after the type of its default.

  Raises:
    ValueError: no such option, or a value that is not of its type or out of its range.
  """
  defaults = {field.name: field.default for field in dataclasses.fields(cast(Any, space))}
  values: dict[str, Any] = {}
  for option in options:
    name, _, text = option.partition('=')
    if name not in defaults:
      raise ValueError(
        f'--space_option={option!r}: {space.__name__} has the options {describe_options(space)}'
      )
    try:
      values[name] = _read(text, defaults[name])
    except ValueError as error:
      raise ValueError(
        f'--space_option={option!r}: must be like {name}={_written(defaults[name])}'
      ) from error
  return space(**values)


def _written(value: Any) -> str:
  return ','.join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read(text: str, like: Any) -> Any:
  if isinstance(like, tuple):
    item = like[0] if like else 0
    return tuple(type(item)(part) for part in text.split(',') if part)
  return type(like)(text)
