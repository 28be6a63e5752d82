import subprocess
import sys

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape
from rlnas.backend import flatbuffer_utils, keras, quiet, tf
from rlnas.board import BOARDS
from rlnas.cost.builds import BUILDS
from rlnas.cost.cost import estimate_cost
from rlnas.cost.terms import TERMS
from rlnas.cost.workload import workload_of
from rlnas.data import loaders
from rlnas.evaluation.trained import Trained
from rlnas.evaluation.untrained import convert_untrained
from rlnas.tflite.footprint import measure as measure_trusted
from rlnas.tflite.inspection import MOST_FILE_BYTES, measure
from rlnas.tflite.tflm import load_elsewhere

CLASSES = 7
TASK = TaskShape((12, 10, 3), CLASSES)


def network():
  graph = Graph()
  window = {'kernel_height': 3, 'kernel_width': 3}
  x = graph.add('conv', graph.input, filters=8, stride=2, activation='relu', **window)
  y = graph.add('depthwise_conv', x, stride=1, activation='relu', **window)
  x = graph.add('add', x, y)
  x = graph.add('max_pool', x, stride=2, **window)
  return graph.finish(graph.classify(x))


@pytest.fixture(scope='module', name='model')
def _model():
  return convert_untrained(network(), TASK, seed=0)


@pytest.fixture(scope='module', name='report')
def _report(model):
  return measure(model)


def test_sizes_are_those_of_the_children(model, report):
  trusted = measure_trusted(model)
  for name in ('flash_bytes', 'sram_bytes', 'arena_head_bytes', 'arena_tail_bytes', 'sram_source'):
    assert getattr(report, name) == getattr(trusted, name)
  assert report.flash_bytes == len(model)
  arena = report.arena()
  assert arena.used_bytes == report.arena_head_bytes + report.arena_tail_bytes
  assert arena.used_bytes <= report.sram_bytes


def test_macs_and_operators(report):
  estimate = estimate_cost(network(), TASK)
  assert report.macs == estimate.macs
  assert report.macs == 30 * 27 * 8 + 30 * 9 * 8 + 8 * CLASSES
  kinds = ['CONV_2D', 'DEPTHWISE_CONV_2D', 'ADD', 'MAX_POOL_2D', 'MEAN', 'FULLY_CONNECTED']
  assert [o.kind for o in report.operators] == kinds
  assert report.operators[0].shape == (1, 6, 5, 8)
  assert max(o.live_bytes for o in report.operators) <= report.arena_head_bytes
  assert all(report.operators[i].live_bytes == 3 * 240 for i in report.peak)


def test_flash_is_accounted_for(report):
  # Kernels, biases of 32 bits, and the axes of the average.
  weights = 27 * 8 + 9 * 8 + 8 * CLASSES
  assert report.constant_bytes == weights + 4 * (8 + 8 + CLASSES) + 8
  whole = report.constant_bytes + report.quantization_bytes + report.overhead_bytes
  assert whole == report.flash_bytes


def test_on_the_chip_the_tail_is_smaller(report):
  lean, full = report.arena(BUILDS['esp32']), report.arena(BUILDS['m4-ard2023'])
  assert lean.head_bytes == report.arena_head_bytes
  assert 0.3 * report.arena_tail_bytes < lean.tail_bytes < 0.8 * report.arena_tail_bytes
  assert full.head_bytes >= report.arena_head_bytes  # the scratch finds room beside smaller maps
  assert full.tail_bytes > lean.tail_bytes


def test_the_work_follows_from_the_architecture_as_from_the_file(report):
  assert (workload_of(network(), TASK) == report.workload).all()
  assert report.workload[:, TERMS.index('products')].sum() == report.macs


def test_evaluators_state_the_latency_where_the_speed_is_known():
  data = loaders.take(loaders.digits(), 200)
  for name in (None, 'esp32', 'nucleo-f446re'):
    speed = BOARDS[name].speed if name else None
    found = Trained(data, epochs=1, speed=speed).evaluate(network(), seed=0)
    assert (found.latency_ms is None) == (name is None)
    assert (found.instructions is None) == (name != 'nucleo-f446re')


def test_a_float_model_of_others_is_measured():
  inputs = keras.layers.Input((8, 8, 2))
  x = keras.layers.Conv2D(4, 3)(inputs)
  x = keras.layers.Flatten()(x)
  model = keras.Model(inputs, [keras.layers.Dense(3)(x), keras.layers.Dense(2, 'softmax')(x)])
  with quiet():
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
  report = measure(content)
  assert report.macs == 36 * 18 * 4 + 144 * 3 + 144 * 2
  assert report.arena_head_bytes >= 4 * (128 + 144)


def test_an_operator_that_tflm_lacks_is_named():
  with quiet():
    function = tf.function(lambda x: tf.nn.local_response_normalization(x))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 1, 1, 8), tf.float32))
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], function).convert()
  with pytest.raises(ValueError, match='LOCAL_RESPONSE_NORMALIZATION'):
    measure(content)


def with_shape(model, shape):
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  graph.subgraphs[0].tensors[graph.subgraphs[0].inputs[0]].shape = np.array(shape, np.int32)
  return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


def with_buffer(model, buffer):
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  graph.subgraphs[0].tensors[-1].buffer = buffer
  return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


def reading(model, index):
  """Its second operator reads a tensor that is not there."""
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  operator = graph.subgraphs[0].operators[1]
  operator.inputs = np.array([index, *operator.inputs[1:]], np.int32)
  return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


def without_operators(model):
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  graph.subgraphs[0].operators = []
  return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


BROKEN = {
  'empty': lambda model: b'',
  'text': lambda model: b'int main() { return 0; }\n' * 40,
  'truncated': lambda model: model[: len(model) // 2],
  'head alone': lambda model: model[:24],
  'wrong magic': lambda model: model[:4] + b'XXXX' + model[8:],
  'root elsewhere': lambda model: b'\xff\xff\xff\x7f' + model[4:],
  'zeros': lambda model: model[:64] + bytes(len(model) - 64),
  'absurd shape': lambda model: with_shape(model, [1, 60_000, 60_000, 3]),
  'negative shape': lambda model: with_shape(model, [1, -12, 10, 3]),
  'buffer out of range': lambda model: with_buffer(model, 4_000),
  'tensor out of range': lambda model: reading(model, 9_999),
  'tensor below zero': lambda model: reading(model, -5),
  'nothing to run': without_operators,
}


@pytest.mark.parametrize('how', BROKEN)
def test_broken_files_are_one_clear_error(model, tmp_path, how):
  path = tmp_path / 'broken.tflite'
  path.write_bytes(BROKEN[how](model))
  with pytest.raises(ValueError, match=r'model|arena'):
    measure(path)


def test_the_death_of_tflm_is_an_error_here():
  with pytest.raises(ValueError, match='TFLite Micro cannot load it: error: unpack_from'):
    load_elsewhere(b'\xff\xff\xff\x7f' + bytes(60))  # its root lies far away


def test_a_tensor_that_is_not_there_is_named(model):
  with pytest.raises(ValueError, match='operator 1 has the tensor 9999'):
    measure(reading(model, 9_999))


def test_flipped_bytes_do_not_end_the_process(model):
  rng = np.random.default_rng(0)
  errors = 0
  for _ in range(12):
    damaged = bytearray(model)
    for place in rng.integers(0, len(model), 8):
      damaged[place] ^= int(rng.integers(1, 256))
    try:
      measure(bytes(damaged))
    except ValueError:
      errors += 1
  assert errors > 0


def test_a_file_larger_than_any_flash_is_not_read(tmp_path):
  path = tmp_path / 'large.tflite'
  with path.open('wb') as file:
    file.truncate(MOST_FILE_BYTES + 1)
  with pytest.raises(ValueError, match='must be at most'):
    measure(path)


@pytest.mark.slow
def test_without_tflm_the_arena_is_planned_and_says_so(model, report, tmp_path):
  path = tmp_path / 'child.tflite'
  path.write_bytes(model)
  code = (
    'import sys\n'
    "sys.modules['tflite_micro'] = None\n"  # makes its import fail, as where it is not installed
    'import rlnas\n'
    'from rlnas.cost.builds import BUILDS\n'
    'report = rlnas.measure(sys.argv[1])\n'
    'print(report.sram_source, report.arena_head_bytes, report.arena_tail_bytes)\n'
    "print(report.arena(BUILDS['m4-cmsis']).smallest_bytes)\n"
  )
  done = subprocess.run(
    [sys.executable, '-c', code, str(path)],
    capture_output=True,
    text=True,
    check=True,
  )
  here = ['analytic', report.arena_head_bytes, report.arena_tail_bytes]
  there = report.arena(BUILDS['m4-cmsis']).smallest_bytes
  assert done.stdout.split() == [*map(str, [*here, there])]
