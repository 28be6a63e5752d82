"""The phenotype: a network as an immutable list of operations in single-assignment form.

Every search space decodes to a flat tuple of `Node`, so all spaces share one builder, one cost
model, one drawing and one digest. Node 0 is the input, the last node is the output, and a node
reads only nodes before it. An architecture depends neither on the data set (the width of the
classifier comes from the task) nor on TensorFlow.

The nodes have a canonical order, so two descriptions of one network (with another numbering, other
order of the terms of a sum, or unused branches) have the same digest. The idea of hashing a cell
independently of its labelling is from Ying et al. 2019 (NAS-Bench-101, section 2).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Scalar = int | float | str | bool
Result = TypeVar('Result')
Shape = tuple[int, ...]

# Every operation and the attributes that it must have. A convolution includes batch normalisation
# and its activation ('relu' or 'none'). All padding is 'same', so the side of a map after stride s
# is ceil(side / s). `pad_like` pads its first input with zeros, equally on all sides, to the height
# and width of its second; `resize_like` repeats its values to fill that size (nearest neighbour).
# `frames` returns `count` frames of a sequence, starting at frame `first`, as one vector. `dense`
# nodes with equal `weights` share their weights. `reconstruction` is a convolution with a bias and
# neither batch normalisation nor activation; it spreads the outputs of the network evenly over its
# map. The input may have the attributes of `WINDOW` or `HEARING`: the network then reads a part of
# the examples, or hears sound with a front end of its own (`rlnas.cost.preprocessing`).
OPERATIONS: Mapping[str, tuple[str, ...]] = {
  'input': (),
  'conv': ('activation', 'filters', 'kernel_height', 'kernel_width', 'stride'),
  'dilated_conv': ('activation', 'dilation', 'filters', 'kernel_height', 'kernel_width'),
  'depthwise_conv': ('activation', 'kernel_height', 'kernel_width', 'stride'),
  'max_pool': ('kernel_height', 'kernel_width', 'stride'),
  'avg_pool': ('kernel_height', 'kernel_width', 'stride'),
  'add': (),
  'multiply': (),
  'concat': (),
  'pad_like': (),
  'relu': (),
  'tanh': (),
  'sigmoid': (),
  'frames': ('count', 'first'),
  'dense': ('units', 'weights'),
  'global_avg_pool': (),
  'classifier': (),
  'dilated_depthwise_conv': ('activation', 'dilation', 'kernel_height', 'kernel_width'),
  'resize_like': (),
  'reconstruction': ('kernel_height', 'kernel_width'),
}
WINDOW = ('features', 'frames', 'rate')  # features: ascending indices as text, '0,1,5'
HEARING = ('clip_ms', 'frame_hop_ms', 'frame_ms', 'front_end', 'mel_bins', 'sample_rate')
FRONT_ENDS = ('log_mel', 'micro')
COMMUTATIVE = frozenset({'add', 'multiply'})
SIZED = frozenset({'pad_like', 'resize_like'})  # they read only the size of their second input
ACTIVATIONS = ('none', 'relu')
_WEIGHTED = frozenset(
  {
    *('conv', 'dilated_conv', 'depthwise_conv', 'dilated_depthwise_conv'),
    *('dense', 'classifier', 'reconstruction'),
  }
)
_INPUT_COUNTS = {
  'input': (0, 0),
  'add': (2, 2),
  'multiply': (2, 2),
  'concat': (2, None),
  'pad_like': (2, 2),
  'resize_like': (2, 2),
}

# The rules of shapes stand here once. They are functions of integers, so that `infer_shapes` calls
# them as they are, and `rlnas.cost.nodes` as machine code: of the code of an operation, and of
# (rank, height, width, channels), where sides that a value has not are 1 and its last one is called
# channels. Rank 0: the values do not fit together.
Sides = tuple[int, int, int, int]
OPS = {op: code for code, op in enumerate(OPERATIONS)}
_NO_SIDES = (0, 0, 0, 0)
_KEEPING = tuple(OPS[op] for op in ('add', 'multiply', 'concat', 'relu', 'tanh', 'sigmoid'))
_CONCAT, _FRAMES, _DENSE, _CLASSIFIER = (
  OPS[op] for op in ('concat', 'frames', 'dense', 'classifier')
)
_SIZED = tuple(OPS[op] for op in sorted(SIZED))
_GLOBAL_AVG_POOL, _RECONSTRUCTION = OPS['global_avg_pool'], OPS['reconstruction']
_SIZES = ('filters', 'units', 'count')  # attributes that say how wide a result is


@dataclasses.dataclass(frozen=True)
class Node:
  """One operation.

  Attributes:
    op: a key of `OPERATIONS`.
    inputs: indices of the nodes that the node reads.
    attributes: (name, value) pairs, sorted by name.
  """

  op: str
  inputs: tuple[int, ...] = ()
  attributes: tuple[tuple[str, Scalar], ...] = ()

  def __getitem__(self, name: str) -> Any:
    """Returns the value of an attribute. Raises KeyError if there is none of that name."""
    return dict(self.attributes)[name]


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A network: nodes in the order of execution; the last one is the output.

  Raises:
    ValueError: a node has an unknown operation or wrong attributes, or reads a node that does not
      precede it.
  """

  nodes: tuple[Node, ...]

  def __post_init__(self) -> None:
    if not self.nodes or self.nodes[0].op != 'input':
      raise ValueError('nodes: the first node must be the input')
    for index, node in enumerate(self.nodes):
      _check_node(index, node)

  @functools.cached_property
  def digest(self) -> str:
    """SHA-256 of the JSON form as 64 hexadecimal digits; the key in caches."""
    return hashlib.sha256(self.to_json().encode()).hexdigest()

  @functools.cached_property
  def digest_without_unread(self) -> str:
    """The digest of the network without the nodes that its output does not depend on."""
    return without_unread(self).digest

  def to_json(self) -> str:
    """Returns one line of JSON: a list of [op, inputs, attributes]."""
    rows = [[n.op, list(n.inputs), dict(n.attributes)] for n in self.nodes]
    return json.dumps(rows, separators=(',', ':'))

  @classmethod
  def from_json(cls, text: str) -> Architecture:
    """The exact inverse of `to_json`. Raises ValueError if the text is not an architecture."""
    try:
      return cls.from_rows(json.loads(text))
    except json.JSONDecodeError as error:
      raise ValueError(f'architecture: not JSON ({error})') from error

  @classmethod
  def from_rows(cls, rows: Any) -> Architecture:
    """Builds an architecture from parsed JSON, as `to_json` writes it. Raises ValueError."""
    try:
      nodes = tuple(
        Node(str(op), tuple(int(i) for i in inputs), tuple(sorted(dict(attributes).items())))
        for op, inputs, attributes in rows
      )
    except (TypeError, ValueError) as error:
      raise ValueError(f'architecture: not a list of [op, inputs, attributes] ({error})') from error
    return cls(nodes)

  def __str__(self) -> str:
    return '\n'.join(
      f'{i:3d} {n.op}({", ".join(map(str, n.inputs))})'
      + ''.join(f' {name}={value}' for name, value in n.attributes)
      for i, n in enumerate(self.nodes)
    )


def without_unread(architecture: Architecture) -> Architecture:
  """Returns the network without the nodes that its output does not depend on.

  `Graph.finish` leaves none, and then the network is returned as it is. The input always stays.
  """
  nodes = architecture.nodes
  read = {0, len(nodes) - 1}
  for index in range(len(nodes) - 1, 0, -1):
    if index in read:
      read.update(nodes[index].inputs)
  if len(read) == len(nodes):
    return architecture
  place = {index: i for i, index in enumerate(sorted(read))}
  return Architecture(
    tuple(
      dataclasses.replace(nodes[index], inputs=tuple(place[i] for i in nodes[index].inputs))
      for index in place
    )
  )


def computed_once(
  architecture: Architecture, name: str, key: object, compute: Callable[[], Result]
) -> Result:
  """Computes a result for a network, or returns the one computed before with the same key.

  The network's `__dict__` keeps the result, as it keeps the digest. The result is not a field:
  comparison, hash and JSON ignore it. Pickling includes it, so a worker process does not compute
  it again.

  Args:
    architecture: the network.
    name: name of the result, private to the caller.
    key: what the result depends on, apart from the network.
    compute: computes the result; its errors are passed on.
  """
  known = vars(architecture).get(name)
  if known is None or known[0] != key:
    known = vars(architecture)[name] = (key, compute())
  return known[1]


@dataclasses.dataclass(frozen=True)
class TaskShape:
  """Shape of the input of a network, and number of its outputs.

  Attributes:
    input_shape: shape of an example: (height, width, channels), or (time, features).
    classes: number of outputs: of classes, the width of the classifier; or of values, of which a
      reconstruction has as many as the input.

  Raises:
    ValueError: `input_shape` has neither two nor three axes, or a number is not a positive integer.
  """

  input_shape: Shape
  classes: int

  def __post_init__(self) -> None:
    sides, classes = tuple(self.input_shape), self.classes
    if len(sides) not in (2, 3) or not all(map(_is_positive, sides)):
      raise ValueError(f'input_shape={sides}: must be two or three positive integers')
    if not _is_positive(classes):
      raise ValueError(f'classes={classes!r}: must be a positive integer')
    # NumPy integers become Python integers, as compiled functions and JSON need them.
    object.__setattr__(self, 'input_shape', tuple(map(operator.index, sides)))
    object.__setattr__(self, 'classes', operator.index(classes))


def _is_positive(value: Any) -> bool:
  """Whether `value` is an integer, of Python or NumPy, of at least 1."""
  return hasattr(value, '__index__') and not isinstance(value, bool) and value >= 1


class Graph:
  """Builds an architecture node by node; `finish` removes nodes that the output does not need.

  ```
  graph = Graph()
  x = graph.add('conv', graph.input, filters=8, kernel_height=3, kernel_width=3, stride=2,
                activation='relu')
  architecture = graph.finish(graph.classify(x))
  ```
  """

  input = 0

  def __init__(self) -> None:
    self._nodes = [Node('input')]

  def add(self, op: str, *inputs: int, **attributes: Scalar) -> int:
    """Appends a node and returns its index. Raises ValueError if the node is malformed."""
    node = Node(op, inputs, tuple(sorted(attributes.items())))
    _check_node(len(self._nodes), node)
    self._nodes.append(node)
    return len(self._nodes) - 1

  def classify(self, value: int) -> int:
    """Adds global average pooling and the dense layer that gives one logit for each class."""
    return self.add('classifier', self.add('global_avg_pool', value))

  def finish(self, output: int) -> Architecture:
    """Returns the network of the nodes that `output` depends on, in canonical order."""
    return Architecture(_canonical(self._nodes, output))


def infer_shapes(architecture: Architecture, task: TaskShape) -> tuple[Shape, ...]:
  """Computes the shape of every node's value, without the batch dimension.

  Args:
    architecture: the network.
    task: its input shape and number of classes.

  Returns:
    One shape for each node: (height, width, channels), (time, features) for a sequence, or
    (features,) after global pooling, frames and dense layers.

  Raises:
    ValueError: an operation cannot take the shapes of its inputs, such as a sum of two shapes or
      frames beyond the end of a sequence; or the outputs cannot be spread over the map of a
      reconstruction.
  """
  found = [_preprocessed(architecture.nodes[0], input_sides(task))]
  for index, node in enumerate(architecture.nodes[1:], 1):
    op, size, stride, first = _figures(node.op, node.attributes)
    source, *others = node.inputs
    sides = found[source]
    for other in others:
      sides = joined_sides(op, sides, found[other])
    sides = sides_after(op, sides, size, stride, first, task.classes)
    if not sides[0]:
      raise _misfit(index, node, [_shape(found[i]) for i in node.inputs], task.classes)
    found.append(sides)
  return tuple(map(_shape, found))


def input_sides(task: TaskShape) -> Sides:
  """The sides of the network's input."""
  *sides, channels = task.input_shape
  height, width = (*sides, 1)[:2]
  return 1 + len(sides), height, width, channels


def _preprocessed(entry: Node, sides: Sides) -> Sides:
  """The sides of what the input node gives: those of an example, or of what is read of it."""
  if not entry.attributes:
    return sides
  rank, height, width, channels = sides
  is_row = rank == 3 and height == 1
  is_image = rank == 3 and height != 1 and channels != 1
  if 'features' in dict(entry.attributes):
    frames, kept = entry['frames'], _indices(entry['features'])
    steps, features = (width, channels) if is_row else (height, channels if rank == 2 else width)
    if is_image or steps < frames * entry['rate'] or features <= kept[-1]:
      raise ValueError(
        f'node 0: a window of {frames * entry["rate"]} time steps and feature {kept[-1]} of '
        f'examples of shape {_shape(sides)}'
      )
    seen = len(kept)
  else:
    frames, seen = _frames_heard(entry), entry['mel_bins']
    if is_image or frames < 1:
      raise ValueError(
        f'node 0: {frames} frames of sound in place of examples of shape {_shape(sides)}'
      )
  if rank == 2:
    return rank, frames, 1, seen
  return (rank, 1, frames, seen) if is_row else (rank, frames, seen, 1)


def _frames_heard(entry: Node) -> int:
  rate, clip_ms = entry['sample_rate'], entry['clip_ms']
  return frames_of_clip(
    rate, clip_ms=clip_ms, frame_ms=entry['frame_ms'], hop_ms=entry['frame_hop_ms']
  )


def frames_of_clip(sample_rate: int, *, clip_ms: int, frame_ms: int, hop_ms: int) -> int:
  """Number of whole frames in a clip of sound; below 1 if there is none.

  Args:
    sample_rate: samples a second.
    clip_ms: length of the clip in milliseconds.
    frame_ms: length of a frame.
    hop_ms: from the beginning of a frame to that of the next.
  """
  clip, frame, hop = (samples_of(time, sample_rate) for time in (clip_ms, frame_ms, hop_ms))
  return 1 + (clip - frame) // hop if hop else 0


def samples_of(milliseconds: int, sample_rate: int) -> int:
  """Number of samples of a time, rounded down."""
  return sample_rate * milliseconds // 1000


def _indices(text: str) -> list[int]:
  """The indices in the attribute `features`; none if it has another form."""
  parts = text.split(',')
  return [int(part) for part in parts] if all(part.isdecimal() for part in parts) else []


def joined_sides(op: int, sides: Sides, other: Sides) -> Sides:
  """Joins the sides of an operation's first inputs with those of the next; rank 0 on a misfit."""
  rank, height, width, channels = sides
  if op in _SIZED:
    fits = rank == other[0] == 3 and height <= other[1] and width <= other[2]
    return (3, other[1], other[2], channels) if fits else _NO_SIDES
  if (rank, height, width) != (other[0], other[1], other[2]):
    return _NO_SIDES
  if op == _CONCAT:
    return rank, height, width, channels + other[3]
  return sides if channels == other[3] else _NO_SIDES


def sides_after(op: int, sides: Sides, size: int, stride: int, first: int, classes: int) -> Sides:
  """The sides of an operation's result; rank 0 if the operation cannot take its input.

  Args:
    op: code of the operation, a value of `OPS`.
    sides: sides of its input; of several inputs, `joined_sides`.
    size: number of filters, units or frames; 0 if the operation has none of these.
    stride: at least 1.
    first: index of the first frame that it takes.
    classes: number of the network's outputs.
  """
  rank, height, width, channels = sides
  if rank == 0 or op in _KEEPING:
    return sides
  if op == _CLASSIFIER:
    return 1, 1, 1, classes
  if op == _DENSE:
    return 1, 1, 1, size
  if op == _FRAMES:
    return (1, 1, 1, size * channels) if rank == 2 and first + size <= height else _NO_SIDES
  if rank != 3:
    return _NO_SIDES
  if op == _GLOBAL_AVG_POOL:
    return 1, 1, 1, channels
  if op == _RECONSTRUCTION:
    places = height * width
    return (3, height, width, classes // places) if classes % places == 0 else _NO_SIDES
  return 3, -(-height // stride), -(-width // stride), size if size else channels


@functools.lru_cache(maxsize=10_000)
def _figures(op: str, attributes: tuple[tuple[str, Any], ...]) -> tuple[int, int, int, int]:
  """Code, size, stride and first frame of a node, as `sides_after` takes them."""
  known = dict(attributes)
  size = next((known[name] for name in _SIZES if name in known), 0)
  return OPS[op], size, known.get('stride', 1), known.get('first', 0)


def _shape(sides: Sides) -> Shape:
  return (*sides[1 : sides[0]], sides[3])


def _misfit(index: int, node: Node, inputs: list[Shape], outputs: int) -> ValueError:
  """The error that says why a node cannot take its inputs."""
  first = inputs[0]
  if node.op in COMMUTATIVE:
    found = f'{node.op} of different shapes {inputs}'
  elif node.op == 'concat':
    found = f'concat of different sizes {inputs}'
  elif node.op == 'frames':
    found = f'frames from {node["first"]} on of a value of shape {first}'
  elif len(first) != 3:
    found = f'{node.op} of shape {first}, not (height, width, channels)'
  elif node.op == 'reconstruction':
    found = f'reconstruction of {outputs} values on a map of {first[0]}x{first[1]}'
  elif len(inputs[1]) != 3:
    found = f'{node.op} to shape {inputs[1]}, not (height, width, channels)'
  else:
    found = f'{node.op} of {first} to the smaller {inputs[1]}'
  return ValueError(f'node {index}: {found}')


def _check_node(index: int, node: Node) -> None:
  if node.op not in OPERATIONS:
    raise ValueError(f'node {index}: unknown op {node.op!r}; known: {", ".join(OPERATIONS)}')
  names = tuple([name for name, _ in node.attributes])  # checks run often; a list is quicker
  if names != OPERATIONS[node.op] and not (node.op == 'input' and names in (WINDOW, HEARING)):
    raise ValueError(f'node {index} ({node.op}): attributes {names}, not {OPERATIONS[node.op]}')
  least, most = _INPUT_COUNTS.get(node.op, (1, 1))
  if len(node.inputs) < least or (most is not None and len(node.inputs) > most):
    raise ValueError(f'node {index} ({node.op}): {len(node.inputs)} inputs')
  if node.inputs and not 0 <= min(node.inputs) <= max(node.inputs) < index:
    raise ValueError(f'node {index} ({node.op}): inputs {node.inputs} do not all precede it')
  for name, value in node.attributes:
    if name == 'activation':
      if value not in ACTIVATIONS:
        raise ValueError(f'node {index} ({node.op}): activation={value!r}, not of {ACTIVATIONS}')
    elif name == 'front_end':
      if value not in FRONT_ENDS:
        raise ValueError(f'node {index} ({node.op}): front_end={value!r}, not of {FRONT_ENDS}')
    elif name == 'features':
      kept = _indices(value) if isinstance(value, str) else []
      if not kept or ','.join(map(str, sorted(set(kept)))) != value:
        raise ValueError(f'node {index} ({node.op}): features={value!r}, not ascending indices')
    elif not isinstance(value, int) or value < (0 if name == 'first' else 1):
      raise ValueError(f'node {index} ({node.op}): {name}={value!r} is not a positive integer')


def _canonical(nodes: Sequence[Node], output: int) -> tuple[Node, ...]:
  """Orders nodes depth first from the output, terms of a sum by the hashes of their subtrees."""
  hashes: list[str] = []
  sums = any(node.op in COMMUTATIVE for node in nodes)
  for node in nodes if sums else ():  # nothing else needs the hashes
    below = [hashes[i] for i in node.inputs]
    text = f'{node.op}{node.attributes}{sorted(below) if node.op in COMMUTATIVE else below}'
    hashes.append(hashlib.sha256(text.encode()).hexdigest())
  place = {0: 0}
  shared: dict[Node, int] = {}  # equal nodes without weights compute the same value
  ordered = [nodes[0]]
  stack = [output]
  while stack:  # post-order, not recursive: unrolled networks are thousands of nodes deep
    index = stack[-1]
    inputs: Sequence[int] = nodes[index].inputs
    if nodes[index].op in COMMUTATIVE:
      inputs = sorted(inputs, key=lambda i: hashes[i])
    missing = [i for i in inputs if i not in place]
    if index not in place and missing:
      stack.extend(reversed(missing))
      continue
    stack.pop()
    if index in place:
      continue
    node = Node(nodes[index].op, tuple(place[i] for i in inputs), nodes[index].attributes)
    if node.op not in _WEIGHTED:
      place[index] = shared.setdefault(node, len(ordered))
      if place[index] < len(ordered):
        continue
    place[index] = len(ordered)
    ordered.append(node)
  return tuple(ordered)
