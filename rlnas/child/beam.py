"""Beam search for the order of tasks that needs the least memory; see `rlnas.child.schedule`.

Compiled by Numba. Sets of tasks are bits of two integers, which tell whether two orders have come
to the same set; of these the one with the smaller peak goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.child.tasks import TaskGraph
from rlnas.compiled import compiled

Bytes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]
# Starts and sources, sizes, and who reads the input and each result, as bits.
Frees = tuple[Indices, Indices, Bytes, Indices]

BEAM_WIDTH = 16  # 32 saves another 1 % of cells' arenas in twice the time
_BITS = 60
# Unrolled networks have more, and are trees with shared leaves, where the order of Sethi and Ullman
# does better than any beam that was tried.
MOST_TASKS = 2 * _BITS

# A set of tasks that have run, and the task that ran last, in the state `origin` of a step before;
# the others are bits of `low` and `high`.
_STATE = np.dtype([(name, np.int64) for name in ('low', 'high', 'peak', 'live', 'origin', 'task')])


@compiled
def by_beam(graph: TaskGraph, most: int) -> Indices:
  """Beam search over sets of tasks that have run, by peak and then by live bytes.

  Args:
    graph: of at most `MOST_TASKS` tasks.
    most: bytes.

  Returns:
    An order whose peak is below `most`; none where no such was found.
  """
  starts, sources, sizes, during, reading, readers = graph[:6]
  count = len(during)
  needs, read_by = np.zeros((count, 2), np.int64), np.zeros((count + 1, 2), np.int64)  # as bits
  for index in range(count):
    for source in sources[starts[index] : starts[index + 1]]:
      read_by[source + 1, index // _BITS] |= 1 << index % _BITS
      if source >= 0:
        needs[index, source // _BITS] |= 1 << source % _BITS
  frees = (starts, sources, sizes, read_by)
  states = np.zeros(1, _STATE)
  states[0]['low'] = states[0]['high'] = -1
  states[0]['live'] = sizes[0]
  # What can run in each state, and how much of that there is; of this step and the next in turn.
  ready, able = np.empty((2, BEAM_WIDTH, count), np.int64), np.zeros((2, BEAM_WIDTH), np.int64)
  able[0, 0] = _extend(ready[0, 0], 0, needs, np.arange(count), states[0])
  moves, ranks = np.zeros(BEAM_WIDTH, _STATE), np.empty(BEAM_WIDTH, np.int64)
  grown, trace = np.empty(count, np.int64), np.zeros((count, BEAM_WIDTH), _STATE)
  for step in range(count):
    now, then = step % 2, (step + 1) % 2
    found = _moves(frees, during, states, ready[now], able[now], most, moves, ranks, grown)
    if not found:
      return np.empty(0, np.int64)
    states = trace[step, :found]
    for place in range(found):
      states[place] = moves[ranks[place]]
      state, kept = states[place], 0
      for task in ready[now, state['origin'], : able[now, state['origin']]]:
        if task != state['task']:
          ready[then, place, kept] = task
          kept += 1
      next_ones = readers[reading[state['task'] + 1] : reading[state['task'] + 2]]
      able[then, place] = _extend(ready[then, place], kept, needs, next_ones, state)
  order, place = np.empty(count, np.int64), 0
  for step in range(count - 1, -1, -1):
    order[step] = trace[step, place]['task']
    place = trace[step, place]['origin']
  return order


@compiled
def _moves(
  frees: Frees,
  during: Bytes,
  states: Records,
  ready: Indices,
  able: Indices,
  most: int,
  moves: Records,
  ranks: Indices,
  grown: Bytes,
) -> int:
  """Finds the best of what the states may become, each set of tasks once; returns how many.

  Args:
    frees: see `Frees`.
    during: of each task, in bytes.
    states: the beam.
    ready: of each state, what can run.
    able: of each state, how much of that there is.
    most: bytes that the peak must stay below.
    moves: has room for `BEAM_WIDTH`; they are written there.
    ranks: likewise; the places of the moves, the best one first, of equal ones the first found.
    grown: has room for a number a task.
  """
  count = 0
  for origin in range(len(states)):
    state, begin, end = states[origin], 0, able[origin]
    for place in range(end):
      task = ready[origin, place]
      grown[place] = _grown(frees, state, task)
      if grown[place] <= 0 and state['live'] + during[task] <= state['peak']:
        begin, end = place, place + 1  # what costs nothing now can only be worth less later
        break
    for place in range(begin, end):
      task = ready[origin, place]
      peak, live = max(state['live'] + during[task], state['peak']), state['live'] + grown[place]
      if peak >= most or (count == BEAM_WIDTH and not _before(peak, live, moves[ranks[-1]])):
        continue
      low, high = _without(state, task)
      rank = _rank(moves, ranks[:count], low, high)
      if rank < count:
        if peak >= moves[ranks[rank]]['peak']:
          continue
        move = ranks[rank]
      elif count < BEAM_WIDTH:
        move, count = count, count + 1
      else:
        rank, move = count - 1, ranks[-1]
      while rank and _before(peak, live, moves[ranks[rank - 1]]):
        ranks[rank] = ranks[rank - 1]
        rank -= 1
      ranks[rank] = move
      moves[move]['low'], moves[move]['high'] = low, high
      moves[move]['peak'], moves[move]['live'] = peak, live
      moves[move]['origin'], moves[move]['task'] = origin, task
  return count


@compiled
def _before(peak: int, live: int, move: Any) -> bool:
  """Whether such a move is better than another one."""
  return peak < move['peak'] or (peak == move['peak'] and live < move['live'])


@compiled
def _rank(moves: Records, ranks: Indices, low: int, high: int) -> int:
  """The rank of the move to a set of tasks; behind the last where there is none."""
  for rank in range(len(ranks)):
    move = moves[ranks[rank]]
    if move['low'] == low and move['high'] == high:
      return rank
  return len(ranks)


@compiled
def _grown(frees: Frees, state: Any, task: int) -> int:
  """What remains, in bytes, once a ready task has run."""
  starts, sources, sizes, read_by = frees
  low, high = _without(state, task)
  size = sizes[task + 1]
  for source in sources[starts[task] : starts[task + 1]]:
    if not (read_by[source + 1, 0] & low or read_by[source + 1, 1] & high):
      size -= sizes[source + 1]
  return size


@compiled
def _without(state: Any, task: int) -> tuple[int, int]:
  """The tasks that have not run, as bits, once another one has."""
  if task < _BITS:
    return state['low'] & ~(1 << task), state['high']
  return state['low'], state['high'] & ~(1 << (task - _BITS))


@compiled
def _extend(ready: Indices, count: int, needs: Indices, tasks: Indices, state: Any) -> int:
  """Adds to `count` tasks that are `ready` those that wait for none; returns how many there are."""
  for task in tasks:
    if not (needs[task, 0] & state['low'] or needs[task, 1] & state['high']):
      ready[count] = task
      count += 1
  return count
