"""In which order a network runs, and which of its values must have one int8 scale.

The int8 forms of pooling, padding, slicing and concatenation read and write in one scale. The
converter's quantizer takes that scale from the concatenation and hands it back to all that leads
there. An operator that keeps the scale of such a value must precede the concatenation, or it is
never told the scale and stays in floating point (seen with TensorFlow 2.21).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence


class Scale(enum.Enum):
  """What an operator does to the scale of its values."""

  OWN = 'own'  # its result has a scale of its own
  KEPT = 'kept'  # its result has the scale of its only input
  JOINED = 'joined'  # its inputs and its result have one scale: concatenation


@dataclasses.dataclass(frozen=True)
class Step:
  """An operator of a network.

  Attributes:
    inputs: the operators whose results it reads, without constants and the network's input.
    scale: what it does to scales.
  """

  inputs: tuple[int, ...]
  scale: Scale


def scale_groups(steps: Sequence[Step]) -> tuple[tuple[int, ...], ...]:
  """Operators whose results concatenations force into one scale, group by group.

  Args:
    steps: the operators of a network, each by its index.
  """
  parent = list(range(len(steps)))

  def root(index: int) -> int:
    while parent[index] != index:
      parent[index] = index = parent[parent[index]]
    return index

  for index, step in enumerate(steps):
    if step.scale != Scale.OWN:
      for source in step.inputs:
        parent[root(source)] = root(index)
  joined = {root(i) for i, step in enumerate(steps) if step.scale == Scale.JOINED}
  groups: dict[int, list[int]] = {}
  for index in range(len(steps)):
    if root(index) in joined:
      groups.setdefault(root(index), []).append(index)
  return tuple(tuple(group) for group in groups.values())


def execution_order(steps: Sequence[Step], output: int) -> tuple[int, ...]:
  """Depth first from the output, and what keeps a scale before the concatenation that sets it.

  The order depends on the graph alone, not on the numbering.

  Args:
    steps: the operators of a network, each by its index.
    output: index of the operator that writes the network's output.

  Returns:
    Indices of those operators that the output depends on.
  """
  plain = post_order([step.inputs for step in steps], output)
  if not any(step.scale == Scale.JOINED for step in steps):
    return plain
  followers: list[list[int]] = [[] for _ in steps]  # of each value, in plain order
  for index in plain:
    if steps[index].scale == Scale.KEPT:
      for source in steps[index].inputs:
        followers[source].append(index)
  before = [step.inputs for step in steps]
  for index in plain:
    if steps[index].scale == Scale.JOINED:
      early = (f for source in _reaching(steps, index) for f in followers[source])
      before[index] = (*steps[index].inputs, *early)
  return post_order(before, output)


def _reaching(steps: Sequence[Step], join: int) -> tuple[int, ...]:
  """Operators whose results the concatenation `join` reads, directly or in the same scale."""
  found: dict[int, None] = {}  # a set that keeps its order
  stack = [*reversed(steps[join].inputs)]
  while stack:
    index = stack.pop()
    if index in found:
      continue
    found[index] = None
    if steps[index].scale != Scale.OWN:
      stack.extend(reversed(steps[index].inputs))
  return tuple(found)


def post_order(before: Sequence[Sequence[int]], output: int) -> tuple[int, ...]:
  """Each index after all of its `before`, without recursion: unrolled networks are deep."""
  order: list[int] = []
  placed: set[int] = set()
  stack = [output]
  while stack:
    index = stack[-1]
    missing = [] if index in placed else [i for i in before[index] if i not in placed]
    if missing:
      stack.extend(reversed(missing))
      continue
    stack.pop()
    if index not in placed:
      placed.add(index)
      order.append(index)
  return tuple(order)
