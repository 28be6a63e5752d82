"""The front end of sound in C, compiled here: the same bits as in the training."""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import rlnas
from rlnas.child.builder import build
from rlnas.data.sound_settings import micro_parameters
from rlnas.export import bundle
from rlnas.export.sound_files import sound_contents
from rlnas.finishing.recipe import calibration_of
from rlnas.spaces.decision import decode
from rlnas.spaces.table import sample_uniform
from rlnas.tflite.quantize import quantize
from tests import sounds
from tests.export.host_kernels import HEADERS, run_test

pytestmark = pytest.mark.slow

MICRO = 'tensorflow.lite.experimental.microfrontend.python.ops.audio_microfrontend_op'
SETTINGS = {
  'usual': rlnas.data.SoundSettings(clip_ms=500),
  'slow': rlnas.data.SoundSettings(
    clip_ms=500, sample_rate=8000, mel_bins=20, frame_ms=25, frame_hop_ms=10
  ),
  'long': rlnas.data.SoundSettings(clip_ms=500, mel_bins=64, frame_ms=128, frame_hop_ms=128),
}


def exported(data):
  """A network of random weights for the data, and its deployment."""
  row = rlnas.data.as_row(data)
  table = rlnas.compile_table(rlnas.Temporal(max_depth=1))
  network = decode(table.space, sample_uniform(table, np.random.default_rng(0)))
  model = quantize(build(network, row.task, seed=0), calibration_of(row))
  return bundle.deployment(model, row), row


@pytest.fixture(scope='module')
def recordings(tmp_path_factory):
  return sounds.write_folder(tmp_path_factory.mktemp('sounds') / 'all', each=10)


@pytest.fixture(scope='module', params=list(SETTINGS))
def made(request, recordings, tmp_path_factory):
  """The folder of a bundle, and its data."""
  deployed, row = exported(rlnas.data.load(recordings, sound=SETTINGS[request.param]))
  folder = tmp_path_factory.mktemp(request.param)
  rlnas.export.export_model(
    deployed.model, row, rlnas.BOARDS['nucleo-l4r5zi'].budget, folder, worlds=('cmake',)
  )
  return folder, row


def test_features_are_the_same_bits_in_c_for_20_recordings(made, tmp_path):
  folder, data = made
  (tmp_path / 'all.c').write_text("""
#include "sound.h"
int frames(const int16_t* samples, int count, uint8_t* found) {
  static rlnas_sound_work work;
  int taken, number = 0;
  rlnas_sound_begin(&work);
  for (; count > 0; samples += taken, count -= taken) {
    if (rlnas_sound_take(&work, samples, count, &taken, found)) {
      found += RLNAS_SOUND_BINS;
      ++number;
    }
  }
  return number;
}
""")
  library = tmp_path / 'all.so'
  command = ['cc', '-std=c99', '-O2', '-shared', '-fPIC', '-I', folder, tmp_path / 'all.c']
  subprocess.run([*command, '-o', library], check=True)
  call = ctypes.CDLL(str(library)).frames
  sound, rng = data.sound, np.random.default_rng(11)
  for number in range(20):
    kind = sounds.CLASSES[number % 3]
    samples = sounds.recording(rng, kind, seconds=1, rate=sound.sample_rate)
    if number >= 17:  # full scale, digital silence, the smallest steps
      samples = np.int16([np.sign(samples) * 32767, 0 * samples, samples // 4096][number - 17])
    expected = sound.features(samples)
    found = np.zeros_like(expected)
    arguments = (x.ctypes.data_as(ctypes.c_void_p) for x in (samples, found))
    pointer, place = arguments
    assert call(pointer, len(samples), place) == len(expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('compiler', ['cc', 'arm-none-eabi-gcc'])
def test_the_front_end_takes_the_memory_that_is_counted(made, compiler, tmp_path):
  folder, data = made
  if shutil.which(compiler) is None:
    pytest.skip(f'{compiler} is not installed')
  tables = ('window', 'cosine', 'sine', 'first', 'count', 'weights', 'steps')
  flash = ' + '.join(f'sizeof(rlnas_sound_{table})' for table in tables)
  hearing = data.sound.hearing
  (tmp_path / 'sizes.c').write_text(f"""
#include "sound.h"
_Static_assert({flash} == {hearing.flash_bytes}, "flash");
_Static_assert(sizeof(rlnas_sound_stream) == {hearing.sram_bytes}, "SRAM");
""")
  command = [compiler, '-std=c11', '-c', '-I', folder, tmp_path / 'sizes.c', '-o', os.devnull]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr


# Places of the pointers in struct FrontendState on a machine with 64 bits: those of the window,
# the transform, the channels, the noise, and the gain.
_POINTERS = (8, 24, 40, 56, 64, 88, 120, 128, 136, 144, 152, 160, 184, 216)


class _Config(ctypes.Structure):
  """struct FrontendConfig of TFLite Micro."""

  _fields_ = (
    *((name, ctypes.c_size_t) for name in ('window_size', 'window_step')),
    ('num_channels', ctypes.c_int),
    *((name, ctypes.c_float) for name in ('upper_band_limit', 'lower_band_limit')),
    *((name, ctypes.c_int) for name in ('output_scale_shift', 'smoothing_bits')),
    *((f'{name}_smoothing', ctypes.c_float) for name in ('even', 'odd')),
    ('min_signal_remaining', ctypes.c_float),
    ('enable_pcan', ctypes.c_int),
    *((name, ctypes.c_float) for name in ('pcan_strength', 'pcan_offset')),
    *((name, ctypes.c_int) for name in ('gain_bits', 'enable_log', 'scale_shift')),
  )


@pytest.mark.skipif(sys.platform != 'linux', reason='the library is there on Linux alone')
@pytest.mark.parametrize(
  'changes',
  [
    {},
    {'mel_bins': 20, 'frame_ms': 40},
    {'mel_bins': 64, 'sample_rate': 8000, 'frame_ms': 25},  # channels without a frequency
    {'mel_bins': 13, 'frame_ms': 64},
  ],
)
def test_the_front_end_of_tflite_micro_takes_the_heap_that_is_counted(changes):
  operator = pathlib.Path(pytest.importorskip(MICRO).__file__).with_name(
    '_audio_microfrontend_op.so'
  )
  sound = rlnas.data.SoundSettings(front_end='micro', **changes)
  library, config = ctypes.CDLL(str(operator)), _Config()
  library.FrontendFillConfigWithDefaults(ctypes.byref(config))
  for name, value in micro_parameters(sound).items():
    if name != 'sample_rate':
      setattr(config, name, value)
  state = ctypes.create_string_buffer(4096)
  assert library.FrontendPopulateState(ctypes.byref(config), state, sound.sample_rate) == 1
  usable = ctypes.CDLL(None).malloc_usable_size
  usable.argtypes, usable.restype = [ctypes.c_void_p], ctypes.c_size_t
  places = (int.from_bytes(state.raw[at : at + 8], 'little') for at in _POINTERS)
  taken, ring = sum(map(usable, places)), -(-sound.frames * sound.mel_bins // 4) * 4
  counted = sound.hearing.sram_bytes - ring - 148
  # Here kissfft's three pointers are longer, and a block may have up to 24 bytes that nobody asked
  # for; FrontendState and the counters of the ring are no blocks.
  assert 0 <= taken - counted <= 12 + 24 * len(_POINTERS)


def test_the_front_end_of_tflite_micro_gives_the_same_bits_and_passes_the_test(
  recordings, tmp_path
):
  """Its C code is in a library of TensorFlow's, to which the bundle's C is linked here."""
  operator = pathlib.Path(pytest.importorskip(MICRO).__file__).with_name(
    '_audio_microfrontend_op.so'
  )
  sound = rlnas.data.SoundSettings(clip_ms=500, front_end='micro')
  deployed, row = exported(rlnas.data.load(recordings, sound=sound))
  assert 'sound.mk' not in sound_contents(deployed, row)
  rlnas.export.export_model(deployed.model, row, rlnas.BOARDS['nucleo-l4r5zi'].budget, tmp_path)
  ctypes.CDLL(str(operator), mode=ctypes.RTLD_GLOBAL)
  flags = ['-Dmain=sound_test', '-Wall', '-Wextra', '-Wconversion', '-Werror', '-shared', '-fPIC']
  folders = ['-I', tmp_path, '-I', HEADERS]
  for compiler in (['cc', '-std=c99'], ['c++', '-std=c++17', '-x', 'c++']):
    library = tmp_path / f'{compiler[0]}.so'
    sources = [tmp_path / 'sound_test.c', '-x', 'c++', tmp_path / 'model.cc']
    command = [*compiler, *flags, *folders]
    if compiler[0] == 'cc':
      subprocess.run([*command, '-c', sources[0], '-o', tmp_path / 'test.o'], check=True)
      objects = [tmp_path / 'test.o', *sources[1:]]
      subprocess.run(['c++', '-shared', '-fPIC', *folders, *objects, '-o', library], check=True)
      run = ctypes.CDLL(str(library)).sound_test
    else:
      subprocess.run([*command, *sources, '-o', library], check=True)
      run = ctypes.CDLL(str(library))['_Z10sound_testv']
    assert run() == 0


def test_the_test_of_the_bundle_goes_from_samples_to_inputs(made, tmp_path):
  folder, _ = made
  for place in (folder, folder / 'cmake' / 'rlnas' / 'test'):
    command = ['make', 'test', f'BUILD={tmp_path / "build"}']
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('0 of 4 clips of sound failed') == 2
    subprocess.run(['make', 'clean', command[-1]], cwd=place, check=True)
  text = (folder / 'sound_test.c').read_text()
  hashes = re.search(r'hashes\[CLIPS\] = {(\d+)u', text)
  assert hashes is not None
  wrong = tmp_path / 'wrong'
  wrong.mkdir()
  for path in folder.iterdir():
    if path.is_file():
      (wrong / path.name).write_bytes(path.read_bytes())
  (wrong / 'sound_test.c').write_text(text.replace(f'{hashes[1]}u', '1u'))
  done = subprocess.run(['make', 'test'], cwd=wrong, capture_output=True, text=True, check=False)
  assert done.returncode != 0
  assert 'failed: clip 0' in done.stdout


def test_tflite_micro_gives_the_classes_of_the_samples(made, tmp_path):
  folder, _ = made
  for path in folder.iterdir():
    if path.is_file():
      (tmp_path / path.name).write_bytes(path.read_bytes())
  text = (tmp_path / 'sound_test.c').read_text()
  first = re.search(r'classes\[CLIPS\] = {(\d)', text)
  assert first is not None
  other = text.replace(first[0], first[0][:-1] + str(1 - min(1, int(first[1]))))
  assert [run_test('sound', each, tmp_path, 'SOUND_CLASSES') for each in (text, other)] == [0, 1]


def test_a_stream_has_the_input_of_its_last_clip(made, tmp_path):
  folder, data = made
  (tmp_path / 'stream.cc').write_text("""
#include "sound.h"
extern "C" int last(const int16_t* samples, int count, int chunk, int8_t* input, int* filled) {
  static rlnas_sound_stream stream;
  rlnas_sound_reset(&stream);
  int frames = 0;
  *filled = 0;
  for (int i = 0; i < count; i += chunk) {
    const int left = count - i;
    frames += rlnas_sound_listen(&stream, samples + i, chunk < left ? chunk : left);
    *filled += rlnas_sound_input(&stream, input);
  }
  return frames;
}
""")
  library = tmp_path / 'stream.so'
  command = ['c++', '-std=c++17', '-shared', '-fPIC', '-I', folder, tmp_path / 'stream.cc']
  subprocess.run([*command, '-x', 'c++', folder / 'model.cc', '-o', library], check=True)
  call = ctypes.CDLL(str(library)).last
  sound = data.sound
  samples = sounds.recording(
    np.random.default_rng(12), 'chirp', seconds=1.3, rate=sound.sample_rate
  )
  features = sound.features(samples)
  table = ctypes.CDLL(str(library))
  inputs = np.frombuffer((ctypes.c_int8 * 256).in_dll(table, 'rlnas_inputs'), np.int8)
  for chunk in (sound.frame_hop, 1000):
    found, filled = np.zeros((sound.frames, sound.mel_bins), np.int8), ctypes.c_int()
    pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (samples, found)]
    count = call(pointers[0], len(samples), chunk, pointers[1], ctypes.byref(filled))
    assert count == len(features)
    assert filled.value > 1
    np.testing.assert_array_equal(found, inputs[features[-sound.frames :]])


def test_other_data_have_no_front_end():
  assert sound_contents(None, rlnas.data.digits()) == {}
