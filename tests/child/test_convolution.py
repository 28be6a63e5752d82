"""Trains what every space can ask for, with and without oneDNN, and checks the product's values."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape, infer_shapes
from rlnas.backend import keras, tf
from rlnas.child.builder import build
from rlnas.child.convolution import Conv2D, convolve
from rlnas.child.inherit import inherit_weights, save_weights
from rlnas.child.qat import aware_twin
from rlnas.cli.choices import SPACES, find
from rlnas.spaces.decision import decode
from rlnas.spaces.nasnet import PAPER_OPERATIONS, NASNet
from rlnas.spaces.table import compile_table, sample_uniform

SIDE = 6
NETWORKS = 15  # of each space
MOST_CHANNELS = 64  # of a layer's input
WINDOWED = {'conv', 'dilated_conv', 'depthwise_conv', 'max_pool', 'avg_pool'}
FIGURES = ('kernel_height', 'kernel_width', 'stride', 'dilation')
# A process for each: oneDNN is chosen when TensorFlow loads. The last computes as on a processor
# without AVX-512. Searches use the default.
SETTINGS = {
  'on': {'TF_ENABLE_ONEDNN_OPTS': '1'},
  'off': {'TF_ENABLE_ONEDNN_OPTS': '0'},
  'on, AVX2': {'TF_ENABLE_ONEDNN_OPTS': '1', 'ONEDNN_MAX_CPU_ISA': 'AVX2'},
}


@functools.cache
def drawn_networks():
  """Networks of all spaces, and of NASNet with the paper's operations, drawn uniformly."""
  spaces = [find('space', name)() for name in SPACES]
  drawn = []
  for space in [*spaces, NASNet(operations=PAPER_OPERATIONS)]:
    table, rng = compile_table(space), np.random.default_rng(0)
    drawn += [decode(space, sample_uniform(table, rng)) for _ in range(NETWORKS)]
  return drawn


def kinds_of_layers(channels):
  """Windowed nodes of all spaces with their input's channels, by kind: (node, channels)."""
  kept, seen = [], set()
  for architecture in drawn_networks():
    if not any(node.op in WINDOWED for node in architecture.nodes):
      continue
    outputs = SIDE * SIDE * channels  # as a reconstruction needs them
    shapes = infer_shapes(architecture, TaskShape((SIDE, SIDE, channels), outputs))
    for node in architecture.nodes:
      if node.op not in WINDOWED:
        continue
      entering = shapes[node.inputs[0]][-1]
      figures = tuple(dict(node.attributes).get(figure, 1) for figure in FIGURES)
      new = {(node.op, figures), (node.op, figures[:3] == (1, 1, 2), entering)}
      if not new <= seen and entering <= MOST_CHANNELS:
        seen |= new
        kept.append((node, entering))
  return kept


def network_of_all(channels):
  """A network with one branch for each kind of layer, between layers that fit."""
  graph = Graph()
  filters = {'filters': 4, 'kernel_height': 1, 'kernel_width': 1, 'activation': 'relu'}
  entries, ends = {channels: graph.input}, []
  for node, entering in kinds_of_layers(channels):
    if entering not in entries:
      options = {**filters, 'filters': entering, 'stride': 1}
      entries[entering] = graph.add('conv', graph.input, **options)
    for source in {entries[entering], *([graph.input] if node.op == 'conv' else [])}:
      result = graph.add(node.op, source, **dict(node.attributes))
      ends.append(graph.add('global_avg_pool', result))
  return graph.finish(graph.add('classifier', graph.add('concat', *ends)))


TRAIN_ALL = f"""
import sys
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
import numpy as np
from test_convolution import SIDE, TaskShape, build, network_of_all, tf

rng = np.random.default_rng(0)
for channels in map(int, sys.argv[1:]):
  model = build(network_of_all(channels), TaskShape((SIDE, SIDE, channels), 3), seed=0)
  x = tf.constant(rng.normal(size=(4, SIDE, SIDE, channels)).astype(np.float32))

  @tf.function(autograph=False)
  def step():
    with tf.GradientTape() as tape:
      loss = tf.reduce_mean(model(x, training=True) ** 2)
    return loss, tape.gradient(loss, model.trainable_variables)

  loss, gradients = step()
  assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients)
  print(len(gradients))
"""


def train_all(setting, *channels):
  """In a process that must end well."""
  done = subprocess.run(
    [sys.executable, '-c', TRAIN_ALL, *map(str, channels)],
    env=os.environ | SETTINGS[setting],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert len(done.stdout.split()) == len(channels)


@pytest.mark.nightly
@pytest.mark.parametrize('setting', SETTINGS)
def test_every_layer_of_every_space_trains(setting):
  train_all(setting, 1, 3)


def test_the_kinds_hold_what_crashed():
  for channels in (1, 3):
    nodes = network_of_all(channels).nodes
    assert {n.op for n in nodes} >= WINDOWED
    strided = [n for n in nodes if n.op == 'conv' and n.inputs == (0,) and n['stride'] == 2]
    assert any((n['kernel_height'], n['kernel_width']) == (1, 1) for n in strided)


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('channels', [1, 5])
@pytest.mark.parametrize('sides', [(7, 8), (1, 2)])
def test_the_product_is_the_convolution_with_its_gradients(stride, channels, sides):
  rng = np.random.default_rng(0)
  x = tf.constant(rng.normal(size=(4, *sides, channels)).astype(np.float32))
  kernel = tf.constant(rng.normal(size=(1, 1, channels, 6)).astype(np.float32))

  def with_gradients(function):
    with tf.GradientTape() as tape:
      tape.watch([x, kernel])
      y = function()
      loss = tf.reduce_sum(y**2)
    return [y, *tape.gradient(loss, [x, kernel])]

  ours = with_gradients(lambda: convolve(x, kernel, stride=stride))
  # The gradient of a strided convolution of a copied channel, which no version crashes in.
  doubled = tf.concat([kernel, tf.zeros_like(kernel)], 2)
  theirs = with_gradients(
    lambda: (
      tf.nn.conv2d(tf.concat([x, x], -1), doubled * 1.0, stride, 'SAME')
      if channels > 1
      else tf.einsum('bhwc,cf->bhwf', x[:, ::stride, ::stride], kernel[0, 0])
    )
  )
  if channels > 1:
    theirs[2] = with_gradients(lambda: tf.nn.conv2d(x, kernel, stride, 'SAME'))[2]
  for a, b in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('use_bias', [False, True])
def test_the_layer_trains_as_it_infers(stride, use_bias):
  layer = Conv2D(6, 1, stride, 'same', use_bias=use_bias, bias_initializer='ones')
  x = tf.random.stateless_normal((2, 5, 5, 3), (0, 0))
  trained = layer(x, training=True)
  np.testing.assert_allclose(trained, layer(x, training=False), rtol=1e-5, atol=1e-6)


def test_inference_is_the_convolution_of_keras_to_the_bit():
  theirs = keras.layers.Conv2D(6, 1, 2, 'same')
  x = tf.random.stateless_normal((2, 5, 5, 3), (0, 0))
  expected = theirs(x)
  layer = Conv2D.from_config(theirs.get_config())
  layer.build(x.shape)
  layer.set_weights(theirs.get_weights())
  np.testing.assert_array_equal(layer(x, training=False), expected)


def strided_network():
  graph = Graph()
  options = {'filters': 4, 'kernel_height': 1, 'kernel_width': 1, 'activation': 'relu'}
  return build(
    graph.finish(graph.classify(graph.add('conv', graph.input, **options, stride=2))),
    TaskShape((SIDE, SIDE, 1), 3),
    seed=0,
  )


def test_a_twin_for_quantization_aware_training_trains_by_the_product():
  twin = aware_twin(strided_network(), {})
  inner = twin.layers[-1].get_layer('aware_node1_conv').layer
  assert type(inner) is Conv2D
  x = tf.random.stateless_normal((2, SIDE, SIDE, 1), (0, 0))
  traced = tf.function(lambda: twin(x, training=True)).get_concrete_function()
  assert not [op for op in traced.graph.get_operations() if op.type == 'Conv2D']
  np.testing.assert_allclose(twin(x, training=True), twin(x, training=False), rtol=0.1, atol=0.1)


def test_weights_of_earlier_versions_are_inherited(tmp_path):
  """Their files say 'Conv2D', as those of today."""
  network = strided_network()
  save_weights(network, tmp_path / 'a.npz')
  with np.load(tmp_path / 'a.npz', allow_pickle=False) as file:
    assert '0/Conv2D/0' in file.files
  assert inherit_weights(strided_network(), tmp_path / 'a.npz') == 3


LAYERS = """
import os
from rlnas.backend import keras
from rlnas.child.convolution import Conv2D, NearestResize

x = keras.Input((6, 6, 3))
keras.Model(x, NearestResize(12, 12)(Conv2D(4, 1, 2, 'same')(x)))
os._exit(0)  # as a worker that is killed
"""


@pytest.mark.slow
def test_building_leaves_no_file_behind(tmp_path):
  environment = os.environ | {'TMPDIR': str(tmp_path)}
  subprocess.run([sys.executable, '-c', LAYERS], env=environment, check=True, capture_output=True)
  assert not list(tmp_path.iterdir())


def test_its_kernel_is_what_pruning_takes():
  """Without its own answer, tensorflow-model-optimization refuses the class."""
  layer = Conv2D(3, 3, padding='same')
  layer.build([None, 4, 4, 2])
  (weights,) = layer.get_prunable_weights()
  assert weights is layer.kernel
