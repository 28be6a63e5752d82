"""Searches for the order of a network's operators that needs the smallest tensor arena.

TFLite Micro runs operators in the order of the file and keeps every tensor from the operator that
writes it to the last one that reads it. A network with branches has many possible orders. The best
one saves up to 45 % of the arena's head (in networks of cells), a fifth on average. The result of
every operator is the same to the bit.

A beam search and two greedy rules look for the smallest peak of live bytes (ordering a graph for
the least memory is NP-complete: Sethi 1975, "Complete register allocation problems"). TFLite
Micro's planner (`rlnas.cost.arena_head`) leaves gaps, so its plan selects among the orders found
and the given order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.cost.arena_head import ANY_BYTES, greedy_offsets
from rlnas.cost.beam_search import MOST_TASKS, by_beam
from rlnas.cost.jit import compiled, inner
from rlnas.cost.scale_order import post_order
from rlnas.cost.tasks import INPUT, Task, TaskGraph, Tasks, graph_of

Indices = npt.NDArray[np.int64]


def arena_head_bytes(tasks: Sequence[Task], input_bytes: int, order: Sequence[int]) -> int:
  """Returns the size of the arena's head as TFLite Micro plans it.

  Args:
    tasks: the tasks in the order of the tensors that they write; the last writes the network's
      output.
    input_bytes: size of the network's input.
    order: a permutation of the tasks, in which each task comes after those that it reads.

  Raises:
    ValueError: `order` is not a permutation of the tasks.
  """
  if sorted(order) != list(range(len(tasks))):
    raise ValueError(f'order={list(order)}: must name each of {len(tasks)} tasks once')
  graph = graph_of(Tasks.of(tasks, input_bytes))
  return int(_head_bytes(graph, np.array(order, np.int64), ANY_BYTES))


def least_arena_order(tasks: Tasks) -> tuple[Indices, int]:
  """Searches for an order with a small arena; keeps the given order unless another one is better.

  Args:
    tasks: the tasks in an order in which they can run; the last writes the network's output.

  Returns:
    A permutation of the tasks, and the size of the arena's head in bytes.
  """
  order, head = planned_arena(tasks, SEARCHED)
  return order, int(head)


SEARCHED = np.zeros(0, np.int64)
"""In place of an order: `planned_arena` searches for one."""


@compiled
def planned_arena(tasks: Tasks, order: Indices) -> tuple[Indices, int]:
  """As `least_arena_order`; if an order is given, returns it and the head that it needs.

  Both in one function, since machine code of the planner is needed only once then.
  """
  graph, most = graph_of(tasks), np.int64(ANY_BYTES)  # literals would be a type of their own
  if len(order):
    return order, _head_bytes(graph, order, most)
  order = _by_need(graph)
  least = _head_bytes(graph, order, most)
  if least > graph.widest:  # a lower bound for every order
    other = _by_growth(graph)
    head = _head_bytes(graph, other, least)
    if head < least:
      order, least = other, head
  if least > graph.widest and len(graph.during) <= MOST_TASKS:
    other = by_beam(graph, least)
    head = _head_bytes(graph, other, least)
    if head < least:
      order, least = other, head
  given = np.arange(len(graph.during))
  head = _head_bytes(graph, given, least + 1)
  return (given, head) if head <= least else (order, least)


@inner
def _head_bytes(graph: TaskGraph, order: Indices, most: int) -> int:
  """Returns the size of the arena's head for an order, or `most` if it is not below `most`."""
  if len(order) < len(graph.during) or _peak(graph, order) >= most:
    return most
  starts, sources, sizes = graph.starts, graph.sources, graph.sizes
  results = len(sizes)
  every = np.zeros(results + len(graph.scratch), np.int64)
  first, last = np.zeros_like(every), np.zeros_like(every)
  for index in range(results):
    every[index] = sizes[index]
  count = results
  for turn in range(len(order)):
    index, step = order[turn], turn + 1
    first[index + 1], last[index + 1] = step, step
    for source in sources[starts[index] : starts[index + 1]]:
      last[source + 1] = step
    for size in graph.scratch[graph.areas[index] : graph.areas[index + 1]]:
      every[count], first[count], last[count] = size, step, step
      count += 1
  _, head = greedy_offsets(every, first, last, most)
  return min(most, head)


@inner
def _peak(graph: TaskGraph, order: Indices) -> int:
  """Returns the largest number of bytes live at one time, a lower bound for every planner."""
  starts, sources, sizes, during = graph.starts, graph.sources, graph.sizes, graph.during
  left = graph.reading[1:] - graph.reading[:-1]  # readers of each result that have not run
  live, peak = sizes[0], 0
  for index in order:
    peak = max(peak, live + during[index])
    live += sizes[index + 1]
    for source in sources[starts[index] : starts[index + 1]]:
      left[source + 1] -= 1
      if not left[source + 1]:
        live -= sizes[source + 1]
  return peak


@inner
def _by_growth(graph: TaskGraph) -> Indices:
  """Orders the tasks greedily: the next one leaves the fewest bytes live."""
  starts, sources, sizes, during = graph.starts, graph.sources, graph.sizes, graph.during
  reading, readers = graph.reading, graph.readers
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


@inner
def _by_need(graph: TaskGraph) -> Indices:
  """Orders the tasks depth first, starting with the inputs that free the most memory.

  Sethi & Ullman 1970, for trees.
  """
  return post_order(graph.starts, _by_spared(graph), len(graph.during) - 1)


@inner
def _by_spared(graph: TaskGraph) -> Indices:
  """Sorts the sources of each task: first the one after which the most memory is free again."""
  starts, sources, sizes, during = graph.starts, graph.sources, graph.sizes, graph.during
  first = sources.copy()
  needed = np.zeros(len(during), np.int64)  # bytes to compute each result if the graph is a tree
  spared = np.zeros(len(during), np.int64)  # bytes of `needed` that are free again afterwards
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
