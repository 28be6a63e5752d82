"""Convolutions over time (Bai et al. 2018, arXiv:1803.01271) with skip connections by anchors.

A sequence of `time` frames is read as an image of one row, (1, time, features): the features are
the channels, and windows are 1xk. So its bytes are those of the sequence, frame by frame as a
sensor gives them, and the kernels are the usual ones of two dimensions, which CMSIS-NN and ESP-NN
speed up.

- The first layer decides where the features meet. Axes of a sensor and coefficients of a cepstrum
  have no neighbours: unlike pixels, no window should slide over them. A convolution mixes all of
  them at once (as in TC-ResNet: Choi et al. 2019, arXiv:1904.03814, section 2). Or each feature has
  a filter of its own first, without ReLU, and a 1x1 convolution mixes the filtered features. That
  takes fewer weights and products.
- Each further layer is a convolution, a separable one, a pooling that halves the time, or 'stop'.
  Instead of a stride, a convolution may have a dilation: a few layers then cover a long time (Bai
  et al., section 3.3). All of them have one size of kernel, as there.
- Each of them may join the result of an earlier layer, which it chooses by attention over anchor
  points (Zoph & Le 2017, section 3.3): by a sum, as a residual connection (Bai et al., section 3.4;
  He et al. 2016), or by a concatenation, as a dense one (Huang et al. 2017, arXiv:1608.06993).

The paper's convolutions are causal, since they predict the next value of a stream. A classifier
reads the whole window before it answers, so a layer may use frames before and after each moment:
the padding is 'same', and no operator is spent on padding one side. The paper's weight
normalisation and dropout are batch normalisation here, which conversion folds into the weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from typing import ClassVar

from rlnas.architecture import Architecture, Graph, Scalar
from rlnas.spaces.decision import Decision, Walk
from rlnas.spaces.layers import row_conv, row_depthwise

CONVOLUTIONS = ('conv', 'separable_conv')
POOLINGS = ('max_pool', 'avg_pool')
OPERATIONS = (*CONVOLUTIONS, *POOLINGS)
MIXES = ('at once', 'filtered first')
NO_SKIP = 'none'
JOINS = ('add', 'concat')
_FIRST_STRIDES = (1, 2, 4)
_WINDOWS = (2, 3)  # of poolings


@dataclasses.dataclass(frozen=True)
class Temporal:
  """The space of networks over time.

  Attributes:
    max_depth: largest number of layers, the first one included.
    operations: operations to choose from for each layer but the first, among 'conv',
      'separable_conv', 'max_pool' and 'avg_pool'; at least one convolution.
    first_kernels: numbers of frames to choose from for the window of the first layer.
    kernels: the same for all convolutions after it.
    filters: numbers of output channels to choose from for each convolution.
    dilations: distances in frames to choose from between the elements of a window, for
      convolutions that do not halve the time; with 1.
    joins: how a layer may join an earlier result: 'add' and 'concat'; none for no skip connections.
    max_halvings: how often the time may be halved, by strides and poolings. The first layer may
      have stride 4, which counts as two.

  Raises:
    ValueError: an option is out of its range.
  """

  one_row: ClassVar[bool] = True  # see `rlnas.spaces.decision`

  max_depth: int = 6
  operations: tuple[str, ...] = OPERATIONS
  first_kernels: tuple[int, ...] = (3, 5, 9)
  kernels: tuple[int, ...] = (3, 5)
  filters: tuple[int, ...] = (4, 8, 16, 32)
  dilations: tuple[int, ...] = (1, 2, 4)
  joins: tuple[str, ...] = JOINS
  max_halvings: int = 4

  def __post_init__(self) -> None:
    if self.max_depth < 1:
      raise ValueError(f'max_depth={self.max_depth}: must be at least 1')
    if self.max_halvings < 0:
      raise ValueError(f'max_halvings={self.max_halvings}: must be at least 0')
    for name, offered in (('operations', OPERATIONS), ('joins', JOINS)):
      values = getattr(self, name)
      if not set(values) <= set(offered) or len(set(values)) < len(values):
        raise ValueError(f'{name}={values}: must be distinct, taken from {offered}')
    if not set(self.operations) & set(CONVOLUTIONS):
      raise ValueError(f'operations={self.operations}: must hold at least one of {CONVOLUTIONS}')
    for name in ('first_kernels', 'kernels', 'filters', 'dilations'):
      values = getattr(self, name)
      if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ValueError(f'{name}={values}: must be distinct positive integers, at least one')
    if 1 not in self.dilations:
      raise ValueError(f'dilations={self.dilations}: must hold 1')

  def __call__(self) -> Walk[Architecture]:
    first = yield from self._walk_first()
    halvings = first.stride.bit_length() - 1
    kernel: Scalar = 0
    if self.max_depth > 1:
      kernel = yield Decision('kernel', 'kernel', self.kernels, (halvings,))
    layers: list[_Layer] = []
    for i in range(1, self.max_depth):
      layer = yield from self._walk_layer(i, halvings)
      if layer is None:
        break
      halvings += layer.stride == 2
      layers.append(layer)
    return _assemble(first, layers, int(kernel))

  def _walk_first(self) -> Generator[Decision, Scalar, _First]:
    at = 'layer0/'
    mix = yield Decision(at + 'mix', 'mix', MIXES)
    kernel = yield Decision(at + 'kernel', 'first_kernel', self.first_kernels)
    filters = yield Decision(at + 'filters', 'filters', self.filters)
    steps = tuple(step for step in _FIRST_STRIDES if step <= 2**self.max_halvings)
    stride = yield Decision(at + 'stride', 'stride', steps, anchor=_anchor(0))
    return _First(mix == MIXES[1], int(kernel), int(filters), int(stride))

  def _walk_layer(self, i: int, halvings: int) -> Generator[Decision, Scalar, _Layer | None]:
    """The decisions of one layer; returns None if the network ends before it."""
    at, memory, left = f'layer{i}/', (halvings,), halvings < self.max_halvings
    offered = (op for op in self.operations if left or op in CONVOLUTIONS)
    op = str((yield Decision(at + 'op', 'op', (*offered, 'stop'), memory)))
    if op == 'stop':
      return None
    if op in POOLINGS:
      window = yield Decision(at + 'window', 'window', _WINDOWS, memory, anchor=_anchor(i))
      return _Layer(op, stride=2, window=int(window))
    filters = yield Decision(at + 'filters', 'filters', self.filters, memory)
    stride = yield Decision(at + 'stride', 'stride', (1, 2) if left else (1,), memory)
    dilation: Scalar = 1
    if stride == 1:
      dilation = yield Decision(at + 'dilation', 'dilation', self.dilations, memory)
    layer = _Layer(op, int(stride), filters=int(filters), dilation=int(dilation))
    return (yield from self._walk_skip(i, layer, halvings + (stride == 2)))

  def _walk_skip(self, i: int, layer: _Layer, halvings: int) -> Generator[Decision, Scalar, _Layer]:
    """The decisions on what the layer joins: one anchor point, or none."""
    at, memory = f'layer{i}/', (halvings,)
    anchors = tuple(_anchor(j) for j in range(i)) if self.joins else ()
    source = yield Decision(
      at + 'skip',
      'skip',
      (NO_SKIP, *anchors),
      memory,
      points_to=(None, *anchors),
      anchor=_anchor(i),
    )
    if source == NO_SKIP:
      return layer
    join = yield Decision(at + 'join', 'join', self.joins, memory)
    return dataclasses.replace(layer, source=anchors.index(str(source)), join=str(join))


@dataclasses.dataclass(frozen=True)
class _First:
  """The first layer, and whether each feature is filtered on its own before they meet."""

  filtered: bool
  kernel: int
  filters: int
  stride: int


@dataclasses.dataclass(frozen=True)
class _Layer:
  """A later layer: a pooling with its `window`, or a convolution that may join layer `source`."""

  op: str
  stride: int
  window: int = 0
  filters: int = 0
  dilation: int = 1
  source: int = 0
  join: str = ''


@dataclasses.dataclass(frozen=True)
class _Result:
  """What a layer gives; its time is that of the sequence divided by `stride`, rounded up."""

  node: int
  stride: int
  channels: int


def _anchor(i: int) -> str:
  return f'layer{i}'


def _assemble(first: _First, layers: Sequence[_Layer], kernel: int) -> Architecture:
  graph = Graph()
  node, stride = graph.input, first.stride
  if first.filtered:
    node = row_depthwise(graph, node, first.kernel, stride=stride, activation='none')
    node = row_conv(graph, node, first.filters, 1)
  else:
    node = row_conv(graph, node, first.filters, first.kernel, stride=stride)
  results = [_Result(node, stride, first.filters)]
  for layer in layers:
    results.append(_apply(graph, layer, results, kernel))
  return graph.finish(graph.classify(results[-1].node))


def _apply(graph: Graph, layer: _Layer, results: Sequence[_Result], kernel: int) -> _Result:
  x, stride = results[-1], results[-1].stride * layer.stride
  if layer.op in POOLINGS:
    return _Result(_pool(graph, x.node, layer.op, layer.window, 2), stride, x.channels)
  activation = 'none' if layer.join == 'add' else 'relu'  # ReLU follows the sum
  node, step, dilation = x.node, layer.stride, layer.dilation
  if layer.op == 'separable_conv':
    node = row_depthwise(graph, node, kernel, stride=step, dilation=dilation)
    node = row_conv(graph, node, layer.filters, 1, activation=activation)
  else:
    node = row_conv(
      graph, node, layer.filters, kernel, stride=step, dilation=dilation, activation=activation
    )
  result = _Result(node, stride, layer.filters)
  if not layer.join:
    return result
  source = results[layer.source]
  if layer.join == 'add':
    total = graph.add('add', node, _as_term(graph, source, result))
    return dataclasses.replace(result, node=graph.add('relu', total))
  joined = graph.add('concat', node, _shortened(graph, source, stride))
  return _Result(joined, stride, layer.filters + source.channels)


def _as_term(graph: Graph, source: _Result, like: _Result) -> int:
  """Brings a result to the time and channels of another; a projection has its own weights."""
  if source.channels == like.channels:
    return _shortened(graph, source, like.stride)
  stride = like.stride // source.stride
  return row_conv(graph, source.node, like.channels, 1, stride=stride, activation='none')


def _shortened(graph: Graph, source: _Result, stride: int) -> int:
  """Max pools a result to the time of a larger stride; adds no node if it has that already."""
  factor = stride // source.stride
  return source.node if factor == 1 else _pool(graph, source.node, 'max_pool', factor, factor)


def _pool(graph: Graph, x: int, op: str, window: int, stride: int) -> int:
  return graph.add(op, x, kernel_height=1, kernel_width=window, stride=stride)
