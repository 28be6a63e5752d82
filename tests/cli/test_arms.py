import re

import pytest

from rlnas.cli import choices
from rlnas.cli.arms import STRATEGIES, Arm, read_arms
from rlnas.cli.build import build_strategy
from rlnas.cli.config import SearchConfig
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.admitting import Admitting
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.local_search import LocalSearch

TABLE = compile_table(Chain(max_depth=2))


def plain(*names: str) -> tuple[Arm, ...]:
  return tuple(Arm(name, STRATEGIES[name]) for name in names)


@pytest.mark.parametrize(
  ('text', 'arms'),
  [
    ('random', plain('random')),
    ('random,evolution', plain('random', 'evolution')),
    (' random , evolution ', plain('random', 'evolution')),
    ('random;evolution;', plain('random', 'evolution')),
    ('random,random', plain('random')),
    (
      'default;default:elite=3',
      (*plain('default'), Arm('default:elite=3', SearchConfig.strategy, ('elite=3',))),
    ),
    (
      'evolution:population=50,sample=10',
      (Arm('evolution:population=50,sample=10', 'evolution', ('population=50', 'sample=10')),),
    ),
    (
      'qlearning:schedule=[[1.0,50],[0.1,1]],replays=3;random',
      (
        Arm(
          'qlearning:schedule=[[1.0,50],[0.1,1]],replays=3',
          'qlearning',
          ('schedule=[[1.0,50],[0.1,1]]', 'replays=3'),
        ),
        *plain('random'),
      ),
    ),
    ('reinforce:units=8', (Arm('reinforce:units=8', 'reinforce', ('units=8',)),)),
  ],
)
def test_the_text_of_the_flag_is_read(text, arms):
  assert read_arms(text) == arms


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('', 'must name at least one strategy'),
    (' ; ', 'must name at least one strategy'),
    ('luck', "--strategies='luck': must be one of default"),
    ('random,', "--strategies='': must be one of default"),
    ('random,evolution:sample=3', 'arms with options must be separated by semicolons'),
    (
      'random;evolution:popul=50',
      "--strategies='evolution:popul=50': strategy_option='popul=50': evolution has the options",
    ),
    (
      'evolution:population=many',
      "--strategies='evolution:population=many': strategy_option='population=many': must be of "
      'type int, like population=20',
    ),
    ('evolution:', "--strategies='evolution:': strategy_option=''"),
  ],
)
def test_a_mistake_names_the_arm_the_option_and_the_rule(text, words):
  with pytest.raises(ValueError, match=re.escape(words)):
    read_arms(text)


def test_a_value_out_of_range_names_the_arm_too():
  (arm,) = read_arms('evolution:sample=30')
  with pytest.raises(
    ValueError, match=r"--strategies='evolution:sample=30': .*sample=30: must lie"
  ):
    arm.build(TABLE, seed=0)


def test_what_does_not_ask_the_estimate_itself_is_wrapped():
  def penalty(architecture) -> float:
    return 0.0

  wrapped = build_strategy('evolution', TABLE, seed=0, penalty=penalty)
  assert isinstance(wrapped, Admitting)
  off = build_strategy('evolution', TABLE, seed=0, options=('admits=false',), penalty=penalty)
  assert isinstance(off, Evolution)
  assert isinstance(build_strategy('evolution', TABLE, seed=0), Evolution)
  assert isinstance(build_strategy('local_search', TABLE, seed=0, penalty=penalty), LocalSearch)


@pytest.mark.parametrize(
  ('strategy', 'options', 'recorded'),
  [
    # Searches from before the option: random search proposed anything, local search what may fit.
    ('random', ('admits=false',), ''),
    ('local_search', (), ''),
    ('local_search', ('admits=true',), ''),
    # Searches of another course.
    ('random', (), '{"admits": true}'),
    ('evolution', ('sample=3',), '{"admits": true, "sample": 3}'),
    ('reinforce', ('admits=false',), '{"admits": false}'),
  ],
)
def test_a_journal_tells_searches_of_another_course_apart(strategy, options, recorded):
  assert choices.strategy_options(strategy, options).recorded() == recorded
