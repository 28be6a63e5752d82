"""Cuts recordings of sound into clips, makes noisy copies, and turns both into examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from rlnas.data.checks import Array
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.wav_files import Samples

MOST_SHIFT_MS = 100  # of a noisy copy, as in TensorFlow's training of Speech Commands
NOISE_DB = (5.0, 30.0)  # a noisy copy's ratio of signal to noise


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
  """The examples of one split.

  Attributes:
    x: features. uint8 [N, frames, bins]
    y: names of the classes. [N]
    groups: group of each example; None if each is on its own. [N]
    copies: noisy copies of the examples. uint8 [copies, N, frames, bins]
    samples: samples of the examples; None if they are not kept. int16 [N, S]
    copied_samples: likewise of the copies. int16 [copies, N, S]
  """

  x: npt.NDArray[np.uint8]
  y: npt.NDArray[np.str_]
  groups: npt.NDArray[np.str_] | None
  copies: npt.NDArray[np.uint8]
  samples: npt.NDArray[np.int16] | None = None
  copied_samples: npt.NDArray[np.int16] | None = None


class Cutter:
  """Cuts recordings into clips, and counts what it padded and cut."""

  def __init__(self, settings: SoundSettings) -> None:
    self._settings = settings
    self._padded = 0
    self._trimmed = 0
    self.cut = 0  # recordings of several clips

  def clips(self, samples: Samples) -> Iterator[Samples]:
    """The clips of a recording, around its middle; a short one is padded on both sides."""
    clip, hop = self._settings.clip, self._settings.clip_hop
    if len(samples) < clip:
      self._padded += 1
      before = (clip - len(samples)) // 2
      yield np.pad(samples, (before, clip - len(samples) - before))
      return
    count = 1 + (len(samples) - clip) // hop
    used = clip + (count - 1) * hop
    self.cut += count > 1
    self._trimmed += count == 1 and used < len(samples)
    start = (len(samples) - used) // 2
    for place in range(count):
      yield samples[start + place * hop : start + place * hop + clip]

  def notes(self) -> Iterator[str]:
    """Remarks on what was padded or cut, one per line."""
    length = f'{self._settings.clip_ms} ms'
    if self._padded:
      yield f'{self._padded:,} recordings shorter than {length} padded on both sides'
    if self._trimmed:
      yield f'{self._trimmed:,} recordings longer than {length} cut to their middle'
    if self.cut:
      hop = f'{1000 * self._settings.clip_hop // self._settings.sample_rate} ms'
      yield f'{self.cut:,} recordings longer than {length} cut into clips, one every {hop}'


class Collected:
  """Features, labels and groups of the examples of a split."""

  def __init__(self, settings: SoundSettings, *, copies: int, keep_samples: bool = False) -> None:
    self._settings, self._copies = settings, copies
    self._keeps_samples = keep_samples
    self._rng = np.random.default_rng(0)  # fixed: no data set depends on the seed of a search
    self._x: list[npt.NDArray[np.uint8]] = []
    self._more: list[npt.NDArray[np.uint8]] = []
    self._samples: list[Samples] = []
    self._more_samples: list[Samples] = []
    self._y: list[str] = []
    self._groups: list[str] = []

  def add(self, clip: Samples, label: str, group: str, noises: Sequence[Samples]) -> None:
    """Adds a clip, and its noisy copies."""
    self._x.append(self._settings.features(clip))
    if self._keeps_samples:
      self._samples.append(clip)
    self._y.append(label)
    self._groups.append(group)
    for _ in range(self._copies):
      changed = noisy_copy(clip, noises, rate=self._settings.sample_rate, rng=self._rng)
      self._more.append(self._settings.features(changed))
      if self._keeps_samples:
        self._more_samples.append(changed)

  def clips(self, *, grouped: bool) -> Clips:
    """The examples that were collected."""
    x = np.stack(self._x)
    samples = np.stack(self._samples) if self._keeps_samples else None
    return Clips(
      x,
      np.array(self._y, str),
      np.array(self._groups, str) if grouped else None,
      self._by_copy(self._more, x),
      samples,
      None if samples is None else self._by_copy(self._more_samples, samples),
    )

  def _by_copy(self, more: Sequence[Array], like: Array) -> Array:
    """Those of the copies, in the order in which they were added, as [copies, *like.shape]."""
    stacked = np.stack(more) if more else like[:0]
    return stacked.reshape(len(like), self._copies, *like.shape[1:]).swapaxes(0, 1)


def noisy_copy(
  clip: Samples, noises: Sequence[Samples], *, rate: int, rng: np.random.Generator
) -> Samples:
  """A clip that is moved by up to 100 ms, with noise that is 5 to 30 dB weaker.

  Args:
    clip: int16 [S].
    noises: recordings of noise, from which a piece is drawn; white noise if there are none.
    rate: samples per second.
    rng: draws shift, noise and its strength.
  """
  most = min(MOST_SHIFT_MS * rate // 1000, len(clip) - 1)
  shift = int(rng.integers(-most, most, endpoint=True))
  moved = np.zeros(len(clip))
  moved[max(0, shift) : len(clip) + min(0, shift)] = clip[
    max(0, -shift) : len(clip) - max(0, shift)
  ]
  usable = [noise for noise in noises if len(noise)]
  noise = rng.normal(size=len(clip))
  if usable:
    chosen = usable[int(rng.integers(len(usable)))]
    start = int(rng.integers(len(chosen)))
    noise = np.resize(np.roll(chosen, -start), len(clip)).astype(np.float64)
  power, of_noise = np.mean(np.square(moved)), np.mean(np.square(noise))
  decibels = rng.uniform(*NOISE_DB)
  factor = np.sqrt(power / of_noise) * 10 ** (-decibels / 20) if of_noise else 0.0
  return np.clip(np.rint(moved + factor * noise), -32768, 32767).astype(np.int16)
