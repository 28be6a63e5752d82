"""The step against the paper's equations."""

import numpy as np
import pytest

from rlnas.backend import tf
from rlnas.child.adam import BETA_1, BETA_2, EPSILON, adam_step


@pytest.mark.parametrize('in_graph', [False, True])
def test_steps_are_those_of_the_paper(in_graph):
  rng = np.random.default_rng(0)
  shapes = [(3, 2), (4,)]
  values = [rng.normal(size=shape) for shape in shapes]
  means = [np.zeros(shape) for shape in shapes]
  squares = [np.zeros(shape) for shape in shapes]
  variables = [
    [tf.Variable(array, dtype=tf.float32) for array in arrays]
    for arrays in (values, means, squares)
  ]

  def step(gradients, rate, number):
    updates = zip(*variables, gradients, strict=True)
    adam_step(updates, learning_rate=rate, step=number)

  run = tf.function(step, autograph=False) if in_graph else step
  for number in range(1, 6):
    gradients = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    rate = 0.1 / number
    for place, gradient in enumerate(gradients):
      means[place] = BETA_1 * means[place] + (1 - BETA_1) * gradient
      squares[place] = BETA_2 * squares[place] + (1 - BETA_2) * gradient**2
      corrected = rate * np.sqrt(1 - BETA_2**number) / (1 - BETA_1**number)
      values[place] -= corrected * means[place] / (np.sqrt(squares[place]) + EPSILON)
    count = tf.constant(float(number)) if in_graph else number
    run([tf.constant(gradient) for gradient in gradients], tf.constant(rate, tf.float32), count)
  for ours, arrays in zip(variables, (values, means, squares), strict=True):
    for variable, array in zip(ours, arrays, strict=True):
      np.testing.assert_allclose(variable, array, rtol=1e-4, atol=1e-6)
