import math

import numpy as np
import pytest

from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform, states_of
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.random_search import RandomSearch
from rlnas.strategies.zoph_le import ZophLe
from rlnas.testing.strategy import failed
from rlnas.trial import Measurement, Proposal, Status, Trial

TABLE = compile_table(Chain(max_depth=3))


def trials_of(proposals, rewards) -> list[Trial]:
  measurement = Measurement(Status.COMPLETE)
  return [
    Trial(i, 0, i, p, measurement, float(r))
    for i, (p, r) in enumerate(zip(proposals, rewards, strict=True))
  ]


def deep(network) -> float:
  """A penalty of networks with more than three nodes between input and classifier."""
  return max(0.0, 0.5 * (len(network.nodes) - 5))


def share_that_fits(controller: Controller) -> float:
  walks = controller.sample(TABLE, 500, np.random.default_rng(77)).sequences
  return sum(deep(decode(TABLE.space, walk)) == 0 for walk in walks) / 500


def make(*, init_scale: float = 0.08, **options) -> tuple[ZophLe, Controller]:
  controller = Controller(TABLE, units=16, init_scale=init_scale, seed=0)
  return ZophLe(TABLE, controller=controller, **options), controller


def test_the_baseline_is_a_moving_average_over_trials_started_by_the_first_batch():
  strategy, _ = make(baseline_decay=0.9)
  proposals = strategy.ask(2, np.random.default_rng(0))
  assert strategy.tell(trials_of(proposals, [1.0, 3.0]))['baseline'] == 2
  expected = 0.9 * (0.9 * 2 + 0.1 * 5) + 0.1 * 7
  assert strategy.tell(trials_of(proposals, [5.0, 7.0]))['baseline'] == pytest.approx(expected)


def test_the_loss_uses_the_baseline_before_the_batch():
  strategy, _ = make(baseline_decay=0.9)
  proposals = strategy.ask(2, np.random.default_rng(0))
  strategy.tell(trials_of(proposals, [1.0, 3.0]))
  fresh = strategy.ask(2, np.random.default_rng(1))  # with log-probabilities of the present policy
  scalars = strategy.tell(trials_of(fresh, [5.0, 7.0]))
  log_probs = [proposal.log_prob for proposal in fresh]
  expected = -np.mean(np.array(log_probs) * np.array([5.0 - 2, 7.0 - 2]))
  assert scalars['loss'] == pytest.approx(expected, rel=1e-5)
  assert scalars['reward_mean'] == 6


def test_a_better_walk_becomes_likelier_and_a_worse_one_less():
  strategy, controller = make(learning_rate=1e-3)
  proposals = strategy.ask(2, np.random.default_rng(0))
  tokens = pad_tokens(TABLE, [p.tokens for p in proposals])
  before = controller.score(TABLE, tokens).log_prob
  scalars = strategy.tell(trials_of(proposals, [1.0, 0.0]))
  after = controller.score(TABLE, tokens).log_prob
  assert after[0] > before[0]
  assert after[1] < before[1]
  assert scalars['gradient_norm'] > 0


def test_the_entropy_bonus_alone_raises_the_entropy():
  strategy, _ = make(init_scale=3.0, learning_rate=0.05, entropy_weight=1.0)  # far from uniform
  rng = np.random.default_rng(0)
  entropies = []
  for _ in range(20):
    proposals = strategy.ask(32, rng)
    entropies.append(strategy.tell(trials_of(proposals, [0.5] * 32))['entropy'])
  assert entropies[-1] > entropies[0] + 1


def test_with_a_warm_start_proposals_before_the_first_result_are_uniform():
  """As the policy learns meanwhile. Failures are no results. Without one, it is the policy's."""
  strategy, _ = make(warm_start=2, penalty=deep)
  strategy.prepare()
  before = strategy.ask(4, np.random.default_rng(0))
  assert {p.log_prob for p in before} == {-math.log(TABLE.size)}
  rng = np.random.default_rng(0)
  assert [p.tokens for p in before] == [sample_uniform(TABLE, rng) for _ in range(4)]
  assert strategy.tell(failed(before, 0)) == {}
  assert strategy.ask(4, np.random.default_rng(0)) == before
  strategy.tell(trials_of(before, range(4)))
  after = strategy.ask(4, np.random.default_rng(0))
  assert all(p.log_prob != -math.log(TABLE.size) for p in after)
  with pytest.raises(ValueError, match='count=0'):
    make(warm_start=2)[0].ask(0, np.random.default_rng(0))
  cold, controller = make()
  drawn = controller.sample(TABLE, 4, np.random.default_rng(0)).sequences
  assert tuple(p.tokens for p in cold.ask(4, np.random.default_rng(0))) == drawn


def test_a_warm_start_teaches_what_fits_before_the_first_trials_are_told():
  """The policy's share of networks without a penalty rises; by 6 sigma of two binomial shares."""
  strategy, controller = make(warm_start=40, penalty=deep)
  before = share_that_fits(controller)
  while strategy.prepare():
    pass
  after = share_that_fits(controller)
  sigma = math.sqrt((before * (1 - before) + after * (1 - after)) / 500)
  assert after - before > 6 * sigma


@pytest.mark.parametrize(
  'arguments',
  [
    {'warm_start': -1},
    {'learning_rate': 0.0},
    {'learning_rate': float('nan')},
    {'baseline_decay': 1.0},
    {'baseline_decay': -0.1},
    {'entropy_weight': -1.0},
  ],
)
def test_arguments_out_of_range_are_refused(arguments):
  with pytest.raises(ValueError, match=next(iter(arguments))):
    make(**arguments)


def test_rewards_that_are_not_finite_are_refused_and_change_nothing():
  strategy, _ = make()
  proposals = strategy.ask(4, np.random.default_rng(0))
  for bad in (float('nan'), float('inf')):
    with pytest.raises(ValueError, match='finite'):
      strategy.tell(trials_of(proposals, [0.5, bad, 0.5, 0.5]))
  assert strategy.ask(4, np.random.default_rng(0)) == proposals


def synthetic_reward(proposal: Proposal) -> float:
  """Share of the six filters and kernels, of at most three layers, that are 24 and 5 wide."""
  wanted = {'filters': 24, 'kernel': 5}
  states = states_of(TABLE, proposal.tokens)
  hits = sum(
    wanted.get(TABLE.kinds[TABLE.kind[s]]) == TABLE.choices[s][t]
    for s, t in zip(states, proposal.tokens, strict=True)
  )
  return hits / 6


def test_it_beats_random_search():
  """After 40 batches of 10, the mean of 200 proposals passes random search's by 10 sigma.

  Sigma is the standard error of the difference of the two means. If the policy had not moved
  from a policy as good as random search, the false-alarm rate at 10 sigma would be below 1e-20.
  """
  strategy, _ = make(learning_rate=0.02)
  for batch in range(40):
    proposals = strategy.ask(10, np.random.default_rng(batch))
    strategy.tell(trials_of(proposals, map(synthetic_reward, proposals)))
  learned, uniform = (
    [synthetic_reward(p) for p in s.ask(200, np.random.default_rng(1000))]
    for s in (strategy, RandomSearch(TABLE))
  )
  sigma = math.sqrt((np.var(learned) + np.var(uniform)) / 200)
  assert np.mean(learned) - np.mean(uniform) > 10 * sigma


def test_looking_at_draws_changes_nothing_but_what_is_reported():
  """With a penalty it draws networks to see how many fit; the course stays the same to the bit."""
  asked = []
  for penalty in (None, lambda architecture: float(len(architecture.nodes) > 6)):
    strategy, controller = make(penalty=penalty)
    for batch in range(3):
      proposals = strategy.ask(4, np.random.default_rng(batch))
      scalars = strategy.tell(trials_of(proposals, range(4)))
    weights = [w.tolist() for w in controller.weights.values()]
    asked.append((strategy.ask(4, np.random.default_rng(9)), weights))
    assert ('fit_rate' in scalars) == (penalty is not None)
  assert asked[0] == asked[1]
  many = controller.sample(TABLE, 2000, np.random.default_rng(1))
  short = [len(decode(TABLE.space, walk).nodes) <= 6 for walk in many.sequences]
  # 32 draws: 4.5 sigma, false alarms below 1e-5.
  assert 0.05 < np.mean(short) < 0.95
  assert scalars['fit_rate'] == pytest.approx(np.mean(short), abs=4.5 * (0.25 / 32) ** 0.5)
  assert scalars['entropy'] == pytest.approx(many.entropy.mean(), rel=0.2)
