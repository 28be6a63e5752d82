"""The size of the .tflite file of a network, estimated from what the conversion makes of it.

A file that `rlnas.child.compact` has packed stores equal parts once: zero points of equal number,
equal shapes, equal options. What remains is counted here; `FLASH_BYTES` says what each takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rlnas.child.operators import SCALES, Converted, Operator
from rlnas.child.order import Scale, Step, scale_groups
from rlnas.child.schedule import INPUT

# Least squares by experiments/fit_cost.py.
FLASH_BYTES: Mapping[str, float] = {
  'ADD': 66.65,
  'AVERAGE_POOL_2D': 59.99,
  'CONCATENATION': 71.11,
  'CONV_2D': 150.67,
  'DEPTHWISE_CONV_2D': 168.29,
  'FULLY_CONNECTED': 105.74,
  'LOGISTIC': 52.50,
  'MAX_POOL_2D': 51.40,
  'MEAN': 179.25,
  'MUL': 67.38,
  'PAD': 65.58,
  'RELU': 83.70,
  'STRIDED_SLICE': -27.35,
  'TANH': 50.71,
  'bias': 16.63,
  'byte': 1.00,
  'concatenated': -1.16,
  'constant': 69.11,
  'dense kernel': 115.99,
  'network': 167.28,
  'options': 31.23,
  'scale': 18.57,
  'shape': 20.18,
  'width': 0.52,
  'zero point': 8.50,
}

_KEEP_SIGN = frozenset({*SCALES, 'ADD', 'MUL', 'MEAN'})
_WITHOUT_OPTIONS = frozenset({'RELU', 'TANH', 'LOGISTIC', 'PAD'})


def flash_bytes(network: Converted) -> int:
  """The estimated size of the .tflite file."""
  return round(sum(FLASH_BYTES[name] * count for name, count in flash_features(network).items()))


def flash_features(network: Converted) -> Counter[str]:
  """How often the .tflite file of a network has each key of `FLASH_BYTES`."""
  operators, kernels = network.operators, network.kernels
  stored = list({k.key: k for k in kernels}.values())
  counts = Counter(o.kind for o in operators)
  counts['network'] = 1
  del counts['RESHAPE']  # there is one for each STRIDED_SLICE
  counts['concatenated'] = sum(len(o.inputs) for o in operators if o.kind == 'CONCATENATION')
  biases = _biases(network)
  constants = _constants(network)
  widths = {k.channels for k in stored} - {1}
  counts['constant'] = len(constants)
  counts['bias'] = len(biases)
  counts['dense kernel'] = sum(k.dense for k in stored)
  counts['byte'] = (
    sum(_aligned(k.weights) for k in stored)
    + sum(_aligned(4 * channels) for channels in biases.values())
    + 4 * sum(k.channels for k in stored)  # a scale each
    + 8 * sum(widths)  # zero points
  )
  counts['width'] = len(widths)
  counts['shape'] = len(
    {o.shape for o in operators}
    | {(channels,) for channels in biases.values()}
    | {(k.key if k.dense else (k.weights, k.channels)) for k in stored}
  )
  counts['options'] = len({_options(network, o) for o in operators} - {()})
  scales = _scales(operators)
  counts['scale'] = len(set(scales))
  # That of values which are never negative is stored once.
  counts['zero point'] = len(set(scales) - {scales[i] for i in _positive(operators)})
  return counts


def _options(network: Converted, operator: Operator) -> tuple[object, ...]:
  """What tells the options of an operator from those of others; () where it has none."""
  if operator.kind in _WITHOUT_OPTIONS:
    return ()
  if operator.kind in ('RESHAPE', 'CONCATENATION', 'MEAN'):
    return (operator.kind, operator.shape if operator.kind == 'RESHAPE' else ())
  node = network.architecture.nodes[operator.node]
  names: tuple[str, ...] = ('stride', 'dilation')
  if operator.kind.endswith('POOL_2D'):
    names = ('stride', 'kernel_height', 'kernel_width')
  return (operator.kind, operator.relu, *(dict(node.attributes).get(name) for name in names))


def _positive(operators: tuple[Operator, ...]) -> set[int]:
  """The operators whose results are never negative (see `rlnas.child.compact`)."""
  found: set[int] = set()
  for index, operator in enumerate(operators):
    kept = operator.kind in _KEEP_SIGN and found.issuperset(operator.inputs)
    if kept or operator.relu or operator.kind in ('RELU', 'LOGISTIC'):
      found.add(index)
  return found


def _scales(operators: tuple[Operator, ...]) -> list[int]:
  """For each operator something that tells the scale of its result from others."""
  steps = [
    Step(tuple(i for i in o.inputs if i != INPUT), SCALES.get(o.kind, Scale.OWN)) for o in operators
  ]
  own = {i: i for i in range(len(operators))}
  for group in scale_groups(steps):
    own.update(dict.fromkeys(group, group[0]))
  for index, step in enumerate(steps):
    if step.scale == Scale.KEPT and own[index] == index and step.inputs:
      own[index] = own[step.inputs[0]]
  fixed = {'TANH': -2, 'LOGISTIC': -3}
  return [fixed.get(o.kind, own[i]) for i, o in enumerate(operators)]


def _input_scales(operators: tuple[Operator, ...]) -> dict[int, tuple[str, int]]:
  """For every node something that tells the scale of its (first) input from others."""
  own: list[tuple[str, int]] = []  # of the results
  read: dict[int, tuple[str, int]] = {}
  for index, (kind, inputs, _, node, _) in enumerate(operators):
    first = ('INPUT', 0) if inputs[0] == INPUT else own[inputs[0]]
    read[node] = first
    if kind in ('TANH', 'LOGISTIC'):  # theirs is 1/128 and 1/256
      own.append((kind, 0))
    else:
      own.append(first if kind in ('STRIDED_SLICE', 'RESHAPE') else (kind, index))
  return read


def _constants(network: Converted) -> set[tuple[str, tuple[int, ...]]]:
  """The constant tensors beside kernels and biases; equal ones are stored once."""
  found: set[tuple[str, tuple[int, ...]]] = set()
  for kind, inputs, shape, index, _ in network.operators:
    if kind == 'MEAN':
      found.add((kind, ()))
    elif kind == 'RESHAPE':
      found.add((kind, shape))
    elif kind == 'PAD':
      read = network.shapes[0] if inputs[0] == INPUT else network.operators[inputs[0]].shape
      found.add((kind, (shape[0] - read[0], shape[1] - read[1])))
    elif kind == 'STRIDED_SLICE':  # begin, end (counted from the end of the sequence) and steps
      node = network.architecture.nodes[index]
      after = network.shapes[0][0] - node['first'] - node['count']
      found |= {(kind, (node['first'],)), (kind, (-after,)), (kind, ())}
  return found


def _biases(network: Converted) -> dict[tuple[object, object], int]:
  """Channels of the biases that are stored: a bias depends on the kernel and the input's scale."""
  read = _input_scales(network.operators)
  return {(k.key, read[k.node]): k.channels for k in network.kernels}


def constant_tensors(network: Converted) -> int:
  """How many constant tensors there are beside kernels and biases."""
  return len(_constants(network))


def _aligned(size: int) -> int:
  return -(-size // 16) * 16
