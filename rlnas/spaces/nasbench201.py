"""The cell of NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326, section 2.1), for benchmarks.

A cell has four points and one of five operations on each of the six edges between them, so there
are 5^6 = 15,625 cells, each with its own results in the benchmark, also if two compute the same. So
an architecture of this space is a record of the cell, not a network to deploy: nothing is pruned,
every edge is one node, and equal digests mean equal choices. A proposal's digest leaves out the
edges that the cell's output does not depend on. The network around the cell (three stages of five
cells each) is the same for all cells and left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlnas.architecture import Architecture, Node, Scalar
from rlnas.spaces.decision import Decision, Walk

OPERATIONS = ('none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3')
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (from, to), in the order of the data
FILTERS = 16  # channels of the first stage
_OUTPUT = 3
_IMAGE = 0


class NasBench201:
  """The space of cells.

  Each edge has its own kind of decision: the value of a convolution between input and output says
  little about its value on another edge, and the policies of published results have separate
  weights for each edge too. Decisions have no memory: each edge has one state, whatever was chosen
  before.
  """

  def __call__(self) -> Walk[Architecture]:
    operations = []
    for source, target in EDGES:
      name = f'edge{source}-{target}'
      operations.append(str((yield Decision(name, name, OPERATIONS))))
    return record(operations)


def record(operations: Sequence[str]) -> Architecture:
  """Returns the record of a cell.

  An edge 'none' becomes a ReLU that no node reads. A skip becomes a 1x1 pooling, the identity. A
  point that no edge leads to has no value: the edges out of it read the image in its place, and no
  node reads them. If the last point has no value, the classifier reads the image.

  Args:
    operations: one of `OPERATIONS` for each of `EDGES`.

  Raises:
    ValueError: an operation is unknown, or there are not six.
  """
  if len(operations) != len(EDGES) or not set(operations) <= set(OPERATIONS):
    raise ValueError(f'operations={tuple(operations)}: must be {len(EDGES)} of {OPERATIONS}')
  nodes = [Node('input'), _conv(_IMAGE, 3)]
  points = {0: 1}  # the node with the value of each point that has one
  for (source, target), operation in zip(EDGES, operations, strict=True):
    edge = len(nodes)
    nodes.append(_edge(points.get(source, _IMAGE), operation))
    if source not in points or operation == 'none':
      continue
    if target in points:
      nodes.append(Node('add', (points[target], edge)))
    points[target] = len(nodes) - 1
  nodes.append(Node('global_avg_pool', (points.get(_OUTPUT, _IMAGE),)))
  nodes.append(Node('classifier', (len(nodes) - 1,)))
  return Architecture(tuple(nodes))


def _edge(x: int, operation: str) -> Node:
  if operation == 'none':
    return Node('relu', (x,))
  if operation == 'skip_connect':
    return _pool(x, 1)
  if operation == 'avg_pool_3x3':
    return _pool(x, 3)
  return _conv(x, 1 if operation == 'nor_conv_1x1' else 3)


def _conv(x: int, side: int) -> Node:
  return _window('conv', x, side, activation='relu', filters=FILTERS)


def _pool(x: int, side: int) -> Node:
  return _window('avg_pool', x, side)


def _window(op: str, x: int, side: int, **attributes: Scalar) -> Node:
  attributes |= {'kernel_height': side, 'kernel_width': side, 'stride': 1}
  return Node(op, (x,), tuple(sorted(attributes.items())))
