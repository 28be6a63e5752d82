import numpy as np
import pytest

from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.nasbench201 import NasBench201
from rlnas.spaces.table import compile_table, enumerate_tokens
from rlnas.strategies.local_search import LocalSearch
from rlnas.strategies.proposals import propose
from rlnas.strategies.random_search import RandomSearch
from rlnas.testing.strategy import failed
from rlnas.trial import Trial
from tests.strategies.interactions import trials_of
from tests.strategies.test_learning import interacting_reward

CELLS = compile_table(NasBench201())
CHAINS = compile_table(Chain(max_depth=4))
SMALL = compile_table(Chain(max_depth=1, kernels=(3, 5), filters=(4, 8), max_strides=0))
FAR = ((0,) * 6, (1,) * 6, (2,) * 6)


def started(*, samples: int = 3, **options) -> LocalSearch:
  """A search whose incumbent is trial 1, of reward 3."""
  strategy = LocalSearch(CELLS, samples=samples, **options)
  strategy.tell(trials_of([propose(CELLS, walk) for walk in FAR], [1.0, 3.0, 2.0]))
  return strategy


def distance(one, other) -> int:
  return sum(a != b for a, b in zip(one, other, strict=True))


def after(strategy: LocalSearch, walk, reward: float, index: int, *, parent: int | None) -> dict:
  trials = trials_of([propose(CELLS, walk, parent=parent)], [reward], index)
  return strategy.tell(trials)


def test_it_begins_with_new_uniform_samples():
  strategy = LocalSearch(CELLS, samples=3)
  proposals = strategy.ask(8, np.random.default_rng(0))
  assert all(p.parent is None and p.log_prob is None for p in proposals)
  assert len({p.architecture.digest for p in proposals}) == 8
  assert 'incumbent_reward' not in strategy.tell(trials_of(proposals[:2], [1.0, 2.0]))
  assert all(p.parent is None for p in strategy.ask(8, np.random.default_rng(1)))


def test_it_goes_on_from_the_best_sample_to_its_neighbours():
  proposals = started().ask(12, np.random.default_rng(0))
  assert {p.parent for p in proposals} == {1}
  assert {distance(p.tokens, FAR[1]) for p in proposals} == {1}
  assert len({p.architecture.digest for p in proposals}) == 12


def test_it_moves_at_once_to_a_better_neighbour():
  strategy = started()
  better, best = (0, 1, 1, 1, 1, 1), (0, 0, 1, 1, 1, 1)
  assert after(strategy, better, 3.5, 3, parent=1)['incumbent_reward'] == 3.5
  assert {p.parent for p in strategy.ask(3, np.random.default_rng(0))} == {3}
  # A late neighbour of the earlier incumbent: worse, then better than the present one.
  assert after(strategy, (1, 2, 1, 1, 1, 1), 3.2, 4, parent=1)['incumbent_reward'] == 3.5
  assert after(strategy, best, 4.0, 5, parent=1)['incumbent_reward'] == 4.0
  assert {distance(p.tokens, best) for p in strategy.ask(3, np.random.default_rng(0))} == {1}


def test_equal_is_not_better():
  strategy = started()
  after(strategy, (0, 1, 1, 1, 1, 1), 3.0, 3, parent=1)
  assert {p.parent for p in strategy.ask(3, np.random.default_rng(0))} == {1}


def test_after_its_patience_it_starts_again_and_forgets_the_earlier_climb():
  strategy = started(patience=2)
  assert after(strategy, (0, 1, 1, 1, 1, 1), 0.1, 3, parent=1)['climbs'] == 1
  assert after(strategy, (2, 1, 1, 1, 1, 1), 0.2, 4, parent=1)['climbs'] == 2
  # Neighbours that come late, however good, are no samples of the new climb.
  for i in range(3):
    assert 'incumbent_reward' not in after(strategy, (i, 3, 1, 1, 1, 1), 9.0, 5 + i, parent=1)
  fresh = strategy.ask(3, np.random.default_rng(0))
  assert all(p.parent is None for p in fresh)
  scalars = strategy.tell(trials_of(fresh, [0.3, 0.5, 0.4], 8))
  assert (scalars['climbs'], scalars['incumbent_reward']) == (2, 0.5)
  assert {p.parent for p in strategy.ask(3, np.random.default_rng(0))} == {9}


def test_when_all_neighbours_are_known_it_starts_again():
  strategy = started(patience=1000)
  climbs, told = 1.0, 3
  while climbs == 1:
    (proposal,) = strategy.ask(1, np.random.default_rng(told))
    assert proposal.parent == 1
    climbs = strategy.tell(trials_of([proposal], [0.0], told))['climbs']
    told += 1
  neighbours = {
    propose(CELLS, walk).digest for walk in enumerate_tokens(CELLS) if distance(walk, FAR[1]) == 1
  }
  # Of 24 walks, that without the first edge and that without the last describe one network: each
  # leaves a way through one point between, and the direct edge.
  assert told - 3 == len(neighbours) == 23


def test_a_batch_beyond_the_neighbourhood_is_filled_with_samples():
  proposals = started().ask(40, np.random.default_rng(0))
  parents = [p.parent for p in proposals]
  neighbours = parents.count(1)
  assert 10 < neighbours <= 24
  assert parents == [1] * neighbours + [None] * (40 - neighbours)
  assert len({p.architecture.digest for p in proposals}) == 40


def test_nothing_is_proposed_twice_until_the_space_is_exhausted():
  strategy = LocalSearch(SMALL, samples=2)
  everything = {decode(SMALL.space, tokens).digest for tokens in enumerate_tokens(SMALL)}
  met: list[str] = []
  while len(met) < len(everything):
    proposals = strategy.ask(1, np.random.default_rng(len(met)))
    strategy.tell(trials_of(proposals, [0.0], len(met)))
    met += [p.architecture.digest for p in proposals]
  assert set(met) == everything
  assert strategy.ask(1, np.random.default_rng(99))[0].architecture.digest in everything


def test_what_is_not_admitted_is_proposed_only_where_nothing_else_is_left():
  everything = [decode(SMALL.space, tokens).digest for tokens in enumerate_tokens(SMALL)]
  admitted = set(everything[::2])
  strategy = LocalSearch(
    SMALL, samples=2, admits=lambda architecture: architecture.digest in admitted
  )
  met: list[str] = []
  while len(met) < len(admitted):
    proposals = strategy.ask(1, np.random.default_rng(len(met)))
    strategy.tell(trials_of(proposals, [float(len(met))], len(met)))
    met += [p.architecture.digest for p in proposals]
  assert set(met) == admitted
  assert strategy.ask(1, np.random.default_rng(99))[0].architecture.digest not in admitted


def test_what_failed_is_not_proposed_again():
  strategy = started()
  proposals = strategy.ask(10, np.random.default_rng(0))
  assert strategy.tell(failed(proposals, 1)) == {}
  again = strategy.ask(10, np.random.default_rng(0))
  assert not {p.architecture.digest for p in proposals} & {p.architecture.digest for p in again}
  assert {p.parent for p in again} == {1}


def test_how_trials_are_batched_changes_nothing():
  whole, single = (
    LocalSearch(CELLS, samples=3, patience=6),
    LocalSearch(CELLS, samples=3, patience=6),
  )
  rng = np.random.default_rng(0)
  trials: list[Trial] = []
  for batch in range(30):
    proposals = whole.ask(4, np.random.default_rng(batch))
    told = trials_of(proposals, rng.random(4).tolist(), 4 * batch)
    scalars = whole.tell(told)
    trials += told
  assert scalars['climbs'] > 3
  for trial in trials:
    single.tell([trial])
  assert single.ask(9, np.random.default_rng(7)) == whole.ask(9, np.random.default_rng(7))


@pytest.mark.parametrize('options', [{'samples': 0}, {'patience': 0}])
def test_arguments_out_of_range_are_refused(options):
  with pytest.raises(ValueError, match=next(iter(options))):
    LocalSearch(CELLS, **options)


def test_bad_trials_are_refused_and_change_nothing():
  strategy = started()
  before = strategy.ask(9, np.random.default_rng(0))
  with pytest.raises(ValueError, match='finite'):
    strategy.tell(trials_of([propose(CELLS, (0, 1, 1, 1, 1, 1), parent=1)], [float('nan')]))
  assert strategy.ask(9, np.random.default_rng(0)) == before


def best_of(strategy, *, trials: int, seed: int) -> float:
  """The best reward of a search on decisions that interact."""
  best = -np.inf
  for batch in range(trials // 5):
    proposals = strategy.ask(5, np.random.default_rng((seed, batch)))
    rewards = [interacting_reward(CHAINS, p.tokens) for p in proposals]
    strategy.tell(trials_of(proposals, rewards, 5 * batch))
    best = max(best, *rewards)
  return best


def test_it_beats_random_search():
  """The best of 100 trials over 12 searches, by 4 sigma: a false-alarm rate of 3e-5."""
  found, random = (
    [best_of(make(CHAINS), trials=100, seed=seed) for seed in range(12)]
    for make in (LocalSearch, RandomSearch)
  )
  sigma = np.sqrt((np.var(found, ddof=1) + np.var(random, ddof=1)) / 12)
  assert np.mean(found) - np.mean(random) > 4 * sigma
