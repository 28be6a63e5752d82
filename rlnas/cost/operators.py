"""Predicts the operators and kernels of a converted architecture, without TensorFlow.

Nearly every node becomes one operator. ReLU is merged into the sum or product before it, and a
separate operator flattens slices of a sequence. `rlnas.tflite.calibration_fixes` sorts the
operators into the order that is predicted here, and prevents the quantizer from adding any.

The nodes, the operators and the kernels of a network are one array of records each, because
functions compiled by Numba can process them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.architecture import OPS, SIZED, Architecture, Sides, TaskShape, infer_shapes, input_sides
from rlnas.cost.arena_head import cmsis_nn_scratch, mean_scratch
from rlnas.cost.jit import compiled, inlined, inner
from rlnas.cost.kinds import TAKE_RELU
from rlnas.cost.nodes import encoded, read_by, records, shapes_of
from rlnas.cost.scale_order import Scale, execution_order
from rlnas.cost.structures import KINDS
from rlnas.cost.tasks import INPUT, Tasks

Indices = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]

# What operators do to the scale of their values; the result of any other has its own scale.
SCALES = {
  'MAX_POOL_2D': Scale.KEPT,
  'AVERAGE_POOL_2D': Scale.KEPT,
  'PAD': Scale.KEPT,
  'RESHAPE': Scale.KEPT,
  'RESIZE_NEAREST_NEIGHBOR': Scale.KEPT,
  'STRIDED_SLICE': Scale.KEPT,
  'CONCATENATION': Scale.JOINED,
}
KIND_SCALES = np.array([SCALES.get(kind, Scale.OWN) for kind in KINDS], np.int64)


# An operator: its node, whether ReLU is merged into it, and the shape of its result.
OPERATOR = records('kind node relu rank height width channels elements')
# The weights of a convolution or dense layer: node is its node; key is equal for kernels that are
# stored once, and stored is 1 for the first of these; dense is 1 for a dense layer, whose outputs
# have one scale; biased is 1 if it was trained with a bias, and not with batch normalisation;
# weights is the number of elements; channels is the number of outputs, each with its own scale in a
# convolution; macs counts each element once at each place of the map.
KERNEL = records('node key stored dense biased weights channels macs')

_DENSE, _CLASSIFIER = (OPS[op] for op in ('dense', 'classifier'))
_DEPTHWISE = tuple(OPS[op] for op in ('depthwise_conv', 'dilated_depthwise_conv'))
_RECONSTRUCTION = OPS['reconstruction']
_CONVOLUTIONS = (
  *_DEPTHWISE,
  *(OPS[op] for op in ('conv', 'dilated_conv', 'reconstruction')),
)
_FRAMES, _RELU = OPS['frames'], OPS['relu']
_SIZED = tuple(OPS[op] for op in sorted(SIZED))
_SLICE, _RESHAPE = (KINDS.index(kind) for kind in ('STRIDED_SLICE', 'RESHAPE'))
_MEAN = KINDS.index('MEAN')
# Scratch memory of an average over height and width of (batch, h, w, channels): the sizes of two
# areas, and the size of a third one per channel.
_MEAN_AREAS = mean_scratch(rank=4, axes=2, outputs=1)
_TAKES_RELU = np.array([kind in TAKE_RELU for kind in KINDS])


class Converted(NamedTuple):
  """A prediction of the converted network.

  Attributes:
    nodes: nodes of the network after `within_limits`, of dtype `NODE`.
    shapes: shapes of the nodes' values, of dtype `SHAPE`.
    operators: operators in the order of the tensors that they write, of dtype `OPERATOR`. They run
      in the order of `rlnas.cost.schedule.least_arena_order`.
    starts: operator i reads the results `sources[starts[i]:starts[i + 1]]`.
    sources: indices of operators, or `INPUT`.
    kernels: kernels of the nodes, in the nodes' order, of dtype `KERNEL`.
    entries: the first node that each node reads; 0 for the input.
  """

  nodes: Records
  shapes: Records
  operators: Records
  starts: Indices
  sources: Indices
  kernels: Records
  entries: Indices


def predict_operators(architecture: Architecture, task: TaskShape) -> Converted:
  """Predicts the operators and kernels of a network after conversion.

  Args:
    architecture: the network.
    task: shape of its input and number of its classes.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  nodes, rows = encoded(architecture)
  network = converted(nodes, rows, input_sides(task), task.classes)
  if not fits(network):
    raise misfit(architecture, task)
  return network


def misfit(architecture: Architecture, task: TaskShape) -> ValueError:
  """Returns the error that says which shapes of a network do not fit together."""
  try:
    infer_shapes(architecture, task)
  except ValueError as error:
    return error
  return ValueError(f'input_shape={task.input_shape}: the shapes do not fit together')


def count_macs(architecture: Architecture, task: TaskShape) -> tuple[int, int]:
  """Counts the MACs and the elements of all kernels, without the rest of a network's cost.

  Args:
    architecture: the network.
    task: shape of its input and number of its classes.

  Returns:
    Multiply-accumulates of one inference, and elements of all kernels, shared ones counted once.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  macs, elements, _ = totals(predict_operators(architecture, task).kernels)
  return int(macs), int(elements)


@compiled
def converted(nodes: Records, rows: Indices, entry: Sides, classes: int) -> Converted:
  """As `predict_operators`, but returns no operators and kernels if the shapes do not fit together.

  Args:
    nodes: see `rlnas.cost.nodes.encoded`.
    rows: see `rlnas.cost.nodes.encoded`.
    entry: see `rlnas.architecture.input_sides`.
    classes: width of the classifier.
  """
  starts, sources = read_by(rows, len(nodes))
  shapes = shapes_of(nodes, starts, sources, entry, classes)
  if not shapes[-1]['rank']:
    nothing = np.empty(0, np.int64)
    unknown, empty = np.empty(0, OPERATOR), np.empty(0, KERNEL)
    return Converted(nodes, shapes, unknown, nothing, nothing, empty, nothing)
  kernels = _kernels(nodes, starts, sources, shapes)
  entries = np.zeros(len(nodes), np.int64)
  for index in range(1, len(nodes)):
    entries[index] = sources[starts[index]]
  written, starts, sources = _written(nodes, starts, sources, shapes)
  order = execution_order(starts, sources, scales_of(written), len(written) - 1)
  operators, starts, sources = _reordered(written, starts, sources, order)
  return Converted(nodes, shapes, operators, starts, sources, kernels, entries)


def fits(network: Converted) -> bool:
  """Returns whether the shapes of the network's values fit together."""
  return len(network.operators) > 0


@inner
def scales_of(operators: Records) -> Indices:
  """Returns what each operator does to the scale of its values; see `Scale`."""
  scales = np.empty(len(operators), np.int64)
  for index in range(len(operators)):
    scales[index] = KIND_SCALES[operators[index]['kind']]
  return scales


@compiled
def arena_tasks(network: Converted) -> Tasks:
  """Returns the operators as tasks for `rlnas.cost.schedule`; all tensors are int8."""
  operators, entry = network.operators, network.shapes[0]
  count = len(operators)
  sizes, areas = np.empty(count + 1, np.int64), np.zeros(count + 1, np.int64)
  scratch = np.empty(3 * count, np.int64)
  sizes[0] = entry['height'] * entry['width'] * entry['channels']
  for index in range(count):
    sizes[index + 1], areas[index + 1] = operators[index]['elements'], areas[index]
    if operators[index]['kind'] == _MEAN:
      channels = _MEAN_AREAS[2] * operators[index]['channels']
      for size in (_MEAN_AREAS[0], _MEAN_AREAS[1], channels):
        scratch[areas[index + 1]] = size
        areas[index + 1] += 1
  return Tasks(network.starts, network.sources, sizes, areas, scratch[: areas[-1]])


@compiled
def chip_tasks(network: Converted, tasks: Tasks, asks_for_3x3: bool, mean_asks_once: bool) -> Tasks:
  """Returns the tasks with the scratch areas of CMSIS-NN; see `rlnas.cost.arena.scratch_areas`.

  Args:
    network: the network.
    tasks: what `arena_tasks` returns for it.
    asks_for_3x3: see `rlnas.cost.builds.Build`.
    mean_asks_once: see `rlnas.cost.builds.Build`.
  """
  operators, nodes, count = network.operators, network.nodes, len(network.operators)
  areas, scratch = np.zeros(count + 1, np.int64), np.empty(4 * count, np.int64)
  filled = 0
  for index in range(count):
    operator, node = operators[index], nodes[operators[index]['node']]
    begin, end = tasks.areas[index], tasks.areas[index + 1]
    for size in tasks.scratch[max(begin, end - 1) if mean_asks_once else begin : end]:
      scratch[filled] = size
      filled += 1
    size = cmsis_nn_scratch(
      operator['kind'],
      node['kernel_height'],
      node['kernel_width'],
      network.shapes[network.entries[operator['node']]]['channels'],
      operator['channels'],
      1,
      node['dilation'] > 1,
      asks_for_3x3,
    )
    if size:
      scratch[filled] = size
      filled += 1
    areas[index + 1] = filled
  return Tasks(tasks.starts, tasks.sources, tasks.sizes, areas, scratch[:filled])


@compiled
def totals(kernels: Records) -> tuple[int, int, int]:
  """Returns the multiply-accumulates of one inference, the elements of all kernels, all weights.

  Weights are the kernels, biases of layers without batch normalisation, and gamma and beta of it.
  Shared kernels count once.
  """
  macs, elements, weights = 0, 0, 0
  for kernel in kernels:
    macs += kernel['macs']
    if kernel['stored']:
      elements += kernel['weights']
      weights += kernel['weights'] + kernel['channels'] * (2 - kernel['biased'])
  return macs, elements, weights


@inner
def _kernels(nodes: Records, starts: Indices, sources: Indices, shapes: Records) -> Records:
  """Returns the kernels of all nodes, in order."""
  kernels, count = np.zeros(len(nodes), KERNEL), 0
  for index in range(1, len(nodes)):
    node, shape = nodes[index], shapes[index]
    first = shapes[sources[starts[index]]]
    dense = node['op'] in (_DENSE, _CLASSIFIER)
    if dense or node['op'] in _CONVOLUTIONS:
      kernel = kernels[count]
      kernel['node'], kernel['dense'], kernel['channels'] = index, dense, shape['channels']
      kernel['biased'] = dense or node['op'] == _RECONSTRUCTION
      kernel['key'] = -node['key'] if node['op'] == _DENSE else index
      kernel['weights'] = shape['channels']
      if node['op'] not in _DEPTHWISE:
        kernel['weights'] *= first['channels']
      if not dense:
        kernel['weights'] *= node['kernel_height'] * node['kernel_width']
      kernel['macs'] = kernel['weights'] * (1 if dense else shape['height'] * shape['width'])
      kernel['stored'] = 1
      for other in kernels[: count if node['op'] == _DENSE else 0]:
        if other['key'] == kernel['key']:
          kernel['stored'] = 0
      count += 1
  return kernels[:count]


@inner
def _written(
  nodes: Records, starts: Indices, sources: Indices, shapes: Records
) -> tuple[Records, Indices, Indices]:
  """Returns the operators in the order of the nodes, and `starts` and `sources` of their inputs."""
  operators, readers = np.zeros(2 * len(nodes), OPERATOR), np.zeros(len(nodes), np.int64)
  for index in range(1, len(nodes)):
    for place in range(starts[index], starts[index + 1]):
      if place == starts[index] or nodes[index]['op'] not in _SIZED:
        readers[sources[place]] += 1
  wrote = np.full(len(nodes), INPUT)  # the operator that writes each node's value
  begins, reads = np.zeros(2 * len(nodes) + 1, np.int64), np.empty(2 * len(sources), np.int64)
  count = 0
  for index in range(1, len(nodes)):
    node, shape = nodes[index], shapes[index]
    taken = sources[starts[index] : starts[index + 1]]
    before = wrote[taken[0]]
    if (
      node['op'] == _RELU
      and readers[taken[0]] == 1
      and before != INPUT
      and _TAKES_RELU[operators[before]['kind']]
    ):
      operators[before]['relu'], wrote[index] = 1, before
      continue
    if node['op'] in _SIZED:
      # It reads only the size of its second input, so two such nodes may be one operator.
      taken = taken[:1]
      known = _sized(operators[:count], begins, reads, node['kind'], before, shape)
      if known >= 0:
        wrote[index] = known
        continue
    begins[count + 1] = begins[count]
    for source in taken:
      reads[begins[count + 1]] = wrote[source]
      begins[count + 1] += 1
    if node['op'] == _FRAMES:
      features = shape['channels'] // node['width']
      _write(operators[count], _SLICE, index, 0, 2, node['width'], 1, features)
      count += 1
      begins[count + 1], reads[begins[count]] = begins[count] + 1, count - 1
      _write(operators[count], _RESHAPE, index, 0, 1, 1, 1, shape['channels'])
    else:
      rank, height, width = shape['rank'], shape['height'], shape['width']
      kind, relu = node['kind'], node['relu']
      _write(operators[count], kind, index, relu, rank, height, width, shape['channels'])
    wrote[index] = count
    count += 1
  return operators[:count], begins[: count + 1], reads[: begins[count]]


@inner
def _sized(
  operators: Records, begins: Indices, reads: Indices, kind: int, source: int, shape: Any
) -> int:
  """Returns an operator of a kind that already brings a result to a shape; -1 if there is none."""
  for index in range(len(operators)):
    operator = operators[index]
    if (
      operator['kind'] == kind
      and reads[begins[index]] == source
      and operator['height'] == shape['height']
      and operator['width'] == shape['width']
      and operator['channels'] == shape['channels']
    ):
      return index
  return -1


@inlined
def _write(
  operator: Any,
  kind: int,
  node: int,
  relu: int,
  rank: int,
  height: int,
  width: int,
  channels: int,
) -> None:
  operator['kind'], operator['node'], operator['relu'] = kind, node, relu
  operator['rank'], operator['height'], operator['width'] = rank, height, width
  operator['channels'], operator['elements'] = channels, height * width * channels


@inner
def _reordered(
  operators: Records, starts: Indices, sources: Indices, order: Indices
) -> tuple[Records, Indices, Indices]:
  """Returns the operators in `order`, and the renumbered `starts` and `sources` of their inputs."""
  ordered, place = np.empty(len(order), OPERATOR), np.empty(len(operators), np.int64)
  begins, reads = np.zeros(len(order) + 1, np.int64), np.empty_like(sources)
  for new in range(len(order)):
    place[order[new]] = new
    ordered[new] = operators[order[new]]
    begins[new + 1] = begins[new]
    for source in sources[starts[order[new]] : starts[order[new] + 1]]:
      reads[begins[new + 1]] = INPUT if source == INPUT else place[source]
      begins[new + 1] += 1
  return ordered, begins, reads[: begins[-1]]
