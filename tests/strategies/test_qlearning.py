import numpy as np
import pytest
from scipy import stats

from rlnas.architecture import Graph
from rlnas.spaces.decision import Decision
from rlnas.spaces.nasbench201 import NasBench201
from rlnas.spaces.table import compile_table, enumerate_tokens, unrank
from rlnas.strategies.proposals import propose
from rlnas.strategies.qlearning import SCHEDULE, QLearning
from rlnas.trial import Proposal
from tests.strategies import interactions
from tests.strategies.interactions import trials_of

GREEDY = ((0.0, 1),)


def two_decisions():
  """Where the first is 0, the walk ends after it."""
  first = yield Decision('first', 'digit', (0, 1, 2))
  if first:
    yield Decision('second', 'digit', (0, 1, 2), (first,))
  graph = Graph()
  return graph.finish(graph.classify(graph.input))


TABLE = compile_table(two_decisions)


def proposal(*tokens: int) -> Proposal:
  return propose(TABLE, tokens)


def greedy_tokens(strategy: QLearning) -> set[tuple[int, ...]]:
  return {p.tokens for p in strategy.ask(20, np.random.default_rng(0))}


def test_a_replay_goes_backwards_and_shares_the_reward():
  strategy = QLearning(TABLE, replays=1, learning_rate=0.5, initial=0.5, schedule=GREEDY)
  scalars = strategy.tell(trials_of([proposal(1, 2)], [3.0]))
  # Shares of 1.5. Second decision: 0.5 + 0.5 (1.5 - 0.5) = 1; first: 0.5 + 0.5 (1.5 + 1 - 0.5).
  assert scalars == {'epsilon': 0.0, 'q_best': 1.5}
  assert greedy_tokens(strategy) == {(1, 2)}


def test_the_replays_of_a_trial_are_counted():
  strategy = QLearning(TABLE, replays=3, learning_rate=0.5, initial=0.0, schedule=GREEDY)
  scalars = strategy.tell(trials_of([proposal(0)], [8.0]))
  assert scalars['q_best'] == 8 * (1 - 0.5**3)


def test_it_finds_the_best_walk_whatever_its_length():
  walks = list(enumerate_tokens(TABLE))
  for best in walks:
    strategy = QLearning(TABLE, replays=500, schedule=GREEDY)
    rewards = [1.0 if tokens == best else -0.5 for tokens in walks]
    strategy.tell(trials_of([proposal(*tokens) for tokens in walks], rewards))
    assert greedy_tokens(strategy) == {best}


def test_where_all_rewards_are_equal_the_root_tends_to_them():
  walks = [proposal(*tokens) for tokens in enumerate_tokens(TABLE)]
  strategy = QLearning(TABLE, replays=500)
  scalars = strategy.tell(trials_of(walks * 3, [-0.7] * 21))
  assert scalars['q_best'] == pytest.approx(-0.7, abs=1e-6)


def test_equal_values_are_chosen_alike_and_epsilon_one_ignores_values():
  """Chi-square of the first decision at a fixed seed; false-alarm rate 1e-4 each."""
  taught = QLearning(TABLE, schedule=((1.0, 10),))
  taught.tell(trials_of([proposal(2, 0)], [5.0]))
  for strategy in (QLearning(TABLE, schedule=GREEDY), taught):
    proposals = strategy.ask(3000, np.random.default_rng(0))
    counts = np.bincount([p.tokens[0] for p in proposals], minlength=3)
    assert ((counts - 1000) ** 2 / 1000).sum() < stats.chi2.isf(1e-4, 2)
    assert all(p.log_prob is None for p in proposals)


def test_epsilon_falls_with_the_trials_told():
  strategy = QLearning(TABLE, schedule=((1.0, 2), (0.5, 1), (0.25, 1)))
  epsilons = [strategy.epsilon]
  for i in range(5):
    epsilons.append(strategy.tell(trials_of([proposal(0)], [0.5], i))['epsilon'])
  assert epsilons == [1.0, 1.0, 0.5, 0.25, 0.25, 0.25]


def test_the_schedule_is_for_a_search_of_a_hundred():
  assert sum(trials for _, trials in SCHEDULE) == 100
  assert [epsilon for epsilon, _ in SCHEDULE] == sorted((e for e, _ in SCHEDULE), reverse=True)


def test_how_trials_are_batched_changes_nothing():
  table = compile_table(NasBench201())
  proposals = [propose(table, unrank(table, 500 * i)) for i in range(30)]
  trials = trials_of(proposals, np.random.default_rng(0).random(30).tolist())
  whole, single = (QLearning(table, schedule=GREEDY) for _ in range(2))
  scalars = whole.tell(trials)
  for trial in trials:
    last = single.tell([trial])
  assert last == scalars
  assert single.ask(9, np.random.default_rng(0)) == whole.ask(9, np.random.default_rng(0))
  other = QLearning(table, schedule=GREEDY, seed=1)
  assert other.tell(trials) != scalars, 'the seed decides what is replayed'


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'schedule': ()}, 'schedule'),
    ({'schedule': ((1.5, 10),)}, 'schedule'),
    ({'schedule': ((1.0, 0),)}, 'schedule'),
    ({'replays': 0}, 'replays=0'),
    ({'learning_rate': 0.0}, 'learning_rate'),
    ({'learning_rate': float('nan')}, 'learning_rate'),
    ({'initial': float('inf')}, 'initial'),
  ],
)
def test_arguments_out_of_range_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    QLearning(TABLE, **options)


def test_bad_trials_are_refused_and_change_nothing():
  strategy = QLearning(TABLE)
  outside = Proposal((7,), proposal(0).architecture)
  for other, reward, message in ((proposal(0), float('inf'), 'finite'), (outside, 1.0, 'token 7')):
    with pytest.raises(ValueError, match=message):
      strategy.tell(trials_of([proposal(1, 1), other], [0.5, reward]))
  assert strategy.tell([]) == {'epsilon': 1.0, 'q_best': 0.5}


def test_it_beats_random_search():
  strategy = QLearning(interactions.TABLE)
  assert interactions.sigmas_above_random_search(strategy, trials=150) > 6
