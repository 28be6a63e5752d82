"""Computes the tail of TFLite Micro's tensor arena, structure by structure, for a given build.

The tail holds the interpreter's structures, which `rlnas.cost.structures` lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlnas.cost.structures import BUFFER_ALIGNMENT, CODES, KINDS, Counts, Layouts, Structures


class Node(NamedTuple):
  """The properties of an operator that its structures depend on.

  Attributes:
    kind: TensorFlow Lite's name of the operator, for example 'CONV_2D'.
    scales: number of channels of its kernel that have their own scale; 0 for other operators.
    inputs: number of tensors that it reads.
    scratch: number of scratch areas that its kernel requests.
  """

  kind: str
  scales: int = 0
  inputs: int = 1
  scratch: int = 0


class Nodes(NamedTuple):
  """The operators of a network in order, as columns of `Node`.

  Attributes:
    kinds: indices in `KINDS`; the length of `KINDS` for any other operator.
    scales: for each operator, see `Node`.
    inputs: for each operator, see `Node`.
    scratch: number of scratch areas of all operators together.
  """

  kinds: Counts
  scales: Counts
  inputs: Counts
  scratch: int

  @classmethod
  def of(cls, nodes: Sequence[Node]) -> Nodes:
    """Returns the columns of `nodes`."""
    kinds = [CODES.get(node.kind, len(KINDS)) for node in nodes]
    scales, inputs = [node.scales for node in nodes], [node.inputs for node in nodes]
    return cls(
      np.array(kinds, np.int64),
      np.array(scales, np.int64),
      np.array(inputs, np.int64),
      sum(node.scratch for node in nodes),
    )


class Tail(NamedTuple):
  """The size of the arena's tail in bytes, at several moments while a network is loaded.

  Attributes:
    total: once it is loaded.
    planned: while the memory is planned; the structures of inputs and outputs come later.
    prepared: the largest while an operator is prepared, with the temporary structures of its
      tensors.
  """

  total: int
  planned: int
  prepared: int


def tail_of(
  structures: Structures,
  nodes: Nodes,
  *,
  tensors: int,
  inputs: int = 1,
  outputs: int = 1,
  quantized: bool = True,
) -> Tail:
  """Returns the size of the arena's tail.

  Args:
    structures: the structures of the build of TFLite Micro.
    nodes: the operators; if one is not in `KINDS`, only its node is counted.
    tensors: number of the network's tensors, including constants.
    inputs: number of the network's inputs.
    outputs: number of the network's outputs.
    quantized: whether inputs and outputs have a scale.
  """
  layouts = structures.layouts_of(inputs=inputs, outputs=outputs, quantized=quantized)
  return Tail(*map(int, used_bytes(layouts, nodes, tensors)))


def used_bytes(layouts: Layouts, nodes: Nodes, tensors: int) -> Tail:
  """As `tail_of`, in a form that Numba can compile.

  The tail grows as in SingleArenaBufferAllocator::AllocatePersistentBuffer: from the end of the
  arena down; each address is rounded after the size is subtracted.
  """
  used = 0
  for size, alignment in layouts.interpreter:
    used = -(-(used + size) // alignment) * alignment
  for row, count in enumerate((tensors, len(nodes.kinds))):
    size, alignment = layouts.tensor_and_node[row]
    used = -(-(used + count * size) // alignment) * alignment
  for kind in nodes.kinds:
    size, alignment, _ = layouts.kinds[kind]
    used = -(-(used + size) // alignment) * alignment
  for kind in nodes.kinds:
    size = layouts.kinds[kind, 2]
    if size:
      used = -(-(used + size) // BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT
  prepared = used
  for index in range(len(nodes.kinds)):
    kind, scales, length = nodes.kinds[index], nodes.scales[index], 0
    # A channel's multiplier and shift, or an input's scale and zero point, are 4 bytes each.
    if kind == layouts.concat:
      length = nodes.inputs[index]
    elif kind != layouts.single:
      length = scales
    if length:
      for _ in range(2):
        used = -(-(used + 4 * length) // BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT
    # A kernel looks at inputs and result, and a function that it calls does so again. Weights and
    # bias have a zero point of 4 bytes for each channel.
    looked_at = 2 * (nodes.inputs[index] + 1) * layouts.temporary + 2 * 2 * 4 * scales
    prepared = max(prepared, used + looked_at)
  pointer = layouts.pointer_bytes
  used = -(-(used + nodes.scratch * pointer) // pointer) * pointer
  planned = used
  for size, alignment in layouts.ports:
    used = -(-(used + size) // alignment) * alignment
  return Tail(used, planned, prepared)


_MOST_REQUESTS = 12  # kMaxScratchBuffersPerOp: room for the requests of the next operator
_PLANNER_BYTES = 40  # GreedyMemoryPlanner::per_buffer_size()


def smallest_bytes(
  layouts: Layouts, head: int, tail: Tail, tensors: int, scratch: int, buffers: int, subgraphs: int
) -> int:
  """Returns the size of the smallest arena in which a network can be loaded, in bytes.

  While the memory is planned (MicroAllocator::CommitStaticMemoryPlan), the tail is there already.
  Where the head will be are the requests for scratch memory, a lifetime for each tensor and scratch
  area, and the planner's own lists. Kernels are prepared before that. The arena begins at a
  multiple of 16.

  Args:
    layouts: the layouts of the build's structures.
    head: size of the arena's head in bytes.
    tail: size of its tail.
    tensors: number of tensors, including constants.
    scratch: number of scratch areas.
    buffers: number of tensors and scratch areas in the head.
    subgraphs: number of subgraphs.
  """
  requests = layouts.request * (scratch + _MOST_REQUESTS)
  lifetimes = layouts.lifetime * (tensors + scratch) + layouts.pointer_bytes * subgraphs
  unit = BUFFER_ALIGNMENT
  taken = -(-tail.planned // unit) * unit + -(-(requests + lifetimes) // unit) * unit
  planning = taken + _PLANNER_BYTES * buffers
  preparing = -(-requests // unit) * unit + tail.prepared
  return -(-max(head + tail.total, planning, preparing) // unit) * unit
