"""Determines the order of a network's operators, and which values must have one int8 scale.

The int8 forms of pooling, padding, slicing and concatenation have the same scale for their inputs
and their result. The converter's quantizer takes that scale from the concatenation and passes it
back to all values that lead there. An operator that keeps the scale of such a value must precede
the concatenation; otherwise it does not receive the scale and stays in floating point (seen with
TensorFlow 2.21).

Here a network is three arrays, so that Numba can compile the functions: operator i reads the
results `sources[starts[i]:starts[i + 1]]` and has the effect `scales[i]` on their scale. Sources
below 0 (the network's input) are ignored.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.cost.jit import inlined, inner

Indices = npt.NDArray[np.int64]


class Scale(enum.IntEnum):
  """The effect of an operator on the scale of its values."""

  OWN = 0  # its result has its own scale
  KEPT = 1  # its result has the scale of its only input
  JOINED = 2  # its inputs and its result have the same scale: concatenation


_OWN, _KEPT, _JOINED = map(int, Scale)


def listed(inputs: Sequence[Sequence[int]]) -> tuple[Indices, Indices]:
  """Returns `starts` and `sources` of operators that read `inputs`."""
  starts = np.cumsum([0, *map(len, inputs)], dtype=np.int64)
  return starts, np.array([i for each in inputs for i in each], np.int64)


def scale_groups(starts: Indices, sources: Indices, scales: Indices) -> tuple[tuple[int, ...], ...]:
  """Returns groups of operators whose results must have one scale because of concatenations."""
  groups: dict[int, list[int]] = {}
  for index, first in enumerate(scale_owners(starts, sources, scales).tolist()):
    if first >= 0:
      groups.setdefault(first, []).append(index)
  return tuple(tuple(group) for group in groups.values())


@inner
def scale_owners(starts: Indices, sources: Indices, scales: Indices) -> Indices:
  """Returns the first operator of each operator's group of one scale.

  It is -1 if no concatenation forces the group to have one scale.
  """
  parent = np.arange(len(scales))
  for index in range(len(scales)):
    if scales[index] != _OWN:
      for source in sources[starts[index] : starts[index + 1]]:
        if source >= 0:
          parent[_root(parent, source)] = _root(parent, index)
  first = np.full(len(scales), -1)  # first operator of each group, by its root; -1: no group
  joined = np.zeros(len(scales), np.bool_)
  for index in range(len(scales)):
    root = _root(parent, index)
    joined[root] |= scales[index] == _JOINED
    if first[root] < 0:
      first[root] = index
  owners = np.full(len(scales), -1)
  for index in range(len(scales)):
    root = _root(parent, index)
    if joined[root]:
      owners[index] = first[root]
  return owners


@inlined
def _root(parent: Indices, index: int) -> int:
  while parent[index] != index:
    parent[index] = parent[parent[index]]
    index = parent[index]
  return index


@inner
def execution_order(starts: Indices, sources: Indices, scales: Indices, output: int) -> Indices:
  """Orders operators depth first from the output.

  Operators that keep a scale come before the concatenation that sets it. The order depends only on
  the graph, not on the numbering.

  Args:
    starts: where the inputs of each operator begin in `sources`.
    sources: the operators whose results are read, without constants; below 0: the input.
    scales: a `Scale` for each operator.
    output: index of the operator that writes the network's output.

  Returns:
    Indices of the operators that the output depends on.
  """
  plain = post_order(starts, sources, output)
  kept, joins = np.empty(len(plain), np.int64), np.empty(len(plain), np.int64)
  keeps = joined = 0
  for index in plain:
    if scales[index] == _KEPT:
      kept[keeps] = index
      keeps += 1
    elif scales[index] == _JOINED:
      joins[joined] = index
      joined += 1
  if not joined:
    return plain
  kept = kept[:keeps]
  early = np.empty((joined, keeps), np.int64)
  begins = np.zeros_like(starts)  # where the operators before each operator begin in `before`
  for turn in range(joined):
    begins[joins[turn] + 1] = _early(starts, sources, scales, kept, joins[turn], early[turn])
  for index in range(len(scales)):
    begins[index + 1] += begins[index] + starts[index + 1] - starts[index]
  before, ends = np.empty(begins[-1], np.int64), begins.copy()
  for index in range(len(scales)):
    for source in sources[starts[index] : starts[index + 1]]:
      before[ends[index]] = source
      ends[index] += 1
  for turn in range(joined):
    index = joins[turn]
    for place in range(ends[index], begins[index + 1]):
      before[place] = early[turn, place - ends[index]]
  return post_order(begins, before, output)


@inner
def _early(
  starts: Indices,
  sources: Indices,
  scales: Indices,
  kept: Indices,
  join: int,
  found: Indices,
) -> int:
  """Finds operators that keep the scale of a value if the concatenation `join` sets that scale.

  Args:
    starts: see `execution_order`.
    sources: see `execution_order`.
    scales: see `execution_order`.
    kept: all operators that keep a scale; each has one input.
    join: the concatenation.
    found: the operators are written here; as long as `kept`.

  Returns:
    The number of operators found.
  """
  met, count = np.zeros(len(scales), np.bool_), 0
  stack = np.empty(len(sources) + 1, np.int64)
  depth = _push_inputs(stack, 0, starts, sources, join)
  while depth:
    depth -= 1
    index = stack[depth]
    if met[index]:
      continue
    met[index] = True
    for follower in kept:
      if sources[starts[follower]] == index:
        found[count] = follower
        count += 1
    if scales[index] != _OWN:
      depth = _push_inputs(stack, depth, starts, sources, index)
  return count


@inlined
def _push_inputs(stack: Indices, depth: int, starts: Indices, sources: Indices, index: int) -> int:
  """Pushes an operator's inputs onto the stack, the first on top; returns the stack's depth."""
  for source in sources[starts[index] : starts[index + 1]][::-1]:
    if source >= 0:
      stack[depth] = source
      depth += 1
  return depth


@inner
def post_order(starts: Indices, before: Indices, output: int) -> Indices:
  """Orders indices so that each comes after all of its `before`.

  It uses no recursion, because unrolled networks are deep.
  """
  count = len(starts) - 1
  order, placed = np.empty(count, np.int64), np.zeros(count, np.bool_)
  stack = np.empty(len(before) + 1, np.int64)  # each index pushes its missing ones once
  stack[0] = output
  depth, done = 1, 0
  while depth:
    index, known = stack[depth - 1], depth
    if not placed[index]:
      for source in before[starts[index] : starts[index + 1]][::-1]:
        if source >= 0 and not placed[source]:
          stack[depth] = source
          depth += 1
    if depth > known:
      continue
    depth -= 1
    if not placed[index]:
      placed[index] = True
      order[done] = index
      done += 1
  return order[:done]
