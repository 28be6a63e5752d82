import numpy as np
import pytest

from rlnas.backend import tf
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies import lstm
from rlnas.strategies.controller import Controller

STEPS, BATCH, UNITS = 7, 5, 4


def by_step(weights: lstm.Weights, hold: tf.Tensor, embedded: tf.Tensor) -> tf.Tensor:
  """The same as `lstm._hiddens`, with the gradient that TensorFlow finds."""
  memory = lstm._forget(weights, BATCH)
  pending = tf.repeat(weights.start, BATCH, axis=0)
  hiddens = []
  for step in range(STEPS):
    x, after, cells = pending, [], []
    for layer, before in enumerate(zip(memory.hiddens, memory.cells, strict=True)):
      done = lstm._step(weights.kernels[layer], weights.biases[layer], x, *before)
      x, cell = lstm._unless(hold[step], done, *before)
      after.append(x)
      cells.append(cell)
    memory = lstm._Memory(tuple(after), tuple(cells))
    hiddens.append(x)
    pending = lstm._carry(pending, hold[step], embedded[step])
  return tf.stack(hiddens)


@pytest.mark.parametrize('layers', [1, 2, 3])
@pytest.mark.parametrize('held', [0.0, 0.4])
def test_the_gradient_through_time_is_that_of_tensorflow(layers, held):
  table = compile_table(Chain(max_depth=1))
  weights = Controller(table, layers=layers, units=UNITS, init_scale=1.0, seed=1).weights
  rng = np.random.default_rng(layers)
  hold = tf.constant(rng.random((STEPS, BATCH)) < held)
  embedded = tf.constant(rng.normal(size=(STEPS, BATCH, UNITS)), tf.float32)
  direction = tf.constant(rng.normal(size=(STEPS, BATCH, UNITS)), tf.float32)
  learnt = (weights.start, *weights.kernels, *weights.biases)

  def gradients(hiddens) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
      tape.watch(embedded)
      value = tf.reduce_sum(direction * hiddens(weights, hold, embedded))
    return [g.numpy() for g in tape.gradient(value, [embedded, *learnt])]

  found = gradients(tf.function(lstm._hiddens, autograph=False))
  expected = gradients(by_step)
  assert len(found) == 2 + 2 * layers
  for one, other in zip(found, expected, strict=True):
    assert np.abs(other).max() > 1e-3
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
