"""The wrapper that skips what cannot fit."""

import contextlib
import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from rlnas.backend import tf
from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.reward import is_feasible, linear_excess
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, enumerate_tokens
from rlnas.strategies import losses
from rlnas.strategies.admitting import Admitting
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.proposals import propose
from rlnas.strategies.random_search import RandomSearch
from rlnas.strategies.zoph_le import CubedReward, ZophLe
from rlnas.trial import Proposal
from tests.strategies.test_zoph_le import trials_of
from tests.synthetic import BUDGET, Synthetic

SMALL = compile_table(Chain(max_depth=2, kernels=(3,), filters=(4, 8), max_strides=1))
WALKS = list(enumerate_tokens(SMALL))


def light(architecture) -> bool:
  """Whether a network has at most 4 filters: 20 of the 88 walks of SMALL."""
  return sum(int(dict(node.attributes).get('filters', 0)) for node in architecture.nodes) <= 4


LIGHT = [walk for walk in WALKS if light(decode(SMALL.space, walk))]


HEAVY = next(walk for walk in WALKS if walk not in LIGHT)
CHAINS = compile_table(Chain(max_depth=3))
TIGHT = dataclasses.replace(BUDGET, flash_bytes=20_000)  # at most 38 filters


def test_some_walks_are_admitted():
  assert (len(LIGHT), len(WALKS)) == (20, SMALL.size) == (20, 88)


def test_random_search_is_uniform_over_what_is_admitted():
  """Chi-square over all admitted walks at a fixed seed; false-alarm rate 1e-4."""
  strategy = Admitting(RandomSearch(SMALL), table=SMALL, admits=light)
  draws = 50 * len(LIGHT)
  rng = np.random.default_rng(0)
  counts = Counter(p.tokens for _ in range(draws // 5) for p in strategy.ask(5, rng))
  assert set(counts) <= set(LIGHT)
  expected = draws // 5 * 5 / len(LIGHT)
  statistic = sum((counts[walk] - expected) ** 2 / expected for walk in LIGHT)
  assert statistic < stats.chi2.isf(1e-4, len(LIGHT) - 1)


def test_a_policy_is_drawn_from_given_that_the_network_is_admitted():
  """Chi-square against p(x) / Z over the enumerated space at a fixed seed; false alarms 1e-4."""
  controller = Controller(SMALL, units=6, init_scale=1.0, seed=3)
  strategy = Admitting(ZophLe(SMALL, controller=controller), table=SMALL, admits=light)
  proposals = strategy.ask(1000, np.random.default_rng(1))
  log_prob = controller.score(SMALL, pad_tokens(SMALL, LIGHT)).log_prob.astype(float)
  expected = 1000 * np.exp(log_prob) / np.exp(log_prob).sum()
  counts = Counter(p.tokens for p in proposals)
  often = expected >= 5  # the rest together are one cell of the test
  found = np.array([counts[walk] for walk in LIGHT])
  cells = [(*expected[often], expected[~often].sum()), (*found[often], found[~often].sum())]
  statistic = sum((f - e) ** 2 / e for e, f in zip(*cells, strict=True) if e > 0)
  assert statistic < stats.chi2.isf(1e-4, int(often.sum()))
  recorded = {p.tokens: p.log_prob for p in proposals}
  for walk, own in zip(LIGHT, log_prob, strict=True):  # that of the policy itself
    if walk in recorded:
      assert recorded[walk] == pytest.approx(own, abs=1e-4)


@pytest.mark.slow
def test_reinforce_has_the_gradient_of_the_reward_of_admitted_networks():
  """Over the enumerated space, with the mean reward of admitted networks as baseline."""
  controller = Controller(SMALL, units=6, init_scale=1.0, seed=3)
  rewards = np.random.default_rng(0).normal(3.0, 1.0, len(LIGHT)).astype(np.float32)
  scores = controller.score(SMALL, pad_tokens(SMALL, LIGHT))
  with tf.GradientTape() as tape:
    log_prob = tf.constant(scores.log_prob)
    tape.watch(log_prob)
    probabilities = tf.nn.softmax(log_prob)  # p(x) / Z
    expected_reward = tf.reduce_sum(probabilities * rewards)
  truth = scores.gradient(tape.gradient(expected_reward, log_prob), np.zeros(len(LIGHT)))
  weighted = len(LIGHT) * probabilities.numpy() * (rewards - float(expected_reward))
  loss = losses.reinforce(scores.log_prob, weighted)
  found = scores.gradient(loss.slope, np.zeros(len(LIGHT)))
  one, other = (
    np.concatenate([g.ravel() for g in gradients.values()]) for gradients in (truth, found)
  )
  assert np.abs(one).max() > 0.01
  np.testing.assert_allclose(one, -other, atol=1e-4 * np.abs(one).max())


class Stubborn:
  """Always proposes the same walk."""

  def __init__(self, tokens: tuple[int, ...], log_prob: float | None = None) -> None:
    self.proposal = propose(SMALL, tokens, log_prob=log_prob)
    self.asked = 0

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    self.asked += count
    return [self.proposal] * count

  def tell(self, trials) -> dict[str, float]:
    return {'trials': float(len(trials))}


@pytest.mark.parametrize(('log_prob', 'expected'), [(None, None), (-0.5, -math.log(88))])
def test_where_the_strategy_finds_nothing_the_rest_is_uniform(log_prob, expected):
  """Chi-square over the admitted walks at a fixed seed; false-alarm rate 1e-4."""
  stubborn = Stubborn(HEAVY, log_prob)
  strategy = Admitting(stubborn, table=SMALL, admits=light, calls=3)
  proposals = strategy.ask(100, np.random.default_rng(0))
  assert stubborn.asked == 300
  assert {p.log_prob for p in proposals} == {expected}
  counts = Counter(p.tokens for p in proposals)
  assert set(counts) <= set(LIGHT)
  statistic = sum((counts[walk] - 5) ** 2 / 5 for walk in LIGHT)
  assert statistic < stats.chi2.isf(1e-4, len(LIGHT) - 1)


def test_where_nothing_is_admitted_it_proposes_what_the_strategy_does():
  strategy = Admitting(Stubborn(HEAVY, -0.5), table=SMALL, admits=lambda _: False, calls=2)
  proposals = strategy.ask(3, np.random.default_rng(0))
  assert [(p.tokens, p.log_prob) for p in proposals] == [(HEAVY, -0.5)] * 3


def test_where_everything_is_admitted_it_changes_nothing():
  plain = RandomSearch(SMALL)
  wrapped = Admitting(plain, table=SMALL, admits=lambda _: True)
  asked = [s.ask(7, np.random.default_rng(5)) for s in (plain, wrapped)]
  assert asked[0] == asked[1]


def test_a_wrong_number_of_proposals_is_refused():
  class Meagre(Stubborn):
    def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
      return super().ask(count - 1, rng)

  strategy = Admitting(Meagre(LIGHT[0]), table=SMALL, admits=light)
  with pytest.raises(ValueError, match=r'ask\(4\) gave 3 proposals: must give 4'):
    strategy.ask(4, np.random.default_rng(0))


def test_calls_below_one_are_refused():
  with pytest.raises(ValueError, match='calls=0'):
    Admitting(RandomSearch(SMALL), table=SMALL, admits=light, calls=0)


def test_mutants_keep_their_parents():
  evolution = Evolution(SMALL, population=5, sample=2)
  evolution.tell(trials_of([propose(SMALL, walk) for walk in LIGHT[:5]], range(5)))
  proposals = Admitting(evolution, table=SMALL, admits=light).ask(50, np.random.default_rng(0))
  assert all(light(p.architecture) for p in proposals)
  assert {p.parent for p in proposals} <= set(range(5))
  assert len({p.parent for p in proposals}) > 1


def test_the_controller_is_that_of_the_wrapped_strategy():
  controller = Controller(SMALL, units=6, seed=0)
  policy = ZophLe(SMALL, controller=controller)
  assert Admitting(policy, table=SMALL, admits=light).controller is controller
  without = Admitting(RandomSearch(SMALL), table=SMALL, admits=light)
  assert getattr(without, 'controller', None) is None


def test_it_lets_the_wrapped_strategy_prepare():
  controller = Controller(SMALL, units=6, seed=0)
  policy = ZophLe(SMALL, controller=controller, warm_start=2)
  wrapped = Admitting(CubedReward(policy), table=SMALL, admits=light)
  before = controller.weights['head'].copy()
  assert wrapped.prepare()
  assert (controller.weights['head'] != before).any()
  assert not wrapped.prepare()
  assert not Admitting(RandomSearch(SMALL), table=SMALL, admits=light).prepare()


def fits(architecture) -> bool:
  """Whether the synthetic evaluator finds that a network fits."""
  return is_feasible(Synthetic().evaluate(architecture, seed=0), TIGHT)


def searched(path, executor, *, trials: int = 24):
  strategy = Evolution(CHAINS, population=6, sample=3)
  with contextlib.closing(executor), contextlib.closing(Journal(path, configuration={})) as journal:
    return run_search(
      Admitting(strategy, table=CHAINS, admits=fits),
      executor=executor,
      reward=linear_excess,
      budget=TIGHT,
      trials=trials,
      batch=4,
      seed=3,
      journal=journal,
    )


def test_a_search_evaluates_only_what_fits_and_resumes_to_the_bit(tmp_path):
  whole, halves = tmp_path / 'whole.jsonl', tmp_path / 'halves.jsonl'
  trials = searched(whole, InProcess(Synthetic()))
  assert all(is_feasible(t.measurement, TIGHT) for t in trials)
  assert any(t.proposal.parent is not None for t in trials)
  uniform = RandomSearch(CHAINS).ask(200, np.random.default_rng(0))
  assert sum(fits(p.architecture) for p in uniform) < 100
  searched(halves, InProcess(Synthetic()), trials=11)
  searched(halves, InProcess(Synthetic()))
  assert halves.read_bytes() == whole.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize('workers', [1, 2, pytest.param(4, marks=pytest.mark.nightly)])
def test_the_number_of_workers_changes_nothing(workers, tmp_path):
  alone, together = tmp_path / 'alone.jsonl', tmp_path / 'together.jsonl'
  searched(alone, InProcess(Synthetic(seconds=0.01)))
  searched(together, WorkerPool(Synthetic(seconds=0.01), workers=workers))
  assert together.read_bytes() == alone.read_bytes()
