"""Estimates the time and the instructions of an inference from the architecture alone."""

from __future__ import annotations

from typing import NamedTuple

from rlnas.architecture import Architecture, TaskShape, computed_once
from rlnas.cost.instructions import Range, count_instructions
from rlnas.cost.preprocessing import behind_preprocessing
from rlnas.cost.speed import Speed
from rlnas.cost.workload import workload_of


class Timing(NamedTuple):
  """The estimates for one inference on a board.

  Attributes:
    latency_ms: its time in milliseconds; budgets limit the middle of the range.
    instructions: its instructions; None if those of the board's kernels were not counted (ESP-NN).
  """

  latency_ms: Range
  instructions: int | None


def timing(architecture: Architecture, task: TaskShape, *, speed: Speed) -> Timing:
  """Estimates the time and the instructions of one inference, once: they are kept with the network.

  Args:
    architecture: the network.
    task: shape of its input and number of its classes.
    speed: speed of the board.

  Raises:
    ValueError: the shapes of the network do not fit together.
  """

  def estimate() -> Timing:
    load = workload_of(*behind_preprocessing(architecture, task))
    count = count_instructions(load, speed.build)
    return Timing(speed.latency(load), None if count is None else round(count.middle))

  return computed_once(architecture, '_timing', (task, speed), estimate)


def latency_ms(architecture: Architecture, task: TaskShape, *, speed: Speed | None) -> float | None:
  """The middle of `timing`'s latency; None without a speed."""
  return None if speed is None else timing(architecture, task, speed=speed).latency_ms.middle


def instruction_count(
  architecture: Architecture, task: TaskShape, *, speed: Speed | None
) -> int | None:
  """The instructions of `timing`; None without a speed."""
  return None if speed is None else timing(architecture, task, speed=speed).instructions
