"""Estimates the time and the instructions of an inference from the architecture alone."""

from __future__ import annotations

from rlnas.architecture import Architecture, TaskShape, computed_once
from rlnas.cost.instructions import Range, count_instructions
from rlnas.cost.speed import Speed
from rlnas.cost.workload import workload_of


def latency_range(
  architecture: Architecture, task: TaskShape, *, speed: Speed | None
) -> Range | None:
  """Estimates the time of one inference in milliseconds, and its range.

  It is computed once, and kept with the network.

  Args:
    architecture: the network.
    task: shape of its input and number of its classes.
    speed: speed of the board; None if it is not known.

  Returns:
    The time, or None if `speed` is None.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  if speed is None:
    return None
  return computed_once(
    architecture,
    '_latency_ms',
    (task, speed),
    lambda: speed.latency(workload_of(architecture, task)),
  )


def latency_ms(architecture: Architecture, task: TaskShape, *, speed: Speed | None) -> float | None:
  """The middle of `latency_range`, which budgets limit."""
  found = latency_range(architecture, task, speed=speed)
  return None if found is None else found.middle


def instruction_count(
  architecture: Architecture, task: TaskShape, *, speed: Speed | None
) -> int | None:
  """Estimates the instructions of one inference on a board.

  Args:
    architecture: the network.
    task: shape of its input and number of its classes.
    speed: speed of the board, which names the build.

  Returns:
    The instructions; None without a speed, or if its kernels were not counted (ESP-NN).
  """
  if speed is None:
    return None
  found = count_instructions(workload_of(architecture, task), speed.build)
  return None if found is None else round(found.middle)
