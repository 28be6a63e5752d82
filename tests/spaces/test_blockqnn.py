import math

import numpy as np
import pytest

from rlnas.architecture import TaskShape, infer_shapes
from rlnas.spaces.blockqnn import BlockQNN
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, encode, sample_uniform

ONE_BLOCK = BlockQNN(filters=(16,))


def block(*rows: tuple):
  """Choices from rows of (type, kernel, predecessor 1, predecessor 2), as the paper writes them."""
  choices = {}
  for index, (op, kernel, first, second) in enumerate(rows, start=1):
    choices[f'layer{index}/type'] = op
    if op == 'terminal':
      continue
    if op in ('conv', 'max_pool', 'avg_pool'):
      choices[f'layer{index}/kernel'] = kernel
    choices[f'layer{index}/predecessor1'] = first
    if op in ('add', 'concat'):
      choices[f'layer{index}/predecessor2'] = second
  return choices


def build(space: BlockQNN, *rows: tuple):
  return decode(space, encode(compile_table(space), block(*rows)))


def wiring(architecture):
  """(operation, inputs, kernel and filters where it has them) of every node."""
  shown = {'conv': ('kernel_height', 'filters'), 'max_pool': ('kernel_height', 'stride')}
  return [(n.op, n.inputs, *(n[name] for name in shown.get(n.op, ()))) for n in architecture.nodes]


@pytest.mark.parametrize('max_layers', [1, 2, 4, 22])
def test_size_has_its_closed_form(max_layers):
  """Layer i has i predecessors to choose from: 3i + 2i + 2i + i unary forms and 2i^2 binary ones.

  A block of exactly n layers is n such layers and a terminal, which is forced after the last.
  """
  forms = [8 * i + 2 * i**2 for i in range(1, max_layers + 1)]
  expected = sum(math.prod(forms[:n]) for n in range(1, max_layers + 1))
  assert compile_table(BlockQNN(max_layers=max_layers)).size == expected


def test_the_paper_stays_small_as_an_automaton():
  table = compile_table(BlockQNN.paper())
  assert len(table.names) == 22 * 7  # type, 3 kernels, predecessor 1 of 1 or 2, predecessor 2
  assert table.max_length == 22 * 3


def test_a_block_with_a_shortcut():
  """After figure 2, right: two convolutions and the identity, added."""
  rows = [
    ('identity', 0, 0, 0),
    ('conv', 3, 1, 0),
    ('conv', 3, 2, 0),
    ('add', 0, 1, 3),
    ('terminal', 0, 0, 0),
  ]
  architecture = build(ONE_BLOCK, *rows)
  assert wiring(architecture) == [
    ('input', ()),
    ('conv', (0,), 3, 16),
    ('conv', (1,), 3, 16),
    ('conv', (2,), 3, 16),
    ('add', architecture.nodes[4].inputs),
    ('global_avg_pool', (4,)),
    ('classifier', (5,)),
  ]
  assert set(architecture.nodes[4].inputs) == {1, 3}


def test_layers_without_a_successor_are_the_output():
  """Of three branches one is read on; the other two and its reader are concatenated in order."""
  rows = [
    ('conv', 1, 0, 0),
    ('conv', 5, 0, 0),
    ('max_pool', 3, 1, 0),
    ('identity', 0, 0, 0),
    ('terminal', 0, 0, 0),
  ]
  assert wiring(build(ONE_BLOCK, *rows)) == [
    ('input', ()),
    ('conv', (0,), 3, 16),
    ('conv', (1,), 5, 16),
    ('conv', (1,), 1, 16),
    ('max_pool', (3,), 3, 1),
    ('concat', (2, 4, 1)),
    ('conv', (5,), 1, 16),  # back to 16 of 48 channels
    ('global_avg_pool', (6,)),
    ('classifier', (7,)),
  ]


def test_terms_of_a_sum_are_brought_to_one_width():
  rows = [('concat', 0, 0, 0), ('conv', 3, 1, 0), ('add', 0, 1, 2), ('terminal', 0, 0, 0)]
  architecture = build(ONE_BLOCK, *rows)
  shapes = infer_shapes(architecture, TaskShape((8, 8, 3), 10))
  ops = [(n.op, s) for n, s in zip(architecture.nodes, shapes, strict=True)]
  assert ('concat', (4, 4, 32)) in ops  # of the input with itself
  assert ('add', (4, 4, 16)) in ops
  projections = [n for n in architecture.nodes if n.op == 'conv' and n['kernel_height'] == 1]
  assert len(projections) == 1


def test_the_sum_of_a_layer_with_itself():
  architecture = build(ONE_BLOCK, ('add', 0, 0, 0), ('terminal', 0, 0, 0))
  assert architecture.nodes[2].op == 'add'
  assert architecture.nodes[2].inputs == (1, 1)


def test_pooling_a_single_pixel_is_the_identity():
  pooled = build(ONE_BLOCK, ('max_pool', 1, 0, 0), ('terminal', 0, 0, 0))
  assert pooled == build(ONE_BLOCK, ('identity', 0, 0, 0), ('terminal', 0, 0, 0))


def test_blocks_are_repeated_and_stages_pooled():
  space = BlockQNN(filters=(8, 16), repeats=2, stem_stride=1)
  architecture = build(space, ('conv', 3, 0, 0), ('terminal', 0, 0, 0))
  shapes = infer_shapes(architecture, TaskShape((28, 28, 1), 10))
  assert [(n.op, s) for n, s in zip(architecture.nodes, shapes, strict=True)] == [
    ('input', (28, 28, 1)),
    ('conv', (28, 28, 8)),
    ('conv', (28, 28, 8)),
    ('conv', (28, 28, 8)),
    ('max_pool', (14, 14, 8)),
    ('conv', (14, 14, 16)),
    ('conv', (14, 14, 16)),
    ('global_avg_pool', (16,)),
    ('classifier', (10,)),
  ]


def test_an_empty_block_is_not_in_the_space():
  with pytest.raises(ValueError, match=r"layer1/type='terminal'"):
    encode(compile_table(BlockQNN()), block(('terminal', 0, 0, 0)))


@pytest.mark.parametrize('space', [BlockQNN(), BlockQNN(filters=(4, 8, 16), repeats=2)])
def test_every_block_fits_images_of_any_size(space):
  table, rng = compile_table(space), np.random.default_rng(0)
  for _ in range(150):
    architecture = decode(space, sample_uniform(table, rng))
    for shape in ((28, 28, 1), (32, 32, 3), (1, 1, 1)):
      shapes = infer_shapes(architecture, TaskShape(shape, 10))
      assert shapes[-2:] == ((space.filters[-1],), (10,))


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'max_layers': 0}, 'max_layers=0'),
    ({'repeats': 0}, 'repeats=0'),
    ({'filters': ()}, r'filters=\(\)'),
    ({'filters': (16, 0)}, r'filters=\(16, 0\)'),
    ({'stem_stride': 3}, 'stem_stride=3'),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    BlockQNN(**options)
