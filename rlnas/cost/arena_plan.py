"""Searches for a tighter plan of the arena's head than TFLite Micro's greedy one.

The greedy planner places buffers by decreasing size (`rlnas.cost.arena_head`), which leaves gaps in
networks that branch. Here buffers are placed likewise, each at the lowest free offset, but in an
order that is searched for by hill climbing: a buffer that ends at the top of the head moves
forward, and the new order stays unless it is worse. Arm's Vela compiler plans in this way (its
`hillclimb_allocation.py`). No head can be smaller than the most bytes that are live at one time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlnas.cost.arena_head import Buffer, Plan, aligned, greedy_plan

_STEPS = 1000  # most orders that are tried


def least_bytes(buffers: Sequence[Buffer]) -> int:
  """The most bytes that are live at one step: a limit that no plan can go below."""
  steps = range(max((b.last for b in buffers), default=-1) + 1)
  live = (sum(aligned(b.size_bytes) for b in buffers if b.first <= t <= b.last) for t in steps)
  return max(live, default=0)


def tight_plan(buffers: Sequence[Buffer], *, steps: int = _STEPS) -> Plan:
  """Returns the best plan that was found, the greedy one if none is better. Deterministic.

  Args:
    buffers: the buffers, none of which has a fixed offset.
    steps: most orders to try.
  """
  best, limit = greedy_plan(buffers), least_bytes(buffers)
  if best.total_bytes <= limit:
    return best
  sizes = [aligned(b.size_bytes) for b in buffers]
  met = [
    [j for j, b in enumerate(buffers) if j != i and b.first <= a.last and a.first <= b.last]
    for i, a in enumerate(buffers)
  ]
  rng = np.random.default_rng(0)
  spans = [b.last - b.first + 1 for b in buffers]
  keys = (
    lambda i: (-sizes[i], -i),
    lambda i: (-sizes[i] * spans[i], i),
    lambda i: (-spans[i], -sizes[i]),
    lambda i: (buffers[i].first, -sizes[i]),
  )
  starts = [sorted(range(len(buffers)), key=key) for key in keys]
  order = min(starts, key=lambda start: _placed(start, sizes, met).total_bytes)
  current = _placed(order, sizes, met)
  for _ in range(steps):
    if current.total_bytes < best.total_bytes:
      best = current
    if best.total_bytes <= limit:
      break
    top = [i for i in order if current.offsets[i] + sizes[i] == current.total_bytes]
    moved = top[rng.integers(len(top))]
    # What lies below it is in its way, so it goes before one of these.
    below = [j for j in met[moved] if order.index(j) < order.index(moved)] or order
    other = [i for i in order if i != moved]
    target = below[rng.integers(len(below))]
    other.insert(other.index(target) if target != moved else 0, moved)
    plan = _placed(other, sizes, met)
    if plan.total_bytes <= current.total_bytes:
      order, current = other, plan
  return best


def _placed(order: Sequence[int], sizes: Sequence[int], met: Sequence[Sequence[int]]) -> Plan:
  """Places buffers one after the other, each at the lowest offset that is free all the time."""
  offsets = [-1] * len(sizes)
  for index in order:
    offset = 0
    for low, high in sorted((offsets[j], offsets[j] + sizes[j]) for j in met[index]):
      if low >= offset + sizes[index]:
        break
      if low >= 0:
        offset = max(offset, high)
    offsets[index] = offset
  return Plan(tuple(offsets), max((o + s for o, s in zip(offsets, sizes, strict=True)), default=0))
