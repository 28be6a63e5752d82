import dataclasses

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape, infer_shapes
from rlnas.spaces import MultiBranch, layers
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, encode, sample_uniform, states_of

INPUT_SHAPES = [(28, 28, 1), (32, 32, 3), (1, 1, 1), (5, 3, 2)]

# Three layers: 0 reads the image (28x28), 1 reads 0 with stride 2, 2 reads both.
CHOICES = {
  'layer0/height': 3,
  'layer0/width': 1,
  'layer0/stride': 1,
  'layer0/filters': 8,
  'layer1/height': 3,
  'layer1/width': 5,
  'layer1/stride': 2,
  'layer1/filters': 16,
  'layer1/skip0': True,
  'layer2/height': 3,
  'layer2/width': 3,
  'layer2/stride': 1,
  'layer2/filters': 24,
  'layer2/skip0': True,
  'layer2/skip1': True,
}


def network(space: MultiBranch, choices):
  return decode(space, encode(compile_table(space), choices))


def sources(architecture):
  return [(n.op, n.inputs) for n in architecture.nodes]


@pytest.mark.parametrize('depth', [1, 2, 6, 15])
def test_size_has_its_closed_form(depth):
  size = compile_table(MultiBranch.paper(depth)).size
  assert size == (4 * 4 * 4) ** depth * 2 ** (depth * (depth - 1) // 2)


@pytest.mark.parametrize('depth', [1, 3, 5])
def test_size_with_strides_that_never_run_out_has_its_closed_form(depth):
  space = MultiBranch(depth=depth, max_strides=depth, operations=('conv', 'separable_conv'))
  size = compile_table(space).size
  assert size == (2 * 3 * 3 * 2 * 4) ** depth * 2 ** (depth * (depth - 1) // 2)


def test_bits_do_not_multiply_the_states():
  table = compile_table(MultiBranch.paper(15))
  assert table.end == table.max_length == 3 * 15 + 15 * 14 // 2


def test_strided_layers_run_out():
  table = compile_table(MultiBranch(depth=4, max_strides=1))
  rng = np.random.default_rng(0)
  most = 0
  for _ in range(300):
    tokens = sample_uniform(table, rng)
    names = [table.names[s] for s in states_of(table, tokens)]
    strides = [t for name, t in zip(names, tokens, strict=True) if name.endswith('/stride')]
    assert sum(strides) <= 1
    most = max(most, *strides)
  assert most == 1


def test_each_layer_has_one_anchor_and_its_bits_point_at_the_earlier_ones():
  table = compile_table(MultiBranch.paper(4))
  written = {table.names[s]: table.anchors[a] for s, a in enumerate(table.writes) if a >= 0}
  assert written == {
    'layer0/filters': 'layer0',
    'layer1/skip0': 'layer1',
    'layer2/skip1': 'layer2',
    'layer3/skip2': 'layer3',
  }
  for state, name in enumerate(table.names):
    layer, _, what = name.partition('/skip')
    if what:
      assert table.choices[state] == (False, True)
      assert table.pointer[state, 0] == -1
      assert table.anchors[table.pointer[state, 1]] == f'layer{what}' != layer
      assert table.hold[state] == (what != '0')
    else:
      assert (table.pointer[state] == -1).all()
      assert not table.hold[state]


@pytest.mark.parametrize('space', [MultiBranch(), MultiBranch.paper()], ids=['micro', 'paper'])
def test_a_shallower_table_asks_nothing_that_a_deeper_one_does_not(space):
  symbols = set(compile_table(dataclasses.replace(space, depth=15)).symbols)
  for depth in (4, 6, 8):
    assert set(compile_table(dataclasses.replace(space, depth=depth)).symbols) <= symbols


def test_pool_brings_maps_to_the_smallest_and_projects_them():
  architecture = network(MultiBranch(depth=3), CHOICES)
  assert sources(architecture) == [
    ('input', ()),
    ('conv', (0,)),
    ('max_pool', (1,)),
    ('conv', (1,)),
    ('concat', (2, 3)),
    ('conv', (4,)),  # 1x1
    ('conv', (5,)),
    ('global_avg_pool', (6,)),
    ('classifier', (7,)),
  ]
  assert [architecture.nodes[3][a] for a in ('kernel_height', 'kernel_width')] == [3, 5]
  assert [architecture.nodes[5][a] for a in ('kernel_height', 'filters')] == [1, 24]
  shapes = infer_shapes(architecture, TaskShape((28, 28, 1), 10))
  assert shapes[1:7] == (
    (28, 28, 8),
    (14, 14, 8),
    (14, 14, 16),
    (14, 14, 24),
    (14, 14, 24),
    (14, 14, 24),
  )


def test_pad_brings_maps_to_the_largest():
  architecture = network(MultiBranch(depth=3, align='pad'), CHOICES)
  assert sources(architecture) == [
    ('input', ()),
    ('conv', (0,)),
    ('conv', (1,)),
    ('pad_like', (2, 1)),
    ('concat', (1, 3)),
    ('conv', (4,)),
    ('global_avg_pool', (5,)),
    ('classifier', (6,)),
  ]
  shapes = infer_shapes(architecture, TaskShape((28, 28, 1), 10))
  assert shapes[1:5] == ((28, 28, 8), (14, 14, 16), (28, 28, 16), (28, 28, 24))


def test_layers_without_input_read_the_image_and_unread_layers_reach_the_classifier():
  alone = {name: False for name in CHOICES if '/skip' in name}
  architecture = network(MultiBranch(depth=3), CHOICES | alone)
  assert sources(architecture) == [
    ('input', ()),
    ('conv', (0,)),
    ('max_pool', (1,)),
    ('conv', (0,)),
    ('conv', (0,)),
    ('max_pool', (4,)),
    ('concat', (2, 3, 5)),
    ('global_avg_pool', (6,)),
    ('classifier', (7,)),
  ]
  assert infer_shapes(architecture, TaskShape((28, 28, 1), 10))[6] == (14, 14, 8 + 16 + 24)


def test_pooling_halves_all_that_later_layers_read():
  space = MultiBranch(depth=3, strides=(1,), pool_after=(1, 7))
  choices = {name: value for name, value in CHOICES.items() if '/stride' not in name}
  architecture = network(space, choices)
  assert sources(architecture) == [
    ('input', ()),
    ('conv', (0,)),
    ('max_pool', (1,)),
    ('conv', (1,)),
    ('max_pool', (3,)),
    ('concat', (2, 4)),
    ('conv', (5,)),
    ('conv', (6,)),
    ('global_avg_pool', (7,)),
    ('classifier', (8,)),
  ]
  without_input = network(space, choices | {'layer2/skip0': False, 'layer2/skip1': False})
  assert infer_shapes(without_input, TaskShape((28, 28, 1), 10))[-3] == (14, 14, 16 + 24)


def test_a_separable_layer_is_a_depthwise_and_a_1x1_convolution():
  space = MultiBranch(depth=1, operations=('conv', 'separable_conv'))
  choices = {name: value for name, value in CHOICES.items() if name.startswith('layer0')}
  architecture = network(space, choices | {'layer0/op': 'separable_conv'})
  graph = Graph()
  x = graph.add('depthwise_conv', 0, kernel_height=3, kernel_width=1, stride=1, activation='relu')
  x = layers.conv(graph, x, filters=8, kernel=1)
  assert architecture == graph.finish(graph.classify(x))


@pytest.mark.parametrize(
  'space',
  [
    MultiBranch(),
    MultiBranch(align='pad', strides=(1, 2, 3), operations=('conv', 'separable_conv')),
    MultiBranch(pool_after=(1, 3)),
    MultiBranch(align='pad', pool_after=(2,)),
    MultiBranch.paper(),
  ],
  ids=['pool', 'pad', 'pool halved', 'pad halved', 'paper'],
)
def test_the_sizes_of_random_networks_agree(space):
  table = compile_table(space)
  rng = np.random.default_rng(0)
  for _ in range(300):
    architecture = decode(space, sample_uniform(table, rng))
    for shape in INPUT_SHAPES:
      assert infer_shapes(architecture, TaskShape(shape, 10))[-1] == (10,)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'depth': 0}, 'depth=0'),
    ({'max_strides': -1}, 'max_strides=-1'),
    ({'heights': ()}, r'heights=\(\)'),
    ({'widths': (0,)}, r'widths=\(0,\)'),
    ({'filters': (8, 8)}, r'filters=\(8, 8\)'),
    ({'strides': (2,)}, r'strides=\(2,\): must hold 1'),
    ({'strides': (1, 3)}, r'strides=\(1, 3\): must be 1 or 2'),
    ({'align': 'crop'}, "align='crop'"),
    ({'operations': ()}, r'operations=\(\)'),
    ({'operations': ('conv', 'conv')}, 'distinct'),
    ({'operations': ('max_pool',)}, 'max_pool'),
    ({'pool_after': (-1,)}, r'pool_after=\(-1,\)'),
    ({'pool_after': (2, 2)}, r'pool_after=\(2, 2\)'),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    MultiBranch(**options)
