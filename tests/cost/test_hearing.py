"""What front ends of sound take of a chip; tests/export/test_sound_files.py asks the compilers."""

import dataclasses

import pytest

import rlnas
from rlnas.cost.preprocessing import memory_of

USUAL = rlnas.data.SoundSettings()
SETTINGS = [
  USUAL,
  rlnas.data.SoundSettings(clip_ms=500, sample_rate=8000, mel_bins=20, frame_ms=25),
  rlnas.data.SoundSettings(sample_rate=11_025, mel_bins=17, frame_ms=33, frame_hop_ms=11),
  rlnas.data.SoundSettings(mel_bins=64, frame_ms=128, frame_hop_ms=128),
]


@pytest.mark.parametrize('sound', SETTINGS)
def test_flash_has_the_tables_of_the_front_end(sound):
  front_end, hearing = sound.log_mel, sound.hearing
  assert hearing.frame == front_end.frame
  assert hearing.points == front_end.points
  assert hearing.frames == sound.frames == front_end.frames_of(sound.clip)
  triangles = front_end.triangles
  numbers = [*front_end.sines, *(weights for _, weights in triangles), front_end.window]
  shorts = sum(map(len, numbers)) + 2 * len(triangles)
  assert hearing.flash_bytes == 2 * shorts + 4 * len(front_end.mantissas)


def test_the_usual_front_end_takes_5_kb_of_sram():
  assert USUAL.hearing.sram_bytes == 49 * 40 + 2 * 4 + 480 * 2 + 4 + 2 * 4 * 256
  assert memory_of(USUAL.hearing) == (USUAL.hearing.flash_bytes, USUAL.hearing.sram_bytes)
  assert memory_of(None) == (0, 0)


def test_more_frames_and_longer_transforms_take_more():
  def sram(**changes):
    return dataclasses.replace(USUAL, **changes).hearing.sram_bytes

  assert sram(frame_hop_ms=10) - sram() == (98 - 49) * 40
  assert sram(mel_bins=20) == sram() - 49 * 20
  assert sram(frame_ms=40) - sram() == 2 * 160 + 4 * 512
  micro = dataclasses.replace(USUAL, front_end='micro').hearing
  assert micro.flash_bytes == 0
  assert micro.sram_bytes > sram()


def test_the_settings_of_the_data_are_those_of_a_network():
  other = dataclasses.replace(USUAL, mel_bins=20, noisy_copies=3, clip_hop_ms=500)
  assert USUAL.heard_by(other.hearing) == dataclasses.replace(USUAL, mel_bins=20)
  with pytest.raises(ValueError, match='hearing: reads Hearing'):
    USUAL.heard_by(dataclasses.replace(USUAL, clip_ms=900).hearing)
