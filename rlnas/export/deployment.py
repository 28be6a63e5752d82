"""What a firmware must know of a .tflite file: input, output, operators, and the arena to reserve.

`rlnas.tflite.inspection` measures the file; this module gives its buffers addresses and names.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from rlnas.backend import flatbuffer_utils
from rlnas.cost.arena_head import ALIGNMENT_BYTES, Buffer, greedy_plan
from rlnas.cost.builds import BUILDS
from rlnas.tflite.inspection import ModelReport, measure

_schema = flatbuffer_utils.schema_fb

# Memory that TFLite Micro needs for planning, besides the tail, while it loads a network (see
# `rlnas.tflite.footprint.Footprint`).
_LOADING_BYTES_A_TENSOR, _LOADING_BYTES_A_BUFFER = 32, 40


@dataclasses.dataclass(frozen=True)
class Port:
  """The input or output of a network; its real value is (int8 - zero_point) * scale.

  Attributes:
    shape: with the batch of 1.
    scale: step of the int8 values.
    zero_point: the int8 value of the real value 0.
  """

  shape: tuple[int, ...]
  scale: float
  zero_point: int

  @property
  def size_bytes(self) -> int:
    """The size of its int8 values."""
    return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Block:
  """A tensor or scratch area in the head of the arena.

  Attributes:
    label: the operator that writes it, 'input', or 'scratch'.
    offset: its address, in bytes from the start of the arena.
    size_bytes: its size before alignment.
    first: the operator that writes it, from 1 on; 0 for the input.
    last: the last operator that reads it.
  """

  label: str
  offset: int
  size_bytes: int
  first: int
  last: int


@dataclasses.dataclass(frozen=True)
class DeploymentInfo:
  """What a firmware must know of a .tflite file.

  Attributes:
    input: its only input.
    output: its only output.
    report: its sizes and operators.
    blocks: the tensors and scratch areas in the head of the arena.
  """

  input: Port
  output: Port
  report: ModelReport
  blocks: tuple[Block, ...]

  @property
  def kinds(self) -> tuple[str, ...]:
    """The different operators, sorted by name, which a resolver must register."""
    return self.report.kinds


@dataclasses.dataclass(frozen=True)
class Reserve:
  """The arena that a firmware reserves, and its parts.

  Attributes:
    measured_bytes: in use after the network is loaded, as TFLite Micro measured on this machine.
    kernel_bytes: more if the arena also holds the scratch areas of CMSIS-NN.
    loading_bytes: more while the network is being loaded.
    alignment_bytes: lost if the array is not aligned, and by rounding up.
  """

  measured_bytes: int
  kernel_bytes: int
  loading_bytes: int
  alignment_bytes: int

  @property
  def total_bytes(self) -> int:
    """The size of the array."""
    parts = (self.measured_bytes, self.kernel_bytes, self.loading_bytes, self.alignment_bytes)
    return sum(parts)

  @property
  def margin_bytes(self) -> int:
    """The bytes that are reserved beyond the measured size."""
    return self.total_bytes - self.measured_bytes


def reserve(report: ModelReport) -> Reserve:
  """The arena to reserve for a network on a chip with reference kernels or CMSIS-NN's.

  The measured tail holds pointers of 8 bytes, but those of the chip have 4. This is a further
  margin of some hundred to a few thousand bytes, which is not counted here. Other kernels may need
  more.
  """
  head, _ = report.chip_arena_bytes(BUILDS['m4-cmsis-arduino'])
  loading = (
    _LOADING_BYTES_A_TENSOR * report.structures.eval_tensors
    + _LOADING_BYTES_A_BUFFER * len(report.buffers)
  )
  kernel_bytes = head - report.arena_head_bytes
  loading_bytes = max(0, loading - head)
  exact = report.sram_bytes + kernel_bytes + loading_bytes + ALIGNMENT_BYTES
  rounded = -(-exact // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
  alignment_bytes = rounded - exact + ALIGNMENT_BYTES
  return Reserve(report.sram_bytes, kernel_bytes, loading_bytes, alignment_bytes)


def inspect(model: bytes) -> DeploymentInfo:
  """Reads and measures a .tflite file.

  Args:
    model: a full-integer file with one input and one output, as `rlnas.tflite.quantize` makes it.

  Raises:
    ValueError: the model is not as described.
  """
  report = measure(model)
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  if len(graph.subgraphs) != 1:
    raise ValueError(f'model: has {len(graph.subgraphs)} subgraphs; must have one')
  (subgraph,) = graph.subgraphs
  if len(subgraph.inputs) != 1 or len(subgraph.outputs) != 1:
    raise ValueError(
      f'model: has {len(subgraph.inputs)} inputs and {len(subgraph.outputs)} outputs; '
      'must have one of each'
    )
  entry, result = (subgraph.tensors[int(t[0])] for t in (subgraph.inputs, subgraph.outputs))
  kinds = [operator.kind for operator in report.operators]
  return DeploymentInfo(_port(entry), _port(result), report, _blocks(report.buffers, kinds))


def _port(tensor: Any) -> Port:
  if tensor.type != _schema.TensorType.INT8:
    raise ValueError('model: input and output must be int8')
  shape = tuple(int(side) for side in tensor.shape)
  return Port(shape, float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))


def _blocks(buffers: Sequence[Buffer], kinds: Sequence[str]) -> tuple[Block, ...]:
  """The buffers with addresses; after its result, all that an operator begins is scratch."""
  blocks: list[Block] = []
  written: set[int] = set()
  for buffer, offset in zip(buffers, greedy_plan(buffers).offsets, strict=True):
    kind = kinds[buffer.first - 1] if buffer.first else 'input'
    label = 'scratch' if buffer.first in written else kind
    written.add(buffer.first)
    blocks.append(Block(label, offset, buffer.size_bytes, buffer.first, buffer.last))
  return tuple(blocks)
