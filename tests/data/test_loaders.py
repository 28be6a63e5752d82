"""Data sets: every format written for real in tmp_path, every rule broken once."""

import dataclasses
import gzip
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import urllib.request
import zipfile

import numpy as np
import pytest
from PIL import Image

from rlnas.data import files, loaders, splits
from rlnas.data.dataset import Dataset, validate
from rlnas.data.scaling import PIXELS, Scaling


def arrays(n=40, classes=4, shape=(5, 6, 1), seed=0):
  """The content of a sound .npz file; each image is told from the others by its pixels."""
  rng = np.random.default_rng(seed)
  x = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
  return {'x_train': x, 'y_train': np.arange(n) % classes}


def save(path, **content):
  np.savez(path, **content)
  return path


def same(a: Dataset, b: Dataset) -> bool:
  return all(
    np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(Dataset)
  )


def rows(*images):
  """The set of the examples, each as its bytes."""
  return {image.tobytes() for x in images for image in x}


# Built-in data


def test_mnist5k_is_split_into_equal_classes():
  data = loaders.mnist5k()
  for split, each in (('train', 350), ('val', 50), ('test', 100)):
    x, y = getattr(data, f'x_{split}'), getattr(data, f'y_{split}')
    assert x.shape == (10 * each, 28, 28, 1)
    assert x.dtype == np.uint8
    assert y.dtype == np.int32
    assert np.bincount(y).tolist() == [each] * 10
  assert (data.x_train.min(), data.x_train.max()) == (0, 255)
  assert (data.name, data.classes, data.scaling) == ('mnist5k', 10, PIXELS)
  # 5,000 images, all different: so the splits are disjoint.
  assert len(rows(data.x_train, data.x_val, data.x_test)) == 5000


def test_mnist5k_images_keep_their_labels():
  """A nearest-centroid classifier reaches about 0.8 on MNIST; shuffled labels would give 0.1."""
  data = loaders.mnist5k()
  centroids = np.stack([data.x_train[data.y_train == c].mean(0).ravel() for c in range(10)])
  x = data.x_test.reshape(1000, -1).astype(np.float32)
  distances = ((centroids**2).sum(1) - 2 * x @ centroids.T).argmin(1)
  assert (distances == data.y_test).mean() > 0.75


def test_digits_have_sixteen_levels():
  data = loaders.digits()
  assert data.x_train.shape == (1258, 8, 8, 1)
  assert (len(data.x_val), len(data.x_test), data.scaling.scale) == (180, 359, 16.0)
  assert data.x_train.max() == 16
  assert np.ptp(np.bincount(data.y_val)) <= 1  # the classes have 174 to 183 images


@pytest.mark.slow
def test_the_default_needs_no_tensorflow():
  code = (
    'import sys; from rlnas.data import loaders; loaders.mnist5k(); '
    'print("tensorflow" in sys.modules)'
  )
  result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert result.stdout == 'False\n'


# Splitting


def test_split_holds_out_each_class_in_proportion():
  rng = np.random.default_rng(1)
  y = rng.choice(5, 5000, p=(0.4, 0.3, 0.2, 0.099, 0.001))
  train, val, test = splits.split(y, val=500, test=1000)
  assert sorted(np.concatenate((train, val, test))) == list(range(5000))
  assert (len(val), len(test)) == (500, 1000)
  for held, share in ((val, 0.1), (test, 0.2)):
    counts = np.bincount(y[held], minlength=5)
    assert (counts >= 1).all()
    assert np.abs(counts - share * np.bincount(y)).max() <= 1


@pytest.mark.parametrize(('val', 'test'), [(0, 0), (6, 0), (0, 6), (3, 6)])
def test_split_keeps_each_class_in_every_split_that_is_made(val, test):
  y = np.repeat([0, 2, 3], [3, 4, 23])  # no example of class 1
  parts = splits.split(y, val=val, test=test)
  for indices, wanted in zip(parts, (True, val, test), strict=True):
    assert set(y[indices]) == ({0, 2, 3} if wanted else set())


def test_rare_classes_are_in_every_split():
  y = np.repeat([0, 1, 2, 3], [97, 3, 3, 3])
  for indices in splits.split(y, val=11, test=11):
    assert set(y[indices]) == {0, 1, 2, 3}


def test_prefixes_of_every_split_are_fair_samples():
  """Chi-squared of 10 classes: above 27.9 with probability 0.001 were the order random."""
  y = np.repeat(np.arange(10), 500)
  for indices in splits.split(y, val=500, test=1000):
    for count in (100, 200, 400):
      counts = np.bincount(y[indices[:count]], minlength=10)
      assert ((counts - count / 10) ** 2 / (count / 10)).sum() < 27.9


def test_split_never_changes():
  """Journals name a data set only; other indices would make other children of the same seed."""
  train, val, test = splits.split(np.arange(20) % 2, val=2, test=4)
  assert train.tolist() == [0, 1, 12, 15, 19, 5, 16, 14, 4, 9, 10, 17, 7, 6]
  assert val.tolist() == [8, 13]
  assert test.tolist() == [11, 3, 2, 18]


def test_take_is_a_prefix_of_the_training_data():
  data = loaders.digits()
  some = loaders.take(data, 100)
  assert np.array_equal(some.x_train, data.x_train[:100])
  assert np.array_equal(some.y_train, data.y_train[:100])
  assert some.x_val is data.x_val
  for count in (0, 1259):
    with pytest.raises(ValueError, match=rf'count={count}: must be in \[1, 1258\]'):
      loaders.take(data, count)


# .npz files


def test_npz_splits_what_it_lacks(tmp_path):
  content = arrays(n=100)
  data = loaders.from_npz(save(tmp_path / 'mine.npz', **content))
  assert (data.name, data.class_names) == ('mine', ('0', '1', '2', '3'))
  assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (80, 10, 10)
  assert rows(data.x_train, data.x_val, data.x_test) == rows(content['x_train'])
  assert set(data.y_val) == set(data.y_test) == {0, 1, 2, 3}
  label = {x.tobytes(): y for x, y in zip(content['x_train'], content['y_train'], strict=True)}
  for x, y in ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)):
    assert [label[image.tobytes()] for image in x] == y.tolist()
  assert same(data, loaders.from_npz(str(tmp_path / 'mine.npz')))


def test_npz_keeps_the_splits_it_has(tmp_path):
  content = arrays(n=20)
  val, test = arrays(n=7, seed=1), arrays(n=9, seed=2)
  path = save(
    tmp_path / 'split.npz',
    **content,
    x_val=val['x_train'],
    y_val=val['y_train'].astype(np.uint8),
    x_test=test['x_train'],
    y_test=test['y_train'],
    class_names=np.array(['a', 'b', 'c', 'd']),
  )
  data = loaders.from_npz(path)
  assert rows(data.x_train) == rows(content['x_train'])
  assert not np.array_equal(data.x_train, content['x_train'])  # shuffled
  assert np.array_equal(data.x_val, val['x_train'])
  assert np.array_equal(data.y_val, val['y_train'])
  assert np.array_equal(data.x_test, test['x_train'])
  assert data.class_names == ('a', 'b', 'c', 'd')
  assert data.scaling == PIXELS


@pytest.mark.parametrize('dtype', ['f2', '>f4', 'f8', 'i1', 'i8', 'u2', '?'])
def test_npz_of_other_numbers_becomes_float32_with_mean_and_deviation(tmp_path, dtype):
  x = (20 * np.random.default_rng(3).integers(0, 3, (60, 7, 4))).astype(dtype)
  data = loaders.from_npz(save(tmp_path / 'a.npz', x_train=x, y_train=np.arange(60) % 3))
  assert data.input_shape == (7, 4)  # three sides are a sequence
  assert data.x_train.dtype == data.x_val.dtype == data.x_test.dtype == np.float32
  assert rows(data.x_train, data.x_val, data.x_test) == rows(x.astype(np.float32))
  scaled = data.scaling.apply(data.x_train.astype(np.float64))
  np.testing.assert_allclose(scaled.mean((0, 1)), 0, atol=1e-6)
  np.testing.assert_allclose(scaled.std((0, 1)), 1, atol=1e-6)


def test_features_of_different_range_are_brought_to_one(tmp_path):
  rng = np.random.default_rng(5)
  x = rng.normal((-16, 1, 7), (30, 0.1, 0), (80, 9, 3))
  path = save(tmp_path / 'a.npz', x_train=x, y_train=np.arange(80) % 2)
  data = loaders.from_npz(path)
  offset, scale = data.scaling.offset, data.scaling.scale
  assert offset.dtype == scale.dtype == np.float32
  np.testing.assert_allclose(offset, data.x_train.mean((0, 1)), rtol=1e-5)
  np.testing.assert_allclose(scale[:2], data.x_train.std((0, 1))[:2], rtol=1e-5)
  assert scale[2] == 1  # it never varies
  images = loaders.as_images(data)
  validate(images)
  seen = images.scaling.apply(images.x_train)
  np.testing.assert_array_equal(seen[..., 0], data.scaling.apply(data.x_train))


def test_float_images_are_scaled_by_channel_and_as_sequences_by_feature(tmp_path):
  x = np.random.default_rng(5).normal((0, 5), (1, 100), (80, 4, 3, 2))
  data = loaders.from_npz(save(tmp_path / 'a.npz', x_train=x, y_train=np.arange(80) % 2))
  np.testing.assert_allclose(data.scaling.scale, data.x_train.std((0, 1, 2)), rtol=1e-5)
  rows = loaders.as_sequences(data)
  assert rows.input_shape == (4, 6)
  np.testing.assert_allclose(rows.scaling.scale, rows.x_train.std((0, 1)), rtol=1e-5)


def test_labels_that_do_not_begin_at_zero_are_numbered(tmp_path):
  content = arrays()
  content['y_train'] = np.array([1, 2, 7, 9])[content['y_train']]
  content |= {'x_test': content['x_train'][:3], 'y_test': np.array([9, 1, 7]), 'more': np.ones(3)}
  data = loaders.from_npz(save(tmp_path / 'a.npz', **content))
  assert data.class_names == ('1', '2', '7', '9')
  assert np.bincount(data.y_train).tolist() == [9, 9, 9, 9]
  assert data.y_test.tolist() == [3, 0, 2]
  assert data.notes == ('keys not read: more', 'labels 1, 2, 7, 9 are numbered from 0 on')


def test_npz_deviation_of_extreme_values_is_finite(tmp_path):
  x = np.where(np.arange(30) % 2, 3e38, -3e38).astype(np.float32).reshape(30, 1, 1)
  data = loaders.from_npz(save(tmp_path / 'a.npz', x_train=x, y_train=np.arange(30) % 3))
  assert data.scaling.scale == pytest.approx(3e38, rel=0.05)


BAD_ARRAYS = {
  'no x_train': (
    {'x_train': None},
    r'no key for training examples, only y_train; must have examples \(x_train, train_x, or alone',
  ),
  'no y_train': ({'y_train': None}, 'no key for their labels, only x_train; must have examples'),
  'other names': (
    {'x_train': None, 'y_train': None, 'signals': np.ones((4, 3, 2)), 'y': np.arange(4)},
    r'no key for training examples, only signals, y; must have .* and labels \(y_train, train_y',
  ),
  'two of one role': (
    {'x_train': None, 'X': np.ones((40, 5, 6, 1)), 'images': np.ones((40, 5, 6, 1))},
    "keys 'X' and 'images' are both x_train; must be one of them",
  ),
  'two splits of one role': (
    {'x_val': np.ones((4, 5, 6, 1)), 'X_valid': np.ones((4, 5, 6, 1)), 'y_val': np.arange(4)},
    "keys 'x_val' and 'X_valid' are both x_val",
  ),
  'channels first': (
    {'x_train': np.ones((40, 3, 32, 24), np.uint8)},
    r'x_train: has shape \(40, 3, 32, 24\); must be .* channels last: numpy.transpose\(x,',
  ),
  'one channel first': ({'x_train': np.ones((40, 1, 8, 8))}, 'channels last'),
  'half a split': ({'x_val': np.ones((4, 5, 6, 1), np.uint8)}, "'x_val', 'y_val': only one"),
  'half a split by another name': (
    {'X_test': np.ones((4, 5, 6, 1), np.uint8)},
    "'X_test', 'y_test': only one is given",
  ),
  'misspelt': (
    {'x_vaild': np.ones((4, 5, 6, 1), np.uint8)},
    "unknown key 'x_vaild'; known: x_train, y_train, .*; it may mean 'x_valid'",
  ),
  'pickled labels': (
    {'y_train': np.array(['a', 'b'] * 20, object)},
    r'plain arrays; text must have a type of text \(dtype=str\)',
  ),
  'pickled names': ({'class_names': np.array(['a', 'b', 'c', 'd'], object)}, 'plain arrays'),
  'words': ({'x_train': np.full((40, 5, 6, 1), 'a')}, 'x_train: has type <U1; must hold real'),
  'complex': ({'x_train': np.ones((40, 5, 6, 1), complex)}, 'x_train: has type complex128'),
  'rank 2': ({'x_train': np.ones((40, 5), np.uint8)}, r'x_train: has shape \(40, 5\); must be im'),
  'rank 5': ({'x_train': np.ones((40, 1, 1, 1, 1))}, r'x_train: has shape .* must be images'),
  'no side': ({'x_train': np.ones((40, 5, 0, 1))}, r'\(40, 5, 0, 1\); every side'),
  'empty': ({'x_train': np.ones((0, 5, 6, 1)), 'y_train': np.ones(0, int)}, 'x_train: has shape'),
  'empty test': (
    {'x_test': np.ones((0, 5, 6, 1), np.uint8), 'y_test': np.ones(0, int)},
    r'x_test: has shape \(0, 5, 6, 1\); every side must be at least 1',
  ),
  'short': ({'y_train': np.arange(39) % 4}, r'y_train: has shape \(39,\); must be \(40,\)'),
  'one-hot': (
    {'y_train': np.eye(40, dtype=int)},
    r'y_train: has shape \(40, 40\); .* \(if one of each row is 1: numpy\.argmax\(y, 1\)\)',
  ),
  'a column': ({'y_train': np.ones((40, 1), int)}, r'\(40, 1\); .* the examples: y\.ravel\(\)'),
  'float labels': (
    {'y_train': np.arange(40) % 4.0},
    r'y_train: is of type float64; labels must be integers or text: y\.astype\(int\) if all are',
  ),
  'text and numbers': (
    {
      'y_train': np.array(['a', 'b'] * 20),
      'x_test': np.ones((2, 5, 6, 1), np.uint8),
      'y_test': np.arange(2),
    },
    'y_test: labels are numbers, those of y_train text; must be of one kind',
  ),
  'text of no class': (
    {'y_train': np.array(['a', 'b', 'c', 'x'] * 10), 'class_names': np.array(['a', 'b', 'c'])},
    "y_train: label 'x' at index 3; must be one of the classes a, b, c",
  ),
  'untrained text': (
    {
      'y_train': np.array(['a', 'b'] * 20),
      'x_test': np.ones((2, 5, 6, 1), np.uint8),
      'y_test': np.array(['a', 'c']),
    },
    "y_test: label 'c' at index 1; must be one of the classes a, b",
  ),
  'short groups': (
    {'groups': np.arange(39)},
    r'groups: has shape \(39,\); must be \(40,\), one group for each of the examples',
  ),
  'float groups': ({'groups': np.arange(40) / 2}, 'groups: is of type float64; groups must be int'),
  'few groups': (
    {'groups': np.arange(40) // 2 % 2},
    r'y_train: label 0 is in 1 group \(0\); must be in at least 3, since a group',
  ),
  'negative': ({'y_train': np.arange(40) % 4 - 1}, r'y_train: label -1 at index 0; .* in \[0, '),
  'too great': (
    {'class_names': np.array(['a', 'b', 'c'])},
    r'y_train: label 3 at index 3; labels must be in \[0, 3\)',
  ),
  'wraps': (
    {'y_train': np.arange(40) % 4 + 2**32, 'class_names': np.array(['a', 'b', 'c', 'd'])},
    'y_train: label 4294967296 at index 0',
  ),
  'names without examples': (
    {'class_names': np.array(['a', 'b', 'c', 'd', 'e'])},
    "class_names: no training example has label 4, 'e'",
  ),
  'from 0 and from 1 on': (
    {
      'y_train': np.arange(40) % 4 + 1,
      'x_test': np.ones((2, 5, 6, 1), np.uint8),
      'y_test': np.array([1, 0], np.uint8),
      'class_names': np.array(['a', 'b', 'c', 'd']),
    },
    'y_test: label 0 at index 1; labels of the training data count from 1',
  ),
  'untrained test label': (
    {'x_test': np.ones((2, 5, 6, 1), np.uint8), 'y_test': np.array([0, 4])},
    'y_test: label 4 at index 1; no training example has it',
  ),
  'rare named class': (
    {
      'y_train': np.append(np.arange(39) % 3, 3),
      'class_names': np.array(['a', 'b', 'c', 'd']),
    },
    r"label 3 \(class 'd'\) has 1 example; must have at least 3",
  ),
  'integers beyond float64': (
    {'x_train': 17 * 10**17 + np.arange(800).reshape(40, 20, 1)},
    'feature 0 holds integers up to 1700000000000000799 that differ by less than float64',
  ),
  'stray label': ({'y_train': np.append(np.arange(39) % 4, 10**9)}, 'label 1000000000: the great'),
  'test label': (
    {
      'x_test': np.ones((1, 5, 6, 1), np.uint8),
      'y_test': np.array([4]),
      'class_names': np.array(['a', 'b', 'c', 'd']),
    },
    r'y_test: label 4 at index 0; labels must be in \[0, 4\)',
  ),
  'one class': (
    {'y_train': np.zeros(40, int)},
    'y_train: every label is 0; must be at least 2 classes',
  ),
  'one class seen': (
    {'y_train': np.zeros(40, int), 'class_names': np.array(['a', 'b'])},
    'y_train: every label is 0; must be at least 2 classes',
  ),
  'rare class': ({'y_train': np.append(np.arange(38) % 3, [3, 3])}, 'label 3 has 2 examples; must'),
  'NaN': (
    {'x_train': np.where(np.arange(30) == 7, np.nan, 1) * np.ones((40, 1, 30))},
    'x_train: h',
  ),
  'infinite': ({'x_train': np.full((40, 2, 2), -np.inf)}, 'x_train: holds NaN or infinite'),
  'beyond float32': ({'x_train': np.full((40, 2, 2), 1e39)}, 'x_train: holds NaN or infinite'),
  'constant': ({'x_train': np.full((40, 2, 2), 0.1)}, 'x_train: every value is 0.1'),
  'other shape': (
    {'x_val': np.ones((4, 6, 6, 1), np.uint8), 'y_val': np.arange(4)},
    r'x_val: examples have shape \(6, 6, 1\); those of x_train have \(5, 6, 1\)',
  ),
  'other type': (
    {'x_test': np.ones((4, 5, 6, 1)), 'y_test': np.arange(4)},
    'x_test: examples have type float32; those of x_train have uint8',
  ),
  'numbered names': ({'class_names': np.arange(4)}, 'class_names: has type int64'),
  'same names': ({'class_names': np.array(['a', 'b', 'a', 'c'])}, "class_names: 'a' occurs more"),
  'nameless': ({'class_names': np.array(['a', 'b', '', 'c'])}, 'class_names=.*non-empty strings'),
}


@pytest.mark.parametrize(('change', 'message'), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_npz_with_bad_arrays_is_refused(tmp_path, change, message):
  content = {k: v for k, v in (arrays() | change).items() if v is not None}
  with pytest.raises(ValueError, match=message):
    loaders.from_npz(save(tmp_path / 'bad.npz', **content))


def truncated(path):
  content = save(path, **arrays()).read_bytes()
  path.write_bytes(content[: len(content) // 2])


def flipped(path):
  content = bytearray(save(path, **arrays()).read_bytes())
  content[600] ^= 255  # within the pixels: only the checksum tells
  path.write_bytes(content)


def claims_to_be_huge(path):
  np.lib.format.write_array_header_1_0(
    header := io.BytesIO(), {'descr': '|u1', 'fortran_order': False, 'shape': (2**60, 1, 1)}
  )
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('x_train.npy', header.getvalue())
    archive.writestr('y_train.npy', b'')


def holds_text(path):
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('x_train', b'text')
    archive.writestr('y_train', b'text')


BAD_FILES = {
  'text': lambda path: path.write_text('x_train,y_train'),
  'nothing': lambda path: path.write_bytes(b''),
  'npy': lambda path: np.save(path.open('wb'), np.ones(3)),
  'pickle': lambda path: path.write_bytes(b'\x80\x04K\x01.'),
  'truncated': truncated,
  'flipped': flipped,
  'huge': claims_to_be_huge,
  'members': holds_text,
  'folder': pathlib.Path.mkdir,
}


@pytest.mark.parametrize('write', BAD_FILES.values(), ids=BAD_FILES)
def test_npz_that_is_none_is_refused(tmp_path, write):
  write(tmp_path / 'bad.npz')
  with pytest.raises(ValueError, match=r'bad\.npz: '):
    loaders.from_npz(tmp_path / 'bad.npz')


# Folders of images


def write_image(path, *, size=(6, 5), mode='RGB', seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  width, height = size
  shape = (height, width) if mode in 'LP' else (height, width, len(mode))
  pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
  Image.frombytes(mode, size, pixels.tobytes()).save(path)
  return pixels


def write_folder(root, *, count=5, classes=('cat', 'dog'), **options):
  return {
    (name, i): write_image(root / name / f'{i}.png', seed=100 * ord(name[0]) + i, **options)
    for name in classes
    for i in range(count)
  }


@pytest.mark.parametrize(('mode', 'channels'), [('L', 1), ('RGB', 3)])
def test_folder_without_splits(tmp_path, mode, channels):
  written = write_folder(tmp_path / 'pets', mode=mode)
  (tmp_path / 'pets' / 'cat' / 'notes.txt').write_text('passed over')
  (tmp_path / 'pets' / '.cache').mkdir()
  data = loaders.from_folder(tmp_path / 'pets')
  assert (data.name, data.class_names) == ('pets', ('cat', 'dog'))
  assert data.x_train.shape == (6, 5, 6, channels)
  assert data.x_train.dtype == np.uint8
  assert np.bincount(data.y_train).tolist() == [3, 3]
  assert sorted(data.y_val) == sorted(data.y_test) == [0, 1]
  assert rows(data.x_train, data.x_val, data.x_test) == rows(written.values())
  cats = rows(pixels for (name, _), pixels in written.items() if name == 'cat')
  assert [image.tobytes() not in cats for image in data.x_train] == data.y_train.tolist()
  assert same(data, loaders.from_folder(str(tmp_path / 'pets')))


def test_folder_with_splits(tmp_path):
  write_folder(tmp_path / 'train', count=4)
  held = write_folder(tmp_path / 'test', count=2, classes=('dog',))
  data = loaders.from_folder(tmp_path)
  assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (6, 2, 2)
  assert np.array_equal(data.x_test, [held['dog', 0], held['dog', 1]])
  assert data.y_test.tolist() == [1, 1]


@pytest.mark.parametrize(
  'names', [('Training', 'Testing', 'Validation'), ('train', 'test', 'valid')]
)
def test_splits_have_several_names(tmp_path, names):
  for name, count in zip(names, (4, 2, 3), strict=True):
    write_folder(tmp_path / name, count=count)
  data = loaders.from_folder(tmp_path)
  assert data.class_names == ('cat', 'dog')
  assert (len(data.x_train), len(data.x_test), len(data.x_val)) == (8, 4, 6)


def test_folder_reads_webp_and_says_what_it_skips(tmp_path):
  write_folder(tmp_path, count=4)
  for i in range(20):
    Image.new('RGB', (6, 5), (i, 0, 0)).save(tmp_path / 'cat' / f'w{i}.webp', lossless=True)
  (tmp_path / 'dog' / 'notes.txt').write_text('skipped')
  (tmp_path / 'dog' / '.hidden').write_text('ignored')
  write_image(tmp_path / 'stray.png')
  data = loaders.from_folder(tmp_path)
  counts = sum(np.bincount(y) for y in (data.y_train, data.y_val, data.y_test))
  assert counts.tolist() == [24, 4]
  assert data.notes == (
    f'1 image in {tmp_path} skipped: in no class',
    f'1 other files (1 .txt) in {tmp_path / "dog"} skipped: no .bmp/.jpeg/.jpg/.png/.webp',
  )


def test_folder_reads_jpeg_and_bmp_and_a_class_called_train(tmp_path):
  for i in range(4):
    write_image(tmp_path / 'train' / f'{i}.JPG', seed=i)
    write_image(tmp_path / 'plane' / f'{i}.bmp', seed=i)
  assert loaders.from_folder(tmp_path).class_names == ('plane', 'train')


@pytest.mark.parametrize('tag', range(1, 9))
def test_pictures_are_turned_as_their_orientation_says(tag, tmp_path):
  upright = np.arange(12, dtype=np.uint8).reshape(4, 3)
  # What a camera stores so that a viewer with this value of the EXIF tag 0x112 shows it upright.
  stored = {
    1: upright,
    2: upright[:, ::-1],
    3: upright[::-1, ::-1],
    4: upright[::-1],
    5: upright.T,
    6: np.rot90(upright),
    7: np.rot90(upright, 2).T,
    8: np.rot90(upright, 3),
  }[tag]
  exif = Image.Exif()
  exif[0x112] = tag
  for name in ('a', 'b'):
    (tmp_path / name).mkdir()
    for i in range(3):
      Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name / f'{i}.png', exif=exif)
  assert np.array_equal(loaders.from_folder(tmp_path).x_train[0, :, :, 0], upright)


def test_a_home_folder_that_does_not_exist_is_no_traceback():
  with pytest.raises(FileNotFoundError, match=r'~nobody-at-all/x\.npz: no such file'):
    loaders.load('~nobody-at-all/x.npz')


def spoil(path, keep):
  path.write_bytes(path.read_bytes()[:keep])


BAD_FOLDERS = {
  'size': (
    lambda root: write_image(root / 'dog/2.png', size=(5, 6)),
    r'dog.2\.png: has .*\(6, 5, 3\); must have .* --image_size=5,6 makes all alike',
  ),
  'grey': (
    lambda root: write_image(root / 'cat/3.png', mode='L'),
    r'cat.3\.png: has .*\(5, 6, 1\); must have .*; --channels=1 or --channels=3 makes all alike',
  ),
  'alpha': (
    lambda root: write_image(root / 'cat/0.png', mode='RGBA'),
    r"0\.png: has mode 'RGBA'.*--channels",
  ),
  'palette': (lambda root: write_image(root / 'cat/0.png', mode='P'), r"0\.png: has mode 'P'"),
  'truncated': (lambda root: spoil(root / 'dog/1.png', 90), r'dog.1\.png: is not a readable'),
  'empty': (lambda root: spoil(root / 'dog/1.png', 0), r'dog.1\.png: is not a readable'),
  'text': (lambda root: (root / 'dog/9.jpg').write_text('no'), r'dog.9\.jpg: is not a readable'),
  'no images': (lambda root: (root / 'bird').mkdir(), 'bird: has no image'),
  'most skipped': (
    lambda root: [(root / f'dog/{i}.gif').write_bytes(b'') for i in range(6)],
    r'dog: has 5 images and 6 other files \(6 \.gif\); must have .* no more other files',
  ),
  'nested': (
    lambda root: write_image(root / 'dog/more/7.png'),
    "dog.more: has 1 image below the class 'dog'; .* give --group=folder",
  ),
  'split beside a class': (
    lambda root: [write_image(root / f'Testing/{name}/0.png') for name in ('cat', 'dog')],
    "Testing.cat: has 1 image below the class 'Testing'; .* Splits must be named train, val and",
  ),
  'few images': (
    lambda root: [(root / f'dog/{i}.png').unlink() for i in range(4)],
    r"y_train: label 1 \(class 'dog', .*pets.dog\) has 1 example; must have at least 3",
  ),
  'no training split': (
    lambda root: [(root / n).rename(root / s) for n, s in (('cat', 'val'), ('dog', 'test'))],
    r'pets: has test and val; must have train \(or training\) beside them',
  ),
  'one split twice': (
    lambda root: [(root / n).rename(root / s) for n, s in (('cat', 'train'), ('dog', 'Training'))],
    r'pets: has Training and train; must have one of them',
  ),
  'bare split': (
    lambda root: (
      [(root / n).rename(root.parent / n) for n in ('cat', 'dog')]
      + [(root / 'train').mkdir(), (root / 'val').mkdir()]
    ),
    r'train: has no subfolders; must have one for each class, at least 2',
  ),
  'new class': (
    lambda root: (
      [(root / 'train').mkdir()]
      + [(root / n).rename(root / 'train' / n) for n in ('cat', 'dog')]
      + [write_image(root / 'val/cow/0.png')]
    ),
    r"val: has the classes \('cow',\)",
  ),
}


@pytest.mark.parametrize(('change', 'message'), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_bad_folder_is_refused(tmp_path, change, message):
  write_folder(tmp_path / 'pets')
  change(tmp_path / 'pets')
  with pytest.raises(ValueError, match=message):
    loaders.from_folder(tmp_path / 'pets')


# MNIST, Fashion-MNIST, CIFAR-10


def idx(array):
  sides = b''.join(side.to_bytes(4, 'big') for side in array.shape)
  return bytes((0, 0, 8, array.ndim)) + sides + array.tobytes()


def write_idx(folder, *, zipped, count=120):
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(0)
  contents = {}
  for split, n in (('train', count), ('t10k', 30)):
    contents[f'{split}-images-idx3-ubyte'] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
    contents[f'{split}-labels-idx1-ubyte'] = (np.arange(n) % 10).astype(np.uint8)
  for name, array in contents.items():
    path = folder / (f'{name}.gz' if zipped else name)
    path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
  return contents


@pytest.mark.parametrize('loader', [loaders.mnist, loaders.fashion_mnist])
@pytest.mark.parametrize('zipped', [False, True])
def test_idx_files(tmp_path, loader, zipped):
  written = write_idx(tmp_path, zipped=zipped)
  data = loader(tmp_path)
  assert (data.x_train.shape, data.x_val.shape) == ((110, 28, 28, 1), (10, 28, 28, 1))
  assert sorted(data.y_val) == list(range(10))
  assert rows(data.x_train, data.x_val) == rows(written['train-images-idx3-ubyte'])
  assert np.array_equal(data.x_test[..., 0], written['t10k-images-idx3-ubyte'])
  assert np.array_equal(data.y_test, written['t10k-labels-idx1-ubyte'])


def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path, monkeypatch):
  write_idx(tmp_path, zipped=True)
  monkeypatch.setattr(loaders, 'DEBIAN_FASHION_MNIST', tmp_path)
  data = loaders.fashion_mnist()
  assert (len(data.x_train), data.class_names[9]) == (110, 'Ankle boot')


IMAGES, LABELS = 'train-images-idx3-ubyte', 'train-labels-idx1-ubyte'
BAD_IDX = {
  'magic': (IMAGES, lambda b: b'PK' + b[2:], 'begins with 504b0803; must begin with 00000803'),
  'float': (IMAGES, lambda b: b[:2] + b'\x0d' + b[3:], 'begins with 00000d03'),
  'rank': (LABELS, lambda b: b[:3] + b'\x03' + b[4:], 'begins with 00000803; must .* 00000801'),
  'short': (IMAGES, lambda b: b[:-1], 'has 94095 bytes; sides .* make it 94096'),
  'long': (LABELS, lambda b: b + b'\0', 'has 129 bytes; sides .* make it 128'),
  'header': (IMAGES, lambda b: b[:9], 'has 9 bytes'),
  'empty': (LABELS, lambda b: b'', 'begins with ; must'),
  'huge': (IMAGES, lambda b: b[:4] + b'\xff' * 12 + b[16:], 'has 94096 bytes'),
  'lengths': (LABELS, lambda b: b[:7] + b'\x77' + b[8:-1], r'y_train: has shape \(119,\)'),
  'range': (LABELS, lambda b: b[:8] + b'\x0a' + b[9:], 'y_train: label 10 at index 0'),
}


@pytest.mark.parametrize(('name', 'change', 'message'), BAD_IDX.values(), ids=BAD_IDX)
def test_bad_idx_file_is_refused(tmp_path, name, change, message):
  write_idx(tmp_path, zipped=False)
  (tmp_path / name).write_bytes(change((tmp_path / name).read_bytes()))
  with pytest.raises(ValueError, match=message):
    loaders.mnist(tmp_path)


@pytest.mark.parametrize(
  'content', [b'not gzip', gzip.compress(bytes(9999))[:-9]], ids=['no gzip', 'cut off']
)
def test_broken_gzip_is_refused(tmp_path, content):
  write_idx(tmp_path, zipped=True)
  (tmp_path / f'{LABELS}.gz').write_bytes(content)
  with pytest.raises(ValueError, match=r'train-labels-idx1-ubyte\.gz: cannot be read'):
    loaders.mnist(tmp_path)


def cifar_files(count=20):
  rng = np.random.default_rng(0)
  files = {}
  for name in (*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch'):
    records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(count) % 10
    files[f'{name}.bin'] = records.tobytes()
  return files


def test_cifar10_binary_files(tmp_path):
  files = cifar_files()
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)
  data = loaders.cifar10(tmp_path)
  assert (data.x_train.shape, data.x_val.shape) == ((90, 32, 32, 3), (10, 32, 32, 3))
  assert data.class_names[6] == 'frog'
  record = files['test_batch.bin'][3073 : 2 * 3073]  # label, then the planes red, green, blue
  assert data.y_test[1] == record[0] == 1
  for channel, row, column in ((0, 0, 1), (1, 2, 3), (2, 31, 30)):
    position = 1 + 1024 * channel + 32 * row + column
    assert data.x_test[1, row, column, channel] == record[position]


@pytest.mark.parametrize('content', [b'', bytes(3072), bytes(3074)])
def test_bad_cifar10_file_is_refused(tmp_path, content):
  for name, sound in cifar_files().items():
    (tmp_path / name).write_bytes(content if name == 'data_batch_4.bin' else sound)
  with pytest.raises(ValueError, match=r'data_batch_4\.bin: has \d+ bytes; must be a positive'):
    loaders.cifar10(tmp_path)


def write_tar(path, members):
  with tarfile.open(path, 'w:gz') as archive:
    for name, content in members.items():
      info = tarfile.TarInfo(name)
      info.size = len(content)
      archive.addfile(info, io.BytesIO(content))
    link = tarfile.TarInfo('folder/link.bin')
    link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
    archive.addfile(link)
  return path


def test_tar_members_are_read_in_the_order_asked_for(tmp_path):
  path = write_tar(tmp_path / 'a.tar.gz', {'../evil': b'x', 'folder/a.bin': b'1', 'folder/b': b'2'})
  assert files.read_tar(path, ['folder/b', 'folder/a.bin']) == [b'2', b'1']
  assert os.listdir(tmp_path) == ['a.tar.gz']
  for name in ('folder/absent.bin', 'folder/link.bin'):
    with pytest.raises(ValueError, match=rf'a\.tar\.gz: has no file {name}'):
      files.read_tar(path, [name])
  spoil(path, 60)
  with pytest.raises(ValueError, match=r'a\.tar\.gz: is not a readable'):
    files.read_tar(path, ['folder/b'])


@pytest.fixture
def offline(tmp_path, monkeypatch):
  """An empty cache of Keras, and a proxy that refuses every connection."""
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')
  monkeypatch.setenv('no_proxy', '')
  monkeypatch.setattr(urllib.request, '_opener', None)
  monkeypatch.setattr(loaders, 'DEBIAN_FASHION_MNIST', tmp_path / 'not installed')
  return tmp_path


@pytest.mark.slow  # imports TensorFlow
@pytest.mark.parametrize('name', ['mnist', 'fashion_mnist', 'cifar10'])
def test_failed_download_says_what_to_do(offline, name):
  with pytest.raises(FileNotFoundError, match=r'https://.* could not be downloaded .*--data_dir'):
    loaders.load(name)


@pytest.mark.slow  # imports TensorFlow
def test_fashion_mnist_is_taken_from_the_cache_of_keras(offline):
  write_idx(offline / '.keras' / 'datasets' / 'fashion-mnist', zipped=True)
  assert len(loaders.fashion_mnist().x_train) == 110


# load, validate


def test_load_takes_names_files_and_folders(tmp_path, monkeypatch):
  assert loaders.load('digits').name == 'digits'
  save(tmp_path / 'a.npz', **arrays())
  write_folder(tmp_path / 'pets')
  write_idx(tmp_path / 'idx', zipped=False)
  monkeypatch.chdir(tmp_path)
  assert loaders.load('a.npz').input_shape == (5, 6, 1)
  assert loaders.load(tmp_path / 'a.npz').name == 'a'
  assert loaders.load('pets').class_names == ('cat', 'dog')
  assert len(loaders.load('mnist', 'idx').x_test) == 30


@pytest.mark.parametrize(
  ('arguments', 'error', 'message'),
  [
    (('nmist',), ValueError, "dataset='nmist': must be one of mnist5k, digits, mnist, fashion_mni"),
    (('',), ValueError, "dataset='': must be one of"),
    (('absent.npz',), FileNotFoundError, r'absent\.npz: no such file'),
    (('no/such/folder',), FileNotFoundError, 'no/such/folder: no such file'),
    (('mnist', 'absent'), FileNotFoundError, 'absent: no such file or folder'),
    (('cifar10', 'absent'), FileNotFoundError, 'absent: no such file or folder'),
    (('mnist', '.'), FileNotFoundError, 'train-images-idx3-ubyte: no such file, nor with .gz'),
    (('cifar10', '.'), FileNotFoundError, r'data_batch_1\.bin: no such file'),
    (('digits', '.'), ValueError, r"data_dir='\.': only 'mnist', .* read it, not 'digits'"),
  ],
)
def test_load_refuses_what_is_not_there(tmp_path, monkeypatch, arguments, error, message):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(error, match=message):
    loaders.load(*arguments)


def test_folder_that_is_missing_or_a_file_is_refused(tmp_path):
  with pytest.raises(FileNotFoundError, match='absent: no such file'):
    loaders.from_folder(tmp_path / 'absent')
  (tmp_path / 'file').write_text('')
  with pytest.raises(ValueError, match='file: is a file; must be a folder'):
    loaders.from_folder(tmp_path / 'file')


@pytest.fixture(scope='module')
def sound():
  x = np.arange(48, dtype=np.uint8).reshape(12, 2, 2, 1)
  y = np.arange(12, dtype=np.int32) % 2
  return Dataset('sound', x, y, x[:4], y[:4], x[4:], y[4:], ('a', 'b'))


BAD_DATASETS = {
  'list': ({'x_val': [1, 2]}, 'x_val: is list; must be a NumPy array of uint8, float32 or float64'),
  'int16': ({'x_train': np.ones((12, 2, 2, 1), np.int16)}, 'x_train: is of type int16; must be'),
  'int64': ({'y_val': np.arange(4) % 2}, 'y_val: is of type int64; must be int32'),
  'label list': ({'y_val': [0, 1, 0, 1]}, 'y_val: is list; labels must be integers'),
  'scale of others': (
    {'scaling': Scaling(0.0, np.ones(3, np.float32))},
    r'scale of shape \(3,\): must be a number, or one for each feature of examples of shape \(2,',
  ),
  'one name': ({'class_names': ('a',)}, r"class_names=\('a',\): must be at least 2 classes"),
}


@pytest.mark.parametrize(('change', 'message'), BAD_DATASETS.values(), ids=BAD_DATASETS)
def test_validate_refuses_bad_data_sets(sound, change, message):
  validate(sound)
  with pytest.raises(ValueError, match=message):
    validate(dataclasses.replace(sound, **change))


def test_without_test_data_a_search_cannot_read_them(sound):
  assert sound.without_test().x_test.shape == (0, 2, 2, 1)
  with pytest.raises(ValueError, match=r'x_test: has shape \(0, 2, 2, 1\)'):
    validate(sound.without_test())


def test_images_and_sequences_turn_into_each_other():
  data = loaders.digits()
  rows = loaders.as_sequences(data)
  assert rows.input_shape == (8, 8)
  assert rows.x_test[3, 2, 5] == data.x_test[3, 2, 5, 0]
  assert loaders.as_sequences(rows) is rows
  again = loaders.as_images(rows)
  assert again.input_shape == (8, 8, 1)
  assert again.digest == data.digest
  assert loaders.as_images(data) is data


def test_sequences_become_images_of_one_row_with_the_same_bytes():
  data = dataset_of_sequences()
  rows = loaders.as_row(data)
  assert rows.input_shape == (1, 5, 3)
  assert rows.x_train.tobytes() == data.x_train.tobytes()
  assert rows.scaling == data.scaling
  assert loaders.as_row(rows) is rows
  images = loaders.digits()
  np.testing.assert_array_equal(
    loaders.as_row(images).x_val[:, 0], loaders.as_sequences(images).x_val
  )


def dataset_of_sequences():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(60, 5, 3)).astype(np.float32) * [1, 10, 100]
  return loaders.assemble('made', (x.astype(np.float32), np.arange(60) % 2), source='made here')
