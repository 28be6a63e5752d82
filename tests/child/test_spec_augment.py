"""Moves and masks of the features of sound."""

import numpy as np
import pytest

import rlnas
from rlnas.architecture import Architecture, Node
from rlnas.backend import tf
from rlnas.child.augment import NO_AUGMENTATION
from rlnas.child.builder import build
from rlnas.child.spec_augment import SpecAugment, as_heard, for_sound
from rlnas.child.train import train
from rlnas.cost.hearing import Hearing
from rlnas.cost.preprocessing import with_preprocessing
from rlnas.data.windowed import through
from rlnas.spaces.decision import decode
from rlnas.spaces.table import sample_uniform
from tests import sounds

SETTINGS = rlnas.data.SoundSettings(clip_ms=500, sample_rate=sounds.RATE, mel_bins=16, frame_ms=32)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return rlnas.data.load(sounds.write_folder(tmp_path_factory.mktemp('sounds')), sound=SETTINGS)


@pytest.mark.parametrize('shape', [(4, 5), (1, 4, 5), (4, 5, 1)])
def test_moves_and_masks_in_every_shape(shape):
  x = np.arange(1, 21, dtype=np.uint8).reshape(4, 5)
  examples = tf.constant(np.stack([x.reshape(shape)] * 4))
  changes = tf.constant([[0] * 5, [1, 0, 0, 0, 0], [-1, 3, 2, 0, 0], [0, 0, 1, 2, 2]])
  made = SpecAugment(4, 5, shift=1, masked_bins=2, masked_frames=2, fill=99)
  found = made.apply(examples, changes).numpy()
  assert found.dtype == np.uint8
  assert found.shape == (4, *shape)
  found = found.reshape(4, 4, 5)
  np.testing.assert_array_equal(found[0], x)
  np.testing.assert_array_equal(found[1], x[[0, 0, 1, 2]])
  np.testing.assert_array_equal(found[2, :, :3], x[[1, 2, 3, 3], :3])
  assert (found[2, :, 3:] == 99).all()
  np.testing.assert_array_equal(found[3, :2, 1:], x[:2, 1:])
  assert (found[3, :, 0] == 99).all()
  assert (found[3, 2:] == 99).all()


def test_changes_are_in_their_ranges_and_all_occur():
  made = SpecAugment(6, 4, shift=2, masked_bins=1, masked_frames=3)
  changes = made.draw(np.random.default_rng(0), (50, 40)).reshape(-1, 5)
  assert set(changes[:, 0]) == {-2, -1, 0, 1, 2}
  assert set(map(tuple, changes[:, 1:3])) == {(i, n) for n in (0, 1) for i in range(5 - n)}
  assert set(map(tuple, changes[:, 3:])) == {(i, n) for n in range(4) for i in range(7 - n)}


def test_what_suits_sound(data):
  made = for_sound(data)
  mean = round(data.x_train.mean())
  assert made == SpecAugment(24, 16, shift=5, masked_bins=2, masked_frames=3, fill=mean)
  assert for_sound(data, masks=False, shift=1) == SpecAugment(24, 16, shift=1, fill=mean)
  with pytest.raises(ValueError, match='must be recordings of sound'):
    for_sound(rlnas.data.digits())
  for shape in ((24, 16), (1, 24, 16), (24, 16, 1)):
    made.check_reads(shape)
  with pytest.raises(ValueError, match=r'frames=24, bins=16: examples have the shape \(16, 24\)'):
    made.check_reads((16, 24))


@pytest.mark.parametrize(
  ('setting', 'rule'),
  [
    ({'frames': 0}, 'at least 1'),
    ({'shift': 5}, '0 to 4'),
    ({'masked_bins': 6}, '0 to 5'),
    ({'masked_frames': -1}, '0 to 4'),
  ],
)
def test_wrong_sizes_are_refused(setting, rule):
  with pytest.raises(ValueError, match=f'^{next(iter(setting))}=.*{rule}'):
    SpecAugment(**{'frames': 4, 'bins': 5} | setting)


@pytest.mark.slow
def test_a_network_trains_on_changed_examples(data):
  table = rlnas.compile_table(rlnas.Temporal(max_depth=1))
  row = rlnas.data.as_row(data)
  network = decode(table.space, sample_uniform(table, np.random.default_rng(0)))
  losses = {}
  for name, changes in (('masked', for_sound(data)), ('plain', None)):
    given = {} if changes is None else {'augmentation': changes}
    for run in range(2):
      model = build(network, row.task, seed=0)
      losses[name, run] = train(model, row, epochs=2, seed=0, batch_size=8, **given)
  assert losses['masked', 0] == losses['masked', 1]
  assert losses['masked', 0] != losses['plain', 0]


def test_a_network_with_a_front_end_of_its_own_has_the_same_moves_and_masks(tmp_path):
  root = sounds.write_folder(tmp_path)
  data = rlnas.data.load(root, sound=SETTINGS, keep_samples=True)
  hearing = Hearing('log_mel', sounds.RATE, 500, 16, 10, 8)
  network = Architecture((Node('input'), Node('global_avg_pool', (0,)), Node('classifier', (1,))))
  _, seen = through(with_preprocessing(network, hearing), data)
  usual = for_sound(data)
  assert (usual.shift, usual.masked_bins, usual.masked_frames) == (5, 2, 3)  # frames of 20 ms
  assert as_heard(data, usual) is usual
  found = as_heard(seen, usual)
  assert found == SpecAugment(
    49, 8, shift=10, masked_bins=1, masked_frames=6, fill=round(data.scaling.offset)
  )
  assert found == for_sound(seen)
  plain = as_heard(seen, for_sound(data, masks=False, shift=0))
  assert plain == SpecAugment(49, 8, fill=round(data.scaling.offset))
  assert as_heard(seen, NO_AUGMENTATION) is NO_AUGMENTATION
