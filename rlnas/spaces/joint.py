"""Cells and how they are stacked, in one sequence of tokens: micro- and macro-architecture.

A cell-based space searches cells, but how they are stacked is engineered by hand. Ideally both are
optimized jointly (Elsken, Metzen & Hutter 2019, Neural Architecture Search: A Survey, section 2).
This space does so. The decisions on the stages come first: how often each stage repeats its cell,
its width, which cell it uses, and whether the map is halved before. The decisions on the cells
follow, as in NASNet (`rlnas.spaces.nasnet`; Zoph et al. 2018, section 3.1).
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

  The first stage and every stage of stride 2 begin with a 3x3 convolution. As in NASNet, a cell
  reads the outputs of the two cells before it, or of these convolutions in their place. A cell that
  no stage picks is part of the tokens but not of the network.

  Attributes:
    max_stages: largest number of stages.
    max_repeats: largest number of repeats of a stage's cell. From the second stage on, 0 is also
      a choice and ends the network.
    widths: numbers of channels within a cell to choose from.
    max_strides: largest number of stages with stride 2.
    cells: number of cells that the stages choose from.
    blocks: number of blocks of each cell.
    operations: operations that a block can apply, names of `rlnas.spaces.nasnet.OPERATIONS`.

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

  def __call__(self) -> Walk[Architecture]:
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
  """`repeats` times cell number `cell` with `width` channels, on a map reduced by `stride`."""

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
  """Adds the 3x3 convolution at the start of a stage."""
  node = layers.conv(graph, x.node, filters=stage.width, kernel=3, stride=stage.stride)
  return nasnet.HiddenState(layers.Map(node, x.stride * stage.stride), stage.width)
