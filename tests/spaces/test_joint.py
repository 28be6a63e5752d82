import numpy as np
import pytest

from rlnas.architecture import TaskShape, infer_shapes
from rlnas.spaces.decision import decode
from rlnas.spaces.joint import Joint
from rlnas.spaces.table import compile_table, encode, sample_uniform

SPACE = Joint(max_stages=3, cells=2, blocks=1, widths=(4, 8), operations=('conv_3x3', 'identity'))


def stage(index: int, **choices):
  return {f'stage{index}/{name}': value for name, value in choices.items()}


def cell(index: int, inputs: tuple[int, int], operations: tuple[str, str], combine: str):
  at = f'cell{index}/block0/'
  return {
    f'cell{index}/begin0': f'cell{index}',
    f'cell{index}/begin1': f'cell{index}',
    at + 'input0': inputs[0],
    at + 'input1': inputs[1],
    at + 'op0': operations[0],
    at + 'op1': operations[1],
    at + 'combine': combine,
  }


# conv(h_i) + h_{i-1}, and h_i beside conv(h_i)
RESIDUAL = cell(0, (0, 1), ('conv_3x3', 'identity'), 'add')
DENSE = cell(1, (0, 0), ('identity', 'conv_3x3'), 'concat')


def build(*choices: dict):
  merged = {name: value for part in choices for name, value in part.items()}
  return decode(SPACE, encode(compile_table(SPACE), merged))


def shown(architecture, input_shape=(28, 28, 1)):
  shapes = infer_shapes(architecture, TaskShape(input_shape, 10))
  return [
    (n.op, n.inputs if n.op != 'add' else tuple(sorted(n.inputs)), s)
    for n, s in zip(architecture.nodes, shapes, strict=True)
  ]


def closed_form(stages: int, strides: int, forms: int, repeats: int) -> int:
  """Ways to go on with at most so many stages; `forms` is widths times cells."""
  if stages == 0:
    return 1
  halved = closed_form(stages - 1, strides - 1, forms, repeats) if strides else 0
  return 1 + repeats * forms * (closed_form(stages - 1, strides, forms, repeats) + halved)


@pytest.mark.parametrize(('max_stages', 'max_strides'), [(1, 0), (1, 3), (3, 1), (4, 3), (5, 5)])
def test_size_has_its_closed_form(max_stages, max_strides):
  """Stages, of which there is at least one, times the two cells of 3 blocks."""
  space = Joint(max_stages=max_stages, max_strides=max_strides)
  a_cell = np.prod([(2 + b) ** 2 * 7**2 * 2 for b in range(3)])
  stages = closed_form(max_stages, max_strides, 4 * 2, 3) - 1
  assert compile_table(space).size == stages * int(a_cell) ** 2


def test_stages_repeat_the_cell_they_pick():
  architecture = build(
    stage(0, repeats=2, width=4, cell=0, stride=2),
    stage(1, repeats=1, width=8, cell=1, stride=2),
    stage(2, repeats=0),
    RESIDUAL,
    DENSE,
  )
  assert shown(architecture) == [
    ('input', (), (28, 28, 1)),
    ('conv', (0,), (14, 14, 4)),  # the stem
    ('conv', (1,), (14, 14, 4)),
    ('add', (1, 2), (14, 14, 4)),  # the first cell reads the stem twice
    ('conv', (3,), (14, 14, 4)),
    ('add', (1, 4), (14, 14, 4)),  # the second one adds the stem, two back
    ('conv', (5,), (7, 7, 8)),  # stage 1
    ('conv', (6,), (7, 7, 8)),
    ('concat', (6, 7), (7, 7, 16)),
    ('global_avg_pool', (8,), (16,)),
    ('classifier', (9,), (10,)),
  ]


def test_a_stage_may_change_its_width_alone():
  """Then a 1x1 convolution, which the cell puts in itself, matches each of its inputs."""
  architecture = build(
    stage(0, repeats=1, width=4, cell=1, stride=1),
    stage(1, repeats=1, width=8, cell=1, stride=1),
    stage(2, repeats=0),
    RESIDUAL,
    DENSE,
  )
  assert shown(architecture)[1:7] == [
    ('conv', (0,), (28, 28, 4)),
    ('conv', (1,), (28, 28, 4)),
    ('concat', (1, 2), (28, 28, 8)),
    ('conv', (3,), (28, 28, 8)),
    ('concat', (3, 4), (28, 28, 16)),
    ('global_avg_pool', (5,), (16,)),
  ]


def test_a_cell_that_no_stage_picks_is_not_built():
  macro = stage(0, repeats=1, width=4, cell=0, stride=1), stage(1, repeats=0)
  other = cell(1, (1, 1), ('conv_3x3', 'conv_3x3'), 'add')
  assert build(*macro, RESIDUAL, DENSE) == build(*macro, RESIDUAL, other)


def test_strides_run_out():
  table = compile_table(Joint(max_strides=1))
  choices = {}
  for i in range(2):
    choices |= stage(i, repeats=1, width=8, cell=0, stride=2)
  with pytest.raises(ValueError, match='stage1/stride=2'):
    encode(table, choices)


def test_the_first_stage_cannot_be_empty():
  with pytest.raises(ValueError, match='stage0/repeats=0'):
    encode(compile_table(SPACE), stage(0, repeats=0))


def test_every_network_fits_images_of_any_size():
  space = Joint()
  table, rng = compile_table(space), np.random.default_rng(0)
  for _ in range(300):
    architecture = decode(space, sample_uniform(table, rng))
    for shape in ((28, 28, 1), (32, 32, 3), (1, 1, 1)):
      assert infer_shapes(architecture, TaskShape(shape, 10))[-1] == (10,)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'max_stages': 0}, 'max_stages=0'),
    ({'max_repeats': 0}, 'max_repeats=0'),
    ({'cells': 0}, 'cells=0'),
    ({'blocks': 0}, 'blocks=0'),
    ({'max_strides': -1}, 'max_strides=-1'),
    ({'widths': ()}, r'widths=\(\)'),
    ({'widths': (8, 8)}, r'widths=\(8, 8\)'),
    ({'operations': ()}, r'operations=\(\)'),
    ({'operations': ('transformer',)}, 'transformer'),
    ({'operations': ('identity', 'identity')}, 'distinct'),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    Joint(**options)
