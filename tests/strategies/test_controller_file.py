"""The file of a controller: exact, whole or not there, and refused where it is anything else."""

import json
import os
import pickle

import numpy as np
import pytest

from rlnas.spaces import Chain
from rlnas.spaces.decision import Decision
from rlnas.spaces.table import compile_table
from rlnas.strategies.controller import Controller
from rlnas.strategies.controller_file import Parts, read_parts, weight_shapes, write_parts
from tests.disk import full_disk
from tests.testing.broken_spaces import chain

SYMBOLS = (
  ('kind', 'int', 1),
  ('kind', 'float', 1.0),
  ('kind', 'bool', True),
  ('kind', 'str', '1'),
  ('kind', 'float', 0.1 + 0.2),
  ('kïnd', 'str', 'ключ "\n\0'),
)


def parts(**changes) -> Parts:
  """Weights that no two controllers share, the smallest and largest numbers among them."""
  shapes = weight_shapes(len(SYMBOLS), 2, 3)
  rng = np.random.default_rng(0)
  weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
  weights['start'][0, :] = [-0.0, np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal]
  return Parts(SYMBOLS, 2, 3, weights | changes)


def assert_equal(one: Parts, other: Parts) -> None:
  assert (one.layers, one.units) == (other.layers, other.units)
  assert list(map(repr, one.symbols)) == list(map(repr, other.symbols))  # 1, 1.0 and True differ
  assert list(one.weights) == list(other.weights)
  for name, weight in one.weights.items():
    assert weight.tobytes() == other.weights[name].tobytes()


@pytest.fixture(name='path')
def _path(tmp_path):
  write_parts(tmp_path / 'controller.npz', parts())
  return tmp_path / 'controller.npz'


def rewritten(path, *, without=(), header=None, **arrays):
  """The file with some arrays added, replaced or left out, and some entries of its header."""
  with np.load(path) as file:
    held = {name: file[name] for name in file.files}
  if header is not None:
    held['header'] = np.array(json.dumps(json.loads(held['header'].item()) | header))
  held |= arrays
  np.savez(path, **{name: value for name, value in held.items() if name not in without})
  return path


def test_a_file_gives_back_what_was_written(path):
  assert_equal(read_parts(path), parts())


def test_an_existing_file_is_replaced_and_nothing_is_left_beside_it(path):
  other = parts(v=np.zeros((3, 1), np.float32))
  write_parts(str(path), other)
  assert_equal(read_parts(str(path)), other)
  assert os.listdir(path.parent) == [path.name]


def test_a_file_that_is_cut_off_is_refused(path):
  content = path.read_bytes()
  for length in range(0, len(content), 97):
    path.write_bytes(content[:length])
    with pytest.raises(ValueError, match=r'controller\.npz: not a controller'):
      read_parts(path)


def test_a_damaged_file_is_refused_or_tells_the_same(path):
  """One byte in ten or so matters to nobody: the times of an archive, say."""
  content, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
  for place in rng.integers(len(content), size=500).tolist():
    damaged = bytearray(content)
    damaged[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(damaged)
    try:
      found = read_parts(path)
    except ValueError as error:
      assert str(error).startswith(f'{path}: not a controller')  # noqa: PT017 (either is right)
      refused += 1
    else:
      assert_equal(found, parts())
  assert refused > 400


class Trap:
  def __reduce__(self):
    return (os._exit, (7,))  # who unpickles it ends


@pytest.mark.parametrize('what', ['pickle', 'array', 'object', 'text', 'nothing'])
def test_a_foreign_file_is_refused_and_not_executed(what, tmp_path):
  path = tmp_path / 'controller.npz'
  if what == 'pickle':
    path.write_bytes(pickle.dumps(Trap()))
  elif what == 'array':
    with path.open('wb') as file:
      np.save(file, np.zeros(3, np.float32))
  elif what == 'object':
    np.savez(path, header=np.array([Trap()], object))
  elif what == 'text':
    path.write_text('header')
  else:
    path.touch()
  with pytest.raises(ValueError, match=r'controller\.npz: not a controller'):
    Controller.load(path)


@pytest.mark.parametrize(
  ('changes', 'rule'),
  [
    ({'without': ['header']}, "it has no array 'header'"),
    ({'header': {'format': 2}}, 'format 2: must be 1'),
    ({'header': {'format': True}}, 'has no format number'),
    ({'header': {'other': 0}}, "must be .'format', 'layers', 'symbols', 'units'."),
    ({'header': {'layers': 0}}, 'layers=0: must be an integer of at least 1'),
    ({'header': {'units': 3.0}}, r'units=3\.0: must be an integer'),
    ({'header': {'layers': 10**12}}, 'must be the weights of 1000000000000 layers'),
    ({'header': {'layers': 1}}, 'must be the weights of 1 layers'),
    ({'header': {'units': 4}}, r'start: must be float32 of shape \[1, 4\]'),
    ({'header': {'symbols': []}}, 'symbols: must be a list that is not empty'),
    ({'header': {'symbols': [['kind', 'int', 1]]}}, r'embedding: .* \[1, 3\]'),
    ({'header': {'symbols': [['kind', 'int', 1]] * 6}}, 'symbols: one occurs twice'),
    ({'header': {'symbols': [['kind', 'int', True]]}}, r"symbol \['kind', 'int', True\]: must be"),
    ({'header': {'symbols': [['kind', 'list', [1]]]}}, 'must be a kind, a type and a JSON scalar'),
    ({'header': {'symbols': [['kind', 'float', float('inf')]]}}, 'JSON scalar'),
    ({'header': {'symbols': [7]}}, 'symbol 7: must be'),
    ({'without': ['v']}, 'must be the weights of 2 layers'),
    ({'more': np.zeros(1, np.float32)}, 'must be the weights of 2 layers'),
    ({'without': ['v'], 'w': np.zeros((3, 1), np.float32)}, 'must be the weights of 2 layers'),
    ({'v': np.zeros((1, 3), np.float32)}, r'v: must be float32 of shape \[3, 1\]'),
    ({'v': np.zeros((3, 1))}, 'v: must be float32'),
    ({'v': np.full((3, 1), np.nan, np.float32)}, 'v: must be finite'),
    ({'bias1': np.full(12, -np.inf, np.float32)}, 'bias1: must be finite'),
  ],
)
def test_a_file_of_other_contents_is_refused(changes, rule, path):
  with pytest.raises(ValueError, match=rf'controller\.npz: not a controller \((.|\n)*{rule}'):
    read_parts(rewritten(path, **changes))


@pytest.mark.parametrize('header', [1, ['{}'], '{', '[]', '{}', '[' * 100_000])
def test_a_header_that_is_none_is_refused(header, path):
  with np.load(path) as file:
    held = {name: file[name] for name in file.files}
  np.savez(path, **(held | {'header': np.array(header)}))
  with pytest.raises(ValueError, match='not a controller'):
    read_parts(path)


def test_what_cannot_be_read_is_an_os_error(tmp_path):
  for path in (tmp_path / 'missing.npz', tmp_path):
    with pytest.raises(OSError, match=path.name):
      Controller.load(path)


def test_weights_that_are_not_finite_are_not_saved(path):
  before = path.read_bytes()
  with pytest.raises(ValueError, match=r'controller\.npz: .* cannot be saved \(v: must be finite'):
    write_parts(path, parts(v=np.full((3, 1), np.inf, np.float32)))
  assert path.read_bytes() == before


def test_choices_that_json_does_not_know_are_not_saved(tmp_path):
  def space():
    width = yield Decision('width', 'filters', (4.0, float('inf')))
    return chain(int(min(width, 8)))

  with pytest.raises(ValueError, match=r"cannot be saved \(symbol \('filters', 'float', inf\)"):
    Controller(compile_table(space), units=2).save(tmp_path / 'controller.npz')
  assert os.listdir(tmp_path) == []


def test_where_a_file_cannot_be_written_the_old_one_stays(path):
  """No file may be longer than a kilobyte, as on a disk that is full."""
  before = path.read_bytes()
  with full_disk(1000), pytest.raises(OSError, match='too large'):
    write_parts(path, parts())
  assert path.read_bytes() == before
  assert os.listdir(path.parent) == [path.name]


def test_a_folder_is_not_overwritten(tmp_path):
  controller = Controller(compile_table(Chain(max_depth=1)), units=2)
  (tmp_path / 'controller.npz').mkdir()
  with pytest.raises(OSError, match='directory'):
    controller.save(tmp_path / 'controller.npz')
  assert os.listdir(tmp_path) == ['controller.npz']
