"""Encodes the nodes of an architecture as records of integers, and infers their shapes.

Functions compiled by Numba can process such records, but not `Node` objects. They are the input of
`rlnas.cost.operators`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import (
  OPERATIONS,
  OPS,
  Architecture,
  Scalar,
  Sides,
  joined_sides,
  sides_after,
)
from rlnas.cost.jit import inlined, inner
from rlnas.cost.kinds import KIND_OF
from rlnas.cost.limits import MAX_CONCAT_INPUTS, within_limits
from rlnas.cost.structures import KINDS

Indices = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]


def records(names: str) -> np.dtype[np.void]:
  """Returns the dtype of records of integers with these names, separated by blanks."""
  return np.dtype([(name, np.int64) for name in names.split()])


# A node: its operation and the kind of its operator as codes, and its attributes, 0 if it lacks
# them. Width is the number of filters, units or frames; key is the number of the weights that dense
# layers share, or the first frame.
NODE = records('op kind width kernel_height kernel_width stride dilation relu key')
# The shape of a value without the batch, see `rlnas.architecture.Sides`.
SHAPE = records('rank height width channels')
_FIELDS = {'filters': 'width', 'units': 'width', 'count': 'width', 'weights': 'key', 'first': 'key'}


class _Records(dict[tuple[tuple[str, Scalar], ...], bytes]):
  """Caches the records of one operation's nodes by their attributes."""

  def __init__(self, op: str) -> None:
    super().__init__()
    self._op = op

  def __missing__(self, attributes: tuple[tuple[str, Scalar], ...]) -> bytes:
    record = np.zeros(1, NODE)
    record['op'], record['kind'] = OPS[self._op], KINDS.index(KIND_OF.get(self._op, 'RESHAPE'))
    for name, value in attributes:
      if name == 'activation':
        record['relu'] = value == 'relu'
      else:
        record[_FIELDS.get(name, name)] = value
    if len(self) < _MOST_KNOWN:
      self[attributes] = record.tobytes()
    return record.tobytes()


class _Inputs(dict[tuple[int, ...], bytes]):
  """Caches the encoded inputs of nodes: their number, then their indices, as 64-bit integers."""

  def __missing__(self, inputs: tuple[int, ...]) -> bytes:
    row = np.array([len(inputs), *inputs], np.int64).tobytes()
    if len(self) < _MOST_KNOWN:
      self[inputs] = row
    return row


# A lookup takes a fifth of the time of encoding.
_MOST_KNOWN = 10_000  # for each operation, one or two megabytes; a space has a few dozen
_RECORDS, _ROWS = {op: _Records(op) for op in OPERATIONS}, _Inputs()
_WIDEST_ROW = 8 * (1 + MAX_CONCAT_INPUTS)  # bytes


def encoded(architecture: Architecture) -> tuple[Records, Indices]:
  """Encodes an architecture after `within_limits`.

  Returns:
    The nodes as records, of dtype `NODE`, and one row for each node: the number of its inputs, then
    their indices.

  Raises:
    ValueError: there is no node but the input.
  """
  nodes = architecture.nodes
  if len(nodes) == 1:
    raise ValueError('architecture: has nothing but the input; must have another node')
  rows = [_ROWS[node.inputs] for node in nodes]
  if max(map(len, rows)) > _WIDEST_ROW:
    return encoded(within_limits(architecture))
  # Arrays that cannot be written are of another type for Numba, for which it would compile again.
  records = bytearray().join([_RECORDS[node.op][node.attributes] for node in nodes])
  return np.frombuffer(records, NODE), np.frombuffer(bytearray().join(rows), np.int64)


@inner
def read_by(rows: Indices, count: int) -> tuple[Indices, Indices]:
  """Decodes the inputs of `count` nodes from the rows of `encoded`.

  Returns:
    `starts` and `sources`: node i reads `sources[starts[i]:starts[i + 1]]`.
  """
  starts, sources = np.zeros(count + 1, np.int64), np.empty(len(rows) - count, np.int64)
  place = 0
  for index in range(count):
    begin, end = starts[index], starts[index] + rows[place]
    for source in range(begin, end):
      place += 1
      sources[source] = rows[place]
    starts[index + 1], place = end, place + 1
  return starts, sources


@inner
def shapes_of(
  nodes: Records,
  starts: Indices,
  sources: Indices,
  entry: Sides,
  classes: int,
) -> Records:
  """Infers the shapes of all nodes' values, of dtype `SHAPE`.

  The rules are those of `rlnas.architecture.infer_shapes`, compiled. If a shape does not fit, it
  and all shapes after it have rank 0.

  Args:
    nodes: see `encoded`.
    starts: see `read_by`.
    sources: see `read_by`.
    entry: see `rlnas.architecture.input_sides`.
    classes: width of the classifier.
  """
  shapes = np.zeros(len(nodes), SHAPE)
  _set(shapes[0], entry)
  for index in range(1, len(nodes)):
    node, begin, end = nodes[index], starts[index], starts[index + 1]
    sides = _sides(shapes[sources[begin]])
    for place in range(begin + 1, end):
      sides = _joined_sides(node['op'], sides, _sides(shapes[sources[place]]))
    stride = max(node['stride'], 1)
    sides = _sides_after(node['op'], sides, node['width'], stride, node['key'], classes)
    if sides[0] == 0:
      return shapes
    _set(shapes[index], sides)
  return shapes


_joined_sides, _sides_after = inner(joined_sides), inner(sides_after)


@inlined
def _sides(shape: Any) -> Sides:
  return shape['rank'], shape['height'], shape['width'], shape['channels']


@inlined
def _set(shape: Any, sides: Sides) -> None:
  shape['rank'], shape['height'], shape['width'], shape['channels'] = sides
