"""The names that the command line offers, and the class or function of each: add new ones here.

Modules are named and not imported, so the command line starts at once.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from rlnas.cli.options import Option, as_tuples, did_you_mean, options_of, read_options
from rlnas.search.fidelity import (
  CurveExtrapolation,
  Pruner,
  SuccessiveHalving,
  as_blockqnn,
  by_regression,
  promote_none,
)
from rlnas.spaces.decision import Space
from rlnas.spaces.preprocessed import Preprocessed
from rlnas.spaces.preprocessed_sound import PreprocessedSound

Chosen = TypeVar('Chosen')

SPACES: Mapping[str, str] = {
  'chain': 'rlnas.spaces.chain:Chain',
  'multibranch': 'rlnas.spaces.multibranch:MultiBranch',
  'nasnet': 'rlnas.spaces.nasnet:NASNet',
  'blockqnn': 'rlnas.spaces.blockqnn:BlockQNN',
  'temporal': 'rlnas.spaces.temporal:Temporal',
  'recurrent': 'rlnas.spaces.recurrent:Recurrent',
  'joint': 'rlnas.spaces.joint:Joint',
  'autoencoder': 'rlnas.spaces.autoencoder:Autoencoder',
  'conv_autoencoder': 'rlnas.spaces.conv_autoencoder:ConvAutoencoder',
}
ANOMALY_SPACE = 'autoencoder'  # of an anomaly detection that names no space
# The space of any other search that names none, by the number of axes of an example: sequences
# (time, features), and images (height, width, channels).
DEFAULT_SPACES: Mapping[int, str] = {2: 'temporal', 3: 'chain'}
STRATEGIES: Mapping[str, str] = {
  'reinforce': 'rlnas.strategies.reinforce:Reinforce',
  'zoph_le': 'rlnas.strategies.zoph_le:ZophLe',
  'ppo': 'rlnas.strategies.ppo:PPO',
  'qlearning': 'rlnas.strategies.qlearning:QLearning',
  'evolution': 'rlnas.strategies.evolution:Evolution',
  'local_search': 'rlnas.strategies.local_search:LocalSearch',
  'tpe': 'rlnas.strategies.optuna_sampler:OptunaSampler',
  'random': 'rlnas.strategies.random_search:RandomSearch',
}
# A search with real training has a few dozen trials, the papers have thousands: so the learning
# rates are higher (docs/results.md).
STRATEGY_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
  'zoph_le': {'learning_rate': 2.5e-3},
  'ppo': {'learning_rate': 1e-3, 'updates': 4},
}
REWARDS: Mapping[str, str] = {
  'linear_excess': 'rlnas.reward:linear_excess',
  'weighted_product': 'rlnas.reward:weighted_product',
  'absolute': 'rlnas.reward:absolute',
  'death_penalty': 'rlnas.reward:death_penalty',
}
# Each makes a pruner for a number of stages.
PRUNERS: Mapping[str, Callable[[int], Pruner]] = {
  'halving': lambda stages: Pruner(stages, rule=SuccessiveHalving(), predictor=by_regression),
  'curve': lambda stages: Pruner(stages, rule=CurveExtrapolation(), predictor=by_regression),
  'blockqnn': lambda stages: Pruner(stages, rule=promote_none, predictor=as_blockqnn),
}
_OFFERED = {'space': SPACES, 'strategy': STRATEGIES, 'reward': REWARDS}
# Arguments that the search gives to a strategy, if its signature has them.
GIVEN = ('table', 'controller', 'seed', 'admits', 'penalty', 'earlier')
# Options of --preprocess that the data decide: those of sequences of floats, and of sound.
SEQUENCE_OF_DATA, SOUND_OF_DATA = ('steps', 'features'), ('clip_ms', 'sample_rate')
_CONTROLLER = 'rlnas.strategies.controller:Controller'
# An option of every strategy. A class that has no argument `admits` is wrapped
# (`rlnas.strategies.admitting`).
_ADMITS = Option(
  'admits',
  'bool',
  True,
  'whether to propose only networks that may fit the budget, by the estimate; if not, networks '
  'that miss it are trials with a penalty.',
)


def check_one_of(name: str, value: str, offered: Collection[str]) -> None:
  """Raises a ValueError that lists all names if `value` is not one of them."""
  if value not in offered:
    listed = ', '.join(offered)
    raise ValueError(f'{name}={value!r}: must be one of {listed}{did_you_mean(value, offered)}')


def choose(flag: str, value: str, offered: Mapping[str, Chosen]) -> Chosen:
  """The entry that a flag names. Raises a ValueError that lists all names."""
  check_one_of(f'--{flag}', value, offered)
  return offered[value]


def check_name(kind: str, value: str) -> None:
  """Checks the name of a space, strategy or reward without importing it. Raises ValueError."""
  if ':' in value:
    module, _, name = value.partition(':')
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split('.')):
      raise ValueError(f'{kind}={value!r}: must be package.module:Name')
  elif value not in _OFFERED[kind]:
    listed = ', '.join(_OFFERED[kind])
    raise ValueError(
      f'{kind}={value!r}: must be one of {listed}, or package.module:Name'
      f'{did_you_mean(value, _OFFERED[kind])}'
    )


def find(kind: str, value: str) -> Any:
  """The space, strategy or reward of a name.

  A user's own module may be in the current folder, as with `python -m`.

  Raises:
    ValueError: there is no such name, or its module cannot be imported.
  """
  check_name(kind, value)
  module, _, name = _OFFERED[kind].get(value, value).partition(':')
  if ':' in value and os.getcwd() not in sys.path:
    sys.path.insert(0, os.getcwd())
  try:
    imported = importlib.import_module(module)
  except ModuleNotFoundError as error:
    if error.name is not None and (module == error.name or module.startswith(f'{error.name}.')):
      raise ValueError(f'{kind}={value!r}: there is no module {error.name}') from error
    raise
  if not hasattr(imported, name):
    raise ValueError(f'{kind}={value!r}: module {module} has no {name}')
  found = getattr(imported, name)
  if not callable(found):
    raise ValueError(f'{kind}={value!r}: is {found!r}; must be callable')
  return found


def space_options(name: str, texts: Sequence[str]) -> dict[str, Any]:
  """The keyword arguments of a space. Raises ValueError; see `read_options`."""
  space = find('space', name)
  return read_options('space_option', texts, options_of(space), of=name)


@dataclasses.dataclass(frozen=True)
class StrategyOptions:
  """Keyword arguments of a strategy, and of its controller.

  Attributes:
    strategy: arguments of the strategy.
    controller: arguments of its controller.
    admits: whether the strategy proposes only networks that may fit the budget.
    wrapped: whether it needs `Admitting` for that.
  """

  strategy: dict[str, Any]
  controller: dict[str, Any]
  admits: bool
  wrapped: bool

  def recorded(self) -> str:
    """The text for a journal's header, as `recorded` writes it.

    It names `admits` only if it differs from the default behaviour of the class. So journals from
    before this option still match the searches that continue them, and no others.
    """
    differs = {'admits': self.admits} if self.admits == self.wrapped else {}
    return recorded({**self.controller, **self.strategy, **differs})


def strategy_options(name: str, texts: Sequence[str]) -> StrategyOptions:
  """The keyword arguments that texts set, or that the command line sets by default.

  Raises:
    ValueError: no such option, or a value of another type.
  """
  own, of_controller = options_of_strategy(name)
  values = read_options('strategy_option', texts, {**of_controller, **own}, of=name)
  admits = values.pop(_ADMITS.name, _ADMITS.default)
  defaults = STRATEGY_DEFAULTS.get(name, {})
  return StrategyOptions(
    strategy={**defaults, **{k: v for k, v in values.items() if k in own}},
    controller={k: v for k, v in values.items() if k not in own},
    admits=admits,
    wrapped=_ADMITS.name not in inspect.signature(find('strategy', name)).parameters,
  )


def options_of_strategy(name: str) -> tuple[dict[str, Option], dict[str, Option]]:
  """The options of a strategy, with the command line's defaults, and those of its controller."""
  strategy = find('strategy', name)
  own = options_of(strategy, without=GIVEN)
  for key, value in STRATEGY_DEFAULTS.get(name, {}).items():
    own[key] = dataclasses.replace(own[key], default=value)
  own[_ADMITS.name] = _ADMITS
  if 'controller' not in inspect.signature(strategy).parameters:
    return own, {}
  module, _, controller = _CONTROLLER.partition(':')
  found = getattr(importlib.import_module(module), controller)
  return own, options_of(found, without=('tables', 'seed'))


def preprocess_options(texts: Sequence[str]) -> dict[str, Any]:
  """The keyword arguments of `preprocessed`. Raises ValueError; see `read_options`."""
  of_data = {
    name: Option(name, 'int', 'that of the data', '')
    for name in (*SEQUENCE_OF_DATA, *SOUND_OF_DATA)
  }
  options = {**of_data, **options_of(Preprocessed), **options_of(PreprocessedSound)}
  return read_options('preprocess_option', texts, options, of='preprocess')


def preprocessed(space: Space, arguments: Mapping[str, Any]) -> Space:
  """The space whose networks also decide what they read, by what the data are.

  Args:
    space: decides the networks behind that.
    arguments: options of --preprocess with those that the data decide; without these `space` is
      returned as it is.

  Raises:
    ValueError: an option is out of its range.
  """
  if arguments.keys() >= set(SOUND_OF_DATA):
    return PreprocessedSound(space, **arguments)
  return Preprocessed(space, **arguments) if arguments.keys() >= set(SEQUENCE_OF_DATA) else space


def reward_options(name: str, texts: Sequence[str]) -> dict[str, Any]:
  """The keyword arguments of a reward. Raises ValueError; see `read_options`."""
  return read_options('reward_option', texts, options_of(find('reward', name)), of=name)


def recorded(options: Mapping[str, Any]) -> str:
  """Options as a journal's header records them: JSON by name, '' for none."""
  return json.dumps(options, sort_keys=True) if options else ''


def recorded_options(kind: str, name: str, text: str) -> dict[str, Any]:
  """The keyword arguments that `recorded` wrote, or 'name=value' texts of older journals.

  Raises:
    ValueError: they are not options of that name.
  """
  if not text.startswith('{'):
    options = options_of(find(kind, name))
    return read_options(f'{kind}_option', text.split(), options, of=name)
  return recorded_arguments(text)


def recorded_arguments(text: str) -> dict[str, Any]:
  """The keyword arguments that `recorded` wrote."""
  return {key: as_tuples(value) for key, value in json.loads(text).items()}
