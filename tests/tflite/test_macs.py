import numpy as np
import pytest
from tflite_micro import runtime

from rlnas.backend import captured_output, keras, tf
from rlnas.cost.arena_head import greedy_plan
from rlnas.cost.terms import TERMS
from rlnas.tflite.inspection import measure
from tests.tflite.foreign import (
  attention,
  branches,
  convolutional,
  int4_kernels,
  int16x8,
  of_function,
  of_keras,
  recurrent,
  svdf,
  two_inputs,
  u_net,
)

pytestmark = pytest.mark.slow

STEPS, FEATURES, UNITS = 49, 40, 128
DENSE = UNITS * 3


@pytest.fixture(scope='module', name='lstm')
def _lstm():
  return measure(of_keras(recurrent(keras.layers.LSTM(UNITS), steps=STEPS, features=FEATURES)))


def test_lstm(lstm):
  assert 'UNIDIRECTIONAL_SEQUENCE_LSTM' in {o.kind for o in lstm.operators}
  assert lstm.unassigned_bytes == 0
  assert lstm.macs == STEPS * 4 * UNITS * (FEATURES + UNITS) + DENSE == 4_215_168


def test_latency_of_an_lstm_is_that_of_its_products_and_uncertain(lstm):
  low, middle, high = lstm.instructions('m4-cmsis')
  assert middle == pytest.approx(120 * lstm.macs, rel=0.1)  # in floating point
  assert high / middle == pytest.approx(middle / low) == pytest.approx(10, rel=0.1)


@pytest.mark.nightly
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


def of_two_inputs():
  model = two_inputs()
  return of_function(lambda image, numbers: model([image, numbers]), (1, 8, 8, 1), (1, 6))


CONVOLUTIONAL = 36 * 9 * 8 + 8 * 4
ATTENTION = 3 * 10 * 16 * 16 + 2 * 10 * 10 * 16 + 16 * 4
U_NET = 256 * 9 * 4 + 64 * 9 * 4 * 8 + 64 * 9 * 8 * 4 + 256 * 8
OTHERS = {
  '16x8': (lambda: int16x8(convolutional()), CONVOLUTIONAL),
  'int4': (lambda: int4_kernels(of_keras(convolutional(), kind='int8')), CONVOLUTIONAL),
  'lstm, int8': (
    lambda: of_keras(recurrent(keras.layers.LSTM(16)), kind='int8'),
    6 * 4 * 16 * (5 + 16) + 16 * 3,
  ),
  'two inputs': (of_two_inputs, 36 * 9 * 8 + 6 * 5 + 13 * 4),
  'attention': (lambda: of_keras(attention(), kind='int8'), ATTENTION),
  'attention, 16x8': (lambda: int16x8(attention()), ATTENTION),
  'u-net': (lambda: of_keras(u_net(), kind='int8'), U_NET),
  'u-net, 16x8': (lambda: int16x8(u_net()), U_NET),
}


NIGHTLY = ('lstm, int8', 'attention, 16x8', 'u-net, 16x8')


@pytest.mark.parametrize(
  'name',
  [pytest.param(n, marks=pytest.mark.nightly) if n in NIGHTLY else n for n in OTHERS],
)
def test_macs_are_counted_and_the_arena_is_that_of_tflm(name):
  make, macs = OTHERS[name]
  model = make()
  report = measure(model)
  assert (report.macs, report.uncounted) == (macs, ())
  with captured_output() as output:
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=1_000_000)
    interpreter.print_allocations()
    said = output()
  assert f'Arena allocation total {report.arena().used_bytes} bytes' in said
  if name != 'int4':  # whose kernels are unpacked into scratch memory
    assert greedy_plan(report.buffers).total_bytes == report.arena_head_bytes
