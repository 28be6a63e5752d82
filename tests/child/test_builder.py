import math

import numpy as np
import pytest

from rlnas.architecture import OPERATIONS, Graph, TaskShape, infer_shapes
from rlnas.backend import keras, tf
from rlnas.child.builder import build
from rlnas.cost.cost import estimate_cost
from rlnas.spaces import layers

TASK = TaskShape((8, 8, 1), 3)
CONV = {'kernel_height': 3, 'kernel_width': 3, 'stride': 1, 'activation': 'relu'}


def map_network():
  """Every operation on maps, with kernels that are not square."""
  graph = Graph()
  x = graph.add(
    'conv',
    graph.input,
    filters=4,
    kernel_height=3,
    kernel_width=5,
    stride=2,
    activation='none',
  )
  left = graph.add(
    'dilated_conv', x, filters=4, kernel_height=3, kernel_width=3, dilation=2, activation='relu'
  )
  right = graph.add(
    'dilated_depthwise_conv', x, kernel_height=1, kernel_width=3, dilation=4, activation='none'
  )
  right = graph.add('depthwise_conv', right, **{**CONV, 'stride': 2})
  right = graph.add('pad_like', right, left)
  x = graph.add('concat', graph.add('add', left, right), graph.add('multiply', left, right))
  x = graph.add('max_pool', x, kernel_height=3, kernel_width=2, stride=2)
  x = graph.add('relu', graph.add('avg_pool', x, kernel_height=2, kernel_width=3, stride=1))
  return graph.finish(graph.classify(x))


def recurrent_network():
  """Three frames of two go through one cell: h = tanh(W x + U h) * sigmoid(V h)."""
  graph = Graph()
  state = graph.add('dense', graph.add('frames', graph.input, first=0, count=2), units=5, weights=1)
  for first in (2, 4):
    frames = graph.add('frames', graph.input, first=first, count=2)
    new = graph.add('dense', frames, units=5, weights=1)
    old = graph.add('dense', state, units=5, weights=2)
    gate = graph.add('sigmoid', graph.add('dense', state, units=5, weights=3))
    state = graph.add('multiply', graph.add('tanh', graph.add('add', new, old)), gate)
  return graph.finish(graph.add('classifier', state))


def reconstructing_network():
  """Both operations of reconstructions, in two dimensions: the code has a quarter of the sides."""
  graph = Graph()
  half = graph.add('conv', graph.input, filters=6, **{**CONV, 'stride': 2})
  code = graph.add('conv', half, filters=4, **{**CONV, 'stride': 2, 'activation': 'none'})
  x = graph.add('conv', graph.add('resize_like', code, half), filters=6, **CONV)
  x = graph.add('resize_like', x, graph.input)
  return graph.finish(graph.add('reconstruction', x, kernel_height=3, kernel_width=1))


def small_network(filters=4):
  graph = Graph()
  x = layers.conv(graph, graph.input, filters=filters, kernel=3, stride=2)
  return graph.finish(graph.classify(layers.separable_conv(graph, x, filters=8, kernel=3)))


def node_outputs(model):
  """The value of each node: the last layer that bears its number."""
  outputs = {}
  for layer in model.layers:
    if layer.name not in ('input', 'outputs'):
      outputs[int(layer.name.split('_')[0].removeprefix('node'))] = layer.output
  return outputs


@pytest.mark.parametrize('input_shape', [(28, 28, 1), (1, 1, 1), (5, 9, 3), (1, 7, 2)])
@pytest.mark.parametrize('classes', [2, 100])
def test_every_map_has_the_shape_that_was_inferred(input_shape, classes):
  architecture = map_network()
  model = build(architecture, TaskShape(input_shape, classes), seed=0)
  shapes = infer_shapes(architecture, TaskShape(input_shape, classes))
  outputs = node_outputs(model)
  assert set(outputs) == set(range(1, len(shapes)))
  assert all(output.shape[1:] == shapes[i] for i, output in outputs.items())
  x = np.random.default_rng(0).normal(size=(3, *input_shape)).astype(np.float32)
  logits = model(x, training=False)
  assert logits.shape == (3, classes)
  assert logits.dtype == tf.float32
  assert np.isfinite(logits).all()


@pytest.mark.parametrize('input_shape', [(28, 28, 1), (1, 1, 1), (5, 9, 3), (1, 7, 2)])
def test_a_reconstruction_is_flattened_for_the_training(input_shape):
  architecture, task = reconstructing_network(), TaskShape(input_shape, math.prod(input_shape))
  model, shapes = build(architecture, task, seed=0), infer_shapes(architecture, task)
  outputs = node_outputs(model)
  assert all(output.shape[1:] == shapes[i] for i, output in outputs.items())
  assert shapes[-1] == input_shape
  x = np.random.default_rng(0).normal(size=(3, *input_shape)).astype(np.float32)
  before = keras.Model(model.input, outputs[len(shapes) - 1])(x)
  np.testing.assert_array_equal(model(x), np.reshape(before, (3, -1)))


def test_the_three_networks_hold_every_operation():
  nodes = map_network().nodes + recurrent_network().nodes + reconstructing_network().nodes
  assert {node.op for node in nodes} == set(OPERATIONS)


@pytest.mark.parametrize('make', [map_network, recurrent_network, reconstructing_network])
def test_every_weight_has_a_gradient(make):
  input_shape = (6, 3) if make is recurrent_network else (8, 6, 1)
  outputs = math.prod(input_shape) if make is reconstructing_network else 3
  model = build(make(), TaskShape(input_shape, outputs), seed=1)
  x = np.random.default_rng(0).normal(size=(16, *input_shape)).astype(np.float32)

  @tf.function
  def gradients():
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(model(x, training=True) ** 2)
    return tape.gradient(loss, model.trainable_variables)

  assert all(np.abs(gradient).max() > 0 for gradient in gradients())


def test_the_recurrent_cell_computes_its_equation():
  model = build(recurrent_network(), TaskShape((6, 3), 4), seed=2)
  rng = np.random.default_rng(0)
  model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
  dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
  by_units = {layer.name: [w.astype(np.float64) for w in layer.get_weights()] for layer in dense}
  assert len(by_units) == 4  # W, U, V and the classifier: calls of one cell share their weights
  nodes = recurrent_network().nodes
  first_use = {}
  for index, node in enumerate(nodes):
    if node.op == 'dense':
      first_use.setdefault(node['weights'], f'node{index}_dense')
  (w, w_bias), (u, u_bias), (v, v_bias) = (by_units[first_use[key]] for key in (1, 2, 3))
  x = rng.normal(size=(2, 6, 3))
  frames = x.reshape(2, 3, 6)
  state = frames[:, 0] @ w + w_bias
  for step in (1, 2):
    gate = 1 / (1 + np.exp(-(state @ v + v_bias)))
    state = np.tanh(frames[:, step] @ w + w_bias + state @ u + u_bias) * gate
  kernel, bias = by_units[f'node{len(nodes) - 1}_logits']
  np.testing.assert_allclose(model(x.astype(np.float32)), state @ kernel + bias, atol=1e-4)


def test_padding_goes_to_all_sides_alike():
  graph = Graph()
  wide = graph.add('relu', graph.input)
  pooled = graph.add('max_pool', graph.input, kernel_height=1, kernel_width=1, stride=2)
  padded = graph.add('pad_like', pooled, wide)
  architecture = graph.finish(graph.classify(graph.add('add', wide, padded)))
  model = build(architecture, TaskShape((4, 5, 1), 2), seed=0)
  place = next(i for i, node in enumerate(architecture.nodes) if node.op == 'pad_like')
  inner = keras.Model(model.input, node_outputs(model)[place])
  x = np.arange(1, 21, dtype=np.float32).reshape(1, 4, 5, 1)
  expected = np.zeros((4, 5))
  expected[1:3, 1:4] = [[1, 3, 5], [11, 13, 15]]
  np.testing.assert_array_equal(inner(x)[0, :, :, 0], expected)


def test_weights_depend_on_the_seed_alone():
  first = build(small_network(), TASK, seed=4).get_weights()
  np.random.seed(0)  # noqa: NPY002 (global seeds must not matter)
  tf.random.set_seed(0)
  again = build(small_network(), TASK, seed=4).get_weights()
  other = build(small_network(), TASK, seed=5).get_weights()
  assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
  assert not np.array_equal(first[0], other[0])


def test_names_depend_on_the_architecture_alone():
  models = [build(small_network(), TASK, seed=seed) for seed in (0, 1)]
  names = [[w.name for w in model.weights] + [x.name for x in model.layers] for model in models]
  assert names[0] == names[1]


def test_initial_kernels_have_the_deviation_of_he():
  graph = Graph()
  x = layers.conv(graph, graph.input, filters=64, kernel=3)
  x = layers.separable_conv(graph, x, filters=64, kernel=5)
  model = build(graph.finish(graph.classify(x)), TaskShape((8, 8, 3), 10), seed=0)
  kernels = {w.name: w.numpy() for w in model.weights if 'kernel' in w.name}
  fans = {'node1_conv': 27, 'node2_depthwise': 25, 'node3_conv': 64, 'node5_logits': 64}
  assert len(kernels) == len(fans)
  for name, kernel in kernels.items():
    expected = np.sqrt(2 / fans[name.split('/')[0]])
    # The deviation of n normal draws is off by 1 / sqrt(2 n) of itself: 5 sigma.
    assert abs(kernel.std() / expected - 1) < 5 / np.sqrt(2 * kernel.size)


def test_trainable_weights_are_as_many_as_cost_counts():
  for filters in (4, 7):
    architecture = small_network(filters)
    model = build(architecture, TaskShape((9, 7, 2), 5), seed=0)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == estimate_cost(architecture, TaskShape((9, 7, 2), 5)).parameters


def test_what_does_not_fit_is_named():
  graph = Graph()
  wide = layers.conv(graph, graph.input, filters=3, kernel=1)
  x = graph.add('add', graph.input, wide)
  with pytest.raises(ValueError, match='node 2: add of different shapes'):
    build(graph.finish(graph.classify(x)), TaskShape((4, 4, 1), 2), seed=0)
