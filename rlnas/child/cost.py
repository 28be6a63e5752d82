"""What a network costs, from its architecture alone: no TensorFlow, well under a millisecond.

Used to turn down networks outside a budget before they are trained. Errors against the converted
networks and the arena that TFLite Micro allocated, over uniform samples of the spaces that took no
part in fitting the constants below; the parameters were exact for all:

  space            n   flash_bytes: mean, worst   arena_head_bytes: exact for, range of the others
  chain           29          0.04 %,  0.2 %                29
  BlockQNN         9          0.4 %,   1.0 %                 9
  multi-branch    14          0.8 %,   1.9 %                 7, -15 to +74 %
  NASNet           6          0.6 %,   0.8 %                 2, up to +19 %
  recurrent       12          1.3 %,   2.2 %                 3, -11 to +11 %

Small random branching networks of 3 to 21 KB had flash errors of 1.1 % on average, 5.2 % at worst
(60 networks, of those that were fitted). The head differs where the converter orders the operators
otherwise or rescales a value first; `rlnas.child.measure.analytic_footprint` plans the converted
file itself and was never wrong there.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

from rlnas.architecture import Architecture, Node, Shape, infer_shapes
from rlnas.child.arena import Buffer, greedy_plan, mean_scratch


@dataclasses.dataclass(frozen=True)
class Cost:
  """What a network costs.

  Attributes:
    macs: multiply-accumulate operations of convolutions and the classifier, one inference.
    parameters: trainable weights: kernels, gamma and beta of batch normalisation, dense layer.
    flash_bytes: estimated size of the .tflite file of the trained network.
    arena_head_bytes: planned size of the activations in the tensor arena, input included. The
      interpreter's structures, the arena's tail, come on top.
  """

  macs: int
  parameters: int
  flash_bytes: int
  arena_head_bytes: int


def cost(architecture: Architecture, input_shape: Sequence[int], classes: int) -> Cost:
  """Counts and estimates what a network costs.

  Args:
    architecture: the network.
    input_shape: (height, width, channels), or (time, features).
    classes: width of the classifier.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  shapes = infer_shapes(architecture, input_shape, classes)
  nodes = architecture.nodes
  places = [
    _Place(node, shapes[node.inputs[0]] if node.inputs else (), shape)
    for node, shape in zip(nodes, shapes, strict=True)
  ]
  # Dense nodes of equal 'weights' store them once.
  stored = list(
    {p.node['weights'] if p.node.op == 'dense' else -i: p for i, p in enumerate(places)}.values()
  )
  return Cost(
    macs=sum(p.kernel_weights * math.prod(p.output_shape[:-1]) for p in places),
    parameters=sum(
      p.kernel_weights + _PER_CHANNEL.get(p.node.op, 0) * p.output_shape[-1] for p in stored
    ),
    flash_bytes=_flash_bytes(places, stored),
    arena_head_bytes=_arena_head_bytes(nodes, shapes),
  )


@dataclasses.dataclass(frozen=True)
class _Place:
  """A node between its first input and its output."""

  node: Node
  input_shape: Shape
  output_shape: Shape

  @functools.cached_property
  def kernel_weights(self) -> int:
    """Weights of the node's kernel; each is used once at every place of the output map."""
    if self.node.op in _DENSE:
      return self.input_shape[-1] * self.output_shape[-1]
    if self.node.op not in _CONVOLUTIONS:
      return 0
    window = self.node['kernel_height'] * self.node['kernel_width']
    inputs = 1 if self.node.op == 'depthwise_conv' else self.input_shape[-1]
    return window * inputs * self.output_shape[-1]


_DENSE = ('dense', 'classifier')
_CONVOLUTIONS = ('conv', 'dilated_conv', 'depthwise_conv')
# Trainable weights a channel beside the kernel: gamma and beta, or a bias.
_PER_CHANNEL = {'conv': 2, 'dilated_conv': 2, 'depthwise_conv': 2, 'dense': 1, 'classifier': 1}

# Least squares over files of `rlnas.child.quantize`, first the chains, then the rest: a constant
# part (input, global average pooling, classifier), what a channel of a convolution takes beside its
# int8 weights (bias, scale, zero point), and the tensors, options and names of an operator.
_FLASH_BASE = 1624
_FLASH_PER_CHANNEL = 28
_FLASH_OF_OPERATOR = {
  'conv': 537,
  'dilated_conv': 578,
  'depthwise_conv': 607,
  'max_pool': 221,
  'avg_pool': 224,
  'add': 129,
  'multiply': 239,
  'concat': 204,
  'pad_like': 251,
  'relu': 45,
  'dense': 818,
}


def _flash_bytes(places: Sequence[_Place], stored: Sequence[_Place]) -> int:
  weights = sum(p.kernel_weights for p in stored)
  channels = sum(p.output_shape[-1] for p in places if p.node.op in _CONVOLUTIONS)
  operators = sum(_FLASH_OF_OPERATOR.get(p.node.op, 0) for p in places)
  return _FLASH_BASE + weights + _FLASH_PER_CHANNEL * channels + operators


def _arena_head_bytes(nodes: Sequence[Node], shapes: Sequence[Shape]) -> int:
  """Each node is one operator of the converted network and writes one int8 tensor."""
  last = list(range(len(nodes)))
  for index, node in enumerate(nodes):
    # 'pad_like' takes from its second input nothing but the size, known when it is converted.
    for source in node.inputs[:1] if node.op == 'pad_like' else node.inputs:
      last[source] = index
  last[-1] = len(nodes) - 1
  # The converter puts the slicing of a sequence in front of everything else.
  first = [0 if node.op == 'frames' else i for i, node in enumerate(nodes)]
  tensors = [Buffer(math.prod(shape), first[i], last[i]) for i, shape in enumerate(shapes)]
  scratch = [
    buffer
    for i, node in enumerate(nodes)
    if node.op == 'global_avg_pool'
    for buffer in mean_scratch(i, rank=4, axes=2, outputs=shapes[i][-1])
  ]
  return greedy_plan(tensors + scratch).total_bytes
