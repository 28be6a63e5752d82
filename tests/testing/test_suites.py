"""Each suite passes a sound implementation, and names the rule that a broken one breaks."""

import ast
import dataclasses
import inspect
import subprocess
import sys

import pytest

from rlnas import testing
from rlnas.evaluation.executors import InProcess
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.testing import check_evaluator, check_executor, check_space, check_strategy
from rlnas.testing.executor import Probe, check_close_gives_up_what_is_under_way, network
from rlnas.testing.space import (
  check_count_equals_enumeration,
  check_table_agrees_with_generator,
  random_walks,
)
from tests.testing import broken_spaces
from tests.testing.broken_evaluators import EVALUATORS, IgnoresItsSeed, WithoutInt8
from tests.testing.broken_executors import EXECUTORS, FinishesOnClose
from tests.testing.broken_spaces import SPACES
from tests.testing.broken_strategies import STRATEGIES, Sound, SoundPreparing

TABLE = compile_table(Chain(max_depth=3))
SHAPE = (28, 28, 1)
NETWORKS = tuple(map(network, range(3)))


@pytest.mark.parametrize('sound', [Sound, SoundPreparing])
def test_a_sound_strategy_passes(sound):
  check_strategy(sound, TABLE)


@pytest.mark.parametrize(('broken', 'rule'), STRATEGIES.items())
def test_a_broken_strategy_is_named(broken, rule):
  with pytest.raises(AssertionError, match=rule):
    check_strategy(broken, TABLE)


@pytest.mark.parametrize('space', [broken_spaces.sound, broken_spaces.of_one_network])
def test_a_sound_space_passes(space):
  check_space(space, SHAPE)
  check_space(Chain(), SHAPE, small=space)


@pytest.mark.parametrize(('broken', 'rule'), SPACES.items())
def test_a_broken_space_is_named(broken, rule):
  with pytest.raises(AssertionError, match=rule):
    check_space(broken, SHAPE)


def test_a_space_that_is_not_small_is_refused():
  with pytest.raises(ValueError, match=r'small: \d+ sequences: must be at most 20000'):
    check_space(broken_spaces.sound, SHAPE, small=Chain())


def check_table(table):
  check_table_agrees_with_generator(table, random_walks(broken_spaces.sound))


@pytest.mark.parametrize(
  ('check', 'field', 'change', 'rule'),
  [
    (check_table, 'hold', lambda t: ~t.hold, 'agrees with the generator'),
    (
      check_table,
      'symbol',
      lambda t: t.symbol[:, ::-1],
      'agrees with the generator on what a choice means',
    ),
    (check_count_equals_enumeration, 'max_length', lambda t: 99, 'max_length is the length'),
  ],
)
def test_a_table_that_is_not_that_of_its_space_is_named(check, field, change, rule):
  table = compile_table(broken_spaces.sound)
  check(table)
  with pytest.raises(AssertionError, match=rule):
    check(dataclasses.replace(table, **{field: change(table)}))


def test_a_sound_evaluator_passes():
  check_evaluator(Probe(), NETWORKS)
  check_evaluator(IgnoresItsSeed(), NETWORKS, uses_seed=False)
  check_evaluator(WithoutInt8(), NETWORKS, measures_all=False, processes=False)


@pytest.mark.parametrize(('broken', 'rule'), EVALUATORS.items())
def test_a_broken_evaluator_is_named(broken, rule):
  with pytest.raises(AssertionError, match=rule):
    check_evaluator(broken(), NETWORKS)


def test_a_seed_that_decides_something_is_found_where_none_should():
  with pytest.raises(AssertionError, match='the seed decides nothing'):
    check_evaluator(Probe(), NETWORKS, uses_seed=False)


def test_one_architecture_is_not_enough():
  with pytest.raises(ValueError, match='architectures: 1 given: must be at least 2'):
    check_evaluator(Probe(), NETWORKS[:1])


def test_a_sound_executor_passes():
  check_executor(InProcess)


@pytest.mark.parametrize(('broken', 'rule'), EXECUTORS.items())
def test_a_broken_executor_is_named(broken, rule):
  with pytest.raises(AssertionError, match=rule):
    check_executor(broken, patience=0.5)


@pytest.mark.slow
def test_an_executor_that_finishes_on_close_is_named():
  with pytest.raises(AssertionError, match='close does not wait for evaluations'):
    check_close_gives_up_what_is_under_way(FinishesOnClose, slow_seconds=0.5)


@pytest.mark.parametrize('kind', ['evaluator', 'executor', 'space', 'strategy'])
def test_a_whole_suite_runs_every_check_of_its_kind(kind):
  module, whole = getattr(testing, kind), f'check_{kind}'
  checks = {name for name in vars(module) if name.startswith('check_')} - {whole}
  tree = ast.parse(inspect.getsource(getattr(module, whole)))
  called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and hasattr(n.func, 'id')}
  assert len(checks) >= 5
  assert checks <= called


def test_suites_need_no_pytest_and_no_assert_statement():
  code = (
    'import sys\n'
    'from rlnas import compile_table, testing\n'
    'from tests.testing import broken_spaces\n'
    'testing.check_executor, testing.check_evaluator, testing.check_strategy\n'
    'testing.check_space(broken_spaces.sound, (8, 8, 1))\n'
    'try:\n'
    '  testing.check_space(broken_spaces.of_one_name, (8, 8, 1))\n'
    'except AssertionError as error:\n'
    '  print(error, "pytest" in sys.modules, sys.flags.optimize)\n'
  )
  command = [sys.executable, '-O', '-c', code]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  assert (
    done.stdout == "names are unique within a walk; found names=['filters', 'filters'] False 1\n"
  )
