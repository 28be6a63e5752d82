import dataclasses
import pickle

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rlnas.architecture import Graph
from rlnas.child.builder import build
from rlnas.child.train import accuracy, loss_for, train
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.data.metrics import Metric
from rlnas.evaluation.trained import Stage, Trained
from rlnas.finishing.recipe import Recipe, finish
from rlnas.spaces import layers
from rlnas.tflite.footprint import MAX_ARENA_BYTES, measure
from rlnas.tflite.inference import int8_accuracy, int8_logits
from rlnas.tflite.quantize import calibration_rows, quantize
from rlnas.trial import Status, Terms
from tests.child.test_builder import small_network

DIGITS = loaders.take(loaders.digits(), 500)


def wide_network(filters):
  graph = Graph()
  return graph.finish(graph.classify(layers.conv(graph, graph.input, filters=filters, kernel=1)))


@pytest.mark.slow
def test_the_measurement_holds_what_the_parts_give():
  architecture = small_network(8)
  measurement = Trained(DIGITS, epochs=2, batch_size=32, learning_rate=0.01).evaluate(
    architecture, seed=4
  )
  model = build(architecture, DIGITS.task, seed=4)
  train(model, DIGITS, epochs=2, seed=4, batch_size=32, learning_rate=0.01)
  options = {'scaling': DIGITS.scaling}
  counted = estimate_cost(architecture, DIGITS.task)
  exact = accuracy(model, DIGITS.x_val, DIGITS.y_val, **options)
  # By another library, so that a near tie may fall otherwise.
  assert measurement.validation_accuracy == pytest.approx(exact, abs=1.5 / len(DIGITS.x_val))
  assert measurement.curve == (measurement.validation_accuracy,)
  assert (measurement.macs, measurement.parameters) == (counted.macs, counted.parameters)
  recipe = Recipe(2, batch_size=32, learning_rate=0.01)
  converted = finish(architecture, DIGITS, recipe=recipe, seed=4).model
  footprint = measure(converted)
  assert measurement.int8_validation_accuracy == int8_accuracy(
    converted, DIGITS.x_val, DIGITS.y_val, **options
  )
  assert measurement.flash_bytes == footprint.flash_bytes == len(converted)
  assert measurement.sram_bytes == footprint.sram_bytes


@pytest.mark.slow
def test_another_metric_is_that_of_the_predictions_and_weights_the_training():
  metric = Metric.MACRO_F1
  evaluator = Trained(DIGITS, epochs=(Stage(2), Stage(1)), metric=metric)
  copy = pickle.loads(pickle.dumps(evaluator))  # noqa: S301 (made in this line)
  measurement = copy.evaluate(small_network(8), seed=4, terms=Terms(thresholds=(1.0,)))
  model = build(small_network(8), DIGITS.task, seed=4)
  train(model, DIGITS, epochs=2, seed=4, loss=loss_for(metric, DIGITS))
  x, y = DIGITS.x_val, DIGITS.y_val
  named = model.predict(DIGITS.scaling.inputs(x), verbose=0).argmax(1)
  f1 = f1_score(y, named, average='macro', zero_division=0)
  assert measurement.curve == (measurement.validation_accuracy,), 'the threshold is of the metric'
  assert measurement.validation_accuracy == pytest.approx(f1, abs=0.02)  # near ties
  assert measurement.validation_accuracy != accuracy(model, x, y, scaling=DIGITS.scaling)
  content = quantize(model, calibration_rows(DIGITS.x_train, scaling=DIGITS.scaling))
  named = int8_logits(content, x, scaling=DIGITS.scaling).argmax(1)
  assert measurement.int8_validation_accuracy == pytest.approx(
    f1_score(y, named, average='macro', zero_division=0), abs=1e-12
  )


@pytest.mark.slow
def test_the_last_stage_is_validated_as_a_training_of_one_stage():
  """Earlier stages are validated while the network still trains."""
  evaluator = Trained(DIGITS, epochs=(Stage(1), Stage(1)))
  whole = evaluator.evaluate(small_network(8), seed=4)
  first = evaluator.evaluate(small_network(8), seed=4, terms=Terms(thresholds=(1.0,)))
  once = Trained(DIGITS, epochs=1).evaluate(small_network(8), seed=4)
  assert len(whole.curve) == 2
  assert whole.validation_accuracy == whole.curve[1]
  assert first.curve == whole.curve[:1]
  assert once.curve == pytest.approx(first.curve, abs=1.5 / len(DIGITS.x_val))
  assert once.int8_validation_accuracy == first.int8_validation_accuracy


def test_an_unknown_metric_is_named():
  with pytest.raises(ValueError, match="metric='f1': must be one of accuracy, "):
    Trained(DIGITS, metric='f1')


def test_no_test_data_are_kept():
  dataset = Trained(DIGITS)._dataset
  assert len(dataset.x_test) == len(dataset.y_test) == 0
  assert len(dataset.x_val) == len(DIGITS.x_val) > 0


def test_a_network_beyond_every_microcontroller_is_infeasible_and_not_trained():
  side_squared = DIGITS.input_shape[0] * DIGITS.input_shape[1]
  filters = MAX_ARENA_BYTES // side_squared + 1
  measurement = Trained(DIGITS, epochs=10**9).evaluate(wide_network(filters), seed=0)
  assert measurement.status is Status.INFEASIBLE
  assert 'activations need' in measurement.detail
  assert measurement.macs == filters * side_squared + filters * DIGITS.classes
  assert measurement.flash_bytes is measurement.int8_validation_accuracy is None


def test_an_arena_that_only_its_tail_makes_too_large_is_infeasible():
  """The tail holds a multiplier and a shift for each of very many channels."""
  y = np.arange(4, dtype=np.int32) % 2
  x = y.astype(np.uint8).reshape(4, 1, 1, 1)
  pixel = dataclasses.replace(
    DIGITS, x_train=x, y_train=y, x_val=x, y_val=y, class_names=('dark', 'light')
  )
  architecture = wide_network(310_000)
  assert estimate_cost(architecture, pixel.task).arena_head_bytes < MAX_ARENA_BYTES
  measurement = Trained(pixel, epochs=1).evaluate(architecture, seed=0)
  assert measurement.status is Status.INFEASIBLE
  assert f'more than {MAX_ARENA_BYTES}' in measurement.detail
  assert measurement.parameters == 310_000 * (1 + 2 + 2) + 2


def test_divergence_is_raised():
  graph = Graph()
  with pytest.raises(FloatingPointError, match='training diverged'):
    Trained(DIGITS, learning_rate=3e38).evaluate(graph.finish(graph.classify(0)), seed=0)


@pytest.mark.parametrize('name', ['epochs', 'batch_size', 'learning_rate', 'calibration_examples'])
def test_bad_settings_are_named(name):
  with pytest.raises(ValueError, match=f'{name}=0: must be (positive|at least 1)'):
    Trained(DIGITS, **{name: 0})
