"""Predicts the tensor arena of a build of TFLite Micro: its parts, and the smallest one that loads.

A network that is loaded needs the head and the tail of the arena. While it is loaded, TFLite Micro
also needs memory beside the tail: first for each operator's tensors, then for the plan of the
memory. If that is more than the head, as in recurrent networks of many small operators, the
smallest arena that loads is larger than the arena in use (`rlnas.cost.arena_tail.smallest_bytes`).

The kernels of some chips also request scratch memory in the head:

- CMSIS-NN: `rlnas.cost.arena_head.cmsis_nn_scratch`.
- ESP-NN on the ESP32: one 32-bit value per class for softmax.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from rlnas.cost.arena_head import Buffer, cmsis_nn_scratch, greedy_plan
from rlnas.cost.arena_tail import Node, Nodes, Tail, smallest_bytes, tail_of
from rlnas.cost.builds import Build
from rlnas.cost.structures import CODES, KINDS


@dataclasses.dataclass(frozen=True)
class KernelShape:
  """An operator, as far as its structures and its scratch memory depend on it.

  Attributes:
    kind: TensorFlow Lite's name of the operator, for example 'CONV_2D'.
    kernel_shape: (height, width, input channels) of a convolution, (height, width, channels) of a
      depthwise convolution; () for other operators.
    channels: number of channels of its result.
    scales: number of channels of its kernel that have their own scale.
    inputs: number of tensors that it reads.
    multiplier: number of results for each input channel of a depthwise convolution.
    is_dilated: whether the elements of its kernel lie apart.
    scratch: sizes in bytes of the scratch areas that its portable kernel requests.
  """

  kind: str
  kernel_shape: tuple[int, ...] = ()
  channels: int = 0
  scales: int = 0
  inputs: int = 1
  multiplier: int = 1
  is_dilated: bool = False
  scratch: tuple[int, ...] = ()


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
  """The contents of the arena for a network.

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

  operators: tuple[KernelShape, ...]
  steps: tuple[tuple[int, int], ...]
  results: tuple[Buffer, ...]
  tensors: int
  inputs: int = 1
  outputs: int = 1
  quantized: bool = True
  subgraphs: int = 1

  def buffers(self, build: Build) -> tuple[Buffer, ...]:
    """Returns the tensors in the head, then the scratch areas by operator."""
    areas = [scratch_areas(shape, build) for shape in self.operators]
    scratch = [Buffer(size, step, step) for index, step in self.steps for size in areas[index]]
    return (*self.results, *scratch)

  def arena(self, build: Build, excess: Excess = NO_EXCESS) -> Arena:
    """Predicts the arena of a build."""
    areas = [scratch_areas(shape, build) for shape in self.operators]
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
      Node(shape.kind, shape.scales, shape.inputs, len(asked) if shape.kind in KINDS else 0)
      for shape, asked in zip(self.operators, areas, strict=True)
    ]
    return tail_of(
      build.structures,
      Nodes.of(nodes),
      tensors=self.tensors,
      inputs=self.inputs,
      outputs=self.outputs,
      quantized=self.quantized,
    )


def scratch_areas(shape: KernelShape, build: Build) -> tuple[int, ...]:
  """Returns the sizes in bytes of the scratch areas that a kernel of a build requests."""
  areas = shape.scratch
  if shape.kind == 'MEAN' and build.mean_asks_once:
    areas = areas[-1:]
  size = _of_chip(shape, build)
  return (*areas, size) if size else areas


def _of_chip(shape: KernelShape, build: Build) -> int:
  """Returns the size of the area that only the kernels made for a chip request."""
  if build.kernels == 'esp_nn':
    return 4 * shape.channels if shape.kind == 'SOFTMAX' else 0
  if build.kernels != 'cmsis_nn':
    return 0
  height, width, depth = shape.kernel_shape if len(shape.kernel_shape) == 3 else (0, 0, 0)
  return cmsis_nn_scratch(
    CODES.get(shape.kind, len(KINDS)),
    height,
    width,
    depth,
    shape.channels,
    shape.multiplier,
    shape.is_dilated,
    build.asks_for_3x3,
  )
