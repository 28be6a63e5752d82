"""Describes operators as tasks: the results that each reads, and the memory that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.cost.arena_head import ALIGNMENT_BYTES
from rlnas.cost.jit import inner
from rlnas.cost.scale_order import listed

Bytes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]

INPUT = -1  # the network's input, in place of the index of a task


class Task(NamedTuple):
  """An operator and the memory that it needs.

  Attributes:
    inputs: the tasks whose results it reads, each once, or `INPUT`; without constants, which are
      not in the arena.
    size_bytes: size of its result.
    scratch_bytes: size of each scratch area that it needs while it runs.
  """

  inputs: tuple[int, ...]
  size_bytes: int
  scratch_bytes: tuple[int, ...] = ()


class Tasks(NamedTuple):
  """The tasks of a network as arrays; all sizes are in bytes.

  Attributes:
    starts: task i reads the results `sources[starts[i]:starts[i + 1]]`.
    sources: indices of tasks, or `INPUT`.
    sizes: size of the network's input, then of each result.
    areas: task i needs `scratch[areas[i]:areas[i + 1]]` while it runs.
    scratch: sizes of the scratch areas.
  """

  starts: Indices
  sources: Indices
  sizes: Bytes
  areas: Indices
  scratch: Bytes

  @classmethod
  def of(cls, tasks: Sequence[Task], input_bytes: int) -> Tasks:
    """Builds the arrays from `tasks`, the last of which writes the network's output."""
    sizes = np.array([input_bytes, *(task.size_bytes for task in tasks)], np.int64)
    inputs, scratch = [t.inputs for t in tasks], [t.scratch_bytes for t in tasks]
    return cls(*listed(inputs), sizes, *listed(scratch))


class TaskGraph(NamedTuple):
  """The tasks as the searches for an order need them; all sizes are in bytes, aligned.

  Attributes:
    starts: task i reads the results `sources[starts[i]:starts[i + 1]]`, each once.
    sources: indices of tasks, or `INPUT`.
    sizes: size of the network's input, then of each result.
    during: bytes that each task adds while it runs: its result and scratch areas.
    reading: the tasks `readers[reading[i]:reading[i + 1]]` read result i - 1, or the input if i is
      0.
    readers: indices of tasks.
    areas: task i needs `scratch[areas[i]:areas[i + 1]]` while it runs.
    scratch: sizes of the scratch areas.
    widest: the largest memory that a single task needs: inputs, result and scratch areas.
  """

  starts: Indices
  sources: Indices
  sizes: Bytes
  during: Bytes
  reading: Indices
  readers: Indices
  areas: Indices
  scratch: Bytes
  widest: int


@inner
def graph_of(tasks: Tasks) -> TaskGraph:
  """Builds the graph of tasks that are given in an order in which they can run."""
  starts, sources, sizes, areas, scratch = tasks
  count = len(starts) - 1
  sizes, scratch = _aligned(sizes), _aligned(scratch)
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
  once_each = kept[: once[-1]]
  return TaskGraph(once, once_each, sizes, during, reading, readers, areas, scratch, widest)


@inner
def _aligned(sizes: Bytes) -> Bytes:
  """Rounds sizes up to multiples of `ALIGNMENT_BYTES`."""
  found = np.empty(len(sizes), np.int64)
  for index in range(len(sizes)):
    found[index] = -(-sizes[index] // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
  return found
