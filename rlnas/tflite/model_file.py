"""Reads the subgraphs of a .tflite file: tensors and operators as TFLite Micro sees them.

TensorFlow Lite's interpreter verifies the file first. Other refusals of that interpreter are
ignored, because TFLite Micro decides what runs on a microcontroller. But properties that TFLite
Micro ignores, such as the sparsity of a tensor, are refused here: it would load the file and
compute nonsense.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.backend import flatbuffer_utils, quiet, tf
from rlnas.cost.terms import NO_WINDOW, Window

schema = flatbuffer_utils.schema_fb

OFFLINE_PLAN = b'OfflineMemoryAllocation'  # the metadata with a plan of the arena
UNPLANNED = -1  # the offset of a tensor that TFLite Micro places itself

_PLAN_HEADER = 3  # integers before the offsets: version, subgraph, number of tensors
_PLAN_UNIT = 16  # what TFLite Micro aligns buffers to

_MOST_ELEMENTS = 2**31  # of a tensor
# Bytes of an element in TFLite Micro's arena (TfLiteTypeSizeOf in memory_helpers.cc). An int4 value
# takes a whole byte there; a resource is the number of a variable.
_ITEM_BYTES = {
  **{'FLOAT16': 2, 'FLOAT32': 4, 'FLOAT64': 8, 'BOOL': 1, 'RESOURCE': 4, 'INT4': 1},
  **{'INT8': 1, 'INT16': 2, 'INT32': 4, 'INT64': 8, 'UINT8': 1, 'UINT32': 4, 'UINT64': 8},
  **{'COMPLEX64': 8, 'COMPLEX128': 16},
}
# The beginnings of what TensorFlow Lite's interpreter says of damaged and of other files.
_NO_MODEL = (
  'The model is not a valid Flatbuffer',
  'Model provided has model identifier',
  'Model provided must have at least',
  'Model provided is schema version',
)


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor.

  Attributes:
    name: its name; '' if it has none.
    shape: its shape; () if it is a scalar.
    dtype: the schema's name of its type, for example 'INT8'.
    scales: scales of its values: none, one, or one for each channel.
    zero_points: zero points of its values, likewise.
    buffer: index of its buffer in the file.
    constant_bytes: size of its values in the file; 0 if it is computed.
    is_variable: whether it keeps its values from one inference to the next.
    number: its value if it is a single constant integer or boolean without a scale, else None.
    offset: its offset in the head of the arena, if the file has a plan that places it.
  """

  name: str
  shape: tuple[int, ...]
  dtype: str
  scales: tuple[float, ...]
  zero_points: tuple[int, ...]
  buffer: int
  constant_bytes: int
  is_variable: bool
  number: int | None
  offset: int | None = None

  @property
  def elements(self) -> int:
    """Number of its elements."""
    return math.prod(self.shape)

  @property
  def size_bytes(self) -> int:
    """Its size in the arena, before alignment."""
    return self.elements * _ITEM_BYTES[self.dtype]


@dataclasses.dataclass(frozen=True)
class Operator:
  """An operator.

  Attributes:
    kind: TensorFlow Lite's name of the operator, or the name of a custom one.
    inputs: indices of the tensors that it reads; -1 for an optional one that is left out.
    outputs: indices of the tensors that it writes.
    calls: indices of the subgraphs that it runs: condition and body of a WHILE, the two branches of
      an IF, the subgraph of a CALL_ONCE.
    beta: factor of the values in a SOFTMAX.
    is_transposed: whether the first and the second input are transposed (BATCH_MATMUL).
    window: how a convolution or a pooling moves over its map; the size of a convolution's window is
      that of its weights and is not given here.
  """

  kind: str
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]
  calls: tuple[int, ...] = ()
  beta: float = 1.0
  is_transposed: tuple[bool, bool] = (False, False)
  window: Window = NO_WINDOW


@dataclasses.dataclass(frozen=True)
class Subgraph:
  """A subgraph; the first one of a file is the network.

  Attributes:
    tensors: its tensors, by index.
    operators: its operators, in the order of execution.
    inputs: indices of the tensors that it is given.
    outputs: indices of the tensors that are its results.
  """

  tensors: tuple[Tensor, ...]
  operators: tuple[Operator, ...]
  inputs: tuple[int, ...]
  outputs: tuple[int, ...]


def interpreter_of(content: bytes) -> Any:
  """Opens TensorFlow Lite's interpreter; unlike TFLite Micro, it verifies the file.

  Raises:
    ValueError: `content` is not a .tflite file, or the interpreter refuses it; the message says
      which.
  """
  if not content:
    raise ValueError('model of 0 bytes: not a .tflite file')
  with quiet():
    try:
      return tf.lite.Interpreter(
        model_content=content,
        experimental_op_resolver_type=(
          tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
        num_threads=1,
      )
    except ValueError as error:
      fault = 'not a .tflite file' if _is_no_model(error) else 'TensorFlow Lite refuses it'
      raise ValueError(f'model of {len(content)} bytes: {fault} ({error})') from error


def opens(content: bytes) -> bool:
  """Returns whether TensorFlow Lite's interpreter opens a file.

  Raises:
    ValueError: `content` is not a .tflite file.
  """
  try:
    interpreter_of(content)
  except ValueError as error:
    if error.__cause__ is None or _is_no_model(error.__cause__):
      raise
    return False
  return True


def read_subgraphs(content: bytes) -> tuple[Subgraph, ...]:
  """Reads the subgraphs of a .tflite file.

  Raises:
    ValueError: `content` is not a .tflite file or is damaged; or its network has no operators, or
      a tensor that TFLite Micro cannot represent; the message names the tensor.
  """
  opens(content)
  try:
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    kinds = [_kind(code) for code in model.operatorCodes or ()]
    graphs: Sequence[Any] = model.subgraphs or ()
    offsets = _planned_offsets(model)
    subgraphs = tuple(
      Subgraph(
        tuple(
          dataclasses.replace(_tensor(i, t, model.buffers), offset=offsets.get(i))
          for i, t in enumerate(graph.tensors or ())
        ),
        tuple(_operator(o, kinds) for o in graph.operators or ()),
        _indices(graph.inputs),
        _indices(graph.outputs),
      )
      for graph in graphs
    )
  except (AttributeError, IndexError, KeyError, OverflowError, TypeError, struct.error) as error:
    raise ValueError(f'model of {len(content)} bytes: damaged ({error!r})') from error
  if not subgraphs or not subgraphs[0].operators:
    raise ValueError('model: has no operators')
  for subgraph in subgraphs:
    _check_indices(subgraph, len(subgraphs))
    for place, operator in enumerate(subgraph.operators):
      _check_scales(place, operator, subgraph.tensors)
  _check_inputs(graphs[0])
  return subgraphs


def _planned_offsets(model: Any) -> dict[int, int]:
  """The offsets of tensors by their indices, from the file's plan of the arena if it has one.

  TFLite Micro applies them to each subgraph alike. It does not check what it reads, so ValueError
  is raised for a plan that is damaged.
  """
  for metadata in model.metadata or ():
    if metadata.name != OFFLINE_PLAN:
      continue
    data = model.buffers[metadata.buffer].data
    content = b'' if data is None else bytes(data)
    plan = np.frombuffer(content[: len(content) // 4 * 4], '<i4')
    count = sum(len(graph.tensors or ()) for graph in model.subgraphs or ())
    if len(plan) != _PLAN_HEADER + count or plan[_PLAN_HEADER - 1] != count:
      raise ValueError(f'model: its plan of the arena must have an offset for {count} tensors')
    offsets = plan[_PLAN_HEADER:].tolist()
    if any(o != UNPLANNED and (o < 0 or o % _PLAN_UNIT) for o in offsets):
      raise ValueError('model: an offset in its plan of the arena is negative or not aligned')
    return {index: offset for index, offset in enumerate(offsets) if offset != UNPLANNED}
  return {}


def _is_no_model(error: BaseException) -> bool:
  return str(error).startswith(_NO_MODEL)


def _indices(vector: Any) -> tuple[int, ...]:
  return () if vector is None else tuple(int(i) for i in vector)


def _kind(code: Any) -> str:
  builtin = max(code.deprecatedBuiltinCode, code.builtinCode)
  if builtin == schema.BuiltinOperator.CUSTOM:
    return (code.customCode or b'CUSTOM').decode(errors='replace')
  return _NAMES_OF_OPERATORS[builtin]


def _names_of(enumeration: type) -> dict[int, str]:
  return {v: k for k, v in vars(enumeration).items() if isinstance(v, int)}


_NAMES_OF_OPERATORS = _names_of(schema.BuiltinOperator)
_NAMES_OF_TYPES = _names_of(schema.TensorType)


def _operator(operator: Any, kinds: list[str]) -> Operator:
  kind, options = kinds[operator.opcodeIndex], operator.builtinOptions
  calls: tuple[int, ...] = ()
  if kind == 'WHILE':
    calls = options.condSubgraphIndex, options.bodySubgraphIndex
  elif kind == 'IF':
    calls = options.thenSubgraphIndex, options.elseSubgraphIndex
  elif kind == 'CALL_ONCE':
    calls = (options.initSubgraphIndex,)
  return Operator(
    kind,
    _indices(operator.inputs),
    _indices(operator.outputs),
    calls,
    beta=float(getattr(options, 'beta', 1)),
    is_transposed=(bool(getattr(options, 'adjX', 0)), bool(getattr(options, 'adjY', 0))),
    window=_window(options),
  )


def _window(options: Any) -> Window:
  """The window of an operator's options; of size 1 if they have none."""
  if not hasattr(options, 'strideH'):
    return NO_WINDOW
  return Window(
    int(getattr(options, 'filterHeight', 1)),
    int(getattr(options, 'filterWidth', 1)),
    int(options.strideH),
    int(options.strideW),
    int(getattr(options, 'dilationHFactor', 1)),
    int(getattr(options, 'dilationWFactor', 1)),
    options.padding == schema.Padding.SAME,
  )


def _tensor(index: int, tensor: Any, buffers: Any) -> Tensor:
  """Reads a tensor. Raises ValueError if TFLite Micro cannot represent it or ignores a property."""
  name = (tensor.name or b'').decode(errors='replace')
  shown = f'model: tensor {index}' + (f' ({name})' if name else '')
  shape = _indices(tensor.shape)
  dtype = _NAMES_OF_TYPES.get(tensor.type, str(tensor.type))
  if any(side < 0 for side in shape) or math.prod(shape) > _MOST_ELEMENTS:
    raise ValueError(f'{shown} has the shape {list(shape)}; sizes must be definite')
  if dtype not in _ITEM_BYTES:
    raise ValueError(f'{shown} is of type {dtype}, which TFLite Micro does not support')
  if tensor.sparsity is not None:
    raise ValueError(
      f'{shown} is sparse. TFLite Micro ignores that and would compute with wrong values; '
      'convert the model without sparsity'
    )
  if not 0 <= tensor.buffer < len(buffers):
    raise ValueError(f'{shown} reads buffer {tensor.buffer}; must be below {len(buffers)}')
  buffer, quantization = buffers[tensor.buffer], tensor.quantization
  if buffer.offset > 1 or tensor.externalBuffer:
    raise ValueError(f'{shown} has its values outside the flatbuffer, which TFLite Micro ignores')
  blockwise = schema.QuantizationDetails.BlockwiseQuantization
  if quantization is not None and quantization.detailsType == blockwise:
    raise ValueError(f'{shown} is quantized in blocks, which TFLite Micro ignores')
  scales, zeros = (
    () if values is None else tuple(values)
    for values in (
      (None, None) if quantization is None else (quantization.scale, quantization.zeroPoint)
    )
  )
  data = () if buffer.data is None else buffer.data
  return Tensor(
    name=name,
    shape=shape,
    dtype=dtype,
    scales=tuple(float(s) for s in scales),
    zero_points=tuple(int(z) for z in zeros),
    buffer=tensor.buffer,
    constant_bytes=len(data),
    is_variable=bool(tensor.isVariable),
    number=None if scales or math.prod(shape) != 1 else _number(data, dtype),
  )


def _number(data: Any, dtype: str) -> int | None:
  """Returns the integer that is stored in `data`, or None if there is none."""
  if dtype not in ('INT32', 'INT64', 'BOOL') or len(data) != _ITEM_BYTES[dtype]:
    return None
  return int.from_bytes(bytes(data), 'little', signed=dtype != 'BOOL')


def _check_inputs(graph: Any) -> None:
  """Raises ValueError if an input has no definite shape for one example.

  The first of several dimensions is the batch, which is 1 on a microcontroller.
  """
  for index in _indices(graph.inputs):
    tensor = graph.tensors[index]
    signature = _indices(tensor.shapeSignature)
    if -1 in signature[1:] or signature == (-1,):
      name = (tensor.name or b'').decode(errors='replace')
      raise ValueError(
        f'model: the input {name or index} has the shape '
        f'{["?" if side == -1 else side for side in signature]}; its size must be definite, since '
        'the arena depends on it: convert the model with a fixed input shape'
      )


def _check_indices(subgraph: Subgraph, subgraphs: int) -> None:
  """Raises ValueError if a tensor or subgraph is referred to that does not exist.

  TensorFlow Lite's interpreter ignores such an operator; TFLite Micro reads beyond its tensors.
  """
  count = len(subgraph.tensors)
  for port in (*subgraph.inputs, *subgraph.outputs):
    if not 0 <= port < count:
      raise ValueError(f'model: its input or output is the tensor {port}; must be below {count}')
  for place, operator in enumerate(subgraph.operators):
    named = [i for i in operator.inputs if i != -1]  # -1 is an optional input that is left out
    for index in (*named, *operator.outputs):
      if not 0 <= index < count:
        raise ValueError(f'model: operator {place} has the tensor {index}; must be below {count}')
    for called in operator.calls:
      if not 0 <= called < subgraphs:
        raise ValueError(
          f'model: operator {place} runs the subgraph {called}; must be below {subgraphs}'
        )


def _check_scales(place: int, operator: Operator, tensors: tuple[Tensor, ...]) -> None:
  """Raises ValueError if scales are out of a kernel's range; TFLite Micro would end the process.

  The limits are those of `PreprocessSoftmaxScaling` (softmax_common.cc, 5 integer bits) and of
  `QuantizeMultiplierSmallerThanOneExp` (add_common.cc and sub_common.cc, a left shift of 20).
  """
  if operator.kind not in ('SOFTMAX', 'ADD', 'SUB'):
    return
  ports = [tensors[i] for i in (*operator.inputs, *operator.outputs)]
  if len(ports) < 2 or any(t.dtype != 'INT8' or len(t.scales) != 1 for t in ports):
    return
  read, written = max(t.scales[0] for t in ports[:-1]), ports[-1].scales[0]
  if operator.kind == 'SOFTMAX':
    fits, rule = operator.beta * read > 2**-26, f'more than {2**-26 / (operator.beta or 1):.3g}'
  else:
    fits, rule = 0 < read < written * 2**19, f'less than {written * 2**19:.3g}'
  if not fits:
    raise ValueError(
      f'model: operator {place}, {operator.kind}, reads values with a scale of {read:.3g}, but '
      f'TFLite Micro needs {rule}; values vanish like that in an untrained network'
    )
