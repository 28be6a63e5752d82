"""Rewrites networks that exceed the limits of TFLite Micro's kernels into equivalent ones."""

from __future__ import annotations

import dataclasses

from rlnas.architecture import Architecture, Node

MAX_CONCAT_INPUTS = 10  # kMaxInputNum in tensorflow/lite/micro/kernels/concatenation.cc


def within_limits(architecture: Architecture) -> Architecture:
  """Returns the same network with concatenations of at most `MAX_CONCAT_INPUTS` values.

  It splits a wider concatenation: an additional node concatenates as few of the first values as
  needed.
  """
  if all(n.op != 'concat' or len(n.inputs) <= MAX_CONCAT_INPUTS for n in architecture.nodes):
    return architecture
  nodes: list[Node] = []
  place: list[int] = []  # index of each old node among the new ones
  for node in architecture.nodes:
    inputs = tuple(place[i] for i in node.inputs)
    while node.op == 'concat' and len(inputs) > MAX_CONCAT_INPUTS:
      count = min(MAX_CONCAT_INPUTS, len(inputs) - MAX_CONCAT_INPUTS + 1)
      nodes.append(Node('concat', inputs[:count]))
      inputs = (len(nodes) - 1, *inputs[count:])
    nodes.append(dataclasses.replace(node, inputs=inputs))
    place.append(len(nodes) - 1)
  return Architecture(tuple(nodes))
