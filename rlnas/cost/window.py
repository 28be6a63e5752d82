"""The window of a network: which part of a sequence it reads, how finely, and which features.

The node of the input may have the attributes `frames`, `rate` and `features`. Then the network
reads the last `frames * rate` time steps of an example. Each of its frames is the mean of `rate`
steps, so that what is faster than a frame does not appear as something slow (aliasing), and only
some features are kept. The last step of the window is that of the example whatever the window, so
all windows classify the same moments.
"""

from __future__ import annotations

import dataclasses
import itertools

from rlnas.architecture import Scalar, Shape

AXES = 3  # x, y, z of a motion sensor
_COUNTER_BYTES = 4  # of each number that a stream keeps
_COUNTERS = 3


@dataclasses.dataclass(frozen=True)
class Window:
  """The part of a sequence that a network reads.

  Attributes:
    frames: number of its frames.
    rate: number of time steps of the sequence whose mean is a frame.
    features: indices of the features that are kept, ascending.

  Raises:
    ValueError: a number is below 1, or `features` is empty, not ascending or has a negative index.
  """

  frames: int
  rate: int
  features: tuple[int, ...]

  def __post_init__(self) -> None:
    for name in ('frames', 'rate'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: must be at least 1')
    kept = self.features
    if not kept or kept[0] < 0 or any(a >= b for a, b in itertools.pairwise(kept)):
      raise ValueError(f'features={kept}: must be ascending indices from 0, at least one')

  @property
  def attributes(self) -> tuple[tuple[str, Scalar], ...]:
    """The attributes of the input node that hold the window."""
    features = ','.join(map(str, self.features))
    return ('features', features), ('frames', self.frames), ('rate', self.rate)

  @property
  def steps(self) -> int:
    """Number of time steps of the sequence that the window covers."""
    return self.frames * self.rate

  @property
  def sizes(self) -> tuple[int, int, int]:
    """Frames, time steps of a frame, and features."""
    return self.frames, self.rate, len(self.features)

  @property
  def flash_bytes(self) -> int:
    """The tables of a stream on the chip: none."""
    return 0

  @property
  def sram_bytes(self) -> int:
    """The memory of a stream on the chip, beside the arena: `<name>_window_stream` of window.h.

    The int8 values of all frames in a ring, a sum of four bytes for each feature (of eight if the
    data are float64, which are not counted), and three counters.
    """
    ring = self.frames * len(self.features)
    return 4 * len(self.features) + _COUNTERS * _COUNTER_BYTES + -(-ring // 4) * 4

  def __str__(self) -> str:
    listed = ', '.join(map(str, self.features))
    return f'the last {self.steps} time steps as {self.frames} frames, features {listed}'


def sequence_shape(shape: Shape) -> tuple[int, int]:
  """Time steps and features of an example (T, F), (1, T, F) or (T, F, 1).

  Raises:
    ValueError: the example is an image.
  """
  sides = [*shape]
  if len(sides) == 3:
    if sides[0] != 1 and sides[2] != 1:
      raise ValueError(f'window: examples of shape {shape} are not sequences')
    sides.pop(0 if sides[0] == 1 else 2)
  return sides[0], sides[1]
