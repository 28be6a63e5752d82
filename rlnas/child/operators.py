"""The operators that the conversion makes of an architecture, foretold without TensorFlow.

Nearly every node becomes one operator; ReLU is merged into the sum or product before it, and slices
of a sequence are flattened by an operator of their own. `rlnas.child.calibrated` puts them into the
order that is foretold here, and sees to it that the quantizer adds none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rlnas.architecture import Architecture, Shape
from rlnas.child.order import Scale, Step, execution_order

INPUT = -1  # in place of an operator: the network's input

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
_SCALES = {
  'MAX_POOL_2D': Scale.KEPT,
  'AVERAGE_POOL_2D': Scale.KEPT,
  'PAD': Scale.KEPT,
  'RESHAPE': Scale.KEPT,
  'STRIDED_SLICE': Scale.KEPT,
  'CONCATENATION': Scale.JOINED,
}
_TAKE_RELU = frozenset({'ADD', 'MUL', 'FULLY_CONNECTED', 'CONV_2D', 'DEPTHWISE_CONV_2D'})


class Operator(NamedTuple):
  """An operator of the converted network.

  Attributes:
    kind: its name in TensorFlow Lite.
    inputs: the operators whose results it reads, or `INPUT`.
    shape: of its result, without the batch.
    node: the node that it stems from, among those of `within_limits`.
  """

  kind: str
  inputs: tuple[int, ...]
  shape: Shape
  node: int


def foretell(architecture: Architecture, shapes: Sequence[Shape]) -> tuple[Operator, ...]:
  """The operators in the order in which they run.

  Args:
    architecture: the network, within the limits of TFLite Micro.
    shapes: of its nodes, from `infer_shapes`.
  """
  operators = _of_nodes(architecture, shapes)
  steps = [
    Step(tuple(i for i in o.inputs if i != INPUT), _SCALES.get(o.kind, Scale.OWN))
    for o in operators
  ]
  order = execution_order(steps, len(operators) - 1)
  place = {INPUT: INPUT} | {index: new for new, index in enumerate(order)}
  return tuple(
    operators[index]._replace(inputs=tuple(place[i] for i in operators[index].inputs))
    for index in order
  )


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
      operators.append(Operator(KINDS[node.op], inputs, shape, index))
    place.append(len(operators) - 1)
  return operators
