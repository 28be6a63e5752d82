"""From an architecture to a trained int8 model: one path for children and for the winner."""

from __future__ import annotations

from collections.abc import Callable

from rlnas.architecture import Architecture
from rlnas.child.builder import build
from rlnas.child.quantize import calibration_rows, quantize
from rlnas.child.train import BATCH_SIZE, LEARNING_RATE, accuracy, train
from rlnas.datasets import Dataset


def train_and_quantize(
  architecture: Architecture,
  dataset: Dataset,
  *,
  epochs: int,
  seed: int,
  batch_size: int = BATCH_SIZE,
  learning_rate: float = LEARNING_RATE,
  shift_pixels: int = 0,
  calibration_examples: int = 100,
  on_epoch: Callable[[int, float], None] | None = None,
) -> tuple[bytes, float]:
  """Builds and trains a network, checks it on the validation data and quantizes it.

  Equal arguments give equal bytes in every process.

  Args:
    architecture: the network.
    dataset: its training and validation data are read.
    epochs: see `train`, as for the following.
    seed: decides initial weights, the order of the examples and their shifts.
    batch_size: examples a step.
    learning_rate: of the first step.
    shift_pixels: greatest random shift of a training image.
    calibration_examples: how many training examples the activations' ranges are taken from.
    on_epoch: called after each epoch with its number and mean loss.

  Returns:
    The .tflite file, and the validation accuracy of the float network that it was made from.

  Raises:
    ValueError: an argument is out of its range.
    FloatingPointError: the training diverged.
  """
  model = build(architecture, dataset.input_shape, dataset.classes, seed=seed)
  train(
    model,
    dataset,
    epochs=epochs,
    seed=seed,
    batch_size=batch_size,
    learning_rate=learning_rate,
    shift_pixels=shift_pixels,
    on_epoch=on_epoch,
  )
  offset, scale = dataset.offset, dataset.scale
  validation_accuracy = accuracy(model, dataset.x_val, dataset.y_val, offset=offset, scale=scale)
  calibration = calibration_rows(
    dataset.x_train, offset=offset, scale=scale, count=calibration_examples
  )
  return quantize(model, calibration), validation_accuracy
