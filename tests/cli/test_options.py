from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from rlnas.cli import choices
from rlnas.cli.options import options_of, read_options
from rlnas.strategies.controller import Controller


@dataclasses.dataclass(frozen=True)
class Everything:
  """Has an option of each type.

  Attributes:
    whole: a whole number, whose text goes on
      in a second line.
    share: a share.
    on: a switch.
    name: a name.
    sizes: whole numbers.
    limit: a limit, or None.
    plan: pairs of numbers.
    pair: two numbers.
    nothing: only None so far.
    hook: no text stands for it.
  """

  whole: int = 1
  share: float = 0.5
  on: bool = False
  name: str = 'a'
  sizes: tuple[int, ...] = (1, 2)
  limit: int | None = None
  plan: Sequence[tuple[float, int]] = ((1.0, 2),)
  pair: tuple[int, int] = (3, 5)
  nothing: None = None
  hook: Callable[[], int] | None = None


OPTIONS = options_of(Everything)


@pytest.mark.parametrize(
  ('text', 'value'),
  [
    ('whole=-3', -3),
    ('share=1e-3', 0.001),
    ('on=true', True),
    ('on=No', False),
    ('name=b=c', 'b=c'),
    ('sizes=8,16', (8, 16)),
    ('sizes=8', (8,)),
    ('limit=None', None),
    ('pair=1,2', (1, 2)),
    ('nothing=None', None),
    ('limit=4', 4),
    ('plan=[[0.5,3],[0.1,1]]', ((0.5, 3), (0.1, 1))),
  ],
)
def test_texts_are_read_by_the_type_of_the_argument(text, value):
  (read,) = read_options('option', [text], OPTIONS, of='it').values()
  assert read == value
  assert type(read) is type(value)


@pytest.mark.parametrize(
  'text', ['whole=1.5', 'share=half', 'on=maybe', 'sizes=a', 'plan=x', 'whole']
)
def test_another_type_is_refused_with_an_example(text):
  name = text.split('=')[0]
  with pytest.raises(ValueError, match=f'option=.*: must be of type .*, like {name}='):
    read_options('option', [text], OPTIONS, of='it')


def test_what_no_text_stands_for_is_no_option():
  assert 'hook' not in OPTIONS


def test_texts_come_from_the_docstring():
  assert OPTIONS['whole'].text == 'a whole number, whose text goes on in a second line.'
  assert OPTIONS['plan'].text == 'pairs of numbers.'


def test_every_option_that_is_offered_is_documented():
  for name in choices.SPACES:
    for option in options_of(choices.find('space', name)).values():
      assert option.text, (name, option.name)
  for name in choices.STRATEGIES:
    for options in choices.options_of_strategy(name):
      for option in options.values():
        assert option.text, (name, option.name)
  for name in choices.REWARDS:
    for option in options_of(choices.find('reward', name)).values():
      assert option.text, (name, option.name)


def test_units_and_layers_go_to_the_controller():
  read = choices.strategy_options('zoph_le', ['units=8', 'layers=1', 'entropy_weight=0.1'])
  assert read.controller == {'units': 8, 'layers': 1}
  assert read.strategy == {'learning_rate': 2.5e-3, 'entropy_weight': 0.1}
  assert set(options_of(Controller)) >= {'units', 'layers'}
