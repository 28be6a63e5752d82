"""The warm start, whose limit is known: probabilities proportional to exp(-penalty / SOFTNESS)."""

import numpy as np
import pytest

from rlnas.progress import told_to
from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, enumerate_tokens
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.warm_start import SOFTNESS, WarmStart, budget_value

SMALL = compile_table(Chain(max_depth=1, kernels=(3, 5), filters=(4, 8), max_strides=0))
WALKS = list(enumerate_tokens(SMALL))
NETWORKS = [decode(SMALL.space, walk) for walk in WALKS]


def make(steps: int, penalty=None, *, init_scale: float = 2.0) -> tuple[WarmStart, Controller]:
  controller = Controller(SMALL, units=8, init_scale=init_scale, seed=3)
  value = penalty and budget_value(SMALL, penalty)
  return WarmStart(SMALL, controller=controller, value=value, steps=steps, seed=0), controller


def weights_of(controller: Controller) -> list:
  return [w.tolist() for w in controller.weights.values()]


def distance(controller: Controller, expected) -> float:
  """Total variation between the policy and a distribution over all walks."""
  p = np.exp(controller.score(SMALL, pad_tokens(SMALL, WALKS)).log_prob.astype(float))
  return float(np.abs(p - np.asarray(expected) / np.sum(expected)).sum() / 2)


def hard(network) -> float:
  return 20.0 * (NETWORKS.index(network) % 2)


def soft(network) -> float:
  return SOFTNESS * (NETWORKS.index(network) % 3) / 2


@pytest.mark.slow
@pytest.mark.parametrize('penalty', [None, hard, soft])
def test_it_comes_close_to_its_limit(penalty):
  """Uniform over what fits if the penalty is hard; over everything if there is none.

  The policy starts at a distance of 0.28 to 0.53. At the limit all rewards are equal, so the steps
  have no noise there.
  """
  start, controller = make(100, penalty)
  expected = np.exp([-(penalty(network) if penalty else 0.0) / SOFTNESS for network in NETWORKS])
  assert distance(controller, expected) > 0.25
  start.finish()
  assert distance(controller, expected) < 0.02


def test_without_steps_it_changes_nothing():
  start, controller = make(0, hard)
  before = weights_of(controller)
  assert not start.step()
  start.finish()
  assert weights_of(controller) == before


def test_step_by_step_it_comes_to_the_same_bits():
  started = [make(4, hard) for _ in range(3)]
  assert [started[0][0].step() for _ in range(6)] == [True, True, True, False, False, False]
  assert started[1][0].step()
  for start, _ in started[1:]:
    start.finish()
  one, other, third = (weights_of(controller) for _, controller in started)
  assert one == other == third
  assert one != weights_of(make(0)[1])
  started[0][0].finish()
  assert weights_of(started[0][1]) == one, 'nothing is left'


def test_what_is_left_at_the_first_result_is_told_step_by_step():
  start, _ = make(4, hard)
  start.step()
  told = []
  with told_to(told.append):
    start.finish()
    start.finish()
  assert [(step.done, step.total, step.unit) for step in told] == [
    (2, 4, 'warm start'),
    (3, 4, 'warm start'),
    (4, 4, 'warm start'),
  ]


def test_a_number_of_steps_below_0_is_refused():
  with pytest.raises(ValueError, match='warm_start=-1: must be at least 0'):
    make(-1)
