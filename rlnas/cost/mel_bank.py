"""Triangles that sum the power of frequencies to the features of sound, in integers.

They are evenly spaced on the mel scale (mel = 1127 ln(1 + f/700), O'Shaughnessy 1987).
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

LOWEST_HZ = 60.0  # wind and the microphone's offset lie below
WEIGHT = 1 << 12  # of a frequency in the middle of a triangle


def points_of(frame: int) -> int:
  """Samples of the transform of a frame: the next power of two."""
  return 1 << (frame - 1).bit_length()


@functools.lru_cache(maxsize=256)
def triangles(
  sample_rate: int, points: int, bins: int
) -> tuple[tuple[int, npt.NDArray[np.int64]], ...]:
  """The first frequency of each triangle, as an index of the transform, and its weights.

  Args:
    sample_rate: samples a second.
    points: samples of the transform.
    bins: number of triangles.

  Returns:
    One pair for each triangle; it has no weights if it lies between two frequencies.
  """
  edges = np.linspace(mel(LOWEST_HZ), mel(sample_rate / 2), bins + 2)
  indices = np.arange(1, points // 2)  # neither the offset nor the highest frequency
  mels = np.array([mel(i * sample_rate / points) for i in indices])
  found = []
  for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
    shape = np.minimum((mels - low) / (middle - low), (high - mels) / (high - middle))
    weights = np.rint(WEIGHT * np.clip(shape, 0, 1)).astype(np.int64)
    inside = np.flatnonzero(weights)
    start = int(indices[inside[0]]) if len(inside) else 1
    kept = weights[inside[0] : inside[-1] + 1] if len(inside) else inside
    kept.flags.writeable = False  # all front ends share them
    found.append((start, kept))
  return tuple(found)


def mel(hertz: float) -> float:
  """A frequency on the mel scale."""
  return 1127 * math.log1p(hertz / 700)
