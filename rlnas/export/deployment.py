"""The facts on a .tflite file that a firmware needs: input, output, operators, arena to reserve.

`rlnas.tflite.inspection` measures the file; this module gives its buffers addresses and names.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from rlnas.backend import flatbuffer_utils
from rlnas.cost.arena import Arena, Contents
from rlnas.cost.arena_head import ALIGNMENT_BYTES, Buffer, greedy_plan
from rlnas.cost.builds import BUILDS, HOST, Build
from rlnas.export.esp_nn import with_scratch
from rlnas.tflite.inspection import ModelReport, measure
from rlnas.tflite.model_file import read_subgraphs

_schema = flatbuffer_utils.schema_fb


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
  """The facts on a .tflite file that a firmware needs.

  Attributes:
    input: its only input.
    output: its only output.
    report: its sizes and operators.
    blocks: the tensors and scratch areas in the head of the arena.
    with_esp_nn: the contents of the arena on an ESP32-S3, see `rlnas.export.esp_nn`.
  """

  input: Port
  output: Port
  report: ModelReport
  blocks: tuple[Block, ...]
  with_esp_nn: Contents

  @property
  def kinds(self) -> tuple[str, ...]:
    """The different operators, sorted by name, which a resolver must register."""
    return self.report.kinds


@dataclasses.dataclass(frozen=True)
class Reserve:
  """The arena that a firmware reserves, by the platform that it is compiled for.

  A network's files are the same everywhere, so its C header chooses among these sizes. All are
  enough at any alignment of the array.

  Attributes:
    build: the usual build of the board, whose arena the budget limits.
    arena: the arena of that build.
    largest_build: of the builds that the board may have, the one that needs the largest arena.
    largest_bytes: size of the smallest arena that loads there.
    any_build: of all builds for chips of 32 bits whose scratch memory is known, likewise.
    any_bytes: size of the smallest arena that loads there.
    host_bytes: the same for a machine of 64 bits, whose pointers are larger.
    esp32s3_bytes: the same for an ESP32-S3 with ESP-NN, by the formulas of `rlnas.export.esp_nn`.
  """

  build: Build
  arena: Arena
  largest_build: Build
  largest_bytes: int
  any_build: Build
  any_bytes: int
  host_bytes: int
  esp32s3_bytes: int

  @property
  def total_bytes(self) -> int:
    """The array for a firmware whose build is one of the board's."""
    return self.largest_bytes + ALIGNMENT_BYTES

  @property
  def any_total_bytes(self) -> int:
    """The array if a third-party library decides the kernels and TF_LITE_STATIC_MEMORY."""
    return max(self.any_bytes, self.largest_bytes) + ALIGNMENT_BYTES

  @property
  def host_total_bytes(self) -> int:
    """The array on a machine of 64 bits."""
    return self.host_bytes + ALIGNMENT_BYTES

  @property
  def esp32s3_total_bytes(self) -> int:
    """The array on an ESP32-S3 with ESP-NN."""
    return self.esp32s3_bytes + ALIGNMENT_BYTES

  @property
  def margin_bytes(self) -> int:
    """The bytes that are reserved beyond the smallest arena of the usual build."""
    return self.total_bytes - self.arena.smallest_bytes


def reserve(info: DeploymentInfo, builds: Sequence[Build] = ()) -> Reserve:
  """The arena to reserve for a network.

  Args:
    info: the network.
    builds: the builds of TFLite Micro that the board may have, the usual one first; if none are
      given, all whose scratch memory is known.
  """
  known = tuple(b for b in BUILDS.values() if b != HOST and b.scratch_is_known)
  usual = builds[0] if builds else HOST
  own = tuple(b for b in builds if b != HOST) or known
  scratched = dataclasses.replace(info.report, contents=info.with_esp_nn)

  def needed(build: Build) -> int:
    report = info.report if build.scratch_is_known else scratched
    return report.arena(build).smallest_bytes

  largest, any_build = max(own, key=needed), max(known, key=needed)
  return Reserve(
    usual,
    info.report.arena(usual),
    largest,
    needed(largest),
    any_build,
    needed(any_build),
    needed(HOST),
    needed(BUILDS['esp32s3']),
  )


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
  return DeploymentInfo(
    _port(entry),
    _port(result),
    report,
    _blocks(report.buffers, kinds),
    with_scratch(report.contents, read_subgraphs(model)),
  )


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
