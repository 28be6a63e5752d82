"""The boxes of a drawing of an architecture: their labels, and which nodes it does not show."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rlnas.architecture import SIZED, Architecture, Node, Scalar, Shape, TaskShape, infer_shapes

# A drawing of more boxes is not readable; the rest becomes one box that says how many there are.
MOST_BOXES = 150
# A cell unrolled over time repeats: two steps show it and how its state passes to the next step.
MOST_STEPS = 2

_PILLS = frozenset({'add', 'multiply', 'concat', *SIZED, 'relu', 'tanh', 'sigmoid', 'more'})
_DEPTHWISE = ('depthwise_conv', 'dilated_depthwise_conv')
_SIGNS = {'add': '+', 'multiply': '×', 'pad_like': 'zero pad', 'resize_like': 'repeat to'}


@dataclasses.dataclass(frozen=True)
class Box:
  """One box of a drawing.

  Attributes:
    kind: an operation of `rlnas.architecture`, 'separable_conv' or 'more'.
    label: its first line.
    shape: its second line, the shape of the output; '' if there is none.
    inputs: the boxes that it reads, by their positions in the list of boxes.
  """

  kind: str
  label: str
  shape: str
  inputs: tuple[int, ...]

  @property
  def is_pill(self) -> bool:
    """Whether it is drawn small, on one line: operations without window and weights."""
    return self.kind in _PILLS


def boxes(architecture: Architecture, task: TaskShape) -> tuple[Box, ...]:
  """The boxes of a drawing: one for each node that it shows.

  A depthwise convolution that only a 1x1 convolution reads shares one box with it, 'separable'. An
  unrolled cell has `MOST_STEPS` steps, any network at most `MOST_BOXES` boxes; the box before the
  last one counts the rest.

  Raises:
    ValueError: the architecture cannot read the input.
  """
  nodes = architecture.nodes
  shapes = infer_shapes(architecture, task)
  depthwise = _separable(nodes)
  reads = [nodes[depthwise.get(i, i)].inputs for i in range(len(nodes))]
  shown, hidden = _selection(nodes, reads, set(depthwise.values()))
  place_of = {i: place for place, i in enumerate(shown)}
  found = [
    _box(nodes, i, depthwise.get(i), shapes[i], tuple(place_of[j] for j in reads[i] if j in shown))
    for i in shown
  ]
  if hidden:
    end = len(found) - 1
    ends = sorted({place_of[j] for i in hidden for j in reads[i] if j in place_of})
    found[end:] = [
      Box('more', f'… {len(hidden)} more operations', '', tuple(ends)),
      dataclasses.replace(found[end], inputs=(*found[end].inputs, end)),
    ]
  return tuple(found)


def _separable(nodes: Sequence[Node]) -> dict[int, int]:
  """The 1x1 convolutions that alone read a depthwise one: {convolution: depthwise convolution}."""
  readers: dict[int, list[int]] = {}
  for i, node in enumerate(nodes):
    for j in node.inputs:
      readers.setdefault(j, []).append(i)
  pairs = {}
  for j, node in enumerate(nodes):
    if node.op in _DEPTHWISE and len(readers.get(j, ())) == 1:
      reader = nodes[readers[j][0]]
      if reader.op == 'conv' and _window(reader) == (1, 1) and reader['stride'] == 1:
        pairs[readers[j][0]] = j
  return pairs


def _selection(
  nodes: Sequence[Node], reads: Sequence[tuple[int, ...]], absorbed: set[int]
) -> tuple[list[int], list[int]]:
  """The nodes to show, in order, and those to hide."""
  starts = sorted({node['first'] for node in nodes if node.op == 'frames'})
  keys: list[tuple[int, int]] = []  # (time step, length of the longest way from the input)
  for node, inputs in zip(nodes, reads, strict=True):
    step = starts.index(node['first']) if node.op == 'frames' else 0
    before = [keys[i] for i in inputs]
    keys.append((max([step, *(s for s, _ in before)]), max((d for _, d in before), default=-1) + 1))
  *candidates, last = [i for i in range(len(nodes)) if i not in absorbed]
  first = sorted(candidates, key=lambda i: keys[i])[: MOST_BOXES - 2]
  begun = {i for i in first if keys[i][0] < MOST_STEPS}
  if len(begun) < len(candidates):  # a node that only hidden nodes read is hidden too
    begun &= {j for i in begun for j in reads[i]}
  return [*sorted(begun), last], sorted(set(candidates) - begun)


def _box(
  nodes: Sequence[Node], i: int, depthwise: int | None, shape: Shape, inputs: tuple[int, ...]
) -> Box:
  node, size = nodes[i], '×'.join(map(str, shape))
  if depthwise is not None:
    kind, label = 'separable_conv', _convolution('separable', nodes[depthwise], node['filters'])
  else:
    kind, label = node.op, _label(node)
  if kind not in _PILLS:
    return Box(kind, label, size, inputs)
  return Box(kind, f'{label} {size}' if kind in ('concat', *SIZED) else label, '', inputs)


def _label(node: Node) -> str:
  if node.op == 'input' and 'mel_bins' in dict(node.attributes):
    return f'{node["mel_bins"]} bins, {node["frame_ms"]} ms every {node["frame_hop_ms"]}'
  if node.op == 'input' and node.attributes:
    each = 'each step' if node['rate'] == 1 else f'means of {node["rate"]} steps'
    return f'window: {each}, features {node["features"]}'
  if node.op in ('conv', 'dilated_conv', *_DEPTHWISE):
    name = 'depthwise' if node.op in _DEPTHWISE else 'conv'
    label = _convolution(name, node, dict(node.attributes).get('filters'))
    return label if node['activation'] == 'relu' else f'{label}, no ReLU'
  if node.op in ('max_pool', 'avg_pool'):
    return _convolution(node.op.replace('_', ' '), node, None)
  if node.op == 'reconstruction':
    return _convolution(node.op, node, None)
  if node.op == 'frames':
    return f'frames {node["first"]} to {node["first"] + node["count"] - 1}'
  if node.op == 'dense':
    return f'dense {node["units"]}, weights {node["weights"]}'
  return _SIGNS.get(node.op, node.op.replace('_', ' '))


def _convolution(name: str, node: Node, filters: Scalar | None) -> str:
  """For example 'conv 3×3, 16 /2': window, filters, stride; or 'dilated 4 conv 3×3, 16'."""
  height, width = _window(node)
  known = dict(node.attributes)
  stride, dilation = known.get('stride', 1), known.get('dilation', 1)
  filters_text = '' if filters is None else f', {filters}'
  dilated = '' if dilation == 1 else f'dilated {dilation} '
  return f'{dilated}{name} {height}×{width}{filters_text}' + (f' /{stride}' if stride != 1 else '')


def _window(node: Node) -> tuple[int, int]:
  return node['kernel_height'], node['kernel_width']
