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

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rlnas.child.arena import ALIGNMENT_BYTES, Buffer, greedy_plan
from rlnas.child.order import post_order

INPUT = -1  # in place of a step: the network's input

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
  step = [0] * len(tasks)
  for place, index in enumerate(order, start=1):
    step[index] = place
  last = [0, *step]  # of the input, then of each result
  for index, task in enumerate(tasks):
    for source in task.inputs:
      last[source + 1] = max(last[source + 1], step[index])
  buffers = [Buffer(input_bytes, 0, last[0])]
  buffers += [Buffer(task.size_bytes, step[i], last[i + 1]) for i, task in enumerate(tasks)]
  for index in order:
    buffers += [Buffer(size, step[index], step[index]) for size in tasks[index].scratch_bytes]
  return greedy_plan(buffers).total_bytes


def least_arena_order(tasks: Sequence[Task], input_bytes: int) -> tuple[tuple[int, ...], int]:
  """An order of small arena, and the head of that arena; never worse than the order given.

  Args:
    tasks: in an order in which they can run; the last writes the network's output.
    input_bytes: size of the network's input.

  Returns:
    A permutation of the tasks, and the size of the arena's head in bytes.
  """
  best = tuple(range(len(tasks)))
  head = arena_head_bytes(tasks, input_bytes, best)
  graph = _Graph(tasks, input_bytes)
  searches: tuple[Callable[[_Graph], tuple[int, ...]], ...] = (_by_need, _by_growth)
  if len(tasks) <= MOST_STEPS_OF_BEAM:
    searches = (_by_beam, *searches)
  for search in searches:
    if head == graph.widest:
      break  # no order can be better
    order = search(graph)
    if graph.peak(order) < head:
      found = arena_head_bytes(tasks, input_bytes, order)
      if found < head:
        best, head = order, found
  return best, head


class _Graph:
  """The tasks with sizes as they are aligned, and who reads what.

  Attributes:
    inputs: of each task.
    sizes: of the input, then of each result, in bytes.
    scratch: of each task, in bytes.
    readers: of the input, then of each result, as bit masks.
    needs: the tasks that must come before each task, as bit masks.
    widest: what the most demanding task needs alone; no order can do with less.
  """

  def __init__(self, tasks: Sequence[Task], input_bytes: int) -> None:
    self.inputs = [task.inputs for task in tasks]
    self.sizes = [_aligned(input_bytes), *(_aligned(task.size_bytes) for task in tasks)]
    self.scratch = [sum(map(_aligned, task.scratch_bytes)) for task in tasks]
    self.readers = [0] * (len(tasks) + 1)
    self.needs = [0] * len(tasks)
    self.widest = 0
    for index, inputs in enumerate(self.inputs):
      for source in inputs:
        self.readers[source + 1] |= 1 << index
        if source != INPUT:
          self.needs[index] |= 1 << source
      read = sum(self.sizes[source + 1] for source in inputs)
      self.widest = max(self.widest, read + self.sizes[index + 1] + self.scratch[index])

  def moves(self, done: int, ready: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Of each ready task: itself, what it adds while it runs, and what remains of that."""
    for index in ready:
      after = ~(done | 1 << index)
      grown = size = self.sizes[index + 1]
      for source in self.inputs[index]:
        if not self.readers[source + 1] & after:
          grown -= self.sizes[source + 1]
      yield index, size + self.scratch[index], grown

  def then_ready(self, done: int, ready: Sequence[int], index: int) -> tuple[int, ...]:
    """What can run once `index` has: `done` includes it, `ready` is from before."""
    readers, rest = self.readers[index + 1], [i for i in ready if i != index]
    while readers:
      lowest = readers & -readers
      reader = lowest.bit_length() - 1
      if not self.needs[reader] & ~done:
        rest.append(reader)
      readers ^= lowest
    return tuple(rest)

  def start(self) -> tuple[int, ...]:
    """What can run first."""
    return tuple(index for index, needs in enumerate(self.needs) if not needs)

  def peak(self, order: Sequence[int]) -> int:
    """The most bytes that are live at a time; no planner does with less."""
    done, live, peak = 0, self.sizes[0], 0
    for index in order:
      _, during, grown = next(self.moves(done, (index,)))
      peak, live, done = max(peak, live + during), live + grown, done | 1 << index
    return peak


def _aligned(size: int) -> int:
  return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


class _State(NamedTuple):
  """Some tasks have run. `order` is a linked list: (its beginning, the last task)."""

  peak: int
  live: int
  order: tuple[object, int] | None
  ready: tuple[int, ...]


def _by_beam(graph: _Graph) -> tuple[int, ...]:
  """Beam search over sets of tasks that have run, by peak and then by live bytes."""
  states = {0: _State(0, graph.sizes[0], None, graph.start())}
  for _ in graph.inputs:
    # By the set of tasks: (peak, live bytes, order, ready before the last task)
    reached: dict[int, tuple[int, int, tuple[object, int], tuple[int, ...]]] = {}
    for done, state in states.items():
      moves = list(graph.moves(done, state.ready))
      # What costs nothing now can only be worth less later.
      free = (m for m in moves if m[2] <= 0 and state.live + m[1] <= state.peak)
      if (safe := next(free, None)) is not None:
        moves = [safe]
      for index, during, grown in moves:
        peak = max(state.peak, state.live + during)
        after = done | 1 << index
        if after not in reached or peak < reached[after][0]:
          reached[after] = (peak, state.live + grown, (state.order, index), state.ready)
    kept = sorted(reached.items(), key=lambda item: item[1][:2])[:BEAM_WIDTH]
    states = {
      after: _State(peak, live, order, graph.then_ready(after, ready, order[1]))
      for after, (peak, live, order, ready) in kept
    }
  ((_, state),) = states.items()
  return _unlinked(state.order)


def _unlinked(order: object) -> tuple[int, ...]:
  found = []
  while isinstance(order, tuple):
    order, index = order
    found.append(index)
  return tuple(reversed(found))


def _by_growth(graph: _Graph) -> tuple[int, ...]:
  """Always what leaves the fewest bytes live."""
  done, ready, order = 0, graph.start(), []
  while ready:
    _, _, index = min((grown, during, i) for i, during, grown in graph.moves(done, ready))
    done |= 1 << index
    order.append(index)
    ready = graph.then_ready(done, ready, index)
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
    needed.append(max(most, kept + graph.sizes[index + 1] + graph.scratch[index]))
  first = [
    sorted((i for i in inputs if i != INPUT), key=lambda i: (spared(i), i), reverse=True)
    for inputs in graph.inputs
  ]
  return post_order(first, len(first) - 1)
