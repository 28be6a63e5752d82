"""The tensor arena of TFLite Micro, planned without TensorFlow.

TFLite Micro (`tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc`) places buffers in
order of decreasing size, the later of two equal ones first, each at the lowest offset where no
buffer that lives at the same time is in the way. That part of the arena is its head; the tail
holds the interpreter's own structures. They hold pointers, so that the tail of a 32-bit chip is
smaller than that of the 64-bit machine it is measured on.
"""

from __future__ import annotations

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
