"""Log-mel features of sound in integers alone, so that a microcontroller computes the same bits.

Frames of 16-bit samples are weighted by a Hann window, transformed (radix-2 FFT, as in Cooley &
Tukey 1965), summed by triangles that are evenly spaced on the mel scale (`rlnas.cost.mel_bank`),
and become steps of half a decibel, from 0 to 255. Every operation is an addition, a product, a
comparison or a shift of integers, in a fixed order. No frame depends on an earlier one, so a stream
has the features of its clips.

Fixed point: window and sines have 14 bits behind the point, weights of the triangles 12. Windowed
samples keep 4 guard bits, which are dropped after squaring. By Parseval's theorem no sum leaves 63
bits in transforms of up to `MOST_POINTS`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.cost.mel_bank import points_of, triangles

Array = npt.NDArray[Any]

MOST_POINTS = 2048  # of a transform: a longer one could overflow

_ONE = 1 << 14  # of window and sines
_GUARD = 10  # a windowed sample is shifted right by so many bits: 14 less 4 that guard it
_AFTER_SQUARE = 10  # twice the guard bits, and 2, as the transform comes out doubled
FLOOR_BITS = 20  # log2 of the energy at which features begin: 12 of the weights, and 8
STEPS = 6  # of a feature an octave of power: 0.5017 dB each


@dataclasses.dataclass(frozen=True)
class LogMel:
  """A front end.

  Attributes:
    sample_rate: samples per second.
    frame: samples of a frame.
    hop: samples from the beginning of a frame to that of the next.
    bins: number of triangles, so of features of a frame.

  Raises:
    ValueError: a setting is out of its range, or a triangle is too narrow for the frame.
  """

  sample_rate: int
  frame: int
  hop: int
  bins: int

  def __post_init__(self) -> None:
    if not 16 <= self.frame <= MOST_POINTS:
      raise ValueError(
        f'frame_ms: makes frames of {self.frame} samples; must be 16 to {MOST_POINTS}'
      )
    empty = [i for i, (_, weights) in enumerate(self.triangles) if not len(weights)]
    if empty:
      raise ValueError(
        f'mel_bins={self.bins}: number {empty[0]} holds no frequency of a transform of '
        f'{self.points} samples; must be fewer, or frame_ms longer'
      )

  @property
  def points(self) -> int:
    """Samples of a transform: the next power of two."""
    return points_of(self.frame)

  @functools.cached_property
  def window(self) -> npt.NDArray[np.int64]:
    """Hann's window, times 2^14. [frame]."""
    turn = 2 * np.pi * np.arange(self.frame) / self.frame
    return np.rint(_ONE * (0.5 - 0.5 * np.cos(turn))).astype(np.int64)

  @functools.cached_property
  def sines(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Cosine and sine of k / points turns, times 2^14. [points / 2] each."""
    turn = 2 * np.pi * np.arange(self.points // 2) / self.points
    cosine, sine = (np.rint(_ONE * one(turn)).astype(np.int64) for one in (np.cos, np.sin))
    return cosine, sine

  @property
  def triangles(self) -> tuple[tuple[int, npt.NDArray[np.int64]], ...]:
    """The first frequency of each triangle, as an index of the transform, and its weights."""
    return triangles(self.sample_rate, self.points, self.bins)

  @functools.cached_property
  def mantissas(self) -> tuple[int, ...]:
    """2^(31 + i/6) for i of 1 to 5, rounded up: where a feature's steps lie in an octave."""
    return tuple(math.ceil(2 ** (31 + i / STEPS)) for i in range(1, STEPS))

  @functools.cached_property
  def _thresholds(self) -> npt.NDArray[np.int64]:
    """The smallest energy of each feature of 1 to 255."""
    found = []
    for feature in range(1, 256):
      octave, step = divmod(feature, STEPS)
      mantissa = self.mantissas[step - 1] if step else 1 << 31
      shift = FLOOR_BITS + octave - 31
      found.append(mantissa << shift if shift >= 0 else -(-mantissa >> -shift))
    return np.array([min(value, 2**63 - 1) for value in found], np.int64)

  def frames_of(self, samples: int) -> int:
    """How many whole frames so many samples have."""
    return max(0, 1 + (samples - self.frame) // self.hop)

  def features(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """The features of a clip.

    Args:
      samples: int16 [S], at least a frame.

    Returns:
      Half decibels above a floor. uint8 [frames, bins]
    """
    starts = self.hop * np.arange(self.frames_of(len(samples)))
    frames = samples[starts + np.arange(self.frame)[:, np.newaxis]].astype(np.int64)  # [frame, B]
    windowed = np.zeros((self.points, len(starts)), np.int64)
    windowed[: self.frame] = (frames * self.window[:, np.newaxis] + (1 << _GUARD - 1)) >> _GUARD
    power = self._power(windowed)  # [points / 2, B]
    energy = np.stack(
      [
        (weights[:, np.newaxis] * power[start : start + len(weights)]).sum(0)
        for start, weights in self.triangles
      ],
      axis=1,
    )  # [B, bins]
    return np.searchsorted(self._thresholds, energy, 'right').astype(np.uint8)

  def _power(self, x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Squared magnitudes of the transform of real columns. [points, B] -> [points / 2, B].

    Two samples go as one complex number through a transform of half the length.
    """
    half, (cosine, sine) = self.points // 2, self.sines
    order = _reversed_bits(half)
    real, imaginary = x[0::2][order], x[1::2][order]
    size = 2
    while size <= half:
      turns = slice(0, self.points // 2, self.points // size)
      real, imaginary = _butterflies(real, imaginary, cosine[turns], sine[turns], size)
      size *= 2
    mirror = -np.arange(half) % half
    sum_r, sum_i = real + real[mirror], imaginary - imaginary[mirror]
    odd_r, odd_i = imaginary + imaginary[mirror], real[mirror] - real
    turned_r, turned_i = _turned(odd_r, odd_i, cosine[:, np.newaxis], sine[:, np.newaxis])
    return ((sum_r + turned_r) ** 2 + (sum_i + turned_i) ** 2) >> _AFTER_SQUARE


def _butterflies(
  real: Array, imaginary: Array, cosine: Array, sine: Array, size: int
) -> tuple[Array, Array]:
  """One stage of the transform: joins transforms of size / 2 into those of `size`."""
  r, i = (x.reshape(-1, 2, size // 2, x.shape[-1]) for x in (real, imaginary))
  turned_r, turned_i = _turned(r[:, 1], i[:, 1], cosine[:, np.newaxis], sine[:, np.newaxis])
  joined = (
    np.stack([a + b, a - b], 1).reshape(real.shape)
    for a, b in ((r[:, 0], turned_r), (i[:, 0], turned_i))
  )
  first, second = joined
  return first, second


def _turned(real: Array, imaginary: Array, cosine: Array, sine: Array) -> tuple[Array, Array]:
  """Complex numbers times cosine - i sine, rounded."""
  half = _ONE // 2
  return (
    (real * cosine + imaginary * sine + half) >> 14,
    (imaginary * cosine - real * sine + half) >> 14,
  )


def _reversed_bits(count: int) -> npt.NDArray[np.int64]:
  """The numbers below a power of two, each with its bits in the reverse order."""
  order = np.zeros(1, np.int64)
  while len(order) < count:
    order = np.concatenate([2 * order, 2 * order + 1])
  return order
