"""Losses against their equations in numpy, and their gradients against closed forms."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rlnas.backend import tf
from rlnas.strategies import losses

LOG_PROB = np.array([-1.0, -2.0, -0.5, -3.0], np.float32)
ADVANTAGE = np.array([1.0, -2.0, 0.5, 3.0], np.float32)


def gradient_of(loss, x):
  x = tf.constant(x)
  with tf.GradientTape() as tape:
    tape.watch(x)
    value = loss(x)
  return tape.gradient(value, x).numpy()


def test_reinforce_is_minus_the_mean_of_weighted_log_probabilities():
  loss = losses.reinforce(tf.constant(LOG_PROB), tf.constant(ADVANTAGE))
  assert loss.numpy() == pytest.approx(-np.mean(ADVANTAGE * LOG_PROB))
  gradient = gradient_of(lambda x: losses.reinforce(x, tf.constant(ADVANTAGE)), LOG_PROB)
  np.testing.assert_allclose(gradient, -ADVANTAGE / 4, rtol=1e-6)


def test_no_gradient_flows_into_the_advantage():
  tensor = tf.constant(ADVANTAGE)
  with tf.GradientTape() as tape:
    tape.watch(tensor)
    loss = losses.reinforce(tf.constant(LOG_PROB), tensor)
  assert tape.gradient(loss, tensor) is None


def test_clipped_surrogate_at_the_old_policy_has_the_gradient_of_reinforce():
  def clipped(x):
    return losses.clipped_surrogate(x, tf.constant(LOG_PROB), tf.constant(ADVANTAGE), 0.2)

  assert clipped(tf.constant(LOG_PROB)).numpy() == pytest.approx(-np.mean(ADVANTAGE))
  np.testing.assert_allclose(gradient_of(clipped, LOG_PROB), -ADVANTAGE / 4, rtol=1e-6)


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
def test_clipped_surrogate_by_cases(ratio, advantage, loss, slope):
  old = tf.constant([-1.0])
  new = np.array([-1.0 + np.log(ratio)], np.float32)

  def clipped(x):
    return losses.clipped_surrogate(x, old, tf.constant([advantage]), 0.2)

  assert clipped(tf.constant(new)).numpy() == pytest.approx(loss, rel=1e-5)
  assert gradient_of(clipped, new)[0] == pytest.approx(slope, rel=1e-5)


def test_a_policy_that_is_far_away_has_a_finite_gradient():
  old, advantage = tf.constant([-200.0, -200.0]), tf.constant([1.0, 0.0])
  gradient = gradient_of(
    lambda x: losses.clipped_surrogate(x, old, advantage, clip=0.2), [-1.0, -1.0]
  )
  assert gradient.tolist() == [0, 0]


def test_no_gradient_of_the_surrogate_flows_into_the_old_policy_or_the_advantage():
  new, old, advantage = (tf.constant(x) for x in (LOG_PROB, LOG_PROB + 0.1, ADVANTAGE))
  with tf.GradientTape() as tape:
    tape.watch([new, old, advantage])
    loss = losses.clipped_surrogate(new, old, advantage, 0.2)
  gradients = tape.gradient(loss, [new, old, advantage])
  assert [gradient is None for gradient in gradients] == [False, True, True]


def test_entropy_bonus_rewards_entropy():
  entropy = np.array([1.0, 3.0], np.float32)
  assert losses.entropy_bonus(tf.constant(entropy)).numpy() == -2
  np.testing.assert_array_equal(gradient_of(losses.entropy_bonus, entropy), [-0.5, -0.5])


@pytest.mark.parametrize(
  ('loss', 'shapes', 'name'),
  [
    (losses.reinforce, [4, (4, 1)], 'advantage'),
    (losses.reinforce, [4, 1], 'advantage'),
    (losses.truncated_importance, [4, (4, 1)], 'old_log_prob'),
    (functools.partial(losses.clipped_surrogate, clip=0.2), [4, (4, 1), 4], 'old_log_prob'),
    (functools.partial(losses.clipped_surrogate, clip=0.2), [4, 4, (4, 1)], 'advantage'),
    (losses.entropy_bonus, [(4, 1)], 'entropy'),
  ],
)
def test_shapes_that_would_broadcast_are_refused(loss, shapes, name):
  with pytest.raises(ValueError, match=f'^{name}: shape'):
    loss(*(tf.zeros(shape) for shape in shapes))


def test_importance_is_the_ratio_where_it_fell_and_never_above_one():
  old = LOG_PROB - np.log(np.array([0.5, 1.0, 2.0, 4.0], np.float32))
  weights = losses.truncated_importance(tf.constant(LOG_PROB), tf.constant(old))
  np.testing.assert_allclose(weights, [0.5, 1, 1, 1], rtol=1e-6)


def test_no_gradient_flows_into_the_importance():
  x = tf.constant(LOG_PROB)
  with tf.GradientTape() as tape:
    tape.watch(x)
    weights = losses.truncated_importance(x, x + 1)
  assert tape.gradient(weights, x) is None


@pytest.mark.parametrize('kind', [np.float32, np.float64, list])
def test_numpy_arrays_and_lists_are_taken(kind):
  log_prob, old, advantage = (
    x.tolist() if kind is list else x.astype(kind) for x in (LOG_PROB, LOG_PROB + 0.1, ADVANTAGE)
  )
  tensors = [tf.constant(x, tf.float32) for x in (log_prob, old, advantage)]
  for loss, given in (
    (losses.reinforce, (0, 2)),
    (losses.truncated_importance, (0, 1)),
    (functools.partial(losses.clipped_surrogate, clip=0.2), (0, 1, 2)),
    (losses.entropy_bonus, (2,)),
  ):
    found = loss(*((log_prob, old, advantage)[i] for i in given))
    expected = loss(*(tensors[i] for i in given))
    assert found.dtype == (tf.float64 if kind is np.float64 else tf.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_first_argument_decides_the_type_and_whole_numbers_become_floats():
  loss = losses.reinforce(tf.constant(LOG_PROB), np.array([1, -2, 0, 3]))
  assert loss.dtype == tf.float32
  assert loss.numpy() == pytest.approx(-np.mean(np.array([1, -2, 0, 3]) * LOG_PROB))
  assert losses.entropy_bonus(np.array([1, 2])).numpy() == -1.5
  with pytest.raises(ValueError, match=r'^advantage: shape'):
    losses.reinforce(np.zeros(3), np.zeros((3, 1)))
