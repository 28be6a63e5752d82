"""Trains the weights that the networks of a space share (`rlnas.child.supernet`).

Every step trains the path of one network with one batch, as in Guo et al. 2020 (arXiv:1904.00420,
section 3.2), who draw the network uniformly. No controller takes part, so one supernet serves every
strategy.

From step to step a layer follows different layers, so the training works only because much is
shared and kernels start near the identity. After 800 chains on small digits the loss was 1.5. With
separate weights for each window size it was 2.0; with a separate classifier for each depth, too,
2.2; and without the identity 2.3, which is chance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from rlnas.architecture import Architecture, Shape
from rlnas.backend import tf
from rlnas.child.adam import adam_step
from rlnas.child.shared_layers import Layer, Slice, layers_of
from rlnas.child.supernet import Float32Array, Path, Supernet, initial, within
from rlnas.child.train import Loss, loss_for
from rlnas.cost.limits import within_limits
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric, metric_for
from rlnas.trial import derive_seed

# Called with the number of finished steps and the loss of the last one.
OnStep = Callable[[int, float], object]


def train_supernet(
  architectures: Sequence[Architecture],
  dataset: Dataset,
  *,
  seed: int,
  batch_size: int = 64,
  learning_rate: float = 1e-2,
  metric: Metric | None = None,
  on_step: OnStep | None = None,
) -> Supernet:
  """Trains shared weights; each step trains those of one network.

  Args:
    architectures: the network of each step, in order; draw them from the space.
    dataset: its training data and its scaling are used.
    seed: determines the initial weights and the order of the examples.
    batch_size: examples per step.
    learning_rate: learning rate of the first step; it falls to 0 as half a cosine.
    metric: the metric that compares the networks; it decides the loss
      (`rlnas.child.train.loss_for`). By default accuracy, R² of a regression, AUC of an anomaly
      detection.
    on_step: called after each step.

  Raises:
    ValueError: an argument is out of its range, or `layers_of` rejects a network.
    FloatingPointError: the loss is no longer finite.
  """
  if not architectures:
    raise ValueError('architectures: must hold at least one, the network of each step')
  if batch_size < 1:
    raise ValueError(f'batch_size={batch_size}: must be at least 1')
  if not (learning_rate > 0 and math.isfinite(learning_rate)):
    raise ValueError(f'learning_rate={learning_rate}: must be positive')
  limited = [within_limits(a) for a in architectures]
  paths = [layers_of(a, dataset.task) for a in limited]
  metric = metric_for(dataset, metric)
  bank = _Bank(paths, seed, loss_for(metric, dataset))
  rng = np.random.default_rng(derive_seed(seed, 'order'))
  order = np.zeros(0, np.int64)
  batch_size = min(batch_size, len(dataset.x_train))
  for step, (architecture, layers) in enumerate(zip(limited, paths, strict=True)):
    if len(order) < batch_size:
      order = rng.permutation(len(dataset.x_train))
    chosen, order = order[:batch_size], order[batch_size:]
    x = dataset.scaling.inputs(dataset.x_train[chosen])
    rate = learning_rate * (1 + math.cos(math.pi * step / len(paths))) / 2
    y = tf.constant(dataset.head.wanted(dataset.y_train[chosen]))
    loss = bank.descend(Path(architecture, layers), tf.constant(x), y, rate)
    if not math.isfinite(loss):
      raise FloatingPointError(f'training diverged: loss {loss} in step {step + 1} of {len(paths)}')
    if on_step is not None:
      on_step(step + 1, loss)
  return Supernet(bank.arrays(), dataset.task, seed)


class _Bank:
  """The shared weights as variables, with Adam (Kingma & Ba 2015, algorithm 1) for each.

  Each variable counts only the steps that use it; other steps do not change it.
  """

  def __init__(self, paths: Sequence[Sequence[Layer]], seed: int, loss: Loss) -> None:
    self._loss = loss
    largest: dict[str, Shape] = {}
    for name, shape in {s for layers in paths for layer in layers for s in layer.slices}:
      sides = zip(largest.get(name, shape), shape, strict=True)
      largest[name] = tuple(max(pair) for pair in sides)
    self._variables = {
      name: tf.Variable(initial(Slice(name, shape), seed))
      for name, shape in sorted(largest.items())
    }
    self._slots = {
      name: (tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v)))
      for name, v in self._variables.items()
    }
    self._steps: Counter[str] = Counter()

  def arrays(self) -> dict[str, Float32Array]:
    return {name: variable.numpy() for name, variable in self._variables.items()}

  def descend(self, path: Path, x: tf.Tensor, y: tf.Tensor, rate: float) -> float:
    """Trains the weights of a path by one step; returns the mean loss in nats."""
    reached: list[str] = []

    def take(wanted: Slice) -> tf.Tensor:
      reached.append(wanted.name)
      whole = self._variables[wanted.name]
      places = within(whole.shape, wanted.shape)
      return tf.slice(whole, [place.start for place in places], wanted.shape)

    with tf.GradientTape() as tape:
      logits = path.run(x, take).logits
      loss = tf.reduce_mean(self._loss(x, y, logits))
    gradients = tape.gradient(loss, [self._variables[name] for name in reached])
    for name, gradient in zip(reached, gradients, strict=True):
      self._steps[name] += 1
      update = (self._variables[name], *self._slots[name], gradient)
      adam_step([update], learning_rate=rate, step=self._steps[name])
    return float(loss)
