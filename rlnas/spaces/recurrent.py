"""Recurrent cells (Zoph & Le 2017, section 3.4, figure 5), unrolled over a sequence.

A cell of base N is a binary tree of 2N - 1 nodes. Each node merges two values by a combination
(`comb`) and an activation (`act`):

  leaf k < N         a_k = act(W_2k+1 x_t  comb  W_2k+2 h_t-1)
  node N + j         a_N+j = act(a_2j  comb  a_2j+1)
  the last node      h_t = a_2N-2

The memory c enters at one index of the tree and leaves at another. At the first, act(a comb c_t-1)
replaces a (the 'cell inject' of the paper); at the second, c_t is the value before the
activation. Tokens come in the paper's order: all nodes, the injection, the index that sets c_t, the
index that reads c_t-1. With base 8 there are 8^15 · 8 · 15 · 15 = 6.3 · 10^16 cells.

The paper leaves two details open:

- If both indices are equal, c enters first: c_t = a comb c_t-1 before the activation, so a memory
  can accumulate as in an LSTM.
- h_0 = tanh(W x_0) is computed from the first frames with learned W, and c_0 = h_0. With zeros,
  every product with the state would be zero in the first step and its operators useless.
"""

from __future__ import annotations

import dataclasses
import math

from rlnas.architecture import Architecture, Graph
from rlnas.spaces.decision import Decision, Walk

COMBINATIONS = ('add', 'multiply')
ACTIVATIONS = ('identity', 'tanh', 'sigmoid', 'relu')


@dataclasses.dataclass(frozen=True)
class Recurrent:
  """The space of recurrent cells, as classifiers of sequences of shape (time, features).

  A cell is unrolled with shared weights, and the last h is classified. It runs `steps` times, each
  time on as many frames: by default on as few as cover the whole sequence, with the least overlap
  (49 frames are 7 pieces of 7, 128 frames 7 of 19 that overlap by one frame here and there). If
  `frames_per_step` is given, the pieces follow one another from the first frame on, and frames
  after the last piece are not read. For a shorter sequence `infer_shapes` raises ValueError.

  TFLite Micro keeps structures for every unrolled operator, whatever the size of its tensors, so
  memory grows with steps * base. Estimated means of 200 cells for speech features of (49, 10), at 7
  steps of 24 units, once loaded:

    base                 2    4    8
    tensor arena, KB    17   29   53
    .tflite file, KB    18   31   59

  So the defaults are several frames per step and base 4; the paper has base 8.

  Attributes:
    base: number of leaves of the cell's tree.
    units: number of units of the state h, the memory c and every node of the tree.
    steps: number of times that the cell runs.
    frames_per_step: number of frames of the sequence that the cell reads in each step; by default
      `frames` / `steps`, rounded up.
    frames: number of frames of the sequence, at least `steps`; it counts only if `frames_per_step`
      is not given. The command line gives that of the data.

  Raises:
    ValueError: an option is out of its range.
  """

  base: int = 4
  units: int = 24
  steps: int = 7
  frames_per_step: int | None = None
  frames: int = 49

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if value is not None and value < 1:
        raise ValueError(f'{field.name}={value}: must be at least 1')
    if self.frames_per_step is None and self.frames < self.steps:
      raise ValueError(f'frames={self.frames}: must be at least steps={self.steps}')

  def __call__(self) -> Walk[Architecture]:
    indices = tuple(range(2 * self.base - 1))
    merges: list[_Merge] = []
    for place in (*(f'node{k}/' for k in indices), 'inject/'):
      combination = yield Decision(place + 'combination', 'combination', COMBINATIONS)
      activation = yield Decision(place + 'activation', 'activation', ACTIVATIONS)
      merges.append(_Merge(str(combination), str(activation)))
    write = yield Decision('index/write', 'cell_index', indices)
    read = yield Decision('index/read', 'cell_index', indices)
    return self._unrolled(_Cell(tuple(merges[:-1]), merges[-1], int(write), int(read)))

  def _unrolled(self, cell: _Cell) -> Architecture:
    graph = Graph()
    count = self.frames_per_step or math.ceil(self.frames / self.steps)
    pieces = [
      graph.add('frames', Graph.input, first=first, count=count) for first in self._firsts(count)
    ]
    initial = graph.add('dense', pieces[0], units=self.units, weights=2 * self.base + 1)
    h = c = graph.add('tanh', initial)
    for x in pieces:
      h, c = cell.step(graph, x, h, c, self.units)
    return graph.finish(graph.add('classifier', h))

  def _firsts(self, count: int) -> list[int]:
    """The first frame of each piece of `count` frames."""
    if self.frames_per_step is not None:
      return [t * count for t in range(self.steps)]
    last = self.frames - count  # two neighbours are at most `count` frames apart
    return [t * last // max(1, self.steps - 1) for t in range(self.steps)]


@dataclasses.dataclass(frozen=True)
class _Merge:
  """How a node of the tree merges two values: names of combination and activation."""

  combination: str
  activation: str

  def apply(self, graph: Graph, left: int, right: int) -> tuple[int, int]:
    """Returns the merged value before and after the activation."""
    before = graph.add(self.combination, left, right)
    after = before if self.activation == 'identity' else graph.add(self.activation, before)
    return before, after


@dataclasses.dataclass(frozen=True)
class _Cell:
  """A cell: the nodes of the tree, the injection, and the nodes that set c_t and read c_t-1."""

  nodes: tuple[_Merge, ...]
  injection: _Merge
  write: int
  read: int

  def step(self, graph: Graph, x: int, h: int, c: int, units: int) -> tuple[int, int]:
    """Returns h_t and c_t, computed from x_t, h_t-1 and c_t-1."""
    base = (len(self.nodes) + 1) // 2
    values: list[int] = []
    new_c = c
    for k, merge in enumerate(self.nodes):
      if k < base:
        left = graph.add('dense', x, units=units, weights=2 * k + 1)
        right = graph.add('dense', h, units=units, weights=2 * k + 2)
      else:
        left, right = values[2 * (k - base) : 2 * (k - base) + 2]
      before, value = merge.apply(graph, left, right)
      if k == self.read:
        before, value = self.injection.apply(graph, value, c)
      if k == self.write:
        new_c = before
      values.append(value)
    return values[-1], new_c
