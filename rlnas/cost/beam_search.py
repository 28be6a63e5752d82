"""Beam search for the order of tasks that needs the least memory; see `rlnas.cost.schedule`.

Numba compiles it. Sets of tasks are bits of two integers, so that the search can see whether two
orders have run the same set of tasks. Of such orders it keeps the one with the smaller peak.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.cost.jit import inlined, inner
from rlnas.cost.tasks import TaskGraph

Bytes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]

BEAM_WIDTH = 16  # 32 saves another 1 % of cells' arenas in twice the time
_BITS = 60
# Unrolled networks have more. They are trees with shared leaves, for which the order of Sethi and
# Ullman was better than that of every tested beam.
MOST_TASKS = 2 * _BITS

# The tasks that have not run, as bits of `low` and `high`, and the task that ran last, starting
# from the state `origin` of the step before.
_STATE = np.dtype([(name, np.int64) for name in ('low', 'high', 'peak', 'live', 'origin', 'task')])


class _Beam(NamedTuple):
  """The best states after a number of tasks.

  Attributes:
    states: states of dtype `_STATE`, the best one first; of equal ones the one found first comes
      first. [BEAM_WIDTH]
    ready: for each state, the tasks that can run. [BEAM_WIDTH, T]
    able: for each state, their number. [BEAM_WIDTH]
  """

  states: Records
  ready: Indices
  able: Indices


@inner
def by_beam(graph: TaskGraph, most: int) -> Indices:
  """Searches over sets of tasks that have run, ranked by peak and then by live bytes.

  Args:
    graph: the graph of at most `MOST_TASKS` tasks.
    most: limit of the peak in bytes.

  Returns:
    An order whose peak is below `most`; empty if the search found none.
  """
  reading, readers, count = graph.reading, graph.readers, len(graph.during)
  needs, others = _sets(graph)
  now, then = _empty_beam(count), _empty_beam(count)
  first = now.states[0]
  first['low'] = first['high'] = -1
  first['peak'], first['live'] = 0, graph.sizes[0]
  now.able[0] = 0
  for task in range(count):
    _add_if_ready(now, 0, needs, task)
  found, grown = np.int64(1), np.empty(count, np.int64)  # a literal would be another type
  trace = np.empty((count, BEAM_WIDTH, 2), np.int64)  # origin and task by step and state
  for step in range(count):
    found = _advance(graph, others, now, found, then, most, grown)
    if not found:
      return np.empty(0, np.int64)
    for place in range(found):
      origin, last, able = then.states[place]['origin'], then.states[place]['task'], 0
      trace[step, place, 0], trace[step, place, 1] = origin, last
      for turn in range(now.able[origin]):
        then.ready[place, able] = now.ready[origin, turn]
        able += now.ready[origin, turn] != last
      then.able[place] = able
      for turn in range(reading[last + 1], reading[last + 2]):
        _add_if_ready(then, place, needs, readers[turn])
    now, then = then, now
  order, place = np.empty(count, np.int64), 0
  for step in range(count - 1, -1, -1):
    order[step] = trace[step, place, 1]
    place = trace[step, place, 0]
  return order


@inner
def _empty_beam(count: int) -> _Beam:
  states = np.empty(BEAM_WIDTH, _STATE)
  return _Beam(states, np.empty((BEAM_WIDTH, count), np.int64), np.empty(BEAM_WIDTH, np.int64))


@inner
def _sets(graph: TaskGraph) -> tuple[Indices, Indices]:
  """Encodes sets of tasks as bits.

  Returns:
    The tasks that each task waits for [T, 2], and the other readers of each of `sources` [S, 2].
  """
  starts, sources, count = graph.starts, graph.sources, len(graph.during)
  needs, others = np.zeros((count, 2), np.int64), np.zeros((len(sources), 2), np.int64)
  for index in range(count):
    for place in range(starts[index], starts[index + 1]):
      source = sources[place]
      if source >= 0:
        needs[index, source // _BITS] |= 1 << source % _BITS
      for turn in range(graph.reading[source + 1], graph.reading[source + 2]):
        reader = graph.readers[turn]
        if reader != index:
          others[place, reader // _BITS] |= 1 << reader % _BITS
  return needs, others


@inner
def _advance(
  graph: TaskGraph, others: Indices, now: _Beam, found: int, then: _Beam, most: int, grown: Bytes
) -> int:
  """Finds the best states after one more task, at most one for each set of tasks.

  Args:
    graph: the graph of all tasks.
    others: see `_sets`.
    now: the current beam.
    found: number of its states.
    then: the next beam; its states are overwritten.
    most: limit in bytes; the peak must stay below it.
    grown: temporary array with one element per task.

  Returns:
    The number of states in `then`.
  """
  during, states, count = graph.during, then.states, 0
  for origin in range(found):
    state, begin, end = now.states[origin], 0, now.able[origin]
    for turn in range(end):
      task = now.ready[origin, turn]
      grown[turn] = _grown(graph, others, state, task)
      if grown[turn] <= 0 and state['live'] + during[task] <= state['peak']:
        begin, end = turn, turn + 1  # a task that costs nothing now gains nothing by waiting
        break
    for turn in range(begin, end):
      task = now.ready[origin, turn]
      peak, live = max(state['live'] + during[task], state['peak']), state['live'] + grown[turn]
      if peak >= most or (count == BEAM_WIDTH and not _before(peak, live, states[count - 1])):
        continue
      low, high = state['low'], state['high']
      if task < _BITS:
        low &= ~(1 << task)
      else:
        high &= ~(1 << (task - _BITS))
      place = 0
      while place < count and (states[place]['low'] != low or states[place]['high'] != high):
        place += 1
      if place < count:
        if peak >= states[place]['peak']:
          continue
      elif count < BEAM_WIDTH:
        count += 1
      else:
        place -= 1
      while place and _before(peak, live, states[place - 1]):
        states[place] = states[place - 1]
        place -= 1
      states[place]['low'], states[place]['high'] = low, high
      states[place]['peak'], states[place]['live'] = peak, live
      states[place]['origin'], states[place]['task'] = origin, task
  return count


@inlined
def _before(peak: int, live: int, state: Any) -> bool:
  """Returns whether a state with this peak and these live bytes is better than `state`."""
  return peak < state['peak'] or (peak == state['peak'] and live < state['live'])


@inlined
def _grown(graph: TaskGraph, others: Indices, state: Any, task: int) -> int:
  """Returns by how many bytes the live memory has grown once a ready task has run."""
  size = graph.sizes[task + 1]
  for place in range(graph.starts[task], graph.starts[task + 1]):
    if not (others[place, 0] & state['low'] | others[place, 1] & state['high']):
      size -= graph.sizes[graph.sources[place] + 1]
  return size


@inlined
def _add_if_ready(beam: _Beam, place: int, needs: Indices, task: int) -> None:
  """Adds a task to those that can run in a state if it waits for no other task."""
  state = beam.states[place]
  if not (needs[task, 0] & state['low'] | needs[task, 1] & state['high']):
    beam.ready[place, beam.able[place]] = task
    beam.able[place] += 1
