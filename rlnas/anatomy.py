"""What a .tflite file says of itself: operators, input, output, and the plan of its tensor arena.

From it follows how large an arena a firmware has to reserve. The plan is that of TFLite Micro
(`rlnas.child.arena`); the sizes of the interpreter's structures are measured, not read from here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from rlnas.backend import flatbuffer_utils
from rlnas.child.arena import ALIGNMENT_BYTES, Buffer, greedy_plan, mean_scratch
from rlnas.child.calibrated import operator_code
from rlnas.child.measure import Footprint

_schema = flatbuffer_utils.schema_fb
_KINDS = {
  code: name for name, code in vars(_schema.BuiltinOperator).items() if not name.startswith('_')
}
_WIDTHS = {_schema.TensorType.INT8: 1, _schema.TensorType.INT32: 4}

# What TFLite Micro plans in, beside the tail, while it loads a network (see
# `rlnas.child.measure.Footprint`).
_LOADING_BYTES_A_TENSOR, _LOADING_BYTES_A_BUFFER = 32, 40


@dataclasses.dataclass(frozen=True)
class Port:
  """The input or output of a network; it stands for (int8 - zero_point) * scale.

  Attributes:
    shape: with the batch of 1.
    scale: step of the int8 values.
    zero_point: the int8 value that stands for 0.
  """

  shape: tuple[int, ...]
  scale: float
  zero_point: int

  @property
  def size_bytes(self) -> int:
    """Of its int8 values."""
    return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Block:
  """A tensor or scratch area in the head of the arena.

  Attributes:
    label: the operator that writes it, 'input', or 'scratch'.
    offset: where it lies, in bytes from the start of the arena.
    size_bytes: before alignment.
    first: the operator that writes it, from 1 on; 0 for the input.
    last: the last operator that reads it.
  """

  label: str
  offset: int
  size_bytes: int
  first: int
  last: int


@dataclasses.dataclass(frozen=True)
class Operator:
  """An operator of the file, in the order of execution.

  Attributes:
    kind: TensorFlow Lite's name, 'CONV_2D'.
    shape: of its result, with the batch of 1.
    live_bytes: of the arena that are in use while it runs.
    constant_bytes: its weights, biases and other constants; shared ones count for every reader.
    kernel_scratch_bytes: that CMSIS-NN asks for beside it.
  """

  kind: str
  shape: tuple[int, ...]
  live_bytes: int
  constant_bytes: int
  kernel_scratch_bytes: int


@dataclasses.dataclass(frozen=True)
class Anatomy:
  """A .tflite file, taken apart.

  Attributes:
    input: its only input.
    output: its only output.
    operators: in the order of execution.
    blocks: what lies in the head of the arena.
    head_bytes: the plan's end.
    head_bytes_with_kernels: the same where the kernels of CMSIS-NN take their scratch areas too.
    tensors: how many there are, constants included.
  """

  input: Port
  output: Port
  operators: tuple[Operator, ...]
  blocks: tuple[Block, ...]
  head_bytes: int
  head_bytes_with_kernels: int
  tensors: int

  @property
  def kinds(self) -> tuple[str, ...]:
    """The different operators, sorted by name: what a resolver must know."""
    return tuple(sorted({operator.kind for operator in self.operators}))


@dataclasses.dataclass(frozen=True)
class Reserve:
  """The arena that a firmware reserves, and of what it consists.

  Attributes:
    measured_bytes: in use once the network is loaded, as TFLite Micro counted on this machine.
    kernel_bytes: more where the scratch areas of CMSIS-NN lie in the arena as well.
    loading_bytes: more while the network is being loaded.
    alignment_bytes: lost where the array is not aligned, and by rounding up.
  """

  measured_bytes: int
  kernel_bytes: int
  loading_bytes: int
  alignment_bytes: int

  @property
  def total_bytes(self) -> int:
    """Of the array."""
    parts = (self.measured_bytes, self.kernel_bytes, self.loading_bytes, self.alignment_bytes)
    return sum(parts)

  @property
  def margin_bytes(self) -> int:
    """What is reserved beyond the measured size."""
    return self.total_bytes - self.measured_bytes


def reserve(anatomy: Anatomy, footprint: Footprint) -> Reserve:
  """What to reserve for a network on a chip whose kernels are the reference ones or CMSIS-NN's.

  The measured tail holds pointers of 8 bytes, those of the chip take 4: a further margin, of some
  hundred bytes to a few thousand, that is not counted here. Kernels of other makers may need more.
  """
  head = anatomy.head_bytes_with_kernels
  loading = _LOADING_BYTES_A_TENSOR * anatomy.tensors + _LOADING_BYTES_A_BUFFER * len(
    anatomy.blocks
  )
  kernel_bytes = head - anatomy.head_bytes
  loading_bytes = max(0, loading - head)
  exact = footprint.sram_bytes + kernel_bytes + loading_bytes + ALIGNMENT_BYTES
  rounded = -(-exact // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
  alignment_bytes = rounded - exact + ALIGNMENT_BYTES
  return Reserve(footprint.sram_bytes, kernel_bytes, loading_bytes, alignment_bytes)


def dissect(model: bytes) -> Anatomy:
  """Takes a .tflite file apart.

  Args:
    model: a full-integer file of one input and one output, as `rlnas.child.quantize` makes it.

  Raises:
    ValueError: the model is not as described.
  """
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  (subgraph,) = graph.subgraphs
  if len(subgraph.inputs) != 1 or len(subgraph.outputs) != 1:
    raise ValueError(
      f'model: has {len(subgraph.inputs)} inputs and {len(subgraph.outputs)} outputs; '
      'must have one of each'
    )
  entry, result = int(subgraph.inputs[0]), int(subgraph.outputs[0])
  kinds = [_KINDS[operator_code(graph, operator)] for operator in subgraph.operators]
  labels, buffers = _buffers(graph, kinds)
  kernel_scratch = [
    _kernel_scratch_bytes(subgraph, kind, operator)
    for kind, operator in zip(kinds, subgraph.operators, strict=True)
  ]
  extra = [Buffer(size, i, i) for i, size in enumerate(kernel_scratch, start=1) if size]
  plan = greedy_plan(buffers)
  blocks = tuple(
    Block(label, offset, buffer.size_bytes, buffer.first, buffer.last)
    for label, offset, buffer in zip(labels, plan.offsets, buffers, strict=True)
  )
  operators = tuple(
    Operator(
      kind,
      _shape(subgraph.tensors[int(operator.outputs[0])]),
      sum(b.size_bytes for b in buffers if b.first <= step <= b.last),
      sum(_constant_bytes(graph, int(index)) for index in operator.inputs),
      scratch,
    )
    for step, (kind, operator, scratch) in enumerate(
      zip(kinds, subgraph.operators, kernel_scratch, strict=True), start=1
    )
  )
  return Anatomy(
    input=_port(subgraph.tensors[entry]),
    output=_port(subgraph.tensors[result]),
    operators=operators,
    blocks=blocks,
    head_bytes=plan.total_bytes,
    head_bytes_with_kernels=greedy_plan([*buffers, *extra]).total_bytes,
    tensors=len(subgraph.tensors),
  )


def _port(tensor: Any) -> Port:
  if tensor.type != _schema.TensorType.INT8:
    raise ValueError('model: input and output must be int8')
  quantization = tensor.quantization
  return Port(_shape(tensor), float(quantization.scale[0]), int(quantization.zeroPoint[0]))


def _shape(tensor: Any) -> tuple[int, ...]:
  return tuple(int(side) for side in tensor.shape)


def _constant_bytes(graph: Any, index: int) -> int:
  """Bytes of a constant; 0 where the tensor is none."""
  if index < 0:
    return 0
  data = graph.buffers[graph.subgraphs[0].tensors[index].buffer].data
  return 0 if data is None else len(data)


def _buffers(graph: Any, kinds: Sequence[str]) -> tuple[list[str], list[Buffer]]:
  """Tensors by index, then scratch areas by operator, as TFLite Micro lists them."""
  subgraph = graph.subgraphs[0]
  first = {int(subgraph.inputs[0]): 0}
  last = dict(first)
  label = {int(subgraph.inputs[0]): 'input'}
  for step, (kind, operator) in enumerate(zip(kinds, subgraph.operators, strict=True), start=1):
    for index in map(int, operator.outputs):
      first.setdefault(index, step)
      label.setdefault(index, kind)
    for index in map(int, (*operator.inputs, *operator.outputs)):
      if index in first:
        last[index] = step
  last[int(subgraph.outputs[0])] = len(kinds)
  tensors = subgraph.tensors
  labels = [label[i] for i in sorted(first)]
  buffers = [
    Buffer(_WIDTHS[tensors[i].type] * math.prod(_shape(tensors[i])), first[i], last[i])
    for i in sorted(first)
  ]
  for step, (kind, operator) in enumerate(zip(kinds, subgraph.operators, strict=True), start=1):
    if kind == 'MEAN':
      source, axes = (_shape(tensors[int(i)]) for i in operator.inputs)
      outputs = math.prod(_shape(tensors[int(operator.outputs[0])]))
      areas = mean_scratch(step, rank=len(source), axes=math.prod(axes), outputs=outputs)
      labels += ['scratch'] * len(areas)
      buffers += areas
  return labels, buffers


def _kernel_scratch_bytes(subgraph: Any, kind: str, operator: Any) -> int:
  """What CMSIS-NN asks for on a core with DSP instructions (Cortex-M4, M7 or M33).

  arm_convolve_s8_get_buffer_size: two columns of the kernel's inputs in 16 bits, rounded up to
  four, nothing for 1x1; arm_depthwise_conv_s8_opt_get_buffer_size: one column;
  arm_avgpool_s8_get_buffer_size: a 32-bit sum a channel. Cores without them take less.
  """
  if kind == 'AVERAGE_POOL_2D':
    return 4 * _shape(subgraph.tensors[int(operator.outputs[0])])[-1]
  if kind not in ('CONV_2D', 'DEPTHWISE_CONV_2D'):
    return 0
  _, height, width, channels = _shape(subgraph.tensors[int(operator.inputs[1])])
  column = height * width * channels
  if kind == 'DEPTHWISE_CONV_2D':
    return 2 * column
  return 0 if (height, width) == (1, 1) else 4 * (-(-column // 4) * 4)
