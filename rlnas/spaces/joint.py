"""Cells and their stacking in one sequence of tokens: micro- and macro-architecture together.

A cell-based space fixes how its cells are stacked, and what is left is engineered by hand. Ideally
both are optimized jointly (Elsken, Metzen & Hutter 2019, Neural Architecture Search: A Survey,
section 2); here one controller does so. First come the stages: how often a cell is repeated, how
wide it is, whether the map is halved before, and which of the cells it is. The cells follow, in the
grammar of NASNet (`rlnas.spaces.nasnet`; Zoph et al. 2018, section 3.1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence

from rlnas.architecture import Architecture, Graph, Scalar
from rlnas.spaces import layers, nasnet
from rlnas.spaces.decision import Decision, Walk


@dataclasses.dataclass(frozen=True)
class Joint:
  """The space of stages together with their cells.

  The first stage begins with a 3x3 convolution, the stem, and so does every stage of stride 2. As
  in NASNet, a cell reads the outputs of the two before it, among which these convolutions count.
  A cell that no stage picks is described but not built.

  Attributes:
    max_stages: most stages.
    max_repeats: how often a stage's cell is repeated at most. From the second stage on, 0 is on
      offer too and ends the network.
    widths: channels within a cell.
    max_strides: how many stages may have stride 2.
    cells: how many cells there are to choose from.
    blocks: blocks of a cell.
    operations: what a block can apply, names of `nasnet.OPERATIONS`.

  Raises:
    ValueError: an option is out of its range.
  """

  max_stages: int = 4
  max_repeats: int = 3
  widths: tuple[int, ...] = (4, 8, 16, 24)
  max_strides: int = 3
  cells: int = 2
  blocks: int = 3
  operations: tuple[str, ...] = nasnet.MICRO_OPERATIONS

  def __post_init__(self) -> None:
    for name in ('max_stages', 'max_repeats', 'cells', 'blocks'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: must be at least 1')
    if self.max_strides < 0:
      raise ValueError(f'max_strides={self.max_strides}: must be at least 0')
    if not self.widths or min(self.widths) < 1 or len(set(self.widths)) < len(self.widths):
      raise ValueError(f'widths={self.widths}: must be distinct positive integers, at least one')
    distinct = set(self.operations)
    if (
      not distinct or not distinct <= set(nasnet.OPERATIONS) or len(distinct) < len(self.operations)
    ):
      raise ValueError(
        f'operations={self.operations}: must be distinct, taken from {tuple(nasnet.OPERATIONS)}'
      )

  def __call__(self) -> Walk:
    stages = yield from self._walk_stages()
    cells: list[nasnet.Cell] = []
    for i in range(self.cells):
      cell = yield from nasnet.walk_cell(f'cell{i}', blocks=self.blocks, operations=self.operations)
      cells.append(cell)
    return _stack(stages, cells)

  def _walk_stages(self) -> Generator[Decision, Scalar, tuple[_Stage, ...]]:
    stages: list[_Stage] = []
    strides = 0
    for i in range(self.max_stages):
      at, memory = f'stage{i}/', (strides,)
      least = 0 if i else 1
      offered = tuple(range(least, self.max_repeats + 1))
      repeats = yield Decision(at + 'repeats', 'repeats', offered, memory)
      if repeats == 0:
        break
      width = yield Decision(at + 'width', 'width', self.widths, memory)
      cell = yield Decision(at + 'cell', 'cell', tuple(range(self.cells)), memory)
      steps = (1, 2) if strides < self.max_strides else (1,)
      stride = yield Decision(at + 'stride', 'stride', steps, memory)
      strides += stride == 2
      stages.append(_Stage(int(repeats), int(width), int(cell), int(stride)))
    return tuple(stages)


@dataclasses.dataclass(frozen=True)
class _Stage:
  """`repeats` times the cell number `cell` at `width` channels, on a map reduced by `stride`."""

  repeats: int
  width: int
  cell: int
  stride: int


def _stack(stages: Sequence[_Stage], cells: Sequence[nasnet.Cell]) -> Architecture:
  graph = Graph()
  before = now = _open_stage(graph, layers.Map(Graph.input), stages[0])
  for i, stage in enumerate(stages):
    if i and stage.stride == 2:
      before, now = now, _open_stage(graph, now.map, stage)
    for _ in range(stage.repeats):
      following = nasnet.apply_cell(
        graph, cells[stage.cell], (now, before), filters=stage.width, stride=1
      )
      before, now = now, following
  return graph.finish(graph.classify(now.map.node))


def _open_stage(graph: Graph, x: layers.Map, stage: _Stage) -> nasnet.HiddenState:
  """The 3x3 convolution that a stage begins with."""
  node = layers.conv(graph, x.node, filters=stage.width, kernel=3, stride=stage.stride)
  return nasnet.HiddenState(layers.Map(node, x.stride * stage.stride), stage.width)
