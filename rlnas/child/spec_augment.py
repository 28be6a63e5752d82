"""Random changes of the features of sound: moves in time, and masks (SpecAugment).

Park et al. 2019 (arXiv:1904.08779, section 2) mask a random band of frequencies and a random
stretch of frames; each has a width that is drawn evenly from 0 to a largest one. This module has
one mask of each kind and no warping, which they found to matter least.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.backend import tf
from rlnas.child.augment import Changes
from rlnas.data.dataset import Dataset

_SHIFT_MS = 100  # as in TensorFlow's training of Speech Commands
_MASKED = 8  # of bins and frames at most one in so many is masked


@dataclasses.dataclass(frozen=True)
class SpecAugment:
  """Random changes of features, drawn again whenever an example is used.

  Attributes:
    frames: frames of an example.
    bins: features of a frame.
    shift: the largest move in frames, to earlier or later; the outermost frame fills the gap.
    masked_bins: the largest width of the band that is masked.
    masked_frames: the largest number of frames that are masked.
    fill: the value of masked features, as in the data set.

  Raises:
    ValueError: a size is below 1, or a change is negative or larger than the example.
  """

  frames: int
  bins: int
  shift: int = 0
  masked_bins: int = 0
  masked_frames: int = 0
  fill: int = 0

  def __post_init__(self) -> None:
    for name in ('frames', 'bins'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: must be at least 1')
    for name, most in (
      ('shift', self.frames),
      ('masked_bins', self.bins),
      ('masked_frames', self.frames),
    ):
      if not 0 <= getattr(self, name) <= most:
        raise ValueError(f'{name}={getattr(self, name)}: must be 0 to {most}')

  @property
  def width(self) -> int:
    """How many numbers `draw` draws for an example."""
    return 5

  def check_reads(self, input_shape: Sequence[int]) -> None:
    """Raises ValueError if examples of this shape are not the features, as images or sequences."""
    sides = [side for side in input_shape if side != 1]
    if sides != [side for side in (self.frames, self.bins) if side != 1]:
      raise ValueError(
        f'frames={self.frames}, bins={self.bins}: examples have the shape {tuple(input_shape)}'
      )

  def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> npt.NDArray[np.int32]:
    """Draws random changes [*shape, 5]: frames later, first bin, bins, first frame, frames."""
    changes = np.zeros((*shape, self.width), np.int32)
    changes[..., 0] = rng.integers(-self.shift, self.shift, shape, endpoint=True)
    for place, size, most in (
      (1, self.bins, self.masked_bins),
      (3, self.frames, self.masked_frames),
    ):
      widths = rng.integers(0, most, shape, endpoint=True)
      changes[..., place] = rng.integers(0, size - widths, endpoint=True)
      changes[..., place + 1] = widths
    return changes

  def apply(self, examples: tf.Tensor, changes: tf.Tensor) -> tf.Tensor:
    """Changes examples, inside a graph.

    Args:
      examples: features of any type. [B, T, F], [B, 1, T, F] or [B, T, F, 1]
      changes: the changes that `draw` returned. [B, 5]

    Returns:
      The changed examples, in the same shape.
    """
    x = tf.reshape(examples, [-1, self.frames, self.bins])  # the same order in all three
    if self.shift:
      source = tf.range(self.frames) - changes[:, 0, tf.newaxis]  # [B, T]
      x = tf.gather(x, tf.clip_by_value(source, 0, self.frames - 1), axis=1, batch_dims=1)
    masked = _inside(self.bins, changes[:, 1:3])[:, tf.newaxis]  # [B, 1, F]
    masked |= _inside(self.frames, changes[:, 3:5])[:, :, tf.newaxis]  # [B, T, F]
    return tf.reshape(tf.where(masked, tf.cast(self.fill, x.dtype), x), tf.shape(examples))


def _inside(size: int, stretches: tf.Tensor) -> tf.Tensor:
  """Whether each place is in a stretch: first and number [B, 2] -> [B, size]."""
  places, first = tf.range(size), stretches[:, :1]
  return (places >= first) & (places < first + stretches[:, 1:])


def as_heard(dataset: Dataset, changes: Changes) -> Changes:
  """The changes of sound for a network with a front end of its own: the same times and shares.

  Args:
    dataset: the data as the network hears them.
    changes: changes of the data as they were given; others than of sound stay as they are.
  """
  given = None if dataset.given is None else dataset.given.sound
  own = dataset.sound
  if given is None or own is None or not isinstance(changes, SpecAugment):
    return changes
  shift = changes.shift * given.frame_hop_ms // own.frame_hop_ms
  masks = bool(changes.masked_bins or changes.masked_frames)
  return for_sound(dataset, masks=masks, shift=min(own.frames - 1, shift))


def for_sound(dataset: Dataset, *, masks: bool = True, shift: int | None = None) -> SpecAugment:
  """The changes that suit recordings of sound: moves by up to 100 ms, masks of up to an eighth.

  Masked features become the mean of the training data.

  Args:
    dataset: recordings of sound.
    masks: whether to mask.
    shift: another largest move, in frames.

  Raises:
    ValueError: the data are not sound, or `shift` is out of its range.
  """
  sound = dataset.sound
  if sound is None:
    raise ValueError(f'dataset={dataset.name!r}: must be recordings of sound')
  most = min(sound.frames - 1, _SHIFT_MS // sound.frame_hop_ms)
  return SpecAugment(
    sound.frames,
    sound.mel_bins,
    shift=most if shift is None else shift,
    masked_bins=sound.mel_bins // _MASKED * masks,
    masked_frames=sound.frames // _MASKED * masks,
    fill=round(float(dataset.scaling.offset)),
  )
