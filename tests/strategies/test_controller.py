"""The controller against closed forms on spaces small enough to enumerate."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import stats

from rlnas.architecture import Graph
from rlnas.spaces import Chain
from rlnas.spaces.decision import Decision
from rlnas.spaces.table import compile_table, enumerate_tokens, states_of
from rlnas.strategies import losses
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.optuna_sampler import OptunaSampler
from rlnas.strategies.ppo import PPO
from rlnas.strategies.qlearning import QLearning
from rlnas.strategies.random_search import RandomSearch
from rlnas.strategies.reinforce import Reinforce
from rlnas.strategies.zoph_le import CubedReward, ZophLe
from rlnas.testing.strategy import evaluated


def skips(depth: int = 3, filters: tuple[int, ...] = (8, 16)):
  """Zoph & Le 2016, section 3.3: each layer points at any set of the layers before it."""
  graph = Graph()
  outputs: list[int] = []
  for i in range(depth):
    anchor = '' if i else 'anchor0'
    width = yield Decision(f'layer{i}/filters', 'filters', filters, anchor=anchor)
    read = []
    for j in range(i):
      bit = yield Decision(
        f'layer{i}/skip{j}',
        'skip',
        (False, True),
        points_to=(None, f'anchor{j}'),
        hold=j > 0,
        anchor=f'anchor{i}' if j == i - 1 else '',
      )
      read += [outputs[j]] * bit
    x = read[0] if len(read) == 1 else graph.add('concat', *read) if read else graph.input
    attributes = {'kernel_height': 3, 'kernel_width': 3, 'stride': 1, 'activation': 'relu'}
    outputs.append(graph.add('conv', x, filters=width, **attributes))
  return graph.finish(graph.classify(outputs[-1]))


def parents():
  """Like a cell: two of three anchors are named, all choices point, and the second one holds."""
  for i in range(3):
    yield Decision(f'begin{i}', 'begin', ('a', 'b'), anchor=f'anchor{i}', hold=i == 0)
  for i in range(2):
    targets = ('anchor0', 'anchor1', 'anchor2')
    yield Decision(f'input{i}', 'input', (0, 1, 2), points_to=targets, hold=i == 1)
  graph = Graph()
  return graph.finish(graph.classify(graph.input))


CHAIN = Chain(max_depth=2, operations=('conv', 'max_pool', 'identity'), filters=(8, 16))
TABLES = {
  'chain': compile_table(CHAIN),
  'skips': compile_table(skips),
  'parents': compile_table(parents),
}


@functools.cache
def enumerated(name: str):
  """A table, a controller far from uniform, and all token sequences. [B, T]."""
  table = TABLES[name]
  controller = Controller(table, units=6, init_scale=0.7, seed=3)
  return table, controller, pad_tokens(table, list(enumerate_tokens(table)))


@pytest.fixture(params=TABLES, name='case')
def _case(request):
  return enumerated(request.param)


def reference_log_prob(controller: Controller, table, tokens, index=None) -> float:
  """The module docstring of the controller, written once more: one walk in float64.

  `index` holds the controller's symbol for each of the table; by default they are the same.
  """
  index = range(len(table.symbols)) if index is None else index
  w = {name: weight.astype(np.float64) for name, weight in controller.weights.items()}
  kernels = [w[name] for name in sorted(w) if name.startswith('kernel')]
  biases = [w[name] for name in sorted(w) if name.startswith('bias')]
  units = w['start'].shape[1]
  h, c = [np.zeros(units) for _ in kernels], [np.zeros(units) for _ in kernels]
  remembered: dict[int, np.ndarray] = {}
  pending, total = w['start'][0], 0.0
  for state, token in zip(states_of(table, tokens), tokens, strict=True):
    if not table.hold[state]:
      x, pending = pending, np.zeros(units)
      for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        z = np.concatenate([x, h[i]]) @ kernel + bias
        write, forget, read = (1 / (1 + np.exp(-z[k * units : (k + 1) * units])) for k in range(3))
        c[i] = forget * c[i] + write * np.tanh(z[3 * units :])
        h[i] = x = read * np.tanh(c[i])
    logits = []
    for a in range(len(table.choices[state])):
      if table.pointer[state, a] >= 0:
        key = remembered[table.pointer[state, a]] @ w['w_prev']
        logits.append(float(np.tanh(key + h[-1] @ w['w_curr']) @ w['v'][:, 0]))
      elif (table.pointer[state] >= 0).any():
        logits.append(0.0)
      else:
        symbol = index[table.symbol[state, a]]
        logits.append(h[-1] @ w['head'][:, symbol] + w['head_bias'][symbol])
    total += logits[token] - np.log(np.exp(logits).sum())
    if table.writes[state] >= 0:
      remembered[table.writes[state]] = h[-1]
    pending = pending + w['embedding'][index[table.symbol[state, token]]]
  return total


def test_probabilities_sum_to_one(case):
  table, controller, tokens = case
  log_prob = controller.score(table, tokens).log_prob
  assert tokens.shape[0] == table.size
  assert np.exp(log_prob.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)


def test_log_probabilities_are_those_of_the_formulas(case):
  table, controller, tokens = case
  log_prob = controller.score(table, tokens).log_prob
  walks = list(enumerate_tokens(table))
  expected = [reference_log_prob(controller, table, walk) for walk in walks]
  np.testing.assert_allclose(log_prob, expected, atol=1e-5)
  assert np.ptp(expected) > 0.5  # far from uniform, or the comparison would say little


def test_entropy_obeys_the_chain_rule(case):
  table, controller, tokens = case
  scores = controller.score(table, tokens)
  log_prob, entropy = (x.astype(np.float64) for x in (scores.log_prob, scores.entropy))
  p = np.exp(log_prob)
  assert p @ entropy == pytest.approx(-p @ log_prob, abs=1e-5)


def test_a_row_scores_alone_as_in_its_batch_and_whatever_its_padding(case):
  table, controller, tokens = case
  together = controller.score(table, tokens)
  for row in (0, len(tokens) // 2, len(tokens) - 1):
    padded = np.pad(tokens[row : row + 1], ((0, 0), (0, 3)))
    alone = controller.score(table, padded)
    assert alone.log_prob[0] == pytest.approx(together.log_prob[row], abs=1e-5)
    assert alone.entropy[0] == pytest.approx(together.entropy[row], abs=1e-5)


def test_samples_are_in_the_space_and_score_as_they_were_sampled(case):
  table, controller, _ = case
  sample = controller.sample(table, 200, np.random.default_rng(0))
  assert sample.tokens.shape == (200, table.max_length)
  for walk, row in zip(sample.sequences, sample.tokens, strict=True):
    states_of(table, walk)
    assert not row[len(walk) :].any()
  scores = controller.score(table, pad_tokens(table, sample.sequences))
  np.testing.assert_allclose(sample.log_prob, scores.log_prob, atol=1e-5)
  np.testing.assert_allclose(sample.entropy, scores.entropy, atol=1e-5)


def test_samples_follow_the_probabilities(case):
  """Chi-square over the whole space at a fixed seed; false-alarm rate 1e-4 a space."""
  table, controller, tokens = case
  count = 20_000
  p = np.exp(controller.score(table, tokens).log_prob.astype(np.float64))
  sample = controller.sample(table, count, np.random.default_rng(11))
  index = {walk: i for i, walk in enumerate(enumerate_tokens(table))}
  observed = np.bincount([index[walk] for walk in sample.sequences], minlength=len(p))
  order = np.argsort(p)
  rare = np.cumsum(p[order]) * count < 5  # pooled: chi-square wants some expected counts a cell
  cells = np.concatenate([np.zeros(rare.sum(), int), np.arange(1, (~rare).sum() + 1)])
  expected = np.bincount(cells, p[order] / p.sum() * count)
  found = np.bincount(cells, observed[order])
  used = expected > 0
  statistic = ((found - expected)[used] ** 2 / expected[used]).sum()
  assert statistic < stats.chi2.isf(1e-4, used.sum() - 1)


def test_sampling_depends_on_the_generator_alone(case):
  table, controller, _ = case
  first, again, other = (
    controller.sample(table, 50, np.random.default_rng(seed)) for seed in (5, 5, 6)
  )
  np.testing.assert_array_equal(first.tokens, again.tokens)
  np.testing.assert_array_equal(first.log_prob, again.log_prob)
  assert (first.tokens != other.tokens).any()


def expected_reward(controller, table, tokens, rewards) -> float:
  return float(np.exp(controller.score(table, tokens).log_prob.astype(np.float64)) @ rewards)


@pytest.mark.parametrize('baseline', [0.0, 0.4])
@pytest.mark.parametrize('name', TABLES)
def test_reinforce_estimates_the_gradient_of_the_expected_reward(name, baseline):
  """Its exact expectation over the space, against central differences, whatever the baseline.

  Along the gradient itself and along every weight tensor's own share of it. In float32 a
  log-probability is off by some 1e-7, so differences over 2 x 1e-2 are off by about 1e-5.
  """
  table = TABLES[name]
  controller = Controller(table, units=6, init_scale=0.7, seed=3)
  tokens = pad_tokens(table, list(enumerate_tokens(table)))
  rewards = tokens @ np.random.default_rng(0).random(tokens.shape[1])
  weights = controller.weights
  scores = controller.score(table, tokens)
  # With these weights the mean becomes a sum over the probabilities.
  of_walk = np.exp(scores.log_prob) * (rewards - baseline) * len(tokens)
  loss = losses.reinforce(scores.log_prob, of_walk)
  found = scores.gradient(-loss.slope, np.zeros(len(tokens)))
  gradients = [found[name] for name in weights]
  starts = [weight.copy() for weight in weights.values()]
  epsilon = 1e-2

  def slope(directions) -> float:
    values = []
    for sign in (1, -1):
      for weight, start, direction in zip(weights.values(), starts, directions, strict=True):
        weight[:] = start + sign * epsilon * direction
      values.append(expected_reward(controller, table, tokens, rewards))
    return (values[0] - values[1]) / (2 * epsilon)

  norm = np.sqrt(sum((g**2).sum() for g in gradients))
  assert norm > 0.1
  assert slope([g / norm for g in gradients]) == pytest.approx(norm, rel=5e-3)
  for i, (name, gradient) in enumerate(zip(weights, gradients, strict=True)):
    share = np.sqrt((gradient**2).sum())
    unit = gradient / share if share else np.ones_like(gradient) / np.sqrt(gradient.size)
    along = [unit if k == i else np.zeros_like(g) for k, g in enumerate(gradients)]
    assert slope(along) == pytest.approx(share, rel=5e-3, abs=3e-5), name


def test_a_deeper_table_reuses_the_weights():
  controller = Controller(compile_table(lambda: skips(2)), units=4, init_scale=0.7)
  for depth, count in ((2, 3), (4, 5), (6, 1)):
    table = compile_table(functools.partial(skips, depth))
    sample = controller.sample(table, count, np.random.default_rng(depth))
    expected = [reference_log_prob(controller, table, walk) for walk in sample.sequences]
    np.testing.assert_allclose(sample.log_prob, expected, atol=1e-4)
    found = controller.score(table, sample.tokens).log_prob
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_one_controller_drives_several_spaces():
  """Chain and skips share symbols, and so their weights: the formulas say which."""
  controller = Controller(tuple(TABLES.values()), units=4, init_scale=0.7, seed=5)
  symbols = list(dict.fromkeys(symbol for t in TABLES.values() for symbol in t.symbols))
  assert len(symbols) < sum(len(table.symbols) for table in TABLES.values())
  assert controller.weights['embedding'].shape == (len(symbols), 4)
  for table in TABLES.values():
    index = [symbols.index(symbol) for symbol in table.symbols]
    walks = list(enumerate_tokens(table))
    log_prob = controller.score(table, pad_tokens(table, walks)).log_prob
    assert np.exp(log_prob.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
    expected = [reference_log_prob(controller, table, walk, index) for walk in walks]
    np.testing.assert_allclose(log_prob, expected, atol=1e-5)
    sample = controller.sample(table, 8, np.random.default_rng(0))
    assert set(sample.sequences) <= set(walks)
    known = dict(zip(walks, log_prob, strict=True))
    drawn = [known[walk] for walk in sample.sequences]
    np.testing.assert_allclose(sample.log_prob, drawn, atol=1e-5)


def test_initial_weights_depend_on_the_seed_alone():
  table = TABLES['chain']
  first, again, other = (list(Controller(table, seed=seed).weights.values()) for seed in (1, 1, 2))
  for a, b, c in zip(first, again, other, strict=True):
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert np.abs(a).max() <= 0.08


def test_a_saved_controller_samples_and_scores_to_the_bit(case, tmp_path):
  table, controller, tokens = case
  controller.save(tmp_path / 'new' / 'controller.npz')
  loaded = Controller.load(tmp_path / 'new' / 'controller.npz')
  other = compile_table(table.space)  # as another process would have it
  drawn, again = (
    c.sample(t, 50, np.random.default_rng(5), exploration=0.1)
    for c, t in ((controller, table), (loaded, other))
  )
  for name in ('tokens', 'log_prob', 'entropy', 'length'):
    np.testing.assert_array_equal(getattr(drawn, name), getattr(again, name))
  one, same = controller.score(table, tokens), loaded.score(other, tokens)
  np.testing.assert_array_equal(one.log_prob, same.log_prob)
  np.testing.assert_array_equal(one.entropy, same.entropy)


def test_a_loaded_controller_learns_apart_from_the_saved_one(tmp_path):
  controller = Controller(TABLES['chain'], layers=3, units=4, seed=2)
  controller.save(tmp_path / 'a.npz')
  loaded = Controller.load(tmp_path / 'a.npz')
  assert list(loaded.weights) == list(controller.weights)
  before = {name: weight.copy() for name, weight in controller.weights.items()}
  for weight in loaded.weights.values():
    weight += 1
  for name, weight in controller.weights.items():
    np.testing.assert_array_equal(weight, before[name])
  loaded.save(tmp_path / 'a.npz')
  for name, weight in Controller.load(tmp_path / 'a.npz').weights.items():
    np.testing.assert_array_equal(weight, before[name] + np.float32(1))


LEARNERS = {
  'reinforce': functools.partial(Reinforce, warm_up=0),
  'zoph_le': ZophLe,
  'ppo': PPO,
  'cubed': lambda table, **options: CubedReward(ZophLe(table, **options)),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', LEARNERS)
def test_what_a_strategy_has_trained_can_be_saved(name, tmp_path):
  table = TABLES['chain']
  controller = Controller(table, units=6, seed=3)
  initial = controller.weights['head'].copy()
  strategy = LEARNERS[name](table, controller=controller, learning_rate=0.05)
  assert strategy.controller is controller
  with pytest.raises(AttributeError):
    strategy.controller = Controller(table, units=6)
  for batch in range(2):
    proposals = strategy.ask(6, np.random.default_rng(batch))
    strategy.tell(evaluated(proposals, batch))
  assert (controller.weights['head'] != initial).any()
  strategy.controller.save(tmp_path / 'controller.npz')
  resumed = LEARNERS[name](table, controller=Controller.load(tmp_path / 'controller.npz'))
  drawn, again = (
    s.controller.sample(table, 20, np.random.default_rng(9)).tokens for s in (strategy, resumed)
  )
  np.testing.assert_array_equal(drawn, again)


@pytest.mark.parametrize(
  'make', [RandomSearch, QLearning, Evolution, OptunaSampler, lambda t: CubedReward(QLearning(t))]
)
def test_strategies_without_a_controller_have_none(make):
  assert not hasattr(make(TABLES['chain']), 'controller')


def test_unknown_symbols_are_refused(tmp_path):
  controller = Controller(TABLES['skips'], units=4)
  controller.save(tmp_path / 'controller.npz')
  wider = compile_table(lambda: skips(3, filters=(8, 16, 99)))
  for known in (controller, Controller.load(tmp_path / 'controller.npz')):
    with pytest.raises(ValueError, match='99'):
      known.sample(wider, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match='99'):
      known.score(wider, np.zeros((1, 6), np.int32))


@pytest.mark.parametrize(
  'arguments', [{'layers': 0}, {'units': 0}, {'init_scale': 0.0}, {'init_scale': float('nan')}]
)
def test_arguments_out_of_range_are_refused(arguments):
  with pytest.raises(ValueError, match=next(iter(arguments))):
    Controller(TABLES['chain'], **arguments)
  with pytest.raises(ValueError, match='tables'):
    Controller(())


def test_bad_counts_and_tokens_are_refused():
  table, controller, _ = enumerated('chain')
  with pytest.raises(ValueError, match='count=0'):
    controller.sample(table, 0, np.random.default_rng(0))
  with pytest.raises(ValueError, match='sequences'):
    pad_tokens(table, [])
  with pytest.raises(ValueError, match='token 9'):
    pad_tokens(table, [(9,)])
