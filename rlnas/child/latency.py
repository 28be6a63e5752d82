"""The time of an inference on a board, from the architecture alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlnas.architecture import Architecture
from rlnas.child.operators import Converted, foretell
from rlnas.child.schedule import INPUT
from rlnas.chip import Speed, Work


def latency_ms(
  architecture: Architecture, input_shape: Sequence[int], classes: int, *, speed: Speed | None
) -> float | None:
  """Time of one inference in milliseconds; None where the board's speed is not known.

  Args:
    architecture: the network.
    input_shape: (height, width, channels), or (time, features).
    classes: width of the classifier.
    speed: of the board, from `rlnas.chip.SPEEDS`.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  if speed is None:
    return None
  return speed.latency_ms(work_of(foretell(architecture, input_shape, classes)))


def work_of(network: Converted) -> list[Work]:
  """What each operator has to do."""
  kernels = {kernel.node: kernel for kernel in network.kernels}
  sizes = [math.prod(operator.shape) for operator in network.operators]
  found = []
  for operator, written in zip(network.operators, sizes, strict=True):
    kernel = kernels.get(operator.node)
    read = sum(math.prod(network.shapes[0]) if i == INPUT else sizes[i] for i in operator.inputs)
    found.append(
      Work(
        operator.kind,
        kernel.weights * kernel.places if kernel else 0,
        max(read, written),
        channels=operator.shape[-1],
      )
    )
  return found
