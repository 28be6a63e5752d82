import numpy as np
import pytest

from rlnas.backend import keras, quiet, tf
from rlnas.cost.arena_tail import (
  CMSIS_NN,
  ESP_NN,
  HOST,
  KINDS,
  REFERENCE,
  Node,
  Nodes,
  layout,
  tail_bytes,
)
from rlnas.tflite.footprint import analytic_footprint, measure

layers = keras.layers
# A network of every operator; QUANTIZE and DEQUANTIZE stand before and behind those of float input.
NETWORKS = {
  'ADD': lambda x: layers.Add()([x, x]),
  'AVERAGE_POOL_2D': layers.AveragePooling2D(2),
  'CONCATENATION': lambda x: layers.Concatenate()([x, x, x]),
  'CONV_2D': layers.Conv2D(5, 3),
  'DEPTHWISE_CONV_2D': layers.DepthwiseConv2D(3, depth_multiplier=2),
  'FULLY_CONNECTED': lambda x: layers.Dense(7)(layers.Flatten()(x)),
  'HARD_SWISH': lambda x: x * tf.nn.relu6(x + 3) / 6,
  'LEAKY_RELU': layers.LeakyReLU(),
  'LOGISTIC': tf.sigmoid,
  'MAX_POOL_2D': layers.MaxPooling2D(2),
  'MEAN': layers.GlobalAveragePooling2D(),
  'MUL': lambda x: layers.Multiply()([x, x]),
  'PAD': layers.ZeroPadding2D(1),
  'RELU': layers.ReLU(),
  'RELU6': layers.ReLU(6.0),
  'RESHAPE': layers.Flatten(),
  'RESIZE_NEAREST_NEIGHBOR': layers.UpSampling2D(2),
  'SOFTMAX': layers.Softmax(),
  'STRIDED_SLICE': lambda x: x[:, 1:3],
  'SUB': lambda x: layers.Subtract()([x, tf.tanh(x)]),
  'TANH': tf.tanh,
  'TRANSPOSE': layers.Permute((2, 1, 3)),
}


def convert(network, *, int8_ports: bool) -> bytes:
  inputs = layers.Input((8, 8, 4))
  model = keras.Model(inputs, network(inputs))
  spec = tf.TensorSpec((1, 8, 8, 4), tf.float32)
  rows = np.random.default_rng(0).random((4, 1, 8, 8, 4)).astype(np.float32)
  with quiet():
    concrete = tf.function(lambda x: model(x)).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row] for row in rows)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if int8_ports:
      converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.experimental_lower_to_saved_model = False
    return bytes(converter.convert())


@pytest.mark.parametrize('kind', NETWORKS)
def test_every_operator_as_tflm_counts_it(kind):
  model = convert(NETWORKS[kind], int8_ports=True)
  assert analytic_footprint(model).arena_tail_bytes == measure(model).arena_tail_bytes


def test_float_ports_as_tflm_counts_them():
  model = convert(NETWORKS['RELU'], int8_ports=False)
  assert analytic_footprint(model).arena_tail_bytes == measure(model).arena_tail_bytes


def test_all_known_operators_are_tried():
  assert {*NETWORKS, 'QUANTIZE', 'DEQUANTIZE'} == {*KINDS}


def test_structures_are_laid_out_as_in_c():
  assert layout('bPb', 8, 4) == (24, 8)
  assert layout('bPb', 4, 4) == (12, 4)
  assert layout('ib', 4, 1) == (8, 4)
  assert layout('eeb', 8, 1) == (3, 1)
  assert layout('eeb', 8, 4) == (12, 4)
  assert layout('idi', 4, 4) == (24, 8)
  assert layout('', 4, 4) == (0, 1)
  assert layout('PPe', 8, 4) == (24, 8)  # TfLiteEvalTensor
  assert layout('PPe', 4, 1) == (12, 4)


def network(channels: int) -> Nodes:
  block = [Node('CONV_2D', channels, 3), Node('DEPTHWISE_CONV_2D', channels, 3)]
  return Nodes.of([*block * 3, Node('MEAN', 0, 2, 3), Node('FULLY_CONNECTED', 10, 3)])


@pytest.mark.parametrize('build', [ESP_NN, CMSIS_NN, REFERENCE])
def test_chips_need_less_than_this_machine(build):
  here = tail_bytes(HOST, network(32), tensors=24)
  assert 0.5 * here < tail_bytes(build, network(32), tensors=24) < 0.8 * here


@pytest.mark.parametrize('build', [HOST, ESP_NN, CMSIS_NN, REFERENCE])
def test_each_tensor_and_channel_takes_its_share(build):
  few = tail_bytes(build, network(32), tensors=24)
  pointers = 2 * build.pointer_bytes + (8 if build is HOST else 4)
  assert tail_bytes(build, network(32), tensors=24 + 32) == few + 32 * pointers
  assert tail_bytes(build, network(36), tensors=24) == few + 6 * 2 * 4 * 4
