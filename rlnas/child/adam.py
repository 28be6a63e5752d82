"""The Adam optimiser with a cosine schedule, for use inside a TensorFlow graph.

Adam: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1. The learning rate follows Loshchilov & Hutter
2017, equation 5, without restarts. Networks and supernets are trained by the same step: one fused
operation of TensorFlow for each variable. The terms that all variables share are computed once.
Computed for each variable, they were a fifth of the operations in the graph that trains a small
network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

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


class Adam:
  """Adam with one fused operation per variable.

  The learning rate rises linearly during the warm-up and then falls to 0 as half a cosine.

  Args:
    variables: the variables to train.
    learning_rate: the highest learning rate.
    warmup: the warm-up's share of all steps, in [0, 1).
  """

  def __init__(
    self, variables: Sequence[tf.Variable], *, learning_rate: float, warmup: float = 0.0
  ) -> None:
    self._slots = [(v, *(tf.Variable(tf.zeros_like(v)) for _ in range(2))) for v in variables]
    self._step = tf.Variable(0.0)
    self._steps = tf.Variable(1.0)
    self._learning_rate = learning_rate
    self._warmup = warmup

  def start(self, steps: int) -> None:
    """Resets the state for a training of `steps` steps."""
    self._step.assign(0.0)
    self._steps.assign(float(steps))
    for _, first, second in self._slots:
      first.assign(tf.zeros_like(first))
      second.assign(tf.zeros_like(second))

  def apply(self, gradients: Sequence[tf.Tensor]) -> None:
    """Updates each variable by one step; `gradients` are in the order of the variables."""
    learning_rate = self._present_rate()
    time = self._step.assign_add(1.0)
    updates = ((*slot, gradient) for slot, gradient in zip(self._slots, gradients, strict=True))
    adam_step(updates, learning_rate=learning_rate, step=time)

  def _present_rate(self) -> tf.Tensor:
    if not self._warmup:
      return self._learning_rate * (1 + tf.cos(math.pi * self._step / self._steps)) / 2
    rising = self._warmup * self._steps
    fallen = tf.maximum(0.0, self._step - rising) / (self._steps - rising)
    share = tf.minimum(1.0, (self._step + 1) / rising)
    return self._learning_rate * share * (1 + tf.cos(math.pi * fallen)) / 2
