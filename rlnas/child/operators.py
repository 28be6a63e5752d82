"""The operators and kernels that the conversion makes of an architecture, without TensorFlow.

Nearly every node becomes one operator; ReLU is merged into the sum or product before it, and slices
of a sequence are flattened by an operator of their own. `rlnas.child.calibrated` puts them into the
order that is foretold here, and sees to it that the quantizer adds none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rlnas.architecture import Architecture, Shape, infer_shapes
from rlnas.child.arena import mean_scratch
from rlnas.child.limits import within_limits
from rlnas.child.order import Scale, Step, execution_order
from rlnas.child.schedule import INPUT, Task

# Operators by the names that TensorFlow Lite gives them.
KINDS = {
  'conv': 'CONV_2D',
  'dilated_conv': 'CONV_2D',
  'depthwise_conv': 'DEPTHWISE_CONV_2D',
  'max_pool': 'MAX_POOL_2D',
  'avg_pool': 'AVERAGE_POOL_2D',
  'add': 'ADD',
  'multiply': 'MUL',
  'concat': 'CONCATENATION',
  'relu': 'RELU',
  'tanh': 'TANH',
  'sigmoid': 'LOGISTIC',
  'dense': 'FULLY_CONNECTED',
  'classifier': 'FULLY_CONNECTED',
  'global_avg_pool': 'MEAN',
}
# What they do to the scale of their values; the others have one of their own.
SCALES = {
  'MAX_POOL_2D': Scale.KEPT,
  'AVERAGE_POOL_2D': Scale.KEPT,
  'PAD': Scale.KEPT,
  'RESHAPE': Scale.KEPT,
  'STRIDED_SLICE': Scale.KEPT,
  'CONCATENATION': Scale.JOINED,
}
_DENSE = ('dense', 'classifier')
_CONVOLUTIONS = ('conv', 'dilated_conv', 'depthwise_conv')
_TAKE_RELU = frozenset({'ADD', 'MUL', 'FULLY_CONNECTED', 'CONV_2D', 'DEPTHWISE_CONV_2D'})


class Operator(NamedTuple):
  """An operator of the converted network.

  Attributes:
    kind: its name in TensorFlow Lite.
    inputs: the operators whose results it reads, or `INPUT`.
    shape: of its result, without the batch.
    node: the node that it stems from, among those of `within_limits`.
    relu: whether ReLU is merged into it.
  """

  kind: str
  inputs: tuple[int, ...]
  shape: Shape
  node: int
  relu: bool = False


class Kernel(NamedTuple):
  """The weights of a convolution or dense layer.

  Attributes:
    node: that has it.
    key: equal for kernels that are stored once, as dense nodes of equal 'weights' are.
    dense: whether it is a dense layer, which has a bias; others have batch normalisation.
    weights: elements of the kernel; each is used once at every place.
    channels: outputs, each with a scale of its own.
    places: of the output map.
  """

  node: int
  key: tuple[str, int]
  dense: bool
  weights: int
  channels: int
  places: int


class Converted(NamedTuple):
  """What is known of a converted network beforehand.

  Attributes:
    architecture: the network within the limits of TFLite Micro.
    shapes: of its nodes, without the batch.
    operators: in the order of the tensors that they write. They run in that of
      `rlnas.child.schedule.least_arena_order`.
    kernels: of its nodes in order.
  """

  architecture: Architecture
  shapes: tuple[Shape, ...]
  operators: tuple[Operator, ...]
  kernels: tuple[Kernel, ...]


def foretell(architecture: Architecture, input_shape: Sequence[int], classes: int) -> Converted:
  """What the conversion will make of a network.

  Args:
    architecture: the network.
    input_shape: (height, width, channels), or (time, features).
    classes: width of the classifier.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  architecture = within_limits(architecture)
  shapes = infer_shapes(architecture, input_shape, classes)
  operators = _of_nodes(architecture, shapes)
  steps = [
    Step(tuple(i for i in o.inputs if i != INPUT), SCALES.get(o.kind, Scale.OWN)) for o in operators
  ]
  order = execution_order(steps, len(operators) - 1)
  place = {INPUT: INPUT} | {index: new for new, index in enumerate(order)}
  ordered = tuple(
    operators[index]._replace(inputs=tuple(place[i] for i in operators[index].inputs))
    for index in order
  )
  return Converted(architecture, tuple(shapes), ordered, _kernels(architecture, shapes))


def arena_tasks(network: Converted) -> tuple[list[Task], int]:
  """The operators as `rlnas.child.schedule` takes them, and the bytes of the input; all is int8."""
  tasks = [
    Task(
      tuple(dict.fromkeys(operator.inputs)),
      math.prod(operator.shape),
      _mean_scratch_bytes(operator.shape[-1]) if operator.kind == 'MEAN' else (),
    )
    for operator in network.operators
  ]
  return tasks, math.prod(network.shapes[0])


def _mean_scratch_bytes(channels: int) -> tuple[int, ...]:
  """Of global average pooling: an average over height and width of (batch, h, w, channels)."""
  return tuple(b.size_bytes for b in mean_scratch(0, rank=4, axes=2, outputs=channels))


def _kernels(architecture: Architecture, shapes: Sequence[Shape]) -> tuple[Kernel, ...]:
  found = []
  for index, node in enumerate(architecture.nodes):
    *sides, channels = shapes[index]
    if node.op in _DENSE:
      key = ('dense', node['weights']) if node.op == 'dense' else ('node', index)
      found.append(Kernel(index, key, True, shapes[node.inputs[0]][-1] * channels, channels, 1))
    elif node.op in _CONVOLUTIONS:
      inputs = 1 if node.op == 'depthwise_conv' else shapes[node.inputs[0]][-1]
      weights = node['kernel_height'] * node['kernel_width'] * inputs * channels
      found.append(Kernel(index, ('node', index), False, weights, channels, math.prod(sides)))
  return tuple(found)


def _of_nodes(architecture: Architecture, shapes: Sequence[Shape]) -> list[Operator]:
  readers = [0] * len(shapes)
  for node in architecture.nodes:
    for i in node.inputs[:1] if node.op == 'pad_like' else node.inputs:
      readers[i] += 1
  place = [INPUT]
  operators: list[Operator] = []
  padded: dict[tuple[int, Shape], int] = {}
  for index, node in enumerate(architecture.nodes[1:], start=1):
    inputs = tuple(place[i] for i in node.inputs)
    shape = shapes[index]
    if (
      node.op == 'relu'
      and readers[node.inputs[0]] == 1
      and inputs[0] != INPUT
      and operators[inputs[0]].kind in _TAKE_RELU
    ):
      operators[inputs[0]] = operators[inputs[0]]._replace(relu=True)
      place.append(inputs[0])
      continue
    if node.op == 'frames':
      sliced = (node['count'], shape[0] // node['count'])
      operators.append(Operator('STRIDED_SLICE', inputs, sliced, index))
      operators.append(Operator('RESHAPE', (len(operators) - 1,), shape, index))
    elif node.op == 'pad_like':
      # Of its second input it takes nothing but the size, so that two of them may be one operator.
      key = (inputs[0], shape)
      if key not in padded:
        padded[key] = len(operators)
        operators.append(Operator('PAD', inputs[:1], shape, index))
      place.append(padded[key])
      continue
    else:
      relu = node.op in _CONVOLUTIONS and node['activation'] == 'relu'
      operators.append(Operator(KINDS[node.op], inputs, shape, index, relu))
    place.append(len(operators) - 1)
  return operators
