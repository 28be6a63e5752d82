"""Random turns of motion sensors: as if the device were worn a little otherwise.

Um et al. 2017 (arXiv:1706.00527, section 3) turn an accelerometer's axes at random, which helps
most of the changes that they try, since nobody straps a sensor on as another does.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.backend import tf
from rlnas.data.motion import AXES
from rlnas.data.scaling import Scaling

_UNIT = 1e-6  # of the angles that `draw` returns, in radians


@dataclasses.dataclass(frozen=True)
class Turns:
  """Turns of all sensors of an example together, drawn anew whenever it is used.

  The features are the axes x, y, z of one sensor after the other.

  Attributes:
    scaling: how the examples are scaled for the network; they are turned in units of the sensors.
    degrees: standard deviation of the angle about each axis.

  Raises:
    ValueError: `degrees` is negative or not finite.
  """

  scaling: Scaling
  degrees: float

  def __post_init__(self) -> None:
    if not 0 <= self.degrees < math.inf:
      raise ValueError(f'degrees={self.degrees}: must be at least 0 and finite')

  @property
  def width(self) -> int:
    """How many numbers `draw` draws for an example."""
    return AXES

  def check_reads(self, input_shape: Sequence[int]) -> None:
    """Raises ValueError if examples of this shape are no axes x, y, z over time."""
    sides = [side for side in input_shape if side != 1]
    if len(sides) != 2 or sides[1] % AXES:
      raise ValueError(
        f'degrees={self.degrees:g}: examples of {tuple(input_shape)} are no axes x, y, z over time'
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
    scale = tf.cast(self.scaling.scale, tf.float32)
    offset = tf.cast(self.scaling.offset, tf.float32)
    shape = tf.shape(examples)
    x = tf.reshape(examples * scale + offset, [shape[0], -1, AXES])  # [B, T * F / 3, 3]
    turned = tf.linalg.matmul(x, _rotations(tf.cast(changes, tf.float32) * _UNIT), transpose_b=True)
    return (tf.reshape(turned, shape) - offset) / scale


def _rotations(angles: tf.Tensor) -> tf.Tensor:
  """Rodrigues' formula: vectors [B, 3] -> rotations about them by their lengths [B, 3, 3]."""
  length = tf.norm(angles, axis=1)[:, tf.newaxis, tf.newaxis]  # [B, 1, 1]
  x, y, z = tf.unstack(angles, axis=1)
  none = tf.zeros_like(x)
  cross = tf.reshape(tf.stack([none, -z, y, z, none, -x, -y, x, none], axis=1), [-1, AXES, AXES])
  cross = tf.math.divide_no_nan(cross, length)
  return tf.eye(AXES) + tf.sin(length) * cross + (1 - tf.cos(length)) * tf.matmul(cross, cross)
