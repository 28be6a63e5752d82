"""Plans the head of TFLite Micro's tensor arena without TensorFlow.

TFLite Micro (`tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc`) places buffers in
order of decreasing size, the later of two equal ones first. Each gets the lowest offset that
overlaps no buffer live at the same time. These buffers are the head of the arena; the tail holds
the interpreter's own structures. They hold pointers, so the tail on a 32-bit chip is smaller than
on the 64-bit machine that measures it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.cost.jit import inner
from rlnas.cost.structures import KINDS

Bytes = npt.NDArray[np.int64]
Steps = npt.NDArray[np.int64]

# More SRAM than any microcontroller in the board table has.
MAX_ARENA_BYTES = 4 * 2**20
# TFLite Micro may read a null pointer (and end its process) if the arena is a little too small.
# Therefore it gets twice the limit, and only models whose planned arena is within the limit.
ROOMY_ARENA_BYTES = 2 * MAX_ARENA_BYTES
ANY_BYTES = 2**62  # no limit: more than any network needs
ALIGNMENT_BYTES = 16  # MicroArenaBufferAlignment() in micro_arena_constants.h


@dataclasses.dataclass(frozen=True)
class Buffer:
  """A tensor or scratch area in the arena.

  Attributes:
    size_bytes: its size before alignment.
    first: the step (operator) that writes it, from 0 on.
    last: the last step that reads it, inclusive.
    offset: its offset if the file has a plan of the arena, see `rlnas.tflite.offline_plan`.

  Raises:
    ValueError: the size, `first` or `offset` is negative, or `last` comes before `first`.
  """

  size_bytes: int
  first: int
  last: int
  offset: int | None = None

  def __post_init__(self) -> None:
    if self.size_bytes < 0:
      raise ValueError(f'size_bytes={self.size_bytes}: must not be negative')
    if self.first < 0:
      raise ValueError(f'first={self.first}: must not be negative')
    if self.last < self.first:
      raise ValueError(f'last={self.last}: must not come before first={self.first}')
    if self.offset is not None and self.offset < 0:
      raise ValueError(f'offset={self.offset}: must not be negative')


@dataclasses.dataclass(frozen=True)
class Plan:
  """The places of the buffers.

  Attributes:
    offsets: offset of each buffer in bytes, in the given order.
    total_bytes: end of the highest buffer: the size of the arena's head.
  """

  offsets: tuple[int, ...]
  total_bytes: int


def greedy_plan(buffers: Sequence[Buffer]) -> Plan:
  """Places the buffers as TFLite Micro does: those with an offset there, the others around them.

  Args:
    buffers: the buffers in the order in which TFLite Micro lists them: tensors by index, then
      scratch areas by operator.

  Returns:
    The plan; sizes are rounded up to `ALIGNMENT_BYTES`.
  """
  sizes = np.array([aligned(b.size_bytes) for b in buffers], np.int64)
  if any(b.offset is not None for b in buffers):
    return _plan_around(buffers, sizes.tolist())
  first = np.array([b.first for b in buffers], np.int64)
  last = np.array([b.last for b in buffers], np.int64)
  offsets, head = greedy_offsets(sizes, first, last, ANY_BYTES)
  return Plan(tuple(offsets.tolist()), int(head))


def _plan_around(buffers: Sequence[Buffer], sizes: Sequence[int]) -> Plan:
  """As `greedy_plan`, if some of the buffers have an offset."""
  offsets: dict[int, int] = {i: b.offset for i, b in enumerate(buffers) if b.offset is not None}
  rest = [index for index in range(len(buffers)) if index not in offsets]
  for index in sorted(rest, key=lambda i: (sizes[i], i), reverse=True):
    one, offset = buffers[index], 0
    taken = (
      (place, place + sizes[other])
      for other, place in offsets.items()
      if buffers[other].first <= one.last and one.first <= buffers[other].last
    )
    for low, high in sorted(taken):
      if low >= offset + sizes[index]:
        break
      offset = max(offset, high)
    offsets[index] = offset
  head = max(offsets[index] + sizes[index] for index in offsets)
  return Plan(tuple(offsets[index] for index in range(len(buffers))), head)


@inner
def greedy_offsets(sizes: Bytes, first: Steps, last: Steps, most: int) -> tuple[Bytes, int]:
  """As `greedy_plan`, but compiled, because the search for an order makes thousands of plans.

  Args:
    sizes: sizes of the buffers, rounded as by `aligned`.
    first: the steps that write them.
    last: the last steps that read them.
    most: limit in bytes; the planning stops if it reaches the limit.

  Returns:
    The offsets of the placed buffers, and the end of the highest one.
  """
  count, offsets, ends, head = len(sizes), np.zeros_like(sizes), np.zeros_like(sizes), 0
  turns = _by_size(sizes)
  # The placed buffers that are live at step t are `alive[room[t]:filled[t]]`.
  room = _room(first, last)
  filled, alive = room[:-1].copy(), np.empty(room[-1], np.int64)
  # For each step, the last placed buffer that begins there; for each buffer, the one before it.
  latest, before = np.full(len(filled), -1), np.empty(count, np.int64)
  lows, highs = np.empty(count, np.int64), np.empty(count, np.int64)  # of buffers live meanwhile
  for index in turns:
    begin, end, size, met = first[index], last[index], sizes[index], 0
    for place in range(room[begin], filled[begin]):
      other = alive[place]
      lows[met], highs[met] = offsets[other], ends[other]
      met += 1
    for step in range(begin + 1, end + 1):
      other = latest[step]
      while other >= 0:
        lows[met], highs[met] = offsets[other], ends[other]
        met, other = met + 1, before[other]
    offset, moved = 0, True
    while moved:
      moved = False
      for place in range(met):
        if lows[place] < offset + size and highs[place] > offset:
          offset, moved = highs[place], True
    offsets[index], ends[index], head = offset, offset + size, max(head, offset + size)
    if head >= most:
      break
    before[index], latest[begin] = latest[begin], index
    for step in range(begin, end + 1):
      alive[filled[step]] = index
      filled[step] += 1
  return offsets, head


@inner
def _by_size(sizes: Bytes) -> Steps:
  """Returns the buffers by decreasing size, the later first if sizes are equal."""
  turns = np.arange(len(sizes))
  gap = len(sizes) // 2
  while gap:  # Shell 1959, "A high-speed sorting procedure"
    for index in range(gap, len(turns)):
      moved, place = turns[index], index
      while place >= gap and (sizes[turns[place - gap]], turns[place - gap]) < (
        sizes[moved],
        moved,
      ):
        turns[place] = turns[place - gap]
        place -= gap
      turns[place] = moved
    gap //= 2
  return turns


@inner
def _room(first: Steps, last: Steps) -> Steps:
  """Returns where the list of buffers live at each step begins, and where the last list ends."""
  steps = 0
  for index in range(len(last)):
    steps = max(steps, last[index] + 1)
  room = np.zeros(steps + 1, np.int64)
  for index in range(len(first)):
    room[first[index]] += 1
    room[last[index] + 1] -= 1
  live, begin = 0, 0
  for step in range(len(room)):
    live += room[step]
    room[step], begin = begin, begin + live
  return room


def aligned(size: int) -> int:
  """Rounds a size up to a multiple of `ALIGNMENT_BYTES`."""
  return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def mean_scratch(*, rank: int, axes: int, outputs: int) -> tuple[int, int, int]:
  """Returns the sizes of the scratch areas that the MEAN kernel requests, all of int32.

  Source: `reduce_common.cc`.

  Args:
    rank: number of dimensions of its input.
    axes: number of dimensions over which it averages.
    outputs: number of elements of its result, which are summed in 32 bits.
  """
  return 4 * rank, 4 * axes, 4 * outputs


_CONV_2D, _DEPTHWISE_CONV_2D, _AVERAGE_POOL_2D = (
  KINDS.index(kind) for kind in ('CONV_2D', 'DEPTHWISE_CONV_2D', 'AVERAGE_POOL_2D')
)


@inner
def cmsis_nn_scratch(
  kind: int,
  height: int,
  width: int,
  depth: int,
  channels: int,
  multiplier: int,
  is_dilated: bool,
  asks_for_3x3: bool,
) -> int:
  """Returns the size in bytes of the scratch area that a kernel of CMSIS-NN requests; 0 for none.

  On cores with DSP instructions (arm_convolve_wrapper_s8_get_buffer_size,
  arm_depthwise_conv_wrapper_s8_get_buffer_size and arm_avgpool_s8_get_buffer_size): two columns of
  the input in 16 bits for a convolution, none if it is 1x1; one column for a depthwise convolution
  without dilation or multiplier, and none if it is 3x3 in releases after 2023; one 32-bit sum per
  channel for average pooling.

  Args:
    kind: index of the operator's kind in `KINDS`.
    height: height of its kernel.
    width: width of its kernel.
    depth: input channels of a convolution, channels of a depthwise one.
    channels: channels of its result.
    multiplier: number of results for each input channel of a depthwise convolution.
    is_dilated: whether the elements of its kernel lie apart.
    asks_for_3x3: see `rlnas.cost.builds.Build`.
  """
  if kind == _CONV_2D and (height * width != 1 or is_dilated):
    return 4 * (-(-height * width * depth // 4) * 4)
  if kind == _DEPTHWISE_CONV_2D:
    spared = height == width == 3 and not asks_for_3x3
    return 0 if spared or is_dilated or multiplier != 1 else 2 * height * width * depth
  return 4 * channels if kind == _AVERAGE_POOL_2D else 0
