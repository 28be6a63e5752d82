"""Small recordings of sound: tones, chirps and noise, in WAV files."""

from __future__ import annotations

import pathlib

import numpy as np
from scipy.io import wavfile

RATE = 8000
CLASSES = ('chirp', 'hiss', 'tone')


def recording(rng: np.random.Generator, kind: str, *, seconds: float = 0.5, rate: int = RATE):
  """A recording of a class, int16, of random pitch and loudness."""
  time = np.arange(round(seconds * rate)) / rate
  pitch = rng.uniform(400, 900)
  wave = {
    'tone': np.sin(2 * np.pi * pitch * time),
    'chirp': np.sin(2 * np.pi * (pitch + 1500 * time) * time),
    'hiss': rng.normal(size=len(time)) / 3,
  }[kind]
  wave = wave * rng.uniform(0.1, 0.8) + rng.normal(size=len(time)) * 0.003
  return np.clip(np.rint(32767 * wave), -32768, 32767).astype(np.int16)


def write(path: pathlib.Path, samples: np.ndarray, *, rate: int = RATE) -> pathlib.Path:
  """Writes a WAV file, and its folders."""
  path.parent.mkdir(parents=True, exist_ok=True)
  wavfile.write(path, rate, samples)
  return path


def write_folder(root: pathlib.Path, *, each: int = 12, seconds: float = 0.5) -> pathlib.Path:
  """Writes a folder of recordings by class."""
  rng = np.random.default_rng(0)
  for kind in CLASSES:
    for number in range(each):
      write(root / kind / f'{number:02}.wav', recording(rng, kind, seconds=seconds))
  return root
