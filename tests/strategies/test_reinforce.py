import math

import numpy as np
import pytest

from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, enumerate_tokens
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.reinforce import Reinforce
from rlnas.testing.strategy import failed
from tests.strategies.test_zoph_le import trials_of

TABLE = compile_table(Chain(max_depth=3))
SMALL = compile_table(Chain(max_depth=1, kernels=(3, 5), filters=(4, 8), max_strides=0))


def make(table=TABLE, **options) -> tuple[Reinforce, Controller]:
  controller = Controller(table, units=16, seed=0)
  return Reinforce(table, controller=controller, **options), controller


def digests(proposals) -> list[str]:
  return [p.architecture.digest for p in proposals]


@pytest.mark.slow
def test_it_becomes_likelier_to_propose_its_best_and_only_them():
  strategy, controller = make(elite=2, warm_up=0)
  proposals = strategy.ask(4, np.random.default_rng(0))
  tokens = pad_tokens(TABLE, [p.tokens for p in proposals])
  before = controller.score(TABLE, tokens)[0].numpy()
  scalars = strategy.tell(trials_of(proposals, [0.1, 0.9, 0.2, 0.8]))
  after = controller.score(TABLE, tokens)[0].numpy()
  assert scalars['queue_mean'] == pytest.approx(0.85)
  assert scalars['loss'] == pytest.approx(-before[[1, 3]].mean(), rel=1e-5)
  assert (after[[1, 3]] > before[[1, 3]]).all()


@pytest.mark.slow
def test_only_the_order_of_rewards_counts():
  answers = []
  for rewards in ([1, 2, 3, 3, 0, 0], [-7, 0.1, 400, 400, -8, -8]):
    strategy, _ = make(elite=2, warm_up=0)
    strategy.tell(trials_of(strategy.ask(6, np.random.default_rng(0)), rewards))
    answers.append(strategy.ask(6, np.random.default_rng(1)))
  assert answers[0] == answers[1]


def test_the_first_of_equals_is_the_better():
  """The fifth, no better than the two in the queue, teaches the policy nothing."""
  answers = []
  for rewards in ([1, 2, 3, 3, 0, 0], [1, 2, 3, 3, 3, 0]):
    strategy, _ = make(elite=2, warm_up=0, candidates=1)
    strategy.tell(trials_of(strategy.ask(6, np.random.default_rng(0)), rewards))
    answers.append(strategy.ask(6, np.random.default_rng(1)))
  assert answers[0] == answers[1]


@pytest.mark.slow
def test_what_was_told_is_not_proposed_again_until_the_space_is_exhausted():
  strategy, _ = make(SMALL, warm_up=0)
  everything = {decode(SMALL.space, tokens).digest for tokens in enumerate_tokens(SMALL)}
  met: list[str] = []
  while len(met) < len(everything):
    proposals = strategy.ask(1, np.random.default_rng(len(met)))
    strategy.tell(trials_of(proposals, [float(len(met))]))
    met += digests(proposals)
  assert set(met) == everything
  again = strategy.ask(3, np.random.default_rng(99))
  assert set(digests(again)) <= everything


@pytest.mark.slow
def test_what_is_not_admitted_is_proposed_only_where_nothing_else_is_left():
  everything = [decode(SMALL.space, tokens).digest for tokens in enumerate_tokens(SMALL)]
  admitted = set(everything[::2])
  strategy, _ = make(SMALL, warm_up=2, admits=lambda architecture: architecture.digest in admitted)
  met: list[str] = []
  while len(met) < len(admitted):
    proposals = strategy.ask(1, np.random.default_rng(len(met)))
    strategy.tell(trials_of(proposals, [float(len(met))]))
    met += digests(proposals)
  assert set(met) == admitted
  (another,) = strategy.ask(1, np.random.default_rng(99))
  assert another.architecture.digest in set(everything) - admitted


def test_what_failed_is_not_proposed_again():
  strategy, _ = make(SMALL, warm_up=0)
  met: set[str] = set()
  for batch in range(4):
    proposals = strategy.ask(2, np.random.default_rng(batch))
    assert not met & set(digests(proposals))
    met |= set(digests(proposals))
    strategy.tell(failed(proposals, batch))


def test_a_batch_holds_no_architecture_twice():
  strategy, _ = make(SMALL, warm_up=0)
  assert len(set(digests(strategy.ask(4, np.random.default_rng(0))))) == 4


def test_the_warm_up_is_uniform_and_ends():
  strategy, _ = make(warm_up=8)
  for batch in range(2):
    proposals = strategy.ask(4, np.random.default_rng(batch))
    assert {p.log_prob for p in proposals} == {-math.log(TABLE.size)}
    strategy.tell(trials_of(proposals, range(4)))
  after = strategy.ask(4, np.random.default_rng(2))
  assert all(p.log_prob != -math.log(TABLE.size) for p in after)


def test_the_recorded_probability_is_that_of_the_mixture():
  """At full exploration each choice is uniform whatever the policy; halfway, it is the mean."""
  for share in (0.0, 0.5, 1.0):
    controller = Controller(SMALL, units=6, init_scale=2.0, seed=3)
    strategy = Reinforce(SMALL, controller=controller, exploration=share, warm_up=0)
    for proposal in strategy.ask(4, np.random.default_rng(0)):
      expected = mixture(controller, proposal.tokens, share)
      assert proposal.log_prob == pytest.approx(expected, abs=1e-5)


def mixture(controller: Controller, tokens: tuple[int, ...], share: float) -> float:
  """Log-probability by the marginals of every choice over the enumerated space."""
  walks = list(enumerate_tokens(SMALL))
  p = np.exp(controller.score(SMALL, pad_tokens(SMALL, walks))[0].numpy().astype(float))
  total = 0.0
  for step in range(len(tokens)):
    siblings = [i for i, walk in enumerate(walks) if walk[:step] == tokens[:step]]
    same = [i for i in siblings if walks[i][step] == tokens[step]]
    offered = len({walks[i][step] for i in siblings})
    total += math.log((1 - share) * p[same].sum() / p[siblings].sum() + share / offered)
  return total


def test_a_descent_that_stays_idle_ends_and_the_next_one_knows_only_what_was_tried():
  """The next descent goes on as a fresh strategy would, but for the architectures it avoids."""
  strategy, controller = make(patience=6, warm_up=3, exploration=1.0)
  first = [v.numpy().tolist() for v in controller.trainable_variables]
  proposals = strategy.ask(8, np.random.default_rng(0))
  assert strategy.tell(trials_of(proposals[:2], [1.0, 2.0]))['descents'] == 1
  assert [v.numpy().tolist() for v in controller.trainable_variables] != first
  strategy.tell(trials_of(proposals[2:], [2.0] * 6))  # six that are no better
  assert [v.numpy().tolist() for v in controller.trainable_variables] == first
  fresh, _ = make(patience=6, warm_up=3, exploration=1.0)
  again = strategy.ask(4, np.random.default_rng(1))
  assert again == fresh.ask(4, np.random.default_rng(1))  # the warm-up included
  scalars = strategy.tell(trials_of(again, [0.5] * 4))
  assert (scalars['descents'], scalars['queue_mean']) == (2, 0.5)
  assert strategy.ask(4, np.random.default_rng(0)) != proposals[:4]


@pytest.mark.parametrize(
  'arguments',
  [
    {'best': 0},
    {'learning_rate': 0.0},
    {'candidates': 0},
    {'candidates': 33},
    {'patience': 0},
    {'warm_up': -1},
    {'exploration': -0.1},
    {'exploration': 1.1},
    {'exploration': float('nan')},
  ],
)
def test_arguments_out_of_range_are_refused(arguments):
  with pytest.raises(ValueError, match=next(iter(arguments))):
    make(**arguments)
