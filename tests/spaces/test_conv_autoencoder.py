import math

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape, infer_shapes
from rlnas.cost.builds import BUILDS
from rlnas.cost.cost import estimate_cost
from rlnas.data.scaling import UNSCALED, Scaling
from rlnas.evaluation.untrained import convert_untrained, noise
from rlnas.spaces import ConvAutoencoder
from rlnas.spaces.decision import decode
from rlnas.spaces.table import choices_of, compile_table, encode, sample_uniform
from rlnas.tflite import inspection
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_logits, tflm_logits
from rlnas.tflite.model_file import read_subgraphs

CHOICES = {
  'layer0/filters': 16,
  'layer0/op': 'conv',
  'layer0/kernel': 5,
  'layer0/stride': 4,
  'layer1/filters': 32,
  'layer1/op': 'separable_conv',
  'layer1/kernel': 3,
  'layer1/stride': 2,
  'layer2/filters': 0,
  'code': 4,
}
KINDS = {'CONV_2D', 'DEPTHWISE_CONV_2D', 'RESIZE_NEAREST_NEIGHBOR'}


def network(choices):
  table = compile_table(ConvAutoencoder())
  return decode(table.space, encode(table, choices))


def drawn(count, seed):
  table, rng = compile_table(ConvAutoencoder()), np.random.default_rng(seed)
  return [decode(table.space, sample_uniform(table, rng)) for _ in range(count)]


def task_of(frames, features):
  return TaskShape((1, frames, features), frames * features)


def sizes(node):
  known = dict(node.attributes)
  names = ('kernel_width', 'stride', 'filters', 'activation')
  return (node.op, node.inputs, *(known[name] for name in names if name in known))


def test_the_decoder_mirrors_the_encoder():
  assert [sizes(node) for node in network(CHOICES).nodes] == [
    ('input', ()),
    ('conv', (0,), 5, 4, 16, 'relu'),
    ('depthwise_conv', (1,), 3, 2, 'none'),
    ('conv', (2,), 1, 1, 32, 'relu'),
    ('conv', (3,), 1, 1, 4, 'none'),
    ('conv', (4,), 1, 1, 32, 'relu'),
    ('resize_like', (5, 1)),
    ('depthwise_conv', (6,), 3, 1, 'none'),
    ('conv', (7,), 1, 1, 16, 'relu'),
    ('resize_like', (8, 0)),
    ('reconstruction', (9,), 5),
  ]


def test_a_separable_first_layer_ends_with_a_separable_reconstruction():
  choices = {**CHOICES, 'layer0/op': 'separable_conv', 'layer0/stride': 1, 'layer1/filters': 0}
  known = {name: choices[name] for name in choices if not name.startswith(('layer2', 'layer1/'))}
  assert [sizes(node) for node in network({**known, 'layer1/filters': 0}).nodes][-3:] == [
    ('conv', (3,), 1, 1, 16, 'relu'),
    ('depthwise_conv', (4,), 5, 1, 'none'),
    ('reconstruction', (5,), 1),
  ]


@pytest.mark.parametrize('frames', [1, 2, 3, 10, 49, 50])
def test_any_length_is_reached_again(frames):
  shapes = infer_shapes(network(CHOICES), task_of(frames, 7))
  fourth, eighth = -(-frames // 4), -(-frames // 8)
  assert [width for _, width, _ in shapes] == [
    *(frames, fourth, *(4 * [eighth]), fourth, fourth, fourth, frames, frames)
  ]
  assert shapes[-1] == (1, frames, 7)


def test_no_stride_is_longer_than_its_window():
  table, rng = compile_table(ConvAutoencoder()), np.random.default_rng(0)
  for _ in range(200):
    choices = choices_of(table, sample_uniform(table, rng))
    strides = [name for name in choices if name.endswith('stride')]
    assert all(choices[s] <= choices[s.replace('stride', 'kernel')] for s in strides)


def test_outputs_that_the_map_cannot_hold_are_refused():
  with pytest.raises(ValueError, match='reconstruction of 10 values on a map of 1x49'):
    infer_shapes(network(CHOICES), TaskShape((1, 49, 10), 10))
  graph = Graph()
  small = graph.add('max_pool', graph.input, kernel_height=1, kernel_width=2, stride=2)
  with pytest.raises(ValueError, match=r'resize_like of .* to the smaller'):
    infer_shapes(graph.finish(graph.add('resize_like', graph.input, small)), task_of(4, 1))


@pytest.mark.parametrize(
  ('frames', 'features', 'seed'),
  [
    (2, 3, 2),
    pytest.param(49, 10, 0, marks=pytest.mark.slow),
    pytest.param(5, 128, 1, marks=pytest.mark.slow),
  ],
)
def test_the_cost_is_that_of_the_file(frames, features, seed):
  architecture, task = drawn(1, seed)[0], task_of(frames, features)
  model = convert_untrained(architecture, task, seed=seed)
  for name in ('host', 'm3-ref', 'm4-cmsis', 'm4-ard2023'):
    found, cost = (
      measure(model, build=BUILDS[name]),
      estimate_cost(architecture, task, build=BUILDS[name]),
    )
    assert cost.arena_head_bytes == found.arena_head_bytes
    assert cost.arena_tail_bytes == found.arena_tail_bytes
    assert cost.sram_bytes == found.sram_bytes
    assert cost.flash_bytes == pytest.approx(found.flash_bytes, rel=0.01)
  inspected = inspection.measure(model)
  assert {operator.kind for operator in inspected.operators} <= KINDS
  assert inspected.macs == cost.macs
  assert inspected.operators[-1].shape == (1, 1, frames, features)  # nothing flattens it
  x = noise(task.input_shape, 10, seed)
  builtin, micro = (f(model, x, scaling=UNSCALED) for f in (int8_logits, tflm_logits))
  assert builtin.shape == micro.shape == (10, frames * features)
  assert np.abs(builtin.astype(int) - micro).max() <= 7  # of 49 networks the most


@pytest.mark.parametrize(('frames', 'stride'), [(1, 2), (5, 4), (49, 4), (50, 4), (8, 2)])
def test_repeated_values_are_the_same_everywhere(frames, stride):
  """A network that only takes every so many values, and repeats them."""
  graph = Graph()
  few = graph.add('max_pool', graph.input, kernel_height=1, kernel_width=1, stride=stride)
  architecture, task = graph.finish(graph.add('resize_like', few, graph.input)), task_of(frames, 3)
  model = convert_untrained(architecture, task, seed=0)
  units = np.random.default_rng(0).integers(-128, 128, (5, *task.input_shape)).astype(np.float32)
  entry = read_subgraphs(model)[0].tensors[0]
  as_units = Scaling(entry.zero_points[0], 1 / entry.scales[0])
  kept = -(-frames // stride)
  centres = (np.arange(frames) + 0.5) * kept / frames
  expected = units[:, :, ::stride][:, :, centres.astype(int)].reshape(5, -1)
  for run in (int8_logits, tflm_logits):
    np.testing.assert_array_equal(run(model, units, scaling=as_units), expected)
  found, cost = measure(model), estimate_cost(architecture, task)
  assert cost.arena_head_bytes == found.arena_head_bytes
  assert cost.arena_tail_bytes == found.arena_tail_bytes


def test_a_size_and_the_axes_of_an_average_are_one_constant():
  graph = Graph()
  few = graph.add('max_pool', graph.input, kernel_height=1, kernel_width=1, stride=2)
  first, second = (graph.add('resize_like', few, graph.input) for _ in range(2))
  joined = graph.add('concat', graph.add('relu', first), second)  # one resizing serves both
  architecture, task = graph.finish(graph.classify(joined)), TaskShape((1, 2, 3), 4)
  model = convert_untrained(architecture, task, seed=0)
  found, cost = measure(model), estimate_cost(architecture, task)
  assert cost.arena_head_bytes == found.arena_head_bytes
  assert cost.arena_tail_bytes == found.arena_tail_bytes
  kinds = [operator.kind for operator in inspection.measure(model).operators]
  assert kinds.count('RESIZE_NEAREST_NEIGHBOR') == 1


def test_a_long_sequence_takes_fewer_weights_than_dense_layers():
  cost = estimate_cost(network(CHOICES), task_of(128, 6))
  assert cost.parameters < math.prod((128, 6)) * 16  # a dense layer of 16 units


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'max_layers': 0}, 'max_layers=0'),
    ({'operations': ('conv', 'pool')}, 'operations='),
    ({'operations': ()}, r'operations=\(\)'),
    ({'kernels': ()}, r'kernels=\(\)'),
    ({'strides': (0, 1)}, r'strides=\(0, 1\)'),
    ({'filters': (8, 8)}, r'filters=\(8, 8\)'),
    ({'codes': ()}, r'codes=\(\)'),
    ({'kernels': (3,), 'strides': (4,)}, r'at most the smallest of kernels=\(3,\)'),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    ConvAutoencoder(**options)
