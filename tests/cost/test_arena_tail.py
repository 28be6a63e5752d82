import dataclasses

import numpy as np
import pytest

from rlnas.backend import keras, quiet, tf
from rlnas.cost.arena_tail import Node, Nodes, Tail, smallest_bytes, tail_of
from rlnas.cost.structures import (
  CMSIS_NN,
  ESP_NN,
  KINDS,
  PYTHON_PACKAGE,
  REFERENCE,
  Structures,
  layout,
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


def convert(network, *, copies: int = 1, int8_ports: bool = True) -> bytes:
  """Copies of a network side by side: padding hides some bytes of one, and other bytes of four."""
  inputs = [layers.Input((8, 8, 4)) for _ in range(copies)]
  model = keras.Model(inputs, [network(x) for x in inputs])
  spec = [tf.TensorSpec((1, 8, 8, 4), tf.float32)] * copies
  rows = np.random.default_rng(0).random((4, copies, 1, 8, 8, 4)).astype(np.float32)
  with quiet():
    concrete = tf.function(lambda *x: model(x)).get_concrete_function(*spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (list(row) for row in rows)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if int8_ports:
      converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.experimental_lower_to_saved_model = False
    return bytes(converter.convert())


@pytest.mark.parametrize('copies', [1, 4])
@pytest.mark.parametrize('kind', NETWORKS)
def test_every_operator_as_tflm_counts_it(kind, copies):
  model = convert(NETWORKS[kind], copies=copies)
  assert analytic_footprint(model).arena_tail_bytes == measure(model).arena_tail_bytes


def test_float_ports_as_tflm_counts_them():
  model = convert(NETWORKS['RELU'], copies=4, int8_ports=False)
  assert analytic_footprint(model).arena_tail_bytes == measure(model).arena_tail_bytes


def test_all_known_operators_are_tried():
  assert {*NETWORKS, 'QUANTIZE', 'DEQUANTIZE'} == {*KINDS}


def test_operators_have_the_same_codes_in_every_process():
  assert [*KINDS] == sorted(KINDS)  # compiled code is kept, and with it the codes


def test_structures_are_laid_out_as_in_c():
  assert layout('bPb', 8, 4) == (24, 8)
  assert layout('bPb', 4, 4) == (12, 4)
  assert layout('ib', 4, 1) == (8, 4)
  assert layout('eeb', 8, 1) == (3, 1)
  assert layout('eeb', 8, 4) == (12, 4)
  assert layout('idi', 4, 4) == (24, 8)
  assert layout('bhb', 4, 4) == (6, 2)
  assert layout('', 4, 4) == (0, 1)
  assert layout('PPe', 8, 4) == (24, 8)  # TfLiteEvalTensor
  assert layout('PPe', 4, 1) == (12, 4)


def test_a_tail_by_hand():
  build = Structures(
    pointer_bytes=4,
    enum_bytes=1,
    fixed=('PPb', 'd'),
    node='PPi',
    tensor='PPPie',
    options=(('CONV_2D', 'eiie'), ('CONCATENATION', 'ie')),
    data=(('CONV_2D', 'iii'), ('CONCATENATION', 'b')),
    concat_arrays=True,
  )
  nodes = Nodes.of(
    [
      Node('CONV_2D', scales=5, inputs=3),
      Node('CONCATENATION', inputs=3),
      Node('MEAN', scratch=6),
      Node('SVDF'),  # not listed: only its node counts
    ]
  )
  used = 24  # 12, and a double at the next multiple of 8
  used += 7 * 12 + 4 * 12  # tensors and nodes
  used += 16 + 8  # options
  assert used == 180
  used = 192  # data of the convolution, to a multiple of 16
  used += 2 * 32  # its multipliers and shifts, 20 bytes each
  used += 16 + 2 * 16  # data of the concatenation, and its arrays of 3 inputs
  used += 6 * 4  # scratch areas
  assert used == 328
  # Ports: pointers to a multiple of 16, then 20 bytes each, and 12 + 8 if they are quantized.
  tail = tail_of(build, nodes, tensors=7, outputs=2)
  assert tail.planned == 328
  # All data, the convolution's arrays, and twice its three inputs and its result: 20 + 12 + 8 bytes
  # each, and 4 for each of 5 zero points of weights and bias.
  assert tail.prepared == 192 + 16 + 2 * 32 + 2 * 4 * 40 + 2 * 2 * 5 * 4
  assert total(build, nodes, tensors=7, outputs=2) == 336 + 40 + 8 + 2 * 40
  assert total(build, nodes, tensors=7, quantized=False) == 336 + 20 + 12 + 20
  without = dataclasses.replace(build, concat_arrays=False)
  assert total(without, nodes, tensors=7, quantized=False) == 336 + 20 + 12 + 20 - 32


def test_the_smallest_arena_by_hand():
  layouts = REFERENCE.layouts_of(inputs=1, outputs=1, quantized=True)
  # Requests for 2 scratch areas and 12 more of 12 bytes each, lifetimes of 24 bytes, one offset.
  loading = 1008 + (14 * 12 + (30 + 2) * 24 + 4 + 4) + 20 * 40
  sizes = {'tensors': 30, 'scratch': 2, 'buffers': 20, 'subgraphs': 1}
  assert smallest_bytes(layouts, 64, Tail(1100, 1000, 0), **sizes) == loading
  assert smallest_bytes(layouts, 4096, Tail(1100, 1000, 0), **sizes) == 4096 + 1104
  assert smallest_bytes(layouts, 64, Tail(1100, 1000, 9000), **sizes) == 9000 + 8 + 176


def total(*arguments, **options) -> int:
  return tail_of(*arguments, **options).total


def network(channels: int) -> Nodes:
  block = [Node('CONV_2D', channels, 3), Node('DEPTHWISE_CONV_2D', channels, 3)]
  return Nodes.of([*block * 3, Node('MEAN', 0, 2, 3), Node('FULLY_CONNECTED', 10, 3)])


@pytest.mark.parametrize('build', [ESP_NN, CMSIS_NN, REFERENCE])
def test_chips_need_less_than_this_machine(build):
  here = total(PYTHON_PACKAGE, network(32), tensors=24)
  assert 0.5 * here < total(build, network(32), tensors=24) < 0.8 * here


@pytest.mark.parametrize('build', [PYTHON_PACKAGE, ESP_NN, CMSIS_NN, REFERENCE])
def test_each_tensor_and_channel_takes_its_share(build):
  few = total(build, network(32), tensors=24)
  pointers = 2 * build.pointer_bytes + (8 if build is PYTHON_PACKAGE else 4)
  assert total(build, network(32), tensors=24 + 32) == few + 32 * pointers
  assert total(build, network(36), tensors=24) == few + 6 * 2 * 4 * 4
