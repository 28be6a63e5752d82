"""What a model takes of a board, and what the board leaves for it."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Resources:
  """What a model takes, as far as it is known.

  Attributes:
    flash_bytes: of the .tflite file; None where it is not known, as for the others.
    sram_bytes: of the tensor arena.
    macs: multiply-accumulate operations of one inference.
    latency_ms: of one inference in milliseconds.
  """

  flash_bytes: float | None
  sram_bytes: float | None
  macs: float | None = None
  latency_ms: float | None = None


@dataclasses.dataclass(frozen=True)
class Budget:
  """What the model may take.

  Attributes:
    flash_bytes: most bytes of the .tflite file.
    sram_bytes: most bytes of the tensor arena.
    macs: most multiply-accumulate operations of an inference; None where they do not matter.
    latency_ms: longest inference in milliseconds; None where it does not matter.

  Raises:
    ValueError: a figure is not positive, or one of the first three no integer.
  """

  flash_bytes: int
  sram_bytes: int
  macs: int | None = None
  latency_ms: float | None = None

  def __post_init__(self) -> None:
    for name, unit in (('flash_bytes', 'bytes'), ('sram_bytes', 'bytes'), ('macs', 'operations')):
      value = getattr(self, name)
      if value is None and name == 'macs':
        continue
      if not _is_integer(value) or value < 1:
        raise ValueError(f'{name}={value!r}: must be a positive integer ({unit})')
    if self.latency_ms is not None and not 0 < self.latency_ms < math.inf:
      raise ValueError(f'latency_ms={self.latency_ms!r}: must be a positive number (milliseconds)')

  def fits(self, resources: Resources) -> bool:
    """Whether a model that takes so much fits, the limits included.

    An unknown figure never fits where it has a limit.
    """
    return all(used is not None and used <= limit for used, limit in self.limited(resources))

  def limited(self, resources: Resources) -> tuple[tuple[float | None, float], ...]:
    """What is taken, and the limit, of each resource that has one."""
    pairs = (
      (resources.flash_bytes, self.flash_bytes),
      (resources.sram_bytes, self.sram_bytes),
      (resources.macs, self.macs),
      (resources.latency_ms, self.latency_ms),
    )
    return tuple((used, limit) for used, limit in pairs if limit is not None)


def _is_integer(value: object) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)
