"""The same network with other widths, for pruning and for wider teachers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from rlnas.architecture import Architecture, Node

_WIDTHS = ('filters', 'units')  # attributes that are the width of a result


def with_widths(architecture: Architecture, widths: Mapping[int, int]) -> Architecture:
  """Returns the network with other numbers of filters or units.

  Args:
    architecture: the network.
    widths: new widths by index of the node.

  Returns:
    A network whose nodes have the same indices. `infer_shapes` tells whether its shapes fit
    together; this function does not check them.

  Raises:
    ValueError: a node has no width, or the new one is below 1.
  """
  nodes = list(architecture.nodes)
  for index, width in widths.items():
    attributes = dict(nodes[index].attributes)
    named = [name for name in _WIDTHS if name in attributes]
    if not named:
      raise ValueError(f'widths: node {index} is a {nodes[index].op}, which has no width')
    attributes[named[0]] = width
    nodes[index] = dataclasses.replace(nodes[index], attributes=tuple(sorted(attributes.items())))
  return Architecture(tuple(nodes))


def widened(architecture: Architecture, factor: int) -> Architecture:
  """Multiplies all widths by `factor`. Raises ValueError if it is below 1."""
  return with_widths(
    architecture,
    {i: factor * width for i, n in enumerate(architecture.nodes) if (width := _width(n))},
  )


def _width(node: Node) -> int | None:
  attributes = dict(node.attributes)
  return next((int(attributes[name]) for name in _WIDTHS if name in attributes), None)
