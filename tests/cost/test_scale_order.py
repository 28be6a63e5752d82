from typing import NamedTuple

import numpy as np
import pytest

from rlnas.cost import scale_order
from rlnas.cost.scale_order import Scale


class Step(NamedTuple):
  inputs: tuple[int, ...]
  scale: Scale


def arrays(steps):
  scales = np.array([step.scale for step in steps], np.int64)
  return *scale_order.listed([step.inputs for step in steps]), scales


def execution_order(steps, output):
  return tuple(scale_order.execution_order(*arrays(steps), output).tolist())


def scale_groups(steps):
  return scale_order.scale_groups(*arrays(steps))


OWN, KEPT, JOINED = Scale.OWN, Scale.KEPT, Scale.JOINED


def test_depth_first_from_the_output():
  steps = [Step((), OWN), Step((0,), OWN), Step((0,), OWN), Step((2,), OWN), Step((3, 1), OWN)]
  assert execution_order(steps, 4) == (0, 2, 3, 1, 4)


def test_what_does_not_reach_the_output_is_left_out():
  assert execution_order([Step((), OWN), Step((0,), OWN), Step((0,), OWN)], 1) == (0, 1)


# 0 is read by the concatenation 2 and by the pooling 4, which come together in the sum 5.
CONFLICT = [
  Step((), OWN),
  Step((0,), OWN),
  Step((0, 1), JOINED),
  Step((2,), OWN),
  Step((0,), KEPT),
  Step((3, 4), OWN),
]


def test_pooling_of_a_joined_value_precedes_the_concatenation():
  assert execution_order(CONFLICT, 5) == (0, 1, 4, 2, 3, 5)


def test_other_operators_stay_where_they_are():
  steps = [*CONFLICT]
  steps[4] = Step((0,), OWN)
  assert execution_order(steps, 5) == (0, 1, 2, 3, 4, 5)


def test_the_order_does_not_depend_on_the_numbering():
  renumbered = {0: 3, 1: 0, 2: 4, 3: 1, 4: 5, 5: 2}
  steps = [Step((), OWN)] * 6
  for old, new in renumbered.items():
    steps[new] = Step(tuple(renumbered[i] for i in CONFLICT[old].inputs), CONFLICT[old].scale)
  expected = tuple(renumbered[i] for i in execution_order(CONFLICT, 5))
  assert execution_order(steps, renumbered[5]) == expected


def test_a_scale_reaches_through_pooling_and_other_concatenations():
  steps = [
    Step((), OWN),
    Step((0,), OWN),
    Step((1,), KEPT),
    Step((2, 0), JOINED),
    Step((3,), KEPT),
    Step((4,), OWN),
    Step((5, 4), JOINED),
  ]
  assert [set(group) for group in scale_groups(steps)] == [{0, 1, 2, 3, 4, 5, 6}]
  steps[6] = Step((5, 4), OWN)
  assert [set(group) for group in scale_groups(steps)] == [{0, 1, 2, 3, 4}]


def test_values_that_no_concatenation_reads_are_in_no_group():
  assert scale_groups([Step((), OWN), Step((0,), KEPT), Step((1,), OWN)]) == ()


def test_separate_concatenations_have_groups_of_their_own():
  steps = [Step((), OWN), Step((), OWN), Step((0, 1), JOINED), Step((2,), OWN)]
  steps += [Step((3,), OWN), Step((3, 4), JOINED)]
  assert {frozenset(group) for group in scale_groups(steps)} == {
    frozenset({0, 1, 2}),
    frozenset({3, 4, 5}),
  }


@pytest.mark.parametrize('depth', [50_000])
def test_deep_networks_need_no_recursion(depth):
  steps = [Step((), OWN), *(Step((i,), OWN) for i in range(depth))]
  assert execution_order(steps, depth) == tuple(range(depth + 1))
