"""Makes a .tflite file and its tensor arena as small as TFLite Micro allows.

It removes parts that only tools read: names, metadata, signatures, and the quantization of
constants that no kernel uses. Biases of dense layers keep theirs: unless the weights have a scale
for each output, TFLite Micro refuses a layer if the scale of its bias is not that of its products.
Equal parts (zero points, shapes, options) are stored once, because a flatbuffer may refer to one
place several times. The operators are put into the order that needs the smallest arena
(`rlnas.cost.schedule`). The outputs stay the same to the bit, which is checked for every model.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from absl import logging

from rlnas.backend import flatbuffer_utils
from rlnas.cost.arena_head import mean_scratch
from rlnas.cost.scale_order import Scale
from rlnas.cost.schedule import least_arena_order
from rlnas.cost.tasks import INPUT, Task, Tasks
from rlnas.data.scaling import UNSCALED
from rlnas.tflite.calibration_fixes import SCALES, operator_code
from rlnas.tflite.footprint import ArenaOverflow
from rlnas.tflite.inference import int8_logits, tflm_logits

_schema = flatbuffer_utils.schema_fb
_Operator = _schema.BuiltinOperator
_IDENTIFIER = b'TFL3'
_BUFFER_ALIGNMENT = 16  # force_align of Buffer.data in the schema; kernels may rely on it
# Operators whose results are not negative if none of their inputs is.
_KEEP_SIGN = frozenset({*SCALES, _Operator.ADD, _Operator.MUL, _Operator.MEAN})

_WITH_BIAS = frozenset({_Operator.CONV_2D, _Operator.DEPTHWISE_CONV_2D, _Operator.FULLY_CONNECTED})

CHECKED_INPUTS = 2  # number of inputs for which the outputs must be the same


def compact(model: bytes) -> bytes:
  """Packs a network into fewer bytes and, if another order of operators helps, a smaller arena.

  Args:
    model: a full-integer .tflite file with one input and one output; each operator has one result.

  Returns:
    The smaller file; or, with a warning, `model` itself if the outputs would differ.

  Raises:
    ValueError: the model does not meet these conditions.
  """
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  _separate_biases(graph)
  _strip(graph)
  subgraph = graph.subgraphs[0]
  order, _ = least_arena_order(Tasks.of(*_tasks(graph)))
  subgraph.operators = [subgraph.operators[index] for index in order]
  smaller = pack(graph)
  if agree(model, smaller):
    return smaller
  logging.warning(
    'Packing a model of %d bytes would have changed its outputs; it is left as it was.', len(model)
  )
  return model


def agree(model: bytes, other: bytes, *, inputs: int = CHECKED_INPUTS) -> bool:
  """Returns whether two int8 models give the same outputs, to the bit, for random inputs.

  They run on TFLite Micro if it is installed and the arena is not too large, otherwise on
  TensorFlow Lite.

  Args:
    model: a .tflite file.
    other: a .tflite file with the same input shape.
    inputs: number of random inputs.
  """
  shape = _input_shape(model)
  rng = np.random.default_rng(0)
  x = rng.integers(-128, 128, (inputs, *shape)).astype(np.float32)
  return bool(np.array_equal(_outputs(model, x), _outputs(other, x)))


def _outputs(model: bytes, x: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
  try:
    return tflm_logits(model, x, scaling=UNSCALED)
  except (ImportError, ArenaOverflow):  # not installed, or the arena is too large
    return int8_logits(model, x, scaling=UNSCALED)


def _input_shape(model: bytes) -> tuple[int, ...]:
  root = _schema.Model.GetRootAsModel(bytearray(model), 0)
  subgraph = root.Subgraphs(0)
  tensor = subgraph.Tensors(subgraph.Inputs(0))
  return tuple(int(tensor.Shape(i)) for i in range(1, tensor.ShapeLength()))


def _strip(graph: Any) -> None:
  """Removes what TFLite Micro does not read; tensors keep their order."""
  graph.description = graph.metadata = graph.metadataBuffer = graph.signatureDefs = None
  (subgraph,) = graph.subgraphs
  subgraph.name = None
  checked = {bias for _, _, bias in _dense_layers(graph)}
  for index, tensor in enumerate(subgraph.tensors):
    tensor.name = tensor.shapeSignature = None
    tensor.hasRank = False
    if tensor.type == _schema.TensorType.INT32 and index not in checked:  # biases, axes, shapes
      tensor.quantization = None
    if not _is_constant(graph, tensor):
      tensor.buffer = 0  # by convention the buffer of all tensors without data
  used = sorted({0, *(tensor.buffer for tensor in subgraph.tensors)})
  place = {old: new for new, old in enumerate(used)}
  graph.buffers = [graph.buffers[old] for old in used]
  for tensor in subgraph.tensors:
    tensor.buffer = place[tensor.buffer]


def with_bias(graph: Any) -> list[tuple[int, int, int]]:
  """Returns input, kernel and bias of each convolution and dense layer that has a bias."""
  return [
    (int(source), int(kernel), int(bias[0]))
    for operator in graph.subgraphs[0].operators
    if operator_code(graph, operator) in _WITH_BIAS
    for source, kernel, *bias in [operator.inputs]
    if bias and bias[0] >= 0
  ]


def _dense_layers(graph: Any) -> list[tuple[int, int, int]]:
  """Returns input, kernel and bias of each dense layer with a bias and one scale of the weights."""
  subgraph = graph.subgraphs[0]
  return [
    (int(source), int(kernel), int(bias[0]))
    for operator in subgraph.operators
    if operator_code(graph, operator) == _Operator.FULLY_CONNECTED
    for source, kernel, *bias in [operator.inputs]
    if bias and bias[0] >= 0 and len(subgraph.tensors[kernel].quantization.scale) == 1
  ]


def _is_constant(graph: Any, tensor: Any) -> bool:
  data = graph.buffers[tensor.buffer].data
  return data is not None and len(data) > 0


def _tasks(graph: Any) -> tuple[list[Task], int]:
  """Returns the operators as tasks for `least_arena_order`, and the size of the input."""
  subgraph = graph.subgraphs[0]
  (entry,), outputs = subgraph.inputs, subgraph.outputs
  writers = {int(entry): INPUT}
  tasks: list[Task] = []
  for operator in subgraph.operators:
    inputs = dict.fromkeys(writers[t] for t in _values(graph, operator))
    (written,) = operator.outputs
    writers[int(written)] = len(tasks)
    tasks.append(Task(tuple(inputs), _size(subgraph.tensors[written]), _scratch(graph, operator)))
  if list(outputs) != [subgraph.operators[-1].outputs[0]]:
    raise ValueError(f'model: must have one output, of its last operator, not {list(outputs)}')
  return tasks, _size(subgraph.tensors[entry])


def _size(tensor: Any) -> int:
  width = {_schema.TensorType.INT8: 1, _schema.TensorType.INT32: 4}[tensor.type]
  return width * math.prod(map(int, tensor.shape))


def _scratch(graph: Any, operator: Any) -> tuple[int, ...]:
  if operator_code(graph, operator) != _Operator.MEAN:
    return ()
  tensors = graph.subgraphs[0].tensors
  entry, axes = (tensors[index] for index in operator.inputs)
  (result,) = (tensors[index] for index in operator.outputs)
  return mean_scratch(
    rank=len(entry.shape),
    axes=math.prod(map(int, axes.shape)),
    outputs=math.prod(map(int, result.shape)),
  )


class _Builder(flatbuffers.Builder):
  """Deduplicates vectors and aligns buffers' data as the schema demands.

  It stores an array only once, and equal vectors of int32 only once.
  """

  def __init__(self) -> None:
    super().__init__(1024)
    self._vectors: dict[object, int] = {}

  def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802 (the base class's)
    """Writes the vector, unless it has been written before, and returns its place."""
    key: object = x.tobytes() if x.dtype == np.int32 else id(x)  # shapes and lists of tensors
    if key not in self._vectors:
      if x.dtype == np.uint8:  # the data of a buffer
        self.Prep(_BUFFER_ALIGNMENT, x.nbytes)
      self._vectors[key] = super().CreateNumpyVector(x)
    return self._vectors[key]


class _Once:
  """Deduplicates equal tables of a model."""

  def __init__(self, table: Any) -> None:
    self._table = table
    self._place: int | None = None

  def Pack(self, builder: _Builder) -> int:  # noqa: N802 (as all tables)
    """Writes the table, unless it has been written before, and returns its place."""
    if self._place is None:
      self._place = self._table.Pack(builder)
    place: int = self._place
    return place


def pack(graph: Any) -> bytes:
  """Returns the file of a model from `flatbuffer_utils`, with equal parts stored once."""
  known: dict[tuple[Any, ...], _Once] = {}

  def once(table: Any, *kind: object) -> _Once | None:
    if table is None:
      return None
    fields = ((name, _hashable(value)) for name, value in vars(table).items())
    return known.setdefault((type(table), *kind, *fields), _Once(table))

  subgraph = graph.subgraphs[0]
  _share_zero_points(graph)
  for tensor, tied in zip(subgraph.tensors, _tied(graph), strict=True):
    tensor.quantization = once(tensor.quantization, tied)
  for operator in subgraph.operators:
    operator.builtinOptions = once(operator.builtinOptions)
  builder = _Builder()
  builder.Finish(graph.Pack(builder), file_identifier=_IDENTIFIER)
  return bytes(builder.Output())


def _hashable(value: Any) -> Any:
  return (value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value


# The operators determine which parts are shared, not values that are equal by chance. Otherwise the
# size of a file would depend on the weights and could not be predicted before the training.


def _separate_biases(graph: Any) -> None:
  """Separates the buffers of biases that the converter merged because their values are equal.

  The scale of a bias is the scale of its layer's input times that of its kernel, so only layers
  that share both may share a bias.
  """
  subgraph = graph.subgraphs[0]
  tied = _tied(graph)
  owners: dict[int, tuple[int, int]] = {}  # of a buffer: (scale of the input, kernel)
  copies: dict[tuple[int, int], int] = {}
  for operator in subgraph.operators:
    if operator_code(graph, operator) not in _WITH_BIAS or len(operator.inputs) < 3:
      continue
    source, kernel, bias = (int(index) for index in operator.inputs)
    if bias < 0:
      continue
    owner = (tied[source], kernel)
    tensor = subgraph.tensors[bias]
    if owners.setdefault(tensor.buffer, owner) != owner:
      if owner not in copies:
        tensor = copy.copy(tensor)
        buffer = copy.copy(graph.buffers[tensor.buffer])
        buffer.data = buffer.data.copy()
        tensor.buffer = len(graph.buffers)
        graph.buffers.append(buffer)
        copies[owner] = len(subgraph.tensors)
        subgraph.tensors.append(tensor)
      operator.inputs[2] = copies[owner]


def _tied(graph: Any) -> list[int]:
  """Returns for each tensor one that represents all tensors with its scale, whatever the weights.

  Tensors have the same scale if they have the same representative.
  """
  subgraph = graph.subgraphs[0]
  parent = list(range(len(subgraph.tensors)))

  def root(index: int) -> int:
    while parent[index] != index:
      index = parent[index]
    return index

  fixed: dict[int, int] = {}  # of an operator: a result
  for operator in subgraph.operators:
    code, result = operator_code(graph, operator), int(operator.outputs[0])
    if code in (_Operator.TANH, _Operator.LOGISTIC):  # 1/128 and 1/256
      parent[root(result)] = root(fixed.setdefault(code, result))
    scale = SCALES.get(code, Scale.OWN)
    for index in _values(graph, operator) if scale != Scale.OWN else ():
      parent[root(result)] = root(index)
  biases: dict[tuple[int, int], int] = {}
  for source, kernel, bias in _dense_layers(graph):
    parent[root(bias)] = root(biases.setdefault((root(source), kernel), bias))
  return [root(index) for index in range(len(parent))]


def _share_zero_points(graph: Any) -> None:
  """Shares the arrays of equal zero points: of kernels (0) and of values never negative (-128)."""
  subgraph = graph.subgraphs[0]
  positive: set[int] = set()
  for operator in subgraph.operators:
    code, options = operator_code(graph, operator), operator.builtinOptions
    fused = getattr(options, 'fusedActivationFunction', None)
    if (
      code in (_Operator.RELU, _Operator.LOGISTIC)
      or fused == _schema.ActivationFunctionType.RELU
      or (code in _KEEP_SIGN and positive.issuperset(_values(graph, operator)))
    ):
      positive.add(int(operator.outputs[0]))
  shared: dict[bytes, npt.NDArray[np.int64]] = {}
  for index, tensor in enumerate(subgraph.tensors):
    points = tensor.quantization and tensor.quantization.zeroPoint
    if points is not None and (index in positive or _is_constant(graph, tensor)):
      tensor.quantization.zeroPoint = shared.setdefault(points.tobytes(), points)


def _values(graph: Any, operator: Any) -> list[int]:
  """Returns the tensors that an operator reads, without constants."""
  tensors = graph.subgraphs[0].tensors
  return [int(t) for t in operator.inputs if t >= 0 and not _is_constant(graph, tensors[t])]
