"""Trains networks on data in memory, a whole epoch in one graph.

Unlike a loop in Python, a `tf.while_loop` over batches needs no calls and no input pipeline, which
take longer than a small network's arithmetic.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.backend import keras, tf, unoptimised
from rlnas.child.adam import Adam
from rlnas.child.augment import NO_AUGMENTATION, Changes
from rlnas.child.defaults import BATCH_SIZE, LEARNING_RATE
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Confusion, Metric, class_weights, metric_for
from rlnas.data.scaling import Scaling
from rlnas.data.tasks import Head, Task
from rlnas.progress import Step, is_heard, tell

Array = npt.NDArray[Any]
# Network inputs [B, ...], what is wanted ([B] classes or [B, K] values, `Head.wanted`) and outputs
# [B, outputs] -> one loss an example [B].
Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
# Called with the number of finished epochs and the mean loss of the last one; True ends the
# training.
OnEpoch = Callable[[int, float], bool | None]

# Far above any useful weight; with weights of about 1e30 TensorFlow Lite's quantizer ends the
# process.
HUGE_WEIGHT = 1e10

# Largest norm of the gradient of all weights together, in networks that read sequences: through the
# steps of an unrolled cell gradients grow exponentially (Pascanu et al. 2013, arXiv:1211.5063,
# algorithm 1).
MAX_GRADIENT_NORM = 1.0
# A cell that multiplies can raise its state to high powers, so that its logits overflow, before the
# first step or after one of them. Far above any useful logit; then the kernels are made smaller: by
# half before the training, by less in a batch, which may hold a rare example.
HUGE_LOGIT = 1e4
_MOST_HALVINGS = 20
_SHRINK = 0.9
_TRIED_EXAMPLES = 500

_EVALUATION_BATCH = 500
# Someone who waits hears of an epoch's parts that take about so long.
_TOLD_SECONDS = 1.0
_FIRST_STEPS = 16  # of the first part; the next ones follow from its time


def cross_entropy(x: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
  """Cross-entropy in nats: [B, ...], [B], [B, classes] -> [B]."""
  del x
  return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def squared_error(x: tf.Tensor, values: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
  """Mean of the squared errors of all values, in squares of their deviations: [B, K] -> [B]."""
  del x
  return tf.reduce_mean(tf.square(outputs - values), -1)


def reconstruction_error(x: tf.Tensor, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
  """Mean squared difference of outputs and inputs: [B, ...], [B], [B, inputs] -> [B]."""
  del labels
  return tf.reduce_mean(tf.square(outputs - tf.reshape(x, tf.shape(outputs))), -1)


# The loss of each task, if no other is given.
LOSSES: Mapping[Task, Loss] = {
  Task.CLASSIFICATION: cross_entropy,
  Task.REGRESSION: squared_error,
  Task.ANOMALY: reconstruction_error,
}


def loss_for(metric: Metric, dataset: Dataset, *, loss: Loss | None = None) -> Loss:
  """Returns the loss that suits a metric.

  For accuracy and for R² it is `loss` itself. For the metrics that count all classes alike, the
  loss of each example is multiplied by the weight of its class
  (`rlnas.data.metrics.class_weights`).

  Args:
    metric: the metric that the training should maximise.
    dataset: its training labels give the weights.
    loss: the loss of each example; that of the task by default.

  Raises:
    ValueError: the metric does not suit the task of the data.
  """
  metric = metric_for(dataset, metric)
  loss = loss or LOSSES[dataset.head.task]
  if metric is Metric.ACCURACY or metric.task is not Task.CLASSIFICATION:
    return loss
  weights = class_weights(dataset.y_train, classes=dataset.classes).astype(np.float32)

  def weighted(x: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.gather(weights, labels) * loss(x, labels, logits)

  return weighted


def train(
  model: keras.Model,
  dataset: Dataset,
  *,
  epochs: int,
  seed: int,
  batch_size: int = BATCH_SIZE,
  learning_rate: float = LEARNING_RATE,
  warmup: float = 0.0,
  augmentation: Changes = NO_AUGMENTATION,
  loss: Loss | None = None,
  on_epoch: OnEpoch | None = None,
) -> float:
  """Trains a network in place on the training data.

  Each epoch visits the examples in a new random order. Examples that do not fill a batch are left
  out of that epoch. If there are fewer examples than a batch, they form one batch.

  Args:
    model: the network: float32 [B, ...] -> logits [B, classes].
    dataset: its training data and its scaling are used.
    epochs: number of passes through the training data.
    seed: determines the order of the examples and their changes.
    batch_size: examples per step.
    learning_rate: the highest learning rate; see `Adam`.
    warmup: share of the steps in which the learning rate rises.
    augmentation: random changes of the examples.
    loss: the loss to minimise; that of the task by default.
    on_epoch: called after each epoch with its number and mean loss; the training ends if it
      returns True.

  Returns:
    The mean loss of the last epoch.

  Raises:
    ValueError: an argument is out of its range.
    FloatingPointError: the loss is no longer finite.
  """
  trainer = Trainer(
    model,
    dataset,
    batch_size=batch_size,
    learning_rate=learning_rate,
    warmup=warmup,
    augmentation=augmentation,
    loss=loss,
  )
  return trainer.run(epochs=epochs, seed=seed, on_epoch=on_epoch)


class Trainer:
  """Trains one network in place, in one or several runs; traces its graph once.

  Args:
    model: the network: float32 [B, ...] -> logits [B, classes].
    dataset: its training data and its scaling are used.
    batch_size: examples per step.
    learning_rate: the highest learning rate of each run; see `Adam`.
    warmup: share of a run's steps in which the learning rate rises.
    augmentation: random changes of the examples.
    loss: the loss to minimise; that of the task by default.

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
    warmup: float = 0.0,
    augmentation: Changes = NO_AUGMENTATION,
    loss: Loss | None = None,
  ) -> None:
    _check_settings(batch_size, learning_rate, warmup)
    augmentation.check_reads(dataset.input_shape)
    self._model = model
    self._augmentation = augmentation
    self._x = tf.constant(dataset.x_train)
    self._y = tf.constant(dataset.head.wanted(dataset.y_train))
    self._batch_size = min(batch_size, len(dataset.x_train))
    if len(dataset.input_shape) == 2:  # a sequence
      _shrink_if_huge(model, _scaled(self._x[:_TRIED_EXAMPLES], dataset.scaling))
    self._adam = Adam(model.trainable_variables, learning_rate=learning_rate, warmup=warmup)
    order_spec = tf.TensorSpec([None, self._batch_size], tf.int32)
    changes_spec = tf.TensorSpec([None, self._batch_size, augmentation.width], tf.int32)
    loss = loss or LOSSES[dataset.head.task]
    run_epoch = _epoch_function(model, dataset, self._adam, augmentation, loss)
    self._run_epoch = run_epoch.get_concrete_function(self._x, self._y, order_spec, changes_spec)

  def run(
    self,
    *,
    epochs: int,
    seed: int,
    examples: int | None = None,
    on_epoch: OnEpoch | None = None,
  ) -> float:
    """Trains further from the current weights, with a reset optimiser and schedule.

    Args:
      epochs: number of passes through the examples; see `train`.
      seed: determines the order of the examples and their changes.
      examples: number of training examples to use, from the first; all by default.
      on_epoch: called after each epoch; the training ends if it returns True.

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
    tell(Step(0, epochs))
    for epoch in range(epochs):
      order = rng.permutation(count)[: math.prod(shape)].reshape(shape)
      changes = self._augmentation.draw(rng, shape)
      loss = self._run(order, changes, epoch, epochs)
      if not math.isfinite(loss):
        raise FloatingPointError(f'training diverged: loss {loss} in epoch {epoch + 1} of {epochs}')
      if on_epoch is not None and on_epoch(epoch + 1, loss):
        break
    for weight in self._model.weights:
      largest = float(tf.reduce_max(tf.abs(weight)))
      if not largest < HUGE_WEIGHT:
        raise FloatingPointError(f'training diverged: {weight.name} reaches {largest:g}')
    return loss

  def _run(self, order: Array, changes: Array, epoch: int, epochs: int) -> float:
    """Trains one epoch; returns its mean loss.

    If there is a listener (`rlnas.progress`), the epoch runs in parts and each is reported.
    The weights are the same to the bit, however the epoch is divided.

    Args:
      order: the examples of each step. [steps, B]
      changes: their changes. [steps, B, width]
      epoch: number of epochs before.
      epochs: number of epochs in all.
    """
    steps, done, total, counted = len(order), 0, 0.0, 0.0
    size = _FIRST_STEPS if is_heard() else steps
    while done < steps:
      started = time.perf_counter()
      part = slice(done, done + size)
      arguments = tf.constant(order[part], tf.int32), tf.constant(changes[part])
      with unoptimised():
        found = self._run_epoch(self._x, self._y, *arguments)
      total, counted = total + float(found[0]), counted + float(found[1])
      done = min(done + size, steps)
      tell(Step(epoch + done / steps, epochs))
      seconds = time.perf_counter() - started
      size = max(1, min(4 * size, round(size * _TOLD_SECONDS / max(seconds, 1e-6))))
    return total / counted if counted else math.nan


def accuracy(model: keras.Model, x: Array, y: Array, *, scaling: Scaling) -> float:
  """Returns the share of examples whose label has the largest logit.

  Args:
    model: the network: float32 [B, ...] -> logits [B, classes].
    x: examples as in the data set. [N, ...]
    y: labels. [N]
    scaling: how to scale `x` for the network.

  Raises:
    ValueError: there are no examples, or not one label for each.
  """
  return Metric.ACCURACY.of(confusion_function(model, x, y, scaling=scaling)())


def confusion_function(
  model: keras.Model, x: Array, y: Array, *, scaling: Scaling
) -> Callable[[], Confusion]:
  """Returns a function that counts confusions with the network's weights at the time of the call.

  It returns what `rlnas.data.metrics.confusion_matrix` returns for the classes with the largest
  logits. The graph is traced once.

  Args:
    model: see `accuracy`.
    x: see `accuracy`. [N, ...]
    y: see `accuracy`. [N]
    scaling: see `accuracy`.

  Raises:
    ValueError: there are no examples, or not one label for each.
  """
  if len(x) == 0 or y.shape != x.shape[:1]:
    raise ValueError(
      f'y of shape {y.shape}: must be one label for each of {len(x)} examples, N >= 1'
    )
  classes = model.output_shape[-1]

  @tf.function(autograph=False)
  def count(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    def body(start: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      batch = slice(start, start + _EVALUATION_BATCH)
      logits = model(_scaled(x[batch], scaling), training=False)  # [B, classes]
      pairs = tf.stack([y[batch], tf.argmax(logits, 1, tf.int32)], 1)  # [B, 2]
      counts = tf.tensor_scatter_nd_add(counts, pairs, tf.ones_like(y[batch]))
      counts.set_shape((classes, classes))
      return start + _EVALUATION_BATCH, counts

    none = tf.zeros((classes, classes), tf.int32)
    return tf.while_loop(lambda start, counts: start < x.shape[0], body, (0, none))[1]

  examples, labels = tf.constant(x), tf.constant(y, tf.int32)
  counted = count.get_concrete_function(examples, labels)

  def confusion() -> Confusion:
    with unoptimised():
      return counted(examples, labels).numpy().astype(np.int64)

  return confusion


def quality_function(model: keras.Model, dataset: Dataset, metric: Metric) -> Callable[[], float]:
  """Returns a function that computes a metric on the validation data with the weights of its call.

  Args:
    model: the network: float32 [B, ...] -> outputs [B, outputs].
    dataset: its validation data, scaling and head are used.
    metric: a metric of its task.
  """
  x, y, head = dataset.x_val, dataset.y_val, dataset.head
  if head.task is Task.CLASSIFICATION:
    count = confusion_function(model, x, y, scaling=dataset.scaling)
    return lambda: metric.of(count())
  answer = _answer_function(model, x, scaling=dataset.scaling, head=head)
  return lambda: metric.judge(y, answer(), outputs=dataset.classes)


def _answer_function(
  model: keras.Model, x: Array, *, scaling: Scaling, head: Head
) -> Callable[[], Array]:
  """Returns a function that gives the answers [N, ...] of a network with the weights of its call.

  The graph is traced once.
  """

  @tf.function(autograph=False)
  def run(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    seen = _scaled(batch, scaling)
    return model(seen, training=False), seen  # [B, outputs], [B, ...]

  traced = run.get_concrete_function(tf.TensorSpec([None, *x.shape[1:]], x.dtype))

  def answer() -> Array:
    starts = range(0, len(x), _EVALUATION_BATCH)
    with unoptimised():
      parts = [traced(tf.constant(x[s : s + _EVALUATION_BATCH])) for s in starts]
    outputs, inputs = (np.concatenate([pair[i].numpy() for pair in parts]) for i in (0, 1))
    return head.answers(outputs, inputs)

  return answer


def _shrink_if_huge(model: keras.Model, x: tf.Tensor) -> None:
  """Halves the kernels of a network until no logit is huge or overflows.

  The data decide the scale of the first weights, as in Mishkin & Matas 2016 (arXiv:1511.06422).

  Args:
    model: the network.
    x: network inputs. [B, T, F]
  """
  for _ in range(_MOST_HALVINGS):
    if tf.reduce_all(tf.abs(model(x, training=False)) < HUGE_LOGIT):
      return
    _scale_kernels(model, 0.5)


def _scale_kernels(model: keras.Model, factor: tf.Tensor | float) -> None:
  for weight in model.trainable_variables:
    if weight.shape.rank == 2:
      weight.assign(weight * factor)


def _check_settings(batch_size: int, learning_rate: float, warmup: float) -> None:
  if batch_size < 1:
    raise ValueError(f'batch_size={batch_size}: must be at least 1')
  if not (learning_rate > 0 and math.isfinite(learning_rate)):
    raise ValueError(f'learning_rate={learning_rate}: must be positive')
  if not 0 <= warmup < 1:
    raise ValueError(f'warmup={warmup}: must lie in [0, 1)')


def _epoch_function(
  model: keras.Model,
  dataset: Dataset,
  adam: Adam,
  augmentation: Changes,
  loss: Loss,
) -> tf.types.experimental.PolymorphicFunction:
  """Returns a function that trains some steps; returns the sum of the losses and their number.

  In networks that read sequences, a batch with huge logits or a gradient that overflows has no
  gradient and shrinks the kernels, since all later batches would overflow too; if all batches of an
  epoch do, the mean is not a number.

  Its arguments are x [N, ...], y [N], order [steps, B] and changes [steps, B, width].
  """

  @tf.function(autograph=False)
  def run_epoch(
    x: tf.Tensor, y: tf.Tensor, order: tf.Tensor, changes: tf.Tensor
  ) -> tuple[tf.Tensor, tf.Tensor]:
    def body(
      step: tf.Tensor, total: tf.Tensor, counted: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
      batch = tf.gather(x, order[step])
      if dataset.scaling.is_per_feature:  # before a shift moves values to other features
        batch = augmentation.apply(_scaled(batch, dataset.scaling), changes[step])
      else:
        batch = _scaled(augmentation.apply(batch, changes[step]), dataset.scaling)
      with tf.GradientTape() as tape:
        logits = model(batch, training=True)
        mean = tf.reduce_mean(loss(batch, tf.gather(y, order[step]), logits))
      gradients, counts = tape.gradient(mean, model.trainable_variables), 1.0
      if len(dataset.input_shape) == 2:  # a sequence
        gradients, norm = tf.clip_by_global_norm(gradients, MAX_GRADIENT_NORM)
        useful = tf.math.is_finite(norm) & tf.reduce_all(tf.abs(logits) < HUGE_LOGIT)
        gradients = [tf.where(useful, gradient, 0.0) for gradient in gradients]
        mean, counts = tf.where(useful, mean, 0.0), tf.cast(useful, tf.float32)
        _scale_kernels(model, tf.where(useful, 1.0, _SHRINK))
      adam.apply(gradients)
      return step + 1, total + mean, counted + counts

    steps = tf.shape(order)[0]
    _, total, counted = tf.while_loop(lambda step, *_: step < steps, body, (0, 0.0, 0.0))
    return total, counted

  return run_epoch


def _scaled(x: tf.Tensor, scaling: Scaling) -> tf.Tensor:
  if x.dtype == tf.float64:  # digits may be lost only after the offset is subtracted
    seen = tf.cast((x - scaling.offset) / scaling.scale, tf.float32)
  else:
    seen = (tf.cast(x, tf.float32) - scaling.offset) * (1 / scaling.scale)
  return seen if scaling.limit is None else tf.clip_by_value(seen, -scaling.limit, scaling.limit)
