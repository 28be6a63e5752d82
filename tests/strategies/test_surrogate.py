import itertools

import numpy as np
import pytest
from scipy import stats
from threadpoolctl import threadpool_limits

from rlnas.spaces import Chain, NASNet
from rlnas.spaces.decision import decode
from rlnas.spaces.table import choices_of, compile_table, sample_uniform
from rlnas.strategies.network_features import traits
from rlnas.strategies.surrogate import Surrogate, normal_scores
from tests.strategies.test_learning import interacting_reward

TABLE = compile_table(Chain(max_depth=3))


def draw(count: int, seed: int):
  rng = np.random.default_rng(seed)
  return [sample_uniform(TABLE, rng) for _ in range(count)]


def learnt(walks, rewards, *, table=TABLE, prior=None) -> Surrogate:
  surrogate = Surrogate(table, prior=prior)
  surrogate.learn(walks, rewards)
  return surrogate


def predict(walks, rewards, candidates):
  return learnt(walks, rewards).predict(candidates)[0]


def test_normal_scores_are_the_quantiles_of_the_ranks():
  scores = normal_scores([0.3, -50.0, 7.0])
  np.testing.assert_allclose(scores, stats.norm.ppf([0.5, 1 / 6, 5 / 6]), atol=1e-12)
  equal = normal_scores([2.0, 1.0, 1.0, 1.0])
  assert len(set(equal[1:])) == 1
  assert equal[0] > equal[1]


def test_it_ranks_what_it_has_not_seen():
  """Spearman's rank correlation on 200 new walks after 100; by chance it exceeds 0.4 in less
  than 1 of 10^7 cases (normal approximation, 0.4 * sqrt(199) = 5.6 sigma)."""
  walks, unseen = draw(100, 0), draw(200, 1)
  rewards = [interacting_reward(TABLE, walk) for walk in walks]
  scores = predict(walks, rewards, unseen)
  truth = [interacting_reward(TABLE, walk) for walk in unseen]
  assert stats.spearmanr(scores, truth).statistic > 0.4


def test_a_known_walk_is_placed_near_its_score():
  walks = list(dict.fromkeys(draw(30, 2)))
  scores = predict(walks, range(len(walks)), walks)
  assert stats.spearmanr(scores, range(len(walks))).statistic > 0.7


def test_only_the_order_of_rewards_counts():
  walks, candidates = draw(9, 8), draw(6, 9)
  mild = predict(walks, range(9), candidates)
  harsh = predict(walks, [-900, -50, -7, -3, 4, 5, 6, 7, 800], candidates)
  np.testing.assert_allclose(harsh, mild)


def test_one_result_and_equal_results_predict_all_alike():
  candidates = draw(5, 3)
  for count in (1, 4):
    scores = predict(draw(count, 4), [0.5] * count, candidates)
    np.testing.assert_allclose(scores, 0, atol=1e-12)


def test_the_kernel_is_that_of_shared_choices_and_of_traits():
  """Two of three walks are known; their weights by hand."""
  walks = list(itertools.islice(dict.fromkeys(draw(20, 5)), 3))
  scores = predict(walks[:2], [0.0, 1.0], walks[2:])
  kernel = kernel_of(walks, 2)
  dual = np.linalg.solve(kernel[:2, :2] + 0.6 * np.eye(2), normal_scores([0.0, 1.0]))
  assert scores[0] == pytest.approx(kernel[2, :2] @ dual)


def test_what_was_asked_before_changes_nothing():
  walks, candidates = draw(12, 6), draw(8, 7)
  asked, fresh = Surrogate(TABLE), learnt(walks, range(12))
  for count in range(2, 13):
    asked.learn(walks[:count], range(count))
    asked.predict(draw(5, count))
  for one, other in zip(asked.predict(candidates), fresh.predict(candidates), strict=True):
    assert one.tolist() == other.tolist()
  assert asked.held_back_correlation() == fresh.held_back_correlation()


def test_a_prediction_needs_results():
  with pytest.raises(ValueError, match='call learn first'):
    Surrogate(TABLE).predict(draw(1, 0))


def test_traits_that_all_have_in_common_hide_no_others():
  """Of equal numbers the deviation is not 0 once it is rounded."""
  table, rng = compile_table(NASNet()), np.random.default_rng(0)
  for count in range(3, 30):
    walks = [sample_uniform(table, rng) for _ in range(count)]
    numbers = np.stack([traits(decode(table.space, walk)) for walk in walks])
    numbers = numbers[:, [len(set(column)) > 1 for column in numbers.T.tolist()]]
    apart = np.square((numbers[:, None] - numbers) / numbers.std(0)).mean(-1)
    shared = np.array([[similarity(a, b, table) for b in walks] for a in walks])
    kernel = (1 + shared) ** 2 / 4 + np.exp(-0.3 * apart)
    scores = normal_scores(range(count))
    dual = np.linalg.solve(kernel + 0.6 * np.eye(count), scores)
    predicted, _ = learnt(walks, range(count), table=table).predict(walks)
    np.testing.assert_allclose(predicted, kernel @ dual, atol=1e-9)


def test_the_deviation_is_that_of_the_gaussian_process():
  """Of the score without the noise of one training; a quarter is known, the rest is new."""
  walks = list(dict.fromkeys(draw(40, 10)))
  known = len(walks) // 4
  kernel = kernel_of(walks, known)
  among = kernel[:known, :known] + 0.6 * np.eye(known)
  posterior = kernel - kernel[:, :known] @ np.linalg.solve(among, kernel[:known])
  _, deviation = learnt(walks[:known], range(known)).predict(walks)
  np.testing.assert_allclose(deviation, np.sqrt(np.diagonal(posterior)), atol=1e-6)
  assert deviation[:known].max() < deviation[known:].min()
  assert deviation.max() < np.sqrt(2)


def test_the_held_back_correlation_is_that_of_fits_without_each():
  walks = list(dict.fromkeys(draw(15, 11)))
  rewards = [interacting_reward(TABLE, walk) for walk in walks]
  kernel, scores = kernel_of(walks, len(walks)), normal_scores(rewards)
  predicted = []
  for i in range(len(walks)):
    others = [j for j in range(len(walks)) if j != i]
    among = kernel[np.ix_(others, others)] + 0.6 * np.eye(len(others))
    predicted.append(kernel[i, others] @ np.linalg.solve(among, scores[others]))
  expected = np.corrcoef(predicted, scores)[0, 1]
  assert learnt(walks, rewards).held_back_correlation() == pytest.approx(expected, abs=1e-9)


def test_the_held_back_correlation_tells_knowledge_from_chance():
  walks = list(dict.fromkeys(draw(80, 12)))
  rewards = [interacting_reward(TABLE, walk) for walk in walks]
  assert learnt(walks, rewards).held_back_correlation() > 0.3
  random = np.random.default_rng(0).permutation(rewards)
  assert learnt(walks, random).held_back_correlation() < 0.3
  assert Surrogate(TABLE).held_back_correlation() == 0
  assert learnt(walks[:2], [0.0, 1.0]).held_back_correlation() == 0
  assert learnt(walks, [0.5] * len(walks)).held_back_correlation() == 0


def test_a_prior_predicts_until_something_is_learnt():
  prior = learnt(draw(30, 13), range(30))
  surrogate, candidates = Surrogate(TABLE, prior=prior), draw(5, 14)
  assert surrogate.trained
  mean, deviation = surrogate.predict(candidates)
  assert mean.tolist() == prior.predict(candidates)[0].tolist()
  np.testing.assert_allclose(deviation, np.sqrt(2 + mean**2))  # how much it counts is unknown


def test_what_a_prior_misses_is_learnt():
  """The mean is the prior's and a regression of the rest; the prior itself is left as it is.

  The prior's factor is 1 with variance 1, so that the kernel also has the product of what it
  predicts.
  """
  prior, walks, candidates = learnt(draw(30, 13), range(30)), draw(8, 15), draw(6, 16)
  before, rewards = prior.predict(candidates)[0], np.random.default_rng(1).normal(size=8)
  by_prior = prior.predict([*walks, *candidates])[0]
  kernel = kernel_of([*walks, *candidates], 8) + np.outer(by_prior, by_prior)
  noisy, missed = kernel[:8, :8] + 0.6 * np.eye(8), normal_scores(rewards) - by_prior[:8]
  variance = kernel[8:, 8:] - kernel[8:, :8] @ np.linalg.solve(noisy, kernel[:8, 8:])
  mean, deviation = learnt(walks, rewards, prior=prior).predict(candidates)
  np.testing.assert_allclose(
    mean, before + kernel[8:, :8] @ np.linalg.solve(noisy, missed), atol=1e-9
  )
  np.testing.assert_allclose(deviation, np.sqrt(np.diagonal(variance)), atol=1e-9)
  assert prior.predict(candidates)[0].tolist() == before.tolist()


def kernel_of(walks, known: int):
  """Similarities of walks, with features in units of their deviation over the first `known`."""
  shared = np.array([[similarity(a, b) for b in walks] for a in walks])
  numbers = np.stack([traits(decode(TABLE.space, walk)) for walk in walks])
  numbers = numbers[:, np.ptp(numbers[:known], axis=0) > 0]
  apart = np.square((numbers[:, None] - numbers) / numbers[:known].std(0)).mean(-1)
  return (1 + shared) ** 2 / 4 + np.exp(-0.3 * apart)


def similarity(a, b, table=TABLE) -> float:
  one, other = choices_of(table, a), choices_of(table, b)
  return len(one.items() & other.items()) / np.sqrt(len(one) * len(other))


def test_rounding_does_not_depend_on_the_number_of_threads():
  """Else the same seed would give another search on a machine with more cores."""
  table, rng = compile_table(Chain()), np.random.default_rng(12)
  walks = [sample_uniform(table, rng) for _ in range(250)]
  results = []
  for threads in (1, 2):
    with threadpool_limits(threads, user_api='blas'):
      surrogate = learnt(walks[:200], range(200), table=table)
      mean, deviation = surrogate.predict(walks[200:])
      results.append(mean.tobytes() + deviation.tobytes())
  assert results[0] == results[1]
