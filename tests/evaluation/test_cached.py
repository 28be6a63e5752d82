import dataclasses

import pytest

from rlnas.budget import Budget
from rlnas.evaluation.cached import Cached
from rlnas.evaluation.executors import InProcess
from rlnas.reward import linear_excess
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.random_search import RandomSearch
from rlnas.trial import NO_TERMS, Measurement, Status, Terms
from tests.child.test_builder import small_network
from tests.synthetic import Synthetic

NETWORKS = [small_network(filters) for filters in (4, 8, 12)]


@dataclasses.dataclass
class Counting:
  """Remembers what it was asked for; every second evaluation of 12 filters fails."""

  asked: list[tuple[str, int]] = dataclasses.field(default_factory=list)
  failing: bool = False

  def evaluate(self, architecture, *, seed):
    self.asked.append((architecture.digest, seed))
    if self.failing:
      raise ArithmeticError('broken')
    return dataclasses.replace(Synthetic().evaluate(architecture, seed=seed), seconds=7.0)


def collect(executor, count):
  return dict(executor.collect(1.0) for _ in range(count))


def test_equal_evaluations_are_made_once():
  inner = Counting()
  cached = Cached(InProcess(inner), settings='a')
  for key in range(6):
    cached.submit(key, NETWORKS[key % 2], seed=5)
  found = collect(cached, 6)
  assert sorted(found) == list(range(6))
  assert len(inner.asked) == 2
  assert cached.hits == 4
  for key, measurement in found.items():
    expected = Synthetic().evaluate(NETWORKS[key % 2], seed=5)
    assert dataclasses.replace(measurement, seconds=0.0) == dataclasses.replace(
      expected, seconds=0.0
    )
  assert sorted(m.seconds for m in found.values()) == [0, 0, 0, 0, 7, 7]


def test_another_seed_or_setting_is_another_evaluation(tmp_path):
  for settings, seed, asked in (('a', 1, 1), ('a', 2, 1), ('b', 1, 1), ('a', 1, 0)):
    inner = Counting()
    cached = Cached(InProcess(inner), settings=settings, folder=tmp_path)
    cached.submit(0, NETWORKS[0], seed=seed)
    assert collect(cached, 1)[0].status is Status.COMPLETE
    assert len(inner.asked) == asked
    assert cached.hits == 1 - asked


def test_failures_are_tried_again():
  inner = Counting(failing=True)
  cached = Cached(InProcess(inner), settings='a')
  for key in range(2):
    cached.submit(key, NETWORKS[0], seed=0)
    assert collect(cached, 1)[key].status is Status.FAILED
  assert len(inner.asked) == 2


def test_a_damaged_file_is_evaluated_anew(tmp_path):
  for _ in range(2):
    inner = Counting()
    cached = Cached(InProcess(inner), settings='a', folder=tmp_path)
    cached.submit(0, NETWORKS[0], seed=0)
    first = collect(cached, 1)[0]
    assert len(inner.asked) == 1
    (file,) = tmp_path.glob('*/*.json')
    file.write_text(file.read_text()[:20])
  assert first.status is Status.COMPLETE


def test_what_waits_for_a_withdrawn_evaluation_is_withdrawn_too():
  cached = Cached(InProcess(Counting()), settings='a')
  for key in range(4):
    cached.submit(key, NETWORKS[key // 2], seed=0)
  assert sorted(cached.withdraw()) == [0, 1, 2, 3]
  assert cached.collect(0.0) is None
  cached.submit(9, NETWORKS[0], seed=0)
  assert list(collect(cached, 1)) == [9]


@pytest.mark.parametrize('batch', [1, 4])
def test_a_search_is_the_same_with_and_without(batch):
  table = compile_table(Chain(max_depth=1, kernels=(3,), filters=(4, 8), max_strides=0))
  budget = Budget(10**6, 10**6)

  def search(executor):
    return run_search(
      RandomSearch(table),
      executor=executor,
      reward=linear_excess,
      budget=budget,
      trials=20,
      batch=batch,
    )

  def timeless(trials):
    return [
      dataclasses.replace(t, measurement=dataclasses.replace(t.measurement, seconds=0.0))
      for t in trials
    ]

  inner = Counting()
  cached = Cached(InProcess(inner), settings='a')
  with_cache = search(cached)
  assert timeless(with_cache) == timeless(search(InProcess(Counting())))
  digests = {t.proposal.architecture.digest for t in with_cache}
  assert len(inner.asked) == len(digests) < 20
  assert cached.hits == 20 - len(digests)
  fresh = Counting()
  resumed = Cached(InProcess(fresh), settings='a')
  resumed.remember(with_cache)
  assert timeless(search(resumed)) == timeless(with_cache)
  assert fresh.asked == []


@dataclasses.dataclass
class Staged:
  """Trains in two stages, and stops after the first where a threshold is above what it reaches."""

  asked: int = 0

  def evaluate(self, architecture, *, seed, terms=NO_TERMS):
    del architecture, seed
    self.asked += 1
    reached = (0.3, 0.9)
    stopped = terms.thresholds and reached[0] < terms.thresholds[0]
    curve = reached[:1] if stopped else reached
    return Measurement(Status.COMPLETE, int8_validation_accuracy=curve[-1], curve=curve)


def test_a_training_that_was_stopped_is_no_answer_where_nothing_would_stop_it():
  inner = Staged()
  cached = Cached(InProcess(inner), settings='a', stages=2)
  for key, thresholds, curve, asked in (
    (0, (0.5,), (0.3,), 1),
    (1, (), (0.3, 0.9), 2),
    (2, (), (0.3, 0.9), 2),
    (3, (0.2,), (0.3, 0.9), 2),
    (4, (0.5,), (0.3,), 2),
  ):
    cached.submit(key, NETWORKS[0], seed=0, terms=Terms(thresholds))
    assert collect(cached, 1)[key].curve == curve
    assert inner.asked == asked


def test_records_of_measurements_round_trip():
  measurement = Measurement(Status.INFEASIBLE, macs=3, latency_ms=0.5, detail='too large')
  assert Measurement.from_record(measurement.to_record()) == measurement
