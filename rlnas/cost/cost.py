"""Estimates what a network costs from its architecture alone: no TensorFlow, 0.1 to 0.4 ms.

A search uses it to reject networks outside the budget before it trains them.

The table gives the errors (mean / worst, 12 networks a row) for converted networks that were not
used for fitting, and for the arena that TFLite Micro allocated for them
(`experiments/benchmarks/fit_cost.py --count=14 --held_out=12`). Parameters and the head of the
arena were exact for all 96 networks:

  space               flash             tail
  chain               0.10% / 0.24%   0.00% / 0.00%
  multibranch         0.10% / 0.19%   0.00% / 0.00%
  nasnet              0.09% / 0.23%   0.00% / 0.00%
  blockqnn            0.12% / 0.52%   0.00% / 0.00%
  recurrent           0.14% / 0.29%   0.03% / 0.11%
  joint               0.16% / 0.56%   0.01% / 0.08%
  multibranch, pad    0.09% / 0.13%   0.00% / 0.00%
  recurrent, 3 steps  0.20% / 0.52%   0.12% / 0.22%

`temporal` came later. Its files are small, half of them below 9 KB. With the constants fitted to
the other spaces the errors of 40 networks were 0.31% / 1.02% of flash; their heads and tails were
exact. So were those of 40 networks of `conv_autoencoder`, which has two constants of its own, with
0.14% / 0.57% of flash.

If the memory of a recurrent cell grows without bound, its range is cut. Steps then share their
scales and, with equal weights, their biases. Whether this happens depends on the weights alone.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from rlnas.architecture import OPS, Architecture, TaskShape, computed_once
from rlnas.budget import Resources
from rlnas.cost.arena_tail import Nodes, smallest_bytes, used_bytes
from rlnas.cost.builds import HOST, Build
from rlnas.cost.flash import bytes_of, constants_of, counted
from rlnas.cost.jit import compiled, inner
from rlnas.cost.operators import Converted, arena_tasks, chip_tasks, predict_operators, totals
from rlnas.cost.preprocessing import behind_preprocessing, preprocessing_memory
from rlnas.cost.schedule import least_arena_order, planned_arena
from rlnas.cost.structures import KINDS, Layouts

_RECONSTRUCTION = OPS['reconstruction']
# Constants among the inputs of operators, which also take memory while they are prepared. Only
# reconstructions count them: these have small heads and, at their end, many channels. Estimates of
# other networks stay as the journals of their searches know them.
_CONSTANTS = {
  **dict.fromkeys(('CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED'), 2),
  **dict.fromkeys(('MEAN', 'PAD', 'RESHAPE', 'RESIZE_NEAREST_NEIGHBOR'), 1),
  'STRIDED_SLICE': 3,
}
_CONSTANT_INPUTS = np.array([_CONSTANTS.get(kind, 0) for kind in KINDS], np.int64)


@dataclasses.dataclass(frozen=True)
class Cost:
  """What a network costs.

  Attributes:
    macs: multiply-accumulate operations of convolutions and dense layers in one inference.
    parameters: number of trainable weights: kernels, gamma and beta of batch normalisation, dense
      layers.
    flash_bytes: estimated size of the .tflite file of the trained network, with the tables of its
      preprocessing if it has any (`rlnas.cost.preprocessing`).
    sram_bytes: estimated size of the smallest tensor arena in which a build of TFLite Micro can
      load the network, with the memory of its preprocessing.
    arena_head_bytes: planned size of activations, input included, and scratch memory in the arena.
    arena_tail_bytes: estimated size of the interpreter's structures in the arena.
  """

  macs: int
  parameters: int
  flash_bytes: int
  sram_bytes: int
  arena_head_bytes: int
  arena_tail_bytes: int

  @property
  def resources(self) -> Resources:
    """The resources that the network needs, without the latency."""
    return Resources(self.flash_bytes, self.sram_bytes, self.macs)


def estimate_cost(architecture: Architecture, task: TaskShape, *, build: Build = HOST) -> Cost:
  """Counts and estimates what a network costs, once: the estimate is kept with the network.

  Args:
    architecture: the network.
    task: shape of its input and number of its classes.
    build: the build of TFLite Micro that the arena is for.

  Raises:
    ValueError: the shapes of the network do not fit together, or it has no node but its input.
  """
  return computed_once(
    architecture, '_cost', (task, build.name), lambda: _estimate(architecture, task, build)
  )


def _estimate(architecture: Architecture, task: TaskShape, build: Build) -> Cost:
  """Computes what `estimate_cost` keeps. The parts are compiled one by one, which is faster."""
  held = preprocessing_memory(architecture)
  architecture, task = behind_preprocessing(architecture, task)
  network = predict_operators(architecture, task)
  counts, tasks = counted(network), arena_tasks(network)
  macs, _, parameters = totals(network.kernels)
  order, head = least_arena_order(tasks)
  if build.kernels == 'cmsis_nn':
    # The file's order does not depend on the build.
    known = len(tasks.scratch)
    tasks = chip_tasks(network, tasks, build.asks_for_3x3, build.mean_asks_once)
    if build.mean_asks_once or len(tasks.scratch) > known:
      _, head = planned_arena(tasks, order)
  smallest, tail = _arena_bytes(
    network, constants_of(counts), head, len(tasks.scratch), build.layouts
  )
  flash, sram = bytes_of(counts) + held.flash_bytes, smallest + held.sram_bytes
  return Cost(*map(int, (macs, parameters, flash, sram, head, tail)))


@compiled
def _arena_bytes(
  network: Converted, constants: int, head: int, scratch: int, layouts: Layouts
) -> tuple[int, int]:
  """Returns the size of the smallest arena that loads, and of the interpreter's structures.

  Args:
    network: the network.
    constants: number of its constant tensors; see `constants_of`.
    head: size of the arena's head.
    scratch: number of scratch areas.
    layouts: the layouts of the build's structures.
  """
  operators, starts, kernels = network.operators, network.starts, network.kernels
  kinds, scales = np.empty(len(operators), np.int64), np.empty(len(operators), np.int64)
  inputs = np.empty(len(operators), np.int64)
  channels, tensors = np.zeros(len(network.nodes), np.int64), 1 + len(operators)
  reconstructs = network.nodes[-1]['op'] == _RECONSTRUCTION
  for kernel in kernels:
    # Every layer has its own bias tensor, even if layers share its values.
    tensors += 1 + kernel['stored']
    if not kernel['dense']:  # whose weights have one scale
      channels[kernel['node']] = kernel['channels']
  for index in range(len(operators)):
    kinds[index] = operators[index]['kind']
    scales[index] = channels[operators[index]['node']]
    inputs[index] = starts[index + 1] - starts[index]
    if reconstructs:
      inputs[index] += _CONSTANT_INPUTS[kinds[index]]
  tail = _used_bytes(layouts, Nodes(kinds, scales, inputs, scratch), tensors + constants)
  buffers = 1 + len(operators) + scratch
  smallest = _smallest_bytes(layouts, head, tail, tensors + constants, scratch, buffers, 1)
  return smallest, tail.total


_used_bytes, _smallest_bytes = inner(used_bytes), inner(smallest_bytes)
