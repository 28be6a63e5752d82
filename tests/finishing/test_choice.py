"""Who wins among finalists, and why: nobody can be better in everything."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from rlnas.data.metrics import Metric, confusion_matrix
from rlnas.finishing.choice import (
  Prefer,
  choose,
  dominates,
  may_be_chance,
  size_of,
  standard_error,
)
from rlnas.finishing.finalists import Candidate, Finalist
from rlnas.pareto import compared
from rlnas.trial import Measurement, Status
from tests.child.test_builder import small_network

NETWORK = small_network()
LABELS = np.arange(200) % 4


def answers(wrong):
  """Labels of which some, given by their indices, are predicted wrongly."""
  predicted = LABELS.copy()
  predicted[list(wrong)] = (predicted[list(wrong)] + 1) % 4
  return predicted


def finalist(index, wrong, flash, sram, macs, metric=Metric.ACCURACY):
  predicted = answers(wrong)
  reached = metric.of(confusion_matrix(LABELS, predicted, classes=4))
  measured = Measurement(
    Status.COMPLETE,
    validation_accuracy=reached,
    int8_validation_accuracy=reached,
    flash_bytes=flash,
    sram_bytes=sram,
    macs=macs,
  )
  return Finalist(Candidate(index, NETWORK, index), str(index), measured), predicted


def chosen(made, prefer, metric=Metric.ACCURACY):
  predicted = {one.name: answered for one, answered in made}
  return choose(
    [one for one, _ in made],
    prefer,
    labels=LABELS,
    predicted=lambda f: predicted[f.name],
    metric=metric,
  )


def first(made, prefer, **options):
  return chosen(made, prefer, **options).finalists[0].candidate.trial


@st.composite
def some_finalists(draw):
  metric = draw(st.sampled_from([Metric.ACCURACY, Metric.ACCURACY, Metric.MACRO_F1]))
  sizes = st.integers(1, 4)  # few values, so that there are ties
  wrong = st.sets(st.integers(0, 199), max_size=12)
  specs = draw(st.lists(st.tuples(wrong, sizes, sizes, sizes), min_size=1, max_size=6))
  return metric, [finalist(i, *spec, metric=metric) for i, spec in enumerate(specs)]


@given(some_finalists(), st.sampled_from(list(Prefer)))
@pytest.mark.slow
def test_no_winner_is_dominated(made, prefer):
  metric, made = made
  choice = chosen(made, prefer, metric=metric)
  winner, *others = choice.finalists
  assert not any(dominates(other, winner) for other in others)
  assert choice.on_front[0]
  assert {f.name for f in choice.finalists} == {f.name for f, _ in made}
  assert len(choice.finalists) == len(made)
  assert choice.why
  if prefer is Prefer.ACCURACY:
    assert all(o.score[0] <= winner.score[0] for o in others)
  if prefer is Prefer.BALANCED:
    assert all(o.score[0] <= winner.score[0] + 0.002 + 1e-9 for o in others)


def test_of_equal_accuracies_the_smaller_network_wins():
  """It was the first of the two before, whatever they take."""
  made = [finalist(4, (), 8_384, 14_352, 265_000), finalist(25, (), 3_024, 10_384, 205_000)]
  for prefer in Prefer:
    choice = chosen(made, prefer)
    assert choice.finalists[0].candidate.trial == 25
    assert choice.why == (
      'the smallest of 2 finalists with the best int8 validation accuracy 1.0000'
    )
    assert choice.on_front == (True, False)


def test_a_finalist_that_is_not_on_the_front_does_not_win():
  """The smallest by memory and work within the interval, but a third one beats it in everything.

  McNemar's test is not monotone: few differences in one direction are surer than many in both.
  """
  best = finalist(0, range(20), 9_000, 9_000, 900)
  surely_below = finalist(1, range(27), 4_000, 4_000, 400)  # 7 of 7 examples lost: p = .016
  perhaps = finalist(2, range(60, 88), 5_000, 5_000, 500)  # 28 lost, 20 gained: p = .31
  assert not may_be_chance(LABELS, best[1], surely_below[1], Metric.ACCURACY)
  assert may_be_chance(LABELS, best[1], perhaps[1], Metric.ACCURACY)
  assert dominates(surely_below[0], perhaps[0])
  assert first([best, perhaps], Prefer.SMALLEST) == 2
  assert first([best, surely_below, perhaps], Prefer.SMALLEST) == 0


def test_each_preference_gives_up_what_it_says():
  best = finalist(0, (), 10_000, 10_000, 1_000)
  close = finalist(1, range(1), 8_000, 8_000, 800)
  middle = finalist(2, range(5), 5_000, 5_000, 500)
  worse = finalist(3, range(30), 1_000, 1_000, 100)
  made = [worse, middle, close, best]
  assert [first(made, prefer) for prefer in Prefer] == [0, 0, 2]  # 1 of 200 is more than .002
  why = chosen(made, Prefer.SMALLEST).why
  assert why == (
    'the smallest of 3 finalists within the 95 % interval (McNemar) of the best int8 '
    'validation accuracy 1.0000 (trial 0): 50% less flash, 50% less SRAM, 50% fewer MACs'
  )
  assert chosen(made, Prefer.BALANCED).why == (
    'the best int8 validation accuracy 1.0000; no finalist within one standard error (0) and 0.002 '
    'of it is smaller'
  )
  assert chosen([best], Prefer.BALANCED).why == 'the only finalist'


def test_balanced_gives_up_two_thousandths_at_most():
  def large(index, wrong, flash):
    made, _ = finalist(index, (), flash, 1_000, 100)
    measured = dataclasses.replace(
      made.measurement, int8_validation_accuracy=1 - wrong / len(labels)
    )
    return dataclasses.replace(made, measurement=measured)

  labels = np.zeros(5_000, np.int64)
  made = [large(0, 500, 5_000), large(1, 510, 4_000), large(2, 511, 3_000)]
  predicted = np.zeros(5_000, np.int64)
  predicted[:500] = 1  # of the best: a standard error of .0042
  choice = choose(made, Prefer.BALANCED, labels=labels, predicted=lambda f: predicted)
  assert [f.candidate.trial for f in choice.finalists] == [1, 0, 2]
  assert choice.why.startswith(
    'the smallest of 2 finalists within one standard error (0.0042) and 0.002 of the '
    'best int8 validation accuracy 0.9000 (trial 0): 20% less flash'
  )


def test_errors_and_tests_are_those_of_the_metric():
  predicted = answers(range(0, 200, 8))  # 25 wrong, all of class 0
  share = 25 / 200
  assert standard_error(LABELS, predicted, Metric.ACCURACY) == pytest.approx(
    (share * (1 - share) / 200) ** 0.5
  )
  # 500 resamples give a deviation to 3 %, so this fails by chance once in a million times.
  rng = np.random.default_rng(1)
  rows = rng.integers(0, 200, (2000, 200))
  expected = np.std([balanced_accuracy_score(LABELS[r], predicted[r]) for r in rows[:500]])
  assert standard_error(LABELS, predicted, Metric.BALANCED_ACCURACY) == pytest.approx(
    expected, rel=0.15
  )
  rare = np.concatenate([LABELS * 0, [1, 1, 1, 1]])  # four examples of a class
  all_found, none_found = rare.copy(), np.zeros_like(rare)
  half, other_half = rare.copy(), rare.copy()
  half[-2:], other_half[-4:-2] = 0, 0
  for metric in (Metric.BALANCED_ACCURACY, Metric.MACRO_F1):
    assert may_be_chance(rare, all_found, all_found, metric)
    assert not may_be_chance(rare, all_found, none_found, metric)
    assert may_be_chance(rare, half, other_half, metric)
  assert may_be_chance(rare, all_found, none_found, Metric.ACCURACY)  # 4 of 4: p = .125


def test_size_counts_each_share_alike_and_is_told_in_percent():
  one, _ = finalist(0, (), 1_000, 4_000, 999)
  other, _ = finalist(1, (), 2_000, 2_000, 999)
  assert size_of(one) == pytest.approx(size_of(other), rel=1e-3)
  resources = [f.measurement.resources for f in (one, other)]
  assert compared(*resources) == '50% less flash, 100% more SRAM'
  assert compared(resources[0], resources[0]) == ''


def test_wrong_arguments_are_named():
  with pytest.raises(
    ValueError, match="prefer='best': must be one of accuracy, balanced, smallest"
  ):
    Prefer('best')
  with pytest.raises(ValueError, match='finalists: must hold at least one'):
    choose([], Prefer.BALANCED, labels=LABELS, predicted=lambda f: LABELS)
