"""Reads WAV files as 16-bit samples of one channel at one rate."""

from __future__ import annotations

import collections
import math
import pathlib
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.files import UNREADABLE, existing, refuse

Samples = npt.NDArray[np.int16]


class WavReader:
  """Reads WAV files, and counts the conversions that they needed.

  Args:
    sample_rate: samples per second that all files are converted to.
  """

  def __init__(self, sample_rate: int) -> None:
    self._sample_rate = sample_rate
    self._resampled: collections.Counter[int] = collections.Counter()
    self._mixed = 0

  def read(self, path: pathlib.Path) -> Samples:
    """The samples of a file. int16 [S].

    Integers of 8, 16, 24 and 32 bits and floats are read. Several channels become their mean; of
    another rate, samples are resampled by a polyphase filter (`scipy.signal.resample_poly`).

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not a readable WAV file, is empty, or holds values that are not finite.
    """
    existing(path)
    from scipy.io import wavfile  # here, since other data need none of it

    try:
      with warnings.catch_warnings():
        warnings.simplefilter('ignore', wavfile.WavFileWarning)  # of chunks that are not samples
        rate, raw = wavfile.read(path)
    except (*UNREADABLE, AttributeError) as error:
      refuse(path, 'is not a readable WAV file of integers or floats', error)
    if not raw.size or rate < 1:
      raise ValueError(f'{path}: has no samples; must have at least one')
    values = _as_float(path, raw)
    if values.ndim == 2:
      self._mixed += values.shape[1] > 1
      values = values.mean(1)
    if rate != self._sample_rate:
      from scipy.signal import resample_poly

      self._resampled[int(rate)] += 1
      shared = math.gcd(int(rate), self._sample_rate)
      values = resample_poly(values, self._sample_rate // shared, int(rate) // shared)
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)

  def notes(self) -> tuple[str, ...]:
    """Remarks on what was changed, one per line."""
    found = [
      f'{count:,} WAV files of {rate:,} Hz resampled to {self._sample_rate:,} Hz'
      for rate, count in sorted(self._resampled.items())
    ]
    if self._mixed:
      found.append(f'{self._mixed:,} WAV files of several channels mixed to one')
    return tuple(found)


def _as_float(path: pathlib.Path, raw: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
  """Samples of any type in units of 16-bit samples. Raises ValueError."""
  values = raw.astype(np.float64)
  if raw.dtype.kind == 'f':
    if not np.isfinite(values).all():
      raise ValueError(f'{path}: holds NaN or infinite samples; all must be finite')
    return values * 32768
  if raw.dtype == np.uint8:
    return (values - 128) * 256
  return values / 2 ** (8 * raw.dtype.itemsize - 16)  # those of 24 bits fill the upper of 32
