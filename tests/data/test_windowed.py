"""Data as networks see them through their windows."""

import dataclasses
import multiprocessing
import weakref

import numpy as np
import pytest

import rlnas
from rlnas.architecture import Architecture, Node
from rlnas.cost.preprocessing import with_preprocessing
from rlnas.cost.window import Window
from rlnas.data.assembling import assemble
from rlnas.data.dataset import validate
from rlnas.data.windowed import through, windowed
from rlnas.evaluation.shared_memory import Shared, attach

PLAIN = Architecture((Node('input'), Node('global_avg_pool', (0,)), Node('classifier', (1,))))


def sequences(dtype=np.float32):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(60, 11, 4)).astype(dtype) * np.array([1, 10, 100, 0.1], dtype)
  y = np.arange(60) % 3
  return assemble('moves', (x, y), source='made here', features=('ax', 'ay', 'az', 'w'))


@pytest.mark.parametrize('way', [rlnas.data.as_sequences, rlnas.data.as_row, rlnas.data.as_images])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_a_frame_is_the_mean_of_its_steps(way, dtype):
  data = way(sequences(dtype))
  network, seen = through(with_preprocessing(PLAIN, Window(3, 3, (0, 3))), data)
  assert network == PLAIN
  validate(seen)
  given = data.x_train.reshape(-1, 11, 4)[:, 2:, [0, 3]]  # the last nine steps
  expected = given.reshape(len(given), 3, 3, 2).mean(2)
  shape = {3: (3, 2), 4: (1, 3, 2) if data.input_shape[0] == 1 else (3, 2, 1)}[data.x_train.ndim]
  assert seen.input_shape == shape
  assert seen.x_train.dtype == data.x_train.dtype
  np.testing.assert_allclose(seen.x_train.reshape(expected.shape), expected, rtol=1e-5)
  assert seen.features == ('ax', 'w')
  assert seen.given is data
  assert seen.given_task == data.task
  plain = np.ravel(data.scaling.scale)
  np.testing.assert_array_equal(np.ravel(seen.scaling.scale), plain[[0, 3]])
  np.testing.assert_array_equal(seen.y_val, data.y_val)


def test_every_window_ends_with_the_last_step():
  x = np.arange(2 * 11 * 1, dtype=np.float32).reshape(2, 11, 1)
  for window in (Window(11, 1, (0,)), Window(5, 2, (0,)), Window(2, 4, (0,)), Window(1, 11, (0,))):
    seen = windowed(x, window)
    last = x[:, 11 - window.rate :].mean(1)
    np.testing.assert_allclose(seen[:, -1], last)
    assert seen.shape == (2, window.frames, 1)


def test_what_is_faster_than_a_frame_does_not_appear_as_something_slow():
  """A sine of 7/8 of a period a step looks like 1/8, if one of each two steps is read."""
  steps = np.arange(64, dtype=np.float32)
  x = np.sin(2 * np.pi * 7 / 16 * steps)[np.newaxis, :, np.newaxis].astype(np.float32)
  seen = windowed(x, Window(32, 2, (0,)))
  assert x[:, ::2].std() > 0.7
  assert seen.std() < 0.2 * x[:, ::2].std()


def test_whole_examples_stay_as_they_are():
  data = sequences()
  assert through(PLAIN, data) == (PLAIN, data)


def test_equal_windows_are_made_once():
  data = sequences()
  network = with_preprocessing(PLAIN, Window(4, 2, (1,)))
  first, again = (through(network, data)[1].x_train for _ in range(2))
  assert first is again
  for frames in (3, 2):  # two others take its place
    through(with_preprocessing(PLAIN, Window(frames, 2, (1,))), data)
  assert through(network, data)[1].x_train is not first
  other = dataclasses.replace(data, x_val=data.x_val[:3], y_val=data.y_val[:3])
  assert len(through(network, other)[1].x_val) == 3


def look(handle):
  """Looks through a window at data in shared memory, as a worker does, and ends."""
  data, _memory = attach(handle)
  through(with_preprocessing(PLAIN, Window(4, 1, (0, 1, 2, 3))), data)  # a view of that memory


@pytest.mark.slow
def test_what_is_kept_of_windows_does_not_keep_the_data_alive(capfd):
  data = sequences()
  alive, shared = weakref.ref(data), Shared(data)
  process = multiprocessing.get_context('spawn').Process(target=look, args=(shared.handle,))
  process.start()
  look(shared.handle)
  process.join()
  shared.close()
  assert process.exitcode == 0
  assert capfd.readouterr().err == ''
  through(with_preprocessing(PLAIN, Window(4, 1, (0, 1, 2, 3))), data)
  del data
  assert alive() is None


@pytest.mark.parametrize('data', [rlnas.data.digits(), 'bytes'])
def test_data_without_windows_are_refused(data):
  if data == 'bytes':
    x = np.random.default_rng(0).integers(0, 255, (60, 9, 4)).astype(np.uint8)
    data = assemble('bytes', (x, np.arange(60) % 2), source='made here')
  network = with_preprocessing(PLAIN, Window(2, 1, (0,)))
  with pytest.raises(ValueError, match=r'window'):
    through(network, data)
