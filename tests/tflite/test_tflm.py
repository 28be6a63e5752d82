import concurrent.futures

import numpy as np
import pytest

from rlnas.backend import keras
from rlnas.tflite import footprint, inference, tflm
from rlnas.tflite.inspection import measure
from tests.tflite.branching import converted
from tests.tflite.foreign import convolutional, edited, of_keras, streaming


@pytest.fixture(scope='module', name='model')
def _model():
  return converted()


def test_what_tensorflow_lite_refuses_is_measured_if_tflm_runs_it():
  def as_in_person_detection(graph):
    for tensor in graph.subgraphs[0].tensors:
      if (
        tensor.shape is not None
        and len(tensor.shape) == 1
        and tensor.quantization.scale is not None
      ):
        tensor.quantization.quantizedDimension = 3

  model = of_keras(convolutional(), kind='int8')
  foreign = edited(model, as_in_person_detection)
  with pytest.raises(ValueError, match='TensorFlow Lite refuses it'):
    inference.interpreter_of(foreign)
  report, original = measure(foreign), measure(model)
  assert (report.sram_bytes, report.macs) == (original.sram_bytes, original.macs)
  assert footprint.measure(foreign).sram_bytes == report.sram_bytes


def test_resource_variables_are_measured():
  report = measure(streaming())
  assert report.macs == 4 * 8 * 3
  assert report.sram_source == 'tflm'
  assert 'ASSIGN_VARIABLE' in {o.kind for o in report.operators}


@pytest.mark.parametrize(
  ('kind', 'cause'),
  [
    ('float16', 'operator 0, DEQUANTIZE of FLOAT16'),
    ('dynamic', 'operator 0, CONV_2D of FLOAT32, INT8, FLOAT32: .*Hybrid models are not supported'),
  ],
)
def test_an_unsupported_type_is_not_called_damage(kind, cause):
  model = of_keras(convolutional(filters=128), kind=kind)  # few weights stay in float
  for call in (measure, footprint.measure):
    with pytest.raises(ValueError, match=f'^model: TFLite Micro cannot run {cause}'):
      call(model)


def test_threads_measure_the_same(model):
  expected = footprint.measure(model)
  with concurrent.futures.ThreadPoolExecutor(4) as threads:
    found = list(threads.map(lambda _: footprint.measure(model), range(40)))
  assert set(found) == {expected}


def scaled(layer, *, read, written=None):
  """An int8 model that ends with a layer, whose scales are replaced."""

  def scale(graph):
    tensors, last = graph.subgraphs[0].tensors, graph.subgraphs[0].operators[-1]
    for index in last.inputs:
      tensors[index].quantization.scale = np.array([read], np.float32)
    if written:
      tensors[last.outputs[0]].quantization.scale = np.array([written], np.float32)

  inputs = keras.layers.Input((8,))
  x = keras.layers.Dense(4)(inputs)
  if layer is not keras.layers.Softmax:
    x = [x, keras.layers.Dense(4)(inputs)]
  return edited(of_keras(keras.Model(inputs, layer()(x)), kind='int8'), scale)


@pytest.mark.parametrize(
  ('kind', 'good', 'bad'),
  [
    ('Softmax', {'read': 1.01 * 2**-26}, {'read': 2**-26}),
    ('Add', {'read': 1, 'written': 1.01 * 2**-19}, {'read': 1, 'written': 2**-19}),
    ('Subtract', {'read': 1, 'written': 1.01 * 2**-19}, {'read': 1, 'written': 2**-19}),
  ],
)
def test_scales_that_would_end_the_process_are_named_before(kind, good, bad):
  layer = getattr(keras.layers, kind)
  measure(scaled(layer, **good))  # the limit is exact: TFLite Micro loads this one
  model = scaled(layer, **bad)
  with pytest.raises(ValueError, match=r'loading it ended TFLite Micro \(SIGABRT: a check'):
    tflm.load_elsewhere(model)
  for call in (measure, footprint.measure):
    with pytest.raises(ValueError, match=r'reads values with a scale of .* untrained network'):
      call(model)
