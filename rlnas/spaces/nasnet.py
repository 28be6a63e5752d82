"""The NASNet space: cells found once, stacked as often as wished (Zoph et al. 2018).

Two cells are chosen (section 3.1): a normal cell, which keeps the size of its map, and a reduction
cell, which halves it. A cell reads the outputs of the two cells before it, h_i and h_{i-1}, and
is built of B blocks, each of five choices: two hidden states (an output of those two cells or of an
earlier block), an operation for each, and how to combine the results. The network is

  stem, N normal cells, reduction, N normal cells, reduction, N normal cells, classifier

with the number of filters F doubled at each reduction. N and F are no decisions, so the tokens of
a small network describe a larger one of the same cells: `NASNet.transfer` (section 4).

What the text leaves open follows the authors' code (tensorflow/models, nasnet_utils.py): the first
cell reads the stem twice, a strided identity is a strided 1x1 convolution, the two halves of a
separable convolution have no activation between them, and 1x1 convolutions stand only where
channels or sizes must be matched, so what 'concat' gives keeps its channels until it is read. Two
differences: batch normalisation and ReLU follow a convolution (there ReLU comes first), so that
both fuse with it on a microcontroller; and a map from two cells back is halved by a strided 1x1
convolution instead of two shifted halves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence

from rlnas.architecture import Architecture, Graph, Scalar
from rlnas.spaces import layers
from rlnas.spaces.decision import Decision, Walk, decode


@dataclasses.dataclass(frozen=True)
class Step:
  """One node of an operation: what it does, and the height and width of its window."""

  op: str
  height: int
  width: int


def _separable(side: int) -> tuple[Step, ...]:
  return (Step('depthwise_conv', side, side), Step('conv', 1, 1))


# What a block can apply to a hidden state, as steps one after the other.
OPERATIONS: Mapping[str, tuple[Step, ...]] = {
  'identity': (),
  'conv_1x1': (Step('conv', 1, 1),),
  'conv_3x3': (Step('conv', 3, 3),),
  'conv_1x3_3x1': (Step('conv', 1, 3), Step('conv', 3, 1)),
  'conv_1x7_7x1': (Step('conv', 1, 7), Step('conv', 7, 1)),
  'dilated_conv_3x3': (Step('dilated_conv', 3, 3),),
  'separable_conv_3x3': _separable(3),
  'separable_conv_5x5': _separable(5),
  'twice_separable_conv_3x3': 2 * _separable(3),
  'twice_separable_conv_5x5': 2 * _separable(5),
  'twice_separable_conv_7x7': 2 * _separable(7),
  'avg_pool_3x3': (Step('avg_pool', 3, 3),),
  'max_pool_3x3': (Step('max_pool', 3, 3),),
  'max_pool_5x5': (Step('max_pool', 5, 5),),
  'max_pool_7x7': (Step('max_pool', 7, 7),),
}

# The thirteen of section 3.1; the paper applies separable convolutions twice (appendix).
PAPER_OPERATIONS = (
  'identity',
  'conv_1x3_3x1',
  'conv_1x7_7x1',
  'dilated_conv_3x3',
  'avg_pool_3x3',
  'max_pool_3x3',
  'max_pool_5x5',
  'max_pool_7x7',
  'conv_1x1',
  'conv_3x3',
  'twice_separable_conv_3x3',
  'twice_separable_conv_5x5',
  'twice_separable_conv_7x7',
)

# For microcontrollers: every node costs flash (about half a kilobyte a convolution, beside its
# weights), so separable convolutions are applied once and windows are small.
MICRO_OPERATIONS = (
  'identity',
  'conv_1x1',
  'conv_3x3',
  'separable_conv_3x3',
  'separable_conv_5x5',
  'avg_pool_3x3',
  'max_pool_3x3',
)


@dataclasses.dataclass(frozen=True)
class Block:
  """The five choices of a block.

  Attributes:
    inputs: hidden states: 0 is h_i, the cell before; 1 is h_{i-1}, the cell before that; 2 + b is
      the output of block b.
    operations: names of what is applied to each input.
    combine: 'add' or 'concat'.
  """

  inputs: tuple[int, int]
  operations: tuple[str, str]
  combine: str


Cell = tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class HiddenState:
  """A map within a stack of cells, and how many channels it has."""

  map: layers.Map
  channels: int


def walk_cell(
  tag: str, *, blocks: int, operations: Sequence[str]
) -> Generator[Decision, Scalar, Cell]:
  """The decisions of one cell; a space of cells runs it by `yield from`.

  Args:
    tag: name of the cell, first part of the names of its decisions and anchors.
    blocks: number of blocks.
    operations: names of `OPERATIONS`.
  """
  for k in (0, 1):  # decisions without alternative: they write the anchors of the cell's inputs
    yield Decision(f'{tag}/begin{k}', 'begin', (tag,), anchor=f'{tag}/{k}')
  cell = []
  for b in range(blocks):
    at, states = f'{tag}/block{b}/', tuple(range(b + 2))
    anchors = tuple(f'{tag}/{k}' for k in states)
    first = yield Decision(at + 'input0', 'input', states, points_to=anchors)
    second = yield Decision(at + 'input1', 'input', states, points_to=anchors)
    op0 = yield Decision(at + 'op0', 'cell_op', tuple(operations))
    op1 = yield Decision(at + 'op1', 'cell_op', tuple(operations))
    combine = yield Decision(at + 'combine', 'combine', ('add', 'concat'), anchor=f'{tag}/{b + 2}')
    cell.append(Block((int(first), int(second)), (str(op0), str(op1)), str(combine)))
  return tuple(cell)


def apply_cell(
  graph: Graph, cell: Cell, inputs: tuple[HiddenState, HiddenState], *, filters: int, stride: int
) -> HiddenState:
  """Adds a cell to a graph.

  Both inputs are brought to one size and `filters` channels, where they are not yet, by a 1x1
  convolution. Outputs of blocks that no block reads are concatenated in depth (section 3.1, end).

  Args:
    graph: to which the nodes are added.
    cell: what the cell is.
    inputs: h_i and h_{i-1}, the latter of the same size or larger.
    filters: channels of each operation's result.
    stride: 1, or 2 for a reduction cell, whose operations have stride 2 where they read an input.
  """
  size = inputs[0].map.stride
  states = [_match(graph, s, filters, size) for s in inputs]
  for block in cell:
    terms = [
      _operate(graph, states[i], OPERATIONS[op], filters, stride if i < len(inputs) else 1)
      for i, op in zip(block.inputs, block.operations, strict=True)
    ]
    states.append(_combine(graph, block.combine, terms))
  read = {i for block in cell for i in block.inputs}
  loose = [s for i, s in enumerate(states) if i >= len(inputs) and i not in read]
  return loose[0] if len(loose) == 1 else _combine(graph, 'concat', loose)


def _match(graph: Graph, state: HiddenState, filters: int, size: int) -> HiddenState:
  """A 1x1 convolution to `filters` channels and stride `size`, where the state is otherwise."""
  if state.channels == filters and state.map.stride == size:
    return state
  stride = size // state.map.stride
  node = layers.conv(graph, state.map.node, filters=filters, kernel=1, stride=stride)
  return HiddenState(layers.Map(node, size), filters)


def _operate(
  graph: Graph, state: HiddenState, steps: Sequence[Step], filters: int, stride: int
) -> HiddenState:
  """One operation, its stride in the first step; the result has `filters` channels."""
  size = state.map.stride * stride
  if not steps or steps[0].op == 'dilated_conv':  # they cannot stride: a 1x1 convolution does
    state = _match(graph, state, filters, size)
    stride = 1
  node, channels = state.map.node, state.channels
  for step in steps:
    node = _add_step(graph, node, step, filters, stride)
    channels = filters if step.op in ('conv', 'dilated_conv') else channels
    stride = 1
  return _match(graph, HiddenState(layers.Map(node, size), channels), filters, size)


def _add_step(graph: Graph, x: int, step: Step, filters: int, stride: int) -> int:
  attributes: dict[str, Scalar] = {'kernel_height': step.height, 'kernel_width': step.width}
  if step.op in ('conv', 'dilated_conv'):
    attributes |= {'filters': filters, 'activation': 'relu'}
  if step.op == 'depthwise_conv':
    attributes['activation'] = 'none'
  if step.op == 'dilated_conv':
    attributes['dilation'] = 2
  else:
    attributes['stride'] = stride
  return graph.add(step.op, x, **attributes)


def _combine(graph: Graph, how: str, states: Sequence[HiddenState]) -> HiddenState:
  """The sum of states of equal channels, or their concatenation in depth."""
  node = graph.add(how, *(s.map.node for s in states))
  channels = states[0].channels if how == 'add' else sum(s.channels for s in states)
  return HiddenState(layers.Map(node, states[0].map.stride), channels)


@dataclasses.dataclass(frozen=True)
class NASNet:
  """The space of pairs of cells. Its defaults suit microcontrollers.

  The paper has B = 5. At F = 6 and 28x28x1 images three blocks take 68 KB of flash in the median,
  four 91 KB (by `rlnas.cost.cost`): the cells stand five times in even the smallest stack, and
  each convolution costs half a kilobyte beside its weights.

  Attributes:
    blocks: B, blocks of a cell.
    operations: what a block can apply, names of `OPERATIONS`.
    repeats: N, normal cells before, between and after the two reduction cells.
    filters: F, channels within the first cells.
    stem_stride: stride of the 3x3 convolution before the first cell.

  Raises:
    ValueError: an option is out of its range.
  """

  blocks: int = 3
  operations: tuple[str, ...] = MICRO_OPERATIONS
  repeats: int = 1
  filters: int = 6
  stem_stride: int = 2

  @classmethod
  def paper(cls, *, repeats: int = 6, filters: int = 32) -> NASNet:
    """B = 5 and thirteen operations (section 3); N and F as of NASNet-A (6 @ 768) on CIFAR-10."""
    return cls(
      blocks=5, operations=PAPER_OPERATIONS, repeats=repeats, filters=filters, stem_stride=1
    )

  def __post_init__(self) -> None:
    for name in ('blocks', 'repeats', 'filters', 'stem_stride'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: must be at least 1')
    if (
      not self.operations
      or not set(self.operations) <= set(OPERATIONS)
      or len(set(self.operations)) < len(self.operations)
    ):
      raise ValueError(
        f'operations={self.operations}: must be distinct, taken from {tuple(OPERATIONS)}'
      )

  def __call__(self) -> Walk:
    normal = yield from walk_cell('normal', blocks=self.blocks, operations=self.operations)
    reduction = yield from walk_cell('reduction', blocks=self.blocks, operations=self.operations)
    return self._stack(normal, reduction)

  def transfer(
    self, tokens: Sequence[int], *, repeats: int, filters: int, stem_stride: int | None = None
  ) -> Architecture:
    """The cells that `tokens` describe in a stack of another size (section 4).

    Args:
      tokens: of this space.
      repeats: N of the new stack.
      filters: F of the new stack.
      stem_stride: of the new stack; as here where not given.

    Raises:
      ValueError: the tokens are not of this space, or an option is out of its range.
    """
    stem_stride = self.stem_stride if stem_stride is None else stem_stride
    larger = dataclasses.replace(self, repeats=repeats, filters=filters, stem_stride=stem_stride)
    return decode(larger, tokens)

  def _stack(self, normal: Cell, reduction: Cell) -> Architecture:
    graph = Graph()
    stem = layers.conv(graph, graph.input, filters=self.filters, kernel=3, stride=self.stem_stride)
    before = now = HiddenState(layers.Map(stem, self.stem_stride), self.filters)
    filters = self.filters
    for stage in range(3):
      if stage:
        filters *= 2
        before, now = now, apply_cell(graph, reduction, (now, before), filters=filters, stride=2)
      for _ in range(self.repeats):
        before, now = now, apply_cell(graph, normal, (now, before), filters=filters, stride=1)
    return graph.finish(graph.classify(now.map.node))
