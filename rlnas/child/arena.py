"""The tensor arena of TFLite Micro, planned without TensorFlow.

TFLite Micro (`tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc`) places buffers in
order of decreasing size, the later of two equal ones first, each at the lowest offset where no
buffer that lives at the same time is in the way. That part of the arena is its head; the tail
holds the interpreter's own structures. They hold pointers, so that the tail of a 32-bit chip is
smaller than that of the 64-bit machine it is measured on.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence

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
  sizes = [aligned(b.size_bytes) for b in buffers]
  offsets = greedy_offsets(sizes, [b.first for b in buffers], [b.last for b in buffers])
  total = max((offset + size for offset, size in zip(offsets, sizes, strict=True)), default=0)
  return Plan(tuple(offsets), total)


def greedy_offsets(sizes: Sequence[int], first: Sequence[int], last: Sequence[int]) -> list[int]:
  """As `greedy_plan`, without its checks: the search for an order plans by the thousand.

  Args:
    sizes: of the buffers, as `aligned`.
    first: the steps that write them.
    last: the last steps that read them.
  """
  offsets = [0] * len(sizes)
  placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last; by offset
  for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i], -i)):
    offset, size, begin, end = 0, sizes[index], first[index], last[index]
    for low, high, written, read in placed:
      if written <= end and begin <= read:
        if low - offset >= size:
          break
        if high > offset:
          offset = high
    offsets[index] = offset
    bisect.insort(placed, (offset, offset + size, begin, end))
  return offsets


def aligned(size: int) -> int:
  """Rounded up to `ALIGNMENT_BYTES`."""
  return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


MEAN_SCRATCH = 3  # areas that the MEAN kernel asks for


def mean_scratch(step: int, *, rank: int, axes: int, outputs: int) -> list[Buffer]:
  """What the MEAN kernel asks for beside its tensors (`reduce_common.cc`), all of it int32.

  Args:
    step: the operator's.
    rank: dimensions of its input.
    axes: how many of them it averages over.
    outputs: elements of its result, which are summed up in 32 bits.
  """
  return [Buffer(4 * count, step, step) for count in (rank, axes, outputs)]
