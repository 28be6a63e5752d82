"""The front end by which a network hears a clip of sound, and its memory on a chip.

The node of the input may have the attributes of a `Hearing`. The features that the network reads
are then made of the samples of the clip by these settings, and not by those of the data set. The
length of the clip stays that of the data.

Sizes are those of the C code of a bundle (sound.h) on a chip with pointers of 4 bytes. `log_mel`
has its tables in flash and all else in a struct. `micro`, the front end of TFLite Micro, allocates
all of it on the heap when it begins (tensorflow/lite/experimental/microfrontend/lib, *_util.c).
"""

from __future__ import annotations

import dataclasses

from rlnas.architecture import HEARING, Scalar, frames_of_clip, samples_of
from rlnas.cost.mel_bank import mel, points_of, triangles

LOG_STEPS = 5  # mantissas of `log_mel`, which divide an octave
MICRO_BAND_HZ = (125.0, 7500.0)
MICRO_HIGHEST = 15 / 32  # of the sample rate, if that is lower than the band

_SHORT, _INT, _LONG, _COMPLEX = 2, 4, 8, 4  # bytes; kissfft's complex numbers are two of 16 bits
# FrontendState: window 28, fft 24, filterbank 36, noise_reduction 20, pcan 20, log_scale 8; with
# the mark that it was made.
_MICRO_STRUCT = 28 + 24 + 36 + 20 + 20 + 8 + _INT
# kissfft's states of a real and a complex transform: pointers, sizes, 64 factors, one twiddle.
_KISS_REAL, _KISS_COMPLEX = 3 * _INT, 2 * _INT + 64 * _INT + _COMPLEX
_PCAN_TABLE = 125  # numbers of 16 bits
_BLOCK = 4  # weights of a channel of `micro` fill blocks
_ALIGNED = 2  # frequencies; a channel of `micro` begins at a multiple


@dataclasses.dataclass(frozen=True)
class Hearing:
  """The front end of a network. `rlnas.data.SoundSettings` checks these settings.

  Attributes:
    front_end: one of `rlnas.architecture.FRONT_ENDS`.
    sample_rate: samples a second.
    clip_ms: length of an example, in milliseconds, like the times below.
    frame_ms: length of a frame.
    frame_hop_ms: from the beginning of a frame to that of the next.
    mel_bins: number of features of a frame.
  """

  front_end: str
  sample_rate: int
  clip_ms: int
  frame_ms: int
  frame_hop_ms: int
  mel_bins: int

  @property
  def attributes(self) -> tuple[tuple[str, Scalar], ...]:
    """The attributes of the input node that hold these settings."""
    return tuple((name, getattr(self, name)) for name in HEARING)

  @property
  def frame(self) -> int:
    """Samples of a frame."""
    return samples_of(self.frame_ms, self.sample_rate)

  @property
  def frames(self) -> int:
    """Frames of a clip."""
    return frames_of_clip(
      self.sample_rate, clip_ms=self.clip_ms, frame_ms=self.frame_ms, hop_ms=self.frame_hop_ms
    )

  @property
  def points(self) -> int:
    """Samples of the transform of a frame."""
    return points_of(self.frame)

  @property
  def sizes(self) -> tuple[int, int, int]:
    """Frames, milliseconds of a frame, and features."""
    return self.frames, self.frame_ms, self.mel_bins

  @property
  def flash_bytes(self) -> int:
    """The tables of sound.h: window, sines, triangles and steps; those of `micro` are in SRAM."""
    if self.front_end == 'micro':
      return 0
    bank = triangles(self.sample_rate, self.points, self.mel_bins)
    weights = sum(len(of_one) for _, of_one in bank)
    shorts = self.frame + 2 * (self.points // 2) + 2 * self.mel_bins + weights
    return _SHORT * shorts + _INT * LOG_STEPS

  @property
  def sram_bytes(self) -> int:
    """The memory of a stream on the chip, beside the arena: `<name>_sound_stream` of sound.h.

    A ring of the features of a clip with two counters, the samples of a frame, and what the
    transform needs; of `micro` also its tables, without what the heap adds to each block.
    """
    ring = _rounded(self.frames * self.mel_bins) + 2 * _INT
    if self.front_end == 'micro':
      return ring + _MICRO_STRUCT + self._heap_bytes
    return ring + _rounded(_SHORT * self.frame) + _INT + 2 * _INT * (self.points // 2)

  @property
  def _heap_bytes(self) -> int:
    """The bytes that `micro` allocates: its blocks, in the order in which it makes them."""
    half, channels = self.points // 2, self.mel_bins + 1
    blocks = (
      *3 * (_SHORT * self.frame,),  # window: coefficients, input, output
      _SHORT * self.points,  # transform: input
      2 * _COMPLEX * (half + 1),  # and output, for which twice the place is taken
      _KISS_REAL + _KISS_COMPLEX + _COMPLEX * (half - 1) + _COMPLEX * (half * 3 // 2),
      *3 * (_SHORT * channels,),  # channels: first frequency, first weight, width
      _LONG * channels,  # and sum
      *2 * (_SHORT * self._micro_weights,),  # weights, and what is left of them
      _INT * self.mel_bins,  # estimate of the noise
      _SHORT * _PCAN_TABLE,
    )
    return sum(map(_rounded, blocks))

  @property
  def _micro_weights(self) -> int:
    """Number of weights of all channels of `micro`, as FilterbankPopulateState counts them."""
    low, high = (mel(hertz) for hertz in micro_band(self.sample_rate))
    hertz = self.sample_rate / self.points  # of a frequency of the transform
    start, weights, any_empty = int(1.5 + MICRO_BAND_HZ[0] / hertz), 0, False
    for channel in range(1, self.mel_bins + 2):
      end = start
      while mel(end * hertz) <= low + (high - low) / (self.mel_bins + 1) * channel:
        end += 1
      any_empty |= end == start
      if end > start:
        weights += -(-(start % _ALIGNED + end - start) // _BLOCK) * _BLOCK
      start = end
    return weights + _BLOCK * any_empty

  def __str__(self) -> str:
    return (
      f'{self.front_end}: {self.frames} frames of {self.frame_ms} ms, every {self.frame_hop_ms}, '
      f'{self.mel_bins} bins'
    )


def micro_band(sample_rate: int) -> tuple[float, float]:
  """The lowest and the highest frequency of `micro`, in Hz."""
  return MICRO_BAND_HZ[0], min(MICRO_BAND_HZ[1], MICRO_HIGHEST * sample_rate)


def _rounded(size: int) -> int:
  return -(-size // _INT) * _INT
