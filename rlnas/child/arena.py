"""The tensor arena of TFLite Micro, planned without TensorFlow.

TFLite Micro (`tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc`) places buffers in
order of decreasing size, the later of two equal ones first, each at the lowest offset where no
buffer that lives at the same time is in the way. That part of the arena is its head; the tail
holds the interpreter's own structures. They hold pointers, so that the tail of a 32-bit chip is
smaller than that of the 64-bit machine it is measured on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

# More SRAM than any microcontroller of the board table has.
MAX_ARENA_BYTES = 4 * 2**20
# TFLite Micro may read a null pointer (and end its process) in an arena that is a little too small,
# so it is given twice the room, and only models whose plan passes the limit above.
ROOMY_ARENA_BYTES = 2 * MAX_ARENA_BYTES
ALIGNMENT_BYTES = 16  # MicroArenaBufferAlignment() in micro_arena_constants.h


@dataclasses.dataclass(frozen=True)
class Buffer:
  """A tensor or scratch area of the arena.

  Attributes:
    size_bytes: its size before alignment.
    first: the step (operator) that writes it.
    last: the last step that reads it, included.

  Raises:
    ValueError: the size is negative, or `last` comes before `first`.
  """

  size_bytes: int
  first: int
  last: int

  def __post_init__(self) -> None:
    if self.size_bytes < 0:
      raise ValueError(f'size_bytes={self.size_bytes}: must not be negative')
    if self.last < self.first:
      raise ValueError(f'last={self.last}: must not come before first={self.first}')


@dataclasses.dataclass(frozen=True)
class Plan:
  """Where the buffers lie.

  Attributes:
    offsets: of each buffer, in the order given, in bytes.
    total_bytes: end of the highest buffer: the head of the arena.
  """

  offsets: tuple[int, ...]
  total_bytes: int


def greedy_plan(buffers: Sequence[Buffer]) -> Plan:
  """Places the buffers as TFLite Micro does.

  Args:
    buffers: in the order in which TFLite Micro lists them: tensors by index, then scratch areas
      by operator.

  Returns:
    The plan; sizes are rounded up to `ALIGNMENT_BYTES`.
  """
  sizes = [-(-b.size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES for b in buffers]
  offsets = [0] * len(buffers)
  # For each step what is placed and alive then, as (offset, end).
  placed: list[list[tuple[int, int]]] = [
    [] for _ in range(1 + max((b.last for b in buffers), default=0))
  ]
  for index in sorted(range(len(buffers)), key=lambda i: (-sizes[i], -i)):
    offset, size = 0, sizes[index]
    alive = placed[buffers[index].first : buffers[index].last + 1]
    for start, end in sorted(set().union(*alive)):
      if start - offset >= size:
        break
      offset = max(offset, end)
    offsets[index] = offset
    for here in alive:
      here.append((offset, offset + size))
  total = max((offset + size for offset, size in zip(offsets, sizes, strict=True)), default=0)
  return Plan(tuple(offsets), total)


def mean_scratch(step: int, *, rank: int, axes: int, outputs: int) -> list[Buffer]:
  """What the MEAN kernel asks for beside its tensors (`reduce_common.cc`), all of it int32.

  Args:
    step: the operator's.
    rank: dimensions of its input.
    axes: how many of them it averages over.
    outputs: elements of its result, which are summed up in 32 bits.
  """
  return [Buffer(4 * count, step, step) for count in (rank, axes, outputs)]


# Structures in the tail: TfLiteEvalTensor, NodeAndRegistration, and a multiplier and a shift for
# each output channel of a convolution or dense layer.
TAIL_PER_TENSOR, TAIL_PER_OPERATOR, TAIL_PER_CHANNEL = 24, 64, 8
# Least squares by experiments/fit_cost.py: the interpreter itself, then the data of each operator.
TAIL_BASE = 449.76
TAIL_OF_OPERATOR = {
  'ADD': 72.81,
  'AVERAGE_POOL_2D': 74.62,
  'CONCATENATION': 87.80,
  'CONV_2D': 108.64,
  'DEPTHWISE_CONV_2D': 109.16,
  'FULLY_CONNECTED': 99.13,
  'LOGISTIC': 16.61,
  'MAX_POOL_2D': 71.20,
  'MEAN': 349.56,
  'MUL': 53.33,
  'PAD': 64.50,
  'QUANTIZE': 32,
  'RELU': 32.32,
  'RESHAPE': 33.00,
  'STRIDED_SLICE': 267.60,
  'TANH': 16.37,
}


def tail_bytes(operators: Iterable[str], *, tensors: int, channels: int) -> int:
  """The estimated tail of the arena on a 64-bit machine, aligned.

  Args:
    operators: TensorFlow Lite's name of each operator.
    tensors: how many tensors the network has, constants included.
    channels: how many channels of kernels have a scale of their own, operator by operator.
  """
  structures = sum(TAIL_PER_OPERATOR + TAIL_OF_OPERATOR.get(name, 0) for name in operators)
  total = TAIL_BASE + TAIL_PER_TENSOR * tensors + structures + TAIL_PER_CHANNEL * channels
  return math.ceil(total / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
