"""Convolutional networks with skip connections (Zoph & Le 2016, sections 3.3 and 4.1).

Each layer is a convolution whose filter height, width, stride and number of filters are chosen one
after the other. Then its *anchor point* decides for every earlier layer, by one sigmoid each,
whether it is an input (set-selection attention between the anchors of the two layers):

  P(layer j is an input of layer i) = sigmoid(v' tanh(W_prev h_j + W_curr h_i))

Every combination of these bits is a network (section 3.3): a layer without input reads the image,
several inputs are concatenated in depth, and the outputs that no layer reads are concatenated
before the classifier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence

from rlnas.architecture import Architecture, Graph, Scalar
from rlnas.spaces import layers
from rlnas.spaces.decision import Decision, Walk

OPERATIONS = {
  'conv': layers.rectangular_conv,
  'separable_conv': layers.rectangular_separable_conv,
}
ALIGNMENTS = ('pad', 'pool')


@dataclasses.dataclass(frozen=True)
class Layer:
  """The choices of one layer; `inputs` are the earlier layers that it reads."""

  op: str
  height: int
  width: int
  stride: int
  filters: int
  inputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class MultiBranch:
  """The space of networks with skip connections. Its defaults suit microcontrollers.

  The paper starts with few layers and increases the depth during the search (section 4.1).
  `dataclasses.replace(space, depth=8)` has the same kinds of decisions as the space of another
  depth, so a controller keeps its weights.

  Attributes:
    depth: number of layers.
    heights: filter heights to choose from.
    widths: filter widths to choose from.
    filters: numbers of output channels of a layer to choose from.
    strides: strides to choose from; must hold 1. If it holds nothing else, there is no decision.
    max_strides: largest number of layers with a stride above 1.
    operations: operations to choose from, 'conv', 'separable_conv' or both; if there is one, there
      is no decision.
    pool_after: indices of layers, from 0, after which max pooling halves all maps that later layers
      can read: the outputs of the layers up to there, and the image. (The paper's 39 layers have
      such poolings at 13 and 24; ENAS reduces all earlier layers at such a point.) May exceed
      `depth`.
    align: how inputs of different sizes are brought to one. 'pad': by zeros, to the size of the
      largest, as in the paper. 'pool': by max pooling, to the size of the smallest; if a layer has
      several inputs, a 1x1 convolution then reduces them to its own number of filters, which takes
      fewer weights and less memory.

  Raises:
    ValueError: an option is out of its range.
  """

  depth: int = 6
  heights: tuple[int, ...] = (1, 3, 5)
  widths: tuple[int, ...] = (1, 3, 5)
  filters: tuple[int, ...] = (8, 16, 24, 32)
  strides: tuple[int, ...] = (1, 2)
  max_strides: int = 3
  operations: tuple[str, ...] = ('conv',)
  pool_after: tuple[int, ...] = ()
  align: str = 'pool'

  @classmethod
  def paper(cls, depth: int = 15) -> MultiBranch:
    """The space of section 4.1 without strides; 15 layers reached 5.50 % error on CIFAR-10."""
    sides = (1, 3, 5, 7)
    filters = (24, 36, 48, 64)
    return cls(depth=depth, heights=sides, widths=sides, filters=filters, strides=(1,), align='pad')

  def __post_init__(self) -> None:
    if self.depth < 1:
      raise ValueError(f'depth={self.depth}: must be at least 1')
    if self.max_strides < 0:
      raise ValueError(f'max_strides={self.max_strides}: must be at least 0')
    for name in ('heights', 'widths', 'filters', 'strides'):
      values = getattr(self, name)
      if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ValueError(f'{name}={values}: must be distinct positive integers, at least one')
    if self.align not in ALIGNMENTS:
      raise ValueError(f'align={self.align!r}: must be one of {ALIGNMENTS}')
    if 1 not in self.strides:
      raise ValueError(f'strides={self.strides}: must hold 1')
    if self.align == 'pool' and not set(self.strides) <= {1, 2}:
      raise ValueError(f"strides={self.strides}: must be 1 or 2 if align='pool'")
    if (
      not self.operations
      or not set(self.operations) <= set(OPERATIONS)
      or len(set(self.operations)) < len(self.operations)
    ):
      raise ValueError(
        f'operations={self.operations}: must be distinct, taken from {tuple(OPERATIONS)}'
      )
    if len(set(self.pool_after)) < len(self.pool_after) or min(self.pool_after, default=0) < 0:
      raise ValueError(f'pool_after={self.pool_after}: must be distinct and not negative')

  def __call__(self) -> Walk[Architecture]:
    chosen: list[Layer] = []
    for i in range(self.depth):
      # The bits stay out of the memory: later decisions depend only on the count of strides.
      strided = sum(layer.stride > 1 for layer in chosen)
      chosen.append((yield from self._walk_layer(i, strided)))
    return self._assemble(chosen)

  def _walk_layer(self, i: int, strided: int) -> Generator[Decision, Scalar, Layer]:
    at, memory, op, stride = f'layer{i}/', (strided,), self.operations[0], 1
    if len(self.operations) > 1:
      op = str((yield Decision(at + 'op', 'op', self.operations, memory)))
    height = yield Decision(at + 'height', 'height', self.heights, memory)
    width = yield Decision(at + 'width', 'width', self.widths, memory)
    if len(self.strides) > 1:
      steps = self.strides if strided < self.max_strides else (1,)
      stride = int((yield Decision(at + 'stride', 'stride', steps, memory)))
      memory = (strided + (stride > 1),)
    filters = yield Decision(
      at + 'filters', 'filters', self.filters, memory, anchor='' if i else _anchor(0)
    )
    inputs = []
    for j in range(i):
      chosen = yield Decision(
        at + f'skip{j}',
        'skip',
        (False, True),
        memory,
        points_to=(None, _anchor(j)),
        anchor=_anchor(i) if j == i - 1 else '',
        hold=j > 0,  # the bits of one anchor point are independent given its hidden state
      )
      if chosen:
        inputs.append(j)
    return Layer(op, int(height), int(width), stride, int(filters), tuple(inputs))

  def _assemble(self, chosen: Sequence[Layer]) -> Architecture:
    graph = Graph()
    image = layers.Map(graph.input)
    outputs: list[layers.Map] = []
    for i, layer in enumerate(chosen):
      sources = [outputs[j] for j in layer.inputs] or [image]
      outputs.append(_convolve(graph, self._join(graph, sources, layer.filters), layer))
      if i in self.pool_after:
        image, *outputs = (layers.downsample(graph, m, 2 * m.stride) for m in (image, *outputs))
    read = {j for layer in chosen for j in layer.inputs}
    loose = [output for j, output in enumerate(outputs) if j not in read]
    return graph.finish(graph.classify(self._join(graph, loose).node))

  def _join(self, graph: Graph, maps: Sequence[layers.Map], filters: int = 0) -> layers.Map:
    """Concatenates maps of any sizes; 'pool' then projects to `filters` channels, if above 0."""
    if len(maps) == 1:
      return maps[0]
    if self.align == 'pad':
      largest = min(maps, key=lambda m: m.stride)
      aligned = [layers.pad(graph, m, largest) for m in maps]
    else:
      stride = max(m.stride for m in maps)
      aligned = [layers.downsample(graph, m, stride) for m in maps]
    joined = graph.add('concat', *(m.node for m in aligned))
    if self.align == 'pool' and filters:
      joined = layers.conv(graph, joined, filters=filters, kernel=1)
    return layers.Map(joined, aligned[0].stride)


def _anchor(i: int) -> str:
  return f'layer{i}'


def _convolve(graph: Graph, source: layers.Map, layer: Layer) -> layers.Map:
  node = OPERATIONS[layer.op](
    graph,
    source.node,
    filters=layer.filters,
    height=layer.height,
    width=layer.width,
    stride=layer.stride,
  )
  return layers.Map(node, source.stride * layer.stride)
