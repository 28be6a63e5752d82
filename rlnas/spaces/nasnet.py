"""The NASNet space: searched cells, stacked to networks of any size (Zoph et al. 2018).

Two cells are chosen (section 3.1): a normal cell, which keeps the size of its map, and a reduction
cell, which halves it. A cell reads the outputs of the two cells before it, h_i and h_{i-1}, and
is built of B blocks, each of five choices: two hidden states (an output of those two cells or of an
earlier block), an operation for each, and how to combine the results. The network is

  stem, N normal cells, reduction, N normal cells, reduction, N normal cells, classifier

with the number of filters F doubled at each reduction. N and F are not decisions, so the tokens of
a small network also describe a larger one of the same cells: `NASNet.transfer` (section 4).

Details that the text leaves open follow the authors' code (tensorflow/models, nasnet_utils.py): the
first cell reads the stem twice, a strided identity is a strided 1x1 convolution, the parts of a
separable convolution have no activation between them, and 1x1 convolutions are used only to match
channels or sizes, so the result of a 'concat' keeps its channels until it is read. Two differences
from that code: batch normalisation and ReLU follow a convolution (there ReLU comes first), so both
fuse with it on a microcontroller; and a strided 1x1 convolution halves a map from two cells back
(there, two shifted halves do).
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


# The operations that a block can apply to a hidden state, each as a sequence of steps.
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

# For microcontrollers: every node costs flash (a convolution about half a kilobyte in addition
# to its weights), so separable convolutions are applied once and windows are small.
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
    operations: name of the operation on each input.
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
  """Yields the decisions of one cell and returns the cell; for `yield from` in a space.

  Args:
    tag: name of the cell, the first part of the names of its decisions and anchors.
    blocks: number of blocks.
    operations: operations to choose from, names of `OPERATIONS`.
  """
  for k in (0, 1):  # decisions with one choice, which write the anchors of the inputs
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

  1x1 convolutions bring both inputs to one size and to `filters` channels, if they differ. Outputs
  of blocks that no block reads are concatenated in depth (section 3.1, end).

  Args:
    graph: the graph to add nodes to.
    cell: the blocks of the cell.
    inputs: h_i and h_{i-1}; the latter has the same size or is larger.
    filters: channels of each operation's result.
    stride: 1, or 2 for a reduction cell, whose operations on the cell's inputs have stride 2.
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
  """Brings a state to `filters` channels and stride `size`, by a 1x1 convolution if they differ."""
  if state.channels == filters and state.map.stride == size:
    return state
  stride = size // state.map.stride
  node = layers.conv(graph, state.map.node, filters=filters, kernel=1, stride=stride)
  return HiddenState(layers.Map(node, size), filters)


def _operate(
  graph: Graph, state: HiddenState, steps: Sequence[Step], filters: int, stride: int
) -> HiddenState:
  """Applies an operation, with the stride in its first step, to give `filters` channels."""
  size = state.map.stride * stride
  if not steps or steps[0].op == 'dilated_conv':  # no stride: a 1x1 convolution has it
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
  """Adds states of equal channels ('add'), or concatenates states in depth ('concat')."""
  node = graph.add(how, *(s.map.node for s in states))
  channels = states[0].channels if how == 'add' else sum(s.channels for s in states)
  return HiddenState(layers.Map(node, states[0].map.stride), channels)


@dataclasses.dataclass(frozen=True)
class NASNet:
  """The space of pairs of cells. Its defaults suit microcontrollers.

  The paper has B = 5. With F = 6 and 28x28x1 images the median network takes 68 KB of flash with
  three blocks and 91 KB with four (`rlnas.cost.cost`): even the smallest stack has five cells, and
  each convolution costs half a kilobyte in addition to its weights.

  Attributes:
    blocks: number of blocks of each cell, B.
    operations: operations that a block can apply, names of `rlnas.spaces.nasnet.OPERATIONS`.
    repeats: number of normal cells before, between and after the two reduction cells, N.
    filters: number of channels within the first cells, F; it doubles at each reduction.
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
    """B = 5 and thirteen operations (section 3); N and F of NASNet-A (6 @ 768) on CIFAR-10."""
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

  def __call__(self) -> Walk[Architecture]:
    normal = yield from walk_cell('normal', blocks=self.blocks, operations=self.operations)
    reduction = yield from walk_cell('reduction', blocks=self.blocks, operations=self.operations)
    return self._stack(normal, reduction)

  def transfer(
    self, tokens: Sequence[int], *, repeats: int, filters: int, stem_stride: int | None = None
  ) -> Architecture:
    """Stacks the cells that `tokens` describe to a network of another size (section 4).

    Args:
      tokens: a token sequence of this space.
      repeats: N of the new stack.
      filters: F of the new stack.
      stem_stride: stride of the new stack's stem; by default that of this space.

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
