import numpy as np
import pytest

from rlnas.backend import keras, quiet, tf
from rlnas.data.scaling import PIXELS, UNSCALED, Scaling
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import tflm_logits
from rlnas.tflite.model_file import read_subgraphs
from rlnas.tflite.quantize import calibrate, calibration_rows, check_integer, quantize, to_int8

SHAPE = (12, 12, 1)


def small_model(seed: int) -> keras.Model:
  """A convolution with batch normalisation, a depthwise one, and a classifier of 4 classes."""
  layers = keras.layers
  starts = iter(keras.initializers.HeNormal(seed + i) for i in range(3))
  x = inputs = layers.Input(SHAPE, name='input')
  x = layers.Conv2D(8, 3, 2, 'same', use_bias=False, kernel_initializer=next(starts), name='a')(x)
  x = layers.BatchNormalization(name='a_norm')(x)
  x = layers.ReLU(name='a_relu')(x)
  x = layers.DepthwiseConv2D(3, 1, 'same', depthwise_initializer=next(starts), name='b')(x)
  x = layers.GlobalAveragePooling2D(name='pool')(x)
  x = layers.Dense(4, kernel_initializer=next(starts), name='dense')(x)
  model = keras.Model(inputs, x, name='small')
  rng = np.random.default_rng(seed)
  model.get_layer('a_norm').set_weights([rng.uniform(0.5, 1.5, 8) for _ in range(4)])
  return model


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(0).integers(0, 256, (300, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope='module')
def calibration(images):
  return calibration_rows(images, scaling=PIXELS, count=20)


@pytest.fixture(scope='module')
def converted(calibration):
  return quantize(small_model(0), calibration)


def details(converted):
  with quiet():
    interpreter = tf.lite.Interpreter(model_content=converted)
  return interpreter.get_input_details()[0], interpreter.get_output_details()[0]


def test_input_and_output_are_int8(converted):
  source, target = details(converted)
  assert source['dtype'] == target['dtype'] == np.int8
  assert tuple(source['shape']) == (1, *SHAPE)
  assert tuple(target['shape']) == (1, 4)


def test_a_pixel_is_quantized_by_subtracting_128(converted):
  scale, zero_point = details(converted)[0]['quantization']
  assert scale == pytest.approx(1 / 255, rel=1e-4)
  assert zero_point == -128


def test_same_weights_give_the_same_bytes_and_others_do_not(converted, calibration):
  assert quantize(small_model(0), calibration) == converted
  assert quantize(small_model(1), calibration) != converted


def test_int8_follows_the_float_network(converted, images):
  x = images[:50].astype(np.float32) / 255
  expected = small_model(0)(x, training=False).numpy()
  with quiet():
    interpreter = tf.lite.Interpreter(model_content=converted)
  source, target = details(converted)
  interpreter.allocate_tensors()
  scale, zero_point = target['quantization']
  for row, floats in zip(images[:50], expected, strict=True):
    interpreter.set_tensor(source['index'], (row.astype(int) - 128).astype(np.int8)[None])
    interpreter.invoke()
    found = (interpreter.get_tensor(target['index'])[0].astype(float) - zero_point) * scale
    # A few steps of the output: each of the four operators rounds once.
    np.testing.assert_allclose(found, floats, atol=6 * scale)


def weight_scales(model):
  (graph,) = read_subgraphs(model)
  with_kernels = [o for o in graph.operators if len(o.inputs) == 3]
  return {o.kind: len(graph.tensors[o.inputs[1]].scales) for o in with_kernels}


def test_dense_weights_have_one_scale_and_those_of_convolutions_one_each(converted, calibration):
  scales = {'CONV_2D': 8, 'DEPTHWISE_CONV_2D': 8, 'FULLY_CONNECTED': 1}
  assert weight_scales(converted) == scales
  calibrated = calibrate(small_model(0), calibration)
  assert weight_scales(to_int8(calibrated)) == scales
  by_channel = to_int8(calibrated, per_channel_dense=True)
  assert weight_scales(by_channel) == {**scales, 'FULLY_CONNECTED': 4}


def test_a_dense_layer_whose_large_products_cancel_out_loads():
  """TFLite Micro compares the scale of the products with that of the bias, and of the result."""
  x = inputs = keras.layers.Input((8,), name='input')
  x = keras.layers.Dense(2, name='dense')(x)
  model = keras.Model(inputs, x)
  signs = np.array([1, -1] * 4, np.float32)
  model.layers[-1].set_weights([np.stack([signs + 0.01, signs - 0.02], 1), np.array([0.1, 0.2])])
  rows = np.repeat(np.random.default_rng(0).random((50, 1), dtype=np.float32), 8, 1)
  converted = quantize(model, rows)
  assert measure(converted).sram_source == 'tflm'
  (graph,) = read_subgraphs(converted)
  source, kernel, bias = (graph.tensors[i] for i in graph.operators[0].inputs)
  assert bias.scales[0] == pytest.approx(source.scales[0] * kernel.scales[0], rel=1e-6)
  result = graph.tensors[graph.outputs[0]]
  assert bias.scales[0] / result.scales[0] > 0.02
  found = tflm_logits(converted, rows, scaling=UNSCALED).astype(float) - result.zero_points[0]
  expected = model(rows, training=False).numpy()
  # Half a step of each of the eight weights, and the rounding of the result.
  bound = 4 * kernel.scales[0] + 2 * result.scales[0]
  assert np.abs(found * result.scales[0] - expected).max() < bound


def test_batch_normalisation_uses_its_moving_statistics(calibration):
  model = small_model(0)
  norm = model.get_layer('a_norm')
  before = quantize(model, calibration)
  mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
  norm.moving_mean.assign(mean + 1)
  assert quantize(model, calibration) != before
  np.testing.assert_array_equal(norm.moving_variance.numpy(), variance)


def test_a_float_model_is_refused_by_the_name_of_its_tensors():
  model = small_model(0)
  with quiet():
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(
      tf.TensorSpec((1, *SHAPE), tf.float32, name='pixels')
    )
    floats = tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert()
  with pytest.raises(ValueError, match='pixels'):
    check_integer(floats)


@pytest.mark.parametrize(
  'wrong',
  [
    np.zeros((3, 12, 12, 2), np.float32),
    np.zeros((0, *SHAPE), np.float32),
    np.zeros((3, *SHAPE), np.uint8),
    np.full((3, *SHAPE), np.nan, np.float32),
  ],
)
def test_calibration_that_does_not_fit_is_refused(wrong):
  with pytest.raises(ValueError, match='calibration'):
    quantize(small_model(0), wrong)


def test_calibration_rows_reach_the_extremes_of_the_data():
  x = np.full((1000, 4, 4, 1), 100, np.uint8)
  x[500, 2, 2, 0], x[778, 0, 1, 0] = 0, 255
  rows = calibration_rows(x, scaling=PIXELS, count=10)
  assert rows.dtype == np.float32
  assert rows.shape == (12, 4, 4, 1)
  assert (rows.min(), rows.max()) == (0, 1)


def test_calibration_rows_of_a_small_set_are_all_of_it():
  x = np.arange(12, dtype=np.float32).reshape(3, 4)
  np.testing.assert_allclose(calibration_rows(x, scaling=Scaling(2, 4)), (x - 2) / 4)


def test_calibration_rows_refuse_what_they_cannot_choose_from():
  with pytest.raises(ValueError, match=r'x of shape \(0, 4\)'):
    calibration_rows(np.zeros((0, 4), np.uint8), scaling=UNSCALED)
  with pytest.raises(ValueError, match='count=0'):
    calibration_rows(np.zeros((2, 4), np.uint8), scaling=UNSCALED, count=0)
