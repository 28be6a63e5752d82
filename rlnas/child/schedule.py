"""In which order the operators of a finished network run: the one that needs the smallest arena.

TFLite Micro runs operators in the order of the file and keeps every tensor from the operator that
writes it to the last one that reads it. A network that branches has many orders; which of them is
best decides up to 45 % of the arena's head (of cells), a fifth on the mean. The result of every
operator is the same to the bit.

The smallest peak of live bytes is what is looked for (ordering a graph for the least memory is
NP-complete: Sethi 1975, "Complete register allocation problems"), by a beam search and by two
greedy rules; since TFLite Micro's planner (`rlnas.child.arena`) leaves gaps, its plan decides
between them and the order given.

The searches are compiled by Numba, which makes them some 15 times as fast as Python runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.child.arena import ordered_head_bytes
from rlnas.child.beam import MOST_TASKS, by_beam
from rlnas.child.order import listed, post_order
from rlnas.compiled import compiled

Bytes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

INPUT = -1  # in place of a step: the network's input
_ANY = 2**62  # bytes that no network needs


class Task(NamedTuple):
  """An operator and the memory that it needs.

  Attributes:
    inputs: the tasks whose results it reads, each once, or `INPUT`; constants are not in the arena.
    size_bytes: of its result.
    scratch_bytes: of each area that it needs while it runs.
  """

  inputs: tuple[int, ...]
  size_bytes: int
  scratch_bytes: tuple[int, ...] = ()


class Tasks(NamedTuple):
  """The tasks of a network as arrays; all sizes are in bytes.

  Attributes:
    starts: task i reads the results `sources[starts[i]:starts[i + 1]]`.
    sources: tasks, or `INPUT`.
    sizes: of the network's input, then of each result.
    areas: task i needs `scratch[areas[i]:areas[i + 1]]` while it runs.
    scratch: sizes.
  """

  starts: Indices
  sources: Indices
  sizes: Bytes
  areas: Indices
  scratch: Bytes

  @classmethod
  def of(cls, tasks: Sequence[Task], input_bytes: int) -> Tasks:
    """The arrays of `tasks`, the last of which writes the network's output."""
    sizes = np.array([input_bytes, *(task.size_bytes for task in tasks)], np.int64)
    inputs, scratch = [t.inputs for t in tasks], [t.scratch_bytes for t in tasks]
    return cls(*listed(inputs), sizes, *listed(scratch))


def arena_head_bytes(tasks: Sequence[Task], input_bytes: int, order: Sequence[int]) -> int:
  """The head of the arena as TFLite Micro plans it.

  Args:
    tasks: in the order of the tensors that they write; the last writes the network's output.
    input_bytes: size of the network's input.
    order: a permutation of the tasks in which all inputs come first.
  """
  starts, sources, sizes, _, areas, scratch, *_ = _prepared(*Tasks.of(tasks, input_bytes))
  head = ordered_head_bytes(starts, sources, sizes, areas, scratch, np.array(order, np.int64))
  return int(head)


def least_arena_order(tasks: Tasks) -> tuple[Indices, int]:
  """An order of small arena, and the head of that arena: the order given, unless another is better.

  Args:
    tasks: in an order in which they can run; the last writes the network's output.

  Returns:
    A permutation of the tasks, and the size of the arena's head in bytes.
  """
  return _least(tasks, kept=True)


def least_arena_bytes(tasks: Tasks) -> int:
  """The head of that arena alone, which is found sooner. See `least_arena_order`."""
  return _least(tasks, kept=False)[1]


def _least(tasks: Tasks, *, kept: bool) -> tuple[Indices, int]:
  """See `least_arena_order`; `kept`: whether the order given is, where another does as well."""
  starts, sources, sizes, during, areas, scratch, reading, readers, widest = _prepared(*tasks)
  graph = (starts, sources, sizes, during, reading, readers)
  memory = (starts, sources, sizes, areas, scratch)

  def head_of(order: Indices, most: int) -> int:
    """The head of an order's arena, or `most` where it is not below that."""
    if len(order) < len(during) or _peak(*graph, order) >= most:
      return most
    return min(most, int(ordered_head_bytes(*memory, order)))

  given = np.arange(len(during))
  best, head = given, _ANY
  searches: tuple[Callable[..., Indices], ...] = (_by_need, _by_growth)
  if len(during) <= MOST_TASKS:
    searches = (*searches, by_beam)
  for search in searches:
    if head == widest:
      break  # no order can be better
    order = search(*graph, head)
    found = head_of(order, head)
    if found < head:
      best, head = order, found
  if not (kept and np.array_equal(best, given)):
    found = head_of(given, head + kept)
    if found < head + kept:
      return given, found
  return best, head


@compiled
def _prepared(
  starts: Indices, sources: Indices, sizes: Bytes, areas: Indices, scratch: Bytes
) -> tuple[Indices, Indices, Bytes, Bytes, Indices, Bytes, Indices, Indices, int]:
  """What the searches need of `Tasks`.

  Returns:
    starts and sources, in which each task names a source once; sizes as they are aligned; during,
    what each task adds while it runs, result and scratch; areas, and scratch as it is aligned;
    reading and readers: of the input and of each result i the tasks that read it,
    `readers[reading[i]:reading[i + 1]]`; widest, what the most demanding task needs alone.
  """
  count = len(starts) - 1
  sizes, scratch = -(-sizes // 16) * 16, -(-scratch // 16) * 16  # ALIGNMENT_BYTES
  once, reading = np.zeros_like(starts), np.zeros(count + 2, np.int64)
  kept = np.empty_like(sources)
  for index in range(count):
    once[index + 1] = once[index]
    for source in sources[starts[index] : starts[index + 1]]:
      met = False
      for other in kept[once[index] : once[index + 1]]:
        met |= other == source
      if not met:
        kept[once[index + 1]] = source
        once[index + 1] += 1
        reading[source + 2] += 1
  for index in range(count + 1):
    reading[index + 1] += reading[index]
  readers, filled = np.empty(once[-1], np.int64), reading.copy()
  during, widest = sizes[1:].copy(), 0
  for index in range(count):
    for size in scratch[areas[index] : areas[index + 1]]:
      during[index] += size
    needed = during[index]
    for source in kept[once[index] : once[index + 1]]:
      readers[filled[source + 1]] = index
      filled[source + 1] += 1
      needed += sizes[source + 1]
    widest = max(widest, needed)
  return once, kept[: once[-1]], sizes, during, areas, scratch, reading, readers, widest


@compiled
def _peak(
  starts: Indices,
  sources: Indices,
  sizes: Bytes,
  during: Bytes,
  reading: Indices,
  readers: Indices,
  order: Indices,
) -> int:
  """The most bytes that are live at a time; no planner does with less."""
  left = reading[1:] - reading[:-1]  # readers of each result that have not run
  live, peak = sizes[0], 0
  for index in order:
    peak = max(peak, live + during[index])
    live += sizes[index + 1]
    for source in sources[starts[index] : starts[index + 1]]:
      left[source + 1] -= 1
      if not left[source + 1]:
        live -= sizes[source + 1]
  return peak


@compiled
def _by_growth(
  starts: Indices,
  sources: Indices,
  sizes: Bytes,
  during: Bytes,
  reading: Indices,
  readers: Indices,
  most: int,
) -> Indices:
  """Always what leaves the fewest bytes live."""
  count = len(during)
  left = reading[1:] - reading[:-1]  # readers of the input and each result that have not run
  missing = np.zeros(count, np.int64)  # results that each task waits for
  order, able, width = np.empty(count, np.int64), np.empty(count, np.int64), 0
  for index in range(count):
    for source in sources[starts[index] : starts[index + 1]]:
      missing[index] += source != INPUT
    if not missing[index]:
      able[width] = index
      width += 1
  for step in range(count):
    least = (0, 0, -1)
    for place in range(width):
      index = able[place]
      grown = sizes[index + 1]
      for source in sources[starts[index] : starts[index + 1]]:
        if left[source + 1] == 1:
          grown -= sizes[source + 1]
      found = (grown, during[index], index)
      if least[2] < 0 or found < least:
        least, chosen = found, place
    order[step] = index = able[chosen]
    able[chosen] = able[width - 1]
    width -= 1
    for source in sources[starts[index] : starts[index + 1]]:
      left[source + 1] -= 1
    for reader in readers[reading[index + 1] : reading[index + 2]]:
      missing[reader] -= 1
      if not missing[reader]:
        able[width] = reader
        width += 1
  return order


def _by_need(
  starts: Indices,
  sources: Indices,
  sizes: Bytes,
  during: Bytes,
  reading: Indices,
  readers: Indices,
  most: int,
) -> Indices:
  """Depth first, what needs the most memory first (Sethi & Ullman 1970, for trees)."""
  del reading, readers, most
  first = _by_spared(starts, sources, sizes, during)
  order: Indices = post_order(starts, first, len(during) - 1)
  return order


@compiled
def _by_spared(starts: Indices, sources: Indices, sizes: Bytes, during: Bytes) -> Indices:
  """The sources of each task, first the one after which the most memory is free again."""
  first = sources.copy()
  needed = np.zeros(len(during), np.int64)  # to compute each result, were the graph a tree
  spared = np.zeros(len(during), np.int64)  # of that, beyond the result itself
  for index in range(len(during)):
    begin, end, kept, most = starts[index], starts[index + 1], 0, 0
    for place in range(begin + 1, end):
      source, before = first[place], place
      while before > begin and (
        first[before - 1] == INPUT
        or (
          source != INPUT
          and (spared[first[before - 1]], first[before - 1]) < (spared[source], source)
        )
      ):
        first[before] = first[before - 1]
        before -= 1
      first[before] = source
    for source in first[begin:end]:
      if source != INPUT:
        most = max(most, kept + needed[source])
        kept += sizes[source + 1]
    needed[index] = max(most, kept + during[index])
    spared[index] = needed[index] - sizes[index + 1]
  return first
