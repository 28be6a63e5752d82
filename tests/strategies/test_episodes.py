"""The objective of imagined episodes, against numbers by hand and over an enumerated space."""

import numpy as np
import pytest

from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table, enumerate_tokens
from rlnas.strategies import episodes
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.episodes import Episodes, imagine, to_imitate

SMALL = compile_table(Chain(max_depth=1, kernels=(3, 5), filters=(4, 8), max_strides=0))
WALKS = list(enumerate_tokens(SMALL))
IMITATION_WEIGHT = 0.25


def slopes(log_prob, value, old_log_prob, imitated, *, weight: float = IMITATION_WEIGHT):
  """The objective and its derivative in every log-probability. [B]."""
  found = episodes.objective(
    *(log_prob, np.ones(len(log_prob)), value, old_log_prob, np.asarray(imitated)),
    imitation_weight=weight,
  )
  assert not found.entropy.any()
  return found.loss, found.log_prob


def drawn(seed: int, count: int):
  """log_prob, value and old_log_prob of some episodes."""
  rng = np.random.default_rng(seed)
  log_prob = -rng.uniform(1, 5, count)
  return log_prob, rng.normal(0, 3, count), log_prob + rng.normal(0, 0.5, count)


def test_the_slope_is_the_standardised_reward_times_the_importance():
  log_prob, value, old = drawn(0, 7)
  _, found = slopes(log_prob, value, old, np.zeros(7))
  reward = value - log_prob
  advantage = (reward - reward.mean()) / reward.std()
  importance = np.minimum(1, np.exp(log_prob - old))
  assert (importance < 1).any()
  assert (importance == 1).any()
  np.testing.assert_allclose(found, -importance * advantage / 7, rtol=1e-4, atol=1e-6)


def test_neither_offset_nor_unit_of_the_rewards_counts():
  log_prob, value, old = drawn(1, 6)
  _, found = slopes(log_prob, value, old, np.zeros(6))
  _, moved = slopes(log_prob, value + 40, old, np.zeros(6))
  _, scaled = slopes(log_prob, 5 * (value - log_prob) + log_prob, old, np.zeros(6))
  np.testing.assert_allclose(moved, found, atol=1e-5)
  np.testing.assert_allclose(scaled, found, atol=1e-5)


def test_a_late_episode_weighs_less():
  """The same but for the probability that the first was drawn with, which has halved since."""
  log_prob, value, _ = drawn(2, 4)
  _, fresh = slopes(log_prob, value, log_prob, np.zeros(4))
  _, late = slopes(log_prob, value, log_prob + np.array([np.log(2), 0, 0, 0]), np.zeros(4))
  np.testing.assert_allclose(late, fresh * [0.5, 1, 1, 1], rtol=1e-5)
  _, early = slopes(log_prob, value, log_prob - [3, 0, 0, 0], np.zeros(4))
  np.testing.assert_allclose(early, fresh, rtol=1e-5)


def test_imitated_walks_count_by_their_mean_log_likelihood_alone():
  log_prob, value, old = drawn(3, 5)
  loss, found = slopes(log_prob, value, old, np.ones(5))
  assert loss == pytest.approx(-IMITATION_WEIGHT * log_prob.mean(), rel=1e-6)
  np.testing.assert_allclose(found, [-IMITATION_WEIGHT / 5] * 5, rtol=1e-6)


def test_episodes_and_imitated_walks_do_not_mix():
  """Together, each kind has the slopes that it has alone, whatever the number of the others."""
  log_prob, value, old = drawn(4, 9)
  imitated = np.array([0, 1, 0, 0, 1, 0, 1, 0, 0])
  _, found = slopes(log_prob, value, old, imitated)
  for kind in (0, 1):
    own = imitated == kind
    _, alone = slopes(log_prob[own], value[own], old[own], imitated[own])
    np.testing.assert_allclose(found[own], alone, rtol=1e-4, atol=1e-6)


def test_equal_rewards_teach_nothing():
  log_prob, _, _ = drawn(5, 4)
  loss, found = slopes(log_prob, log_prob + 2, log_prob, np.zeros(4))
  assert abs(loss) < 1e-2
  np.testing.assert_allclose(found, 0, atol=1e-3)


def test_its_gradient_is_that_of_the_expected_value_plus_the_entropy():
  """In a batch with every walk as often as its probability says, but for the deviation's scale.

  The numbers of 40,000 rows are rounded, so a mean is off by at most 4e-4 of the largest term.
  """
  controller = Controller(SMALL, units=6, init_scale=1.5, seed=3)
  rows = 40_000
  value = np.random.default_rng(0).normal(0, 2, len(WALKS))
  scores = controller.score(SMALL, pad_tokens(SMALL, WALKS))
  log_prob = scores.log_prob.astype(float)
  p = np.exp(log_prob)
  # The derivative of the sum of p (value - log p) in each log p.
  aim = scores.gradient(p * (value - log_prob - 1), np.zeros(len(WALKS)))
  reward = value - log_prob
  deviation = np.sqrt(p @ (reward - p @ reward) ** 2)
  counts = np.round(rows * p).astype(int)
  assert np.ptp(p) > 0.05
  repeated = np.repeat(log_prob, counts)
  _, of_row = slopes(repeated, np.repeat(value, counts), repeated, np.zeros(len(repeated)))
  of_walk = np.bincount(np.repeat(np.arange(len(WALKS)), counts), of_row, len(WALKS))
  learnt = scores.gradient(of_walk, np.zeros(len(WALKS)))
  truth, found = (np.concatenate([g.ravel() for g in x.values()]) for x in (aim, learnt))
  assert np.abs(truth).max() > 0.05
  np.testing.assert_allclose(-deviation * found, truth, atol=2e-3 * np.abs(truth).max())


def test_imagined_episodes_are_draws_of_the_policy_with_its_log_probabilities():
  controller = Controller(SMALL, units=6, init_scale=1.5, seed=3)
  asked = []

  def value(walks):
    asked.extend(walks)
    return np.arange(float(len(walks)))

  found = imagine(controller, SMALL, 20, np.random.default_rng(1), value)
  assert found.walks == tuple(asked)
  assert found.walks == controller.sample(SMALL, 20, np.random.default_rng(1)).sequences
  scored = controller.score(SMALL, pad_tokens(SMALL, found.walks)).log_prob
  np.testing.assert_allclose(found.log_prob, scored, atol=1e-5)
  assert found.value.tolist() == list(range(20))
  assert not found.imitated.any()


def test_episodes_are_joined_in_their_order():
  one = Episodes((WALKS[0],), np.array([1.0]), np.array([-2.0]), np.array([0.0]))
  both = one.and_also(to_imitate(WALKS[1:3]))
  assert both.walks == (WALKS[0], *WALKS[1:3])
  assert [array.tolist() for array in both[1:]] == [[1, 0, 0], [-2, 0, 0], [0, 1, 1]]
  assert to_imitate([]).and_also(one) == one
