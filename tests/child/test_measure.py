import pathlib
import sys

import numpy as np
import pytest

from rlnas.backend import keras, quiet, tf
from rlnas.child import measure
from rlnas.child.quantize import calibration_rows, quantize

SHAPE = (16, 16, 1)
PIXELS = {'offset': 0.0, 'scale': 255.0}


def branching_model(filters: int = 8, shape=SHAPE) -> keras.Model:
  """Two branches that are added and concatenated, with pooling, for all operators at once."""
  layers = keras.layers
  starts = iter(keras.initializers.HeNormal(i) for i in range(9))
  inputs = layers.Input(shape, name='input')
  a = layers.Conv2D(filters, 3, 2, 'same', kernel_initializer=next(starts), name='a')(inputs)
  a = layers.ReLU(name='a_relu')(a)
  b = layers.DepthwiseConv2D(3, 1, 'same', depthwise_initializer=next(starts), name='b')(a)
  c = layers.Add(name='add')([a, b])
  c = layers.Concatenate(name='concat')([c, layers.MaxPooling2D(3, 1, 'same', name='max')(a)])
  c = layers.AveragePooling2D(3, 2, 'same', name='mean')(c)
  c = layers.Conv2D(12, 1, kernel_initializer=next(starts), name='c')(c)
  c = layers.GlobalAveragePooling2D(name='pool')(c)
  c = layers.Dense(5, kernel_initializer=next(starts), name='dense')(c)
  return keras.Model(inputs, c, name='branching')


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(0).integers(0, 256, (230, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope='module')
def model(images):
  return quantize(branching_model(), calibration_rows(images, **PIXELS, count=20))


def test_flash_is_the_file_and_sram_is_head_and_tail(model, tmp_path):
  footprint = measure.measure(model)
  assert footprint.flash_bytes == len(model)
  assert footprint.sram_bytes == footprint.arena_head_bytes + footprint.arena_tail_bytes
  assert footprint.sram_source == 'tflm'
  # The input of the sum, the result of the depthwise convolution and the sum itself.
  assert footprint.arena_head_bytes >= 3 * 8 * 8 * 8
  path = tmp_path / 'child.tflite'
  path.write_bytes(model)
  assert measure.measure(path) == measure.measure(str(path)) == footprint


def test_planned_arena_agrees_with_tflm(model):
  measured, planned = measure.measure(model), measure.analytic_footprint(model)
  assert planned.arena_head_bytes == measured.arena_head_bytes
  assert abs(planned.arena_tail_bytes - measured.arena_tail_bytes) <= 32
  assert planned.flash_bytes == measured.flash_bytes
  assert planned.sram_source == 'analytic'


def test_without_tflm_the_arena_is_planned(model, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tflite_micro', None)  # makes its import fail
  assert measure.measure(model) == measure.analytic_footprint(model)


def test_an_arena_beyond_every_microcontroller_is_an_overflow():
  shape = (300, 300, 1)
  blank = np.zeros((1, *shape), np.float32)
  blank[0, 0, 0, 0] = 1
  large = quantize(branching_model(64, shape), blank)
  with pytest.raises(measure.ArenaOverflow, match=str(measure.MAX_ARENA_BYTES)):
    measure.measure(large)
  with pytest.raises(measure.ArenaOverflow, match=str(measure.MAX_ARENA_BYTES)):
    measure.analytic_footprint(large)


def test_an_operator_that_tflm_lacks_is_named():
  @tf.function(input_signature=[tf.TensorSpec((1, 1, 1, 8), tf.float32)])
  def normalise(x):
    return tf.nn.local_response_normalization(x)

  with quiet():
    converter = tf.lite.TFLiteConverter.from_concrete_functions([normalise.get_concrete_function()])
    foreign = converter.convert()
  with pytest.raises(ValueError, match='LOCAL_RESPONSE_NORMALIZATION'):
    measure.measure(foreign)
  with pytest.raises(ValueError, match='int8'):
    measure.int8_logits(foreign, np.zeros((1, 1, 1, 8), np.float32), **PIXELS)


@pytest.mark.parametrize('keep', [0, 500, -100])
def test_a_damaged_file_is_refused_before_it_reaches_tflm(model, keep):
  with pytest.raises(ValueError, match=r'not a \.tflite file'):
    measure.measure(model[:keep])


def test_a_missing_file_is_reported():
  with pytest.raises(FileNotFoundError):
    measure.measure(pathlib.Path('no/such/child.tflite'))


def test_builtin_kernels_and_tflm_agree(model, images):
  builtin = measure.int8_logits(model, images[:20], **PIXELS).astype(int)
  micro = measure.tflm_logits(model, images[:20], **PIXELS)
  assert builtin.shape == micro.shape == (20, 5)
  assert np.abs(builtin - micro).max() <= 1
  assert len(np.unique(builtin, axis=0)) > 1


def test_batches_and_their_remainder_change_nothing(model, images):
  whole = measure.int8_logits(model, images, **PIXELS)  # batches of 100, 100 and 30
  assert whole.shape == (230, 5)
  np.testing.assert_array_equal(whole, measure.int8_logits(model, images, **PIXELS, batch_size=7))


def test_float_and_uint8_examples_give_the_same_logits(model, images):
  np.testing.assert_array_equal(
    measure.int8_logits(model, images[:30], **PIXELS),
    measure.int8_logits(model, images[:30].astype(np.float32), **PIXELS),
  )


def test_offset_and_scale_are_applied(model, images):
  shifted = images[:10].astype(np.float32) / 255 * 3 - 7
  np.testing.assert_array_equal(
    measure.int8_logits(model, shifted, offset=-7, scale=3),
    measure.int8_logits(model, images[:10], **PIXELS),
  )


def test_values_outside_the_input_range_saturate(model, images):
  x = images[:5].astype(np.float32)
  np.testing.assert_array_equal(
    measure.int8_logits(model, np.where(x > 200, 1e6, x).astype(np.float32), **PIXELS),
    measure.int8_logits(model, np.where(x > 200, 255, x).astype(np.float32), **PIXELS),
  )


def test_accuracy_counts_matching_labels(model, images):
  labels = measure.int8_logits(model, images, **PIXELS).argmax(axis=1)
  labels[:23] += 1
  assert measure.int8_accuracy(model, images, labels, **PIXELS) == pytest.approx(0.9)


def test_examples_that_do_not_fit_are_refused(model, images):
  with pytest.raises(ValueError, match=r'x of shape \(2, 5, 5, 1\)'):
    measure.int8_logits(model, images[:2, :5, :5], **PIXELS)
  with pytest.raises(ValueError, match='x of shape'):
    measure.int8_logits(model, images[:0], **PIXELS)
  with pytest.raises(ValueError, match='y of shape'):
    measure.int8_accuracy(model, images, np.zeros(3, np.int32), **PIXELS)
