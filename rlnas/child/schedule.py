"""In which order the operators of a finished network run: the one that needs the smallest arena.

TFLite Micro runs operators in the order of the file and keeps every tensor from the operator that
writes it to the last one that reads it. A network that branches has many orders; which of them is
best decides up to 45 % of the arena's head (of cells), a fifth on the mean. The result of every
operator is the same to the bit.

The smallest peak of live bytes is what is looked for (ordering a graph for the least memory is
NP-complete: Sethi 1975, "Complete register allocation problems"), by a beam search and by two
greedy rules; since TFLite Micro's planner (`rlnas.child.arena`) leaves gaps, its plan decides
between them and the order given.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rlnas.child.arena import aligned, greedy_offsets
from rlnas.child.order import post_order

INPUT = -1  # in place of a step: the network's input
ALL = -1  # as a bit mask: no task has run

BEAM_WIDTH = 16  # 32 saves another 1 % of cells' arenas in twice the time
# The beam's time grows with the square of the steps; unrolled networks, which have more, are trees
# with shared leaves, where the order of Sethi and Ullman does better than any beam that was tried.
MOST_STEPS_OF_BEAM = 120


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


def arena_head_bytes(tasks: Sequence[Task], input_bytes: int, order: Sequence[int]) -> int:
  """The head of the arena as TFLite Micro plans it.

  Args:
    tasks: in the order of the tensors that they write; the last writes the network's output.
    input_bytes: size of the network's input.
    order: a permutation of the tasks in which all inputs come first.
  """
  return _Graph(tasks, input_bytes).head(order)


def least_arena_order(tasks: Sequence[Task], input_bytes: int) -> tuple[tuple[int, ...], int]:
  """An order of small arena, and the head of that arena; never worse than the order given.

  Args:
    tasks: in an order in which they can run; the last writes the network's output.
    input_bytes: size of the network's input.

  Returns:
    A permutation of the tasks, and the size of the arena's head in bytes.
  """
  graph = _Graph(tasks, input_bytes)
  best = tuple(range(len(tasks)))
  head = graph.head(best)
  searches: tuple[Callable[[_Graph], tuple[int, ...]], ...] = (_by_need, _by_growth)
  if len(tasks) <= MOST_STEPS_OF_BEAM:
    searches = (_by_beam, *searches)
  for search in searches:
    if head == graph.widest:
      break  # no order can be better
    order = search(graph)
    if graph.peak(order) < head:
      found = graph.head(order)
      if found < head:
        best, head = order, found
  return best, head


class _Graph:
  """The tasks with sizes as they are aligned, and who reads what.

  Attributes:
    inputs: of each task.
    sizes: of the input, then of each result, in bytes.
    scratch: the areas of each task, in bytes.
    during: what each task adds while it runs: result and scratch, in bytes.
    frees: of each task, for all that it reads: the other readers as a bit mask, and its bytes.
    widest: what the most demanding task needs alone; no order can do with less.
  """

  def __init__(self, tasks: Sequence[Task], input_bytes: int) -> None:
    self.inputs = [task.inputs for task in tasks]
    self.sizes = [aligned(input_bytes), *[aligned(task.size_bytes) for task in tasks]]
    self.scratch = [[aligned(size) for size in task.scratch_bytes] for task in tasks]
    self.during = [self.sizes[i + 1] + sum(areas) for i, areas in enumerate(self.scratch)]
    self._readers = [0] * (len(tasks) + 1)  # of the input, then of each result, as bit masks
    self._needs = [0] * len(tasks)  # the tasks that must come before each task, as bit masks
    for index, inputs in enumerate(self.inputs):
      for source in inputs:
        self._readers[source + 1] |= 1 << index
        if source != INPUT:
          self._needs[index] |= 1 << source
    self.frees = [
      [(self._readers[source + 1] & ~(1 << i), self.sizes[source + 1]) for source in inputs]
      for i, inputs in enumerate(self.inputs)
    ]
    self.widest = max(
      during + sum([size for _, size in frees])
      for during, frees in zip(self.during, self.frees, strict=True)
    )

  def grown(self, index: int, undone: int) -> int:
    """What remains, in bytes, once a ready task has run; `undone` is a mask of the others."""
    size = self.sizes[index + 1]
    for others, freed in self.frees[index]:
      if not others & undone:
        size -= freed
    return size

  def then_ready(self, undone: int, ready: Sequence[int], index: int) -> tuple[int, ...]:
    """What can run once `index` has: `undone` is without it, `ready` is from before."""
    readers, rest = self._readers[index + 1], [i for i in ready if i != index]
    while readers:
      lowest = readers & -readers
      reader = lowest.bit_length() - 1
      if not self._needs[reader] & undone:
        rest.append(reader)
      readers ^= lowest
    return tuple(rest)

  def start(self) -> tuple[int, ...]:
    """What can run first."""
    return tuple(index for index, needs in enumerate(self._needs) if not needs)

  def peak(self, order: Sequence[int]) -> int:
    """The most bytes that are live at a time; no planner does with less."""
    undone, live, peak = ALL, self.sizes[0], 0
    for index in order:
      peak = max(peak, live + self.during[index])
      undone &= ~(1 << index)
      live += self.grown(index, undone)
    return peak

  def head(self, order: Sequence[int]) -> int:
    """The head of the arena as TFLite Micro plans it."""
    step = [0] * len(order)
    for place, index in enumerate(order, start=1):
      step[index] = place
    first, last = [0, *step], [0, *step]  # of the input, then of each result, then of scratch
    for index, inputs in enumerate(self.inputs):
      now = step[index]
      for source in inputs:
        if last[source + 1] < now:
          last[source + 1] = now
    sizes = list(self.sizes)
    for index in order:
      for size in self.scratch[index]:
        sizes.append(size)
        first.append(step[index])
        last.append(step[index])
    return max(map(operator.add, greedy_offsets(sizes, first, last), sizes))


class _State(NamedTuple):
  """Some tasks have run, all but `undone`. `order` is a linked list: (its beginning, last task)."""

  peak: int
  live: int
  undone: int
  order: tuple[object, int] | None
  ready: tuple[int, ...]


def _by_beam(graph: _Graph) -> tuple[int, ...]:
  """Beam search over sets of tasks that have run, by peak and then by live bytes."""
  states = [_State(0, graph.sizes[0], ALL, None, graph.start())]
  for _ in graph.inputs:
    # By the set of tasks, states whose `ready` is still that before the last task.
    reached: dict[int, tuple[int, int, int, tuple[object, int], tuple[int, ...]]] = {}
    for before, live, undone, order, ready in states:
      moves = []
      for index in ready:
        grown = graph.grown(index, undone & ~(1 << index))
        peak = live + graph.during[index]
        if grown <= 0 and peak <= before:
          moves = [(index, before, grown)]
          break  # what costs nothing now can only be worth less later
        moves.append((index, max(peak, before), grown))
      for index, peak, grown in moves:
        after = undone & ~(1 << index)
        known = reached.get(after)
        if known is None or peak < known[0]:
          reached[after] = (peak, live + grown, after, (order, index), ready)
    kept = sorted(reached.values(), key=operator.itemgetter(0, 1))[:BEAM_WIDTH]
    states = [
      _State(peak, live, undone, order, graph.then_ready(undone, ready, order[1]))
      for peak, live, undone, order, ready in kept
    ]
  (state,) = states
  return _unlinked(state.order)


def _unlinked(order: object) -> tuple[int, ...]:
  found = []
  while isinstance(order, tuple):
    order, index = order
    found.append(index)
  return tuple(reversed(found))


def _by_growth(graph: _Graph) -> tuple[int, ...]:
  """Always what leaves the fewest bytes live."""
  undone, ready, order = ALL, graph.start(), []
  while ready:
    _, _, index = min([(graph.grown(i, undone & ~(1 << i)), graph.during[i], i) for i in ready])
    undone &= ~(1 << index)
    order.append(index)
    ready = graph.then_ready(undone, ready, index)
  return tuple(order)


def _by_need(graph: _Graph) -> tuple[int, ...]:
  """Depth first, what needs the most memory first (Sethi & Ullman 1970, for trees)."""
  needed: list[int] = []  # to compute each result, were the graph a tree

  def spared(source: int) -> int:
    return needed[source] - graph.sizes[source + 1]

  for index, inputs in enumerate(graph.inputs):
    kept, most = 0, 0
    for source in sorted((i for i in inputs if i != INPUT), key=spared, reverse=True):
      most = max(most, kept + needed[source])
      kept += graph.sizes[source + 1]
    needed.append(max(most, kept + graph.during[index]))
  first = [
    sorted((i for i in inputs if i != INPUT), key=lambda i: (spared(i), i), reverse=True)
    for inputs in graph.inputs
  ]
  return post_order(first, len(first) - 1)
