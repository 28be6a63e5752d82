import math

import numpy as np
import pytest

from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table, sample_uniform, states_of
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.losses import clipped_surrogate
from rlnas.strategies.ppo import PPO
from rlnas.testing.strategy import failed
from tests.strategies.test_zoph_le import deep, share_that_fits, trials_of

TABLE = compile_table(Chain(max_depth=3))


def make(**options) -> tuple[PPO, Controller]:
  controller = Controller(TABLE, units=16, seed=0)
  return PPO(TABLE, controller=controller, **options), controller


def decisions(tokens) -> int:
  return sum(len(TABLE.choices[state]) > 1 for state in states_of(TABLE, tokens))


def test_the_loss_is_the_surrogate_less_the_bonus():
  strategy, _ = make(entropy_weight=0.5, updates=1)
  proposals = strategy.ask(2, np.random.default_rng(0))
  scalars = strategy.tell(trials_of(proposals, [1.0, 3.0]))
  # The policy is that of the proposals, so every ratio is 1; the advantages -1 and 1 cancel.
  assert scalars['loss'] == pytest.approx(-0.5 * scalars['entropy'], rel=1e-5)


def test_the_ratio_is_held_by_the_clip():
  """A large step per update, many updates: plain gradients would go on and on."""
  ratios = []
  for clip in (0.05, 0.5):
    strategy, controller = make(clip=clip, learning_rate=1e-3, updates=100, entropy_weight=0.0)
    proposals = strategy.ask(2, np.random.default_rng(0))
    strategy.tell(trials_of(proposals, [1.0, 0.0]))
    tokens = pad_tokens(TABLE, [p.tokens for p in proposals])
    log_prob = controller.score(TABLE, tokens).log_prob
    change = log_prob[0] - (proposals[0].log_prob or 0)
    ratios.append(float(np.exp(change / decisions(proposals[0].tokens))))
  assert 1.05 < ratios[0] < 1.4
  assert ratios[1] > 1.5


def test_steps_learn_from_the_latest_earlier_trials_again():
  """The loss before the first step, by its equation; the baseline is that before the batch."""
  strategy, controller = make(updates=1, replays=3, learning_rate=0.05, entropy_weight=0.0)
  rng = np.random.default_rng(0)
  told, before = [], 2.0
  for rewards in ([3.0, 1.0], [2.0, 5.0], [4.0, 0.0]):
    proposals = strategy.ask(2, rng)
    learnt = list(zip(proposals, rewards, strict=True)) + told[-3:]
    tokens = [proposal.tokens for proposal, _ in learnt]
    log_prob = controller.score(TABLE, pad_tokens(TABLE, tokens)).log_prob
    scalars = strategy.tell(trials_of(proposals, rewards))
    expected = clipped_surrogate(
      log_prob,
      [proposal.log_prob for proposal, _ in learnt],
      [reward - before for _, reward in learnt],
      [decisions(walk) for walk in tokens],
      0.2,
    )
    assert scalars['loss'] == pytest.approx(expected.value, rel=1e-4)
    before = scalars['baseline']
    told += zip(proposals, rewards, strict=True)


def test_normalised_advantages_know_no_scale_of_rewards():
  """Those of the replayed trials included: searches differ only by rounding."""
  weights = []
  for scale in (1.0, 1024.0):
    strategy, controller = make(normalise_advantages=True, replays=4, learning_rate=0.01)
    rng = np.random.default_rng(0)
    for _ in range(3):
      proposals = strategy.ask(2, rng)
      strategy.tell(trials_of(proposals, [scale * len(p.tokens) for p in proposals]))
    weights.append(controller.weights['head'].copy())
  np.testing.assert_allclose(*weights, rtol=1e-4, atol=1e-6)


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
    *({'clip': clip} for clip in (0.0, 1.0, -0.2, float('nan'))),
    {'learning_rate': 0.0},
    {'baseline_decay': 1.0},
    {'entropy_weight': -1.0},
    {'updates': 0},
    {'replays': -1},
  ],
)
def test_arguments_out_of_range_are_refused(arguments):
  with pytest.raises(ValueError, match=next(iter(arguments))):
    make(**arguments)
