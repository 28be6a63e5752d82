import dataclasses
import functools

import numpy as np
import pytest

from rlnas.child.builder import build
from rlnas.child.qat import adopt, aware_twin, read_ranges, with_ranges
from rlnas.child.train import train
from rlnas.data import loaders
from rlnas.data.scaling import Scaling
from rlnas.data.tasks import RECONSTRUCTION
from rlnas.finishing.recipe import Recipe, calibration_of, finish, trained_aware
from rlnas.tflite.compact import compact
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_logits
from rlnas.tflite.model_file import interpreter_of
from rlnas.tflite.quantize import calibrate, to_int8
from tests.child.test_builder import (
  map_network,
  reconstructing_network,
  recurrent_network,
  small_network,
)

DIGITS = loaders.take(loaders.digits(), 300)


def sequences():
  rng = np.random.default_rng(0)
  y = rng.integers(0, 3, 200).astype(np.int32)
  x = rng.normal(size=(200, 6, 3)).astype(np.float32) + y[:, None, None]
  return dataclasses.replace(
    DIGITS,
    x_train=x,
    y_train=y,
    x_val=x[:50],
    y_val=y[:50],
    scaling=Scaling(1.0, 1.5),
    class_names=('a', 'b', 'c'),
  )


NO_CLASSES = dataclasses.replace(DIGITS, head=RECONSTRUCTION, class_names=('normal', 'anomaly'))
CASES = [
  (map_network, DIGITS),
  (recurrent_network, sequences()),
  (small_network, DIGITS),
  (reconstructing_network, NO_CLASSES),
]


@functools.cache
def trained_once(make):
  """The weights after one training for each network, and its calibrated file."""
  data = dict(CASES)[make]
  network = build(make(), data.task, seed=0)
  train(network, data, epochs=3, seed=0)
  return network.get_weights(), calibrate(network, calibration_of(data))


def trained(make, data):
  network = build(make(), data.task, seed=0)
  weights, calibrated = trained_once(make)
  network.set_weights(weights)
  return network, calibrated, read_ranges(calibrated, network)


def inputs(data):
  return data.scaling.apply(data.x_val).astype(np.float32)


def int8_values(model, data):
  """The outputs in real units, and the size of one of their units."""
  step, zero = interpreter_of(model).get_output_details()[0]['quantization']
  outputs = int8_logits(model, data.x_val, scaling=data.scaling)
  return (outputs.astype(np.float64) - zero) * step, step


def rms(difference):
  return np.sqrt(np.mean(np.square(difference)))


@pytest.mark.parametrize(('make', 'data'), CASES)
def test_the_twin_computes_what_the_int8_model_will(make, data):
  """All operations are in these networks; the int8 model was trained neither here nor there."""
  network, calibrated, ranges = trained(make, data)
  outputs, unit = int8_values(compact(to_int8(calibrated)), data)
  twin = aware_twin(network, ranges)(inputs(data), training=True).numpy()
  assert rms(twin - outputs) < 2 * unit
  assert rms(twin - outputs) < rms(network(inputs(data), training=False) - outputs) + unit


@pytest.mark.parametrize(('make', 'data'), CASES)
def test_a_network_without_training_gets_back_what_it_had(make, data):
  network, calibrated, ranges = trained(make, data)
  before = network(inputs(data), training=False).numpy()
  adopt(network, aware_twin(network, ranges))
  after = network(inputs(data), training=False).numpy()
  np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
  assert read_ranges(with_ranges(calibrated, network, ranges), network) == ranges


@pytest.mark.slow
@pytest.mark.parametrize(('make', 'data'), CASES)
def test_what_it_learns_reaches_the_int8_model_which_stays_as_large(make, data):
  network, calibrated, ranges = trained(make, data)
  plain = compact(to_int8(calibrated))
  twin = aware_twin(network, ranges)
  train(twin, data, epochs=3, seed=1, learning_rate=1e-3)
  adopt(network, twin)
  recalibrated = calibrate(network, calibration_of(data))
  model = compact(to_int8(with_ranges(recalibrated, network, ranges)))
  outputs, unit = int8_values(model, data)
  learned = twin(inputs(data), training=True).numpy()
  assert rms(learned - outputs) < 2 * unit
  assert rms(learned - outputs) < rms(learned - int8_values(plain, data)[0])
  assert measure(model) == measure(plain)


def test_weights_of_convolutions_are_rounded_by_channel():
  network, _, ranges = trained(small_network, DIGITS)
  twin = aware_twin(network, ranges)
  shapes = {
    name: [
      tuple(v.shape) for v in twin.layers[-1].get_layer(name).weights if 'kernel_max' in v.name
    ]
    for name in ('aware_node1_conv', 'aware_node2_depthwise', 'aware_node3_conv')
  }
  assert list(shapes.values()) == [[(4,)], [(4,)], [(8,)]]


def test_weights_of_a_dense_layer_are_rounded_together():
  network, _, ranges = trained(small_network, DIGITS)
  inner = aware_twin(network, ranges).layers[-1]
  (largest,) = (v for v in inner.layers[-1].weights if 'kernel_max' in v.name)
  assert inner.layers[-1].layer.kernel.shape == (8, 10)
  assert largest.shape == ()


def test_ranges_of_a_concatenation_are_one():
  """As TensorFlow Lite Micro needs them; no operator only rescales, then."""
  network, _, ranges = trained(map_network, DIGITS)
  concat = next(layer for layer in network.layers if '_concat' in layer.name)
  parts = [t._keras_history.layer.name for t in concat.input]
  assert {ranges[name] for name in (concat.name, *parts) if name in ranges} == {ranges[concat.name]}


@pytest.mark.slow
def test_the_best_way_is_kept():
  data = loaders.digits()
  recipe = Recipe(6, further_epochs=3)
  found = finish(small_network(16), data, recipe=recipe, seed=0)
  assert [way for way, _ in found.compared] == ['trained', 'further', 'aware']
  accuracies = dict(found.compared)
  assert found.int8_validation_accuracy == max(accuracies.values()) == accuracies[found.way]
  plain = finish(small_network(16), data, recipe=Recipe(6), seed=0)
  assert plain.compared == ()
  assert plain.int8_validation_accuracy == accuracies['trained']
  again = trained_aware(plain.network, data, recipe=Recipe(3, learning_rate=1e-3), seed=0)
  assert again.int8_validation_accuracy == accuracies['aware']
  assert len(again.model) == len(plain.model)
