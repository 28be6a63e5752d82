"""The window of a sensor's samples in C, compiled here: the same bits as in NumPy."""

import ctypes
import pathlib
import re
import subprocess

import numpy as np
import pytest

import rlnas
from rlnas.child.builder import build
from rlnas.cost.preprocessing import with_preprocessing
from rlnas.cost.window import Window
from rlnas.data.tasks import Task
from rlnas.data.windowed import through
from rlnas.export import bundle
from rlnas.export.window_files import inputs_of, window_contents
from rlnas.finishing.recipe import calibration_of
from rlnas.spaces.decision import decode
from rlnas.spaces.table import unrank
from rlnas.tflite.inference import int8_logits
from rlnas.tflite.quantize import quantize
from tests.export.host_kernels import run_test

pytestmark = pytest.mark.slow

STEPS, VALUES = 25, 6
CASES = {
  'all of it': (None, np.float32, Task.CLASSIFICATION),
  'a part, at a third of the rate': (Window(7, 3, (0, 1, 2, 5)), np.float32, Task.CLASSIFICATION),
  'one feature': (Window(12, 2, (4,)), np.float32, Task.CLASSIFICATION),
  'time stamps': (Window(5, 4, (1, 3, 4, 5)), np.float64, Task.CLASSIFICATION),
  'two values': (Window(6, 4, (0, 1, 2)), np.float32, Task.REGRESSION),
  'scores': (None, np.float32, Task.ANOMALY),
  'scores of a map': (None, np.float32, Task.ANOMALY),
}
SPACES = {'scores of a map': rlnas.spaces.ConvAutoencoder(max_layers=1)}


def moves(dtype, task=Task.CLASSIFICATION):
  """Examples whose features differ in range; the last of them drifts like a time stamp."""
  rng = np.random.default_rng(3)
  y = rng.integers(0, 3, 300)
  x = rng.normal(size=(300, STEPS, VALUES))
  x[..., 0] += np.sin(0.4 * np.arange(STEPS)) * y[:, np.newaxis]
  x = x * (1, 9.81, 0.01, 250, 3, 1) + (0, 0.2, 5, 0, -7, 0)
  if dtype == np.float64:
    x[..., 5] += 1.7e9 + np.arange(STEPS) / 50
  if task is Task.REGRESSION:
    y = np.stack([y + 0.5, np.arange(300) < 290], axis=1)
  elif task is Task.ANOMALY:
    y = np.where(y == 2, 'loose', 'ok')
  return x.astype(dtype), y


NIGHTLY = ('one feature', 'scores')


@pytest.fixture(
  scope='module',
  params=[pytest.param(c, marks=[pytest.mark.nightly] * (c in NIGHTLY)) for c in CASES],
)
def made(request, tmp_path_factory):
  """The folder of a bundle, its deployment and the data as the network sees them."""
  window, dtype, task = CASES[request.param]
  folder = tmp_path_factory.mktemp('window')
  x, y = moves(dtype, task)
  np.savez(folder / 'moves.npz', x_train=x, y_train=y)
  row = rlnas.data.as_row(rlnas.data.load(folder / 'moves.npz', task=task.value))
  assert row.x_train.dtype == dtype
  table = rlnas.compile_table(SPACES.get(request.param, rlnas.Temporal(max_depth=1)))
  network = decode(table.space, unrank(table, 0))
  whole = network if window is None else with_preprocessing(network, window)
  network, seen = through(whole, row)
  model = quantize(build(network, seen.task, seed=0), calibration_of(seen))
  budget = rlnas.BOARDS['nucleo-l010rb'].budget
  rlnas.export.export_model(model, seen, budget, folder, worlds=('cmake',))
  return folder, bundle.deployment(model, seen), seen


STREAM = """
#include "window.h"
int windows(const REAL* samples, int count, int8_t* found) {
  static rlnas_window_stream stream;
  int8_t input[RLNAS_INPUT_BYTES];
  int number = 0;
  rlnas_window_reset(&stream);
  for (int i = 0; i < count; ++i) {
    if (rlnas_window_push(&stream, samples + i * RLNAS_WINDOW_VALUES, input)) {
      memcpy(found + number++ * RLNAS_INPUT_BYTES, input, sizeof(input));
    }
  }
  return number;
}
unsigned int state(void) { return sizeof(rlnas_window_stream); }
"""


def compiled(folder, tmp_path, *flags):
  """window.h as a library, beside the arrays of model.cc."""
  (tmp_path / 'stream.c').write_text(STREAM)
  library, real = tmp_path / 'stream.so', 'double' if is_double(folder) else 'float'
  common = ['-O2', '-fPIC', '-I', folder, f'-DREAL={real}', *flags]
  subprocess.run(
    ['cc', '-std=c99', *common, '-c', tmp_path / 'stream.c', '-o', tmp_path / 'stream.o'],
    check=True,
  )
  sources = [tmp_path / 'stream.o', '-x', 'c++', folder / 'model.cc']
  subprocess.run(['c++', *common, '-shared', *sources, '-o', library], check=True)
  return ctypes.CDLL(str(library))


def is_double(folder: pathlib.Path) -> bool:
  return 'const double* sample' in (folder / 'window.h').read_text()


def run(library, samples, room):
  """The windows that a stream of samples gives. int8 [windows, bytes]."""
  samples = np.ascontiguousarray(samples)
  found = np.zeros((len(samples), room), np.int8)
  pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (samples, found)]
  return found[: library.windows(pointers[0], len(samples), pointers[1])]


def test_20_recordings_give_the_same_bits_in_c(made, tmp_path):
  folder, deployed, seen = made
  library = compiled(folder, tmp_path)
  x = (seen if seen.given is None else seen.given).x_train[:20].copy()
  x[18], x[19] = 1000 * x[18], -1e6 * x[19]  # corrupt: they saturate
  inputs, samples = inputs_of(deployed, seen, x)
  assert len(np.unique(inputs)) > 50
  for one, expected in zip(samples, inputs, strict=True):
    (found,) = run(library, one, expected.size)
    np.testing.assert_array_equal(found, expected)


def test_the_inputs_are_those_that_were_evaluated(made):
  """NumPy scales in double there, so a value near halfway between two may differ by one."""
  _, deployed, seen = made
  given = seen if seen.given is None else seen.given
  inputs, _ = inputs_of(deployed, seen, given.x_val)
  port = deployed.info.input
  steps = seen.scaling.apply(seen.x_val.astype(np.float64)) / port.scale + port.zero_point
  expected = np.clip(np.rint(steps), -128, 127).reshape(inputs.shape)
  assert np.abs(inputs - expected).max() <= 1
  assert (inputs != expected).mean() < 1e-3


def test_a_stream_has_a_window_at_each_hop(made, tmp_path):
  folder, deployed, seen = made
  window = seen.window or Window(STEPS, 1, tuple(range(VALUES)))
  hop = 3
  library = compiled(folder, tmp_path, f'-DRLNAS_WINDOW_HOP={hop}')
  x = (seen if seen.given is None else seen.given).x_train[:8]
  stream = x.reshape(-1, VALUES)
  found = run(library, stream, deployed.info.input.size_bytes)
  ends = range(window.steps, len(stream) + 1, hop * window.rate)
  assert len(found) == len(ends) > 10
  for one, end in zip(found, ends, strict=True):
    last = stream[end - window.steps : end]
    padded = np.zeros((1, *x.shape[1:]), x.dtype)
    padded[0, 0, -window.steps :] = last
    expected, _ = inputs_of(deployed, seen, padded)
    np.testing.assert_array_equal(one, expected[0])


def test_the_budget_counts_what_a_stream_takes(made, tmp_path):
  folder, _, seen = made
  window = seen.window or Window(STEPS, 1, tuple(range(VALUES)))
  state = compiled(folder, tmp_path).state()
  assert state == window.sram_bytes or is_double(folder)
  assert f'{window.sram_bytes} bytes, beside the arena' in (folder / 'window.h').read_text()


def test_the_test_of_the_bundle_goes_from_samples_to_inputs(made, tmp_path):
  folder, _, _ = made
  for place in (folder, folder / 'cmake' / 'rlnas' / 'test'):
    command = ['make', 'test', f'BUILD={tmp_path / "build"}']
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r'0 of \d windows failed', done.stdout)) == 2
    subprocess.run(['make', 'clean', command[-1]], cwd=place, check=True)


def test_a_wrong_input_fails_the_test_of_the_bundle(made, tmp_path):
  folder, _, _ = made
  for path in folder.iterdir():
    if path.is_file():
      (tmp_path / path.name).write_bytes(path.read_bytes())
  text = (folder / 'window_test.c').read_text()
  first = re.search(r'hashes\[EXAMPLES\] = {(\d+)u', text)
  assert first is not None
  (tmp_path / 'window_test.c').write_text(text.replace(f'{first[1]}u', '1u'))
  done = subprocess.run(['make', 'test'], cwd=tmp_path, capture_output=True, text=True, check=False)
  assert done.returncode != 0
  assert 'failed: example 0' in done.stdout


def test_tflite_micro_gives_the_answers_of_the_samples(made, tmp_path):
  folder, _, _ = made
  for path in folder.iterdir():
    if path.is_file():
      (tmp_path / path.name).write_bytes(path.read_bytes())
  text = (tmp_path / 'window_test.c').read_text()
  first = re.search(r'answers\[EXAMPLES\] = {(-?\d+)', text)
  assert first is not None
  other = text.replace(first[0], f'answers[EXAMPLES] = {{{int(first[1]) + 2}')
  assert [run_test('window', each, tmp_path, 'WINDOW_ANSWERS') for each in (text, other)] == [0, 1]


def test_the_answers_are_those_of_the_network(made):
  folder, deployed, seen = made
  text = (folder / 'window_test.c').read_text()
  found = re.search(r'answers\[EXAMPLES\] = {([-\d, ]+)}', text)
  assert found is not None
  answers = [int(number) for number in found[1].split(', ')]
  _, first = np.unique(seen.y_val, axis=0, return_index=True)
  outputs = int8_logits(
    deployed.model, seen.x_val[sorted(first)[: len(answers)]], scaling=seen.scaling
  )
  if seen.head.task is Task.CLASSIFICATION:
    assert answers == outputs.argmax(1).tolist()
  else:
    np.testing.assert_allclose(answers, outputs[:, 0], atol=1)  # as kernels round
  used = {'classification': 'best_class(', 'regression': 'value(', 'anomaly': 'score('}
  assert f'use(rlnas_{used[seen.head.task.value]}' in (folder / 'window.h').read_text()


def test_images_have_no_window():
  assert window_contents(None, rlnas.data.digits()) == {}
