"""How one's own files are read: the settings that `rlnas.data.load` takes, as one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from rlnas.data.folders import Frame
from rlnas.data.recordings import Reading
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.tasks import Task


@dataclasses.dataclass(frozen=True)
class FileSettings:
  """Settings of reading files; each kind of file takes some. `rlnas.data.load` explains them."""

  label: str | None = None
  group: str | None = None
  features: Sequence[str] = ()
  window: int | None = None
  hop: int | None = None
  image_size: tuple[int, int] | None = None
  channels: int | None = None
  sound: SoundSettings | None = None
  task: Task | None = None
  keep_samples: bool = False

  @property
  def reading(self) -> Reading:
    """The settings of CSV files. Raises ValueError if one is out of its range."""
    return Reading(self.label, self.group, tuple(self.features), self.window, self.hop)

  @property
  def frame(self) -> Frame:
    """The settings of images. Raises ValueError if one is out of its range."""
    return Frame(self.image_size, self.channels)

  @property
  def of_tables(self) -> dict[str, object]:
    """The settings that only CSV files take, by name."""
    features = tuple(self.features) or None
    return {'label': self.label, 'features': features, 'window': self.window, 'hop': self.hop}

  @property
  def of_images(self) -> dict[str, object]:
    """The settings that only images take, by name."""
    return {'image_size': self.image_size, 'channels': self.channels}

  @property
  def of_sound(self) -> dict[str, object]:
    """The settings that only sound takes, and that differ from their defaults, by name."""
    return {} if self.sound is None else self.sound.changed()


def only_for(what: str, found: str, settings: Mapping[str, object]) -> None:
  """Raises ValueError if a setting is given that data of this kind do not take."""
  for name, value in settings.items():
    if value is not None:
      raise ValueError(f'{name}={value}: is for {what} alone; {found}')
