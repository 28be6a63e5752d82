"""Computes the tail of TFLite Micro's tensor arena, structure by structure, for a given build.

The tail holds the interpreter's structures, which `rlnas.cost.structures` lists.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
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


def tail_bytes(
  structures: Structures,
  nodes: Nodes,
  *,
  tensors: int,
  inputs: int = 1,
  outputs: int = 1,
  quantized: bool = True,
) -> int:
  """Returns the size of the arena's tail once the network is loaded.

  Args:
    structures: the structures of the build of TFLite Micro.
    nodes: the operators; if one is not in `KINDS`, only its node is counted.
    tensors: number of the network's tensors, including constants.
    inputs: number of the network's inputs.
    outputs: number of the network's outputs.
    quantized: whether inputs and outputs have a scale.
  """
  layouts = structures.layouts_of(inputs=inputs, outputs=outputs, quantized=quantized)
  return int(_compiled()(layouts, nodes, tensors))


@functools.cache
def _compiled() -> Callable[..., int]:
  """Returns `used_bytes` compiled; loads Numba only now, because the tables of boards need none."""
  from rlnas.cost.jit import compiled

  return compiled(used_bytes)


def used_bytes(layouts: Layouts, nodes: Nodes, tensors: int) -> int:
  """As `tail_bytes`, in a form that Numba can compile.

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
  for index in range(len(nodes.kinds)):
    kind = nodes.kinds[index]
    # A channel's multiplier and shift, or an input's scale and zero point, are 4 bytes each.
    length = nodes.scales[index]
    if kind == layouts.concat:
      length = nodes.inputs[index]
    elif kind == layouts.single:
      length = 0
    for size in (layouts.kinds[kind, 2], 4 * length, 4 * length):
      if size:
        used = -(-(used + size) // BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT
  pointer = layouts.pointer_bytes
  used = -(-(used + nodes.scratch * pointer) // pointer) * pointer
  for size, alignment in layouts.ports:
    used = -(-(used + size) // alignment) * alignment
  return used
