"""Spaces that return something else than networks: a search needs no architecture."""

from __future__ import annotations

import collections
import hashlib
import json
import math
import re

import numpy as np
import pytest

import rlnas
from rlnas.reports.tensorboard import TensorBoard
from rlnas.search.journal import Journal, read_journal
from rlnas.strategies.surrogate import network_of
from rlnas.testing import check_space, check_strategy
from rlnas.trial import check_value, value_digest, weights_name
from tests.synthetic import BUDGET, Synthetic

WANTED = (3, 'c', True, None)


def pairs():
  """Tuples of numbers, letters, bools and None, of two lengths."""
  number = yield rlnas.Decision('number', 'number', (1, 2, 3))
  letter = yield rlnas.Decision('letter', 'letter', ('a', 'b', 'c'))
  longer = yield rlnas.Decision('longer', 'longer', (False, True))
  if not longer:
    return (number, letter)
  share = yield rlnas.Decision('reward', 'share', (0, 0.5))  # also the name of a column
  return (number, letter, longer, share or None)


TABLE = rlnas.compile_table(pairs)


class Likeness:
  """The share of the wanted items that a tuple has; failing for one tuple."""

  def __init__(self):
    self.seen = []

  def evaluate(self, value, *, seed):
    self.seen.append((value, seed))
    if value == (1, 'a'):
      raise ArithmeticError('not this one')
    right = sum(a == b for a, b in zip(value, WANTED, strict=False)) / len(WANTED)
    return rlnas.Measurement(rlnas.Status.COMPLETE, int8_validation_accuracy=right)


def strategies():
  return {
    'random': lambda table: rlnas.RandomSearch(table),
    'evolution': lambda table: rlnas.Evolution(table, population=8, sample=3),
    'local_search': lambda table: rlnas.LocalSearch(table),
    'reinforce': lambda table: rlnas.Reinforce(
      table, controller=rlnas.Controller(table, seed=0), warm_up=4, updates=1, imagined=16
    ),
  }


def search(strategy, journal, *, trials, evaluator=None, observers=()):
  return rlnas.run_search(
    strategy,
    executor=rlnas.Cached(rlnas.InProcess(evaluator or Likeness()), settings='pairs'),
    reward=rlnas.reward.linear_excess,
    budget=rlnas.UNLIMITED,
    trials=trials,
    batch=4,
    journal=journal,
    observers=observers,
  )


def timeless(path):
  """A journal's text without the times of evaluations that failed."""
  return re.sub(r'"seconds":[^,]+', '', path.read_text())


@pytest.mark.parametrize('name', strategies())
def test_every_strategy_searches_values_and_resumes_to_the_byte(name, tmp_path):
  make = strategies()[name]
  whole, parts = tmp_path / 'whole.jsonl', tmp_path / 'parts.jsonl'
  with_once = Journal(whole, configuration={'seed': 0})
  trials = search(make(TABLE), with_once, trials=20)
  with_once.close()
  for count in (12, 20):
    journal = Journal(parts, configuration={'seed': 0})
    evaluator = Likeness()
    again = search(make(TABLE), journal, trials=count, evaluator=evaluator)
    journal.close()
  assert timeless(parts) == timeless(whole)
  assert [t.proposal for t in again] == [t.proposal for t in trials]
  assert len(evaluator.seen) <= 8
  assert max(t.reward for t in trials if t.reward is not None) >= 0.75
  _, read = read_journal(whole)
  assert [t.proposal for t in read] == [t.proposal for t in trials]
  assert {type(t.proposal.value) for t in read} == {tuple}


def test_a_value_stands_in_the_journal_with_the_digest_of_its_json(tmp_path):
  journal = Journal(tmp_path / 'journal.jsonl', configuration={})
  evaluator = Likeness()
  trials = search(rlnas.RandomSearch(TABLE), journal, trials=4, evaluator=evaluator)
  journal.close()
  first = json.loads((tmp_path / 'journal.jsonl').read_text().splitlines()[1])
  value = trials[0].proposal.value
  assert first['value'] == list(value)
  assert 'architecture' not in first
  text = json.dumps(value, separators=(',', ':'))
  assert first['digest'] == hashlib.sha256(text.encode()).hexdigest() == value_digest(value)
  assert weights_name(value, 1, rlnas.Terms(), 1) != weights_name((2, 'b'), 1, rlnas.Terms(), 1)
  assert {value for value, _ in evaluator.seen} == {t.proposal.value for t in trials}
  with pytest.raises(
    ValueError, match=r'value=\(.*\): is not a network; the space must return an Arc'
  ):
    _ = trials[0].proposal.architecture


def test_the_default_strategy_knows_only_the_decisions_of_a_value():
  assert network_of(TABLE, (0, 1, 0)).traits.shape == (0,)
  assert network_of(TABLE, (0, 1, 0)).choices == (('number', 1), ('letter', 'b'), ('longer', False))
  surrogate = rlnas.strategies.surrogate.Surrogate(TABLE)
  surrogate.learn([(0, 0, 0), (1, 0, 0), (2, 0, 0), (2, 2, 0)], [0.1, 0.2, 0.3, 0.6])
  mean, deviation = surrogate.predict([(0, 0, 0), (2, 2, 1, 0)])
  assert mean[1] > mean[0]
  assert np.isfinite(deviation).all()


def test_a_strategy_keeps_its_contract_on_values():
  check_strategy(strategies()['random'], TABLE)


def test_the_suite_of_spaces_takes_those_without_networks():
  check_space(pairs, None)
  with pytest.raises(AssertionError, match=r'a walk ends with an Architecture'):
    check_space(pairs, (28, 28, 1))


Point = collections.namedtuple('Point', ['x', 'y'])


@pytest.mark.parametrize('value', ['', 'word', 0, 1.5, False, (), (1, ('a', None)), Point(1, 2)])
def test_hashable_values_that_json_can_hold_are_taken(value):
  check_value(value)
  trial = rlnas.Trial(
    0, 0, 0, rlnas.Proposal((0,), value), rlnas.Measurement(rlnas.Status.COMPLETE), 0.5
  )
  read = rlnas.Trial.from_json(trial.to_json())
  assert read == trial
  assert hash(read.proposal.value) == hash(value)
  assert read.proposal.digest == trial.proposal.digest


@pytest.mark.parametrize(
  'value',
  [
    None,
    [1],
    {'a': 1},
    ([1],),
    math.nan,
    (math.inf,),
    b'bytes',
    frozenset('ab'),
    object(),
    np.int64(3),
  ],
  ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused_when_the_space_is_compiled(value):
  def space():
    yield rlnas.Decision('a', 'a', (1, 2))
    return value

  with pytest.raises(
    ValueError, match=r'^space: a walk returned .*: must be an Architecture, or an'
  ):
    rlnas.compile_table(space)


def test_a_frame_has_a_column_for_each_decision(tmp_path):
  trials = search(rlnas.RandomSearch(TABLE), None, trials=12)
  frame = rlnas.to_dataframe(trials, table=TABLE)
  assert frame['value'].to_list() == [t.proposal.value for t in trials]
  assert frame['number'].to_list() == [t.proposal.value[0] for t in trials]
  assert frame['letter'].to_list() == [t.proposal.value[1] for t in trials]
  assert frame['longer'].to_list() == [len(t.proposal.value) == 4 for t in trials]
  assert frame['decision/reward'].isna().to_list() == [len(t.proposal.value) == 2 for t in trials]
  assert frame['reward'].to_list()[0] == trials[0].reward
  empty = rlnas.to_dataframe([], table=TABLE)
  assert empty.dtypes.equals(frame.dtypes)
  types = frame.dtypes.astype(str)
  assert types[['number', 'letter', 'longer', 'decision/reward', 'nodes']].to_list() == [
    *('Int64', 'object', 'boolean', 'float64', 'Int64')
  ]
  with pytest.raises(ValueError, match='token'):
    rlnas.to_dataframe(trials, table=rlnas.compile_table(rlnas.Chain(max_depth=2)))


def test_a_journal_of_the_command_names_its_space(tmp_path):
  table = rlnas.compile_table(rlnas.Chain(max_depth=2))
  named = {'space': 'chain', 'space_options': '{"max_depth": 2}'}
  for configuration, columns in ((named, set(table.names)), ({'space': 'own:Space'}, set())):
    path = tmp_path / f'{len(columns)}.jsonl'
    journal = Journal(path, configuration=configuration)
    trials = rlnas.run_search(
      rlnas.RandomSearch(table),
      executor=rlnas.InProcess(Synthetic()),
      reward=rlnas.reward.linear_excess,
      budget=BUDGET,
      trials=4,
      journal=journal,
    )
    journal.close()
    frame = rlnas.to_dataframe(path)
    assert set(frame) - set(rlnas.to_dataframe(trials)) == columns
    if columns:
      first = frame['layer0/filters'].to_list()
      assert first == [
        rlnas.spaces.choices_of(table, t.proposal.tokens)['layer0/filters'] for t in trials
      ]


def test_an_earlier_space_of_the_same_name_costs_the_columns_alone(tmp_path):
  table = rlnas.compile_table(rlnas.Chain(max_depth=3))
  journal = Journal(
    tmp_path / 'a.jsonl', configuration={'space': 'chain', 'space_options': '{"max_depth": 1}'}
  )
  walks = (rlnas.spaces.unrank(table, rank) for rank in range(table.size))
  walk = next(w for w in walks if len(w) == table.max_length)
  journal.add(
    rlnas.Trial(
      *(0, 0, 0),
      rlnas.Proposal(walk, rlnas.decode(table.space, walk)),
      rlnas.Measurement(rlnas.Status.COMPLETE),
      0.5,
    )
  )
  journal.close()
  assert 'layer0/filters' not in rlnas.to_dataframe(tmp_path / 'a.jsonl')


def test_observers_follow_a_search_of_values(tmp_path, capsys):
  observers = [
    TensorBoard(tmp_path, budget=rlnas.UNLIMITED, task=rlnas.TaskShape((8, 8, 1), 2), table=TABLE),
    rlnas.ProgressBar(12, budget=rlnas.UNLIMITED),
    rlnas.Progress(12, budget=rlnas.UNLIMITED),
  ]
  trials = search(rlnas.RandomSearch(TABLE), None, trials=12, observers=observers)
  for observer in observers[:2]:
    observer.close()
  best = rlnas.best_trial(trials, rlnas.UNLIMITED)
  assert best.reward == max(t.reward for t in trials if t.reward is not None)
  assert f'best {best.reward:.4f}' in capsys.readouterr().err
  assert rlnas.pareto_front(trials, rlnas.UNLIMITED) == []


def test_a_lookup_of_values():
  known = rlnas.Measurement(rlnas.Status.COMPLETE, int8_validation_accuracy=0.5)
  lookup = rlnas.Lookup({value_digest((1, 'a')): known})
  assert lookup.evaluate((1, 'a'), seed=0) is known
  with pytest.raises(ValueError, match=r"\(2, 'a'\): not in the benchmark"):
    lookup.evaluate((2, 'a'), seed=0)


def test_the_command_says_that_it_trains_networks(tmp_path, monkeypatch):
  (tmp_path / 'letters.py').write_text(
    'import rlnas\n\nclass Pairs:\n  def __call__(self):\n'
    '    return (yield rlnas.Decision("a", "a", (1, 2)))\n'
  )
  monkeypatch.chdir(tmp_path)
  config = rlnas.SearchConfig(dataset='digits', space='letters:Pairs', workdir='runs')
  with pytest.raises(ValueError, match=r'space=letters:Pairs: returns 1, not an Architecture; '):
    rlnas.run(config)


def test_unlimited_means_no_limit():
  assert str(rlnas.UNLIMITED) == 'no limit'
  assert rlnas.UNLIMITED.fits(rlnas.Resources(None, None))
  assert not rlnas.Budget(2**62, 1000).fits(rlnas.Resources(None, None))
  assert str(rlnas.Budget(2**62, 1000)) == '1,000 B SRAM'


@pytest.mark.parametrize(
  ('make', 'digest'),
  [
    (rlnas.RandomSearch, '4995e5d11da88e85346bab19a3ed95147cd0224e119cdec71c47a17f5b0989b6'),
    (
      lambda table: rlnas.Evolution(table, population=8, sample=3),
      '5f0ebd67489f0160b7ea78f3c48c0ed7ad57a77a4f3d90a9fbafd21fc5b99e20',
    ),
  ],
)
def test_journals_of_networks_have_the_bytes_that_they_always_had(make, digest, tmp_path):
  """SHA-256 of the journals that the same searches wrote when all values were architectures.

  What a journal holds by now besides is left out.
  """
  journal = Journal(tmp_path / 'journal.jsonl', configuration={'seed': 3})
  rlnas.run_search(
    make(rlnas.compile_table(rlnas.Chain(max_depth=3))),
    executor=rlnas.InProcess(Synthetic()),
    reward=rlnas.reward.linear_excess,
    budget=BUDGET,
    trials=24,
    batch=4,
    seed=3,
    journal=journal,
  )
  journal.close()
  written, added = re.subn(rb',"quality":[^,}]+', b'', journal.path.read_bytes())
  assert added == 24
  assert hashlib.sha256(written).hexdigest() == digest
