"""What a network costs, from its architecture alone: no TensorFlow, well under a millisecond.

Used to turn down networks outside a budget before they are trained.

Errors against converted networks that took no part in fitting, and the arena that TFLite Micro
allocated for them (`experiments/fit_cost.py --count=14`; 20 networks a row, mean / worst);
parameters and the head of the arena were exact for all:

  space               flash             tail
  chain               0.11% / 0.36%   0.24% / 0.55%
  multibranch         0.09% / 0.52%   0.27% / 0.50%
  nasnet              0.16% / 0.38%   0.24% / 0.48%
  blockqnn            0.07% / 0.24%   0.27% / 0.68%
  recurrent           0.33% / 1.34%   1.17% / 1.67%
  joint               0.23% / 0.57%   0.26% / 0.55%
  multibranch, pad    0.12% / 0.45%   0.08% / 0.38%
  recurrent, 3 steps  0.27% / 0.64%   0.54% / 0.88%

Two recurrent networks of base 3 and 3 steps, which no row holds, were 2.3 % smaller than estimated.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from rlnas.architecture import Architecture, Shape, infer_shapes
from rlnas.child.arena import Buffer, greedy_plan, mean_scratch, tail_bytes
from rlnas.child.limits import within_limits
from rlnas.child.operators import INPUT, Operator, foretell


@dataclasses.dataclass(frozen=True)
class Cost:
  """What a network costs.

  Attributes:
    macs: multiply-accumulate operations of convolutions and dense layers, one inference.
    parameters: trainable weights: kernels, gamma and beta of batch normalisation, dense layers.
    flash_bytes: estimated size of the .tflite file of the trained network.
    arena_head_bytes: planned size of the activations in the tensor arena, input included.
    arena_tail_bytes: estimated size of the interpreter's structures there.
  """

  macs: int
  parameters: int
  flash_bytes: int
  arena_head_bytes: int
  arena_tail_bytes: int

  @property
  def sram_bytes(self) -> int:
    """The tensor arena: head and tail."""
    return self.arena_head_bytes + self.arena_tail_bytes


def cost(architecture: Architecture, input_shape: Sequence[int], classes: int) -> Cost:
  """Counts and estimates what a network costs.

  Args:
    architecture: the network.
    input_shape: (height, width, channels), or (time, features).
    classes: width of the classifier.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  architecture = within_limits(architecture)
  shapes = infer_shapes(architecture, input_shape, classes)
  operators = foretell(architecture, shapes)
  kernels = _kernels(architecture, shapes)
  stored = list({k.key: k for k in kernels}.values())
  constants = _constants(architecture, shapes, operators)
  return Cost(
    macs=sum(k.weights * k.places for k in kernels),
    parameters=sum(k.weights + k.channels * (1 if k.dense else 2) for k in stored),
    flash_bytes=round(
      sum(
        FLASH_BYTES[name] * count
        for name, count in _features(operators, kernels, constants).items()
      )
    ),
    arena_head_bytes=_head_bytes(operators, shapes[0]),
    arena_tail_bytes=tail_bytes(
      (o.kind for o in operators),
      tensors=1 + len(operators) + len(kernels) + len(stored) + constants,
      channels=sum(k.channels for k in kernels),
    ),
  )


@dataclasses.dataclass(frozen=True)
class _Kernel:
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


_DENSE = ('dense', 'classifier')
_CONVOLUTIONS = ('conv', 'dilated_conv', 'depthwise_conv')


def _kernels(architecture: Architecture, shapes: Sequence[Shape]) -> list[_Kernel]:
  found = []
  for index, node in enumerate(architecture.nodes):
    *sides, channels = shapes[index]
    if node.op in _DENSE:
      key = ('dense', node['weights']) if node.op == 'dense' else ('node', index)
      found.append(_Kernel(index, key, True, shapes[node.inputs[0]][-1] * channels, channels, 1))
    elif node.op in _CONVOLUTIONS:
      inputs = 1 if node.op == 'depthwise_conv' else shapes[node.inputs[0]][-1]
      weights = node['kernel_height'] * node['kernel_width'] * inputs * channels
      found.append(_Kernel(index, ('node', index), False, weights, channels, math.prod(sides)))
  return found


# What features of a network take in the .tflite file: least squares by experiments/fit_cost.py.
FLASH_BYTES: Mapping[str, float] = {
  'ADD': 161.72,
  'AVERAGE_POOL_2D': 193.63,
  'CONCATENATION': 175.89,
  'CONV_2D': 500.24,
  'DEPTHWISE_CONV_2D': 559.12,
  'FULLY_CONNECTED': 314.15,
  'LOGISTIC': 149.36,
  'MAX_POOL_2D': 176.52,
  'MEAN': 364.52,
  'MUL': 165.08,
  'PAD': 147.28,
  'RELU': 179.35,
  'STRIDED_SLICE': -21.44,
  'TANH': 132.96,
  'bias': 13.62,
  'byte': 1.00,
  'constant': 74.73,
  'dense kernel': 313.81,
  'digits': -0.75,
  'network': 354.76,
}


def flash_features(
  architecture: Architecture, input_shape: Sequence[int], classes: int
) -> Counter[str]:
  """How often the .tflite file of a network has each key of `FLASH_BYTES`, as for `cost`."""
  architecture = within_limits(architecture)
  shapes = infer_shapes(architecture, input_shape, classes)
  operators = foretell(architecture, shapes)
  kernels = _kernels(architecture, shapes)
  return _features(operators, kernels, _constants(architecture, shapes, operators))


def _features(
  operators: Sequence[Operator], kernels: Sequence[_Kernel], constants: int
) -> Counter[str]:
  stored = {k.key: k for k in kernels}.values()
  counts = Counter(o.kind for o in operators)
  counts['network'] = 1
  del counts['RESHAPE']  # there is one for each STRIDED_SLICE
  counts['constant'] = constants
  # The values of biases depend on the scale of the input; equal ones are stored once.
  scales = _input_scales(operators)
  biases = {(k.key, scales[k.node]): k.channels for k in kernels}
  counts['bias'] = len(biases)
  counts['byte'] = (
    sum(_aligned(k.weights) for k in stored)
    + sum(_aligned(4 * channels) for channels in biases.values())
    # Scale and zero point of each channel of a kernel and of a bias.
    + 12 * (sum(k.channels for k in stored) + sum(k.channels for k in kernels))
  )
  counts['dense kernel'] = sum(k.dense for k in stored)
  # The names of tensors hold the number of their node, those of a convolution seven times.
  counts['digits'] = sum(_NAMES.get(o.kind, 1) * len(str(o.node)) for o in operators)
  return counts


def _input_scales(operators: Sequence[Operator]) -> dict[int, tuple[str, int]]:
  """For every node something that tells the scale of its (first) input from others."""
  own: list[tuple[str, int]] = []  # of the results
  read: dict[int, tuple[str, int]] = {}
  for index, (kind, inputs, _, node) in enumerate(operators):
    first = ('INPUT', 0) if inputs[0] == INPUT else own[inputs[0]]
    read[node] = first
    if kind in ('TANH', 'LOGISTIC'):  # theirs is 1/128 and 1/256
      own.append((kind, 0))
    else:
      own.append(first if kind in ('STRIDED_SLICE', 'RESHAPE') else (kind, index))
  return read


_NAMES = {'CONV_2D': 7, 'DEPTHWISE_CONV_2D': 6, 'FULLY_CONNECTED': 2, 'MEAN': 1}


def _aligned(size: int) -> int:
  return -(-size // 16) * 16


def _constants(
  architecture: Architecture, shapes: Sequence[Shape], operators: Sequence[Operator]
) -> int:
  """How many constant tensors there are beside kernels and biases; equal ones are stored once."""
  found: set[tuple[str, tuple[int, ...]]] = set()
  for kind, inputs, shape, index in operators:
    if kind == 'MEAN':
      found.add((kind, ()))
    elif kind == 'RESHAPE':
      found.add((kind, shape))
    elif kind == 'PAD':
      smaller = shapes[0] if inputs[0] == INPUT else operators[inputs[0]].shape
      found.add((kind, (shape[0] - smaller[0], shape[1] - smaller[1])))
    elif kind == 'STRIDED_SLICE':  # begin, end (counted from the end of the sequence) and steps
      first, node = architecture.nodes[index]['first'], architecture.nodes[index]
      after = shapes[0][0] - first - node['count']
      found |= {(kind, (first,)), (kind, (-after,)), (kind, ())}
  return len(found)


def _head_bytes(operators: Sequence[Operator], input_shape: Shape) -> int:
  """The greedy plan of all tensors, each int8."""
  first_last = [[0, 0], *([step, step] for step in range(1, len(operators) + 1))]
  for step, operator in enumerate(operators, start=1):
    for source in operator.inputs:
      first_last[source - INPUT][1] = step
  sizes = [math.prod(input_shape), *(math.prod(o.shape) for o in operators)]
  buffers = [Buffer(s, *steps) for s, steps in zip(sizes, first_last, strict=True)]
  for step, operator in enumerate(operators, start=1):
    if operator.kind == 'MEAN':
      buffers += mean_scratch(step, rank=4, axes=2, outputs=operator.shape[-1])
  return greedy_plan(buffers).total_bytes
