"""The front end in integers, against the same computation in floating point."""

import numpy as np
import pytest

from rlnas.cost.mel_bank import LOWEST_HZ
from rlnas.data.log_mel import MOST_POINTS, LogMel
from tests import sounds

FRONT_END = LogMel(16_000, 480, 320, 40)
SETTINGS = [(16_000, 480, 320, 40), (8000, 200, 80, 20), (48_000, MOST_POINTS, 1024, 64)]


def in_float(front_end: LogMel, samples: np.ndarray) -> np.ndarray:
  """The features in float64, before they are rounded down and limited. [frames, bins]."""
  starts = front_end.hop * np.arange(front_end.frames_of(len(samples)))
  frames = samples[starts[:, np.newaxis] + np.arange(front_end.frame)].astype(float)
  turn = 2 * np.pi * np.arange(front_end.frame) / front_end.frame
  power = np.abs(np.fft.rfft(frames * (0.5 - 0.5 * np.cos(turn)), front_end.points)) ** 2
  hertz = np.arange(power.shape[1]) * front_end.sample_rate / front_end.points
  mel = 1127 * np.log1p(hertz / 700)
  top = 1127 * np.log1p(front_end.sample_rate / 2 / 700)
  edges = np.linspace(1127 * np.log1p(LOWEST_HZ / 700), top, front_end.bins + 2)
  energy = np.stack(
    [(power * np.interp(mel, edges[i : i + 3], [0, 1, 0])).sum(1) for i in range(front_end.bins)],
    1,
  )
  return 6 * (np.log2(np.maximum(energy, 1)) - 8)


@pytest.mark.parametrize('settings', SETTINGS)
@pytest.mark.parametrize('kind', sounds.CLASSES)
def test_features_are_half_decibels_of_mel_energies(settings, kind):
  front_end = LogMel(*settings)
  rng = np.random.default_rng(1)
  samples = sounds.recording(rng, kind, seconds=1, rate=front_end.sample_rate)
  expected = np.clip(in_float(front_end, samples), 0, 255)
  found = front_end.features(samples).astype(float)
  loud = expected > 30
  assert loud.mean() > 0.5
  assert np.abs(found - (expected - 0.5))[loud].max() < 1.1  # rounded down: within one step
  assert np.abs(found - (expected - 0.5)).mean() < 0.35


@pytest.mark.parametrize('settings', SETTINGS)
def test_no_sum_overflows_at_full_scale(settings):
  front_end = LogMel(*settings)
  time = np.arange(front_end.sample_rate)
  for wave in (
    np.full(len(time), -32768),
    np.where(time % 2, 32767, -32768),
    np.where((time * 3000 // front_end.sample_rate) % 2, 32767, -32768),
  ):
    samples = wave.astype(np.int16)
    expected = np.clip(in_float(front_end, samples), 0, 255)
    assert np.abs(front_end.features(samples) - (expected - 0.5))[expected > 150].max(initial=0) < 1


def test_silence_is_zero_and_a_frame_depends_on_its_samples_alone():
  assert not FRONT_END.features(np.zeros(16_000, np.int16)).any()
  samples = sounds.recording(np.random.default_rng(2), 'chirp', seconds=1, rate=16_000)
  whole = FRONT_END.features(samples)
  assert whole.shape == (49, 40)
  assert whole.dtype == np.uint8
  for frame in (0, 7, 48):
    alone = FRONT_END.features(samples[320 * frame : 320 * frame + 480])
    np.testing.assert_array_equal(alone, whole[frame : frame + 1])


def test_features_stay_what_they_are():
  rng = np.random.default_rng(3)  # integers alone: no library's rounding enters
  samples = rng.integers(-3000, 3000, 480).astype(np.int16)
  assert FRONT_END.features(samples)[0, :8].tolist() == [114, 118, 126, 135, 131, 131, 142, 132]


def test_twice_as_loud_is_twelve_steps_more():
  samples = np.random.default_rng(4).integers(-8000, 8000, 4800).astype(np.int16)
  soft, loud = (FRONT_END.features(x).astype(int) for x in (samples, 2 * samples))
  assert abs(loud - soft - 12).max() <= 1  # 6 dB


@pytest.mark.parametrize(
  ('settings', 'what'),
  [
    ((16_000, 2049, 320, 40), 'frame_ms'),
    ((16_000, 8, 8, 4), 'frame_ms'),
    ((16_000, 160, 80, 80), 'mel_bins=80'),
  ],
)
def test_refused(settings, what):
  with pytest.raises(ValueError, match=what):
    LogMel(*settings)
