"""Examples for a trained network: where they are found, and whose classes their labels are."""

import csv

import numpy as np
import pytest
from PIL import Image

from rlnas.data import load
from rlnas.data.labelled import load_labelled
from rlnas.data.labels import as_places, places_among
from rlnas.data.raw_inputs import shaped, typed
from rlnas.data.spread import spread, told

X = np.random.default_rng(0).normal(size=(12, 6, 3))
Y = np.arange(12) % 3
NAMES = ('run', 'sit', 'walk')


def read(path, **given):
  given = {'class_names': NAMES, 'input_shape': (6, 3, 1), 'dtype': np.float32} | given
  return load_labelled(path, **given)


def saved(path, **arrays):
  np.savez(path, **arrays)
  return path


@pytest.mark.parametrize(
  'arrays',
  [
    {'x_test': X, 'y_test': Y},
    {'x': X, 'y': Y},
    {'X': X, 'labels': Y},
    {'x_train': X[::-1], 'y_train': Y, 'x_test': X, 'y_test': Y, 'x_val': X[:3], 'y_val': Y[:3]},
    {'x_test': X, 'y_test': np.array(NAMES)[Y]},
    {'x_test': X, 'y_test': 2 - Y, 'class_names': NAMES[::-1]},
    {'x_test': X, 'y_test': 3 - Y, 'class_names': NAMES[::-1]},
    {'x_test': X.astype(np.float32), 'y_test': Y.astype(np.uint8)},
  ],
  ids=['test', 'x', 'usual', 'split', 'text', 'named', 'from 1', 'types'],
)
def test_the_examples_of_an_npz_file(tmp_path, arrays):
  found = read(saved(tmp_path / 'a.npz', **arrays))
  assert found.x.dtype == np.float32
  np.testing.assert_array_equal(found.x, X.astype(np.float32)[..., None])
  assert found.y.tolist() == Y.tolist()
  assert found.groups is None


@pytest.mark.parametrize('key', ['groups', 'groups_test', 'test_groups'])
def test_groups_of_an_npz_file(tmp_path, key):
  people = np.array(['a', 'b'] * 6)
  found = read(saved(tmp_path / 'a.npz', x_test=X, y_test=Y, **{key: people}))
  assert found.groups.tolist() == people.tolist()
  named = key.replace('groups', 'person')
  found = read(saved(tmp_path / 'b.npz', x_test=X, y_test=Y, **{named: people}), group='person')
  assert found.groups.tolist() == people.tolist()
  assert read(tmp_path / 'a.npz', group='none').groups is None
  # Those of training examples are not those of test examples.
  both = {'x_train': X, 'y_train': Y, 'groups': people}
  assert read(saved(tmp_path / 'c.npz', x_test=X, y_test=Y, **both)).groups is None


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    ({'x_test': X}, r"keys 'x_test', 'y_test': only one is given; must be both or neither"),
    ({'x_val': X, 'y_val': Y}, 'no key for the examples, only x_val, y_val; must have x_test and'),
    ({'x_tset': X, 'y_test': Y}, "unknown key 'x_tset'; .*it may mean 'x_test'"),
    ({'x': X, 'y': Y + 1}, r'y: label 3 at index 2; labels must be in \[0, 3\)'),
    ({'x': X, 'y': Y - 1}, r'y: label -1 at index 0; labels must be in'),
    ({'x': X, 'y': Y[:5]}, r'y: has shape \(5,\); must be \(12,\), one label for each'),
    ({'x': X, 'y': Y[:5].astype(str)}, r'y: has shape \(5,\); must be \(12,\), one label'),
    ({'x': X, 'y': Y * 0.5}, 'y: is of type float64; labels must be integers or text'),
    (
      {'x': X, 'y': np.array(['run', 'swim', 'sit', 'sit'] * 3)},
      "y: label 'swim' at index 1; must",
    ),
    (
      {'x': X, 'y': Y, 'class_names': ['run', 'sit', 'swim']},
      "class_names: 'swim' is not a class of",
    ),
    ({'x': X, 'y': Y, 'class_names': ['run', 'sit']}, r'y: label 2 at index 2; .*in \[0, 2\)'),
    (
      {'x': X, 'y': 1 + Y // 2, 'class_names': NAMES},
      'y: labels 1 to 2 of 3 class_names may count',
    ),
    ({'x': X[:, :5], 'y': Y}, r'x of shape \(12, 5, 3\): must be \(N, 6, 3, 1\), N >= 1'),
    ({'x': np.where(X > 2, np.nan, X), 'y': Y}, r'x: holds NaN or infinite .* first in x\['),
    ({'x': X[:0], 'y': Y[:0]}, r'x: has shape \(0, 6, 3\); every side must be at least 1'),
    ({'x': X.astype(str), 'y': Y}, 'x: has type <U.*; must hold real numbers'),
    ({'x': X, 'y': Y, 'groups': Y[:4]}, r'groups: has shape \(4,\); must be \(12,\)'),
  ],
)
def test_a_bad_npz_file_is_one_error_that_names_file_and_key(tmp_path, arrays, message):
  path = saved(tmp_path / 'new.npz', **arrays)
  with pytest.raises(ValueError, match=f'^{path}: {message}'):
    read(path)


def test_numbers_are_names_where_the_classes_are_numbers():
  def of(y, names):
    return places_among('y', np.array(y), names, count=len(y)).tolist()

  assert of([5, 1, 2], ('1', '2', '5')) == [2, 0, 1]
  assert of([2, 1], ('1', '2', 'x')) == [1, 0]
  assert of(['2', 'x'], ('1', '2', 'x')) == [1, 2]
  assert of([2, 0], ('1', '2', 'x')) == [2, 0]
  with pytest.raises(ValueError, match="y: label '0' at index 0; must be one of the classes 1, 2"):
    of([0, 1], ('1', '2', '5'))


def test_places_are_no_names():
  digits = tuple(sorted(map(str, range(12))))  # '0', '1', '10', '11', '2', ...
  assert as_places('y', np.arange(12), digits, count=12).tolist() == list(range(12))
  assert as_places('y', np.array(['10', '2']), digits, count=2).tolist() == [2, 4]
  with pytest.raises(ValueError, match=r'y: label 3 at index 1; .*in \[0, 3\)'):
    as_places('y', np.array([0, 3]), ('1', '2', '3'), count=2)


def test_images_become_one_row_of_their_rows_for_networks_over_time():
  x = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
  np.testing.assert_array_equal(shaped('x', x, (1, 4, 15)), x.reshape(2, 1, 4, 15))


def test_pixels_may_be_of_any_type_but_must_be_pixels(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 3, 1))
  for kind in (np.uint8, np.int16, np.float16, np.float64):
    path = saved(tmp_path / 'a.npz', x=pixels.astype(kind), y=Y)
    found = read(path, dtype=np.uint8)
    assert found.x.dtype == np.uint8
    np.testing.assert_array_equal(found.x, pixels)
  path = saved(tmp_path / 'b.npz', x=pixels / 255, y=Y)
  with pytest.raises(ValueError, match=r'x of type float64: holds 0\..*must be whole numbers of 0'):
    read(path, dtype=np.uint8)
  assert typed('x', pixels.astype(np.uint8), np.float32).dtype == np.float32


def test_images_become_the_rows_that_a_network_reads():
  images = np.arange(2 * 4 * 3 * 2).reshape(2, 4, 3, 2)
  np.testing.assert_array_equal(shaped('x', images, (4, 6)), images.reshape(2, 4, 6))
  with pytest.raises(ValueError, match=r'x of shape \(2, 4, 3, 2\): must be \(N, 4, 5\)'):
    shaped('x', images, (4, 5))


def write_recordings(path, names, *, people=('anna', 'ben'), features='abc'):
  with path.open('w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(['person', *features, 'activity'])
    for number, (example, name) in enumerate(zip(X, names, strict=True)):
      for row in example:
        values = [row['abc'.index(f)] if f in 'abc' else 0 for f in features]
        writer.writerow([people[number % 2], *values, name])


def test_a_csv_file_of_recordings_with_its_columns_in_another_order(tmp_path):
  write_recordings(tmp_path / 'new.csv', np.array(NAMES)[Y], features='cxab')
  found = read(tmp_path / 'new.csv', window=6, features=('a', 'b', 'c'))
  np.testing.assert_array_equal(found.x, X.astype(np.float32)[..., None])
  assert found.y.tolist() == Y.tolist()
  assert found.groups.tolist() == ['anna', 'ben'] * 6
  write_recordings(tmp_path / 'odd.csv', ['run', 'swim'] * 6)
  with pytest.raises(
    ValueError, match=r"odd\.csv: y_test: label 'swim' at index 1; must be one of"
  ):
    read(tmp_path / 'odd.csv', window=6)
  with pytest.raises(ValueError, match=r"^features='d': .*odd\.csv has no such column"):
    read(tmp_path / 'odd.csv', window=6, features=('a', 'd'))
  (tmp_path / 'empty.csv').write_text('')
  with pytest.raises(ValueError, match=r'empty\.csv: is empty; must have rows of numbers'):
    read(tmp_path / 'empty.csv')


@pytest.mark.parametrize('split', ['', 'test'])
def test_a_folder_may_lack_classes_but_have_no_others(tmp_path, split):
  for name in ('walk', 'sit'):
    folder = tmp_path / split / name
    folder.mkdir(parents=True)
    Image.fromarray(np.full((6, 3), len(name), np.uint8)).save(folder / '1.png')
  if split:
    (tmp_path / 'train' / 'swim').mkdir(parents=True)  # is not read
  found = read(tmp_path, dtype=np.uint8)
  assert found.y.tolist() == [1, 2]
  assert found.x[:, 0, 0, 0].tolist() == [3, 4]
  (tmp_path / split / 'swim').mkdir()
  with pytest.raises(ValueError, match=r"has the classes \('sit', 'swim', 'walk'\); must be at"):
    read(tmp_path, dtype=np.uint8)


def test_a_folder_of_recordings_by_class_and_person(tmp_path):
  for number, label in enumerate(Y):
    folder = tmp_path / NAMES[label] / ('anna', 'ben')[number % 2]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f'{number:02}.csv').open('w', newline='') as file:
      csv.writer(file).writerows([['b', 'a', 'c'], *X[number][:, [1, 0, 2]].tolist()])
  found = read(tmp_path, group='folder', features=('a', 'b', 'c'))
  order = np.lexsort((np.arange(12), np.arange(12) % 2, Y))
  np.testing.assert_array_equal(found.x, X[order].astype(np.float32)[..., None])
  assert found.y.tolist() == Y[order].tolist()
  assert found.groups.tolist() == np.array(['anna', 'ben'])[order % 2].tolist()


def test_a_built_in_data_set_gives_its_test_examples():
  digits = load('digits')
  found = read('digits', class_names=digits.class_names, input_shape=(8, 8, 1), dtype=np.uint8)
  np.testing.assert_array_equal(found.x, digits.x_test)
  assert found.y.tolist() == digits.y_test.tolist()
  with pytest.raises(ValueError, match=r'^digits: x_test of shape \(359, 8, 8, 1\): must be'):
    read('digits')


def test_a_data_set_keeps_the_groups_of_its_splits(tmp_path):
  people = np.repeat([f'p{i}' for i in range(6)], 8)
  x = np.random.default_rng(0).normal(size=(48, 6, 3))
  path = saved(tmp_path / 'a.npz', x=x, y=np.arange(48) % 2, groups=people)
  data = load(path)
  of = {one.tobytes(): who for one, who in zip(x.astype(np.float32), people, strict=True)}
  for part, groups in ((data.x_val, data.groups_val), (data.x_test, data.groups_test)):
    assert [of[one.tobytes()] for one in part] == groups.tolist()
  assert data.without_test().groups_test is None
  held = {'x_test': x[:6], 'y_test': np.arange(6) % 2, 'groups_test': people[:6]}
  given = load(saved(tmp_path / 'b.npz', x=x, y=np.arange(48) % 2, **held))
  assert given.groups_test.tolist() == people[:6].tolist()
  assert given.groups_val is None
  held['groups_test'] = people[:5]
  with pytest.raises(ValueError, match=r'groups_test: has shape \(5,\); must be \(6,\)'):
    load(saved(tmp_path / 'c.npz', x=x, y=np.arange(48) % 2, **held))


def test_the_spread_counts_each_group_alike():
  right = np.array([True, True, False, True, False, True])
  found = spread(right, np.array([1, 1, 2, 2, 2, 3]))
  assert [tuple(one) for one in found.groups] == [('2', 1 / 3, 3), ('1', 1.0, 2), ('3', 1.0, 1)]
  assert found.mean == pytest.approx(7 / 9)
  record = found.to_record()
  assert (record['worst'], record['best']) == (1 / 3, 1.0)
  assert record['by_group']['2'] == {'accuracy': 1 / 3, 'examples': 3}
  assert str(found) == told(record) == 'worst 0.3333 (2), mean 0.7778, best 1.0000 (3); groups: 3'
