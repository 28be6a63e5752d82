import collections
import dataclasses
import math

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape, infer_shapes
from rlnas.spaces import NASNet, layers
from rlnas.spaces.decision import decode
from rlnas.spaces.nasnet import (
  MICRO_OPERATIONS,
  OPERATIONS,
  PAPER_OPERATIONS,
  Block,
  HiddenState,
  apply_cell,
)
from rlnas.spaces.table import compile_table, encode, sample_uniform

INPUT_SHAPES = [(28, 28, 1), (32, 32, 3), (1, 1, 1), (5, 3, 2)]


def closed_form(blocks: int, operations: int) -> int:
  return math.prod(((b + 2) * operations) ** 2 * 2 for b in range(blocks)) ** 2


@pytest.mark.parametrize('blocks', [1, 3, 5])
@pytest.mark.parametrize('operations', [MICRO_OPERATIONS, PAPER_OPERATIONS], ids=len)
def test_size_has_its_closed_form(blocks, operations):
  table = compile_table(NASNet(blocks=blocks, operations=operations))
  assert table.size == closed_form(blocks, len(operations))
  assert table.max_length == 2 * (2 + 5 * blocks)


def test_the_paper_has_thirteen_operations():
  assert len(set(PAPER_OPERATIONS)) == 13
  assert set(MICRO_OPERATIONS) | set(PAPER_OPERATIONS) == set(OPERATIONS)


def test_a_hidden_state_is_pointed_at_by_its_anchor():
  table = compile_table(NASNet(blocks=2))
  written = {table.names[s]: table.anchors[a] for s, a in enumerate(table.writes) if a >= 0}
  for cell in ('normal', 'reduction'):
    assert written[f'{cell}/begin0'] == f'{cell}/0'
    assert written[f'{cell}/begin1'] == f'{cell}/1'
    assert written[f'{cell}/block0/combine'] == f'{cell}/2'
    state = table.names.index(f'{cell}/block1/input1')
    assert table.choices[state] == (0, 1, 2)
    assert [table.anchors[a] for a in table.pointer[state, :3]] == [f'{cell}/{k}' for k in range(3)]


def applied(cell, *, stride=1, filters=8, channels=(8, 8), sizes=(1, 1)):
  """The nodes of a cell that reads two maps, each a convolution of the image, and its result."""
  graph = Graph()
  inputs = [
    HiddenState(layers.Map(layers.conv(graph, 0, filters=c, kernel=3, stride=s), s), c)
    for c, s in zip(channels, sizes, strict=True)
  ]
  state = apply_cell(graph, cell, (inputs[0], inputs[1]), filters=filters, stride=stride)
  architecture = graph.finish(graph.classify(state.map.node))
  shapes = infer_shapes(architecture, TaskShape((32, 32, 3), 10))
  assert shapes[-3] == (32 // state.map.stride, 32 // state.map.stride, state.channels)
  return [(n.op, n.inputs) for n in architecture.nodes][:-2], shapes[:-2]


def block(first, second, op0, op1, combine='add'):
  return Block((first, second), (op0, op1), combine)


def test_unread_blocks_are_concatenated_and_read_ones_are_not():
  cell = (
    block(0, 1, 'max_pool_3x3', 'avg_pool_3x3'),
    block(2, 0, 'identity', 'conv_3x3'),
    block(1, 1, 'conv_1x1', 'identity', 'concat'),
  )
  nodes, shapes = applied(cell)
  ops = [op for op, _ in nodes]
  expected = {'input': 1, 'conv': 4, 'max_pool': 1, 'avg_pool': 1, 'add': 2, 'concat': 2}
  assert collections.Counter(ops) == expected
  last = nodes[-1]
  assert last[0] == 'concat'
  assert [ops[i] for i in last[1]] == ['add', 'concat']  # block 1, which read block 0; block 2
  assert 'add' in [ops[i] for i in nodes[last[1][0]][1]]
  assert shapes[-1] == (32, 32, 8 + 16)


def test_one_unread_block_is_the_output_itself():
  cell = (block(0, 1, 'conv_3x3', 'conv_3x3'), block(2, 2, 'identity', 'max_pool_3x3'))
  nodes, shapes = applied(cell)
  assert nodes[-1][0] == 'add'
  assert shapes[-1] == (32, 32, 8)


def test_inputs_are_matched_where_they_differ_only():
  cell = (block(0, 1, 'identity', 'identity'),)
  same, _ = applied(cell)
  assert [op for op, _ in same] == ['input', 'conv', 'conv', 'add']
  other, shapes = applied(cell, channels=(8, 24), sizes=(2, 1))
  assert sorted(op for op, _ in other) == ['add', 'conv', 'conv', 'conv', 'input']
  assert sorted(shapes[1:]) == sorted([(16, 16, 8), (32, 32, 24), (16, 16, 8), (16, 16, 8)])


def test_concatenated_channels_are_projected_where_they_are_read():
  cell = (block(0, 1, 'identity', 'identity', 'concat'), block(2, 2, 'identity', 'max_pool_3x3'))
  nodes, shapes = applied(cell)
  concat = [op for op, _ in nodes].index('concat')
  assert shapes[concat] == (32, 32, 16)
  assert [op for op, inputs in nodes if concat in inputs] in (
    ['conv', 'max_pool'],
    ['max_pool', 'conv'],
  )
  assert shapes[-1] == (32, 32, 8)


@pytest.mark.parametrize('op', OPERATIONS)
def test_every_operation_halves_what_a_reduction_cell_reads_and_nothing_else(op):
  cell = (block(0, 1, op, op), block(2, 2, op, op))
  _, shapes = applied(cell, stride=2)
  assert shapes[-1] == (16, 16, 8)
  _, shapes = applied(cell)
  assert {shape[:2] for shape in shapes} == {(32, 32)}


def test_separable_convolutions_of_the_paper_are_applied_twice():
  cell = (block(0, 0, 'twice_separable_conv_5x5', 'identity'),)
  nodes, _ = applied(cell)
  assert [op for op, _ in nodes].count('depthwise_conv') == 2
  assert nodes[-1][0] == 'add'
  assert set(nodes[-1][1]) == {1, 5}


def residual_cells():
  """Both cells: one block, a convolution of the cell before plus that of the one before it."""
  return {
    name: value
    for cell in ('normal', 'reduction')
    for name, value in {
      f'{cell}/begin0': cell,
      f'{cell}/begin1': cell,
      f'{cell}/block0/input0': 0,
      f'{cell}/block0/input1': 1,
      f'{cell}/block0/op0': 'conv_3x3',
      f'{cell}/block0/op1': 'max_pool_3x3',
      f'{cell}/block0/combine': 'add',
    }.items()
  }


def test_a_stack_is_built_as_described():
  space = NASNet(blocks=1, repeats=1, filters=8, stem_stride=1)
  architecture = decode(space, encode(compile_table(space), residual_cells()))
  shapes = infer_shapes(architecture, TaskShape((32, 32, 3), 10))
  sums = [i for i, n in enumerate(architecture.nodes) if n.op == 'add']
  assert [shapes[i] for i in sums] == [
    (32, 32, 8),
    (16, 16, 16),
    (16, 16, 16),
    (8, 8, 32),
    (8, 8, 32),
  ]
  first = {n.op: n.inputs for n in _terms(architecture, sums[0])}
  assert first == {'conv': (1,), 'max_pool': (1,)}  # the first cell reads the stem twice
  pools = [n['stride'] for i in sums for n in _terms(architecture, i) if n.op == 'max_pool']
  assert pools == [1, 2, 1, 2, 1]


def _terms(architecture, index):
  return [architecture.nodes[i] for i in architecture.nodes[index].inputs]


def test_cells_transfer_to_a_larger_stack():
  space = NASNet(blocks=2)
  table = compile_table(space)
  tokens = sample_uniform(table, np.random.default_rng(3))
  larger = space.transfer(tokens, repeats=3, filters=24, stem_stride=1)
  assert larger == decode(dataclasses.replace(space, repeats=3, filters=24, stem_stride=1), tokens)
  assert space.transfer(tokens, repeats=1, filters=6) == decode(space, tokens)
  assert len(larger.nodes) > len(decode(space, tokens).nodes)
  assert infer_shapes(larger, TaskShape((64, 64, 3), 100))[1] == (64, 64, 24)


def test_tokens_of_another_space_do_not_transfer():
  space = NASNet(blocks=2)
  tokens = sample_uniform(compile_table(space), np.random.default_rng(0))
  with pytest.raises(ValueError, match='tokens: 25 given'):
    space.transfer((*tokens, 0), repeats=2, filters=8)
  with pytest.raises(ValueError, match='repeats=0'):
    space.transfer(tokens, repeats=0, filters=8)


@pytest.mark.parametrize(
  'space',
  [NASNet(), NASNet(repeats=2, stem_stride=1), dataclasses.replace(NASNet.paper(), repeats=1)],
  ids=['micro', 'larger', 'paper'],
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
    ({'blocks': 0}, 'blocks=0'),
    ({'repeats': 0}, 'repeats=0'),
    ({'filters': 0}, 'filters=0'),
    ({'stem_stride': 0}, 'stem_stride=0'),
    ({'operations': ()}, r'operations=\(\)'),
    ({'operations': ('conv_9x9',)}, 'conv_9x9'),
    ({'operations': ('identity', 'identity')}, 'distinct'),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    NASNet(**options)
