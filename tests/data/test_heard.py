"""Data of sound as networks with front ends of their own hear them."""

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import rlnas
from rlnas.architecture import Architecture, Node
from rlnas.cost.hearing import Hearing
from rlnas.cost.preprocessing import with_preprocessing
from rlnas.data.assembling import assemble
from rlnas.data.dataset import validate
from rlnas.data.heard import features_of
from rlnas.data.shared_features import FOLDER, made_once, shared_features
from rlnas.data.windowed import through
from tests import sounds

SETTINGS = rlnas.data.SoundSettings(
  clip_ms=500, sample_rate=sounds.RATE, mel_bins=12, frame_ms=32, noisy_copies=2
)
PLAIN = Architecture((Node('input'), Node('global_avg_pool', (0,)), Node('classifier', (1,))))
OTHER = Hearing('log_mel', sounds.RATE, 500, 16, 10, 8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Recordings by class, some longer than a clip, and noise, of which silence is made."""
  root = sounds.write_folder(tmp_path_factory.mktemp('sounds') / 'all', each=5)
  rng = np.random.default_rng(3)
  noise = sounds.recording(rng, 'hiss', seconds=4)
  sounds.write(root / '_background_noise_' / 'hiss.wav', noise)
  sounds.write(root / 'tone' / 'long.wav', sounds.recording(rng, 'tone', seconds=1.2))
  return root


@pytest.fixture(scope='module')
def data(folder):
  return rlnas.data.load(folder, sound=SETTINGS, keep_samples=True)


def splits(data):
  return data.x_train, data.x_val, data.x_test


def test_the_samples_make_the_features_of_today_to_the_bit(folder, data):
  plain = rlnas.data.load(folder, sound=SETTINGS)
  assert plain.samples is None
  for x, kept, samples in zip(splits(plain), splits(data), data.samples, strict=True):
    np.testing.assert_array_equal(kept, x)
    np.testing.assert_array_equal(features_of(samples, SETTINGS), x)
  assert len(data.samples.train) == len(data.y_train)  # with noisy copies
  assert '_silence_' in data.class_names
  assert plain.digest == dataclasses.replace(data, samples=None).digest != data.digest
  np.testing.assert_array_equal(plain.y_train, data.y_train)
  listed = folder / 'list.csv'
  listed.write_text(
    'file,label\n' + ''.join(f'tone/0{i % 5}.wav,{"ab"[i % 2]}\n' for i in range(9))
  )
  some = rlnas.data.load(listed, sound=SETTINGS, keep_samples=True, group='none')
  np.testing.assert_array_equal(features_of(some.samples.val, SETTINGS), some.x_val)
  listed.unlink()


@pytest.mark.parametrize('way', [rlnas.data.as_sequences, rlnas.data.as_row, rlnas.data.as_images])
def test_a_network_hears_the_same_clips_by_its_own_front_end(data, way):
  shaped = way(data)
  network, seen = through(with_preprocessing(PLAIN, OTHER), shaped)
  assert network == PLAIN
  validate(seen)
  own = dataclasses.replace(SETTINGS, mel_bins=8, frame_ms=16, frame_hop_ms=10)
  assert seen.sound == own
  assert seen.preprocessing == OTHER
  for x, samples in zip(splits(seen), data.samples, strict=True):
    np.testing.assert_array_equal(x.reshape(-1, 49, 8), features_of(samples, own))
  assert sorted(seen.input_shape) == sorted([49, 8, *[1] * (len(shaped.input_shape) - 2)])
  assert seen.given is shaped
  assert seen.scaling == data.scaling
  assert str(own) in seen.notes
  assert str(SETTINGS) not in seen.notes
  _, same = through(with_preprocessing(PLAIN, SETTINGS.hearing), shaped)
  np.testing.assert_array_equal(same.x_train, shaped.x_train)
  assert through(with_preprocessing(PLAIN, OTHER), shaped)[1].x_train is seen.x_train


def test_the_front_end_of_tflite_micro_hears_them_as_well(folder):
  settings = dataclasses.replace(SETTINGS, front_end='micro', noisy_copies=0)
  data = rlnas.data.load(folder, sound=settings, keep_samples=True)
  np.testing.assert_array_equal(features_of(data.samples.val, settings), data.x_val)
  _, seen = through(with_preprocessing(PLAIN, dataclasses.replace(OTHER, front_end='micro')), data)
  assert seen.input_shape == (49, 8)
  assert seen.x_val.max() > 100
  with pytest.raises(ValueError, match='hearing: reads Hearing'):
    through(with_preprocessing(PLAIN, OTHER), data)


def test_parts_of_the_data_keep_their_samples(data):
  few = rlnas.data.take(data, 7)
  np.testing.assert_array_equal(few.samples.train, data.samples.train[:7])
  assert len(through(with_preprocessing(PLAIN, OTHER), few)[1].x_train) == 7
  searched = data.without_test()
  assert len(searched.samples.test) == len(searched.x_test) == 0
  assert len(through(with_preprocessing(PLAIN, OTHER), searched)[1].x_test) == 0


def test_anomalies_keep_the_samples_of_their_split():
  rng = np.random.default_rng(0)
  x, samples = rng.integers(1, 255, (30, 4, 3)).astype(np.uint8), np.zeros((30, 9), np.int16)
  samples[:, 0] = x[:, 0, 0]
  y = np.array(['normal'] * 24 + ['anomaly'] * 6)
  copies, copied = x[np.newaxis], samples[np.newaxis]
  found = assemble(
    *('made', (x, y)),
    **{'source': 'here', 'sound': SETTINGS, 'copies': copies, 'task': 'anomaly'},
    **{'samples': {'train': samples}, 'copied_samples': copied},
  )
  for of_split, kept in zip(splits(found), found.samples, strict=True):
    np.testing.assert_array_equal(of_split[:, 0, 0], kept[:, 0])


@pytest.mark.parametrize(
  ('hearing', 'rule'),
  [
    (dataclasses.replace(OTHER, clip_ms=600), 'hearing: reads Hearing'),
    (dataclasses.replace(OTHER, sample_rate=16_000), 'hearing: reads Hearing'),
    (dataclasses.replace(OTHER, frame_hop_ms=20), 'frame_hop_ms=20: must be at most'),
    (dataclasses.replace(OTHER, mel_bins=100), 'mel_bins=100'),
  ],
)
def test_other_clips_and_wrong_settings_are_refused(data, hearing, rule):
  with pytest.raises(ValueError, match=rule):
    through(with_preprocessing(PLAIN, hearing), data)


def test_data_without_samples_are_refused(data):
  with pytest.raises(ValueError, match='all has no samples; must be sound'):
    through(with_preprocessing(PLAIN, OTHER), dataclasses.replace(data, samples=None))


def heard_by_a_process(data, made, results):
  """What a worker does: it asks for two front ends, and counts the clips that it computes."""
  before = rlnas.data.SoundSettings.features
  counted = 0

  def counting(self, samples):
    nonlocal counted
    counted += 1
    return before(self, samples)

  rlnas.data.SoundSettings.features = counting
  made.wait()
  found = [
    through(with_preprocessing(PLAIN, hearing), data)[1].x_train
    for hearing in (OTHER, dataclasses.replace(OTHER, mel_bins=6))
  ]
  results.put((counted, [int(x.astype(int).sum()) for x in found]))


def test_two_processes_make_the_features_once(data, tmp_path):
  context = multiprocessing.get_context('spawn')
  made, results = context.Barrier(2), context.Queue()
  with shared_features(data, tmp_path) as shared:
    workers = [
      context.Process(target=heard_by_a_process, args=(shared, made, results)) for _ in range(2)
    ]
    for worker in workers:
      worker.start()
    (one, sums), (other, same) = (results.get(timeout=300) for _ in workers)
    for worker in workers:
      worker.join()
    clips = sum(map(len, data.samples))
    assert one + other == 2 * clips
    assert sums == same
    _, seen = through(with_preprocessing(PLAIN, OTHER), shared)
    assert not seen.x_train.flags.writeable  # a map of the file
    own = dataclasses.replace(SETTINGS, mel_bins=8, frame_ms=16, frame_hop_ms=10)
    np.testing.assert_array_equal(seen.x_val, features_of(data.samples.val, own))
    few = rlnas.data.take(shared, 5)
    assert len(through(with_preprocessing(PLAIN, OTHER), few)[1].x_train) == 5
  assert not list(tmp_path.iterdir())
  # Without the folder, as on another machine, each makes its own.
  alone = dataclasses.replace(shared)
  np.testing.assert_array_equal(
    through(with_preprocessing(PLAIN, OTHER), alone)[1].x_val, seen.x_val
  )
  assert not list(tmp_path.iterdir())


OWNER = """
import pathlib, sys, time
import numpy as np
import rlnas
from rlnas.data.shared_features import made_once, shared_features
data = rlnas.data.load(sys.argv[1], sound=rlnas.data.SoundSettings(), keep_samples=True)
with shared_features(data, sys.argv[2]) as shared:
  made_once(shared.heard_in, 'one', lambda: np.zeros(3))
  print(shared.heard_in, flush=True)
  time.sleep(600)
"""


@pytest.mark.slow
def test_what_a_killed_search_left_is_removed_by_the_next(folder, data, tmp_path):
  command = [sys.executable, '-c', OWNER, folder, tmp_path]
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as search:
    left = search.stdout.readline().strip()
    with shared_features(data, tmp_path) as shared:
      made_once(shared.heard_in, 'one', lambda: np.zeros(3))
      assert len(list((tmp_path / FOLDER).glob('*/one.npy'))) == 2  # that of a running one stays
    os.kill(search.pid, signal.SIGKILL)
  assert [str(path) for path in (tmp_path / FOLDER).iterdir() if path.is_dir()] == [left]
  with shared_features(data, tmp_path):
    assert len(list((tmp_path / FOLDER).glob('*/'))) == 1
  assert not list(tmp_path.iterdir())


def test_data_without_samples_share_nothing(tmp_path):
  digits = rlnas.data.digits()
  with shared_features(digits, tmp_path) as same:
    assert same is digits
  assert not list(tmp_path.iterdir())
