import numpy as np
import pytest

from rlnas.architecture import TaskShape, infer_shapes
from rlnas.spaces.decision import decode, walk
from rlnas.spaces.recurrent import Recurrent
from rlnas.spaces.table import compile_table, encode, sample_uniform

# Two leaves and one node, the example of the paper's figure 5.
EXAMPLE = ['add', 'tanh', 'multiply', 'relu', 'multiply', 'sigmoid', 'add', 'relu', 1, 0]

# The cell that the paper found, as TensorFlow Addons' NASCell has it: 8 leaves, 4, 2 and 1 nodes,
# the memory entering at node 8 and leaving at node 12.
FOUND = [
  *('add', 'sigmoid', 'add', 'relu', 'add', 'sigmoid', 'multiply', 'relu'),
  *('add', 'tanh', 'add', 'sigmoid', 'add', 'tanh', 'add', 'sigmoid'),
  *('multiply', 'tanh', 'add', 'tanh', 'multiply', 'tanh', 'add', 'sigmoid'),
  *('multiply', 'identity', 'add', 'tanh'),
  *('multiply', 'tanh'),
  *('add', 'tanh', 12, 8),
]  # fmt: skip


def build(space: Recurrent, sequence: list):
  """Builds the cell that a sequence of choices, in the order of the paper, describes."""
  remaining = iter(sequence)
  _, tokens, architecture = walk(space, lambda d: d.choices.index(next(remaining)))
  assert len(tokens) == len(sequence)
  return architecture


def plus(*terms: str) -> str:
  return f'({" + ".join(sorted(terms))})'


def times(*factors: str) -> str:
  return f'({" * ".join(sorted(factors))})'


def expression(architecture, index=-1) -> str:
  """A node as nested text, by default the last one."""
  node = architecture.nodes[index]
  if node.op == 'frames':
    return f'x{node["first"] // node["count"]}'
  inputs = [expression(architecture, i) for i in node.inputs]
  if node.op in ('add', 'multiply'):
    return (plus if node.op == 'add' else times)(*inputs)
  return f'W{node["weights"]} {inputs[0]}' if node.op == 'dense' else f'{node.op}({inputs[0]})'


def relu(v):
  return np.maximum(v, 0)


def sigmoid(v):
  return 1 / (1 + np.exp(-v))


def evaluate(architecture, x, weights, classifier):
  """Runs an architecture in NumPy, dense layers without bias."""
  act = {'tanh': np.tanh, 'relu': relu, 'sigmoid': sigmoid}
  values = []
  for node in architecture.nodes:
    inputs = [values[i] for i in node.inputs]
    if node.op == 'input':
      values.append(x)
    elif node.op == 'frames':
      values.append(inputs[0][node['first'] : node['first'] + node['count']].ravel())
    elif node.op == 'dense':
      values.append(weights[node['weights']] @ inputs[0])
    elif node.op == 'classifier':
      values.append(classifier @ inputs[0])
    elif node.op in act:
      values.append(act[node.op](inputs[0]))
    else:
      values.append(inputs[0] + inputs[1] if node.op == 'add' else inputs[0] * inputs[1])
  return values[-1]


def nas_cell(x, h, c, w):
  """One step of the cell found by the paper, written out; w[1] to w[16] are the leaves' weights."""

  p = [w[2 * k + 1] @ x for k in range(8)]
  q = [w[2 * k + 2] @ h for k in range(8)]
  second = [
    np.tanh(np.tanh(sigmoid(p[0] + q[0]) * relu(p[1] + q[1])) + c),
    np.tanh(sigmoid(p[2] + q[2]) + relu(p[3] * q[3])),
    np.tanh(np.tanh(p[4] + q[4]) * sigmoid(p[5] + q[5])),
    sigmoid(np.tanh(p[6] + q[6]) + sigmoid(p[7] + q[7])),
  ]
  memory = second[0] * second[1]
  return np.tanh(memory * np.tanh(second[2] + second[3])), memory


@pytest.mark.parametrize('base', [1, 2, 3, 8])
def test_size_has_its_closed_form(base):
  """Section 4.2: about 6 * 10^16 cells of base 8."""
  nodes = 2 * base - 1
  size = compile_table(Recurrent(base=base)).size
  assert size == 8**nodes * 8 * nodes**2
  if base == 8:
    assert round(size / 1e16) == 6


def test_the_example_of_figure_5():
  space = Recurrent(base=2, steps=2, frames_per_step=1)
  h = c = 'tanh(W5 x0)'
  for x in ('x0', 'x1'):
    a0 = f'tanh({plus(f"W1 {x}", f"W2 {h}")})'
    a1 = times(f'W3 {x}', f'W4 {h}')
    h = f'sigmoid({times(f"relu({plus(a0, c)})", f"relu({a1})")})'
    c = a1  # before its activation
  assert expression(build(space, EXAMPLE)) == f'classifier({h})'


def test_the_cell_that_the_paper_found():
  """The unrolled graph computes what the published cell computes."""
  space = Recurrent(base=8, units=5, steps=3, frames_per_step=2)
  rng = np.random.default_rng(0)
  x = rng.normal(size=(7, 4))  # the seventh frame is left over
  weights = {k: rng.normal(size=(5, 8 if k % 2 else 5)) for k in range(1, 18)}
  classifier = rng.normal(size=(10, 5))
  h = c = np.tanh(weights[17] @ x[:2].ravel())
  for t in range(3):
    h, c = nas_cell(x[2 * t : 2 * t + 2].ravel(), h, c, weights)
  built = build(space, FOUND)
  assert infer_shapes(built, TaskShape((7, 4), 10))[-1] == (10,)
  np.testing.assert_allclose(evaluate(built, x, weights, classifier), classifier @ h, rtol=1e-12)


def test_a_memory_can_add_up():
  """Where one index both reads and sets the memory, c_t is the injected sum, not activated."""
  space = Recurrent(base=1, steps=3, frames_per_step=1)
  h = c = 'tanh(W3 x0)'
  for x in ('x0', 'x1', 'x2'):
    c = plus(plus(f'W1 {x}', f'W2 {h}'), c)
    h = f'tanh({c})'
  assert expression(build(space, ['add', 'identity', 'add', 'tanh', 0, 0])) == f'classifier({h})'


def test_an_odd_base_is_a_tree_too():
  """Node 3 merges the leaves 0 and 1, node 4 leaf 2 and node 3."""
  space = Recurrent(base=3, steps=1, frames_per_step=1)
  h = 'tanh(W7 x0)'
  leaf = [plus(f'W{2 * k + 1} x0', f'W{2 * k + 2} {h}') for k in range(3)]
  top = plus(times(leaf[2], h), plus(leaf[0], leaf[1]))
  sequence = ['add', 'identity'] * 5 + ['multiply', 'identity', 4, 2]
  assert expression(build(space, sequence)) == f'classifier({top})'


def test_steps_share_their_weights_and_the_last_memory_is_pruned():
  space = Recurrent(base=2, units=6, steps=4, frames_per_step=3)
  nodes = build(space, EXAMPLE).nodes
  dense = [n for n in nodes if n.op == 'dense']
  assert sorted(n['weights'] for n in dense) == sorted([1, 2, 3, 4] * 4 + [5])
  assert sorted(n['first'] for n in nodes if n.op == 'frames') == [0, 3, 6, 9]
  write_top = build(space, [*EXAMPLE[:-2], 2, 2]).nodes
  assert len(write_top) == len(nodes)  # c of the last step takes no node of its own


def test_every_cell_fits_sequences():
  space = Recurrent()
  table, rng = compile_table(space), np.random.default_rng(0)
  for _ in range(300):
    architecture = decode(space, sample_uniform(table, rng))
    for shape in ((49, 10), (60, 1)):
      shapes = infer_shapes(architecture, TaskShape(shape, 12))
      assert shapes[-2:] == ((24,), (12,))


def test_a_sequence_that_is_too_short_is_refused():
  space = Recurrent(steps=7, frames_per_step=7)
  architecture = decode(space, sample_uniform(compile_table(space), np.random.default_rng(0)))
  with pytest.raises(ValueError, match='frames from 42'):
    infer_shapes(architecture, TaskShape((48, 10), 12))


def test_indices_lie_within_the_tree():
  table = compile_table(Recurrent(base=1))
  choices = {'node0/combination': 'add', 'node0/activation': 'tanh'}
  choices |= {'inject/combination': 'add', 'inject/activation': 'tanh'}
  assert encode(table, choices | {'index/write': 0, 'index/read': 0})
  with pytest.raises(ValueError, match='index/write=1'):
    encode(table, choices | {'index/write': 1, 'index/read': 0})


@pytest.mark.parametrize('name', ['base', 'units', 'steps', 'frames_per_step'])
def test_bad_options_are_named(name):
  with pytest.raises(ValueError, match=f'{name}=0'):
    Recurrent(**{name: 0})


def frames_read(space: Recurrent) -> list[tuple[int, int]]:
  """First frame and the one after the last of each piece, from the first piece on."""
  architecture = decode(space, sample_uniform(compile_table(space), np.random.default_rng(0)))
  nodes = [n for n in architecture.nodes if n.op == 'frames']
  return sorted((n['first'], n['first'] + n['count']) for n in nodes)


@pytest.mark.parametrize('steps', [1, 2, 3, 7])
def test_the_whole_sequence_is_read(steps):
  for frames in (*range(steps, 60), 128, 1000):
    pieces = frames_read(Recurrent(base=1, units=1, steps=steps, frames=frames))
    assert len(pieces) == steps
    assert {frame for first, end in pieces for frame in range(first, end)} == set(range(frames))
    assert {end - first for first, end in pieces} == {-(-frames // steps)}


def test_pieces_of_a_given_size_follow_one_another():
  assert frames_read(Recurrent(steps=3, frames_per_step=4)) == [(0, 4), (4, 8), (8, 12)]
  tokens = sample_uniform(compile_table(Recurrent()), np.random.default_rng(1))
  assert decode(Recurrent(), tokens) == decode(Recurrent(frames_per_step=7), tokens)
  assert decode(Recurrent(frames=28), tokens) == decode(Recurrent(frames_per_step=4), tokens)


def test_a_sequence_shorter_than_the_steps_is_refused():
  with pytest.raises(ValueError, match='frames=6: must be at least steps=7'):
    Recurrent(frames=6)
