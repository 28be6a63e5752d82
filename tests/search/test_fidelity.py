"""Who is trained further, what the others are worth, and that timing has no say in it."""

import dataclasses
import math

import numpy as np
import pytest

from rlnas.architecture import Graph
from rlnas.budget import Budget
from rlnas.evaluation.cached import Cached
from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.reward import linear_excess
from rlnas.search.fidelity import (
  WINDOW,
  CurveExtrapolation,
  Pruner,
  SuccessiveHalving,
  as_blockqnn,
  by_regression,
  promote_none,
)
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import Chain, layers
from rlnas.spaces.table import compile_table
from rlnas.strategies.evolution import Evolution
from rlnas.trial import NO_TERMS, Measurement, Proposal, Status, Terms, Trial
from tests.child.test_builder import small_network

TABLE = compile_table(Chain(max_depth=3))
BUDGET = Budget(10**6, 10**6)


@dataclasses.dataclass(frozen=True)
class Staged:
  """Three stages of a training that is a formula: wide networks learn more, and later."""

  seconds: float = 0.0

  def evaluate(self, architecture, *, seed, terms: Terms = NO_TERMS):
    import time

    time.sleep(self.seconds * (1 + seed % 3))
    filters = sum(dict(node.attributes).get('filters', 0) for node in architecture.nodes)
    final = filters / (filters + 30)
    curve = []
    for stage, slowness in enumerate((0.5, 0.25, 0.0)):
      curve.append(final * (1 - slowness * final) - seed % 7 * 1e-3 * slowness)
      if stage < len(terms.thresholds) and curve[-1] < terms.thresholds[stage]:
        break
    return Measurement(
      Status.COMPLETE,
      validation_accuracy=curve[-1],
      int8_validation_accuracy=curve[-1],
      flash_bytes=1000 + filters,
      sram_bytes=1000,
      sram_source='analytic',
      macs=1000 * (1 + filters),
      parameters=1 + filters,
      curve=tuple(curve),
    )


def trial(index, measurement, architecture=None):
  proposal = Proposal((0,), architecture or small_network())
  return Trial(index, index, 0, proposal, measurement, 0.5)


def halving_pruner(predictor=by_regression):
  return Pruner(3, rule=SuccessiveHalving(), predictor=predictor)


def search(executor, *, trials=60, journal=None, pruner=None):
  return run_search(
    Evolution(TABLE, population=8, sample=3),
    executor=executor,
    reward=linear_excess,
    budget=BUDGET,
    trials=trials,
    batch=4,
    pruner=pruner or halving_pruner(),
    journal=journal,
  )


def timeless(trials):
  return [
    dataclasses.replace(t, measurement=dataclasses.replace(t.measurement, seconds=0.0))
    for t in trials
  ]


def test_the_bar_is_the_worst_of_the_best_third_of_those_who_came_so_far():
  curves = [(x / 10, x / 5) for x in range(3)] + [(x / 10,) for x in (9, 7, 0.5, 5, 3, 8)]
  # Nine at the first stage: the three best are 0.9, 0.8 and 0.7; three at the second.
  assert SuccessiveHalving()(curves, stages=3) == (0.7, 0.4)
  assert SuccessiveHalving()(curves[:2], stages=3) == (0.0, 0.0)


def test_the_bar_is_higher_where_too_many_went_on():
  curves = [(x / 10, x / 5) for x in range(6)] + [(0.9,), (0.05,), (0.95,)]
  # Six of nine went on, twice the third: a sixth of them may now.
  assert SuccessiveHalving()(curves, stages=2) == (0.95,)
  # Of four that all went on, a ninth may: less than one of them, but the best always does.
  assert SuccessiveHalving()(curves[:4], stages=2) == (0.3,)


def test_only_the_latest_are_judged_against():
  old = [(0.9, 0.9)] * 100
  new = [(x / WINDOW, 1.0) for x in range(WINDOW)]
  (threshold,) = SuccessiveHalving(0.5)(old + new, stages=2)
  assert threshold == 0.75  # all of them went on, so that a quarter may


def test_a_curve_is_stopped_where_it_cannot_end_among_the_best():
  rng = np.random.default_rng(0)
  early = rng.uniform(0.2, 0.8, 40)
  final = 0.3 + 0.5 * early + rng.normal(0, 0.01, 40)
  curves = list(zip(early, final, strict=True))
  (threshold,) = CurveExtrapolation()(curves, stages=2)
  early, final = early[-WINDOW:], final[-WINDOW:]
  slope, level = np.polyfit(early, final, 1)
  # A standard deviation of grace below the tenth of 32.
  target = np.sort(final)[-10] - np.std(final - level - slope * early)
  assert threshold == pytest.approx((target - level) / slope)


def test_every_stage_has_a_bar_of_its_own():
  curves = [(x / 20, x / 20 + 0.1, x / 10 + 0.1) for x in range(9)]
  assert CurveExtrapolation()(curves, stages=3) == pytest.approx((0.3, 0.4))
  # Less than one of eight still leaves the best.
  assert CurveExtrapolation(0.1)(curves[:8], stages=3) == pytest.approx((0.35, 0.45))
  assert CurveExtrapolation()(curves[:7], stages=3) == (0.0, 0.0)


def test_a_curve_that_tells_nothing_stops_nobody():
  levels = np.linspace(0.2, 0.8, 10)
  assert CurveExtrapolation()([(x, 0.5) for x in levels], stages=2) == (0.0,)
  assert CurveExtrapolation()([(0.5, x) for x in levels], stages=2) == (0.0,)
  assert CurveExtrapolation()([(x, 1 - x) for x in levels], stages=2) == (0.0,)


def test_a_bar_is_an_accuracy():
  early = np.linspace(0.4, 0.6, 9)
  final = 0.5 + 0.05 * early
  final[4] += 0.3
  curves = list(zip(early, final, strict=True))
  assert CurveExtrapolation(0.1)(curves, stages=2) == (1.0,)
  assert CurveExtrapolation(0.9)(curves, stages=2) == (0.0,)


def test_those_that_were_never_trained_are_not_compared_with():
  seen = []

  def rule(curves, *, stages):
    seen.extend(curves)
    return (0.5,) * (stages - 1)

  told = [
    trial(0, Measurement(Status.FAILED)),
    trial(1, dataclasses.replace(BLANK, curve=(0.4,))),
    trial(2, Measurement(Status.INFEASIBLE)),
    trial(3, dataclasses.replace(BLANK, curve=(0.6, 0.8))),
  ]
  pruner = Pruner(2, rule=rule, predictor=as_blockqnn)
  assert pruner.thresholds(told) == (0.5,)
  assert seen == [(0.4,), (0.6, 0.8)]
  assert pruner.predicted_accuracy(small_network(), BLANK, told) is None


def test_what_was_stopped_is_foretold_from_those_at_the_top():
  """Accuracy at the end is linear in what the regression sees, so it must find it again."""
  rng = np.random.default_rng(1)

  def measurement(stages):
    early, macs = rng.uniform(0.3, 0.8), int(math.exp(rng.uniform(9, 15)))
    final = 0.2 + 0.5 * early + 0.02 * math.log(macs)
    curve = (early, final)[:stages]
    known = dataclasses.replace(BLANK, curve=curve, macs=macs, parameters=100)
    return dataclasses.replace(known, int8_validation_accuracy=curve[-1]), final

  told = [trial(i, measurement(2)[0]) for i in range(60)]
  stopped, final = measurement(1)
  pruner = Pruner(2, rule=SuccessiveHalving(), predictor=by_regression)
  predicted = pruner.predicted_accuracy(small_network(), stopped, told)
  assert predicted == pytest.approx(final, abs=0.02)  # the ridge shrinks towards the mean
  assert abs(predicted - final) < abs(stopped.curve[0] - final)
  assert pruner.predicted_accuracy(small_network(), stopped, told[:5]) is None
  assert pruner.predicted_accuracy(small_network(), measurement(2)[0], told) is None


def line(early, *, slope=0.5):
  """Completed trials of unknown size, whose final accuracies are linear in their early ones."""
  blank = dataclasses.replace(BLANK, macs=None, parameters=None)
  return [
    trial(i, dataclasses.replace(blank, curve=(x, 0.0), int8_validation_accuracy=0.2 + slope * x))
    for i, x in enumerate(early)
  ]


def foretold(early, told):
  measurement = Measurement(Status.COMPLETE, int8_validation_accuracy=early, curve=(early,))
  return by_regression(small_network(), measurement, told, stages=2)


def test_the_regression_shrinks_slopes_by_its_ridge():
  early = np.linspace(0.2, 0.8, 64) ** 2
  expected = 0.2 + 0.5 * early.mean() + 0.5 / 1.1 * (0.5 - early.mean())
  told = line(early)
  assert foretold(0.5, told) == pytest.approx(expected)
  # Neither trials before the latest 64 change it, nor those without a result at the end.
  stopped = dataclasses.replace(BLANK, curve=(0.9,), int8_validation_accuracy=0.1)
  unquantized = dataclasses.replace(stopped, curve=(0.9, 0.1), int8_validation_accuracy=None)
  others = [trial(0, m) for m in (stopped, unquantized, Measurement(Status.FAILED))]
  assert foretold(0.5, line([0.1, 0.9], slope=-1) + told + others) == pytest.approx(expected)


def test_a_prediction_needs_eight_trials_and_is_an_accuracy():
  early = np.linspace(0.2, 0.4, 8)
  assert foretold(0.3, line(early)) == pytest.approx(0.35)
  assert foretold(0.3, line(early[:7])) is None
  assert foretold(1.0, line(early, slope=2)) == 1
  assert foretold(1.0, line(early, slope=-2)) == 0


BLANK = Measurement(Status.COMPLETE, int8_validation_accuracy=0.8, macs=2_000_000, parameters=10)


def test_blockqnn_prefers_the_smaller_of_two_equal_networks():
  pruner = Pruner(2, rule=promote_none, predictor=as_blockqnn)
  assert pruner.thresholds([]) == (math.inf,)
  small = dataclasses.replace(BLANK, curve=(0.8,))
  large = dataclasses.replace(small, macs=20_000_000)
  worth = [pruner.predicted_accuracy(small_network(), m, []) for m in (small, large)]
  assert worth[0] - worth[1] == pytest.approx(0.01 * math.log(10))


def test_blockqnn_by_hand():
  graph = Graph()
  x = layers.conv(graph, graph.input, filters=4, kernel=3)
  x = graph.add('add', x, layers.conv(graph, x, filters=4, kernel=3))
  network = graph.finish(graph.classify(x))
  operations = len(network.nodes) - 1
  density = 0.08 * math.log((operations + 1) / operations)  # an edge each, and two into the sum

  def foretold(accuracy, macs):
    measurement = dataclasses.replace(BLANK, int8_validation_accuracy=accuracy, macs=macs)
    return as_blockqnn(network, measurement, [], stages=2)

  assert foretold(0.8, 2_000_000) == pytest.approx(0.8 - 0.01 * math.log(2) - density)
  assert foretold(0.8, None) == pytest.approx(0.8 - 0.01 * math.log(1e-3) - density)
  assert foretold(0.01, 2 * 10**9) == 0
  assert foretold(0.99, 1000) == 1
  assert foretold(None, 1000) is None


def test_a_ladder_spares_training_and_ends_well():
  trials = search(InProcess(Staged()))
  reached = [len(t.measurement.curve) for t in trials]
  assert reached.count(1) > 25
  assert reached.count(3) >= 8
  for t in trials:
    assert t.reward == linear_excess(t.rewarded_measurement, BUDGET)
    stopped_after_warm_up = len(t.measurement.curve) < 3 and t.index >= 40
    assert (t.predicted_accuracy is not None) or not stopped_after_warm_up
    if t.predicted_accuracy is not None:
      assert t.reward == t.predicted_accuracy != t.measurement.int8_validation_accuracy
  best = max(trials, key=lambda t: t.reward)
  assert len(best.measurement.curve) == 3 or best.predicted_accuracy is not None


def test_a_search_on_a_ladder_resumes_to_the_same_journal(tmp_path):
  whole = Journal(tmp_path / 'whole.jsonl', configuration={})
  search(InProcess(Staged()), journal=whole)
  whole.close()
  part = Journal(tmp_path / 'part.jsonl', configuration={})
  search(InProcess(Staged()), trials=28, journal=part)
  part.close()
  again = Journal(tmp_path / 'part.jsonl', configuration={})
  search(InProcess(Staged()), journal=again)
  again.close()
  assert (tmp_path / 'part.jsonl').read_bytes() == (tmp_path / 'whole.jsonl').read_bytes()


@pytest.mark.nightly
@pytest.mark.parametrize('workers', [2, 4])
def test_the_number_of_workers_has_no_say(workers):
  alone = search(InProcess(Staged()))
  pool = WorkerPool(Staged(seconds=0.01), workers=workers)
  together = search(pool)
  pool.close()
  assert timeless(together) == timeless(alone)


@dataclasses.dataclass
class Counting:
  """Staged, and counts what it evaluates."""

  asked: int = 0

  def evaluate(self, architecture, *, seed, terms: Terms = NO_TERMS):
    self.asked += 1
    return Staged().evaluate(architecture, seed=seed, terms=terms)


def test_a_cache_answers_as_an_evaluation_would(tmp_path):
  inner = Counting()
  cached = Cached(InProcess(inner), settings='a', folder=tmp_path)
  reference = Staged()
  network = small_network(16)
  climbed = reference.evaluate(network, seed=1).curve
  high, low = climbed[0] + 0.01, 0.0
  asked = []
  for key, thresholds in enumerate([(high, low), (low, low), (high, high), (low, low), (low, 1.0)]):
    cached.submit(key, network, seed=1, terms=Terms(thresholds))
    found = cached.collect(1.0)
    assert found == (key, reference.evaluate(network, seed=1, terms=Terms(thresholds)))
    asked.append(inner.asked)
  # Stopped at the first stage, the top, known, known, stopped at the second stage.
  assert asked == [1, 2, 2, 2, 3]


@pytest.mark.parametrize(
  'make',
  [
    lambda: SuccessiveHalving(0.0),
    lambda: SuccessiveHalving(1.0),
    lambda: CurveExtrapolation(0.0),
    lambda: CurveExtrapolation(1.0),
  ],
)
def test_a_share_is_between_none_and_all(make):
  with pytest.raises(ValueError, match=r'share=.*: must lie in \(0, 1\)'):
    make()


def test_a_ladder_has_two_stages():
  with pytest.raises(ValueError, match='stages=1: must be at least 2'):
    Pruner(1, rule=SuccessiveHalving())
