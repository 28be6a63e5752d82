import dataclasses
import json

import numpy as np
import pytest

from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.reward import linear_excess
from rlnas.search.journal import Journal, JournalError, read_journal
from rlnas.search.loop import SearchError, run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.random_search import RandomSearch
from rlnas.trial import Proposal, Status, Trial
from tests.synthetic import BUDGET, Synthetic

TABLE = compile_table(Chain(max_depth=3))


class Recorder:
  """A strategy and observer that writes down in which order things happen."""

  def __init__(self):
    self.strategy = RandomSearch(TABLE)
    self.events = []

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    self.events.append(('ask', count))
    return self.strategy.ask(count, rng)

  def tell(self, trials):
    self.events.append(('tell', [t.index for t in trials]))
    return {'told': float(len(trials))}

  def on_trial(self, trial: Trial):
    self.events.append(('trial', trial.index))

  def on_batch(self, trials, scalars):
    self.events.append(('batch', [t.index for t in trials], scalars))


def search(executor=None, strategy=None, **options):
  settings = {'reward': linear_excess, 'budget': BUDGET, 'trials': 12, 'batch': 4, 'seed': 3}
  return run_search(
    strategy or RandomSearch(TABLE),
    executor=executor or InProcess(Synthetic()),
    **settings | options,
  )


def timeless(trials):
  return [
    dataclasses.replace(t, measurement=dataclasses.replace(t.measurement, seconds=0.0))
    for t in trials
  ]


def test_batches_overlap_by_the_lag_and_are_told_in_order():
  recorder = Recorder()
  search(strategy=recorder, observers=[recorder], trials=10, lag=1)
  order = [e for e in recorder.events if e[0] in ('ask', 'tell')]
  assert order == [
    ('ask', 4),
    ('ask', 4),
    ('tell', [0, 1, 2, 3]),
    ('ask', 4),
    ('tell', [4, 5, 6, 7]),
    ('tell', [8, 9]),
  ]
  assert [e[1] for e in recorder.events if e[0] == 'trial'] == list(range(10))
  assert recorder.events[-1] == ('batch', [8, 9], {'told': 2.0})


def test_without_lag_every_batch_is_told_before_the_next_is_asked():
  recorder = Recorder()
  search(strategy=recorder, lag=0)
  assert [e[0] for e in recorder.events] == ['ask', 'tell'] * 3


class LastFirst(InProcess):
  def collect(self, timeout):
    self._queue.rotate()
    return super().collect(timeout)


class Live(Recorder):
  def on_arrival(self, trial: Trial):
    self.events.append(('arrival', trial.index))


def test_a_live_observer_hears_of_a_trial_when_it_is_done(tmp_path):
  live = Live()
  trials = search(LastFirst(Synthetic()), observers=[live], trials=8, lag=0)
  order = [event[:2] for event in live.events if event[0] != 'batch']
  assert order == [
    *(('arrival', index) for index in (3, 2, 1, 0)),
    *(('trial', index) for index in range(4)),
    *(('arrival', index) for index in (7, 6, 5, 4)),
    *(('trial', index) for index in range(4, 8)),
  ]
  assert timeless(trials) == timeless(search(trials=8, lag=0))
  journal = tmp_path / 'journal.jsonl'
  search(trials=4, journal=Journal(journal, configuration={}))
  live.events.clear()
  search(trials=8, observers=[live], journal=Journal(journal, configuration={}), lag=0)
  arrived = {event[1] for event in live.events if event[0] == 'arrival'}
  assert arrived == {4, 5, 6, 7}  # those of the journal were not evaluated


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing():
  expected = timeless(search(trials=16, lag=1))
  for workers in (1, 3):
    pool = WorkerPool(Synthetic(seconds=0.02), workers=workers)
    assert timeless(search(pool, trials=16, lag=1)) == expected
    pool.close()


@pytest.mark.parametrize('kept', [0, 1, 5, 8, 11, 12])
def test_a_search_resumes_from_any_line_of_its_journal(tmp_path, kept):
  whole = tmp_path / 'whole.jsonl'
  search(journal=Journal(whole, configuration={'seed': 3}))
  part = tmp_path / 'part.jsonl'
  lines = whole.read_text().splitlines(keepends=True)
  part.write_text(''.join(lines[: 1 + kept]) + '{"torn')

  class Counting:
    calls = 0

    def evaluate(self, architecture, *, seed):
      Counting.calls += 1
      return Synthetic().evaluate(architecture, seed=seed)

  search(InProcess(Counting()), journal=Journal(part, configuration={'seed': 3}))
  assert Counting.calls == 12 - kept
  assert part.read_text() == whole.read_text()


def long_search(path, trials=700, seed=3):
  strategy = Evolution(TABLE, population=10)
  journal = Journal(path, configuration={})
  search(strategy=strategy, journal=journal, trials=trials, batch=2, seed=seed)
  journal.close()


@pytest.mark.slow
def test_a_long_journal_is_folded_without_proposing_all_of_it_again(tmp_path):
  whole, part = tmp_path / 'whole.jsonl', tmp_path / 'part.jsonl'
  long_search(whole)
  lines = whole.read_text().splitlines(keepends=True)
  part.write_text(''.join(lines[:650]))
  long_search(part)
  assert part.read_text() == whole.read_text()
  for place in (1, 512, 640):  # in the beginning, at the end, and where one between is looked at
    record = json.loads(lines[place])
    others = map(json.loads, lines[1:])
    other = next(o for o in others if o['tokens'] != record['tokens'])
    record |= {name: other[name] for name in ('tokens', 'architecture', 'digest')}
    part.write_text(''.join([*lines[:place], json.dumps(record) + '\n', *lines[place + 1 :]]))
    with pytest.raises(JournalError, match=f'trial {place - 1} has tokens'):
      long_search(part)


def test_a_finished_search_can_be_made_longer(tmp_path):
  path = tmp_path / 'journal.jsonl'
  search(journal=Journal(path, configuration={}), trials=6)
  longer = search(journal=Journal(path, configuration={}), trials=12)
  assert timeless(longer) == timeless(search(trials=12))


def test_a_journal_of_other_proposals_is_refused(tmp_path):
  path = tmp_path / 'journal.jsonl'
  search(journal=Journal(path, configuration={}))
  with pytest.raises(JournalError, match='trial 0 has tokens'):
    search(journal=Journal(path, configuration={}), seed=4)


def test_a_child_that_raises_is_recorded_and_the_search_goes_on(tmp_path):
  path = tmp_path / 'journal.jsonl'
  trials = search(InProcess(Synthetic(fault='raise')), journal=Journal(path, configuration={}))
  failed = [t for t in trials if t.measurement.status is Status.FAILED]
  assert 0 < len(failed) < len(trials)
  assert all(t.reward is None for t in failed)
  assert 'ArithmeticError: poolings' in failed[0].measurement.detail
  assert read_journal(path)[1] == list(trials)


def test_a_search_that_has_enough_finishes_what_runs_and_resumes(tmp_path):
  def enough(trials) -> bool:
    return len(trials) >= 8

  whole = search(trials=40, lag=1)
  path = tmp_path / 'journal.jsonl'
  trials = search(trials=40, lag=1, enough=enough, journal=Journal(path, configuration={}))
  assert timeless(trials) == timeless(whole[:12])  # two batches of 4, and the one that ran
  content = path.read_bytes()
  again = search(trials=40, lag=1, enough=enough, journal=Journal(path, configuration={}))
  assert again == trials
  assert path.read_bytes() == content


@pytest.mark.slow
def test_a_worker_that_dies_is_recorded_and_the_search_goes_on():
  pool = WorkerPool(Synthetic(fault='kill'), workers=2)
  trials = search(pool)
  pool.close()
  failed = {t.index for t in trials if t.measurement.status is Status.FAILED}
  raising = search(InProcess(Synthetic(fault='raise')))
  assert failed == {t.index for t in raising if t.measurement.status is Status.FAILED}
  died = [t for t in trials if t.index in failed]
  assert all(
    'the worker process died (exit code -9; a negative code is a signal), twice'
    in t.measurement.detail
    for t in died
  )


def test_a_search_whose_every_child_fails_stops_and_says_why(tmp_path):
  class Broken:
    def evaluate(self, architecture, *, seed):
      raise OSError('no data')

  path = tmp_path / 'journal.jsonl'
  with pytest.raises(SearchError, match=r'12 trials failed one after the other.*OSError: no data'):
    search(InProcess(Broken()), trials=40, journal=Journal(path, configuration={}))
  assert len(read_journal(path)[1]) == 12, 'nothing told is lost'
  mended = search(trials=40, journal=Journal(path, configuration={}))
  assert [t.reward is None for t in mended] == [True] * 12 + [False] * 28


def test_failures_that_lie_further_back_than_the_last_ones_are_named(tmp_path):
  """Most of a large batch fails, but none of its last trials."""

  class BrokenAtFirst:
    asked = 0

    def evaluate(self, architecture, *, seed):
      self.asked += 1
      if self.asked <= 27:
        raise OSError('no data')
      return Synthetic().evaluate(architecture, seed=seed)

  with pytest.raises(SearchError, match=r'27 of 40 trials failed, trial 26 with: OSError: no data'):
    search(InProcess(BrokenAtFirst()), trials=40, batch=40)


@pytest.mark.parametrize('journaled', [True, False])
@pytest.mark.parametrize(
  ('change', 'earned', 'cause'),
  [
    ({'flash_bytes': 1000.0}, 0.5, 'flash_bytes=1000.0: must be int | None'),
    ({'macs': True}, 0.5, 'macs=True: must be int | None'),
    ({}, True, 'reward=True: must be float | None'),
    ({}, None, 'reward=None: does not go with status complete'),
  ],
)
def test_what_a_journal_would_refuse_is_a_failure(tmp_path, journaled, change, earned, cause):
  @dataclasses.dataclass
  class Odd:
    asked: int = 0

    def evaluate(self, architecture, *, seed):
      self.asked += 1
      measurement = Synthetic().evaluate(architecture, seed=seed)
      return dataclasses.replace(measurement, **change) if self.asked == 2 else measurement

  evaluator = Odd()
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration={}) if journaled else None

  def reward(measurement, budget):
    usual = evaluator.asked != 2 or change
    return linear_excess(measurement, budget) if usual else earned

  trials = search(InProcess(evaluator), journal=journal, reward=reward, batch=1, lag=0)
  (failed,) = [t for t in trials if t.measurement.status is Status.FAILED]
  assert failed.index == 1
  assert cause in failed.measurement.detail
  if journal:
    journal.close()
    assert read_journal(path)[1] == list(trials)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda proposals: proposals[1:], r'ask\(4\) gave 3 proposals: must give 4'),
    (lambda proposals: [*proposals, proposals[0]], r'ask\(4\) gave 5 proposals'),
    (
      lambda proposals: [dataclasses.replace(p, tokens=(np.int64(0),)) for p in proposals],
      'must be of type int',
    ),
    (
      lambda proposals: [dataclasses.replace(p, log_prob=float('nan')) for p in proposals],
      'log_prob=nan: must be finite',
    ),
  ],
)
def test_wrong_proposals_are_refused_at_once(change, message):
  class Careless(RandomSearch):
    def ask(self, count, rng):
      return change(super().ask(count, rng))

  with pytest.raises(ValueError, match=message):
    search(strategy=Careless(TABLE))


@pytest.mark.parametrize(
  ('option', 'message'),
  [
    ({'trials': 0}, 'trials=0: must be at least 1'),
    ({'batch': 0}, 'batch=0: must be at least 1'),
    ({'lag': -1}, 'lag=-1: must be at least 0'),
  ],
)
def test_bad_settings_are_named(option, message):
  with pytest.raises(ValueError, match=message):
    search(**option)
