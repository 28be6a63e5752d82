"""Chain-structured networks (Wistuba et al. 2019, section 2.1): each layer reads the one before.

The choice 'stop' among the operations ends the chain, so it decides the depth. Global average
pooling and a dense classifier follow.
"""

from __future__ import annotations

import dataclasses

from rlnas.architecture import Architecture, Graph, Scalar
from rlnas.spaces import layers
from rlnas.spaces.decision import Decision, Walk

CONVOLUTIONS = ('conv', 'separable_conv')
POOLINGS = ('max_pool', 'avg_pool')
OPERATIONS = (*CONVOLUTIONS, *POOLINGS, 'identity')


@dataclasses.dataclass(frozen=True)
class Chain:
  """The chain space.

  Attributes:
    max_depth: largest number of layers.
    operations: operations to choose from for each layer, among 'conv', 'separable_conv',
      'max_pool', 'avg_pool' and 'identity'. The first layer is always a convolution, since a
      network without one cannot learn.
    kernels: window sides to choose from; windows are square.
    filters: numbers of output channels to choose from for each convolution.
    max_strides: largest number of layers with stride 2; each halves both sides of the map.

  Raises:
    ValueError: an option is out of its range.
  """

  max_depth: int = 8
  operations: tuple[str, ...] = OPERATIONS
  kernels: tuple[int, ...] = (3, 5)
  filters: tuple[int, ...] = (8, 16, 24, 32, 48)
  max_strides: int = 3

  def __post_init__(self) -> None:
    if self.max_depth < 1:
      raise ValueError(f'max_depth={self.max_depth}: must be at least 1')
    if self.max_strides < 0:
      raise ValueError(f'max_strides={self.max_strides}: must be at least 0')
    unknown = set(self.operations) - set(OPERATIONS)
    if unknown or not set(self.operations) & set(CONVOLUTIONS):
      raise ValueError(
        f'operations={self.operations}: must be taken from {OPERATIONS}, '
        f'at least one of them from {CONVOLUTIONS}'
      )
    if len(set(self.operations)) < len(self.operations):
      raise ValueError(f'operations={self.operations}: must differ from each other')
    for name in ('kernels', 'filters'):
      values = getattr(self, name)
      if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ValueError(f'{name}={values}: must be distinct positive integers, at least one')

  def __call__(self) -> Walk[Architecture]:
    graph, x, strides = Graph(), Graph.input, 0
    for i in range(self.max_depth):
      at = f'layer{i}/'
      offered = (*self.operations, 'stop') if i else self._first_operations
      op = yield Decision(at + 'op', 'op', offered, (strides,))
      if op == 'stop':
        break
      if op == 'identity':
        continue
      memory = (strides, op)
      kernel = yield Decision(at + 'kernel', 'kernel', self.kernels, memory)
      filters: Scalar = 0
      if op in CONVOLUTIONS:
        filters = yield Decision(at + 'filters', 'filters', self.filters, memory)
      steps = (1, 2) if strides < self.max_strides else (1,)
      stride = yield Decision(at + 'stride', 'stride', steps, memory)
      strides += stride == 2
      x = _layer(graph, x, str(op), int(kernel), int(filters), int(stride))
    return graph.finish(graph.classify(x))

  @property
  def _first_operations(self) -> tuple[str, ...]:
    return tuple(op for op in self.operations if op in CONVOLUTIONS)


def _layer(graph: Graph, x: int, op: str, kernel: int, filters: int, stride: int) -> int:
  if op == 'conv':
    return layers.conv(graph, x, filters=filters, kernel=kernel, stride=stride)
  if op == 'separable_conv':
    return layers.separable_conv(graph, x, filters=filters, kernel=kernel, stride=stride)
  return layers.pool(graph, x, kind=op.removesuffix('_pool'), kernel=kernel, stride=stride)
