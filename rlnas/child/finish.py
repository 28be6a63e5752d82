"""From an architecture to a fully trained int8 model: the path of finalists."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture
from rlnas.backend import keras
from rlnas.child.augment import NO_AUGMENTATION, Augmentation
from rlnas.child.builder import build
from rlnas.child.logits import int8_accuracy
from rlnas.child.quantize import calibration_rows, quantize
from rlnas.child.train import (
  BATCH_SIZE,
  LEARNING_RATE,
  Loss,
  OnEpoch,
  accuracy_function,
  cross_entropy,
  train,
)
from rlnas.datasets import Dataset

CALIBRATION_EXAMPLES = 100


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

  Raises:
    ValueError: a figure is out of its range.
  """

  epochs: int
  learning_rate: float = LEARNING_RATE
  warmup: float = 0.0
  batch_size: int = BATCH_SIZE
  augmentation: Augmentation = NO_AUGMENTATION
  patience: int | None = None

  def __post_init__(self) -> None:
    for name in ('epochs', 'batch_size', 'patience'):
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
  """

  network: keras.Model
  model: bytes
  validation_accuracy: float
  int8_validation_accuracy: float


def finish(
  architecture: Architecture,
  dataset: Dataset,
  *,
  recipe: Recipe,
  seed: int,
  loss: Loss = cross_entropy,
  on_epoch: OnEpoch | None = None,
) -> Finished:
  """Builds and trains a network and quantizes it. Equal arguments give equal bytes everywhere.

  Args:
    architecture: the network.
    dataset: its training and validation data are read.
    recipe: how it is trained.
    seed: decides initial weights, the order of the examples and their changes.
    loss: what is made small.
    on_epoch: called after each epoch with its number and mean loss; ends the training where it
      returns True.

  Raises:
    ValueError: an argument is out of its range, or the network does not fit the data.
    FloatingPointError: the training diverged.
  """
  network = build(architecture, dataset.input_shape, dataset.classes, seed=seed)
  train_by(recipe, network, dataset, seed=seed, loss=loss, on_epoch=on_epoch)
  return quantized(network, dataset)


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
  offset, scale = dataset.offset, dataset.scale
  x, y = dataset.x_val, dataset.y_val
  model = quantize(network, calibration_of(dataset))
  return Finished(
    network=network,
    model=model,
    validation_accuracy=accuracy_function(network, x, y, offset=offset, scale=scale)(),
    int8_validation_accuracy=int8_accuracy(model, x, y, offset=offset, scale=scale),
  )


def calibration_of(dataset: Dataset) -> npt.NDArray[np.float32]:
  """The network inputs [N, ...] that the ranges of activations are taken from."""
  return calibration_rows(
    dataset.x_train, offset=dataset.offset, scale=dataset.scale, count=CALIBRATION_EXAMPLES
  )


class _Best:
  """The weights of the epoch that validated best, the last of equals."""

  def __init__(self, network: keras.Model, dataset: Dataset, patience: int) -> None:
    self._network = network
    self._validate = accuracy_function(
      network, dataset.x_val, dataset.y_val, offset=dataset.offset, scale=dataset.scale
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
