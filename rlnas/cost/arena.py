"""Predicts the tensor arena of a build of TFLite Micro: its parts, and the smallest one that loads.

A network that is loaded needs the head and the tail of the arena. While it is loaded, TFLite Micro
also needs memory beside the tail: first for each operator's tensors, then for the plan of the
memory. If that is more than the head, as in recurrent networks of many small operators, the
smallest arena that loads is larger than the arena in use (`rlnas.cost.arena_tail.smallest_bytes`).

The kernels of some chips also request scratch memory in the head:

- CMSIS-NN on cores with DSP instructions (arm_convolve_wrapper_s8_get_buffer_size,
  arm_depthwise_conv_wrapper_s8_get_buffer_size and arm_avgpool_s8_get_buffer_size): two columns of
  the input in 16 bits for a convolution, none if it is 1x1; one column for a depthwise convolution
  without dilation or multiplier, and none if it is 3x3 in releases after 2023; one 32-bit sum per
  channel for average pooling.
- ESP-NN on the ESP32: one 32-bit value per class for softmax.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from rlnas.cost.arena_head import Buffer, greedy_plan
from rlnas.cost.arena_tail import Node, Nodes, Tail, smallest_bytes, tail_of
from rlnas.cost.builds import Build
from rlnas.cost.kernels import Work
from rlnas.cost.structures import KINDS


class Excess(NamedTuple):
  """What TFLite Micro took on this machine beyond the prediction for its build, in bytes.

  It belongs to operators whose structures or scratch memory are not known. It is added in full to
  the prediction for a chip, which makes it an upper bound: structures can only be smaller there.
  """

  head_bytes: int
  tail_bytes: int


NO_EXCESS = Excess(0, 0)


@dataclasses.dataclass(frozen=True)
class Arena:
  """The tensor arena of a network on a build of TFLite Micro.

  Attributes:
    head_bytes: size of activations and scratch memory.
    tail_bytes: size of the interpreter's structures.
    smallest_bytes: size of the smallest arena in which the network can be loaded; if it begins at a
      multiple of 16, as TFLite Micro's examples declare it.
  """

  head_bytes: int
  tail_bytes: int
  smallest_bytes: int

  @property
  def used_bytes(self) -> int:
    """Size of the arena in use once the network is loaded."""
    return self.head_bytes + self.tail_bytes


@dataclasses.dataclass(frozen=True)
class Contents:
  """What a network keeps in the arena.

  Attributes:
    operators: the operators of all subgraphs.
    steps: (operator, step in which it runs) in the order of the plan.
    results: the tensors in the head.
    tensors: number of tensors, including constants.
    inputs: number of the network's inputs.
    outputs: number of the network's outputs.
    quantized: whether inputs and outputs have a scale.
    subgraphs: number of subgraphs.
  """

  operators: tuple[Work, ...]
  steps: tuple[tuple[int, int], ...]
  results: tuple[Buffer, ...]
  tensors: int
  inputs: int = 1
  outputs: int = 1
  quantized: bool = True
  subgraphs: int = 1

  def buffers(self, build: Build) -> tuple[Buffer, ...]:
    """Returns the tensors in the head, then the scratch areas by operator."""
    areas = [scratch_areas(work, build) for work in self.operators]
    scratch = [Buffer(size, step, step) for index, step in self.steps for size in areas[index]]
    return (*self.results, *scratch)

  def arena(self, build: Build, excess: Excess = NO_EXCESS) -> Arena:
    """Predicts the arena of a build."""
    areas = [scratch_areas(work, build) for work in self.operators]
    scratch = sum(map(len, areas))
    head = greedy_plan(self.buffers(build)).total_bytes + excess.head_bytes
    tail = self._tail(build, areas)
    tail = Tail(*(size + excess.tail_bytes for size in tail))
    smallest = smallest_bytes(
      build.layouts,
      head,
      tail,
      self.tensors,
      scratch,
      len(self.results) + scratch,
      self.subgraphs,
    )
    return Arena(head, tail.total, int(smallest))

  def _tail(self, build: Build, areas: Sequence[tuple[int, ...]]) -> Tail:
    nodes = [
      Node(work.kind, work.scales, work.inputs, len(asked) if work.kind in KINDS else 0)
      for work, asked in zip(self.operators, areas, strict=True)
    ]
    return tail_of(
      build.structures,
      Nodes.of(nodes),
      tensors=self.tensors,
      inputs=self.inputs,
      outputs=self.outputs,
      quantized=self.quantized,
    )


def scratch_areas(work: Work, build: Build) -> tuple[int, ...]:
  """Returns the sizes in bytes of the scratch areas that a kernel of a build requests."""
  areas = work.scratch
  if work.kind == 'MEAN' and build.mean_asks_once:
    areas = areas[-1:]
  size = _of_chip(work, build)
  return (*areas, size) if size else areas


def _of_chip(work: Work, build: Build) -> int:
  """Returns the size of the area that only the kernels made for a chip request."""
  if build.kernels == 'esp_nn':
    return 4 * work.channels if work.kind == 'SOFTMAX' else 0
  if build.kernels != 'cmsis_nn':
    return 0
  column = math.prod(work.kernel_shape)
  if work.kind == 'CONV_2D':
    is_product = work.kernel_shape[:2] == (1, 1) and not work.is_dilated
    return 0 if is_product else 4 * (-(-column // 4) * 4)
  if work.kind == 'DEPTHWISE_CONV_2D':
    spared = work.kernel_shape[:2] == (3, 3) and not build.asks_for_3x3
    return 0 if spared or work.is_dilated or work.multiplier != 1 else 2 * column
  return 4 * work.channels if work.kind == 'AVERAGE_POOL_2D' else 0
