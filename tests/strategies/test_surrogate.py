import itertools

import numpy as np
import pytest
from scipy import stats

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


def predict(walks, rewards, candidates):
  surrogate = Surrogate(TABLE)
  surrogate.learn(walks, rewards)
  return surrogate.predict(candidates)


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
  half = len(walks) // 2
  scores = predict(walks, range(len(walks)), walks)
  assert stats.spearmanr(scores[half:], range(len(walks) - half)).statistic > 0.8


def test_how_bad_the_worse_half_is_does_not_matter():
  walks, candidates = draw(9, 8), draw(6, 9)
  mild = predict(walks, range(9), candidates)
  harsh = predict(walks, [-50, -7, -900, -3, 4, 5, 6, 7, 8], candidates)
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
  shared = np.array([[similarity(a, b) for b in walks] for a in walks])
  numbers = np.stack([traits(decode(TABLE.space, walk)) for walk in walks])
  deviation = numbers[:2].std(0)
  numbers = numbers[:, deviation > 0] / deviation[deviation > 0]
  apart = np.square(numbers[:, None] - numbers).mean(-1)
  kernel = (1 + shared) ** 2 / 4 + np.exp(-0.3 * apart)
  dual = np.linalg.solve(kernel[:2, :2] + 0.3 * np.eye(2), normal_scores([0.0, 1.0]))
  assert scores[0] == pytest.approx(kernel[2, :2] @ dual)


def test_what_was_asked_before_changes_nothing():
  walks, candidates = draw(12, 6), draw(8, 7)
  asked, fresh = Surrogate(TABLE), Surrogate(TABLE)
  for count in range(2, 12):
    asked.learn(walks[:count], range(count))
    asked.predict(draw(5, count))
  for surrogate in (asked, fresh):
    surrogate.learn(walks, range(12))
  assert asked.predict(candidates).tolist() == fresh.predict(candidates).tolist()


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
    scores = normal_scores(np.maximum(range(count), np.median(range(count))))
    dual = np.linalg.solve(kernel + 0.3 * np.eye(count), scores)
    surrogate = Surrogate(table)
    surrogate.learn(walks, range(count))
    np.testing.assert_allclose(surrogate.predict(walks), kernel @ dual, atol=1e-9)


def similarity(a, b, table=TABLE) -> float:
  one, other = choices_of(table, a), choices_of(table, b)
  return len(one.items() & other.items()) / np.sqrt(len(one) * len(other))
