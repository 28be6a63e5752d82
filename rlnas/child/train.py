"""Trains child networks on data in memory, a whole epoch in one graph.

Against a loop in Python, a `tf.while_loop` over batches saves the calls and the input pipeline,
which take longer than a small child's arithmetic. Adam (Kingma & Ba 2015, algorithm 1) follows a
cosine from the learning rate to 0 (Loshchilov & Hutter 2017, equation 5, without restarts).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.backend import keras, tf
from rlnas.datasets import Dataset

Array = npt.NDArray[Any]

# Short trainings want large steps: after 3 epochs of 3,500 digits, twelve chains reached 0.84 on
# the mean with 8e-3 and 0.88 with 16e-3. Both ranked them equally well within noise, and 30 to 60
# epochs ended alike.
BATCH_SIZE = 64
LEARNING_RATE = 16e-3
# Far beyond any weight that classifies; some 1e30 end the process of TensorFlow Lite's quantizer.
HUGE_WEIGHT = 1e10

_EVALUATION_BATCH = 500
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # Adam, as Keras has it


def train(
  model: keras.Model,
  dataset: Dataset,
  *,
  epochs: int,
  seed: int,
  batch_size: int = BATCH_SIZE,
  learning_rate: float = LEARNING_RATE,
  shift_pixels: int = 0,
  on_epoch: Callable[[int, float], None] | None = None,
) -> float:
  """Trains a network in place on the training data.

  Each epoch visits the examples in a new random order. What does not fill a batch is left out of
  that epoch; fewer examples than a batch are one batch.

  Args:
    model: float32 [B, ...] -> logits [B, classes].
    dataset: its training data, its offset and its scale are used.
    epochs: how often to go through the training data.
    seed: decides the order of the examples and their shifts.
    batch_size: examples a step.
    learning_rate: of the first step.
    shift_pixels: each image is shifted by up to so many pixels down or up and right or left, drawn
      anew each time; the edge is repeated into the gap.
    on_epoch: called with the number of finished epochs and the mean loss of the last one.

  Returns:
    The mean loss (cross-entropy in nats) of the last epoch.

  Raises:
    ValueError: an argument is out of its range.
    FloatingPointError: the loss is no longer finite.
  """
  trainer = Trainer(
    model,
    dataset,
    batch_size=batch_size,
    learning_rate=learning_rate,
    shift_pixels=shift_pixels,
  )
  return trainer.run(epochs=epochs, seed=seed, on_epoch=on_epoch)


class Trainer:
  """Trains one network in place, in one or several goes; its graph is traced once.

  Args:
    model: see `train`, as for the following.
    dataset: its training data, its offset and its scale are used.
    batch_size: examples a step.
    learning_rate: of the first step of each go.
    shift_pixels: how far images are shifted.

  Raises:
    ValueError: an argument is out of its range.
  """

  def __init__(
    self,
    model: keras.Model,
    dataset: Dataset,
    *,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
    shift_pixels: int = 0,
  ) -> None:
    _check_settings(dataset, batch_size, learning_rate, shift_pixels)
    self._model = model
    self._shift_pixels = shift_pixels
    self._x = tf.constant(dataset.x_train)
    self._y = tf.constant(dataset.y_train, tf.int32)
    self._batch_size = min(batch_size, len(dataset.x_train))
    self._adam = _Adam(model.trainable_variables, learning_rate=learning_rate)
    order_spec = tf.TensorSpec([None, self._batch_size], tf.int32)
    shifts_spec = tf.TensorSpec([None, self._batch_size, 2], tf.int32)
    run_epoch = _epoch_function(model, dataset, self._adam, shifted=shift_pixels > 0)
    self._run_epoch = run_epoch.get_concrete_function(self._x, self._y, order_spec, shifts_spec)

  def run(
    self,
    *,
    epochs: int,
    seed: int,
    examples: int | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
  ) -> float:
    """Goes on from the present weights, with a fresh optimiser and schedule.

    Args:
      epochs: see `train`, as for what is not named here.
      seed: decides the order of the examples and their shifts.
      examples: how many of the training data are used, from the first; all by default.
      on_epoch: called after each epoch.

    Returns:
      The mean loss of the last epoch.

    Raises:
      ValueError: an argument is out of its range.
      FloatingPointError: the loss or a weight is no longer finite.
    """
    count = len(self._x) if examples is None else min(examples, len(self._x))
    if epochs < 1:
      raise ValueError(f'epochs={epochs}: must be at least 1')
    if count < self._batch_size:
      raise ValueError(f'examples={examples}: must be at least a batch of {self._batch_size}')
    steps = count // self._batch_size
    shape = (steps, self._batch_size)
    rng = np.random.default_rng(seed)
    self._adam.start(steps * epochs)
    loss = math.nan
    for epoch in range(epochs):
      order = rng.permutation(count)[: math.prod(shape)].reshape(shape)
      shifts = rng.integers(-self._shift_pixels, self._shift_pixels, (*shape, 2), endpoint=True)
      order, shifts = tf.constant(order, tf.int32), tf.constant(shifts, tf.int32)
      loss = float(self._run_epoch(self._x, self._y, order, shifts))
      if not math.isfinite(loss):
        raise FloatingPointError(f'training diverged: loss {loss} in epoch {epoch + 1} of {epochs}')
      if on_epoch is not None:
        on_epoch(epoch + 1, loss)
    for weight in self._model.weights:
      largest = float(tf.reduce_max(tf.abs(weight)))
      if not largest < HUGE_WEIGHT:
        raise FloatingPointError(f'training diverged: {weight.name} reaches {largest:g}')
    return loss


def accuracy(model: keras.Model, x: Array, y: Array, *, offset: float, scale: float) -> float:
  """Share of examples whose label has the largest logit.

  Args:
    model: float32 [B, ...] -> logits [B, classes].
    x: uint8 or float32 examples as in the data set. [N, ...]
    y: labels. [N]
    offset: the network sees (x - offset) / scale.
    scale: see `offset`.

  Raises:
    ValueError: there are no examples, or not one label each.
  """
  return accuracy_function(model, x, y, offset=offset, scale=scale)()


def accuracy_function(
  model: keras.Model, x: Array, y: Array, *, offset: float, scale: float
) -> Callable[[], float]:
  """As `accuracy`, of whatever weights the network has when the result is called; traced once."""
  if len(x) == 0 or y.shape != x.shape[:1]:
    raise ValueError(
      f'y of shape {y.shape}: must be one label for each of {len(x)} examples, N >= 1'
    )

  @tf.function(autograph=False)
  def count_correct(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    def body(start: tf.Tensor, correct: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      batch = slice(start, start + _EVALUATION_BATCH)
      logits = model(_scaled(x[batch], offset, scale), training=False)  # [B, classes]
      hits = tf.argmax(logits, 1, tf.int32) == y[batch]
      return start + _EVALUATION_BATCH, correct + tf.reduce_sum(tf.cast(hits, tf.int32))

    return tf.while_loop(lambda start, correct: start < x.shape[0], body, (0, 0))[1]

  examples, labels = tf.constant(x), tf.constant(y, tf.int32)
  counted = count_correct.get_concrete_function(examples, labels)
  return lambda: int(counted(examples, labels)) / len(examples)


def shift_images(images: tf.Tensor, shifts: tf.Tensor) -> tf.Tensor:
  """Moves each image; its edge is repeated into the gap.

  Args:
    images: any type. [B, H, W, C]
    shifts: int32, pixels down and pixels right, or up and left where negative. [B, 2]

  Returns:
    The moved images. [B, H, W, C]
  """
  for axis in (1, 2):
    side = images.shape[axis]
    source = tf.range(side) - shifts[:, axis - 1, tf.newaxis]  # [B, side]
    source = tf.clip_by_value(source, 0, side - 1)
    images = tf.gather(images, source, axis=axis, batch_dims=1)
  return images


def _check_settings(
  dataset: Dataset, batch_size: int, learning_rate: float, shift_pixels: int
) -> None:
  for name, value, least in (('batch_size', batch_size, 1), ('shift_pixels', shift_pixels, 0)):
    if value < least:
      raise ValueError(f'{name}={value}: must be at least {least}')
  if not (learning_rate > 0 and math.isfinite(learning_rate)):
    raise ValueError(f'learning_rate={learning_rate}: must be positive')
  if shift_pixels and len(dataset.input_shape) != 3:
    raise ValueError(
      f'shift_pixels={shift_pixels}: examples of {dataset.input_shape} are no images'
    )


class _Adam:
  """Adam on a cosine schedule as one fused operation a variable, for use inside a graph."""

  def __init__(self, variables: Sequence[tf.Variable], *, learning_rate: float) -> None:
    self._slots = [(v, *(tf.Variable(tf.zeros_like(v)) for _ in range(2))) for v in variables]
    self._step = tf.Variable(0.0)
    self._steps = tf.Variable(1.0)
    self._learning_rate = learning_rate

  def start(self, steps: int) -> None:
    """Forgets all, for a training of so many steps."""
    self._step.assign(0.0)
    self._steps.assign(float(steps))
    for _, first, second in self._slots:
      first.assign(tf.zeros_like(first))
      second.assign(tf.zeros_like(second))

  def apply(self, gradients: Sequence[tf.Tensor]) -> None:
    """One step of all variables."""
    cosine = tf.cos(math.pi * self._step / self._steps)
    learning_rate = self._learning_rate * (1 + cosine) / 2
    time = self._step.assign_add(1.0)
    for (variable, first, second), gradient in zip(self._slots, gradients, strict=True):
      tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=first.handle,
        v=second.handle,
        beta1_power=tf.pow(_BETA_1, time),
        beta2_power=tf.pow(_BETA_2, time),
        lr=learning_rate,
        beta1=_BETA_1,
        beta2=_BETA_2,
        epsilon=_EPSILON,
        grad=gradient,
      )


def _epoch_function(
  model: keras.Model, dataset: Dataset, adam: _Adam, *, shifted: bool
) -> tf.types.experimental.PolymorphicFunction:
  """One epoch as a function of x [N, ...], y [N], order [steps, B] and shifts [steps, B, 2].

  It returns the mean loss.
  """

  @tf.function(autograph=False)
  def run_epoch(x: tf.Tensor, y: tf.Tensor, order: tf.Tensor, shifts: tf.Tensor) -> tf.Tensor:
    def body(step: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      batch = tf.gather(x, order[step])
      if shifted:
        batch = shift_images(batch, shifts[step])
      with tf.GradientTape() as tape:
        logits = model(_scaled(batch, dataset.offset, dataset.scale), training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(y, order[step]), logits)
        loss = tf.reduce_mean(losses)
      adam.apply(tape.gradient(loss, model.trainable_variables))
      return step + 1, total + loss

    steps = tf.shape(order)[0]
    total = tf.while_loop(lambda step, total: step < steps, body, (0, 0.0))[1]
    return total / tf.cast(steps, tf.float32)

  return run_epoch


def _scaled(x: tf.Tensor, offset: float, scale: float) -> tf.Tensor:
  return (tf.cast(x, tf.float32) - offset) * (1 / scale)
