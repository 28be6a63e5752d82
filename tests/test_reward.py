import dataclasses
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rlnas.budget import Budget, Resources
from rlnas.reward import (
  WORST_RATIO,
  absolute,
  death_penalty,
  is_feasible,
  linear_excess,
  weighted_product,
)
from rlnas.trial import Measurement, Status

BUDGET = Budget(flash_bytes=1000, sram_bytes=200)
REWARDS = (linear_excess, weighted_product, absolute, death_penalty)
EXACT = (linear_excess, weighted_product, death_penalty)
UNKNOWN = Measurement(Status.INFEASIBLE, detail='no arena is large enough')

accuracies = st.floats(0, 1)
sizes = st.integers(1, 2**40)
budgets = st.builds(Budget, flash_bytes=sizes, sram_bytes=sizes)


def child(flash, sram, accuracy=0.8, status=Status.COMPLETE):
  return Measurement(status, int8_validation_accuracy=accuracy, flash_bytes=flash, sram_bytes=sram)


@pytest.mark.parametrize(
  ('measurement', 'feasible'),
  [
    (child(1000, 200), True),
    (child(1, 1), True),
    (child(1001, 200), False),
    (child(1000, 201), False),
    (child(None, 200), False),
    (child(1000, None), False),
    (child(1000, 200, status=Status.INFEASIBLE), False),
    (child(1000, 200, status=Status.FAILED), False),
    (UNKNOWN, False),
  ],
)
def test_feasible_is_complete_and_within_the_budget(measurement, feasible):
  assert is_feasible(measurement, BUDGET) is feasible


# Worked out by hand for an accuracy of 0.8 and the budget (1000, 200).
@pytest.mark.parametrize(
  ('reward', 'flash', 'sram', 'expected'),
  [
    (linear_excess, 1000, 200, 0.8),
    (linear_excess, 10, 20, 0.8),
    (linear_excess, 2000, 200, 0.8 - math.log(2)),
    (linear_excess, 1100, 50, 0.8 - math.log(1.1)),
    (linear_excess, 4000, 300, 0.8 - math.log(4) - math.log(1.5)),
    (linear_excess, 16_000, 1, 0.8 - math.log(16)),
    (linear_excess, 99_000, 1, 0.8 - math.log(16)),
    (weighted_product, 1000, 200, 0.8),
    (weighted_product, 10, 20, 0.8),
    (weighted_product, 2000, 200, 0.4),
    (weighted_product, 2000, 800, 0.1),
    (weighted_product, 500, 400, 0.4),
    (weighted_product, 99_000, 1, 0.05),
    (absolute, 1000, 200, 0.8),
    (absolute, 500, 200, 0.75),
    (absolute, 500, 300, 0.7),
    (absolute, 2000, 100, 0.65),
    (absolute, 99_000, 200, -0.7),
    (death_penalty, 1000, 200, 0.8),
    (death_penalty, 1001, 200, 0.0),
    (death_penalty, 1000, 201, 0.0),
  ],
)
def test_closed_forms(reward, flash, sram, expected):
  assert reward(child(flash, sram), BUDGET) == pytest.approx(expected, abs=1e-12)


def test_parameters():
  over = child(2000, 100)
  assert linear_excess(over, BUDGET, weight=0.5) == pytest.approx(0.8 - 0.5 * math.log(2))
  assert linear_excess(over, BUDGET, weight=0.0) == 0.8
  # MnasNet's soft form: 2 ** -0.07 for flash, (1/2) ** -0.07 for SRAM cancel.
  assert weighted_product(over, BUDGET, w_below=-0.07, w_above=-0.07) == pytest.approx(0.8)
  assert weighted_product(over, BUDGET, w_above=-2) == pytest.approx(0.2)
  assert weighted_product(over, BUDGET, w_below=-1, w_above=0) == pytest.approx(1.6)
  assert absolute(over, BUDGET, beta=-0.07) == pytest.approx(0.8 - 0.07 * 1.5)
  assert absolute(over, BUDGET, beta=0.0) == 0.8


def test_the_soft_exponent_trades_as_the_paper_says():
  """Section 3.1: twice the latency for 5 % more accuracy earns about the same."""
  one = weighted_product(child(500, 200, 0.7), BUDGET, w_below=-0.07, w_above=-0.07)
  two = weighted_product(child(1000, 200, 0.7 * 1.05), BUDGET, w_below=-0.07, w_above=-0.07)
  assert one == pytest.approx(two, rel=2e-3)


def test_close_to_the_limit_linear_excess_is_linear():
  assert linear_excess(child(1001, 200), BUDGET) == pytest.approx(0.8 - 0.001, abs=1e-6)


@pytest.mark.parametrize(
  ('reward', 'options', 'message'),
  [
    (linear_excess, {'weight': -0.1}, 'weight=-0.1: must be'),
    (linear_excess, {'weight': math.inf}, 'weight=inf: must be'),
    (linear_excess, {'weight': math.nan}, 'weight=nan: must be'),
    (weighted_product, {'w_below': 0.1}, r'w_below=0.1: must lie in \[-10, 0\]'),
    (weighted_product, {'w_above': -11}, 'w_above=-11: must lie'),
    (weighted_product, {'w_above': math.nan}, 'w_above=nan: must lie'),
    (absolute, {'beta': 0.07}, 'beta=0.07: must be'),
    (absolute, {'beta': -math.inf}, 'beta=-inf: must be'),
    (absolute, {'beta': math.nan}, 'beta=nan: must be'),
  ],
)
def test_bad_parameters_are_named(reward, options, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    reward(child(1000, 200), BUDGET, **options)


@pytest.mark.parametrize('reward', REWARDS)
def test_a_failed_evaluation_has_no_reward(reward):
  for failed in (Measurement(Status.FAILED), child(10, 10, status=Status.FAILED)):
    with pytest.raises(ValueError, match="status='failed': has no reward"):
      reward(failed, BUDGET)


@pytest.mark.parametrize('reward', REWARDS)
@pytest.mark.parametrize('accuracy', [math.nan, -0.1, 1.1, math.inf])
def test_an_accuracy_that_is_none_is_refused(reward, accuracy):
  with pytest.raises(ValueError, match=f'int8_validation_accuracy={accuracy}: must lie'):
    reward(child(10, 10, accuracy), BUDGET)


@pytest.mark.parametrize(
  ('reward', 'expected'),
  [
    (linear_excess, -2 * math.log(16)),
    (weighted_product, 0.0),
    (absolute, -3.0),
    (death_penalty, 0.0),
  ],
)
def test_an_infeasible_child_of_unknown_size_earns_the_worst(reward, expected):
  assert reward(UNKNOWN, BUDGET) == pytest.approx(expected)
  assert reward(child(10**9, 10**9, 0.0), BUDGET) == pytest.approx(expected)


@pytest.mark.parametrize('reward', REWARDS)
def test_an_infeasible_child_earns_nothing_for_accuracy(reward):
  within = child(1000, 200, 0.9, Status.INFEASIBLE)
  assert reward(within, BUDGET) == 0.0
  assert reward(within, BUDGET) == reward(
    dataclasses.replace(within, int8_validation_accuracy=None), BUDGET
  )


@pytest.mark.parametrize('reward', REWARDS)
@pytest.mark.parametrize(
  ('field', 'budget'),
  [
    *((name, BUDGET) for name in ('int8_validation_accuracy', 'flash_bytes', 'sram_bytes')),
    ('macs', Budget(1000, 200, macs=10)),
    ('latency_ms', Budget(1000, 200, latency_ms=10.0)),
  ],
)
def test_a_complete_child_that_lacks_a_figure_is_refused(reward, field, budget):
  whole = dataclasses.replace(child(1500, 300), macs=1, latency_ms=1.0)
  assert isinstance(reward(whole, budget), float)
  with pytest.raises(ValueError, match=f'{field}=None: a complete measurement must have it'):
    reward(dataclasses.replace(whole, **{field: None}), budget)


# The exponent -1 shows the share of a limit that counts as used: accuracy 0.8 over that share.
@pytest.mark.parametrize(
  ('macs', 'latency_ms', 'limits', 'expected'),
  [
    (1, None, {'macs': 10_000}, 0.8 * 10_000),  # as little as it is
    (0, None, {'macs': 10_000}, 0.8 * 10_000),  # nothing counts as one operation,
    (0, None, {'macs': 100}, 0.8 * 1000),  # or as a thousandth of a low limit
    (None, 0.004, {'latency_ms': 2.0}, 0.8 * 500),
    (None, 0.0, {'latency_ms': 2.0}, 0.8 * 1000),
  ],
)
def test_using_nearly_nothing_is_finite(macs, latency_ms, limits, expected):
  measurement = dataclasses.replace(child(1000, 200), macs=macs, latency_ms=latency_ms)
  earned = weighted_product(measurement, Budget(1000, 200, **limits), w_below=-1)
  assert earned == pytest.approx(expected)


def test_infeasible_children_of_known_size_have_a_slope():
  def earned(flash, sram):
    return linear_excess(child(flash, sram, None, Status.INFEASIBLE), BUDGET)

  assert earned(1500, 400) > earned(3000, 400) > earned(3000, 800) > earned(None, 800)
  assert earned(None, 800) > earned(None, None)


@pytest.mark.parametrize('reward', REWARDS)
@given(
  status=st.sampled_from([Status.COMPLETE, Status.INFEASIBLE]),
  accuracy=st.none() | st.integers(0, 1) | accuracies,
  flash=st.none() | sizes,
  sram=st.none() | sizes,
  budget=budgets,
)
def test_rewards_are_finite_floats(reward, status, accuracy, flash, sram, budget):
  measurement = child(flash, sram, accuracy, status)
  assume(status is Status.INFEASIBLE or None not in (accuracy, flash, sram))
  earned = reward(measurement, budget)
  assert type(earned) is float
  assert math.isfinite(earned)
  # Being too large to be measured is never the better fate.
  assert earned >= reward(UNKNOWN, budget) - 1e-12


@given(
  accuracy=accuracies,
  flash=sizes,
  sram=sizes,
  budget=budgets,
  w_below=st.floats(-10, 0),
  w_above=st.floats(-10, 0),
)
def test_the_product_is_finite_for_all_exponents(accuracy, flash, sram, budget, w_below, w_above):
  earned = weighted_product(child(flash, sram, accuracy), budget, w_below=w_below, w_above=w_above)
  assert math.isfinite(earned)


@pytest.mark.parametrize('reward', EXACT)
@given(accuracy=accuracies, budget=budgets, data=st.data())
def test_a_feasible_child_earns_exactly_its_accuracy(reward, accuracy, budget, data):
  flash = data.draw(st.integers(1, budget.flash_bytes))
  sram = data.draw(st.integers(1, budget.sram_bytes))
  assert reward(child(flash, sram, accuracy), budget) == accuracy


@pytest.mark.parametrize('reward', REWARDS)
@given(
  accuracy=accuracies,
  budget=budgets,
  flashes=st.tuples(st.floats(1, 40), st.floats(1, 40)),
  srams=st.tuples(st.floats(1, 40), st.floats(1, 40)),
)
def test_a_smaller_excess_never_earns_less(reward, accuracy, budget, flashes, srams):
  def earned(choose):
    flash = math.ceil(choose(flashes) * budget.flash_bytes)
    sram = math.ceil(choose(srams) * budget.sram_bytes)
    return reward(child(flash, sram, accuracy), budget)

  assert earned(min) >= earned(max)


@given(budget=budgets, ratio=st.floats(1.01, WORST_RATIO - 1))
def test_linear_excess_tells_every_excess_below_the_worst_apart(budget, ratio):
  def earned(sram):
    return linear_excess(child(1, sram), budget)

  sram = math.ceil(ratio * budget.sram_bytes)
  assert earned(sram) < earned(budget.sram_bytes)
  if sram + sram // 100 + 1 < WORST_RATIO * budget.sram_bytes:
    assert earned(sram + sram // 100 + 1) < earned(sram)


@pytest.mark.parametrize('reward', REWARDS)
@given(flash=sizes, sram=sizes, accuracy=st.tuples(accuracies, accuracies))
def test_of_equal_sizes_the_more_accurate_never_earns_less(reward, flash, sram, accuracy):
  low, high = sorted(accuracy)
  assert reward(child(flash, sram, high), BUDGET) >= reward(child(flash, sram, low), BUDGET)


@pytest.mark.parametrize('function', [linear_excess, weighted_product, absolute])
def test_work_and_time_count_where_they_are_limited(function):
  measurement = Measurement(
    Status.COMPLETE,
    int8_validation_accuracy=0.9,
    flash_bytes=100,
    sram_bytes=100,
    macs=2_000,
    latency_ms=4.0,
  )
  assert measurement.resources == Resources(100, 100, 2_000, 4.0)
  free = function(measurement, Budget(100, 100))
  assert function(measurement, Budget(100, 100, macs=2_000, latency_ms=4.0)) == free
  for limited in (Budget(100, 100, macs=1_000), Budget(100, 100, latency_ms=2.0)):
    assert function(measurement, limited) < free
    assert not is_feasible(measurement, limited)
  assert is_feasible(measurement, Budget(100, 100, macs=2_000, latency_ms=4.0))
