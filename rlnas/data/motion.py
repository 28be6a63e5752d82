"""Whether features are axes of motion sensors, so that turning the device turns them together.

At rest an accelerometer measures gravity alone, and the mean of its three axes over a few steps is
gravity still: a vector of one length that points elsewhere whenever the device lies otherwise. No
other three features behave so. Where three do, all features are taken for the axes of sensors that
are fixed to one body: accelerometer, gyroscope, magnetometer, each x, y, z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

AXES = 3  # x, y, z
# The length of the mean acceleration in deviations, and how far its direction must vary: people who
# walk or lie, in windows of 2.6 s, give .02 and .6.
_MOST_SPREAD = 0.1
_LEAST_TURN = 0.2
_MOST_EXAMPLES = 10_000


def has_gravity(sequences: npt.NDArray[Any]) -> bool:
  """Whether the features of sequences are axes of motion sensors, one of them an accelerometer.

  Args:
    sequences: examples in units of the sensors. [N, T, F], [N, 1, T, F] or [N, T, F, 1]

  Returns:
    True if the number of features is a multiple of 3 and the mean of three of them, from such a
    multiple on, has nearly one length in all examples, but not one direction.
  """
  sides = [side for side in sequences.shape[1:] if side != 1]
  if len(sides) != 2 or sides[1] % AXES or sequences.dtype == np.uint8:
    return False
  x = sequences[:_MOST_EXAMPLES].astype(np.float64)
  means = x.reshape(len(x), sides[0], -1, AXES).mean(axis=1)  # [N, F / 3, 3]
  lengths = np.linalg.norm(means, axis=2)  # [N, F / 3]
  typical = lengths.mean(axis=0)
  with np.errstate(divide='ignore', invalid='ignore'):
    spread = lengths.std(axis=0) / typical
    turn = np.linalg.norm(means.std(axis=0), axis=1) / typical
  return bool(np.any((spread < _MOST_SPREAD) & (turn > _LEAST_TURN)))
