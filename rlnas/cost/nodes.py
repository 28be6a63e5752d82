"""Encodes the nodes of an architecture as records of integers, and infers their shapes.

Functions compiled by Numba can process such records, but not `Node` objects. They are the input of
`rlnas.cost.operators`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import OPERATIONS, Architecture, Scalar, TaskShape
from rlnas.cost.arena_tail import KINDS
from rlnas.cost.jit import compiled, inlined
from rlnas.cost.limits import MAX_CONCAT_INPUTS, within_limits

Indices = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]

# TensorFlow Lite's name of each operation's operator; its index in `KINDS` is its code.
_KIND_OF = {
  'conv': 'CONV_2D',
  'dilated_conv': 'CONV_2D',
  'depthwise_conv': 'DEPTHWISE_CONV_2D',
  'max_pool': 'MAX_POOL_2D',
  'avg_pool': 'AVERAGE_POOL_2D',
  'add': 'ADD',
  'multiply': 'MUL',
  'concat': 'CONCATENATION',
  'pad_like': 'PAD',
  'relu': 'RELU',
  'tanh': 'TANH',
  'sigmoid': 'LOGISTIC',
  'frames': 'STRIDED_SLICE',
  'dense': 'FULLY_CONNECTED',
  'classifier': 'FULLY_CONNECTED',
  'global_avg_pool': 'MEAN',
}


def records(names: str) -> np.dtype[np.void]:
  """Returns the dtype of records of integers with these names, separated by blanks."""
  return np.dtype([(name, np.int64) for name in names.split()])


# A node: its operation and the kind of its operator as codes, and its attributes, 0 if it lacks
# them. Width is the number of filters, units or frames; key is the number of the weights that dense
# layers share, or the first frame.
NODE = records('op kind width kernel_height kernel_width stride dilation relu key')
# The shape of a value without the batch: (height, width, channels), (frames, features) or
# (features,). Missing dimensions are 1, and the last one is called channels. Rank 0 means that
# there is no value.
SHAPE = records('rank height width channels')
OPS = {op: code for code, op in enumerate(OPERATIONS)}
_CONV, _DILATED, _DEPTHWISE = (OPS[op] for op in ('conv', 'dilated_conv', 'depthwise_conv'))
_ADD, _MULTIPLY, _CONCAT = (OPS[op] for op in ('add', 'multiply', 'concat'))
_RELU, _TANH, _SIGMOID = (OPS[op] for op in ('relu', 'tanh', 'sigmoid'))
_PAD_LIKE, _FRAMES, _POOL = (OPS[op] for op in ('pad_like', 'frames', 'global_avg_pool'))
_DENSE, _CLASSIFIER = (OPS[op] for op in ('dense', 'classifier'))
_FIELDS = {'filters': 'width', 'units': 'width', 'count': 'width', 'weights': 'key', 'first': 'key'}


class _Records(dict[tuple[tuple[str, Scalar], ...], bytes]):
  """Caches the records of one operation's nodes by their attributes."""

  def __init__(self, op: str) -> None:
    super().__init__()
    self._op = op

  def __missing__(self, attributes: tuple[tuple[str, Scalar], ...]) -> bytes:
    record = np.zeros(1, NODE)
    record['op'], record['kind'] = OPS[self._op], KINDS.index(_KIND_OF.get(self._op, 'RESHAPE'))
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
_MOST_KNOWN = 10_000  # for each operation, one or two megabytes; a space has some dozens
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
  records = b''.join([_RECORDS[node.op][node.attributes] for node in nodes])
  return np.frombuffer(records, NODE), np.frombuffer(b''.join(rows), np.int64)


def entry_of(task: TaskShape) -> tuple[int, int, int, int]:
  """Returns the shape of the network's input as the fields of `SHAPE`."""
  *sides, channels = task.input_shape
  height, width = (*sides, 1)[:2]
  return 1 + len(sides), height, width, channels


@compiled
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


@compiled
def shapes_of(
  nodes: Records,
  starts: Indices,
  sources: Indices,
  entry: tuple[int, int, int, int],
  classes: int,
) -> Records:
  """Infers the shapes of all nodes' values, of dtype `SHAPE`.

  The rules are those of `rlnas.architecture.infer_shapes`. If a shape does not fit, it and all
  shapes after it have rank 0.

  Args:
    nodes: see `encoded`.
    starts: see `read_by`.
    sources: see `read_by`.
    entry: see `entry_of`.
    classes: width of the classifier.
  """
  shapes = np.zeros(len(nodes), SHAPE)
  rank, height, width, channels = entry
  _set(shapes[0], rank, height, width, channels)
  for index in range(1, len(nodes)):
    node, reads = nodes[index], sources[starts[index] : starts[index + 1]]
    op, first, shape = node['op'], shapes[reads[0]], shapes[index]
    if op == _CLASSIFIER:
      _set(shape, 1, 1, 1, classes)
    elif op in (_ADD, _MULTIPLY, _CONCAT):
      total = 0
      for source in reads:
        other = shapes[source]
        total += other['channels']
        if (other['rank'], other['height'], other['width']) != (
          first['rank'],
          first['height'],
          first['width'],
        ) or (op != _CONCAT and other['channels'] != first['channels']):
          return shapes
      kept = total if op == _CONCAT else first['channels']
      _set(shape, first['rank'], first['height'], first['width'], kept)
    elif op in (_RELU, _TANH, _SIGMOID):
      _set(shape, first['rank'], first['height'], first['width'], first['channels'])
    elif op == _DENSE:
      _set(shape, 1, 1, 1, node['width'])
    elif op == _FRAMES:
      if first['rank'] != 2 or node['key'] + node['width'] > first['height']:
        return shapes
      _set(shape, 1, 1, 1, node['width'] * first['channels'])
    elif first['rank'] != 3:
      return shapes
    elif op == _POOL:
      _set(shape, 1, 1, 1, first['channels'])
    elif op == _PAD_LIKE:
      target = shapes[reads[1]]
      if (
        target['rank'] != 3
        or target['height'] < first['height']
        or target['width'] < first['width']
      ):
        return shapes
      _set(shape, 3, target['height'], target['width'], first['channels'])
    else:
      stride = max(node['stride'], 1)
      filters = node['width'] if node['width'] else first['channels']
      _set(shape, 3, -(-first['height'] // stride), -(-first['width'] // stride), filters)
  return shapes


@inlined
def _set(shape: Any, rank: int, height: int, width: int, channels: int) -> None:
  shape['rank'], shape['height'], shape['width'], shape['channels'] = rank, height, width, channels
