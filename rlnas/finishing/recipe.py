"""From an architecture to a fully trained int8 model: the path of finalists.

Training may go on in two ways, on equal terms: as before, and aware of quantization
(`rlnas.child.qat`). Which is the better one, if any, differs from network to network, so that the
int8 accuracy on validation data decides.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import numpy.typing as npt
from absl import logging

from rlnas.architecture import Architecture
from rlnas.backend import keras
from rlnas.child.augment import NO_AUGMENTATION, Augmentation
from rlnas.child.builder import build
from rlnas.child.inherit import inherit_weights
from rlnas.child.train import (
  BATCH_SIZE,
  LEARNING_RATE,
  Loss,
  OnEpoch,
  accuracy_function,
  cross_entropy,
  train,
)
from rlnas.data.dataset import Dataset
from rlnas.tflite.compact import compact
from rlnas.tflite.inference import int8_accuracy
from rlnas.tflite.quantize import calibrate, calibration_rows, quantize, to_int8

CALIBRATION_EXAMPLES = 100
# Of the epochs that a trained network is trained further: it has to refine, not to begin anew.
FURTHER_LEARNING_RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a finalist is trained.

  Attributes:
    epochs: at most so many, from scratch.
    learning_rate: the highest.
    warmup: share of the steps in which the learning rate rises to it; then it falls to 0 as half a
      cosine over what is left.
    batch_size: examples a step.
    augmentation: random changes of the training examples.
    patience: the training ends after so many epochs without a better validation accuracy, and the
      weights of the best epoch are kept, the last of equals; where None, those of the last epoch.
    further_epochs: epochs of a further training at `FURTHER_LEARNING_RATE`, once as before and once
      aware of quantization; of the three networks the best int8 model is kept.

  Raises:
    ValueError: a figure is out of its range.
  """

  epochs: int
  learning_rate: float = LEARNING_RATE
  warmup: float = 0.0
  batch_size: int = BATCH_SIZE
  augmentation: Augmentation = NO_AUGMENTATION
  patience: int | None = None
  further_epochs: int | None = None

  def __post_init__(self) -> None:
    for name in ('epochs', 'batch_size', 'patience', 'further_epochs'):
      value = getattr(self, name)
      if value is not None and value < 1:
        raise ValueError(f'{name}={value}: must be at least 1')


@dataclasses.dataclass(frozen=True, eq=False)
class Finished:
  """A trained network and its int8 form.

  Attributes:
    network: in floating point.
    model: the .tflite file made of it.
    validation_accuracy: of `network`, in [0, 1].
    int8_validation_accuracy: of `model`.
    way: how the network was trained: 'trained', 'further' or 'aware'.
    compared: the int8 validation accuracy of each way, where there were several.
  """

  network: keras.Model
  model: bytes
  validation_accuracy: float
  int8_validation_accuracy: float
  way: str = 'trained'
  compared: tuple[tuple[str, float], ...] = ()


def finish(
  architecture: Architecture,
  dataset: Dataset,
  *,
  recipe: Recipe,
  seed: int,
  loss: Loss = cross_entropy,
  start: pathlib.Path | None = None,
  on_epoch: OnEpoch | None = None,
) -> Finished:
  """Builds and trains a network and quantizes it. Equal arguments give equal bytes everywhere.

  Args:
    architecture: the network.
    dataset: its training and validation data are read.
    recipe: how it is trained.
    seed: decides initial weights, the order of the examples and their changes.
    loss: what is made small.
    start: file of weights (`rlnas.child.inherit`) that it begins with, in place of random ones.
    on_epoch: called after each epoch with its number and mean loss; ends the training where it
      returns True.

  Raises:
    ValueError: an argument is out of its range, or the network does not fit the data.
    FloatingPointError: the training diverged.
  """
  network = build(architecture, dataset.task, seed=seed)
  if start is not None:
    inherit_weights(network, start)
  train_by(recipe, network, dataset, seed=seed, loss=loss, on_epoch=on_epoch)
  ways = [quantized(network, dataset)]
  if recipe.further_epochs is not None:
    further = dataclasses.replace(
      recipe, epochs=recipe.further_epochs, learning_rate=FURTHER_LEARNING_RATE
    )
    for train_further in (trained_further, trained_aware):
      try:
        ways.append(train_further(network, dataset, recipe=further, seed=seed, loss=loss))
      except FloatingPointError as error:
        logging.warning('a further training is left out: %s', error)
  best = max(ways, key=lambda found: found.int8_validation_accuracy)  # of equals the first
  compared = tuple((found.way, found.int8_validation_accuracy) for found in ways)
  return dataclasses.replace(best, compared=compared if len(ways) > 1 else ())


def train_by(
  recipe: Recipe,
  network: keras.Model,
  dataset: Dataset,
  *,
  seed: int,
  loss: Loss = cross_entropy,
  on_epoch: OnEpoch | None = None,
) -> None:
  """Trains a network in place. See `finish`."""
  best = None if recipe.patience is None else _Best(network, dataset, recipe.patience)

  def after(epoch: int, mean: float) -> bool:
    ends = on_epoch is not None and on_epoch(epoch, mean)
    return bool((best is not None and best.hear()) or ends)

  train(
    network,
    dataset,
    epochs=recipe.epochs,
    seed=seed,
    batch_size=recipe.batch_size,
    learning_rate=recipe.learning_rate,
    warmup=recipe.warmup,
    augmentation=recipe.augmentation,
    loss=loss,
    on_epoch=after,
  )
  if best is not None:
    best.restore()


def quantized(network: keras.Model, dataset: Dataset) -> Finished:
  """Quantizes a trained network and reads both accuracies on the validation data."""
  return _judged(network, quantize(network, calibration_of(dataset)), dataset)


def _judged(network: keras.Model, model: bytes, dataset: Dataset) -> Finished:
  x, y, scaling = dataset.x_val, dataset.y_val, dataset.scaling
  return Finished(
    network=network,
    model=model,
    validation_accuracy=accuracy_function(network, x, y, scaling=scaling)(),
    int8_validation_accuracy=int8_accuracy(model, x, y, scaling=scaling),
  )


def trained_further(
  network: keras.Model,
  dataset: Dataset,
  *,
  recipe: Recipe,
  seed: int,
  loss: Loss = cross_entropy,
) -> Finished:
  """Trains a copy of a trained network as before: what `trained_aware` has to be better than.

  Args:
    network: trained; it is not changed.
    dataset: its training and validation data are read.
    recipe: of the further training.
    seed: decides the order of the examples and their changes.
    loss: what is made small.

  Raises:
    FloatingPointError: the training diverged.
  """
  copy = _copied(network)
  train_by(recipe, copy, dataset, seed=seed, loss=loss)
  return dataclasses.replace(quantized(copy, dataset), way='further')


def trained_aware(
  network: keras.Model,
  dataset: Dataset,
  *,
  recipe: Recipe,
  seed: int,
  loss: Loss = cross_entropy,
) -> Finished:
  """As `trained_further`, with the rounding of the int8 model (`rlnas.child.qat`)."""
  from rlnas.child import qat  # tensorflow-model-optimization takes a second to load

  rows = calibration_of(dataset)
  ranges = qat.read_ranges(calibrate(network, rows), network)
  twin = qat.aware_twin(network, ranges)
  train_by(recipe, twin, dataset, seed=seed, loss=loss)
  copy = _copied(network)
  qat.adopt(copy, twin)
  model = compact(to_int8(qat.with_ranges(calibrate(copy, rows), copy, ranges)))
  return dataclasses.replace(_judged(copy, model, dataset), way='aware')


def _copied(network: keras.Model) -> keras.Model:
  copy = keras.models.clone_model(network)
  copy.set_weights(network.get_weights())
  return copy


def calibration_of(dataset: Dataset) -> npt.NDArray[np.float32]:
  """The network inputs [N, ...] that the ranges of activations are taken from."""
  return calibration_rows(dataset.x_train, scaling=dataset.scaling, count=CALIBRATION_EXAMPLES)


class _Best:
  """The weights of the epoch that validated best, the last of equals."""

  def __init__(self, network: keras.Model, dataset: Dataset, patience: int) -> None:
    self._network = network
    self._validate = accuracy_function(
      network, dataset.x_val, dataset.y_val, scaling=dataset.scaling
    )
    self._patience = patience
    self._accuracy = -1.0
    self._weights: list[npt.NDArray[np.float32]] = []
    self._epochs_since = 0

  def hear(self) -> bool:
    """An epoch has ended; whether the training should, too."""
    accuracy = self._validate()
    self._epochs_since = 0 if accuracy > self._accuracy else self._epochs_since + 1
    if accuracy >= self._accuracy:
      self._accuracy, self._weights = accuracy, self._network.get_weights()
    return self._epochs_since >= self._patience

  def restore(self) -> None:
    """Gives the network the best weights."""
    self._network.set_weights(self._weights)
