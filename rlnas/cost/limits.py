"""What TFLite Micro's kernels cannot do, rewritten into what they can."""

from __future__ import annotations

import dataclasses

from rlnas.architecture import Architecture, Node

MAX_CONCAT_INPUTS = 10  # kMaxInputNum in tensorflow/lite/micro/kernels/concatenation.cc


def within_limits(architecture: Architecture) -> Architecture:
  """The same network with concatenations of at most `MAX_CONCAT_INPUTS` values.

  Of a wider one the first values are concatenated beforehand, no more of them than needed.
  """
  if all(n.op != 'concat' or len(n.inputs) <= MAX_CONCAT_INPUTS for n in architecture.nodes):
    return architecture
  nodes: list[Node] = []
  place: list[int] = []  # of each node among the new ones
  for node in architecture.nodes:
    inputs = tuple(place[i] for i in node.inputs)
    while node.op == 'concat' and len(inputs) > MAX_CONCAT_INPUTS:
      count = min(MAX_CONCAT_INPUTS, len(inputs) - MAX_CONCAT_INPUTS + 1)
      nodes.append(Node('concat', inputs[:count]))
      inputs = (len(nodes) - 1, *inputs[count:])
    nodes.append(dataclasses.replace(node, inputs=inputs))
    place.append(len(nodes) - 1)
  return Architecture(tuple(nodes))
