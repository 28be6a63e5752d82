"""Any space of networks for sound, whose networks also decide how they hear it.

Frames that come twice as often make maps of twice the size, and fewer mel bins make all layers
cheaper, so the front end and the network are one decision about memory, work and accuracy. (Edge
Impulse's EON Tuner searches both, too.) These decisions come first in the sequence of the others,
and one controller learns all of them.

A walk decides the length of a frame, how often one begins, and how many mel bins it has. Choices
that do not fit together are left out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from rlnas.architecture import Architecture
from rlnas.cost.preprocessing import with_preprocessing
from rlnas.data.sound_settings import HEARD, SoundSettings
from rlnas.spaces.decision import Decision, Space, Walk


@dataclasses.dataclass(frozen=True)
class PreprocessedSound:
  """The networks of a space, each with a front end of its own.

  Attributes:
    space: decides the network behind the front end. It must not depend on the number of frames.
    clip_ms: length of the clips of the data.
    sample_rate: samples a second of the data.
    front_end: the kind of features, as the data have it: log_mel or micro.
    mel_bins: numbers of features of a frame to choose from; with --preprocess by default that of
      the data, three quarters and a half of it.
    frame_ms: lengths of a frame to choose from; by default that of the data, and 4/3 of it.
    frame_hop_ms: times from the beginning of a frame to that of the next, to choose from; by
      default that of the data, half of it, and 3/2 of it.

  Raises:
    ValueError: an option is out of its range, or a choice fits none of the others.
  """

  space: Space[Architecture]
  clip_ms: int
  sample_rate: int
  front_end: str = 'log_mel'
  mel_bins: tuple[int, ...] = (40, 30, 20)
  frame_ms: tuple[int, ...] = (30, 40)
  frame_hop_ms: tuple[int, ...] = (20, 10, 30)

  def __post_init__(self) -> None:
    for name in HEARD:
      values = getattr(self, name)
      if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ValueError(f'{name}={values}: must be distinct positive integers, at least one')
    for place, name in enumerate(HEARD):
      for value in getattr(self, name):
        causes = [why for choice, why in self._fitting.items() if choice[place] == value]
        if all(causes):
          raise ValueError(causes[0])

  @functools.cached_property
  def _fitting(self) -> dict[tuple[int, ...], str]:
    """All choices of `HEARD` together, each with the reason why it does not fit; '' if it does."""
    found = {}
    for choice in itertools.product(*(getattr(self, name) for name in HEARD)):
      try:
        self._settings(choice)
      except ValueError as error:
        found[choice] = str(error)
      else:
        found[choice] = ''
    return found

  def _settings(self, choice: tuple[int, ...]) -> SoundSettings:
    """The settings of a choice of `HEARD`. Raises ValueError if they do not fit together."""
    return SoundSettings(
      clip_ms=self.clip_ms,
      sample_rate=self.sample_rate,
      front_end=self.front_end,
      **dict(zip(HEARD, choice, strict=True)),
    )

  @property
  def one_row(self) -> bool:
    """Whether the networks read sequences as images of one row; see `rlnas.spaces.decision`."""
    return bool(getattr(self.space, 'one_row', False))

  def __call__(self) -> Walk[Architecture]:
    fitting = [dict(zip(HEARD, c, strict=True)) for c, why in self._fitting.items() if not why]
    frame_ms = yield Decision('input/frame_ms', 'input_frame_ms', _values(fitting, 'frame_ms'))
    fitting = [choice for choice in fitting if choice['frame_ms'] == frame_ms]
    chosen = {'frame_ms': int(frame_ms)}
    for name in ('frame_hop_ms', 'mel_bins'):
      values = _values(fitting, name)
      chosen[name] = int((yield Decision(f'input/{name}', f'input_{name}', values, (frame_ms,))))
    architecture = yield from self.space()
    settings = self._settings(tuple(chosen[name] for name in HEARD))
    return with_preprocessing(architecture, settings.hearing)


def _values(choices: Sequence[Mapping[str, int]], name: str) -> tuple[int, ...]:
  """The different values of a setting, in order."""
  return tuple(dict.fromkeys(choice[name] for choice in choices))


def choices_around(
  sound: SoundSettings, given: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, tuple[int, ...]]:
  """Choices of `PreprocessedSound` for data with these settings, which come first, by name.

  Args:
    sound: the settings of the data.
    given: choices that are decided already. The others fit at least one of them.
  """
  shares = {
    'mel_bins': (1, 3 / 4, 1 / 2),
    'frame_ms': (1, 4 / 3),
    'frame_hop_ms': (1, 1 / 2, 3 / 2),
  }
  known = {name: (getattr(sound, name),) for name in HEARD} | dict(given or {})
  found = {}
  for name in HEARD:
    if name not in (given or {}):
      values = dict.fromkeys(round(share * getattr(sound, name)) for share in shares[name])
      fitting = (v for v in values if _fits(sound, known | {name: (v,)}))
      found[name] = tuple(fitting) or known[name]
  return found


def _fits(sound: SoundSettings, choices: Mapping[str, tuple[int, ...]]) -> bool:
  """Whether any of the choices fit together."""
  for choice in itertools.product(*(choices[name] for name in HEARD)):
    changed: dict[str, Any] = dict(zip(HEARD, choice, strict=True))
    with contextlib.suppress(ValueError):
      dataclasses.replace(sound, **changed)
      return True
  return False
