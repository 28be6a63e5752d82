import numpy as np
import pytest

from rlnas.architecture import TaskShape, infer_shapes
from rlnas.cost.cost import estimate_cost
from rlnas.data.scaling import UNSCALED
from rlnas.evaluation.untrained import convert_untrained, noise
from rlnas.spaces import Temporal
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, encode, sample_uniform
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_logits, tflm_logits
from rlnas.tflite.inspection import measure as inspected

MOTION, SPEECH = TaskShape((1, 128, 6), 6), TaskShape((1, 49, 10), 12)
CHOICES = {
  'layer0/mix': 'at once',
  'layer0/kernel': 9,
  'layer0/filters': 8,
  'layer0/stride': 2,
  'kernel': 5,
  'layer1/op': 'conv',
  'layer1/filters': 8,
  'layer1/stride': 1,
  'layer1/dilation': 4,
  'layer1/skip': 'layer0',
  'layer1/join': 'add',
  'layer2/op': 'max_pool',
  'layer2/window': 3,
  'layer3/op': 'separable_conv',
  'layer3/filters': 16,
  'layer3/stride': 2,
  'layer3/skip': 'layer1',
  'layer3/join': 'add',
  'layer4/op': 'separable_conv',
  'layer4/filters': 4,
  'layer4/stride': 1,
  'layer4/dilation': 2,
  'layer4/skip': 'layer0',
  'layer4/join': 'concat',
  'layer5/op': 'stop',
}


def network(choices, **options):
  return decode(Temporal(**options), encode(compile_table(Temporal(**options)), choices))


def closed_form(depth: int) -> int:
  """Walks of the default options if the time may be halved in every layer."""
  tails = 1
  for i in range(depth - 1, 0, -1):
    skips = 1 + 2 * i  # none, or an earlier layer in one of two ways
    convolutions, poolings = 2 * 4 * (1 + 3) * skips, 2 * 2  # with stride 2, or a dilation
    tails = 1 + (convolutions + poolings) * tails
  return 2 * 3 * 4 * 3 * tails * (2 if depth > 1 else 1)


@pytest.mark.parametrize('depth', [1, 2, 4, 6])
def test_size_has_its_closed_form(depth):
  space = Temporal(max_depth=depth, max_halvings=1 + depth)
  assert compile_table(space).size == closed_form(depth)


def test_the_default_has_some_1e13_networks():
  assert 1e13 < compile_table(Temporal()).size < 1e14


def test_a_described_network_is_built_as_described():
  architecture = network(CHOICES)
  assert [(n.op, n.inputs) for n in architecture.nodes] == [
    ('input', ()),
    ('conv', (0,)),
    ('dilated_conv', (1,)),
    ('add', (1, 2)),
    ('relu', (3,)),
    ('max_pool', (4,)),
    ('depthwise_conv', (5,)),
    ('conv', (6,)),
    ('conv', (4,)),  # from layer 1 to the time and channels of layer 3
    ('add', (7, 8)),
    ('relu', (9,)),
    ('dilated_depthwise_conv', (10,)),
    ('conv', (11,)),
    ('max_pool', (1,)),  # from layer 0 to the time of layer 4
    ('concat', (12, 13)),
    ('global_avg_pool', (14,)),
    ('classifier', (15,)),
  ]
  assert (architecture.nodes[2]['dilation'], architecture.nodes[11]['dilation']) == (4, 2)
  assert architecture.nodes[8]['stride'] == architecture.nodes[13]['kernel_width'] == 4
  shapes = infer_shapes(architecture, MOTION)
  assert shapes[1:5] == ((1, 64, 8),) * 4
  assert shapes[5:9] == ((1, 32, 8), (1, 16, 8), (1, 16, 16), (1, 16, 16))
  assert shapes[12:15] == ((1, 16, 4), (1, 16, 8), (1, 16, 12))


def test_every_window_lies_in_one_row():
  table, rng = compile_table(Temporal()), np.random.default_rng(0)
  for _ in range(100):
    nodes = decode(table.space, sample_uniform(table, rng)).nodes
    heights = [dict(n.attributes).get('kernel_height', 1) for n in nodes]
    assert set(heights) == {1}


def test_features_meet_at_once_or_after_a_filter_each():
  first = {name: choice for name, choice in CHOICES.items() if name.startswith('layer0/')}
  mixed = network(first, max_depth=1)
  filtered = network({**first, 'layer0/mix': 'filtered first'}, max_depth=1)
  assert [n.op for n in mixed.nodes[1:-2]] == ['conv']
  assert [n.op for n in filtered.nodes[1:-2]] == ['depthwise_conv', 'conv']
  assert filtered.nodes[1]['activation'] == 'none'
  at_once, late = (estimate_cost(a, MOTION) for a in (mixed, filtered))
  assert at_once.macs == 64 * 9 * 6 * 8 + 8 * 6
  assert late.macs == 64 * (9 * 6 + 6 * 8) + 8 * 6


def test_halvings_run_out():
  assert encode(compile_table(Temporal(max_halvings=3)), CHOICES)
  for halvings, where in ((2, 'layer3/stride=2'), (1, "layer2/op='max_pool'")):
    with pytest.raises(ValueError, match=where):
      encode(compile_table(Temporal(max_halvings=halvings)), CHOICES)
  with pytest.raises(ValueError, match='layer0/stride=2'):
    encode(compile_table(Temporal(max_halvings=0)), CHOICES)


def test_each_layer_has_one_anchor_and_skips_point_at_the_earlier_ones():
  table = compile_table(Temporal())
  written = {(table.names[s], table.anchors[a]) for s, a in enumerate(table.writes) if a >= 0}
  later = {(f'layer{i}/{what}', f'layer{i}') for i in range(1, 6) for what in ('window', 'skip')}
  assert written == {('layer0/stride', 'layer0'), *later}
  for state, name in enumerate(table.names):
    pointed = [table.anchors[a] if a >= 0 else 'none' for a in table.pointer[state]]
    if name.endswith('/skip'):
      assert pointed[: len(table.choices[state])] == list(table.choices[state])
      assert len(table.choices[state]) == 1 + int(name[5])
    else:
      assert set(pointed) == {'none'}


def test_without_joins_it_is_a_chain():
  space = Temporal(joins=())
  table, rng = compile_table(space), np.random.default_rng(0)
  for _ in range(50):
    nodes = decode(space, sample_uniform(table, rng)).nodes
    assert all(n.inputs == (i - 1,) for i, n in enumerate(nodes[1:], 1))


@pytest.mark.parametrize('task', [MOTION, SPEECH], ids=str)
def test_a_good_share_of_its_networks_fits_small_boards(task):
  """20 KiB, 64 KiB and 60,000 products are the limits of TinyTNAS for this kind of data."""
  table, rng = compile_table(Temporal()), np.random.default_rng(0)
  most_macs, most_sram = (60_000, 20 * 1024) if task is MOTION else (10**9, 32 * 1024)
  fitting = 0
  for _ in range(100):
    cost = estimate_cost(decode(table.space, sample_uniform(table, rng)), task)
    fits = cost.sram_bytes <= most_sram and cost.flash_bytes <= 64 * 1024
    fitting += fits and cost.macs <= most_macs
  assert fitting >= (10 if task is MOTION else 90)


@pytest.mark.slow
@pytest.mark.parametrize('frames', [1, pytest.param(3, marks=pytest.mark.nightly), 49])
def test_the_file_has_the_expected_operators_and_runs_alike(frames):
  """Dilations are in the convolutions: there is no SPACE_TO_BATCH_ND around them."""
  table, rng = compile_table(Temporal()), np.random.default_rng(frames)
  task = TaskShape((1, frames, 10), 12)
  kinds = {'CONV_2D', 'DEPTHWISE_CONV_2D', 'MAX_POOL_2D', 'AVERAGE_POOL_2D', 'ADD'}
  for seed in range(3):
    architecture = network(CHOICES) if not seed else decode(table.space, sample_uniform(table, rng))
    model = convert_untrained(architecture, task, seed=seed)
    found, cost = measure(model), estimate_cost(architecture, task)
    assert cost.arena_head_bytes == found.arena_head_bytes
    assert cost.arena_tail_bytes == found.arena_tail_bytes
    operators = {operator.kind for operator in inspected(model).operators}
    assert operators <= kinds | {'CONCATENATION', 'MEAN', 'FULLY_CONNECTED'}
    x = noise(task.input_shape, 10, seed)
    builtin, micro = (f(model, x, scaling=UNSCALED) for f in (int8_logits, tflm_logits))
    assert np.abs(builtin.astype(int) - micro).max() <= 3  # of 200 networks the most


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'max_depth': 0}, 'max_depth=0'),
    ({'max_halvings': -1}, 'max_halvings=-1'),
    ({'operations': ('conv', 'lstm')}, 'lstm'),
    ({'operations': ('max_pool',)}, 'at least one of'),
    ({'joins': ('add', 'add')}, 'distinct'),
    ({'joins': ('multiply',)}, 'multiply'),
    ({'kernels': ()}, r'kernels=\(\)'),
    ({'first_kernels': (0,)}, r'first_kernels=\(0,\)'),
    ({'filters': (8, 8)}, r'filters=\(8, 8\)'),
    ({'dilations': (2, 4)}, r'dilations=\(2, 4\): must hold 1'),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    Temporal(**options)
