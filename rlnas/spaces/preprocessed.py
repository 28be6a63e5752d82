"""Any space of networks for sequences, whose networks also decide what they read of an example.

How long the window is and how often the sensor is read decides as much about memory and accuracy as
the network does, and the network that suits one window does not suit another. (Edge Impulse's EON
Tuner searches both, too.) So these decisions come first in the sequence of the others, and one
controller learns all of them.

A walk decides how many time steps the window covers, how many of them make one frame, and for each
group of features, such as the three axes of a sensor, whether they are read. At least one is.
"""

from __future__ import annotations

import dataclasses

from rlnas.architecture import Architecture
from rlnas.cost.preprocessing import with_preprocessing
from rlnas.cost.window import AXES, Window
from rlnas.spaces.decision import Decision, Space, Walk


@dataclasses.dataclass(frozen=True)
class Preprocessed:
  """The networks of a space, each with a window of its own.

  Attributes:
    space: decides the network behind the window. It must not depend on the length of the sequence.
    steps: number of time steps of the data.
    features: number of features of the data.
    windows: numbers of time steps to choose from for the window; default: all, a half and a quarter
      of those of the data.
    rates: numbers of time steps to choose from whose mean is a frame. The oldest steps of a window
      that fill no frame are not read.
    group: number of neighbouring features that are kept or left out together. Default: 3, the axes
      of a sensor, if there are 6, 9, 12 ... features, else 1.

  Raises:
    ValueError: an option is out of its range.
  """

  space: Space[Architecture]
  steps: int
  features: int
  windows: tuple[int, ...] = ()
  rates: tuple[int, ...] = (1, 2, 4)
  group: int | None = None

  def __post_init__(self) -> None:
    whole = self.steps
    for name, value in (('steps', whole), ('features', self.features), ('group', self.group)):
      if value is not None and value < 1:
        raise ValueError(f'{name}={value}: must be at least 1')
    if not self.windows:
      found = dict.fromkeys((whole, whole // 2, whole // 4))
      object.__setattr__(self, 'windows', tuple(w for w in found if w >= max(self.rates)))
    if self.group is None:
      in_threes = self.features > AXES and self.features % AXES == 0
      object.__setattr__(self, 'group', AXES if in_threes else 1)
    for name in ('windows', 'rates'):
      values = getattr(self, name)
      if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ValueError(f'{name}={values}: must be distinct positive integers, at least one')
    if max(self.windows) > whole:
      raise ValueError(
        f'windows={self.windows}: must be at most the {whole} time steps of the data'
      )
    if max(self.rates) > min(self.windows):
      raise ValueError(
        f'rates={self.rates}: must be at most the shortest window, {min(self.windows)} time steps'
      )

  @property
  def one_row(self) -> bool:
    """Whether the networks read sequences as images of one row; see `rlnas.spaces.decision`."""
    return bool(getattr(self.space, 'one_row', False))

  def __call__(self) -> Walk[Architecture]:
    steps = yield Decision('input/window', 'input_window', self.windows)
    rate = yield Decision('input/rate', 'input_rate', self.rates)
    kept: list[int] = []
    size = self.group or 1
    for first in range(0, self.features, size):
      group = range(first, min(first + size, self.features))
      is_last = group.stop == self.features
      choices = (True,) if is_last and not kept else (True, False)
      if (yield Decision(f'input/keep{first}', 'input_keep', choices, (bool(kept),))):
        kept.extend(group)
    architecture = yield from self.space()
    window = Window(int(steps) // int(rate), int(rate), tuple(kept))
    return with_preprocessing(architecture, window)
