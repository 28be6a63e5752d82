"""Turns an architecture into a fully trained int8 model, as for finalists.

A trained network may be trained further in two ways with equal settings: as before, and aware of
quantization (`rlnas.child.qat`). Which way is better, if any, differs from network to network, so
the int8 accuracy on validation data decides.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import time

import numpy as np
import numpy.typing as npt
from absl import logging

from rlnas.architecture import Architecture
from rlnas.backend import keras
from rlnas.child.augment import NO_AUGMENTATION, Changes
from rlnas.child.builder import build
from rlnas.child.inherit import inherit_weights
from rlnas.child.train import (
  BATCH_SIZE,
  LEARNING_RATE,
  Loss,
  OnEpoch,
  loss_for,
  quality_function,
  train,
)
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric
from rlnas.progress import Step, changed_by, is_heard, part_of
from rlnas.tflite.compact import compact
from rlnas.tflite.inference import int8_quality
from rlnas.tflite.quantize import calibrate, calibration_rows, quantize, to_int8

CALIBRATION_EXAMPLES = 100
# For the further epochs of a trained network: they refine its weights, so the rate is low.
FURTHER_LEARNING_RATE = 1e-3
_SHOWN_SHARE = 0.05  # of the time, for an accuracy that is only shown


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a finalist is trained.

  Attributes:
    epochs: largest number of epochs, from scratch.
    learning_rate: highest learning rate.
    warmup: share of the steps in which the learning rate rises to the highest; in the other steps
      it falls to 0 as half a cosine.
    batch_size: examples per step.
    augmentation: random changes of the training examples.
    patience: the training ends after so many epochs without a better validation accuracy and keeps
      the weights of the best epoch (the last of several). If None, it keeps those of the last
      epoch.
    further_epochs: epochs of a further training at `FURTHER_LEARNING_RATE`, once as before and once
      aware of quantization; the best int8 model of the three networks is kept. None trains no
      further.
    metric: the metric that decides between epochs and between models; this module calls it
      accuracy. It also decides how the loss weights the classes (`rlnas.child.train.loss_for`).

  Raises:
    ValueError: a figure is out of its range.
  """

  epochs: int
  learning_rate: float = LEARNING_RATE
  warmup: float = 0.0
  batch_size: int = BATCH_SIZE
  augmentation: Changes = NO_AUGMENTATION
  patience: int | None = None
  further_epochs: int | None = None
  metric: Metric = Metric.ACCURACY

  def __post_init__(self) -> None:
    for name in ('epochs', 'batch_size', 'patience', 'further_epochs'):
      value = getattr(self, name)
      if value is not None and value < 1:
        raise ValueError(f'{name}={value}: must be at least 1')
    if not 0 < self.learning_rate < math.inf:
      raise ValueError(f'learning_rate={self.learning_rate}: must be positive')
    if not 0 <= self.warmup < 1:
      raise ValueError(f'warmup={self.warmup}: must lie in [0, 1)')
    object.__setattr__(self, 'metric', Metric(self.metric))


@dataclasses.dataclass(frozen=True, eq=False)
class Finished:
  """A trained network and its int8 form.

  Attributes:
    network: in floating point.
    model: the .tflite file made of it.
    validation_accuracy: of `network`, in [0, 1]; the metric of the recipe, like the others.
    int8_validation_accuracy: of `model`.
    way: how the network was trained: 'trained', 'further' or 'aware'.
    compared: the int8 validation accuracy of each way, if there were several.
    curve: validation accuracy after each epoch, if the recipe has a patience; without those of
      further trainings.
  """

  network: keras.Model
  model: bytes
  validation_accuracy: float
  int8_validation_accuracy: float
  way: str = 'trained'
  compared: tuple[tuple[str, float], ...] = ()
  curve: tuple[float, ...] = ()


def finish(
  architecture: Architecture,
  dataset: Dataset,
  *,
  recipe: Recipe,
  seed: int,
  loss: Loss | None = None,
  start: pathlib.Path | None = None,
  on_epoch: OnEpoch | None = None,
) -> Finished:
  """Builds, trains and quantizes a network. Equal arguments give equal bytes on every machine.

  Args:
    architecture: the network.
    dataset: gives the training and validation data.
    recipe: how to train it.
    seed: decides the initial weights, the order of the examples and their augmentation.
    loss: the loss to minimise, that of the task by default; the metric of the recipe may weight
      its classes.
    start: file of the first weights (`rlnas.child.inherit`); None starts from random ones.
    on_epoch: called after each epoch with its number and mean loss; if it returns True, the
      training ends.

  Raises:
    ValueError: an argument is out of its range, or the network does not fit the data.
    FloatingPointError: the training diverged.
  """
  network = build(architecture, dataset.task, seed=seed)
  if start is not None:
    inherit_weights(network, start)
  epochs = recipe.epochs + 2 * (recipe.further_epochs or 0)
  with part_of(epochs, after=0):
    curve = train_by(recipe, network, dataset, seed=seed, loss=loss, on_epoch=on_epoch)
  ways = [quantized(network, dataset, recipe.metric)]
  if recipe.further_epochs is not None:
    further = dataclasses.replace(
      recipe, epochs=recipe.further_epochs, learning_rate=FURTHER_LEARNING_RATE
    )
    for number, train_further in enumerate((trained_further, trained_aware)):
      try:
        with part_of(epochs, after=recipe.epochs + number * further.epochs):
          ways.append(train_further(network, dataset, recipe=further, seed=seed, loss=loss))
      except FloatingPointError as error:
        logging.warning('a further training failed and is skipped: %s', error)
  best = max(ways, key=lambda found: found.int8_validation_accuracy)  # of equals the first
  compared = tuple((found.way, found.int8_validation_accuracy) for found in ways)
  return dataclasses.replace(best, compared=compared if len(ways) > 1 else (), curve=curve)


def train_by(
  recipe: Recipe,
  network: keras.Model,
  dataset: Dataset,
  *,
  seed: int,
  loss: Loss | None = None,
  on_epoch: OnEpoch | None = None,
) -> tuple[float, ...]:
  """Trains a network in place; returns its `curve`. See `finish` and `Finished`."""
  best = (
    None if recipe.patience is None else _Best(network, dataset, recipe.patience, recipe.metric)
  )

  shown = _Shown(network, dataset, recipe.metric) if is_heard() and best is None else None

  def after(epoch: int, mean: float) -> bool:
    ends = on_epoch is not None and on_epoch(epoch, mean)
    if shown is not None:
      shown.after_epoch()
    return bool((best is not None and best.hear()) or ends)

  def with_accuracy(step: Step) -> Step:
    source = best or shown
    return step if source is None else dataclasses.replace(step, accuracy=source.accuracy)

  with changed_by(with_accuracy):
    train(
      network,
      dataset,
      epochs=recipe.epochs,
      seed=seed,
      batch_size=recipe.batch_size,
      learning_rate=recipe.learning_rate,
      warmup=recipe.warmup,
      augmentation=recipe.augmentation,
      loss=loss_for(recipe.metric, dataset, loss=loss),
      on_epoch=after,
    )
  if best is None:
    return ()
  best.restore()
  return tuple(best.curve)


def quantized(network: keras.Model, dataset: Dataset, metric: Metric = Metric.ACCURACY) -> Finished:
  """Quantizes a trained network and measures the metric of both on the validation data."""
  return _judged(network, quantize(network, calibration_of(dataset)), dataset, metric)


def _judged(network: keras.Model, model: bytes, dataset: Dataset, metric: Metric) -> Finished:
  return Finished(
    network=network,
    model=model,
    validation_accuracy=quality_function(network, dataset, metric)(),
    int8_validation_accuracy=int8_quality(model, dataset, metric),
  )


def trained_further(
  network: keras.Model,
  dataset: Dataset,
  *,
  recipe: Recipe,
  seed: int,
  loss: Loss | None = None,
) -> Finished:
  """Trains a copy of a trained network further, as before; `trained_aware` is compared with it.

  Args:
    network: a trained network; it is not changed.
    dataset: gives the training and validation data.
    recipe: recipe of the further training.
    seed: decides the order of the examples and their augmentation.
    loss: the loss to minimise; that of the task by default.

  Raises:
    FloatingPointError: the training diverged.
  """
  copy = _copied(network)
  train_by(recipe, copy, dataset, seed=seed, loss=loss)
  return dataclasses.replace(quantized(copy, dataset, recipe.metric), way='further')


def trained_aware(
  network: keras.Model,
  dataset: Dataset,
  *,
  recipe: Recipe,
  seed: int,
  loss: Loss | None = None,
) -> Finished:
  """Like `trained_further`, but with the rounding of the int8 model (`rlnas.child.qat`)."""
  from rlnas.child import qat  # tensorflow-model-optimization takes a second to load

  rows = calibration_of(dataset)
  ranges = qat.read_ranges(calibrate(network, rows), network)
  twin = qat.aware_twin(network, ranges)
  train_by(recipe, twin, dataset, seed=seed, loss=loss)
  copy = _copied(network)
  qat.adopt(copy, twin)
  model = compact(to_int8(qat.with_ranges(calibrate(copy, rows), copy, ranges)))
  return dataclasses.replace(_judged(copy, model, dataset, recipe.metric), way='aware')


def _copied(network: keras.Model) -> keras.Model:
  copy = keras.models.clone_model(network)
  copy.set_weights(network.get_weights())
  return copy


def calibration_of(dataset: Dataset) -> npt.NDArray[np.float32]:
  """The network inputs [N, ...] that give the ranges of the activations."""
  return calibration_rows(dataset.x_train, scaling=dataset.scaling, count=CALIBRATION_EXAMPLES)


class _Shown:
  """The validation accuracy that a progress bar shows, computed only so often that it costs little.

  Attributes:
    accuracy: the metric after one of the last epochs; None at first.
  """

  def __init__(self, network: keras.Model, dataset: Dataset, metric: Metric) -> None:
    self._quality = quality_function(network, dataset, metric)
    self._quality()  # the first call takes longer
    self._next = 0.0  # on the clock
    self.accuracy: float | None = None

  def after_epoch(self) -> None:
    """Computes the accuracy, if that was last done long enough ago."""
    started = time.perf_counter()
    if started >= self._next:
      self.accuracy = self._quality()
      ended = time.perf_counter()
      self._next = ended + (ended - started) / _SHOWN_SHARE


class _Best:
  """The weights of the epoch with the best validation accuracy (the last of several)."""

  def __init__(self, network: keras.Model, dataset: Dataset, patience: int, metric: Metric) -> None:
    self._network = network
    self._quality = quality_function(network, dataset, metric)
    self._patience = patience
    self._best = -1.0
    self.curve: list[float] = []
    self._weights: list[npt.NDArray[np.float32]] = []
    self._epochs_since = 0

  def hear(self) -> bool:
    """Checks the accuracy after an epoch; returns whether the training should end."""
    accuracy = self._quality()
    self.curve.append(accuracy)
    self._epochs_since = 0 if accuracy > self._best else self._epochs_since + 1
    if accuracy >= self._best:
      self._best, self._weights = accuracy, self._network.get_weights()
    return self._epochs_since >= self._patience

  @property
  def accuracy(self) -> float | None:
    """The accuracy after the last epoch."""
    return self.curve[-1] if self.curve else None

  def restore(self) -> None:
    """Gives the network the best weights."""
    self._network.set_weights(self._weights)
