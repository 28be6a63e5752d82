"""Which layers of a space's networks share their weights, found from the architecture alone.

- The place of a layer is its depth, the most convolutions on a way from the image to it, depthwise
  ones not counted; of like layers at equal depth the first, second and so on are different ones.
- An array is as large as the largest layer at its place. Others take its first channels and the
  centre of its window (Cai et al. 2020, Once-for-All, arXiv:1908.09791, section 3).
- Of a concatenation each part has weights of its own, named after the depth that it comes from, as
  ENAS has them for each incoming connection (Pham et al. 2018, arXiv:1802.03268, section 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rlnas.architecture import COMMUTATIVE, Architecture, Node, Shape, TaskShape, infer_shapes

_MIXING = ('conv', 'dilated_conv')
_CONVOLUTIONS = (*_MIXING, 'depthwise_conv')
_REFUSED = ('dense', 'frames')


class Slice(NamedTuple):
  """A part of a shared array: the centre of its window [height, width], the first channels."""

  name: str
  shape: Shape


class Layer(NamedTuple):
  """What a node with weights takes from the supernet.

  Attributes:
    node: index of the node.
    kernels: concatenated along the input channels they are the layer's kernel, or the weights of
      the classifier [channels, classes].
    norm: name of scale and offset of the batch normalisation; '' for the classifier.
    channels: of the output.
  """

  node: int
  kernels: tuple[Slice, ...]
  norm: str
  channels: int

  @property
  def slices(self) -> tuple[Slice, ...]:
    """The kernels, then scale and offset, or the classifier's bias."""
    names = (f'{self.norm}/gamma', f'{self.norm}/beta') if self.norm else ('classifier/bias',)
    return (*self.kernels, *(Slice(name, (self.channels,)) for name in names))


class _Part(NamedTuple):
  """Channels of a value that come from one node, and its depth."""

  depth: int
  channels: int


def layers_of(architecture: Architecture, task: TaskShape) -> tuple[Layer, ...]:
  """What every node with weights takes from the supernet, in order.

  Args:
    architecture: the network, within the limits of `rlnas.cost.limits`.
    task: what it reads and tells apart.

  Raises:
    ValueError: the network has operations whose weights are not shared by place: 'dense' nodes
      share theirs already, from one step of a recurrent network to the next.
  """
  shapes = infer_shapes(architecture, task)
  depths: list[int] = []
  parts: list[tuple[_Part, ...]] = []  # of each value
  found: list[Layer] = []
  counts: Counter[str] = Counter()
  for index, (node, shape) in enumerate(zip(architecture.nodes, shapes, strict=True)):
    if node.op in _REFUSED:
      raise ValueError(f'node {index}: a supernet has no {node.op} nodes, only maps')
    depth = max((depths[i] for i in node.inputs), default=0) + (node.op in _MIXING)
    read = parts[node.inputs[0]] if node.inputs else ()
    if node.op in _CONVOLUTIONS:
      name = _place(node, depth)
      counts[name] += 1
      found.append(_layer(index, node, f'{name}.{counts[name]}', read, shape))
    elif node.op == 'classifier':
      kernels = _slices('classifier', read, lambda channels: (channels, task.classes))
      found.append(Layer(index, kernels, '', task.classes))
    depths.append(depth)
    parts.append(_parts(node, depth, [parts[i] for i in node.inputs], shape))
  return tuple(found)


def _place(node: Node, depth: int) -> str:
  dilation = f'{node["dilation"]}' if node.op == 'dilated_conv' else ''
  return f'{node.op}{dilation}@{depth}'


def _layer(index: int, node: Node, place: str, read: Sequence[_Part], shape: Shape) -> Layer:
  window = (node['kernel_height'], node['kernel_width'])
  outputs = 1 if node.op == 'depthwise_conv' else shape[-1]
  kernels = _slices(place, read, lambda channels: (*window, channels, outputs))
  return Layer(index, kernels, place, shape[-1])


def _slices(place: str, read: Sequence[_Part], shape: Callable[[int], Shape]) -> tuple[Slice, ...]:
  """One of each part that is read; what is no concatenation comes from the depth before."""
  if len(read) == 1:
    return (Slice(place, shape(read[0].channels)),)
  found, counts = [], Counter[int]()
  for part in read:
    counts[part.depth] += 1
    found.append(Slice(f'{place}<{part.depth}.{counts[part.depth]}', shape(part.channels)))
  return tuple(found)


def _parts(
  node: Node, depth: int, inputs: Sequence[tuple[_Part, ...]], shape: Shape
) -> tuple[_Part, ...]:
  """Where the channels of a value come from."""
  if node.op == 'concat':
    return tuple(part for parts in inputs for part in parts)
  if node.op in (*_MIXING, 'input') or (node.op in COMMUTATIVE and len(set(inputs)) > 1):
    return (_Part(depth, shape[-1]),)
  return inputs[0]
