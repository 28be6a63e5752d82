"""Determines from architectures alone which layers of a space's networks share their weights.

- Layers of the same kind at the same place share weights. The place is the depth: the largest
  number of convolutions on a path from the image to the layer, without depthwise ones. If a network
  has several layers of one kind at one depth, they are numbered and have different weights.
- A shared array is as large as the largest layer at its place. Smaller layers use its first
  channels and the centre of its window (Cai et al. 2020, Once-for-All, arXiv:1908.09791, section
  3).
- Each part of a concatenation has its own weights, named after the depth that it comes from, as
  ENAS has them for each incoming connection (Pham et al. 2018, arXiv:1802.03268, section 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rlnas.architecture import COMMUTATIVE, Architecture, Node, Shape, TaskShape, infer_shapes
from rlnas.cost.preprocessing import preprocessing_of

_MIXING = ('conv', 'dilated_conv')
DEPTHWISE = ('depthwise_conv', 'dilated_depthwise_conv')
_CONVOLUTIONS = (*_MIXING, *DEPTHWISE)
_REFUSED = ('dense', 'frames', 'reconstruction')


class Slice(NamedTuple):
  """A part of a shared array: the centre of its window [height, width] and its first channels."""

  name: str
  shape: Shape


class Layer(NamedTuple):
  """The weights that a node takes from the supernet.

  Attributes:
    node: index of the node.
    kernels: parts that, concatenated along the input channels, are the layer's kernel or the
      weights of the classifier [channels, classes].
    norm: name of the scale and the offset of the batch normalisation; '' for the classifier.
    channels: number of output channels.
  """

  node: int
  kernels: tuple[Slice, ...]
  norm: str
  channels: int

  @property
  def slices(self) -> tuple[Slice, ...]:
    """The kernels, then scale and offset or, for the classifier, the bias."""
    names = (f'{self.norm}/gamma', f'{self.norm}/beta') if self.norm else ('classifier/bias',)
    return (*self.kernels, *(Slice(name, (self.channels,)) for name in names))


class _Part(NamedTuple):
  """The number of a value's channels that come from one node, and the node's depth."""

  depth: int
  channels: int


def layers_of(architecture: Architecture, task: TaskShape) -> tuple[Layer, ...]:
  """Returns what each node with weights takes from the supernet, in the order of the nodes.

  Args:
    architecture: the network, within the limits of `rlnas.cost.limits`.
    task: shape of its input and number of its classes.

  Raises:
    ValueError: the network has 'dense', 'frames' or 'reconstruction' nodes, or preprocessing.
      Weights of 'dense' nodes are not shared by place: the steps of a recurrent network share them
      already.
  """
  if preprocessing_of(architecture) is not None:
    raise ValueError('node 0 (input): networks with preprocessing do not share weights')
  shapes = infer_shapes(architecture, task)
  depths: list[int] = []
  parts: list[tuple[_Part, ...]] = []  # of each value
  found: list[Layer] = []
  counts: Counter[str] = Counter()
  for index, (node, shape) in enumerate(zip(architecture.nodes, shapes, strict=True)):
    if node.op in _REFUSED:
      raise ValueError(f'node {index}: a supernet has no {node.op} nodes, only those of images')
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
  return f'{node.op}{dict(node.attributes).get("dilation", "")}@{depth}'


def _layer(index: int, node: Node, place: str, read: Sequence[_Part], shape: Shape) -> Layer:
  window = (node['kernel_height'], node['kernel_width'])
  outputs = 1 if node.op in DEPTHWISE else shape[-1]
  kernels = _slices(place, read, lambda channels: (*window, channels, outputs))
  return Layer(index, kernels, place, shape[-1])


def _slices(place: str, read: Sequence[_Part], shape: Callable[[int], Shape]) -> tuple[Slice, ...]:
  """Returns one slice for each part of the input; several if the input is a concatenation."""
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
  """Returns the nodes that the channels of a value come from."""
  if node.op == 'concat':
    return tuple(part for parts in inputs for part in parts)
  if node.op in (*_MIXING, 'input') or (node.op in COMMUTATIVE and len(set(inputs)) > 1):
    return (_Part(depth, shape[-1]),)
  return inputs[0]
