"""The front as a terminal shows it: the winner is on it, whatever its short training was worth."""

import dataclasses

from rlnas.budget import Budget, Resources
from rlnas.pareto import compared, format_front, milliseconds, pareto_front
from rlnas.trial import Measurement, Proposal, Status, Trial
from tests.child.test_builder import small_network

BUDGET = Budget(flash_bytes=20_000, sram_bytes=20_000)


def trial(index, accuracy, flash, sram, macs):
  measured = Measurement(
    Status.COMPLETE,
    validation_accuracy=accuracy,
    int8_validation_accuracy=accuracy,
    flash_bytes=flash,
    sram_bytes=sram,
    macs=macs,
  )
  return Trial(index, 0, 0, Proposal((index,), small_network()), measured, accuracy)


TRIALS = [
  trial(0, 0.95, 9_000, 9_000, 300_000),
  trial(1, 0.90, 9_500, 9_100, 310_000),
  trial(2, 0.80, 3_000, 4_000, 100_000),
]


def test_the_winner_is_marked_on_the_front():
  front = pareto_front(TRIALS, BUDGET)
  assert [t.index for t in front] == [0, 2]
  lines = format_front(front, winner=TRIALS[2]).splitlines()
  assert lines[0].split() == ['trial', 'int8', 'accuracy', 'flash', 'B', 'SRAM', 'B', 'MACs']
  assert [line[:7] for line in lines[1:3]] == ['      0', '*     2']
  assert lines[3] == '* the winner'


def test_a_winner_that_its_short_training_leaves_behind_the_front_is_shown_too():
  lines = format_front(pareto_front(TRIALS, BUDGET), winner=TRIALS[1]).splitlines()
  assert [line[:7] for line in lines[1:4]] == ['      0', '*     1', '      2']
  assert lines[4] == '* the winner, not on this front of short trainings'


def test_latency_is_shown_where_it_is_known_within_80_columns():
  known = dataclasses.replace(TRIALS[0].measurement, latency_ms=186.92153)
  timed = dataclasses.replace(TRIALS[0], measurement=known)
  lines = format_front([timed, TRIALS[2]], title='balanced accuracy', winner=timed).splitlines()
  assert [line.split()[-1] for line in lines[:3]] == ['ms', '187', '100,000']
  assert max(map(len, lines)) <= 80
  assert [milliseconds(ms) for ms in (None, 0.5, 12.345, 99.96, 2680.4)] == [
    *('', '0.5', '12.3', '100', '2,680'),
  ]


def test_costs_are_compared_in_percent():
  one, other = Resources(1_000, 4_000, 999, None), Resources(2_000, 2_000, 1_000, None)
  assert compared(one, other) == '50% less flash, 100% more SRAM, under 1% fewer MACs'
  assert compared(one, one) == ''
  assert compared(Resources(None, None, None, None), other) == ''
