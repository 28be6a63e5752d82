"""Data augmentation: random changes of training images that do not change their class."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rlnas.backend import tf


class Changes(Protocol):
  """Random changes of examples: `Augmentation`, and those of sound and of motion sensors."""

  @property
  def width(self) -> int:
    """How many numbers `draw` draws for an example."""

  def check_reads(self, input_shape: Sequence[int]) -> None:
    """Raises ValueError if it cannot change examples of this shape."""

  def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> npt.NDArray[np.int32]:
    """Draws random changes [*shape, width]."""
    ...

  def apply(self, examples: tf.Tensor, changes: tf.Tensor, /) -> tf.Tensor:
    """Changes examples [B, ...], inside a graph, by what `draw` returned [B, width].

    Examples are as the network reads them if each feature has its own scale
    (`Scaling.is_per_feature`), and otherwise as in the data set.
    """
    ...


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Random changes of images, drawn again whenever an image is used; no changes by default.

  Attributes:
    shift_pixels: the largest shift in pixels, down or up and right or left; the image's edge is
      repeated to fill the gap.
    flip: whether to mirror half of the images left to right. It suits clothes and animals, but not
      digits and letters.

  Raises:
    ValueError: `shift_pixels` is negative.
  """

  shift_pixels: int = 0
  flip: bool = False

  def __post_init__(self) -> None:
    if self.shift_pixels < 0:
      raise ValueError(f'shift_pixels={self.shift_pixels}: must be at least 0')

  @property
  def width(self) -> int:
    """How many numbers `draw` draws for an example."""
    return 3

  def check_reads(self, input_shape: Sequence[int]) -> None:
    """Raises ValueError if it would change examples of this shape, which are not images."""
    if self != Augmentation() and len(input_shape) != 3:
      raise ValueError(
        f'shift_pixels={self.shift_pixels}, flip={self.flip}: examples of {tuple(input_shape)} are '
        'not images'
      )

  def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> npt.NDArray[np.int32]:
    """Draws random changes [*shape, 3]: pixels down, pixels right, and 1 to mirror or 0."""
    changes = np.zeros((*shape, self.width), np.int32)
    most = self.shift_pixels
    changes[..., :2] = rng.integers(-most, most, (*shape, 2), endpoint=True)
    if self.flip:
      changes[..., 2] = rng.integers(0, 2, shape)
    return changes

  def apply(self, images: tf.Tensor, changes: tf.Tensor) -> tf.Tensor:
    """Changes images, inside a graph.

    Args:
      images: images of any type. [B, H, W, C], or any shape if there is nothing to change
      changes: the changes that `draw` returned. [B, 3]

    Returns:
      The changed images. [B, H, W, C]
    """
    if self.flip:
      mirrored = changes[:, 2, tf.newaxis, tf.newaxis, tf.newaxis] == 1
      images = tf.where(mirrored, tf.reverse(images, [2]), images)
    if self.shift_pixels:
      images = _shifted(images, changes[:, :2])
    return images


NO_AUGMENTATION = Augmentation()


def suited_augmentation(input_shape: Sequence[int], *, flip: bool = False) -> Augmentation:
  """Returns shifts by up to a fourteenth of an image's shorter side (2 pixels for MNIST).

  Args:
    input_shape: shape of the examples; sequences are not changed.
    flip: whether to mirror images, too.

  Raises:
    ValueError: `flip` is True, but the examples are sequences.
  """
  is_image = len(input_shape) == 3
  chosen = Augmentation(min(input_shape[:2]) // 14 if is_image else 0, flip)
  chosen.check_reads(input_shape)
  return chosen


def _shifted(images: tf.Tensor, shifts: tf.Tensor) -> tf.Tensor:
  """Moves images [B, H, W, C] by shifts [B, 2] and repeats their edge to fill the gap."""
  for axis in (1, 2):
    side = images.shape[axis]
    source = tf.range(side) - shifts[:, axis - 1, tf.newaxis]  # [B, side]
    source = tf.clip_by_value(source, 0, side - 1)
    images = tf.gather(images, source, axis=axis, batch_dims=1)
  return images
