import contextlib
import dataclasses
import functools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.reward import linear_excess
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, enumerate_tokens
from rlnas.strategies import reinforce
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.proposals import propose
from rlnas.strategies.reinforce import Reinforce
from rlnas.strategies.surrogate import Surrogate
from rlnas.strategies.warm_start import SOFTNESS
from rlnas.testing.strategy import failed
from rlnas.trial import Measurement, Status
from tests.strategies.test_zoph_le import trials_of
from tests.synthetic import BUDGET, Synthetic

TABLE = compile_table(Chain(max_depth=3))
SMALL = compile_table(Chain(max_depth=1, kernels=(3, 5), filters=(4, 8), max_strides=0))


WALKS = list(enumerate_tokens(SMALL))
NETWORKS = [decode(SMALL.space, walk) for walk in WALKS]
BY_ELITE = {'imagined': 0, 'real': False, 'elite': 2}
BY_REAL = {'imagined': 0, 'real': True, 'elite': 0}
BY_IMAGINED = {'imagined': 8, 'real': False, 'elite': 0}
BY_NOTHING = {'imagined': 0, 'real': False, 'elite': 0}


def make(table=TABLE, *, init_scale: float = 0.08, **options) -> tuple[Reinforce, Controller]:
  """One gradient step for each trial, and few imagined episodes in it."""
  controller = Controller(table, units=16, init_scale=init_scale, seed=0)
  quick = {'updates': 1, 'imagined': 8, 'warm_start': 0}
  return Reinforce(table, controller=controller, **{**quick, **options}), controller


def digests(proposals) -> list[str]:
  return [p.architecture.digest for p in proposals]


def weights_of(controller: Controller) -> list:
  return [w.tolist() for w in controller.weights.values()]


def filters_of(network) -> int:
  return sum(int(dict(node.attributes).get('filters', 0)) for node in network.nodes)


def heavy(network, limit: int = 24) -> float:
  """By how much a network of `TABLE` has more filters."""
  return max(0.0, math.log(max(1, filters_of(network)) / limit))


def some_heavy(network) -> float:
  """A penalty of two in eight networks of `SMALL`."""
  return (0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.4)[NETWORKS.index(network)]


def test_it_becomes_likelier_to_propose_its_best_and_only_them():
  strategy, controller = make(**BY_ELITE, elite_weight=0.5)
  proposals = strategy.ask(4, np.random.default_rng(0))
  tokens = pad_tokens(TABLE, [p.tokens for p in proposals])
  before = controller.score(TABLE, tokens).log_prob
  scalars = strategy.tell(trials_of(proposals, [0.1, 0.9, 0.2, 0.8]))
  after = controller.score(TABLE, tokens).log_prob
  assert scalars['elite_mean'] == pytest.approx(0.85)
  assert scalars['loss'] == pytest.approx(-0.5 * before[[1, 3]].mean(), rel=1e-5)
  assert (after[[1, 3]] > before[[1, 3]]).all()


def test_only_the_order_of_rewards_counts():
  answers = []
  for rewards in ([1, 2, 3, 3, 0, 0], [-7, 0.1, 400, 400, -8, -8]):
    strategy, _ = make(elite=2, warm_up=0)
    strategy.tell(trials_of(strategy.ask(6, np.random.default_rng(0)), rewards))
    answers.append(strategy.ask(6, np.random.default_rng(1)))
  assert answers[0] == answers[1]


def test_the_first_of_equals_is_the_better():
  """The fifth, no better than the elite, teaches the policy nothing."""
  answers = []
  for rewards in ([1, 2, 3, 3, 0, 0], [1, 2, 3, 3, 3, 0]):
    strategy, _ = make(**BY_ELITE, warm_up=0, candidates=1)
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
    strategy, controller = make(SMALL, init_scale=2.0, exploration=share, warm_up=0, **BY_NOTHING)
    strategy.tell(trials_of(strategy.ask(1, np.random.default_rng(1)), [0.5]))
    for proposal in strategy.ask(4, np.random.default_rng(0)):
      expected = mixture(controller, proposal.tokens, share)
      assert proposal.log_prob == pytest.approx(expected, abs=1e-5)


def mixture(controller: Controller, tokens: tuple[int, ...], share: float) -> float:
  """Log-probability by the marginals of every choice over the enumerated space."""
  walks = list(enumerate_tokens(SMALL))
  p = np.exp(controller.score(SMALL, pad_tokens(SMALL, walks)).log_prob.astype(float))
  total = 0.0
  for step in range(len(tokens)):
    siblings = [i for i, walk in enumerate(walks) if walk[:step] == tokens[:step]]
    same = [i for i in siblings if walks[i][step] == tokens[step]]
    offered = len({walks[i][step] for i in siblings})
    total += math.log((1 - share) * p[same].sum() / p[siblings].sum() + share / offered)
  return total


def test_a_descent_that_stays_idle_ends_and_the_next_one_knows_only_what_was_tried():
  """The next descent goes on as a fresh strategy would, but for the architectures it avoids.

  Its policy is that of the warm start.
  """
  options = {'patience': 6, 'warm_up': 3, 'exploration': 1.0, 'penalty': heavy, 'warm_start': 2}
  strategy, controller = make(**options)
  untrained = weights_of(controller)
  while strategy.prepare():
    pass
  first = weights_of(controller)
  assert first != untrained
  proposals = strategy.ask(8, np.random.default_rng(0))
  assert strategy.tell(trials_of(proposals[:2], [1.0, 2.0]))['descents'] == 1
  assert weights_of(controller) != first
  strategy.tell(trials_of(proposals[2:], [2.0] * 6))  # six that are no better
  assert weights_of(controller) == first
  fresh, _ = make(**options)
  again = strategy.ask(4, np.random.default_rng(1))
  assert again == fresh.ask(4, np.random.default_rng(1))  # the warm-up included
  scalars = strategy.tell(trials_of(again, [0.5] * 4))
  assert (scalars['descents'], scalars['elite_mean']) == (2, 0.5)
  assert 'surrogate_error' not in scalars, 'the regressor starts again too'
  assert strategy.ask(4, np.random.default_rng(0)) != proposals[:4]


@pytest.mark.parametrize(('walks', 'descents'), [(WALKS, 2), (WALKS[:1] * len(WALKS), 1)])
def test_half_the_patience_is_enough_once_the_policy_draws_what_was_tried(walks, descents):
  """All networks of the space, or one again and again; the first trial is the best."""
  strategy, _ = make(SMALL, patience=2 * (len(walks) - 1))
  rewards = [1.0] + [0.0] * (len(walks) - 1)
  scalars = strategy.tell(trials_of([propose(SMALL, walk) for walk in walks], rewards))
  assert scalars['tried_rate'] == 1 if descents == 2 else scalars['tried_rate'] < 0.5
  again = strategy.tell(trials_of([propose(SMALL, WALKS[0])], [0.5]))
  assert (scalars['descents'], again['descents']) == (1, descents)


def test_a_state_without_restarts_is_refused():
  strategy, _ = make(SMALL)
  state = strategy.state()
  del state['restarts']
  with pytest.raises(ValueError, match='restarts'):
    strategy.restore(state, [])


@pytest.mark.parametrize('term', [BY_ELITE, BY_REAL, BY_IMAGINED])
def test_each_term_teaches_alone_and_without_any_nothing_is_learnt(term):
  for options, teaches in ((term, True), (BY_NOTHING, False)):
    strategy, controller = make(**options)
    before = weights_of(controller)
    scalars = strategy.tell(trials_of(strategy.ask(4, np.random.default_rng(0)), range(4)))
    assert (weights_of(controller) != before) is teaches
    assert ('loss' in scalars) is teaches


def test_an_elite_without_weight_teaches_nothing():
  strategy, controller = make(**BY_ELITE, elite_weight=0.0)
  before = weights_of(controller)
  strategy.tell(trials_of(strategy.ask(4, np.random.default_rng(0)), range(4)))
  assert weights_of(controller) == before


def test_real_trials_are_episodes_rewarded_by_score_penalty_and_log_probability():
  penalty = functools.partial(heavy, limit=64)
  strategy, controller = make(**BY_REAL, penalty=penalty, inverse_temperature=2.0)
  proposals = strategy.ask(6, np.random.default_rng(0))
  log_prob = controller.score(TABLE, pad_tokens(TABLE, [p.tokens for p in proposals])).log_prob
  rewards = [0.1, 0.9, 0.2, 0.8, 0.7, 0.0]
  penalties = np.array([penalty(p.architecture) for p in proposals])
  assert 0 < np.count_nonzero(penalties) < 6
  scores = Surrogate(TABLE).learn([p.tokens for p in proposals], rewards)
  reward = 2.0 * scores - penalties / SOFTNESS - log_prob
  advantage = (reward - reward.mean()) / reward.std()
  importance = np.minimum(1, np.exp(log_prob + math.log(TABLE.size)))  # they were uniform draws
  scalars = strategy.tell(trials_of(proposals, rewards))
  expected = -np.mean(importance * advantage * log_prob)
  assert scalars['loss'] == pytest.approx(expected, rel=1e-4)


def test_trials_that_no_policy_drew_are_no_episodes():
  strategy, controller = make(**BY_REAL)
  before = weights_of(controller)
  proposals = strategy.ask(4, np.random.default_rng(0))
  strange = [dataclasses.replace(p, log_prob=None) for p in proposals]
  assert 'loss' not in strategy.tell(trials_of(strange, range(4)))
  assert weights_of(controller) == before


@pytest.fixture(name='imagined')
def _imagined(monkeypatch):
  """The episodes imagined in a test, each batch with the function that gave their values."""
  seen = []

  def remembered(*arguments):
    drawn = imagine(*arguments)
    seen.append((drawn, arguments[-1]))
    return drawn

  imagine = reinforce.imagine
  monkeypatch.setattr(reinforce, 'imagine', remembered)
  return seen


def told(rewards, **options):
  """A strategy over the small space that was told all of it; its scalars; a regressor alike."""
  strategy, _ = make(SMALL, **options)
  scalars = strategy.tell(trials_of(proposals_of(strategy), rewards))
  surrogate = Surrogate(SMALL)
  surrogate.learn(WALKS, rewards)
  return scalars, surrogate


def proposals_of(strategy) -> list:
  """The whole small space in the order of `WALKS`, as the strategy proposes it."""
  found = {p.tokens: p for p in strategy.ask(len(WALKS), np.random.default_rng(0))}
  return [found[walk] for walk in WALKS]


@pytest.mark.parametrize('caution', [0.0, 0.7])
def test_an_imagined_episode_is_worth_its_prediction_less_doubt_and_penalty(imagined, caution):
  options = {'caution': caution, 'inverse_temperature': 2.5, 'penalty': some_heavy}
  scalars, surrogate = told([0, 1, 2, 3, 4, 5, 6, 7], **options)
  assert scalars['surrogate_correlation'] == surrogate.held_back_correlation() > 0
  mean, deviation = surrogate.predict(WALKS)
  penalties = np.array([some_heavy(network) for network in NETWORKS])
  expected = 2.5 * (mean - caution * deviation) - penalties / SOFTNESS
  assert len(imagined) == len(WALKS), 'new episodes for each gradient step'
  for _, value in imagined:
    np.testing.assert_allclose(value(WALKS), expected, atol=1e-12)


@pytest.mark.parametrize('rewards', [[1.0] * 8, [0, 7, 6, 0, 5, 0, 0, 4]])
def test_predictions_no_better_than_chance_are_not_used(imagined, rewards):
  scalars, surrogate = told(rewards, caution=1.0, penalty=some_heavy)
  assert scalars['surrogate_correlation'] == surrogate.held_back_correlation() <= 0
  expected = [-some_heavy(network) / SOFTNESS for network in NETWORKS]
  assert imagined
  for _, value in imagined:
    np.testing.assert_allclose(value(WALKS), expected, atol=1e-12)


def test_scores_of_imagined_episodes_are_those_of_the_policys_draws(imagined):
  scalars, surrogate = told(range(8), penalty=some_heavy, imagined=32)
  (drawn, _) = imagined[-1]
  assert len(drawn.walks) == 32
  fit = [some_heavy(decode(SMALL.space, walk)) == 0 for walk in drawn.walks]
  assert scalars['fit_rate'] == np.mean(fit) < 1
  assert scalars['imagined_score'] == pytest.approx(surrogate.predict(drawn.walks)[0].mean())


def test_its_scalars_are_those_documented():
  strategy, _ = make(penalty=heavy, warm_start=1)
  proposals = strategy.ask(8, np.random.default_rng(0))
  scalars = strategy.tell(trials_of(proposals[:5], range(5)))
  always = {'loss', 'entropy', 'gradient_norm', 'elite_mean', 'descents', 'reward_mean'}
  always |= {'unique_rate', 'repeat_rate'}
  of_imagined = {'imagined_score', 'fit_rate', 'tried_rate', 'surrogate_correlation'}
  assert set(scalars) == always | of_imagined
  surrogate = Surrogate(TABLE)
  surrogate.learn([p.tokens for p in proposals[:5]], range(5))
  predicted, _ = surrogate.predict([p.tokens for p in proposals[5:]])
  scores = Surrogate(TABLE).learn([p.tokens for p in proposals], [0, 1, 2, 3, 4, 9, -1, 2])[5:]
  scalars = strategy.tell(trials_of(proposals[5:], [9, -1, 2]))
  assert set(scalars) == always | of_imagined | {'surrogate_error', 'score', 'predicted_score'}
  assert scalars['score'] == pytest.approx(scores.mean())
  assert scalars['predicted_score'] == pytest.approx(predicted.mean())
  assert scalars['surrogate_error'] == pytest.approx(np.abs(scores - predicted).mean())
  assert all(math.isfinite(value) for value in scalars.values())
  without, _ = make(imagined=0)
  assert set(without.tell(trials_of(proposals, range(8)))) == always
  assert without.tell(failed(proposals, 1)) == {}


def test_before_the_first_result_proposals_are_uniform_over_what_is_admitted():
  """Whatever the policy is by then. Chi-square at a fixed seed; false-alarm rate 1e-4."""
  admitted = {network.digest for network in NETWORKS if some_heavy(network) == 0}
  strategy, _ = make(
    SMALL,
    init_scale=2.0,
    warm_up=0,
    warm_start=2,
    penalty=some_heavy,
    admits=lambda network: network.digest in admitted,
  )
  strategy.prepare()
  rng = np.random.default_rng(1)
  proposals = [strategy.ask(1, rng)[0] for _ in range(300)]
  assert {p.log_prob for p in proposals} == {-math.log(SMALL.size)}
  counts = Counter(digests(proposals))
  assert set(counts) == admitted
  statistic = sum((counts[d] - 50) ** 2 / 50 for d in admitted)
  assert statistic < stats.chi2.isf(1e-4, len(admitted) - 1)


def test_rewards_that_are_not_finite_are_refused_and_change_nothing():
  strategy, controller = make(warm_up=0)
  before = weights_of(controller)
  proposals = strategy.ask(4, np.random.default_rng(0))
  for bad in (float('nan'), float('inf')):
    with pytest.raises(ValueError, match='finite'):
      strategy.tell(trials_of(proposals, [0.5, bad, 0.5, 0.5]))
  assert weights_of(controller) == before
  assert strategy.ask(4, np.random.default_rng(0)) == proposals


def test_failures_do_not_end_the_uniform_proposals():
  strategy, _ = make(warm_up=0)
  strategy.tell(failed(strategy.ask(2, np.random.default_rng(0)), 0))
  (proposal,) = strategy.ask(1, np.random.default_rng(1))
  assert proposal.log_prob == -math.log(TABLE.size)
  strategy.tell(trials_of([proposal], [0.5]))
  assert strategy.ask(1, np.random.default_rng(1))[0].log_prob != -math.log(TABLE.size)


@pytest.mark.slow
def test_its_own_draws_come_to_fit():
  """By the penalty alone, as all rewards are equal; by 6 sigma of two binomial shares."""
  strategy, controller = make(penalty=heavy, learning_rate=0.01, imagined=32, updates=3, elite=0)
  before = share_that_fits(controller)
  for batch in range(4):
    strategy.tell(trials_of(strategy.ask(8, np.random.default_rng(batch)), [0.5] * 8))
  after = share_that_fits(controller)
  sigma = math.sqrt((before * (1 - before) + after * (1 - after)) / 500)
  assert after - before > 6 * sigma


def share_that_fits(controller: Controller) -> float:
  walks = controller.sample(TABLE, 500, np.random.default_rng(77)).sequences
  return sum(heavy(decode(TABLE.space, walk)) == 0 for walk in walks) / 500


@pytest.mark.parametrize('calls', [2, 9])
def test_how_far_it_is_prepared_changes_nothing(calls):
  """Two of four steps, or more calls than there are steps, against none before the first tell."""
  (one, mine), (other, others) = (make(penalty=heavy, warm_start=4, warm_up=4) for _ in range(2))
  assert [one.prepare() for _ in range(calls)] == ([True] * 3 + [False] * 6)[:calls]
  for batch in range(2):
    proposals = one.ask(6, np.random.default_rng(batch))
    assert other.ask(6, np.random.default_rng(batch)) == proposals
    trials = trials_of(proposals, range(6))
    assert one.tell(trials) == other.tell(trials)
    assert not one.prepare()
  assert weights_of(mine) == weights_of(others)


def test_without_a_penalty_there_is_no_warm_start():
  strategy, controller = make(warm_start=5)
  before = weights_of(controller)
  assert not strategy.prepare()
  assert weights_of(controller) == before


class Counted:
  """Counts how often the search lets its strategy prepare, and keeps its scalars."""

  def __init__(self, strategy: Reinforce) -> None:
    self.strategy = strategy
    self.prepared = 0
    self.scalars: list[dict[str, float]] = []

  def prepare(self) -> bool:
    self.prepared += 1
    return self.strategy.prepare()

  def ask(self, count: int, rng: np.random.Generator) -> list:
    return self.strategy.ask(count, rng)

  def tell(self, trials) -> dict[str, float]:
    self.scalars.append(self.strategy.tell(trials))
    return self.scalars[-1]


@pytest.mark.slow
def test_a_search_that_prepares_while_it_waits_takes_the_same_course(tmp_path):
  """In this process nothing is ever waited for; with workers, it is while they start."""
  courses, prepared = [], []
  for workers in (0, 1, 2):
    strategy = Counted(make(penalty=heavy, warm_start=20, warm_up=4)[0])
    path = tmp_path / f'{workers}.jsonl'
    evaluator = Synthetic(seconds=0.01)
    executor = WorkerPool(evaluator, workers=workers) if workers else InProcess(evaluator)
    with contextlib.closing(executor), contextlib.closing(Journal(path, configuration={})) as book:
      run_search(
        strategy,
        executor=executor,
        reward=linear_excess,
        budget=BUDGET,
        trials=12,
        batch=4,
        seed=3,
        journal=book,
      )
    courses.append((path.read_bytes(), strategy.scalars))
    prepared.append(strategy.prepared)
  assert prepared[0] == 0
  assert min(prepared[1:]) > 0
  assert courses[0] == courses[1] == courses[2]


@pytest.mark.parametrize(
  'arguments',
  [
    {'learning_rate': 0.0},
    {'updates': 0},
    {'imagined': -1},
    {'inverse_temperature': -1.0},
    {'inverse_temperature': float('nan')},
    {'caution': -1.0},
    {'elite': -1},
    {'elite_weight': -1.0},
    {'candidates': 0},
    {'candidates': 33},
    {'patience': 0},
    {'warm_up': -1},
    {'warm_start': -1},
    {'warm_start': -1, 'penalty': heavy},
    {'exploration': -0.1},
    {'exploration': 1.1},
    {'exploration': float('nan')},
  ],
)
def test_arguments_out_of_range_are_refused(arguments):
  with pytest.raises(ValueError, match=next(iter(arguments))):
    make(**arguments)


@pytest.mark.slow
def test_infeasible_trials_teach_nothing_where_the_penalty_says_it_already():
  """Without a penalty they are the only word on what fits, and are learnt."""
  known = {}
  for penalty in (None, lambda architecture: 0.0):
    strategy, controller = make(penalty=penalty, warm_start=0, warm_up=0)
    proposals = strategy.ask(3, np.random.default_rng(0))
    infeasible = [
      dataclasses.replace(trial, measurement=Measurement(Status.INFEASIBLE))
      for trial in trials_of(proposals, [-1.0, -2.0, -3.0])
    ]
    before = [w.tolist() for w in controller.weights.values()]
    known[penalty is None] = bool(strategy.tell(infeasible))
    changed = [w.tolist() for w in controller.weights.values()] != before
    assert changed == known[penalty is None]
    assert not set(digests(proposals)) & set(digests(strategy.ask(8, np.random.default_rng(1))))
  assert known == {True: True, False: False}
