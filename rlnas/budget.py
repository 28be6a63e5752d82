"""Budgets: what a board leaves for the model."""

from __future__ import annotations

import dataclasses
import math


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

  def fits(
    self,
    flash_bytes: float | None,
    sram_bytes: float | None,
    macs: float | None = None,
    latency_ms: float | None = None,
  ) -> bool:
    """Whether a model of these figures fits, the limits included.

    An unknown figure never fits where it has a limit.
    """
    limits = (self.flash_bytes, self.sram_bytes, self.macs, self.latency_ms)
    return all(
      limit is None or (used is not None and used <= limit)
      for used, limit in zip((flash_bytes, sram_bytes, macs, latency_ms), limits, strict=True)
    )


def _is_integer(value: object) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)
