import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape
from rlnas.backend import quiet, tf
from rlnas.child.builder import build
from rlnas.data.metrics import confusion_matrix
from rlnas.data.scaling import PIXELS, Scaling
from rlnas.tflite import inference
from rlnas.tflite.quantize import calibrate, calibration_rows
from tests.tflite.branching import branching_model, converted, random_images

AS_IS = Scaling(0.0, 1.0)


@pytest.fixture(scope='module', name='images')
def _images():
  return random_images()


@pytest.fixture(scope='module', name='model')
def _model():
  return converted()


def test_builtin_kernels_and_tflm_agree(model, images):
  builtin = inference.int8_logits(model, images[:20], scaling=PIXELS).astype(int)
  micro = inference.tflm_logits(model, images[:20], scaling=PIXELS)
  assert builtin.shape == micro.shape == (20, 5)
  assert np.abs(builtin - micro).max() <= 1
  assert len(np.unique(builtin, axis=0)) > 1


def test_batches_and_their_remainder_change_nothing(model, images):
  whole = inference.int8_logits(model, images, scaling=PIXELS)  # batches of 100, 100 and 30
  assert whole.shape == (230, 5)
  np.testing.assert_array_equal(
    whole, inference.int8_logits(model, images, scaling=PIXELS, batch_size=7)
  )


def test_float_and_uint8_examples_give_the_same_logits(model, images):
  np.testing.assert_array_equal(
    inference.int8_logits(model, images[:30], scaling=PIXELS),
    inference.int8_logits(model, images[:30].astype(np.float32), scaling=PIXELS),
  )


def test_the_scaling_is_applied(model, images):
  shifted = images[:10].astype(np.float32) / 255 * 3 - 7
  np.testing.assert_array_equal(
    inference.int8_logits(model, shifted, scaling=Scaling(-7, 3)),
    inference.int8_logits(model, images[:10], scaling=PIXELS),
  )


def test_values_outside_the_input_range_saturate(model, images):
  x = images[:5].astype(np.float32)
  np.testing.assert_array_equal(
    inference.int8_logits(model, np.where(x > 200, 1e6, x).astype(np.float32), scaling=PIXELS),
    inference.int8_logits(model, np.where(x > 200, 255, x).astype(np.float32), scaling=PIXELS),
  )


def test_accuracy_counts_matching_labels(model, images):
  logits = inference.int8_logits(model, images, scaling=PIXELS)
  labels = logits.argmax(axis=1)
  labels[:23] = (labels[:23] + 1) % logits.shape[1]
  assert inference.int8_accuracy(model, images, labels, scaling=PIXELS) == pytest.approx(0.9)
  labels[3] = logits.shape[1]
  with pytest.raises(ValueError, match=r'^labels: \d+ at index 3'):
    inference.int8_accuracy(model, images, labels, scaling=PIXELS)


def test_the_float_network_is_counted_by_its_calibrated_file(model, images):
  network = branching_model()
  calibrated = calibrate(network, calibration_rows(images, scaling=PIXELS, count=20))
  predicted = network.predict(PIXELS.inputs(images), verbose=0).argmax(axis=1)
  labels = np.where(np.arange(len(images)) < 23, (predicted + 1) % 5, predicted)
  counted = inference.float_confusion(calibrated, images, labels, scaling=PIXELS)
  expected = confusion_matrix(labels, predicted, classes=5)
  assert counted.sum() == len(images)
  assert np.abs(counted - expected).sum() <= 2  # one near tie may fall otherwise
  assert counted.trace() < len(images) - 20
  with pytest.raises(ValueError, match='must have float32 input'):
    inference.float_confusion(model, images, labels, scaling=PIXELS)
  with pytest.raises(ValueError, match='one label for each of 0 examples'):
    inference.float_confusion(calibrated, images[:0], labels[:0], scaling=PIXELS)


@pytest.mark.parametrize('op', ['conv', 'depthwise_conv', 'max_pool', 'avg_pool'])
@pytest.mark.parametrize('stride', [1, 2, pytest.param(4, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
  'kernel',
  [1, pytest.param(2, marks=pytest.mark.nightly), 3, pytest.param(5, marks=pytest.mark.nightly)],
)
def test_float_networks_are_counted_right_for_every_window_and_stride(op, stride, kernel):
  graph = Graph()
  window = {'kernel_height': 1, 'kernel_width': kernel, 'stride': stride}
  ends = {'conv': {'filters': 6, 'activation': 'relu'}, 'depthwise_conv': {'activation': 'none'}}
  found = graph.add(op, graph.input, **window, **ends.get(op, {}))
  network = build(graph.finish(graph.classify(found)), TaskShape((1, 128, 6), 5), seed=kernel)
  x = np.random.default_rng(stride).normal(size=(200, 1, 128, 6)).astype(np.float32)
  kernel_and_bias = network.layers[-1].get_weights()
  kernel_and_bias[1] -= network(x).numpy().mean(axis=0)  # so that no class is all
  network.layers[-1].set_weights(kernel_and_bias)
  calibrated = calibrate(network, x[:20])
  predicted = network(x).numpy().argmax(axis=1)
  counted = inference.float_confusion(calibrated, x, predicted.astype(np.int32), scaling=AS_IS)
  assert counted.trace() >= 198  # near ties may differ
  assert len(np.unique(predicted)) == 5


def test_examples_that_do_not_fit_are_refused(model, images):
  with pytest.raises(ValueError, match=r'x of shape \(2, 5, 5, 1\)'):
    inference.int8_logits(model, images[:2, :5, :5], scaling=PIXELS)
  with pytest.raises(ValueError, match='x of shape'):
    inference.int8_logits(model, images[:0], scaling=PIXELS)
  with pytest.raises(ValueError, match='y of shape'):
    inference.int8_accuracy(model, images, np.zeros(3, np.int32), scaling=PIXELS)


def test_a_model_that_is_not_int8_is_refused(images):
  model = branching_model()
  with quiet():
    float_model = tf.lite.TFLiteConverter.from_keras_model(model).convert()
  with pytest.raises(ValueError, match='model: must have int8 input and output'):
    inference.int8_logits(float_model, images, scaling=PIXELS)
