"""Losses against their equations, and their derivatives against closed forms and TensorFlow."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rlnas.backend import tf
from rlnas.strategies import losses

LOG_PROB = np.array([-1.0, -2.0, -0.5, -3.0])
ADVANTAGE = np.array([1.0, -2.0, 0.5, 3.0])
DECISIONS = np.array([1.0, 2.0, 4.0, 8.0])


def test_reinforce_is_minus_the_mean_of_weighted_log_probabilities():
  loss = losses.reinforce(LOG_PROB, ADVANTAGE)
  assert loss.value == pytest.approx(-np.mean(ADVANTAGE * LOG_PROB))
  np.testing.assert_allclose(loss.slope, -ADVANTAGE / 4)


def test_clipped_surrogate_at_the_old_policy_has_the_gradient_of_reinforce():
  """Of an advantage that all decisions of a sequence share evenly."""
  loss = losses.clipped_surrogate(LOG_PROB, LOG_PROB, ADVANTAGE, DECISIONS, 0.2)
  assert loss.value == pytest.approx(-np.mean(ADVANTAGE))
  np.testing.assert_allclose(loss.slope, losses.reinforce(LOG_PROB, ADVANTAGE / DECISIONS).slope)


@pytest.mark.parametrize(
  ('ratio', 'advantage', 'loss', 'slope'),
  [  # clip 0.2; slope: derivative by the log-probability, -ratio * advantage or 0
    (1.5, 1.0, -1.2, 0.0),  # good and already likelier by more than the clip: no more
    (0.5, 1.0, -0.5, -0.5),  # good but less likely: back
    (1.5, -1.0, 1.5, 1.5),  # bad and likelier: back
    (0.5, -1.0, 0.8, 0.0),  # bad and already less likely by more than the clip: no more
    (1.1, 1.0, -1.1, -1.1),  # within the clip
  ],
)
@pytest.mark.parametrize('decisions', [1, 7])
def test_clipped_surrogate_by_cases(ratio, advantage, loss, slope, decisions):
  """`ratio` is that of each decision, so a sequence of 7 changes by its seventh power."""
  new = -1.0 + decisions * np.log(ratio)
  found = losses.clipped_surrogate([new], [-1.0], [advantage], [decisions], 0.2)
  assert found.value == pytest.approx(loss)
  assert found.slope.tolist() == pytest.approx([slope / decisions])


def test_the_derivative_of_the_surrogate_is_that_of_tensorflow():
  rng = np.random.default_rng(0)
  new, old, advantage = rng.normal(0, 0.5, (3, 200))
  decisions = rng.integers(1, 4, 200)
  x = tf.constant(new)
  with tf.GradientTape() as tape:
    tape.watch(x)
    ratio = tf.exp((x - old) / decisions)
    clipped = tf.clip_by_value(ratio, 0.8, 1.2)
    value = -tf.reduce_mean(tf.minimum(ratio * advantage, clipped * advantage))
  found = losses.clipped_surrogate(new, old, advantage, decisions, 0.2)
  assert found.value == pytest.approx(float(value))
  np.testing.assert_allclose(found.slope, tape.gradient(value, x), atol=1e-12)
  assert 20 < (found.slope == 0).sum() < 180


@pytest.mark.parametrize('advantage', [1.0, 0.0, -1.0])
def test_a_policy_that_is_far_away_has_a_finite_gradient(advantage):
  new, old = [-1.0, -1.0], [-2000.0, -1.0]
  found = losses.clipped_surrogate(new, old, [advantage, 1.0], [1, 1], clip=0.2)
  assert found.slope.tolist() == [0, -0.5]
  assert np.isfinite(found.value)


def test_entropy_bonus_rewards_entropy():
  loss = losses.entropy_bonus([1.0, 3.0])
  assert loss.value == -2
  assert loss.slope.tolist() == [-0.5, -0.5]


@pytest.mark.parametrize(
  ('loss', 'shapes', 'name'),
  [
    (losses.reinforce, [4, (4, 1)], 'advantage'),
    (losses.reinforce, [4, 1], 'advantage'),
    (losses.truncated_importance, [4, (4, 1)], 'old_log_prob'),
    (functools.partial(losses.clipped_surrogate, clip=0.2), [4, (4, 1), 4, 4], 'old_log_prob'),
    (functools.partial(losses.clipped_surrogate, clip=0.2), [4, 4, (4, 1), 4], 'advantage'),
    (functools.partial(losses.clipped_surrogate, clip=0.2), [4, 4, 4, (4, 1)], 'decisions'),
    (losses.entropy_bonus, [(4, 1)], 'entropy'),
  ],
)
def test_shapes_that_would_broadcast_are_refused(loss, shapes, name):
  with pytest.raises(ValueError, match=f'^{name}: shape'):
    loss(*(np.zeros(shape) for shape in shapes))


def test_importance_is_the_ratio_where_it_fell_and_never_above_one():
  old = LOG_PROB - np.log(np.array([0.5, 1.0, 2.0, 4.0]))
  np.testing.assert_allclose(losses.truncated_importance(LOG_PROB, old), [0.5, 1, 1, 1])


@pytest.mark.parametrize('kind', [np.float32, np.float64, list])
def test_arrays_of_any_type_and_lists_are_taken(kind):
  log_prob, old, advantage = (
    x.tolist() if kind is list else x.astype(kind) for x in (LOG_PROB, LOG_PROB + 0.5, ADVANTAGE)
  )
  for loss, given, exact in (
    (losses.reinforce, (log_prob, advantage), (LOG_PROB, ADVANTAGE)),
    (losses.entropy_bonus, (advantage,), (ADVANTAGE,)),
  ):
    found, expected = loss(*given), loss(*exact)
    assert found.value == expected.value
    assert found.slope.tolist() == expected.slope.tolist()
  assert losses.truncated_importance(log_prob, old).tolist() == [np.exp(-0.5)] * 4
  assert losses.entropy_bonus(np.array([1, 2])).value == -1.5  # whole numbers become floats
