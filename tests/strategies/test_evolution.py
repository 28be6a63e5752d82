import numpy as np
import pytest

from rlnas.spaces.nasbench201 import NasBench201
from rlnas.spaces.table import compile_table, unrank
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.proposals import propose
from rlnas.strategies.random_search import RandomSearch
from rlnas.trial import Proposal
from tests.strategies import interactions
from tests.strategies.interactions import trials_of

TABLE = compile_table(NasBench201())
WALKS = [unrank(TABLE, 500 * i) for i in range(30)]
PROPOSALS = [propose(TABLE, tokens) for tokens in WALKS]


def told(rewards, **options) -> tuple[Evolution, dict[str, float]]:
  strategy = Evolution(TABLE, **options)
  return strategy, strategy.tell(trials_of(PROPOSALS[: len(rewards)], rewards))


def test_proposals_are_uniform_until_the_population_is_full():
  strategy, _ = told([0.5] * 4, population=5, sample=2)
  proposals = strategy.ask(8, np.random.default_rng(0))
  uniform = RandomSearch(TABLE).ask(8, np.random.default_rng(0))
  assert [p.tokens for p in proposals] == [p.tokens for p in uniform]
  assert all(p.log_prob is None for p in proposals)
  strategy.tell(trials_of(PROPOSALS[4:5], [0.5]))
  mutants = strategy.ask(8, np.random.default_rng(0))
  assert all(min(distance(m.tokens, w) for w in WALKS[:5]) == 1 for m in mutants)


def distance(one, other) -> int:
  return sum(a != b for a, b in zip(one, other, strict=True))


def test_the_best_of_the_sample_is_the_parent():
  walks = [(i,) * 6 for i in range(4)]
  trials = trials_of([propose(TABLE, w) for w in walks], [1, 2, 9, 3])
  for sample, winners in ((4, {2}), (2, {1, 2, 3})):  # of two different, the worst never wins
    strategy = Evolution(TABLE, population=4, sample=sample)
    strategy.tell(trials)
    mutants = strategy.ask(200, np.random.default_rng(0))
    distances = [[distance(m.tokens, walk) for walk in walks] for m in mutants]
    assert {min(d) for d in distances} == {1}
    assert {d.index(1) for d in distances} == winners


def test_with_aging_the_oldest_dies_be_it_the_best():
  _, scalars = told([9, 1, 2, 0], population=3, sample=2)
  assert scalars == {
    'population': 3.0,
    'population_reward_mean': 1.0,
    'population_reward_best': 2.0,
  }


def test_without_aging_the_worst_of_the_sample_dies():
  _, scalars = told([9, 1, 2, 0, 0.5], population=3, sample=3, aging=False)
  # 1 makes room for 0, though 0 is worse; then 0 for 0.5.
  assert scalars['population_reward_mean'] == pytest.approx((9 + 2 + 0.5) / 3)


def test_of_a_pair_the_better_survives():
  """Pairwise: the best of all never dies, and the mean grows."""
  rewards = [9.0, 1, 2, 3, 4, *([5.0] * 25)]
  _, scalars = told(rewards, population=5, sample=2, aging=False)
  assert scalars['population_reward_best'] == 9
  assert scalars['population_reward_mean'] == pytest.approx((9 + 4 * 5) / 5)


@pytest.mark.parametrize('aging', [True, False])
def test_how_trials_are_batched_changes_nothing(aging):
  rewards = np.random.default_rng(0).random(30).tolist()
  whole, scalars = told(rewards, population=6, sample=2, aging=aging)
  single = Evolution(TABLE, population=6, sample=2, aging=aging)
  for trial in trials_of(PROPOSALS, rewards):
    last = single.tell([trial])
  assert last == scalars
  rng = np.random.default_rng
  assert single.ask(9, rng(1)) == whole.ask(9, rng(1))


def test_the_seed_decides_who_dies():
  rewards = np.random.default_rng(0).random(30).tolist()
  means = {
    told(rewards, population=10, sample=2, aging=False, seed=s)[1]['population_reward_mean']
    for s in range(5)
  }
  assert len(means) > 1


def test_an_empty_population_reports_nothing():
  assert Evolution(TABLE).tell([]) == {}


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'population': 0}, 'population=0'),
    ({'sample': 0}, 'sample=0'),
    ({'population': 3, 'sample': 4}, 'sample=4'),
  ],
)
def test_arguments_out_of_range_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    Evolution(TABLE, **options)


def test_bad_trials_are_refused_and_change_nothing():
  strategy, _ = told([1, 2, 3], population=3, sample=2)
  before = strategy.ask(9, np.random.default_rng(0))
  outside = Proposal((9,) * 6, PROPOSALS[0].architecture)
  for proposals, reward, message in (
    (PROPOSALS[:2], float('nan'), 'finite'),
    ([PROPOSALS[0], outside], 1.0, 'token 9'),
  ):
    with pytest.raises(ValueError, match=message):
      strategy.tell(trials_of(proposals, [0.5, reward]))
  assert strategy.ask(9, np.random.default_rng(0)) == before


@pytest.mark.parametrize('aging', [True, False])
def test_it_beats_random_search(aging):
  strategy = Evolution(interactions.TABLE, aging=aging)
  assert interactions.sigmas_above_random_search(strategy, trials=150) > 6
