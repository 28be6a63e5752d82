"""One's own data in the usual forms: keys, labels, columns, windows, sizes and groups."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from rlnas.data import describe, load
from rlnas.data.npz_keys import assign
from rlnas.data.splits import split_groups

RNG_X = np.random.default_rng(0).normal(size=(48, 6, 3))


def parts_of(data):
  return ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test))


def write_csv(path, names, rows, *, delimiter=','):
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('w', newline='') as file:
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerows([*([names] if names else []), *rows])
  return path


def recording(number, length, first=0):
  """Rows of two features that tell the recording and the row."""
  return [[number, row] for row in range(first, first + length)]


# Keys and labels of .npz files


@pytest.mark.parametrize(
  'keys',
  [
    {'X': 'x_train', 'y': 'y_train'},
    {'data': 'x_train', 'target': 'y_train'},
    {'images': 'x_train', 'labels': 'y_train'},
    {'X_train': 'x_train', 'Y_train': 'y_train', 'X_valid': 'x_val', 'Y_valid': 'y_val'},
    {
      'train-images': 'x_train',
      'train-labels': 'y_train',
      'test_images': 'x_test',
      'test_y': 'y_test',
    },
  ],
  ids=lambda keys: next(iter(keys)),
)
def test_usual_names_of_keys_are_taken_and_told(tmp_path, keys):
  named = {key: RNG_X[:24] if role[0] == 'x' else np.arange(24) % 2 for key, role in keys.items()}
  np.savez(tmp_path / 'a.npz', **named)
  np.savez(tmp_path / 'b.npz', **{role: named[key] for key, role in keys.items()})
  data, usual = load(tmp_path / 'a.npz'), load(tmp_path / 'b.npz')
  assert data.digest == usual.digest
  renamed = ', '.join(f'{key} as {role}' for key, role in keys.items())
  assert data.notes == (f'read {renamed}',)
  assert usual.notes == ()


def test_a_file_of_the_exact_names_keeps_its_meaning():
  keys = ('x_train', 'y_train', 'images', 'test_labels', 'subject', 'X', 'class_names')
  found, remarks = assign('f.npz', keys)
  assert found == {'x_train': 'x_train', 'y_train': 'y_train', 'class_names': 'class_names'}
  assert remarks == (
    'keys not read: images, test_labels, subject, X; --group=subject if it says what must lie in '
    'one split',
  )


def test_groups_that_are_not_wanted_are_not_advised():
  _, remarks = assign('f.npz', ('x_train', 'y_train', 'groups', 'user'), group='none')
  assert remarks == ('keys not read: groups, user',)


@pytest.mark.parametrize('named', [False, True])
def test_labels_of_text_are_classes(tmp_path, named):
  y = np.array(['walk', 'run', 'sit'] * 16)
  names = {'class_names': np.array(['walk', 'sit', 'run'])} if named else {}
  np.savez(tmp_path / 'a.npz', X=RNG_X, y=y, **names)
  data = load(tmp_path / 'a.npz')
  assert data.class_names == (('walk', 'sit', 'run') if named else ('run', 'sit', 'walk'))
  label = {x.tobytes(): y for x, y in zip(RNG_X.astype(np.float32), y.tolist(), strict=True)}
  for x, labels in parts_of(data):
    assert [label[one.tobytes()] for one in x] == [data.class_names[i] for i in labels]


@pytest.mark.parametrize('dtype', [np.int64, np.uint8, np.int8])
def test_labels_may_count_from_one(tmp_path, dtype):
  y = (np.arange(48) % 3).astype(dtype)
  held = {'x_test': RNG_X[:4], 'y_test': np.array([3, 1, 2, 1], dtype)}
  np.savez(tmp_path / 'a.npz', x_train=RNG_X, y_train=y + dtype(1), class_names=list('abc'), **held)
  np.savez(
    tmp_path / 'b.npz',
    **{'x_train': RNG_X, 'y_train': y, 'class_names': list('abc')},
    **held | {'y_test': held['y_test'] - dtype(1)},
  )
  data = load(tmp_path / 'a.npz')
  assert data.digest == load(tmp_path / 'b.npz').digest
  assert data.notes == ("labels count from 1: label 1 is 'a'",)
  assert data.y_test.tolist() == [2, 0, 1, 0]


# Groups


def groups_in(parts, group_of):
  return [{group_of(x) for x in examples} for examples, _ in parts]


def disjoint(groups):
  return sum(map(len, groups)) == len(set().union(*groups)) and all(groups)


@pytest.mark.parametrize('key', ['groups', 'subject'])
def test_a_group_of_an_npz_file_lies_in_one_split(tmp_path, key):
  groups = np.repeat([f'person {i}' for i in range(8)], 6)
  np.savez(tmp_path / 'a.npz', X=RNG_X, y=np.arange(48) % 2, **{key: groups})
  given = {} if key == 'groups' else {'group': key}
  data = load(tmp_path / 'a.npz', **given)
  of = {x.tobytes(): g for x, g in zip(RNG_X.astype(np.float32), groups.tolist(), strict=True)}
  found = groups_in(parts_of(data), lambda x: of[x.tobytes()])
  assert disjoint(found)
  assert [len(g) for g in found] == [6, 1, 1]
  assert data.notes[-1] == 'split by group: 6 training, 1 validation, 1 test groups'
  alone = load(tmp_path / 'a.npz', group='none')
  assert not disjoint(groups_in(parts_of(alone), lambda x: of[x.tobytes()]))
  assert load(tmp_path / 'a.npz', **given).digest == data.digest


def test_given_splits_need_no_groups(tmp_path):
  held = {
    f'{a}_{split}': v
    for split in ('val', 'test')
    for a, v in (('x', RNG_X[:4]), ('y', [0, 1, 0, 1]))
  }
  content = {'x_train': RNG_X, 'y_train': np.arange(48) % 2, **held}
  np.savez(tmp_path / 'a.npz', **content, groups=np.zeros(48, int))
  np.savez(tmp_path / 'b.npz', **content)
  assert load(tmp_path / 'a.npz').digest == load(tmp_path / 'b.npz').digest


@pytest.mark.parametrize('seed', range(8))
def test_whole_groups_are_split_with_every_class_in_each_split(seed):
  rng = np.random.default_rng(seed)
  groups = rng.integers(0, rng.integers(6, 40), 400)
  y = rng.choice(3, 400, p=(0.7, 0.2, 0.1)) if seed % 2 else groups % 3  # mixed, or one by group
  for val, test in ((0.1, 0.1), (0.1, 0), (0, 0.2), (0, 0)):
    if min(len(np.unique(groups[y == c])) for c in np.unique(y)) < 3:
      continue
    parts = split_groups(y, groups, val=val, test=test)
    assert sorted(np.concatenate(parts)) == list(range(400))
    used = [part for part, share in zip(parts, (1, val, test), strict=True) if share]
    assert all(
      len(part) == 0 for part, share in zip(parts, (1, val, test), strict=True) if not share
    )
    assert disjoint([set(groups[part].tolist()) for part in used])
    assert all(set(y[part].tolist()) == set(y.tolist()) for part in used)
    assert len(parts[0]) >= 0.3 * len(y)


def test_the_split_of_groups_never_changes():
  y, groups = np.arange(24) % 2, np.arange(24) // 4
  train, val, test = split_groups(y, groups, val=0.1, test=0.1)
  assert (sorted(set(groups[val])), sorted(set(groups[test]))) == ([0], [1])
  assert train[:6].tolist() == [11, 20, 13, 21, 15, 18]


def test_where_no_split_has_every_class_it_says_so():
  # Class 1 is in three groups, all of which class 2 needs as well, but for one each.
  y = np.array([0, 1, 2, 0, 1, 2, 0, 0, 0, 1, 2])
  groups = np.array([0, 0, 0, 1, 1, 1, 2, 3, 4, 2, 3])
  with pytest.raises(ValueError, match=r'groups: no split was found .*; let each class be in more'):
    split_groups(y, groups, val=0.1, test=0.1)


# Rows of a CSV file


HEADER = ('id', 'length', 'width', 'species')


def flowers(count=30, *, labels=('rose', 'lily', 'iris')):
  rng = np.random.default_rng(1)
  return [
    [i, *rng.normal(i % 3, 0.1, 2).round(4).tolist(), labels[i % len(labels)]] for i in range(count)
  ]


@pytest.mark.parametrize('delimiter', [',', ';', '\t'])
@pytest.mark.parametrize('labels', [('rose', 'lily', 'iris'), (1, 2, 10), ('1.0', '2.0', '10.0')])
def test_each_row_is_an_example(tmp_path, delimiter, labels):
  rows = flowers(labels=labels)
  path = write_csv(tmp_path / 'flowers.csv', HEADER, rows, delimiter=delimiter)
  data = load(path, label='species')
  assert data.name == 'flowers'
  assert data.class_names == (('iris', 'lily', 'rose') if labels[0] == 'rose' else ('1', '2', '10'))
  assert (data.x_train.shape, data.x_val.shape, data.x_test.shape) == (
    *((24, 1, 1, 2), (3, 1, 1, 2), (3, 1, 1, 2)),
  )
  label = {np.array(row[1:3], np.float32).tobytes(): str(row[3]).removesuffix('.0') for row in rows}
  for x, y in parts_of(data):
    assert [label[one.tobytes()] for one in x] == [data.class_names[i] for i in y]
  np.testing.assert_allclose(data.scaling.scale, data.x_train.std((0, 1, 2)), rtol=1e-5)
  assert data.notes[0] == (
    'each row is one example; 2 features length, width; label species; not features: id'
  )
  assert describe(data)[0].endswith('; 2 features, float32')


def test_the_label_is_found_by_its_name_or_as_the_only_text(tmp_path):
  for names in (HEADER, ('id', 'length', 'width', 'Class'), ('id', 'x', 'y', 'Activity')):
    rows = flowers(labels=('a', 'b') if names is HEADER else (1, 2))
    data = load(write_csv(tmp_path / 'a.csv', names, rows))
    assert f'label {names[-1]}' in data.notes[0]
    assert f'2 features {names[1]}, {names[2]}' in data.notes[0]


def test_without_a_header_columns_are_numbered(tmp_path):
  path = write_csv(tmp_path / 'a.csv', None, [row[1:] for row in flowers(labels=(1, 2))])
  data = load(path, label='3', features=('2',))
  assert data.input_shape == (1, 1, 1)
  assert data.notes[0] == 'each row is one example; 1 feature 2; label 3; not features: 1'


def test_a_column_of_groups_lies_in_one_split(tmp_path):
  rows = [[f'p{i // 6}', i, i % 7, i % 2] for i in range(60)]
  path = write_csv(tmp_path / 'a.csv', ('Subject ID', 'a', 'b', 'label'), rows)
  data = load(path)
  assert disjoint(groups_in(parts_of(data), lambda x: int(x[0, 0, 0]) // 6))
  assert 'group Subject ID' in data.notes[0]
  assert data.notes[-1] == 'split by group: 8 training, 1 validation, 1 test groups'
  assert not disjoint(groups_in(parts_of(load(path, group='none')), lambda x: int(x[0, 0, 0]) // 6))
  assert load(path, group='b', features=('a',)).input_shape == (1, 1, 1)


def test_empty_lines_and_a_mark_of_utf8_are_passed_over(tmp_path):
  path = write_csv(tmp_path / 'a.csv', HEADER, flowers())
  digest = load(path).digest
  path.write_text('\ufeff' + path.read_text().replace('\n', '\n\n') + '\n,,,\n', encoding='utf-8')
  assert load(path).digest == digest


# Recordings


def by_class(root, *, count=4, names=('time', 'a', 'b'), length=40):
  for place, name in enumerate(('run', 'walk')):
    for i in range(count):
      rows = [[t / 10, *r] for t, r in enumerate(recording(10 * place + i, length + i))]
      write_csv(root / name / f'{i}.csv', names, rows)


@pytest.mark.parametrize('time', ['time', 't', 'Timestamp', 'ms'])
def test_a_folder_by_class_is_cut_into_windows(time, tmp_path):
  by_class(tmp_path / 'moves', names=(time, 'a', 'b'))
  data = load(tmp_path / 'moves', window=16, hop=8)
  assert data.class_names == ('run', 'walk')
  assert data.input_shape == (16, 2)
  for x, y in parts_of(data):
    for window, label in zip(x, y, strict=True):
      assert np.ptp(window[:, 0]) == 0  # of one recording
      assert window[0, 0] // 10 == label
      assert (np.diff(window[:, 1]) == 1).all()
      assert window[0, 1] % 8 == 0
  assert disjoint(groups_in(parts_of(data), lambda x: x[0, 0]))
  assert sum(len(x) for x, _ in parts_of(data)) == 8 * 4
  assert data.notes[0] == (
    f'windows of 16 rows, every 8, of 8 recordings; 2 features a, b; not features: {time}; '
    'b only rises: if it counts time, name the others (--features)'
  )
  assert data.notes[1] == 'split by group: 4 training, 2 validation, 2 test groups'
  assert load(tmp_path / 'moves', window=16).digest == data.digest  # half a window is the default


def test_shorter_recordings_are_skipped_and_said(tmp_path):
  by_class(tmp_path, length=40)
  write_csv(tmp_path / 'run' / 'short.csv', ('time', 'a', 'b'), [[0, 1, 2]])
  (tmp_path / 'walk' / 'readme.txt').write_text('how it was recorded')
  notes = load(tmp_path, window=40).notes
  assert 'of 8 recordings (1 shorter skipped)' in notes[1]
  assert notes[0].startswith('1 other files (1 .txt)')


def test_whole_recordings_of_one_length_are_examples(tmp_path):
  by_class(tmp_path, count=5)
  with pytest.raises(
    ValueError, match=r'1\.csv, lines 2 to 42: has 41 rows, .*0\.csv, lines 2 to 41 '
  ):
    load(tmp_path)
  for path in tmp_path.rglob('*.csv'):
    path.write_text(''.join(path.read_text().splitlines(keepends=True)[:41]))
  data = load(tmp_path, features=('b', 'a'))
  assert data.x_train.shape == (6, 40, 2)
  assert data.notes[0].startswith('each of 10 recordings is one example; 2 features b, a; not')


def test_recordings_in_given_splits(tmp_path):
  for split, count in (('train', 4), ('test', 1)):
    by_class(tmp_path / split, count=count)
  data = load(tmp_path, window=40)
  assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (6, 2, 2)


@pytest.mark.parametrize('kind', ['recordings', 'images'])
def test_folders_of_people_lie_in_one_split(tmp_path, kind):
  for place, name in enumerate(('run', 'walk')):
    for person in range(5):
      for i in range(3):
        value = 20 * person + 5 * i + place
        folder = tmp_path / name / f'person{person}'
        if kind == 'images':
          folder.mkdir(parents=True, exist_ok=True)
          Image.new('L', (4, 4), value).save(folder / f'{i}.png')
        else:
          write_csv(folder / f'{i}.csv', ('a', 'b'), recording(value, 8))
  given = {'window': 8} if kind == 'recordings' else {}
  data = load(tmp_path, group='folder', **given)
  assert disjoint(groups_in(parts_of(data), lambda x: int(x.flat[0]) // 20))
  assert data.notes[-1] == 'split by group: 3 training, 1 validation, 1 test groups'
  what = 'CSV file' if kind == 'recordings' else 'image'
  with pytest.raises(ValueError, match=rf'person0: has 3 {what}s below the class .*--group=folder'):
    load(tmp_path, **given)


def one_file(path, *, names, marks):
  """One file with runs of 20 rows; `marks` says which columns change from run to run."""
  rows = []
  for run in range(12):
    for row in range(20):
      cells = {
        'time': row if 'time' in marks else 20 * run + row,
        'recording': run if 'recording' in marks else 0,
        'label': ('walk', 'run')[run % 2 if 'label' in marks else run // 6],
        'a': run,
        'b': row,
      }
      rows.append([cells[name] for name in names])
  return write_csv(path, names, rows)


@pytest.mark.parametrize(
  ('names', 'marks'),
  [
    (('time', 'a', 'b', 'label'), ('time',)),
    (('time', 'recording', 'a', 'b', 'label'), ('recording',)),
    (('a', 'b', 'label'), ('label',)),
    (('time', 'a', 'b', 'label'), ('time', 'label')),
  ],
)
def test_one_file_of_recordings_is_cut_into_windows(tmp_path, names, marks):
  data = load(one_file(tmp_path / 'all.csv', names=names, marks=marks), window=8, hop=4)
  assert data.class_names == ('run', 'walk')
  assert sum(len(x) for x, _ in parts_of(data)) == 12 * 4
  for x, y in parts_of(data):
    for window, label in zip(x, y, strict=True):
      assert np.ptp(window[:, 0]) == 0
      run = int(window[0, 0])
      assert data.class_names[label] == ('walk', 'run')[run % 2 if 'label' in marks else run // 6]
      assert (np.diff(window[:, 1]) == 1).all()
  assert disjoint(groups_in(parts_of(data), lambda x: x[0, 0]))
  assert 'of 12 recordings' in data.notes[0]


def test_files_without_classes_have_a_column_of_labels(tmp_path):
  for i in range(5):
    rows = [[r, i, ('walk', 'run')[r // 20]] for r in range(40)]
    write_csv(tmp_path / f'{i}.csv', ('b', 'a', 'activity'), rows)
  data = load(tmp_path, window=10)
  assert disjoint(groups_in(parts_of(data), lambda x: x[0, 1]))
  assert 'of 10 recordings' in data.notes[0]
  assert disjoint(groups_in(parts_of(load(tmp_path)), lambda x: x.flat[1]))  # rows of a file, too


# Images of mixed sizes and modes


@pytest.mark.parametrize(('column', 'groups'), [('moment', 5), ('recording', 10)])
def test_a_column_of_labels_makes_folders_groups(tmp_path, column, groups):
  for person in range(5):
    for half in range(2):
      rows = [
        [label, f'{person}{half}', 100 * person + half, row]
        for label in ('sit', 'run')
        for row in range(20)
      ]
      path = tmp_path / f'person {person}' / f'{half}.csv'
      write_csv(path, ('state', column, 'a', 'b'), rows)
  how = {'label': 'state', 'features': ('a', 'b'), 'window': 5, 'hop': 5}
  data = load(tmp_path, **how)
  assert data.class_names == ('run', 'sit')
  by_person = groups_in(parts_of(data), lambda window: window[0, 0] // 100)
  by_recording = groups_in(parts_of(data), lambda window: window[0, 0])
  assert disjoint(by_recording)
  assert disjoint(by_person) == (column == 'moment')  # a column of groups counts more
  assert sum(map(len, by_recording)) == 10
  said = 'each folder is a group' if column == 'moment' else f'group {column}'
  assert said in data.notes[0]
  assert f'{groups * 3 // 5} training' in data.notes[1] or groups == 10
  named = load(tmp_path, group='folder', **how)
  assert disjoint(groups_in(parts_of(named), lambda window: window[0, 0] // 100))


def test_images_are_brought_to_one_size_and_mode(tmp_path):
  for name, grey in (('a', 51), ('b', 204)):
    (tmp_path / name).mkdir()
    for i, (mode, size) in enumerate(
      (('RGB', (60, 20)), ('L', (20, 60)), ('RGBA', (64, 64)), ('P', (9, 7)))
    ):
      image = Image.new('RGB', size, (grey, grey, grey))
      image.paste((255, 0, 0), (0, 0, size[0] // 6, size[1] // 6))  # a corner, which is cut off
      image.convert(mode).save(tmp_path / name / f'{i}.png')
  for channels in (1, 3):
    data = load(tmp_path, image_size=(10, 12), channels=channels)
    assert data.input_shape == (10, 12, channels)
    for x, y in parts_of(data):
      centre = x[:, 5, 6].astype(int)
      assert (abs(centre - np.array([51, 204])[y][:, np.newaxis]) <= 2).all()
    colour = 'grey' if channels == 1 else 'RGB'
    assert data.notes == (
      f'images scaled to cover 10 x 12 and cropped to the middle, made {colour}',
    )


def test_the_middle_of_an_image_is_kept(tmp_path):
  for name in 'ab':
    (tmp_path / name).mkdir()
    for i in range(3):
      image = Image.new('L', (30, 10), 0)
      image.paste(255, (10, 0, 20, 10))
      image.save(tmp_path / name / f'{i}.png')
  data = load(tmp_path, image_size=(10, 10))
  assert (data.x_train == 255).all()
  assert data.input_shape == (10, 10, 1)


# Refusals, which name file, key or row, and the cure


def bad_csv(tmp_path, text):
  path = tmp_path / 'bad.csv'
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return path


BAD_CSV = {
  'empty': ('\n\n', {}, r'bad\.csv: is empty; must have rows of numbers'),
  'header alone': ('a,b,label\n', {}, r'bad\.csv: has a header alone; must have rows'),
  'latin': (b'a,label\n1,caf\xe9\n', {}, r'bad\.csv: is not a readable CSV file in UTF-8'),
  'quotes': ('a,label\n1,"x\n', {}, r'bad\.csv: is not a readable CSV file in UTF-8 \(Error'),
  'short line': ('a,b,label\n1,2,x\n1,y\n', {}, r'bad\.csv: line 3 has 2 cells; must have 3'),
  'equal names': ('a,a,label\n1,2,x\n', {}, "two columns have the name 'a'; names must differ"),
  'no number': (
    'a,b,label\n1,2,x\n\n1,oops,y\n',
    {},
    r"bad\.csv: line 4, column 'b': 'oops'; must be a finite number: name the columns of numbers",
  ),
  'missing': (
    'a,b,label\n1,,x\n',
    {},
    r"line 2, column 'b': ''; must .*: fill it in, or delete the",
  ),
  'nan': ('a,label\nnan,x\n', {}, r"line 2, column 'a': 'nan'; must .*: fill it in, or delete the"),
  'infinite': (
    'a,label\n1,x\n-inf,y\n',
    {},
    r"line 3, column 'a': '-inf'; must be a finite number",
  ),
  'decimal comma': (
    'a;label\n1,5;x\n',
    {},
    r"line 2, column 'a': '1,5'; .*: write decimals with a",
  ),
  'no label': ('a,b\n1,2\n', {}, r'of the columns a, b none is named label, .*: --label=NAME'),
  'two labels': (
    'a,class,target\n1,x,y\n',
    {},
    "of the columns a, class, target 'class' and 'target' may each be the label; name",
  ),
  'two texts': ('a,b,c\n1,x,y\n', {}, "'b' and 'c' may each be the label; name that of the labels"),
  'empty label': (
    'a,label\n1,x\n2,\n',
    {},
    r"line 3, column 'label': is empty; fill it in, or del",
  ),
  'empty group': ('a,user,label\n1,,x\n', {}, r"line 2, column 'user': is empty; fill it in"),
  'unknown label': (
    'a,b\n1,2\n',
    {'label': 'c'},
    r"^label='c': .*bad\.csv has no such column, only a",
  ),
  'unknown group': (
    'a,label\n1,2\n',
    {'group': 'c'},
    "^group='c': .* has no such column, only a, l",
  ),
  'unknown feature': (
    'a,label\n1,2\n',
    {'features': ('a', 'c')},
    "^features='c': .* no such column",
  ),
  'label as feature': (
    'a,label\n1,2\n',
    {'features': ('label',)},
    "^features='label': is the label",
  ),
  'no feature': (
    'id,label\n1,2\n',
    {},
    'no column is left for the features; name them: --features',
  ),
  'few examples': (
    'a,label\n1,x\n2,x\n3,x\n4,y\n',
    {},
    r"\(class 'y'\) has 1 example; must have at",
  ),
  'few recordings': (
    'a,label\n1,x\n2,x\n3,y\n4,y\n',
    {'window': 1},
    r"class 'x'\) is in 1 group \(.*bad\.csv, lines 2 to 3\); must be in at least 3, since a group",
  ),
  'long window': (
    'a,label\n1,x\n2,x\n3,y\n',
    {'window': 3},
    r'^window=3: the longest recording has 2 rows \(.*bad\.csv, lines 2 to 3\); must be at most',
  ),
  'no window': ('a,label\n1,x\n', {'hop': 2}, '^hop=2: needs a window'),
  'window of 0': ('a,label\n1,x\n', {'window': 0}, '^window=0: must be at least 1 row'),
  'size': (
    'a,label\n1,x\n',
    {'image_size': (3, 3)},
    r'^image_size=\(3, 3\): is for folders of ima',
  ),
}


@pytest.mark.parametrize(('text', 'given', 'message'), BAD_CSV.values(), ids=BAD_CSV)
def test_a_bad_csv_file_is_refused(tmp_path, text, given, message):
  path = bad_csv(tmp_path, text)
  with pytest.raises(ValueError, match=message):
    load(path, **given)


def test_a_missing_csv_file_is_told(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'none\.csv: no such file'):
    load(tmp_path / 'none.csv')


def test_bad_folders_of_recordings_are_refused(tmp_path):
  by_class(tmp_path / 'moves')
  write_csv(tmp_path / 'moves' / 'walk' / '9.csv', ('time', 'a', 'c'), [[0, 1, 2]] * 40)
  with pytest.raises(
    ValueError, match=r"9\.csv: has no column 'b', only time, a, c; must have the"
  ):
    load(tmp_path / 'moves', window=8)
  for name in ('walk', 'run'):
    rows = [[i, i, name] for i in range(40)]
    for i in range(3):
      write_csv(tmp_path / 'known' / name / f'{i}.csv', ('a', 'b', 'state'), rows)
  with pytest.raises(ValueError, match=r"^label='state': the folders in .* are the labels; leave"):
    load(tmp_path / 'known', window=8, label='state')
  with pytest.raises(ValueError, match=r'^channels=1: is for images alone; .* holds CSV files'):
    load(tmp_path / 'moves', channels=1)
  with pytest.raises(
    ValueError, match=r'0\.csv: lies in the folder of a class; with --group=folder'
  ):
    load(tmp_path / 'moves', window=8, group='folder')


def test_settings_of_other_data_are_refused(tmp_path):
  np.savez(tmp_path / 'a.npz', X=RNG_X, y=np.arange(48) % 2)
  (tmp_path / 'a').mkdir()
  Image.new('L', (4, 4)).save(tmp_path / 'a' / '0.png')
  for path, given, message in (
    ('digits', {'window': 8}, 'window=8: is for your own data alone; not digits'),
    (tmp_path / 'a.npz', {'label': 'y'}, r'label=y: is for CSV files alone; not .*a\.npz'),
    (tmp_path / 'a.npz', {'channels': 3}, r'channels=3: is for folders of images alone; .*a file'),
    (tmp_path / 'a.npz', {'group': 'g'}, r"group='g': .*a\.npz has no such key, only X, y"),
    (tmp_path, {'hop': 3}, 'hop=3: is for CSV files alone; .* holds images'),
    (tmp_path, {'group': 'person'}, "group='person': groups of images are folders, 'folder' or"),
    (tmp_path, {'channels': 2}, r'channels=2: must be 1 \(grey\) or 3 \(colour\)'),
    (
      tmp_path,
      {'image_size': (0, 3)},
      r'image_size=\(0, 3\): must be height and width, at least 1',
    ),
  ):
    with pytest.raises(ValueError, match=f'^{message}'):
      load(path, **given)


BAD_VALUES = np.where(np.arange(18).reshape(6, 3) == 7, np.nan, RNG_X)


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    (
      {'X': np.concatenate([RNG_X, BAD_VALUES[:2]]), 'labels': np.arange(50) % 2},
      r'a\.npz: X: holds NaN .* in 2 of 50 examples, first in X\[48, 2, 1\]; .* leave these',
    ),
    ({'X': RNG_X, 'labels': np.arange(47) % 2}, r'a\.npz: labels: has shape \(47,\); must be'),
    (
      {'X': RNG_X, 'y': np.arange(48) % 2, 'who': np.arange(40)},
      r'a\.npz: who: has shape \(40,\); must be \(48,\), one group',
    ),
  ],
  ids=['NaN', 'labels', 'groups'],
)
def test_errors_name_the_file_and_its_own_keys(tmp_path, arrays, message):
  np.savez(tmp_path / 'a.npz', **arrays)
  with pytest.raises(ValueError, match=message):
    load(tmp_path / 'a.npz', group='who' if 'who' in arrays else None)


def test_a_file_of_another_kind_is_told(tmp_path):
  (tmp_path / 'rows.txt').write_text('a,label\n1,2\n')
  with pytest.raises(ValueError, match=r"rows\.txt': is a \.txt; must be an \.npz file, a \.csv"):
    load(tmp_path / 'rows.txt')
