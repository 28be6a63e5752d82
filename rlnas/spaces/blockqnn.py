"""Blocks written as a Network Structure Code, stacked (Zhong et al. 2018, BlockQNN, section 3.1).

A block is a list of layers, each a vector of five numbers (table 1): its index, its type, the side
of its kernel and the indices of one or two predecessors, where 0 is the input of the block. A
'terminal' ends the list. The layers without a successor are concatenated to the block's output.
The network repeats one block, with pooling in between.

Differences from the paper, to suit microcontrollers:

- The paper's convolution is pre-activated (ReLU, convolution, batch normalisation). Here the ReLU
  comes last: an int8 convolution then includes it, whereas a ReLU in front needs an operator and a
  tensor of its own.
- The paper passes the concatenated output on unchanged. Here a 1x1 convolution reduces it to the
  block's filters, since otherwise the widths multiply from block to block.
- If terms of a sum differ in channels, 1x1 convolutions bring them to the block's filters.
- Pooling with a window of one pixel (in table 1) is the identity, so it needs no operator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence

from rlnas.architecture import Architecture, Graph, Scalar
from rlnas.spaces import layers
from rlnas.spaces.decision import Decision, Walk

# The types of table 1, in its order. Those in KERNELS have a window, with these sides.
KERNELS = {'conv': (1, 3, 5), 'max_pool': (1, 3), 'avg_pool': (1, 3)}
BINARY = ('add', 'concat')
TYPES = (*KERNELS, 'identity', *BINARY, 'terminal')


@dataclasses.dataclass(frozen=True)
class BlockQNN:
  """The space of blocks.

  Predecessors are plain indices, as in the paper, not anchors. The first layer of a block cannot
  be 'terminal', so no block is empty.

  Attributes:
    max_layers: largest number of layers of a block, without the terminal.
    filters: output channels of the convolutions of each stage; 2x2 max pooling separates the
      stages. The paper doubles the filters with every pooling.
    repeats: number of blocks in each stage.
    stem_stride: stride of the 3x3 convolution before the first block, 1 or 2; 2 makes every tensor
      of the first stage, the largest of the network, four times smaller.

  Raises:
    ValueError: an option is out of its range.
  """

  max_layers: int = 6
  filters: tuple[int, ...] = (16, 32)
  repeats: int = 1
  stem_stride: int = 2

  def __post_init__(self) -> None:
    for name in ('max_layers', 'repeats'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: must be at least 1')
    if not self.filters or min(self.filters) < 1:
      raise ValueError(f'filters={self.filters}: must be positive integers, at least one')
    if self.stem_stride not in (1, 2):
      raise ValueError(f'stem_stride={self.stem_stride}: must be 1 or 2')

  @classmethod
  def paper(cls) -> BlockQNN:
    """The paper's limits for CIFAR: at most 23 indices, the last of them for the terminal."""
    return cls(max_layers=22, filters=(32, 64, 128), repeats=4, stem_stride=1)

  def __call__(self) -> Walk[Architecture]:
    code: list[_Layer] = []
    for index in range(1, self.max_layers + 1):
      layer = yield from _walk_layer(index)
      if layer is None:
        break
      code.append(layer)
    return self._network(code)

  def _network(self, code: Sequence[_Layer]) -> Architecture:
    graph, width = Graph(), self.filters[0]
    stem = layers.conv(graph, Graph.input, filters=width, kernel=3, stride=self.stem_stride)
    x = _Value(stem, width)
    for stage, filters in enumerate(self.filters):
      if stage:
        x = _Value(layers.pool(graph, x.node, kind='max', kernel=2, stride=2), x.channels)
      for _ in range(self.repeats):
        x = _block(graph, x, code, filters)
    return graph.finish(graph.classify(x.node))


@dataclasses.dataclass(frozen=True)
class _Layer:
  """One vector of the code, without its index; `kernel` is 0 if the type has no window."""

  op: str
  kernel: int
  predecessors: tuple[int, ...]


def _walk_layer(index: int) -> Generator[Decision, Scalar, _Layer | None]:
  """The decisions of one layer; returns None if it is the terminal."""
  at = f'layer{index}/'
  op = str((yield Decision(at + 'type', 'type', TYPES if index > 1 else TYPES[:-1])))
  if op == 'terminal':
    return None
  kernel: Scalar = 0
  if op in KERNELS:
    kernel = yield Decision(at + 'kernel', 'kernel', KERNELS[op], (op,))
  before = tuple(range(index))
  first = yield Decision(at + 'predecessor1', 'predecessor', before, (op in BINARY,))
  if op not in BINARY:
    return _Layer(op, int(kernel), (int(first),))
  second = yield Decision(at + 'predecessor2', 'predecessor', before)
  return _Layer(op, 0, (int(first), int(second)))


@dataclasses.dataclass(frozen=True)
class _Value:
  """A node of the graph and the channels of its map."""

  node: int
  channels: int


def _block(graph: Graph, x: _Value, code: Sequence[_Layer], filters: int) -> _Value:
  maps = [x]
  for layer in code:
    inputs = [maps[i] for i in layer.predecessors]
    maps.append(_apply(graph, layer, inputs, filters))
  read = {i for layer in code for i in layer.predecessors}
  ends = [maps[i] for i in range(1, len(maps)) if i not in read]
  return _of_width(graph, ends[0] if len(ends) == 1 else _concat(graph, ends), filters)


def _apply(graph: Graph, layer: _Layer, inputs: Sequence[_Value], filters: int) -> _Value:
  x = inputs[0]
  if layer.op == 'conv':
    return _Value(layers.conv(graph, x.node, filters=filters, kernel=layer.kernel), filters)
  if layer.op == 'add':
    return _add(graph, inputs, filters)
  if layer.op == 'concat':
    return _concat(graph, inputs)
  if layer.op == 'identity' or layer.kernel == 1:
    return x
  kind = layer.op.removesuffix('_pool')
  return _Value(layers.pool(graph, x.node, kind=kind, kernel=layer.kernel, stride=1), x.channels)


def _add(graph: Graph, terms: Sequence[_Value], filters: int) -> _Value:
  if len({term.channels for term in terms}) > 1:
    terms = [_of_width(graph, term, filters) for term in terms]
  return _Value(graph.add('add', *(term.node for term in terms)), terms[0].channels)


def _concat(graph: Graph, parts: Sequence[_Value]) -> _Value:
  node = graph.add('concat', *(part.node for part in parts))
  return _Value(node, sum(part.channels for part in parts))


def _of_width(graph: Graph, x: _Value, filters: int) -> _Value:
  """`x` itself if it has `filters` channels, else a 1x1 convolution of it."""
  if x.channels == filters:
    return x
  return _Value(layers.conv(graph, x.node, filters=filters, kernel=1), filters)
