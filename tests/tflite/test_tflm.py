import concurrent.futures
import dataclasses

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


def bias(graph):
  """A bias of rank 1, as in TFLite Micro's own model of person detection."""
  return graph.tensors[graph.operators[0].inputs[2]]


def activation(graph):
  """The result of a convolution, of rank 4."""
  return graph.tensors[graph.operators[0].outputs[0]]


@pytest.mark.slow
@pytest.mark.parametrize(('tensor', 'dimension'), [(bias, 3), (activation, 4), (activation, -1)])
def test_a_wrong_quantized_dimension_is_measured_as_tflm_runs_it(tensor, dimension):
  """TensorFlow Lite refuses the file; TFLite Micro does not read the dimension."""

  def change(graph):
    changed = tensor(graph.subgraphs[0])
    assert len(changed.quantization.scale) > 0
    changed.quantization.quantizedDimension = dimension

  model = of_keras(convolutional(), kind='int8')
  foreign = edited(model, change)
  with pytest.raises(ValueError, match='TensorFlow Lite refuses it'):
    inference.interpreter_of(foreign)
  assert measure(foreign) == dataclasses.replace(measure(model), flash_bytes=len(foreign))
  found, expected = footprint.measure(foreign), footprint.measure(model)
  assert found == dataclasses.replace(expected, flash_bytes=len(foreign))
  assert found.sram_source == 'tflm'


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


@pytest.mark.slow
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
