import pytest

from rlnas.architecture import TaskShape, infer_shapes
from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, encode


def closed_form(depth: int, convolutions: int, poolings: int, kernels: int, filters: int):
  """Walks of a chain whose every layer may have stride 2 (strides never run out).

  A layer that is neither stop nor identity has convolutions * kernels * filters * 2 + poolings *
  kernels * 2 forms; `after(n)` counts the tails of at most n further layers.
  """
  conv = convolutions * kernels * filters * 2
  layer = conv + poolings * kernels * 2 + 1  # and identity

  def after(n: int) -> int:
    return 1 if n == 0 else 1 + layer * after(n - 1)

  return conv * after(depth - 1)


@pytest.mark.parametrize('depth', [1, 2, 5, 8])
def test_size_has_its_closed_form(depth):
  space = Chain(max_depth=depth, kernels=(1, 3, 5), filters=(8, 16), max_strides=depth)
  assert compile_table(space).size == closed_form(depth, 2, 2, 3, 2)


def test_a_described_network_is_built_as_described():
  table = compile_table(Chain())
  tokens = encode(
    table,
    {
      'layer0/op': 'conv',
      'layer0/kernel': 5,
      'layer0/filters': 8,
      'layer0/stride': 2,
      'layer1/op': 'max_pool',
      'layer1/kernel': 3,
      'layer1/stride': 2,
      'layer2/op': 'identity',
      'layer3/op': 'separable_conv',
      'layer3/kernel': 3,
      'layer3/filters': 24,
      'layer3/stride': 1,
      'layer4/op': 'stop',
    },
  )
  architecture = decode(table.space, tokens)
  assert [n.op for n in architecture.nodes] == [
    'input',
    'conv',
    'max_pool',
    'depthwise_conv',
    'conv',
    'global_avg_pool',
    'classifier',
  ]
  shapes = infer_shapes(architecture, TaskShape((28, 30, 3), 10))
  assert shapes[1:5] == ((14, 15, 8), (7, 8, 8), (7, 8, 8), (7, 8, 24))


def test_strides_run_out():
  table = compile_table(Chain(max_depth=6, max_strides=2))
  choices = {}
  for i in range(6):
    choices |= {f'layer{i}/op': 'conv', f'layer{i}/kernel': 3, f'layer{i}/filters': 8}
    choices[f'layer{i}/stride'] = 2 if i < 2 else 1
  assert encode(table, choices)
  with pytest.raises(ValueError, match=r"'layer2/stride'|layer2/stride=2"):
    encode(table, choices | {'layer2/stride': 2})


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'max_depth': 0}, 'max_depth=0'),
    ({'max_strides': -1}, 'max_strides=-1'),
    ({'operations': ('conv', 'transformer')}, 'transformer'),
    ({'operations': ('max_pool',)}, 'at least one of them'),
    ({'kernels': ()}, r'kernels=\(\)'),
    ({'filters': (8, 8)}, r'filters=\(8, 8\)'),
    ({'filters': (0,)}, r'filters=\(0,\)'),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    Chain(**options)
