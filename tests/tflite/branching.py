"""A network that branches, for tests of what it needs and of what it says."""

import numpy as np

from rlnas.backend import keras
from rlnas.data.scaling import PIXELS
from rlnas.tflite.quantize import calibration_rows, quantize

SHAPE = (16, 16, 1)


def branching_model(filters: int = 8, shape=SHAPE) -> keras.Model:
  """Two branches that are added and concatenated, with pooling, for all operators at once."""
  layers = keras.layers
  starts = iter(keras.initializers.HeNormal(i) for i in range(9))
  inputs = layers.Input(shape, name='input')
  a = layers.Conv2D(filters, 3, 2, 'same', kernel_initializer=next(starts), name='a')(inputs)
  a = layers.ReLU(name='a_relu')(a)
  b = layers.DepthwiseConv2D(3, 1, 'same', depthwise_initializer=next(starts), name='b')(a)
  c = layers.Add(name='add')([a, b])
  c = layers.Concatenate(name='concat')([c, layers.MaxPooling2D(3, 1, 'same', name='max')(a)])
  c = layers.AveragePooling2D(3, 2, 'same', name='mean')(c)
  c = layers.Conv2D(12, 1, kernel_initializer=next(starts), name='c')(c)
  c = layers.GlobalAveragePooling2D(name='pool')(c)
  c = layers.Dense(5, kernel_initializer=next(starts), name='dense')(c)
  return keras.Model(inputs, c, name='branching')


def random_images() -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (230, *SHAPE), dtype=np.uint8)


def converted() -> bytes:
  return quantize(branching_model(), calibration_rows(random_images(), scaling=PIXELS, count=20))
