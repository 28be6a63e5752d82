"""Random turns of motion sensors, as if the device were worn in a slightly different way.

Um et al. 2017 (arXiv:1706.00527, section 3) turn an accelerometer's axes at random, because people
attach a sensor in different ways. Of the changes that they try, it helps most.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.backend import tf
from rlnas.child.augment import NO_AUGMENTATION, Changes
from rlnas.cost.window import AXES, Window
from rlnas.data.dataset import Dataset
from rlnas.data.motion import check_axes
from rlnas.data.scaling import PerFeature

_UNIT = 1e-6  # of the angles that `draw` returns, in radians


@dataclasses.dataclass(frozen=True)
class Turns:
  """Turns of all sensors of an example together, drawn again whenever it is used.

  The features are the axes x, y, z of one sensor after the other.

  Attributes:
    degrees: standard deviation of the angle about each axis.
    offset: offset of each feature in the scaling of the examples, which are turned in units of the
      sensors. [F]
    scale: likewise its scale. [F]

  Raises:
    ValueError: `degrees` is negative or not finite, or the features are not a multiple of 3.
  """

  degrees: float
  offset: tuple[float, ...]
  scale: tuple[float, ...]

  def __post_init__(self) -> None:
    if not 0 <= self.degrees < math.inf:
      raise ValueError(f'degrees={self.degrees}: must be at least 0 and finite')
    if not self.scale or len(self.scale) % AXES or len(self.offset) != len(self.scale):
      raise ValueError(f'scale={self.scale}: must be x, y, z of each sensor, like offset')

  @property
  def width(self) -> int:
    """How many numbers `draw` draws for an example."""
    return AXES

  def check_reads(self, input_shape: Sequence[int]) -> None:
    """Raises ValueError if examples of this shape do not have these features over time."""
    shape, features = tuple(input_shape), len(self.scale)
    # A window may have one frame, so a side of 1 may be the steps.
    is_row = len(shape) in (2, 3) and shape[-1] == features and shape[:-2] in ((), (1,))
    is_image = len(shape) == 3 and shape[1:] == (features, 1)
    if not is_row and not is_image:
      raise ValueError(
        f'degrees={self.degrees:g}: examples of {shape} have no {features} axes over time'
      )

  def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> npt.NDArray[np.int32]:
    """Draws random turns [*shape, 3]: the angle about each axis, in millionths of a radian."""
    angles = rng.normal(0, math.radians(self.degrees), (*shape, self.width))
    return np.rint(angles / _UNIT).astype(np.int32)

  def apply(self, examples: tf.Tensor, changes: tf.Tensor) -> tf.Tensor:
    """Turns scaled examples, inside a graph.

    Args:
      examples: inputs of the network. [B, T, F], [B, 1, T, F] or [B, T, F, 1]
      changes: the turns that `draw` returned. [B, 3]

    Returns:
      The turned examples, in the same shape.
    """
    shape, features = tf.shape(examples), len(self.scale)
    x = tf.reshape(examples, [shape[0], -1, features]) * self.scale + self.offset  # [B, T, F]
    x = tf.reshape(x, [shape[0], -1, AXES])  # [B, T * F / 3, 3]
    turned = tf.linalg.matmul(x, _rotations(tf.cast(changes, tf.float32) * _UNIT), transpose_b=True)
    turned = tf.reshape(turned, [shape[0], -1, features])
    return tf.reshape((turned - self.offset) / self.scale, shape)


def for_motion(dataset: Dataset, degrees: float) -> Turns:
  """Turns of the features of a data set, all of which must be axes of motion sensors.

  Args:
    dataset: sequences, also as images of one row or one channel.
    degrees: standard deviation of the angle about each axis.

  Raises:
    ValueError: the examples are not sequences of x, y, z of one sensor after the other, each with a
      scale of its own, or `degrees` is out of its range.
  """
  check_axes(f'degrees={degrees:g}', dataset)
  features = dataset.scaling.features

  def of_each(value: PerFeature) -> tuple[float, ...]:
    return tuple(np.broadcast_to(np.ravel(value), features).tolist())

  return Turns(degrees, of_each(dataset.scaling.offset), of_each(dataset.scaling.scale))


def seen_through(window: Window | None, changes: Changes) -> Changes:
  """The changes of examples of which a network reads a part.

  Args:
    window: what the network reads; None if it reads all.
    changes: changes of whole examples.

  Returns:
    Turns of the sensors that are kept; no changes if a sensor is kept in part, since a turn mixes
    all its axes. Other changes stay as they are.
  """
  if window is None or not isinstance(changes, Turns):
    return changes
  kept = window.features
  whole = [tuple(range(first, first + AXES)) for first in range(0, len(changes.scale), AXES)]
  if kept != tuple(i for axes in whole if set(axes) <= set(kept) for i in axes):
    return NO_AUGMENTATION
  offset, scale = (tuple(of[i] for i in kept) for of in (changes.offset, changes.scale))
  return Turns(changes.degrees, offset, scale)


def _rotations(angles: tf.Tensor) -> tf.Tensor:
  """Rodrigues' formula: vectors [B, 3] -> rotations about them by their lengths [B, 3, 3]."""
  length = tf.norm(angles, axis=1)[:, tf.newaxis, tf.newaxis]  # [B, 1, 1]
  x, y, z = tf.unstack(angles, axis=1)
  none = tf.zeros_like(x)
  cross = tf.reshape(tf.stack([none, -z, y, z, none, -x, -y, x, none], axis=1), [-1, AXES, AXES])
  cross = tf.math.divide_no_nan(cross, length)
  return tf.eye(AXES) + tf.sin(length) * cross + (1 - tf.cos(length)) * tf.matmul(cross, cross)
