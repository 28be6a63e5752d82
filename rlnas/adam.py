"""One step of Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1).

Networks, supernets and controllers are all trained by this step: one fused operation of TensorFlow
for each variable. The terms that all variables share are computed once. Computed for each variable,
they were a fifth of the operations in the graph that trains a small network.
"""

from __future__ import annotations

from collections.abc import Iterable

from rlnas.backend import tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # as Keras has it

# A variable, the moving means of its gradient and of the gradient's square, which are zeros before
# the first step, and its gradient; float32 of one shape.
Update = tuple[tf.Variable, tf.Variable, tf.Variable, tf.Tensor]


def adam_step(
  updates: Iterable[Update], *, learning_rate: tf.Tensor | float, step: tf.Tensor | int
) -> None:
  """Updates variables and their moments in place.

  Args:
    updates: the variables with their moments and gradients.
    learning_rate: the learning rate of this step.
    step: the number of this step, from 1; a float32 scalar in a graph.
  """
  settings = {
    'beta1_power': BETA_1**step,
    'beta2_power': BETA_2**step,
    'lr': learning_rate,
    'beta1': BETA_1,
    'beta2': BETA_2,
    'epsilon': EPSILON,
  }
  shared = {name: tf.convert_to_tensor(value, tf.float32) for name, value in settings.items()}
  for variable, first, second, gradient in updates:
    tf.raw_ops.ResourceApplyAdam(
      var=variable.handle, m=first.handle, v=second.handle, grad=gradient, **shared
    )
