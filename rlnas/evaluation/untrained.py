"""The exact size of a network without training it.

The bytes of a .tflite file and the arena that TFLite Micro allocates for it do not depend on the
values of the weights, with one exception: the converter stores equal constants only once, and the
zero biases of a new network are all equal. So random biases replace them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture, TaskShape
from rlnas.backend import keras
from rlnas.child.builder import build as build_network
from rlnas.cost.builds import HOST, Build
from rlnas.cost.preprocessing import behind_preprocessing
from rlnas.tflite.footprint import Footprint, measure
from rlnas.tflite.quantize import quantize

CALIBRATION_EXAMPLES = 10


def untrained_footprint(
  architecture: Architecture, task: TaskShape, *, build: Build = HOST
) -> Footprint:
  """Converts a network with random weights and measures the size that it will have when trained.

  Args:
    architecture: the network.
    task: its input shape and number of classes.
    build: the build of TFLite Micro that the arena is for.

  Raises:
    ValueError: the shapes of the network do not fit together.
    ArenaOverflow: the arena would be larger than that of any microcontroller.
  """
  network, seen = behind_preprocessing(architecture, task)
  footprint = measure(convert_untrained(network, seen, seed=0), build=build)
  return footprint.with_preprocessing_of(architecture)


def convert_untrained(architecture: Architecture, task: TaskShape, *, seed: int) -> bytes:
  """The .tflite file of a network with random weights and biases, calibrated on noise."""
  model = build_trained_looking(architecture, task, seed=seed)
  return quantize(model, noise(task.input_shape, CALIBRATION_EXAMPLES, seed))


def build_trained_looking(architecture: Architecture, task: TaskShape, *, seed: int) -> keras.Model:
  """Builds a network with random biases and random statistics of batch normalisation."""
  model = build_network(architecture, task, seed=seed)
  rng = np.random.default_rng(seed)
  for weight in model.weights:
    kind = weight.name.split('/')[-1].split(':')[0]
    if kind in ('gamma', 'moving_variance'):
      weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    elif kind in ('beta', 'moving_mean', 'bias'):
      weight.assign(rng.normal(0, 0.3, weight.shape))
  return model


def noise(shape: Sequence[int], count: int, seed: int) -> npt.NDArray[np.float32]:
  """Noise in [0, 1] whose brightness differs from example to example: [count, *shape]."""
  rng = np.random.default_rng(seed)
  brightness = rng.random((count, *(1 for _ in shape)))
  return (brightness * rng.random((count, *shape))).astype(np.float32)
