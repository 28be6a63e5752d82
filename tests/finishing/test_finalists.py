"""The last round: who is trained fully, what is kept, and who wins."""

import collections
import dataclasses
import json
import math
import shutil

import pytest

from rlnas.board import BOARDS
from rlnas.budget import Budget
from rlnas.cost.latency import instruction_count, latency_ms
from rlnas.data import loaders
from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.finishing.choice import Prefer
from rlnas.finishing.evaluator import Training
from rlnas.finishing.finalists import (
  Candidate,
  Finalist,
  FinalistFile,
  finish_candidates,
  rank_trials,
  timed,
)
from rlnas.finishing.plan import Plan, Teaching
from rlnas.finishing.recipe import Recipe
from rlnas.finishing.winner import finish_best, write_winner
from rlnas.reward import linear_excess
from rlnas.search.loop import SearchError
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_accuracy
from rlnas.trial import Measurement, Proposal, Status, Trial
from tests.child.test_builder import small_network

DIGITS = loaders.take(loaders.digits(), 300)
BUDGET = Budget(flash_bytes=20_000, sram_bytes=9_000)


def trial(index, *, accuracy, flash=3_000, filters=None, sram=4_000):
  architecture = small_network(4 + index if filters is None else filters)
  measured = Measurement(
    Status.COMPLETE,
    validation_accuracy=accuracy,
    int8_validation_accuracy=accuracy,
    flash_bytes=flash,
    sram_bytes=sram,
    macs=1000,
  )
  reward = linear_excess(measured, BUDGET)
  return Trial(index, index, index, Proposal((index,), architecture), measured, reward)


TRIALS = [
  trial(0, accuracy=0.80, flash=5_000),
  trial(1, accuracy=0.95, flash=30_000),  # too large
  trial(2, accuracy=0.90, flash=9_000),
  trial(3, accuracy=0.89, flash=9_500),
  trial(4, accuracy=0.88, flash=8_000),
  trial(5, accuracy=0.90, flash=9_000, filters=6),  # the network of trial 2
]
FAILED = Trial(6, 6, 6, Proposal((6,), small_network(10)), Measurement(Status.FAILED), None)


def test_half_are_the_best_and_half_come_from_the_front():
  order = [t.index for t in rank_trials([*TRIALS, FAILED], BUDGET, top=3)]
  assert order == [2, 3, 4, 0]  # 3 has the second reward, 4 is the next of the front
  assert [t.index for t in rank_trials(TRIALS, BUDGET, top=2)] == [2, 4, 3, 0]
  assert [t.index for t in rank_trials(TRIALS, BUDGET, top=9)] == [2, 3, 4, 0]
  assert rank_trials(TRIALS[1:2], BUDGET, top=1) == []
  with pytest.raises(ValueError, match='top=0: must be at least 1'):
    rank_trials(TRIALS, BUDGET, top=0)


def test_networks_follow_in_the_order_of_their_rewards():
  rewards = (0.5, -0.5, 0.0, 0.9)
  trials = [dataclasses.replace(trial(i, accuracy=0.5), reward=r) for i, r in enumerate(rewards)]
  assert [t.index for t in rank_trials(trials, BUDGET, top=1)] == [3, 0, 2, 1]


MEASURED = Measurement(
  Status.COMPLETE,
  validation_accuracy=0.75,
  int8_validation_accuracy=0.5,
  flash_bytes=3,
  seconds=1.5,
)


def test_a_finalist_scores_by_its_quantized_accuracy_then_by_that_of_the_float_network():
  def score(**accuracies):
    measured = dataclasses.replace(MEASURED, **accuracies)
    return Finalist(Candidate(0, small_network(), 0), 'a', measured).score

  assert score() == (0.5, 0.75)
  assert score(int8_validation_accuracy=None) == (0, 0.75)
  assert score(validation_accuracy=None) == (0.5, 0)


def test_a_stored_finalist_is_found_with_its_model(tmp_path):
  network = small_network()
  finalist = Finalist(Candidate(3, network, 7, 'taught'), 'a', MEASURED)
  store = FinalistFile(tmp_path)
  store.add(finalist)
  store.close()
  assert json.loads((tmp_path / 'finalists.jsonl').read_text()) == {
    'name': 'a',
    'trial': 3,
    'seed': 7,
    'note': 'taught',
    'digest': network.digest,
    'measurement': {**MEASURED.to_record(), 'curve': []},  # JSON has no tuples
  }
  store = FinalistFile(tmp_path)
  model = tmp_path / 'a.tflite'
  assert store.find('a', model) is None  # the model is missing
  model.write_bytes(b'123')
  assert store.find('a', model) == MEASURED
  assert store.find('b', model) is None
  model.write_bytes(b'12')
  assert store.find('a', model) is None  # another model, or a part of it
  unknown = dataclasses.replace(MEASURED, int8_validation_accuracy=math.nan)
  with pytest.raises(ValueError, match='JSON'):
    store.add(dataclasses.replace(finalist, measurement=unknown))


def test_a_line_that_was_not_finished_is_cut_off(tmp_path):
  path = tmp_path / 'finalists.jsonl'
  lines = [Finalist(Candidate(0, small_network(), 0), n, MEASURED).to_json() + '\n' for n in 'ab']
  path.write_text(lines[0] + lines[1][:40])
  FinalistFile(tmp_path).close()
  assert path.read_text() == lines[0]
  path.write_text(lines[0][:40])
  FinalistFile(tmp_path).close()
  assert path.read_text() == ''


class Measuring:
  """As `Finishing`, but a network is named by its seed and needs no training."""

  def __init__(self, folder):
    self.folder = folder

  def name(self, training, *, seed):
    return str(seed)

  def model_path(self, name):
    return self.folder / name

  def evaluate(self, training, *, seed):
    if seed == 13:
      raise FloatingPointError('diverged')
    self.model_path(str(seed)).write_bytes(bytes(seed))
    return dataclasses.replace(MEASURED, flash_bytes=seed)


class LastFirst(InProcess):
  def collect(self, timeout):
    self._queue.rotate()
    return super().collect(timeout)


def test_candidates_are_finished_once_and_returned_in_their_order(tmp_path):
  evaluator, store, heard = Measuring(tmp_path), FinalistFile(tmp_path), []

  def finish(seeds, executor=LastFirst):
    heard.clear()
    candidates = [Candidate(i, small_network(), seed) for i, seed in enumerate(seeds)]
    return finish_candidates(
      candidates,
      [Training(c.architecture, 5, 5) for c in candidates],
      evaluator,
      executor(evaluator),
      store,
      on_finished=lambda finalist: heard.append(finalist.candidate.seed),
    )

  first = finish([5, 13, 6])
  assert [f.candidate.seed for f in first] == [5, 13, 6]
  assert [f.name for f in first] == ['5', '13', '6']
  assert [f.measurement.flash_bytes for f in first] == [5, None, 6]
  assert heard == [6, 13, 5]
  store.close()
  store = FinalistFile(tmp_path)
  # What failed was not stored, and is tried again; stored ones are heard first.
  again = finish([7, 5, 13, 6])
  assert heard == [5, 6, 13, 7]
  assert [f.measurement.status is Status.FAILED for f in again] == [False, False, True, False]
  assert again[1].measurement == first[0].measurement
  store.close()
  store = FinalistFile(tmp_path)
  assert len(finish([5, 6, 7], executor=Refusing)) == 3
  assert finish_candidates([], [], evaluator, Refusing(evaluator), store) == []


def test_a_finalist_takes_the_time_of_its_own_network():
  finalist = Finalist(Candidate(0, small_network(), 0), 'a', MEASURED)
  speed = BOARDS['nucleo-f446re'].speed
  expected = latency_ms(small_network(), DIGITS.task, speed=speed)
  count = instruction_count(small_network(), DIGITS.task, speed=speed)
  measured = dataclasses.replace(MEASURED, latency_ms=expected, instructions=count)
  assert expected > 0
  assert timed(finalist, DIGITS.task, speed) == dataclasses.replace(finalist, measurement=measured)
  assert timed(finalist, DIGITS.task, None) == finalist


def finished(folder=None, *, trials=TRIALS, budget=BUDGET, seed=0, **options):
  plan = options.pop('plan', Plan(Recipe(2), top=2, seeds=2))
  return finish_best(trials, DIGITS, budget, plan=plan, seed=seed, folder=folder, **options)


@pytest.fixture(scope='module', name='folder')
def _folder(tmp_path_factory):
  """Where the winner was finished; no test changes it."""
  return tmp_path_factory.mktemp('finalists')


@pytest.fixture(scope='module', name='winner')
def _winner(folder):
  return finished(folder)


def without_times(finalists):
  return [
    dataclasses.replace(f, measurement=dataclasses.replace(f.measurement, seconds=0.0))
    for f in finalists
  ]


@pytest.mark.slow
def test_the_winner_is_the_best_on_validation_data_and_tested_once(winner):
  assert sorted((f.candidate.trial, f.candidate.note) for f in winner.finalists) == [
    (2, ''),
    (2, 'seed 2'),
    (4, ''),
    (4, 'seed 2'),
  ]
  reached = [f.measurement.int8_validation_accuracy for f in winner.finalists]
  assert reached[1:] == sorted(reached[1:], reverse=True)
  assert max(reached) - 0.002 <= winner.int8_validation_accuracy == reached[0]
  assert (winner.prefer, winner.on_front[0]) == (Prefer.BALANCED, True)
  assert winner.why
  assert winner.trial.index == winner.finalists[0].candidate.trial
  assert winner.architecture == winner.trial.proposal.architecture
  x, y = DIGITS.x_test, DIGITS.y_test
  assert winner.int8_test_accuracy == int8_accuracy(winner.model, x, y, scaling=DIGITS.scaling)
  low, high = winner.int8_test_interval
  assert 0 < low < winner.int8_test_accuracy < high < 1
  assert winner.footprint == measure(winner.model)


@pytest.mark.nightly
def test_worker_processes_change_nothing(winner):
  def pool(evaluator):
    return WorkerPool(evaluator, workers=2)

  other = finished(executor_factory=pool)
  assert other.model == winner.model
  assert without_times(other.finalists) == without_times(winner.finalists)


class Counting(InProcess):
  submitted = 0

  def submit(self, *arguments, **options):
    Counting.submitted += 1
    super().submit(*arguments, **options)


@pytest.mark.nightly
def test_another_finishing_of_the_same_search_is_equal(winner):
  again = finished()
  assert again.model == winner.model
  assert without_times(again.finalists) == without_times(winner.finalists)


@pytest.mark.slow
def test_what_is_finished_is_not_trained_again(winner, folder, tmp_path, monkeypatch):
  first = winner
  shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
  monkeypatch.setattr(Counting, 'submitted', 0)
  again = finished(tmp_path, executor_factory=Counting)
  assert Counting.submitted == 0
  assert (again.model, again.finalists) == (first.model, first.finalists)
  path = tmp_path / 'finalists.jsonl'
  lines = path.read_text().splitlines(keepends=True)
  assert len(lines) == 4
  path.write_text(''.join(lines[:2]) + lines[2][:40])  # killed while it wrote
  resumed = finished(tmp_path, executor_factory=Counting)
  assert Counting.submitted == 2
  assert without_times(resumed.finalists) == without_times(first.finalists)
  assert len(path.read_text().splitlines()) == 4
  (tmp_path / f'{first.finalists[0].name}.tflite').unlink()
  assert finished(tmp_path, executor_factory=Counting).model == first.model
  assert Counting.submitted == 3
  finished(tmp_path, executor_factory=Counting, plan=Plan(Recipe(1), top=1))
  assert Counting.submitted == 4  # other settings are other finalists


@pytest.mark.slow
def test_the_next_takes_the_place_of_one_that_no_longer_fits():
  """Two filters make a file of some 3 KB; 200 take more than what its trial claims."""
  claims = trial(0, accuracy=0.99, flash=2_000, filters=200)
  small = trial(1, accuracy=0.5, flash=3_000, filters=2)
  budget = dataclasses.replace(BUDGET, flash_bytes=4_500)
  plan = Plan(Recipe(1), top=1)
  winner = finished(trials=[claims, small], budget=budget, plan=plan)
  assert winner.trial.index == 1
  assert winner.footprint.flash_bytes <= 4_500
  with pytest.raises(SearchError, match='none of 1 feasible networks could be finished'):
    finished(trials=[claims], budget=budget, plan=plan)


@pytest.mark.slow
@pytest.mark.parametrize(
  'teaching', [Teaching.ENSEMBLE, pytest.param(Teaching.WIDE, marks=pytest.mark.nightly)]
)
def test_the_best_are_taught(teaching, tmp_path):
  plan = Plan(Recipe(2), top=2, teaching=teaching)
  heard = []
  taught = finished(tmp_path, plan=plan, on_finished=heard.append)
  assert len(heard) == plan.finalists
  by_note = collections.Counter(f.candidate.note for f in taught.finalists)
  assert by_note == {'': 2, 'taught': 2}
  alone = {f.candidate.trial: f.name for f in taught.finalists if not f.candidate.note}
  models = {f.candidate.trial: f.name for f in taught.finalists if f.candidate.note}
  for index, name in models.items():
    files = [(tmp_path / f'{n}.tflite').read_bytes() for n in (name, alone[index])]
    assert files[0] != files[1]
    assert len(files[0]) == len(files[1])
  teachers = [f for f in heard if f.candidate.note == 'teacher']
  assert len(teachers) == (teaching is Teaching.WIDE)
  most = max(f.measurement.parameters for f in taught.finalists)
  assert all(t.measurement.parameters > most for t in teachers)
  again = finished(tmp_path, plan=plan, executor_factory=Refusing)
  assert again.model == taught.model


@pytest.mark.slow
def test_the_best_is_pruned_beside(tmp_path):
  plan = Plan(Recipe(2), top=1, prune=0.5)
  speed = BOARDS['nucleo-f446re'].speed
  winner = finished(tmp_path, plan=plan, speed=speed)
  by_note = {f.candidate.note: f for f in winner.finalists}
  assert set(by_note) == {'', 'pruned by 0.5'}
  whole, less = by_note[''], by_note['pruned by 0.5']
  assert less.measurement.parameters < whole.measurement.parameters
  model = (tmp_path / f'{less.name}.tflite').read_bytes()
  assert len(model) == less.measurement.flash_bytes < whole.measurement.flash_bytes
  # Each has the latency of its own network, not that of the trial that both stem from.
  for f in winner.finalists:
    own = latency_ms(f.candidate.architecture, DIGITS.task, speed=speed)
    assert f.measurement.latency_ms == own
  assert less.measurement.latency_ms < whole.measurement.latency_ms
  assert winner.latency_ms == winner.finalists[0].measurement.latency_ms
  write_winner(winner, TRIALS, BUDGET, tmp_path, dataset=DIGITS, seconds=1.0)
  result = json.loads((tmp_path / 'result.json').read_text())
  assert result['best']['latency_ms'] == winner.latency_ms
  assert winner.architecture == winner.finalists[0].candidate.architecture
  assert len(winner.model) == winner.finalists[0].measurement.flash_bytes
  again = finished(tmp_path, plan=plan, executor_factory=Refusing)
  assert again.model == winner.model
  assert again.latency_ms is None  # of an unknown board
  with pytest.raises(ValueError, match=r'prune=1: must lie in \(0, 1\)'):
    Plan(Recipe(1), prune=1)


class Refusing(InProcess):
  def submit(self, *arguments, **options):
    raise AssertionError('all were finished before')


def test_a_preference_that_does_not_exist_is_named_before_anything_is_trained():
  with pytest.raises(ValueError, match="prefer='best': must be one of accuracy, balanced, smal"):
    finished(executor_factory=Refusing, prefer='best')


def test_nothing_feasible_is_an_error():
  with pytest.raises(SearchError, match='none of 1 trials fits 20,000 B flash, 9,000 B SRAM'):
    finished(trials=TRIALS[1:2])


@pytest.mark.slow
def test_the_files_tell_all(winner, tmp_path):
  write_winner(winner, TRIALS, BUDGET, tmp_path, dataset=DIGITS, seconds=1.0)
  result = json.loads((tmp_path / 'result.json').read_text())
  assert result['best']['input'] == {
    'shape': [8, 8, 1],
    'type': 'uint8',
    'features': [],
    'offset': 0.0,
    'scale': 16.0,
    'limit': None,
  }
  assert result['best']['int8_test_interval'] == list(winner.int8_test_interval)
  assert [f['trial'] for f in result['finalists']] == [f.candidate.trial for f in winner.finalists]
  assert (tmp_path / 'best' / 'model.tflite').read_bytes() == winner.model


@pytest.mark.parametrize('damaged', [b'{"name": "a"}\n', b'\xff\n', b'[]\n'])
def test_a_damaged_file_is_named_and_released(tmp_path, damaged):
  path = tmp_path / 'finalists.jsonl'
  path.write_bytes(damaged)
  with pytest.raises(ValueError, match='remove the line') as error:
    FinalistFile(tmp_path)
  path.write_bytes(b'')
  FinalistFile(tmp_path).close()  # while `error` keeps the first one alive
  assert f'{path}:1: not a finalist' in str(error.value)


def test_two_processes_do_not_share_a_folder(tmp_path):
  store = FinalistFile(tmp_path)
  with pytest.raises(ValueError, match='another process is finishing this search'):
    FinalistFile(tmp_path)
  store.close()
  FinalistFile(tmp_path).close()


@pytest.mark.parametrize('name', ['top', 'seeds'])
def test_bad_plans_are_refused(name):
  with pytest.raises(ValueError, match=f'{name}=0: must be at least 1'):
    Plan(Recipe(1), **{name: 0})
