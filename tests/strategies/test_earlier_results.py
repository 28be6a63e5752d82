"""What earlier searches found is a prior: shared fairly, followed first, and ignored if it errs."""

import numpy as np
import pytest

from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.strategies.controller import Controller
from rlnas.strategies.earlier_results import Earlier, prior_of
from rlnas.strategies.reinforce import Reinforce
from rlnas.strategies.surrogate import Surrogate, normal_scores
from tests.strategies.test_zoph_le import trials_of

TABLE = compile_table(Chain(max_depth=3))


def walks(count: int, seed: int) -> tuple[tuple[int, ...], ...]:
  rng = np.random.default_rng(seed)
  found: dict[tuple[int, ...], None] = {}
  while len(found) < count:
    found[sample_uniform(TABLE, rng)] = None
  return tuple(found)


def depth(walk) -> float:
  return float(len(decode(TABLE.space, walk).nodes))


def by_depth(count: int, seed: int, sign: int = 1) -> Earlier:
  drawn = walks(count, seed)
  return Earlier(drawn, tuple(sign * (depth(w) + i / 1000) for i, w in enumerate(drawn)))


def make(**options) -> Reinforce:
  controller = Controller(TABLE, units=8, seed=0)
  return Reinforce(TABLE, controller=controller, **options)


@pytest.fixture(name='learnt')
def _learnt(monkeypatch):
  """What a prior was taught: the walks and the scores."""
  taught = []
  learn = Surrogate.learn_scores
  monkeypatch.setattr(
    Surrogate, 'learn_scores', lambda self, *given: (taught.append(given), learn(self, *given))[1]
  )
  return taught


def test_each_search_has_its_own_scale(learnt):
  """Only the order within a search counts: the second one's rewards are far larger."""
  one, other = by_depth(6, 0), by_depth(6, 1)
  prior_of(TABLE, [one, Earlier(other.walks, tuple(1000 + 9 * r for r in other.rewards))])
  ((found, scores),) = learnt
  assert set(found) == {*one.walks, *other.walks}
  expected = [*normal_scores(one.rewards), *normal_scores(other.rewards)]
  assert sorted(scores) == pytest.approx(sorted(expected))


def test_long_journals_share_what_short_ones_leave(learnt):
  short, long, longer = by_depth(3, 0), by_depth(30, 1), by_depth(40, 2)
  prior_of(TABLE, [longer, short, long], most=23)
  ((found, _),) = learnt
  counts = [len(set(found) & set(search.walks)) for search in (short, long, longer)]
  assert len(found) == 23
  assert counts[0] >= 3
  assert counts[1:] == [10, 10]
  ranked = sorted(range(40), key=lambda i: -longer.rewards[i])
  assert {longer.walks[i] for i in ranked[:5]} <= set(found), 'the best'
  assert longer.walks[ranked[-1]] in found, 'and, to compare with, the worst'


def test_a_walk_that_was_tried_twice_counts_once_with_its_best(learnt):
  a, b = walks(2, 0)
  prior_of(TABLE, [Earlier((a, b, a), (0.0, 1.0, 2.0))])
  ((found, scores),) = learnt
  assert sorted(found) == sorted((a, b))
  assert dict(zip(found, scores, strict=True))[a] > dict(zip(found, scores, strict=True))[b]


def test_nothing_earlier_is_no_prior():
  assert prior_of(TABLE, []) is None
  assert prior_of(TABLE, [Earlier((), ())]) is None


def test_a_prior_that_misleads_is_ignored_after_some_results():
  """The prior likes deep networks, the results shallow ones."""
  prior = prior_of(TABLE, [by_depth(60, 0)])
  surrogate = Surrogate(TABLE, prior=prior)
  unseen = walks(60, 1)
  depths = [depth(walk) for walk in unseen]
  assert np.corrcoef(surrogate.predict(unseen)[0], depths)[0, 1] > 0.5
  known = by_depth(16, 2, sign=-1)
  surrogate.learn(*known)
  assert np.corrcoef(surrogate.predict(unseen)[0], depths)[0, 1] < -0.5
  assert surrogate.held_back_correlation() > 0


def test_the_deviation_knows_that_the_factor_of_the_prior_is_uncertain():
  """The closed form by the joint covariance, for one walk learnt and one predicted."""
  prior = prior_of(TABLE, [by_depth(60, 0)])
  first, second, asked = walks(3, 5)
  plain, surrogate = Surrogate(TABLE), Surrogate(TABLE, prior=prior)
  for each in (plain, surrogate):
    each.learn_scores([first, second], [0.4, -0.3])
  means = prior.predict([first, second, asked])[0]
  kernel = plain._kernel
  covariance = kernel.among_learnt + np.outer(means[:2], means[:2]) + 0.6 * np.eye(2)
  across = plain._kernel([_network(asked)])[0] + means[2] * means[:2]
  gain = np.linalg.solve(covariance, across)
  mean, deviation = surrogate.predict([asked])
  assert mean[0] == pytest.approx(means[2] + gain @ (np.array([0.4, -0.3]) - means[:2]))
  assert deviation[0] ** 2 == pytest.approx(kernel.variance + means[2] ** 2 - gain @ across)


def _network(walk):
  from rlnas.strategies.surrogate import network_of

  return network_of(TABLE, walk)


def test_first_proposals_follow_what_was_found():
  """Of two lots of 12 uniform draws, mean depths differ by 1.2 (3.3 sigma) in 1 of 2,000 cases."""
  cold = make(seed=0).ask(12, np.random.default_rng(0))
  warm = make(seed=0, earlier=[by_depth(80, 0)]).ask(12, np.random.default_rng(0))
  depths = [np.mean([depth(p.tokens) for p in asked]) for asked in (cold, warm)]
  assert depths[1] > depths[0] + 1.2
  assert len({p.architecture.digest for p in warm}) == 12


@pytest.mark.slow
def test_the_policy_follows_it_before_the_first_result_and_after_a_restart():
  strategy = make(seed=0, earlier=[by_depth(80, 0)], warm_start=60, patience=4)
  untrained = Controller(TABLE, units=8, seed=0)
  while strategy.prepare():
    pass
  drawn = [
    np.mean([depth(w) for w in c.sample(TABLE, 200, np.random.default_rng(1)).sequences])
    for c in (untrained, strategy.controller)
  ]
  assert drawn[1] > drawn[0] + 0.5
  kept = [w.tolist() for w in strategy.controller.weights.values()]
  proposals = strategy.ask(8, np.random.default_rng(0))
  strategy.tell(trials_of(proposals, range(8, 0, -1)))  # the first is never beaten
  assert [w.tolist() for w in strategy.controller.weights.values()] == kept
  again = strategy.ask(8, np.random.default_rng(2))
  assert not {p.architecture.digest for p in again} & {p.architecture.digest for p in proposals}


def test_the_state_follows_from_arguments_and_trials():
  answers = []
  for prepared in (0, 3):  # steps of the warm start that are taken before the first result
    strategy = make(seed=1, earlier=[by_depth(20, 0)], warm_start=5)
    for _ in range(prepared):
      strategy.prepare()
    proposals = strategy.ask(4, np.random.default_rng(0))
    strategy.tell(trials_of(proposals, [1.0, 2.0, 0.5, 3.0]))
    answers.append([proposals, strategy.ask(4, np.random.default_rng(1))])
  assert answers[0] == answers[1]


def test_walks_of_another_space_are_refused():
  with pytest.raises(ValueError, match='99'):
    make(earlier=[Earlier(((99,), walks(1, 0)[0]), (0.0, 1.0))])
