import numpy as np
import pytest

from rlnas.backend import keras, tf
from rlnas.cost.terms import TERMS
from rlnas.tflite.inspection import measure
from tests.tflite.foreign import branches, of_function, of_keras, recurrent, svdf

STEPS, FEATURES, UNITS = 49, 40, 128
DENSE = UNITS * 3


@pytest.fixture(scope='module', name='lstm')
def _lstm():
  return measure(of_keras(recurrent(keras.layers.LSTM(UNITS), steps=STEPS, features=FEATURES)))


@pytest.mark.slow
def test_lstm(lstm):
  assert 'UNIDIRECTIONAL_SEQUENCE_LSTM' in {o.kind for o in lstm.operators}
  assert lstm.unassigned_bytes == 0
  assert lstm.macs == STEPS * 4 * UNITS * (FEATURES + UNITS) + DENSE == 4_215_168


@pytest.mark.slow
def test_latency_of_an_lstm_is_that_of_its_products_and_uncertain(lstm):
  low, middle, high = lstm.instructions('m4-cmsis')
  assert middle == pytest.approx(120 * lstm.macs, rel=0.1)  # in floating point
  assert high / middle == pytest.approx(middle / low) == pytest.approx(10, rel=0.1)


@pytest.mark.slow
def test_a_gru_is_a_loop():
  gru = measure(of_keras(recurrent(keras.layers.GRU(UNITS), steps=STEPS, features=FEATURES)))
  assert 'WHILE' in {o.kind for o in gru.operators}
  assert gru.macs == STEPS * 3 * UNITS * (FEATURES + UNITS) + DENSE
  live = max(o.live_bytes for o in gru.operators)
  assert live == pytest.approx(gru.arena_head_bytes, rel=0.01)


def loop(x):
  """Six products of 8x8."""
  kernel = tf.constant(np.random.default_rng(0).normal(size=(8, 8)), tf.float32)
  return tf.while_loop(lambda i, _: i < 6, lambda i, y: (i + 1, y @ kernel), (0, x))[1]


def test_a_loop_counts_as_often_as_it_runs():
  report = measure(of_function(loop, (4, 8)))
  assert report.macs == 6 * 4 * 8 * 8
  assert {o.kind: o.step.runs for o in report.operators} == {
    'WHILE': 1,
    'LESS': 7,
    'ADD': 6,
    'FULLY_CONNECTED': 6,
  }
  assert report.workload[:, TERMS.index('calls')].sum() == 1 + 7 + 6 + 6
  assert report.workload[:, TERMS.index('products')].sum() == report.macs


def test_memory_of_a_loop_is_planned_with_its_subgraphs():
  report = measure(of_function(loop, (64, 8)))
  assert report.unassigned_bytes == 0
  assert max(o.live_bytes for o in report.operators) == report.arena_head_bytes


def test_svdf():
  report = measure(svdf(inputs=10, filters=8, memory=6))
  assert [o.kind for o in report.operators] == ['SVDF']
  assert report.macs == 8 * 10 + 8 * 6


def test_batch_matmul_counts_the_inner_side_also_if_transposed():
  for transposed in (False, True):
    shape = (2, 5, 3) if transposed else (2, 3, 5)

    def multiply(a, b, transposed=transposed):
      return tf.matmul(a, b, transpose_a=transposed)

    report = measure(of_function(multiply, shape, (2, 5, 4)))
    assert report.macs == 2 * 3 * 5 * 4


def test_transpose_conv():
  inputs = keras.layers.Input((4, 4, 3))
  model = keras.Model(inputs, keras.layers.Conv2DTranspose(2, 3, 2)(inputs))
  assert measure(of_keras(model)).macs == 4 * 4 * 3 * 2 * 3 * 3
  report = measure(of_keras(model, kind='int8'))
  assert report.unassigned_bytes == 0  # the sums are part of the plan
  assert report.arena_head_bytes >= 4 * 9 * 9 * 2


def test_what_data_decide_is_unknown_and_named():
  report = measure(of_function(branches, (1, 8)))
  assert report.macs is None
  assert report.uncounted == ('IF',)
  assert report.workload is None


def test_a_loop_that_data_end_is_unknown():
  def halve(x):
    kernel = tf.constant(np.random.default_rng(0).normal(size=(8, 8)), tf.float32)
    return tf.while_loop(lambda y: tf.reduce_sum(y) > 1, lambda y: (y @ kernel / 9,), (x,))

  report = measure(of_function(halve, (1, 8)))
  assert (report.macs, report.uncounted) == (None, ('WHILE',))
