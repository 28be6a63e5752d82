"""The scores of walks and their gradient, against the equations in TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from rlnas.backend import tf
from rlnas.spaces import Chain, MultiBranch
from rlnas.spaces.decision import Decision
from rlnas.spaces.table import compile_table, states_of
from rlnas.strategies.controller import Controller, pad_tokens


def pointing():
  """Walks of several lengths; decisions hold, from the first on, and point at unwritten anchors."""
  yield Decision('first', 'first', (1, 2), hold=True)
  more = yield Decision('more', 'more', (False, True), anchor='a')
  if more:
    yield Decision('size', 'size', (1, 2, 3), anchor='b', hold=True)
  to = yield Decision('to', 'to', (None, 0, 1), points_to=(None, 'a', 'b'))
  if to is not None:
    yield Decision('last', 'size', (1, 2, 3), hold=True)
  return more, to


TABLES = {
  'chain': compile_table(Chain(max_depth=3)),
  'multibranch': compile_table(MultiBranch(depth=3)),
  'pointing': compile_table(pointing),
}


def equations(weights, layers: int, table, walk):
  """Log-probability and entropy of one walk by the rules of `rlnas.strategies.lstm`."""
  units = weights['start'].shape[1]
  hidden, cell = ([tf.zeros([1, units], tf.float64)] * layers for _ in range(2))
  keys: dict[int, tf.Tensor] = {}
  pending, log_prob, entropy = weights['start'], 0.0, 0.0
  for state, token in zip(states_of(table, walk), walk, strict=True):
    if not table.hold[state]:
      x, pending = pending, tf.zeros_like(pending)
      hidden, cell = list(hidden), list(cell)
      for i in range(layers):
        z = tf.concat([x, hidden[i]], 1) @ weights[f'kernel{i}'] + weights[f'bias{i}']
        write, forget, read, new = tf.split(z, 4, 1)
        cell[i] = tf.sigmoid(forget) * cell[i] + tf.sigmoid(write) * tf.tanh(new)
        hidden[i] = x = tf.sigmoid(read) * tf.tanh(cell[i])
    top = hidden[-1]
    logits = []
    for choice, anchor in enumerate(table.pointer[state, : len(table.choices[state])]):
      if anchor >= 0:
        key = keys.get(anchor, tf.zeros_like(top)) + top @ weights['w_curr']
        logits.append((tf.tanh(key) @ weights['v'])[0, 0])
      elif (table.pointer[state] >= 0).any():
        logits.append(tf.zeros([], tf.float64))
      else:
        symbol = table.symbol[state, choice]
        logits.append((top @ weights['head'])[0, symbol] + weights['head_bias'][symbol])
    log_probs = tf.nn.log_softmax(tf.stack(logits))
    log_prob += log_probs[token]
    entropy -= tf.reduce_sum(tf.exp(log_probs) * log_probs)
    if table.writes[state] >= 0:
      keys[table.writes[state]] = top @ weights['w_prev']
    pending += weights['embedding'][table.symbol[state, token]][tf.newaxis]
  return log_prob, entropy


@pytest.mark.parametrize('layers', [1, 2, pytest.param(3, marks=pytest.mark.nightly)])
@pytest.mark.parametrize('name', TABLES)
def test_scores_and_gradient_are_those_of_the_equations(name, layers):
  table, rng = TABLES[name], np.random.default_rng(layers)
  controller = Controller(table, layers=layers, units=4, init_scale=1.0, seed=1)
  walks = controller.sample(table, 7, rng).sequences
  assert name == 'multibranch' or len({len(walk) for walk in walks}) > 1
  slopes = rng.normal(size=(2, len(walks)))
  weights = {name: tf.constant(w, tf.float64) for name, w in controller.weights.items()}
  with tf.GradientTape() as tape:
    tape.watch(weights)
    pairs = [equations(weights, layers, table, walk) for walk in walks]
    log_prob, entropy = (tf.stack(values) for values in zip(*pairs, strict=True))
    value = tf.reduce_sum(slopes[0] * log_prob + slopes[1] * entropy)
  expected = tape.gradient(value, weights, unconnected_gradients='zero')
  scores = controller.score(table, pad_tokens(table, walks))
  np.testing.assert_allclose(scores.log_prob, log_prob, atol=1e-5)
  np.testing.assert_allclose(scores.entropy, entropy, atol=1e-5)
  found = scores.gradient(*slopes)
  assert set(found) == set(controller.weights)
  for weight, gradient in found.items():
    assert gradient.dtype == np.float32
    truth = tf.convert_to_tensor(expected[weight])
    np.testing.assert_allclose(gradient, truth, rtol=1e-4, atol=1e-5, err_msg=weight)
  if name == 'pointing':
    assert all(np.abs(gradient).max() > 1e-3 for gradient in found.values())


def test_the_gradient_is_that_of_the_weights_that_were_scored():
  """Although they are changed in place."""
  table = TABLES['pointing']
  controller = Controller(table, units=4, init_scale=1.0)
  tokens = controller.sample(table, 5, np.random.default_rng(0)).tokens
  expected = controller.score(table, tokens).gradient(np.ones(5), np.ones(5))
  scores = controller.score(table, tokens)
  for weight in controller.weights.values():
    weight *= 2
  found = scores.gradient(np.ones(5), np.ones(5))
  for name, gradient in found.items():
    assert gradient.tobytes() == expected[name].tobytes()
