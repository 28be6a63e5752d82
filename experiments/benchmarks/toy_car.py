"""Sounds of a small electric car, synthesised: what benchmark_anomaly.py learns from.

They are not recordings. ToyADMOS (Koizumi et al. 2019, arXiv:1908.03299, section 3) records toy
cars on a stand, whose anomalies are deliberate faults: a bent shaft, deformed gears, a melted tyre,
a voltage too high or too low. Here a motor gives harmonics of its speed, a pair of gears its mesh
tone with sidebands, and tyres broad noise; each fault changes one of them:

  shaft    the speed swings once a turn, which widens all harmonics
  gears    a tooth knocks once a turn, and the sidebands of the mesh tone grow
  tyre     the noise pulses once a turn of the wheel
  voltage  the motor runs a twentieth faster or slower

Features are as in ad01: 128 log mel bands of frames of 64 ms, five frames an example.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlnas.data.assembling import assemble
from rlnas.data.dataset import Dataset
from rlnas.data.tasks import Task

SAMPLE_RATE = 16_000
FAULTS = ('shaft', 'gears', 'tyre', 'voltage')
SOURCE = 'synthesised as ToyADMOS describes its toy cars; no recordings'

_FRAME, _HOP, _MELS, _FRAMES = 1024, 512, 128, 5
_SECONDS = 1.0
_TEETH, _WHEEL = 9, 4.0  # teeth of the motor's gear; turns of the motor to one of the wheel

Float = npt.NDArray[np.float64]


def clip(rng: np.random.Generator, fault: str | None = None) -> Float:
  """One second of sound. [samples]."""
  time = np.arange(int(_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
  speed = rng.uniform(95, 105)  # turns a second
  if fault == 'voltage':
    speed *= rng.choice((0.95, 1.05))
  drift = 1 + 0.01 * np.sin(2 * np.pi * rng.uniform(0.2, 1) * time + rng.uniform(0, 6))
  turns = np.cumsum(speed * drift) / SAMPLE_RATE
  if fault == 'shaft':
    turns = turns + 0.015 * rng.uniform(0.7, 1.3) * np.sin(2 * np.pi * turns)
  motor = sum(
    rng.uniform(0.8, 1.2) / k * np.sin(2 * np.pi * k * turns + rng.uniform(0, 6))
    for k in range(1, 9)
  )
  depth = rng.uniform(0.3, 0.5) if fault == 'gears' else rng.uniform(0.05, 0.15)
  once = 1 + depth * np.sin(2 * np.pi * turns)
  mesh = once * np.sin(2 * np.pi * _TEETH * turns) + 0.4 * once * np.sin(4 * np.pi * _TEETH * turns)
  noise = 0.3 * rng.normal(size=time.size)
  if fault == 'tyre':
    noise *= 1 + rng.uniform(0.2, 0.4) * np.sin(2 * np.pi * turns / _WHEEL)
  if fault == 'gears':
    noise += 0.6 * rng.normal(size=time.size) * (np.mod(turns, 1) < 0.04)
  room = 0.1 * 10 ** rng.uniform(-1, 1) * rng.normal(size=time.size)
  return rng.uniform(0.8, 1.2) * (motor + 0.7 * mesh + noise) + room


def log_mel(sound: Float) -> Float:
  """Log mel energies in decibels. [frames, 128]."""
  starts = range(0, len(sound) - _FRAME + 1, _HOP)
  frames = np.stack([sound[s : s + _FRAME] for s in starts]) * np.hanning(_FRAME)
  power = np.square(np.abs(np.fft.rfft(frames)))  # [frames, bins]
  return 10 * np.log10(power @ _filters().T + 1e-6)


def _filters() -> Float:
  """Triangles that are evenly spaced in mel (Davis & Mermelstein 1980). [128, bins]."""
  top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
  edges = 700 * (10 ** (np.linspace(0, top, _MELS + 2) / 2595) - 1)  # Hz
  bins = np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE)
  low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
  return np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))


def windows(rng: np.random.Generator, clips: int, *, faulty: bool) -> Float:
  """Examples of some clips, five of each. [N, 5, 128]."""
  found = []
  for number in range(clips):
    features = log_mel(clip(rng, FAULTS[number % len(FAULTS)] if faulty else None))
    for start in np.linspace(0, len(features) - _FRAMES, _FRAMES).astype(int):
      found.append(features[start : start + _FRAMES])
  return np.stack(found)


def toy_car(*, clips: int = 400, seed: int = 0) -> Dataset:
  """The data: `clips` normal clips to train on; to validate and to test a quarter of each kind.

  Returns:
    float32 [N, 5, 128], in decibels.
  """
  rng = np.random.default_rng(seed)
  parts = {}
  for split, normal, odd in (
    ('train', clips, 0),
    ('val', clips // 4, clips // 4),
    ('test', clips // 4, clips // 4),
  ):
    fine = windows(rng, normal, faulty=False)
    rest = windows(rng, odd, faulty=True) if odd else fine[:0]
    x = np.concatenate([fine, rest]).astype(np.float32)
    parts[split] = x, np.repeat([0, 1], [len(fine), len(rest)])
  return assemble(
    'toy_car',
    parts['train'],
    val=parts['val'],
    test=parts['test'],
    source=SOURCE,
    task=Task.ANOMALY,
  )
