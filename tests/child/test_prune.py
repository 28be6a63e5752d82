import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape
from rlnas.child.builder import build
from rlnas.child.prune import prune_filters
from rlnas.data.scaling import UNSCALED
from rlnas.spaces import BlockQNN, Joint, MultiBranch, NASNet, Temporal, layers
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.quantize import calibration_rows, quantize
from tests.child.test_builder import (
  map_network,
  reconstructing_network,
  recurrent_network,
  small_network,
)

TASK = TaskShape((12, 12, 1), 10)
X = np.random.default_rng(0).random((60, *TASK.input_shape)).astype(np.float32)


def silence(network, node, filters):
  """Makes filters give exactly 0, whatever they read."""
  norm = network.get_layer(f'node{node}_norm')
  weights = [w.copy() for w in norm.get_weights()]
  for w in weights[:2]:  # gamma and beta
    w[filters] = 0
  norm.set_weights(weights)


def filters_of(architecture):
  return {
    i: node['filters']
    for i, node in enumerate(architecture.nodes)
    if node.op in ('conv', 'dilated_conv')
  }


def test_silent_filters_go_and_nothing_changes():
  """A chain: what reads a silent filter gets 0, and the norms behind it have mean 0 and beta 0."""
  architecture = small_network(8)
  network = build(architecture, TASK, seed=0)
  silence(network, 1, [0, 3])
  silence(network, 3, [5, 6])
  smaller, result = prune_filters(network, architecture, share=0.25)
  assert filters_of(smaller) == {1: 6, 3: 6}
  kept = network.get_layer('node1_conv').get_weights()[0][..., [1, 2, 4, 5, 6, 7]]
  np.testing.assert_array_equal(result.get_layer('node1_conv').get_weights()[0], kept)
  np.testing.assert_allclose(result.predict(X, verbose=0), network.predict(X, verbose=0), atol=1e-5)


def test_a_reconstruction_keeps_its_outputs():
  architecture = reconstructing_network()
  network = build(architecture, TaskShape(TASK.input_shape, 144), seed=0)
  widths = filters_of(architecture)
  for index in widths:
    silence(network, index, [1])
  smaller, result = prune_filters(network, architecture, share=0.25)
  assert filters_of(smaller) == {index: width - 1 for index, width in widths.items()}
  np.testing.assert_allclose(result.predict(X, verbose=0), network.predict(X, verbose=0), atol=1e-5)


def test_channels_that_are_added_go_together_and_concatenated_ones_do_not():
  graph = Graph()
  a = layers.conv(graph, graph.input, filters=8, kernel=3)
  b = layers.conv(graph, graph.input, filters=4, kernel=3)
  c = layers.conv(graph, graph.input, filters=4, kernel=1)
  x = graph.add('add', a, graph.add('concat', b, c))
  architecture = graph.finish(graph.classify(layers.conv(graph, x, filters=4, kernel=1)))
  network = build(architecture, TASK, seed=0)
  wide = next(i for i, width in filters_of(architecture).items() if width == 8)
  parts = next(n for n in architecture.nodes if n.op == 'concat').inputs
  silence(network, wide, [1, 6])
  silence(network, parts[0], [1])
  silence(network, parts[1], [2])
  smaller, result = prune_filters(network, architecture, share=0.25)
  widths = filters_of(smaller)
  assert (widths[wide], widths[parts[0]], widths[parts[1]]) == (6, 3, 3)
  assert sorted(widths.values()) == [3, 3, 3, 6]
  # The last convolution has lost a filter that was not silent: compare what it reads.
  for index in (wide, *parts):
    before = network.get_layer(f'node{index}_conv').get_weights()[0]
    after = result.get_layer(f'node{index}_conv').get_weights()[0]
    gone = {wide: [1, 6], parts[0]: [1], parts[1]: [2]}[index]
    np.testing.assert_array_equal(after, np.delete(before, gone, axis=-1))


@pytest.mark.slow
@pytest.mark.parametrize(
  'space',
  [
    MultiBranch(),
    pytest.param(NASNet(blocks=2), marks=pytest.mark.nightly),
    BlockQNN(),
    Temporal(),
    pytest.param(Joint(), marks=pytest.mark.nightly),
  ],
)
def test_networks_of_every_space_become_smaller_files(space):
  """With half of the filters a network and its file are smaller, and int8 still."""
  table = compile_table(space)
  rows = calibration_rows(X, scaling=UNSCALED, count=10)
  architecture = decode(space, sample_uniform(table, np.random.default_rng(0)))
  network = build(architecture, TASK, seed=0)
  smaller, result = prune_filters(network, architecture, share=0.5)
  assert result.output_shape == network.output_shape
  assert result.count_params() < network.count_params()
  before, after = filters_of(architecture), filters_of(smaller)
  assert all(1 <= after[i] <= before[i] for i in before)
  assert len(quantize(result, rows)) < len(quantize(network, rows))


def test_one_filter_always_stays():
  smaller, _ = prune_filters(build(map_network(), TASK, seed=0), map_network(), share=0.99)
  assert set(filters_of(smaller).values()) == {1}


def test_what_cannot_be_pruned_is_named():
  architecture = recurrent_network()
  network = build(architecture, TaskShape((6, 3), 3), seed=0)
  with pytest.raises(ValueError, match='no convolution has filters to spare'):
    prune_filters(network, architecture, share=0.5)
  with pytest.raises(ValueError, match=r'share=1.0: must lie in \(0, 1\)'):
    prune_filters(network, architecture, share=1.0)
