"""How recordings of sound become the features that networks read.

Two front ends compute uint8 features of 16-bit samples, both the same bits here and on a chip:
`log_mel`, in integers and without state (`rlnas.data.log_mel`), and `micro`, the one of TFLite
Micro (filter bank, noise reduction, automatic gain by PCAN, logarithm; Wang et al. 2016,
arXiv:1607.05666), in the C code that runs on the chip, of which TensorFlow has a copy.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import FRONT_ENDS, samples_of
from rlnas.cost.hearing import Hearing, micro_band
from rlnas.data.log_mel import LogMel

HEARD = ('mel_bins', 'frame_ms', 'frame_hop_ms')  # what a network may decide (`Hearing`)
# Of TFLite Micro's example micro_speech: features of 0 to about 666 become bytes.
MICRO_STEPS = 666


@dataclasses.dataclass(frozen=True)
class SoundSettings:
  """How recordings become examples. Times are in milliseconds.

  Attributes:
    clip_ms: length of an example. Shorter recordings are padded with silence on both sides, longer
      ones are cut into clips.
    clip_hop_ms: from the beginning of a clip to that of the next in a longer recording; by default
      a clip.
    sample_rate: samples per second; recordings of another rate are resampled.
    mel_bins: number of features of a frame.
    frame_ms: length of a frame.
    frame_hop_ms: from the beginning of a frame to that of the next.
    front_end: one of `FRONT_ENDS`.
    noisy_copies: copies of each training example, moved by up to 100 ms and with noise.

  Raises:
    ValueError: a setting is out of its range; the message begins with its name.
  """

  clip_ms: int = 1000
  clip_hop_ms: int | None = None
  sample_rate: int = 16_000
  mel_bins: int = 40
  frame_ms: int = 30
  frame_hop_ms: int = 20
  front_end: str = 'log_mel'
  noisy_copies: int = 0

  def __post_init__(self) -> None:
    for name, least, most in (
      ('clip_ms', 1, 60_000),
      ('clip_hop_ms', 1, 60_000),
      ('sample_rate', 1000, 96_000),
      ('mel_bins', 1, 256),
      ('frame_ms', 1, 1000),
      ('frame_hop_ms', 1, 1000),
      ('noisy_copies', 0, 20),
    ):
      value = getattr(self, name)
      if value is not None and not least <= value <= most:
        raise ValueError(f'{name}={value}: must be {least} to {most}')
    if self.frame_hop_ms > self.frame_ms:
      raise ValueError(
        f'frame_hop_ms={self.frame_hop_ms}: must be at most frame_ms={self.frame_ms}, or samples '
        'between frames are lost'
      )
    if self.clip_ms < self.frame_ms:
      raise ValueError(f'clip_ms={self.clip_ms}: must be at least frame_ms={self.frame_ms}')
    if self.front_end not in FRONT_ENDS:
      raise ValueError(f'front_end={self.front_end!r}: must be one of {", ".join(FRONT_ENDS)}')
    if self.front_end == 'log_mel':
      _ = self.log_mel  # raises what it does not compute

  def changed(self) -> dict[str, object]:
    """The settings that differ from their defaults, by name."""
    mine, default = dataclasses.asdict(self), dataclasses.asdict(SoundSettings())
    return {name: value for name, value in mine.items() if value != default[name]}

  @property
  def clip(self) -> int:
    """Samples of a clip."""
    return self._samples(self.clip_ms)

  @property
  def clip_hop(self) -> int:
    """Samples from the beginning of a clip to that of the next."""
    return self._samples(self.clip_ms if self.clip_hop_ms is None else self.clip_hop_ms)

  @property
  def frame(self) -> int:
    """Samples of a frame."""
    return self._samples(self.frame_ms)

  @property
  def frame_hop(self) -> int:
    """Samples from the beginning of a frame to that of the next."""
    return self._samples(self.frame_hop_ms)

  @property
  def frames(self) -> int:
    """Frames of a clip."""
    return self.hearing.frames

  @property
  def hearing(self) -> Hearing:
    """The settings that decide the features of a clip."""
    return Hearing(**{f.name: getattr(self, f.name) for f in dataclasses.fields(Hearing)})

  def heard_by(self, hearing: Hearing) -> SoundSettings:
    """The same recordings and clips with the front end of a network.

    Raises:
      ValueError: its clips have another length or rate, it has another front end, or a setting is
        out of its range.
    """
    found = dataclasses.replace(self, **{name: getattr(hearing, name) for name in HEARD})
    if found.hearing != hearing:
      raise ValueError(f'hearing: reads {hearing!r}; the data are {self}')
    return found

  @functools.cached_property
  def log_mel(self) -> LogMel:
    """The front end `log_mel`."""
    return LogMel(self.sample_rate, self.frame, self.frame_hop, self.mel_bins)

  def features(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """The features of a clip: int16 [clip] -> uint8 [frames, bins].

    Raises:
      ImportError: TensorFlow has no front end of TFLite Micro on this system.
    """
    if self.front_end == 'log_mel':
      return self.log_mel.features(samples)
    return micro_features(samples, self)

  def _samples(self, milliseconds: int) -> int:
    return samples_of(milliseconds, self.sample_rate)

  def __str__(self) -> str:
    return f'clips of {self.clip_ms} ms at {self.sample_rate:,} Hz; {self.hearing}'


@functools.cache
def _micro_op() -> Callable[..., Any]:
  """The operator of TensorFlow that runs TFLite Micro's front end. Raises ImportError."""
  from rlnas.backend import tf  # here, since reading other data needs no TensorFlow

  try:
    from tensorflow.lite.experimental.microfrontend.python.ops import audio_microfrontend_op
  except Exception as error:  # a missing library is an error of TensorFlow's own kind
    raise ImportError(
      "front_end='micro': this TensorFlow has no front end of TFLite Micro (those for Linux have); "
      "'log_mel' needs none"
    ) from error

  def run(samples: npt.NDArray[np.int16], **parameters: float) -> npt.NDArray[np.uint16]:
    found = audio_microfrontend_op.audio_microfrontend(tf.constant(samples, tf.int16), **parameters)
    return np.asarray(found.numpy())

  return run


def micro_features(
  samples: npt.NDArray[np.int16], settings: SoundSettings
) -> npt.NDArray[np.uint8]:
  """Features of TFLite Micro's front end, with the parameters of its example micro_speech.

  Its noise reduction starts again with each clip.

  Args:
    samples: int16 [S].
    settings: rate, frames and bins.

  Returns:
    uint8 [frames, bins]. The example's int8 features are these less 128.

  Raises:
    ImportError: TensorFlow has no front end of TFLite Micro on this system.
  """
  raw = _micro_op()(samples, **micro_parameters(settings)).astype(np.int64)
  return np.minimum((raw * 256 + MICRO_STEPS // 2) // MICRO_STEPS, 255).astype(np.uint8)


def micro_parameters(settings: SoundSettings) -> dict[str, float]:
  """The parameters of TFLite Micro's front end, by their names there."""
  lowest, highest = micro_band(settings.sample_rate)
  return {
    'sample_rate': settings.sample_rate,
    'window_size': settings.frame_ms,
    'window_step': settings.frame_hop_ms,
    'num_channels': settings.mel_bins,
    'lower_band_limit': lowest,
    'upper_band_limit': highest,
    'smoothing_bits': 10,
    'even_smoothing': 0.025,
    'odd_smoothing': 0.06,
    'min_signal_remaining': 0.05,
    'enable_pcan': True,
    'pcan_strength': 0.95,
    'pcan_offset': 80.0,
    'gain_bits': 21,
    'enable_log': True,
    'scale_shift': 6,
  }
