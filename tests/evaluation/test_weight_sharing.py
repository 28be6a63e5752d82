import dataclasses
import pickle

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rlnas.child.train import accuracy
from rlnas.child.train_supernet import train_supernet
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.data.metrics import Metric
from rlnas.evaluation.untrained import untrained_footprint
from rlnas.evaluation.weight_sharing import WeightSharing
from rlnas.tflite.footprint import MAX_ARENA_BYTES
from rlnas.tflite.inference import int8_accuracy
from rlnas.tflite.quantize import calibration_rows, quantize
from rlnas.trial import Status
from tests.child.test_builder import small_network
from tests.evaluation.test_trained import wide_network

DIGITS = loaders.take(loaders.digits(), 500)
NETWORKS = (small_network(8), small_network(16))


@pytest.fixture(name='supernet', scope='module')
def _supernet():
  return train_supernet(NETWORKS * 60, DIGITS, seed=0, learning_rate=0.02)


@pytest.fixture(name='evaluator', scope='module')
def _evaluator(supernet):
  return WeightSharing(DIGITS, supernet=supernet)


@pytest.mark.slow
def test_the_measurement_holds_what_the_parts_give(supernet):
  measurement = WeightSharing(DIGITS, supernet=supernet, statistics_examples=200).evaluate(
    NETWORKS[1], seed=0
  )
  x = DIGITS.scaling.apply(DIGITS.x_train[:200]).astype(np.float32)
  network = supernet.network(NETWORKS[1], [x[:128], x[128:]])
  model = quantize(network, calibration_rows(DIGITS.x_train, scaling=DIGITS.scaling))
  val = (DIGITS.x_val, DIGITS.y_val)
  assert measurement.validation_accuracy == accuracy(network, *val, scaling=DIGITS.scaling) > 0.3
  assert (
    measurement.int8_validation_accuracy == int8_accuracy(model, *val, scaling=DIGITS.scaling) > 0.3
  )
  counted = estimate_cost(NETWORKS[1], DIGITS.task)
  assert (measurement.macs, measurement.parameters) == (counted.macs, counted.parameters)


@pytest.mark.slow
def test_another_metric_is_that_of_the_predictions(supernet):
  evaluator = WeightSharing(
    DIGITS, supernet=supernet, statistics_examples=128, metric=Metric.MACRO_F1
  )
  measurement = evaluator.evaluate(NETWORKS[0], seed=0)
  network = supernet.network(NETWORKS[0], [DIGITS.scaling.inputs(DIGITS.x_train[:128])])
  named = network.predict(DIGITS.scaling.inputs(DIGITS.x_val), verbose=0).argmax(1)
  expected = f1_score(DIGITS.y_val, named, average='macro', zero_division=0)
  assert measurement.validation_accuracy == pytest.approx(expected, abs=0.02)  # near ties


@pytest.mark.slow
def test_sizes_are_those_of_the_network_trained_alone(evaluator):
  for architecture in NETWORKS:
    measurement = evaluator.evaluate(architecture, seed=0)
    expected = untrained_footprint(architecture, DIGITS.task)
    assert measurement.flash_bytes == expected.flash_bytes
    assert measurement.sram_bytes == expected.sram_bytes


def test_a_network_beyond_every_microcontroller_is_infeasible(evaluator):
  side_squared = DIGITS.input_shape[0] * DIGITS.input_shape[1]
  measurement = evaluator.evaluate(wide_network(MAX_ARENA_BYTES // side_squared + 1), seed=0)
  assert measurement.status is Status.INFEASIBLE
  assert 'activations need' in measurement.detail


def test_no_test_data_are_kept_or_sent(evaluator):
  copy = pickle.loads(pickle.dumps(evaluator))  # noqa: S301 (made in this line)
  for held in (evaluator, copy):
    assert len(held._dataset.x_test) == len(held._dataset.y_test) == 0
    assert len(held._dataset.x_val) == len(DIGITS.x_val)


def test_another_task_is_refused(supernet):
  binary = dataclasses.replace(DIGITS, class_names=('even', 'odd'))
  with pytest.raises(ValueError, match=r'reads .* for 10 classes, the data set has .* 2'):
    WeightSharing(binary, supernet=supernet)


@pytest.mark.parametrize('name', ['statistics_examples', 'calibration_examples'])
def test_bad_settings_are_named(name, supernet):
  with pytest.raises(ValueError, match=f'{name}=0: must be at least 1'):
    WeightSharing(DIGITS, supernet=supernet, **{name: 0})
