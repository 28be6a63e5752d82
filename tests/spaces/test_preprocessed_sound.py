"""Networks that decide how they hear sound, over a space of any other networks."""

import collections

import numpy as np
import pytest

import rlnas
from rlnas.architecture import Architecture, Node, TaskShape, infer_shapes
from rlnas.cost.cost import estimate_cost
from rlnas.cost.hearing import Hearing
from rlnas.cost.preprocessing import (
  behind_preprocessing,
  preprocessing_of,
  with_input_of,
  with_preprocessing,
)
from rlnas.spaces import PreprocessedSound, Temporal
from rlnas.spaces.decision import decode
from rlnas.spaces.preprocessed_sound import choices_around
from rlnas.spaces.table import compile_table, enumerate_tokens
from rlnas.strategies.network_features import traits

INNER = Temporal(max_depth=1, first_kernels=(3,), filters=(4,))
# 15 ms are 128 points, in which 72 triangles do not fit; and 20 ms are no hop of such frames.
SMALL = PreprocessedSound(
  INNER, 500, 8000, mel_bins=(72, 8), frame_ms=(32, 15), frame_hop_ms=(20, 10)
)
PLAIN = Architecture((Node('input'), Node('relu', (0,))))


def networks(space):
  table = compile_table(space)
  return [decode(space, tokens) for tokens in enumerate_tokens(table)]


def test_what_does_not_fit_together_is_left_out():
  found = networks(SMALL)
  counts = collections.Counter(map(preprocessing_of, found))
  settings = [(32, 20, 72), (32, 20, 8), (32, 10, 72), (32, 10, 8), (15, 10, 8)]
  assert set(counts) == {Hearing('log_mel', 8000, 500, *setting) for setting in settings}
  assert set(counts.values()) == {len(networks(INNER))}
  assert len({network.digest for network in found}) == len(found)
  assert SMALL.one_row


@pytest.mark.parametrize(
  ('setting', 'rule'),
  [
    ({'mel_bins': ()}, r'mel_bins=\(\): must be distinct positive integers'),
    ({'frame_ms': (30, 30)}, r'frame_ms=\(30, 30\): must be distinct'),
    ({'frame_hop_ms': (0, 10)}, r'frame_hop_ms=\(0, 10\): must be distinct positive'),
    ({'frame_hop_ms': (20, 50)}, 'frame_hop_ms=50: must be at most frame_ms=30'),
    ({'frame_ms': (20,), 'mel_bins': (40, 200)}, 'mel_bins=200: number 1 holds no frequency'),
    ({'frame_ms': (30, 600)}, 'clip_ms=500: must be at least frame_ms=600'),
    ({'front_end': 'mfcc'}, "front_end='mfcc': must be one of log_mel, micro"),
    ({'sample_rate': 0}, 'sample_rate=0: must be 1000 to 96000'),
  ],
)
def test_what_never_fits_is_refused(setting, rule):
  with pytest.raises(ValueError, match=rule):
    PreprocessedSound(**{'space': INNER, 'clip_ms': 500, 'sample_rate': 16_000} | setting)


def test_choices_lie_around_the_settings_of_the_data():
  usual = PreprocessedSound(INNER, 1000, 16_000)
  around = choices_around(rlnas.data.SoundSettings())
  assert around == {name: getattr(usual, name) for name in around}
  assert around == {'mel_bins': (40, 30, 20), 'frame_ms': (30, 40), 'frame_hop_ms': (20, 10, 30)}
  # Longer hops would lose samples, and longer frames would not fit the transform.
  long = rlnas.data.SoundSettings(mel_bins=64, frame_ms=128, frame_hop_ms=128)
  expected = {'mel_bins': (64, 48, 32), 'frame_ms': (128,), 'frame_hop_ms': (128, 64)}
  assert choices_around(long) == expected
  # Beside choices that are given, only what fits one of them.
  some = choices_around(rlnas.data.SoundSettings(), {'frame_ms': (20, 25)})
  assert some == {'mel_bins': (40, 30, 20), 'frame_hop_ms': (20, 10)}


@pytest.mark.parametrize(
  ('shape', 'heard'), [((24, 12), (49, 8)), ((1, 24, 12), (1, 49, 8)), ((24, 12, 1), (49, 8, 1))]
)
def test_the_front_end_decides_the_shape(shape, heard):
  network = with_preprocessing(PLAIN, Hearing('log_mel', 8000, 500, 15, 10, 8))
  task = TaskShape(shape, 3)
  assert infer_shapes(network, task) == (heard, heard)
  assert behind_preprocessing(network, task) == (PLAIN, TaskShape(heard, 3))
  assert Architecture.from_json(network.to_json()) == network
  assert with_input_of(PLAIN, network) == network
  assert with_input_of(network, PLAIN) == PLAIN


@pytest.mark.parametrize(
  ('hearing', 'shape'),
  [
    (Hearing('log_mel', 8000, 500, 32, 20, 12), (8, 8, 3)),  # images
    (Hearing('log_mel', 8000, 30, 32, 20, 12), (24, 12)),  # no frame in a clip
    (Hearing('log_mel', 900, 500, 32, 1, 12), (24, 12)),  # no sample in a hop
  ],
)
def test_a_front_end_that_does_not_fit_is_refused(hearing, shape):
  with pytest.raises(ValueError, match=r'node 0: -?\d+ frames of sound in place of examples'):
    infer_shapes(with_preprocessing(PLAIN, hearing), TaskShape(shape, 3))


@pytest.mark.parametrize(('name', 'value'), [('front_end', 'mfcc'), ('mel_bins', 0)])
def test_attributes_of_the_input_are_checked(name, value):
  attributes = dict(Hearing('log_mel', 8000, 500, 32, 20, 12).attributes) | {name: value}
  with pytest.raises(ValueError, match=rf'node 0 \(input\): {name}='):
    Architecture((Node('input', (), tuple(sorted(attributes.items()))),))


def test_the_cost_is_that_of_the_network_behind_and_of_its_front_end():
  hearing, task = Hearing('log_mel', 8000, 500, 15, 10, 8), TaskShape((1, 24, 12), 5)
  whole = networks(INNER)[0]
  behind = estimate_cost(whole, TaskShape((1, 49, 8), 5))
  found = estimate_cost(with_preprocessing(whole, hearing), task)
  assert found.flash_bytes == behind.flash_bytes + hearing.flash_bytes
  assert found.sram_bytes == behind.sram_bytes + hearing.sram_bytes
  for name in ('macs', 'parameters', 'arena_head_bytes'):
    assert getattr(found, name) == getattr(behind, name)


def test_features_of_networks_tell_front_ends_apart():
  whole = networks(INNER)[0]
  one, other = (
    with_preprocessing(whole, Hearing('log_mel', 8000, 500, *s)) for s in ((32, 20, 8), (16, 10, 8))
  )
  np.testing.assert_array_equal(traits(one)[:-3], traits(whole))
  np.testing.assert_allclose(
    traits(other) - traits(one), [*[0] * len(traits(whole)), np.log(49 / 24), np.log(16 / 32), 0]
  )
