"""Gradient steps against the equations of Adam."""

import numpy as np
import pytest

from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.controller import Controller, pad_tokens
from rlnas.strategies.learner import Learner, Slopes

TABLE = compile_table(Chain(max_depth=2, kernels=(3,), filters=(4, 8)))


def weighted(log_prob, entropy, weight):
  """A loss of both kinds of score: -mean(weight * log_prob) - mean(entropy) / 2."""
  rows = len(weight)
  loss = -np.mean(weight * log_prob) - np.mean(entropy) / 2
  return Slopes(loss, -weight / rows, np.full(rows, -0.5 / rows))


def make(learning_rate: float = 0.01) -> tuple[Learner, Controller, tuple]:
  controller = Controller(TABLE, units=5, init_scale=0.7, seed=2)
  learner = Learner(TABLE, controller=controller, objective=weighted, learning_rate=learning_rate)
  walks = controller.sample(TABLE, 6, np.random.default_rng(0)).sequences
  return learner, controller, (walks, np.random.default_rng(1).normal(size=6))


def test_steps_are_those_of_the_paper():
  """Kingma & Ba 2015, end of section 2, in float64; the learner's own arithmetic is float32."""
  learner, controller, (walks, weight) = make()
  tokens = pad_tokens(TABLE, walks)
  expected = {name: w.astype(np.float64) for name, w in controller.weights.items()}
  mean, square = ({name: np.zeros_like(w) for name, w in expected.items()} for _ in range(2))
  losses = []
  for number in range(1, 5):
    scores = controller.score(TABLE, tokens)
    slopes = weighted(scores.log_prob, scores.entropy, weight)
    gradients = scores.gradient(slopes.log_prob, slopes.entropy)
    for name, gradient in gradients.items():
      mean[name] = 0.9 * mean[name] + 0.1 * gradient
      square[name] = 0.999 * square[name] + 0.001 * gradient.astype(np.float64) ** 2
      rate = 0.01 * np.sqrt(1 - 0.999**number) / (1 - 0.9**number)
      expected[name] -= rate * mean[name] / (np.sqrt(square[name]) + 1e-7)
    loss, entropy, norm = learner.step(walks, weight)
    assert loss == pytest.approx(slopes.loss)
    assert entropy == pytest.approx(scores.entropy.mean(), rel=1e-6)
    assert norm == pytest.approx(np.sqrt(sum((g**2).sum() for g in gradients.values())), rel=1e-5)
    for name, found in controller.weights.items():
      np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-6)
    losses.append(loss)
  assert losses == sorted(losses, reverse=True)


def test_several_times_are_several_steps():
  one, other = make(), make()
  first = one[0].step(*one[2])
  one[0].step(*one[2])
  assert other[0].step(*other[2], times=2) == first
  for name, weight in one[1].weights.items():
    assert weight.tobytes() == other[1].weights[name].tobytes()


def test_a_restored_learner_goes_on_to_the_bit():
  one, other = make(), make()
  one[0].step(*one[2])
  one[0].keep()
  one[0].step(*one[2])
  state = one[0].state()
  one[0].step(*one[2])
  other[0].restore(state)
  other[0].step(*other[2])
  one[0].reset()
  kept = {name: weight.copy() for name, weight in one[1].weights.items()}
  one[0].restore(state)
  one[0].step(*one[2])
  for name, weight in other[1].weights.items():
    assert weight.tobytes() == one[1].weights[name].tobytes()
  other[0].reset()
  for name, weight in other[1].weights.items():
    assert weight.tobytes() == kept[name].tobytes()


@pytest.mark.parametrize('learning_rate', [0.0, -1.0, float('nan'), float('inf')])
def test_a_learning_rate_that_is_not_positive_is_refused(learning_rate):
  with pytest.raises(ValueError, match=f'learning_rate={learning_rate}: must be positive'):
    make(learning_rate)


def test_a_state_of_another_shape_is_refused():
  learner, controller, _ = make()
  before = {name: weight.copy() for name, weight in controller.weights.items()}
  state = learner.state()
  with pytest.raises(ValueError, match='state: weights/head: must be float32'):
    learner.restore(state | {'weights/head': state['weights/head'][:1]})
  with pytest.raises(ValueError, match='state: steps'):
    learner.restore({name: value for name, value in state.items() if name != 'steps'})
  for name, weight in controller.weights.items():
    assert weight.tobytes() == before[name].tobytes()
