"""Recordings of sound in WAV files, as they are read."""

import csv
import dataclasses

import numpy as np
import pytest
from scipy.io import wavfile

import rlnas
from rlnas.data.labelled import load_labelled
from rlnas.data.sound_clips import noisy_copy
from rlnas.data.wav_files import WavReader
from tests import sounds

SMALL = rlnas.data.SoundSettings(clip_ms=500, sample_rate=sounds.RATE, mel_bins=12, frame_ms=32)


@pytest.fixture
def folder(tmp_path):
  return sounds.write_folder(tmp_path / 'sounds')


def test_a_folder_of_recordings_by_class(folder):
  data = rlnas.data.load(folder, sound=SMALL)
  assert data.class_names == sounds.CLASSES
  assert data.task.input_shape == (24, 12)
  assert data.x_train.dtype == np.uint8
  assert [len(y) for y in (data.y_train, data.y_val, data.y_test)] == [28, 4, 4]
  assert data.sound == SMALL
  assert data.scaling.offset == pytest.approx(data.x_train.mean())
  assert data.scaling.scale == pytest.approx(data.x_train.std())
  assert data.notes == (str(SMALL),)
  assert rlnas.data.load(folder, sound=SMALL).digest == data.digest
  # A tone has less of the highest frequencies than noise.
  top = data.x_train[..., -3:].mean((1, 2))
  assert top[data.y_train == 1].min() > top[data.y_train == 2].max()


def test_features_are_those_of_the_front_end(folder):
  first = wavfile.read(folder / 'tone' / '00.wav')[1]
  data = rlnas.data.load(folder, sound=SMALL)
  everything = np.concatenate([data.x_train, data.x_val, data.x_test])
  assert (everything == SMALL.features(first)).all((1, 2)).sum() == 1


def test_the_front_end_of_tflite_micro(folder):
  micro = rlnas.data.SoundSettings(clip_ms=500, sample_rate=sounds.RATE, front_end='micro')
  data = rlnas.data.load(folder, sound=micro)
  assert data.task.input_shape == (24, 40)
  assert data.x_train.max() > 100


@pytest.mark.parametrize(
  ('dtype', 'of_16_bits'),
  [
    (np.uint8, lambda x: x // 256 + 128),
    (np.int32, lambda x: x.astype(np.int32) * 65536),
    (np.float32, lambda x: x / 32768),
    (np.float64, lambda x: x / 32768),
    (np.int16, lambda x: x),
  ],
)
def test_every_common_type_of_samples_is_read(tmp_path, dtype, of_16_bits):
  samples = 256 * np.arange(-100, 100, dtype=np.int16)
  path = sounds.write(tmp_path / 'a.wav', of_16_bits(samples).astype(dtype))
  np.testing.assert_array_equal(WavReader(sounds.RATE).read(path), samples)


def test_other_rates_and_channels_are_brought_to_one_and_told_once(folder):
  slow = np.sin(2 * np.pi * 440 * np.arange(2000) / 4000)
  for number in range(2):
    stereo = np.stack([slow, 0 * slow], 1)
    sounds.write(folder / 'tone' / f'x{number}.wav', np.float32(stereo), rate=4000)
  data = rlnas.data.load(folder, sound=SMALL)
  assert data.notes[1:] == (
    '2 WAV files of 4,000 Hz resampled to 8,000 Hz',
    '2 WAV files of several channels mixed to one',
  )
  samples = WavReader(8000).read(folder / 'tone' / 'x0.wav')
  expected = 16384 * np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
  assert len(samples) == 4000
  assert np.abs(samples - expected)[200:-200].max() < 40  # .2 % of the amplitude


def test_short_recordings_are_padded_and_long_ones_cut(folder):
  rng = np.random.default_rng(5)
  sounds.write(folder / 'tone' / 'short.wav', sounds.recording(rng, 'tone', seconds=0.2))
  sounds.write(folder / 'tone' / 'longer.wav', sounds.recording(rng, 'tone', seconds=0.7))
  data = rlnas.data.load(folder, sound=SMALL)
  assert data.notes[1:] == (
    '1 recordings shorter than 500 ms padded on both sides',
    '1 recordings longer than 500 ms cut to their middle',
  )
  assert sum(len(y) for y in (data.y_train, data.y_val, data.y_test)) == 38


def test_clips_of_one_recording_lie_in_one_split(tmp_path):
  root = sounds.write_folder(tmp_path / 'long', each=5, seconds=2.0)
  data = rlnas.data.load(root, sound=dataclasses.replace(SMALL, clip_hop_ms=250))
  sizes = [len(y) for y in (data.y_train, data.y_val, data.y_test)]
  assert sum(sizes) == 15 * 7
  assert all(size % 7 == 0 for size in sizes)
  assert len(set(data.groups_test.tolist())) == sizes[2] // 7
  assert any(
    '15 recordings longer than 500 ms cut into clips, one every 250 ms' in n for n in data.notes
  )


def test_speakers_by_folder_and_by_name(tmp_path):
  rng = np.random.default_rng(6)
  for kind in sounds.CLASSES:
    for speaker in range(6):
      for number in range(2):
        samples = sounds.recording(rng, kind)
        sounds.write(tmp_path / 'a' / kind / f's{speaker}' / f'{number}.wav', samples)
        sounds.write(tmp_path / 'b' / kind / f's{speaker}_nohash_{number}.wav', samples)
  by_folder = rlnas.data.load(tmp_path / 'a', group='folder', sound=SMALL)
  by_name = rlnas.data.load(tmp_path / 'b', sound=SMALL)
  for data in (by_folder, by_name):
    speakers = set(data.groups_val.tolist()), set(data.groups_test.tolist())
    assert len(data.y_test) == 6 * len(speakers[1])
    assert not speakers[0] & speakers[1]
    assert speakers[0] | speakers[1] <= {f's{i}' for i in range(6)}
  assert by_folder.digest == by_name.digest
  alone = rlnas.data.load(tmp_path / 'b', group='none', sound=SMALL)
  assert alone.groups_test is None
  with pytest.raises(ValueError, match="group='speaker'"):
    rlnas.data.load(tmp_path / 'b', group='speaker', sound=SMALL)


def test_lists_and_noise_as_speech_commands_has_them(folder):
  (folder / 'validation_list.txt').write_text('tone/00.wav\nchirp/00.wav\nhiss/00.wav\n')
  (folder / 'testing_list.txt').write_text('tone/01.wav\nchirp/01.wav\nhiss/01.wav\n')
  rng = np.random.default_rng(7)
  noise = rng.normal(size=(1, sounds.RATE * 10)) * 500
  sounds.write(folder / '_background_noise_' / 'fan.wav', noise[0].astype(np.int16))
  data = rlnas.data.load(folder, sound=SMALL)
  assert data.class_names == ('_silence_', *sounds.CLASSES)
  counts = [np.bincount(y, minlength=4).tolist() for y in (data.y_train, data.y_val, data.y_test)]
  assert counts == [[16, 10, 10, 10], [2, 1, 1, 1], [2, 1, 1, 1]]
  tested = load_labelled(
    folder, class_names=data.class_names, input_shape=(24, 12), dtype='uint8', sound=SMALL
  )
  order, other = (np.lexsort(x.reshape(len(x), -1).T) for x in (tested.x, data.x_test))
  np.testing.assert_array_equal(tested.x[order], data.x_test[other])
  np.testing.assert_array_equal(tested.y[order], data.y_test[other])


def test_noisy_copies_are_of_the_training_data_alone(folder):
  settings = dataclasses.replace(SMALL, noisy_copies=2)
  data, plain = (rlnas.data.load(folder, sound=s) for s in (settings, SMALL))
  assert len(data.y_train) == 3 * len(plain.y_train)
  np.testing.assert_array_equal(data.x_train[: len(plain.x_train)], plain.x_train)
  np.testing.assert_array_equal(data.x_val, plain.x_val)
  np.testing.assert_array_equal(data.x_test, plain.x_test)
  np.testing.assert_array_equal(data.y_train, np.tile(plain.y_train, 3))
  copies = data.x_train[len(plain.x_train) :]
  assert (copies != np.tile(plain.x_train, (2, 1, 1))).any((1, 2)).all()
  # In the loudest frames a copy is as its example: correlation with it, and with the one before.
  loud = copies.astype(float).mean(1)
  own, other = (np.tile(np.roll(plain.x_train, n, 0), (2, 1, 1)).mean(1) for n in (0, 1))
  assert _correlations(loud, own).mean() > _correlations(loud, other).mean() + 0.2
  assert any('2 copies of each training example' in note for note in data.notes)


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Of each row of one with that of the other."""
  return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)])


def test_a_noisy_copy_is_moved_and_as_noisy_as_it_says():
  rng = np.random.default_rng(8)
  clip = np.zeros(8000, np.int16)
  clip[4000] = 30_000
  places, ratios = [], []
  for _ in range(50):
    found = noisy_copy(clip, [], rate=8000, rng=rng).astype(float)
    places.append(int(found.argmax()) - 4000)
    found[places[-1] + 4000] = 0
    ratios.append(10 * np.log10(np.mean(clip.astype(float) ** 2) / np.mean(found**2)))
  assert -800 <= min(places) < -300
  assert 300 < max(places) <= 800
  assert min(ratios) > 4.5
  assert max(ratios) < 30.5


def test_a_list_of_files_with_labels_and_speakers(folder, tmp_path):
  path = tmp_path / 'list.csv'
  with path.open('w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(['file', 'label', 'speaker'])
    for kind in sounds.CLASSES:
      for number in range(12):
        writer.writerow([f'sounds/{kind}/{number:02}.wav', kind, f'anna {number // 3}'])
  data = rlnas.data.load(path, sound=SMALL)
  assert data.class_names == sounds.CLASSES
  assert len(set(data.groups_test.tolist())) == 1
  assert 'WAV files of column file; label label; group speaker' in data.notes
  alone = rlnas.data.load(path, sound=SMALL, group='none')
  assert alone.groups_test is None
  assert len(alone.y_test) == 4
  tested = load_labelled(
    path, class_names=data.class_names, input_shape=(24, 12), dtype='uint8', sound=SMALL
  )
  assert len(tested.y) == 36
  with pytest.raises(ValueError, match="label='word'"):
    rlnas.data.load(path, sound=SMALL, label='word')


@pytest.mark.parametrize(
  ('content', 'what'),
  [(text, 'not a readable WAV') for text in (b'', b'RIFF0000WAVE', b'ID3' * 99)],
)
def test_a_broken_file_is_named(folder, content, what):
  (folder / 'tone' / '03.wav').write_bytes(content)
  with pytest.raises(ValueError, match=what) as error:
    rlnas.data.load(folder, sound=SMALL)
  assert str(folder / 'tone' / '03.wav') in str(error.value)


def test_an_empty_one_and_one_that_is_not_finite_are_named(folder):
  path = sounds.write(folder / 'tone' / '03.wav', np.zeros(0, np.int16))
  with pytest.raises(ValueError, match=r'03\.wav: has no samples'):
    rlnas.data.load(folder, sound=SMALL)
  sounds.write(path, np.full(4000, np.nan, np.float32))
  with pytest.raises(ValueError, match=r'03\.wav: holds NaN'):
    rlnas.data.load(folder, sound=SMALL)


def test_settings_of_sound_are_refused_for_other_data(tmp_path):
  with pytest.raises(ValueError, match='clip_ms=500: is for your own data'):
    rlnas.data.load('digits', sound=SMALL)
  path = tmp_path / 'a.csv'
  path.write_text('a,label\n1,2\n')
  with pytest.raises(ValueError, match='clip_ms=500: is for recordings of sound'):
    rlnas.data.load(path, sound=SMALL)


@pytest.mark.parametrize(
  ('setting', 'value'),
  [
    *(('clip_ms', 0), ('clip_hop_ms', 0), ('sample_rate', 10), ('mel_bins', 0), ('frame_ms', 0)),
    *(('frame_hop_ms', 31), ('front_end', 'mfcc'), ('noisy_copies', -1), ('clip_ms', 20)),
  ],
)
def test_a_wrong_setting_is_named(setting, value):
  with pytest.raises(ValueError, match=f'^{setting}='):
    rlnas.data.SoundSettings(**{setting: value})
