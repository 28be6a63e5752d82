"""The C of a bundle at work: its own test, raw values to scores in one call, and a Cortex-M."""

import ctypes
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from tflite_micro import runtime

from rlnas.cost.builds import BUILDS
from rlnas.data.scaling import Scaling
from rlnas.export.bundle import export_model
from rlnas.export.deployment import inspect, reserve
from rlnas.tflite.inference import tflm_logits
from tests.export.host_kernels import HEADERS, WARNINGS, HostFirmware
from tests.export.test_bundle import BUDGET, NAMES, images, network

pytestmark = pytest.mark.slow

CORTEX_M = pathlib.Path(__file__).with_name('cortex_m')
ARM = ('arm-none-eabi-gcc', 'arm-none-eabi-g++')


def floats(*, center=3.0, dtype=np.float32, **changes):
  """Data of normal values around a center."""
  x = np.random.default_rng(0).normal(center, 2, (40, 8, 8, 1)).astype(dtype)
  return images(x_train=x, x_val=x, x_test=x, **changes)


OFFSETS = np.linspace(-2, 5, 8, dtype=np.float32)[:, None]
DATA = {
  'pixels': images(),
  'bytes': images(16.0),
  'columns': images(
    scaling=Scaling(np.full((8, 1), 3.0, np.float32), np.geomspace(60, 255, 8)[:, None])
  ),
  'floats': floats(scaling=Scaling(3.25, 2.0)),
  'features': floats(scaling=Scaling(OFFSETS, np.full_like(OFFSETS, 3.0), 2.5)),
  'times': floats(center=1.7e9, dtype=np.float64, scaling=Scaling(1.7e9, 0.7, 2.5)),
}


@pytest.fixture(scope='module', name='bundles')
def _bundles(tmp_path_factory):
  """A bundle for each kind of data, by its name, and the model."""
  folder, model = tmp_path_factory.mktemp('bundles'), network()
  for name, data in DATA.items():
    export_model(model, data, BUDGET, folder / name, name=name)
  return folder, model


def made(folder, *settings):
  """Runs `make test` in a bundle."""
  command = ['make', '-s', '-C', folder, 'test', *settings]
  return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def check_passed(shown, *, has_window):
  """Every check passed, in C99 and in C++17; those of windows run for sequences of floats."""
  assert len(re.findall(r'^0 of \d+ checks failed$', shown, re.MULTILINE)) == 2
  windows = re.findall(r'^0 of [1-9]\d* windows failed$', shown, re.MULTILINE)
  assert len(windows) == 2 * has_window


@pytest.mark.parametrize('name', DATA)
def test_make_test_checks_the_bundle(name, bundles, tmp_path):
  shown = made(bundles[0] / name, f'BUILD={tmp_path}')
  assert shown.returncode == 0, shown.stdout + shown.stderr
  check_passed(shown.stdout, has_window=name == 'features')


@pytest.mark.parametrize(
  ('file', 'change', 'fault'),
  [
    ('model.cc', lambda text: text.replace('  28, 0, 0, 0', '  29, 0, 0, 0', 1), 'content'),
    ('rlnas_model.h', lambda text: text.replace('_INPUT_SCALE 0.', '_INPUT_SCALE 1.', 1), 'value'),
    ('test_vectors.h', lambda text: text.replace('labels[FLOATS_VECTORS] = {', '[8]={90+', 1), ''),
  ],
)
def test_make_test_finds_what_was_changed(file, change, fault, bundles, tmp_path):
  copy = pathlib.Path(shutil.copytree(bundles[0] / 'floats', tmp_path / 'copy'))
  before = (copy / file).read_text()
  (copy / file).write_text(change(before))
  assert (copy / file).read_text() != before
  shown = made(copy)
  assert shown.returncode != 0
  assert f'failed: {fault}' in shown.stdout.replace('quantized ', '') or not fault


@pytest.fixture(scope='module', name='firmware')
def _firmware(bundles, tmp_path_factory):
  """All bundles in one program."""
  output = tmp_path_factory.mktemp('firmware') / 'firmware.so'
  flags = [f'-D{name.upper()}_NO_MAIN' for name in DATA]
  return HostFirmware([bundles[0] / name for name in DATA], output=output, flags=flags)


def examples(data, port, count=200):
  """Raw values all over the int8 range, none of them halfway between two int8 values."""
  rng = np.random.default_rng(1)
  if data.x_train.dtype == np.uint8:
    return rng.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
  steps = rng.integers(-140, 140, (count, 8, 8, 1)) + rng.uniform(-0.45, 0.45, (count, 8, 8, 1))
  seen = (steps - port.zero_point) * port.scale
  return (seen * data.scaling.scale + data.scaling.offset).astype(data.x_train.dtype)


@pytest.mark.parametrize('name', DATA)
def test_classify_gives_tflms_scores_for_200_inputs(name, bundles, firmware):
  data, model = DATA[name], bundles[1]
  info = inspect(model)
  raw = examples(data, info.input)
  kind = ctypes.c_double if raw.dtype == np.float64 else ctypes.c_float
  found = [firmware.classify(name, row, len(NAMES), kind) for row in raw]
  scores = np.array([scores for _, scores in found]) / info.output.scale + info.output.zero_point
  expected = tflm_logits(model, raw, scaling=data.scaling)
  assert np.array_equal(np.rint(scores), expected)
  assert [best for best, _ in found] == expected.argmax(axis=1).tolist()
  assert len(np.unique(expected, axis=0)) > 20


def test_bytes_give_the_scores_of_their_floats(bundles, firmware):
  """For data of bytes: of one scaling, by a subtraction or a table, and of one for each column."""
  for name in ('pixels', 'bytes', 'columns'):
    for row in examples(DATA[name], inspect(bundles[1]).input, count=20):
      expected = firmware.classify(name, row, len(NAMES))
      found = firmware.classify(name, row, len(NAMES), ctypes.c_ubyte, call='classify_u8')
      assert found[0] == expected[0]
      assert np.array_equal(found[1], expected[1])
  assert not hasattr(firmware.library, 'floats_classify_u8')


def test_pixels_out_of_range_saturate(bundles, firmware):
  for value, same in ((-7.0, 0.0), (300.0, 255.0), (float('nan'), 0.0), (99.6, 100.0)):
    given, wanted = (
      firmware.classify('pixels', np.full((8, 8), v), len(NAMES)) for v in (value, same)
    )
    assert given[0] == wanted[0]
    assert np.array_equal(given[1], wanted[1])


def test_all_networks_of_a_program_pass_their_vectors(firmware):
  firmware.printed()
  for name in DATA:
    assert getattr(firmware.library, f'{name}_check')() == 0
    shown = firmware.printed()
    assert shown.count(': ok, differs by 0, class ') == len(NAMES)
    assert f'0 of {len(NAMES)} vectors differ' in shown


def test_an_arena_that_is_too_small_is_named(bundles, tmp_path):
  small = HostFirmware(
    [bundles[0] / 'pixels'], output=tmp_path / 'small.so', flags=['-DPIXELS_ARENA_BYTES=512']
  )
  for _ in range(2):
    best, scores = small.classify('pixels', DATA['pixels'].x_val[0], len(NAMES))
    assert best == -1  # PIXELS_NOT_LOADED
    assert not scores.any()
  assert small.library.pixels_input() == 0
  assert small.library.pixels_arena_used_bytes() == 0
  assert small.printed() == 'not loaded: PIXELS_ARENA_BYTES, here 512, may be too small\n'
  assert small.library.pixels_check() == -1
  assert small.printed() == 'pixels_begin() returns -1: see classify.h\n'


def test_lines_go_to_the_function_of_the_firmware(bundles, tmp_path):
  """As where MicroPrintf is empty; and the library learns of the function where it can."""
  (tmp_path / 'print.cc').write_text("""
static char text[4096];
static int length = 0;
static void (*known)(const char*) = nullptr;
extern "C" void to_port(const char* line) { while (*line) text[length++] = *line++; }
extern "C" void RegisterDebugLogCallback(void (*callback)(const char*)) { known = callback; }
extern "C" const char* sent() { return known == to_port ? text : "not registered"; }
""")
  folder = pathlib.Path(shutil.copytree(bundles[0] / 'pixels', tmp_path / 'pixels'))
  shutil.copy(tmp_path / 'print.cc', folder)
  files = ('model.cc', 'classify.cc', 'main.cc', 'print.cc')
  flags = ['-DPIXELS_PRINT=to_port']
  made_with = HostFirmware([folder], output=tmp_path / 'p.so', files=files, flags=flags)
  assert made_with.library.pixels_check() == 0
  assert made_with.printed() == ''
  made_with.library.sent.restype = ctypes.c_char_p
  shown = made_with.library.sent().decode()
  assert shown.startswith('arena: ')
  assert shown.count(': ok, differs by 0, class ') == len(NAMES)
  assert shown.endswith(f'\n0 of {len(NAMES)} vectors differ\n')


def test_the_check_counts_the_vectors_that_differ(bundles, tmp_path):
  folder = pathlib.Path(shutil.copytree(bundles[0] / 'pixels', tmp_path / 'pixels'))
  text = (folder / 'test_vectors.h').read_text()
  before, after = text.split('pixels_vector_outputs[PIXELS_VECTORS][PIXELS_CLASSES] = {')
  wrong = re.sub(
    r'\{-?\d+,', lambda found: '{-128,' if found[0] != '{-128,' else '{127,', after, count=2
  )
  between = 'pixels_vector_outputs[PIXELS_VECTORS][PIXELS_CLASSES] = {'
  (folder / 'test_vectors.h').write_text(before + between + wrong)
  changed = HostFirmware([folder], output=tmp_path / 'changed.so')
  assert changed.library.pixels_check() == 2
  assert changed.printed().count('DIFFERS by ') == 2


def test_a_bundle_for_the_smallest_board_loads_on_this_machine(bundles, tmp_path):
  """Its arena is for pointers of 32 bits there, but not here: real TFLite Micro loads it."""
  build = BUILDS['m0-ref']
  export_model(bundles[1], DATA['pixels'], BUDGET, tmp_path, builds=[build])
  room = reserve(inspect(bundles[1]), [build])
  assert room.total_bytes < room.host_total_bytes
  small = HostFirmware([tmp_path], output=tmp_path / 'host.so')
  assert small.library.rlnas_check() == 0
  assert f' of {room.host_total_bytes} bytes used' in small.printed()
  with pytest.raises(RuntimeError):
    runtime.Interpreter.from_bytes(bundles[1], arena_size=room.total_bytes)


needs_arm = pytest.mark.skipif(
  not all(map(shutil.which, ARM)), reason='gcc-arm-none-eabi is not installed'
)


@needs_arm
@pytest.mark.parametrize('name', ['pixels', 'features', 'times'])
def test_it_compiles_for_a_cortex_m0(name, bundles, tmp_path):
  """The test's objects, and classify.cc with the headers of the tests."""
  flags = ('-mcpu=cortex-m0plus', '-mthumb', '-Os', *WARNINGS, '-Werror')
  for file in ('model.cc', 'classify.cc', 'main.cc'):
    command = [ARM[1], '-std=c++17', *flags, '-fno-exceptions', '-fno-rtti', '-I', HEADERS]
    output = ['-c', bundles[0] / name / file, '-o', tmp_path / f'{file}.o']
    subprocess.run([*command, *output], check=True, timeout=60)


@needs_arm
@pytest.mark.parametrize(
  ('defines', 'size'),
  [
    ((), 'total_bytes'),
    (('-DTF_LITE_STATIC_MEMORY',), 'total_bytes'),
    (('-DCMSIS_NN',), 'any_total_bytes'),
    (('-DARDUINO=10819',), 'any_total_bytes'),
    (('-DESP_PLATFORM',), 'any_total_bytes'),
    (('-D__ZEPHYR__=1',), 'any_total_bytes'),
  ],
)
def test_the_arena_depends_on_who_compiles_it(defines, size, bundles, tmp_path):
  builds = [BUILDS['m0-ref-release'], BUILDS['m0-ref']]
  export_model(bundles[1], DATA['pixels'], BUDGET, tmp_path, builds=builds)
  room = reserve(inspect(bundles[1]), builds)
  assert room.total_bytes < room.any_total_bytes < room.esp32s3_total_bytes
  command = [ARM[0], '-E', '-P', '-x', 'c', *defines, '-I', tmp_path, '-']
  given = '#include "rlnas_model.h"\nint size = RLNAS_ARENA_BYTES;\n'
  shown = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
  assert shown.stdout.splitlines()[-1] == f'int size = {getattr(room, size)};'


@needs_arm
def test_nothing_runs_at_the_start_or_the_end_of_the_program(bundles, tmp_path):
  """Static objects would need guards of threads, a registered end and a constructor."""
  output = tmp_path / 'classify.o'
  command = [ARM[1], '-std=c++17', '-mcpu=cortex-m4', '-mthumb', '-Os', '-I', HEADERS]
  source = bundles[0] / 'pixels' / 'classify.cc'
  subprocess.run([*command, '-c', source, '-o', output], check=True, timeout=60)
  names = subprocess.run(
    ['arm-none-eabi-nm', output], capture_output=True, text=True, check=True, timeout=60
  ).stdout
  assert 'pixels_classify_u8' in names
  for unwanted in ('__cxa_guard', '__aeabi_atexit', '_GLOBAL__sub_I', 'malloc', '_Znwj'):
    assert unwanted not in names
  sections = subprocess.run(
    ['arm-none-eabi-objdump', '-h', output], capture_output=True, text=True, check=True, timeout=60
  ).stdout
  assert '.init_array' not in sections


@needs_arm
@pytest.mark.skipif(not shutil.which('qemu-system-arm'), reason='qemu-system-arm is not installed')
@pytest.mark.parametrize('name', ['bytes', 'features', 'times'])
def test_the_quantizer_runs_on_an_emulated_cortex_m3(name, bundles, tmp_path):
  arm = '-mcpu=cortex-m3 -mthumb -Os'
  start = f'--specs=rdimon.specs -T {CORTEX_M / "link.ld"} {CORTEX_M / "vectors.S"}'
  emulator = 'timeout 60 qemu-system-arm -M mps2-an385 -nographic -semihosting -kernel'
  shown = made(
    bundles[0] / name,
    *(f'CC={ARM[0]}', f'CXX={ARM[1]}', f'CFLAGS={arm}', f'CXXFLAGS={arm}'),
    *(f'BUILD={tmp_path}', f'LDFLAGS={start}', f'RUN={emulator}'),
  )
  assert shown.returncode == 0, shown.stdout + shown.stderr
  check_passed(shown.stdout, has_window=name == 'features')
