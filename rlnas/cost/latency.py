"""Estimates the time of an inference on a board from the architecture alone."""

from __future__ import annotations

import numpy as np

from rlnas.architecture import Architecture, TaskShape, computed_once
from rlnas.cost.kernels import Speed, Work
from rlnas.cost.operators import Converted, arena_tasks, predict_operators
from rlnas.cost.structures import KINDS


def latency_ms(architecture: Architecture, task: TaskShape, *, speed: Speed | None) -> float | None:
  """Estimates the time of one inference in milliseconds.

  It is computed once, and kept with the network.

  Args:
    architecture: the network.
    task: shape of its input and number of its classes.
    speed: speed of the board, from `rlnas.cost.kernels.SPEEDS`; None if it is not known.

  Returns:
    The time, or None if `speed` is None.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  if speed is None:
    return None

  def predict() -> float:
    return speed.latency_ms(work_of(predict_operators(architecture, task)))

  return computed_once(architecture, '_latency_ms', (task, speed), predict)


def work_of(network: Converted) -> list[Work]:
  """Returns the work of each operator, in order."""
  operators, kernels = network.operators, network.kernels
  macs = np.zeros(len(network.nodes), np.int64)
  macs[kernels['node']] = kernels['macs']
  elements = arena_tasks(network).sizes
  read = np.add.reduceat(elements[network.sources + 1], network.starts[:-1])
  return [
    Work(KINDS[kind], work, most, channels=channels)
    for kind, work, most, channels in zip(
      operators['kind'].tolist(),
      macs[operators['node']].tolist(),
      np.maximum(read, operators['elements']).tolist(),
      operators['channels'].tolist(),
      strict=True,
    )
  ]
