"""The arms of a comparison: strategies with their options, as one text of the command line.

random,evolution
default;default:best=3;evolution:population=50,sample=10
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from rlnas.architecture import Architecture
from rlnas.cli import choices
from rlnas.cli.build import build_strategy
from rlnas.cli.config import SearchConfig
from rlnas.interfaces import Strategy
from rlnas.spaces.table import Table

# The strategies of the command line, with its settings; 'default' is its default strategy.
STRATEGIES = {'default': SearchConfig.strategy, **{name: name for name in choices.STRATEGIES}}


@dataclasses.dataclass(frozen=True)
class Arm:
  """A strategy of a comparison.

  Attributes:
    label: the arm's own text, which names it in tables and pictures.
    strategy: a strategy that the command line offers.
    options: 'name=value' of the strategy or its controller.
  """

  label: str
  strategy: str
  options: tuple[str, ...] = ()

  def build(
    self,
    table: Table,
    *,
    seed: int,
    penalty: Callable[[Architecture], float] | None = None,
  ) -> Strategy:
    """Builds the strategy, as `build_strategy` does. Raises a ValueError that names the arm."""
    try:
      return build_strategy(self.strategy, table, seed=seed, options=self.options, penalty=penalty)
    except ValueError as error:
      raise ValueError(f'--strategies={self.label!r}: {error}') from error


def read_arms(text: str) -> tuple[Arm, ...]:
  """Reads the text of the flag --strategies; what it names twice is one arm.

  Raises:
    ValueError: there is no arm, or no such strategy or option, or a value has another type; the
      message names the arm.
  """
  arms: dict[Arm, None] = {}
  for part in filter(None, map(str.strip, text.split(';'))):
    if ':' in part:
      arms[_with_options(part)] = None
    else:
      arms.update((_arm(name, name, ()), None) for name in map(str.strip, part.split(',')))
  if not arms:
    raise ValueError(f'--strategies={text!r}: must name at least one strategy')
  return tuple(arms)


def _with_options(part: str) -> Arm:
  name, _, options = part.partition(':')
  if ',' in name:
    raise ValueError(f'--strategies={part!r}: arms with options must be separated by semicolons')
  texts: list[str] = []
  for piece in options.split(','):
    if texts and '=' not in piece:  # a further item of a tuple
      texts[-1] += f',{piece}'
    else:
      texts.append(piece.strip())
  return _arm(part, name.strip(), tuple(texts))


def _arm(label: str, name: str, options: tuple[str, ...]) -> Arm:
  arm = Arm(label, choices.choose('strategies', name, STRATEGIES), options)
  try:
    choices.strategy_options(arm.strategy, options)
  except ValueError as error:
    raise ValueError(f'--strategies={label!r}: {error}') from error
  return arm
