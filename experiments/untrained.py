"""Random networks of every space, converted as if they had been trained: for checks of size."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from choices import SEQUENCE_SPACES, SPACES

from rlnas.architecture import Architecture
from rlnas.backend import keras
from rlnas.child.builder import build
from rlnas.child.quantize import quantize
from rlnas.decision import Space, decode
from rlnas.spaces import MultiBranch
from rlnas.table import compile_table, sample_uniform

CALIBRATION_EXAMPLES = 10


def cases() -> Mapping[str, tuple[Space, bool]]:
  """Spaces by name, and whether they read sequences; those with two kinds of networks twice."""
  named = {name: (space(), name in SEQUENCE_SPACES) for name, space in SPACES.items()}
  return named | {'multibranch, pad': (MultiBranch(align='pad'), False)}


@functools.lru_cache
def draw(case: str, count: int, seed: int) -> tuple[Architecture, ...]:
  """Networks drawn uniformly from the sequences of choices of a space."""
  space, _ = cases()[case]
  table, rng = compile_table(space), np.random.default_rng(seed)
  return tuple(decode(space, sample_uniform(table, rng)) for _ in range(count))


def examples(shape: tuple[int, ...], count: int, seed: int) -> npt.NDArray[np.float32]:
  """Noise in [0, 1], brighter and darker from one example to the next: [count, *shape]."""
  rng = np.random.default_rng(seed)
  brightness = rng.random((count, *(1 for _ in shape)))
  return (brightness * rng.random((count, *shape))).astype(np.float32)


def build_trained_looking(
  architecture: Architecture, shape: tuple[int, ...], classes: int, *, seed: int
) -> keras.Model:
  """Builds a network with random biases and statistics of batch normalisation.

  With the zero biases of an untrained network the converter shares buffers and saves flash, and
  many outputs would not depend on the input.
  """
  model = build(architecture, shape, classes, seed=seed)
  rng = np.random.default_rng(seed)
  for weight in model.weights:
    kind = weight.name.split('/')[-1].split(':')[0]
    if kind in ('gamma', 'moving_variance'):
      weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    elif kind in ('beta', 'moving_mean', 'bias'):
      weight.assign(rng.normal(0, 0.3, weight.shape))
  return model


def convert(model: keras.Model, *, seed: int) -> bytes:
  """Quantizes a network. Raises ValueError where it is not wholly int8 then."""
  return quantize(model, examples(model.input_shape[1:], CALIBRATION_EXAMPLES, seed))
