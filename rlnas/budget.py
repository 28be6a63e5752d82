"""The resources that a model takes, and the budget that a board leaves for it."""

from __future__ import annotations

import dataclasses
import math

NO_LIMIT = 2**62  # bytes of flash or SRAM that stand for no limit, as in `UNLIMITED`


@dataclasses.dataclass(frozen=True)
class Resources:
  """The resources that a model takes; a figure is None if it is unknown.

  Attributes:
    flash_bytes: size of the .tflite file in bytes.
    sram_bytes: size of the smallest tensor arena in which it can be loaded, in bytes.
    macs: multiply-accumulate operations of one inference.
    latency_ms: time of one inference in milliseconds.
  """

  flash_bytes: float | None
  sram_bytes: float | None
  macs: float | None = None
  latency_ms: float | None = None


@dataclasses.dataclass(frozen=True)
class Budget:
  """The limits of a model's resources.

  Attributes:
    flash_bytes: largest size of the .tflite file in bytes; 2**62 if unlimited.
    sram_bytes: largest size of the tensor arena in bytes; 2**62 if unlimited.
    macs: largest number of multiply-accumulate operations of one inference; None if unlimited.
    latency_ms: longest time of one inference in milliseconds; None if there is no limit.

  Raises:
    ValueError: a figure is not positive, or one of the first three is not an integer.
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

  def __str__(self) -> str:
    sizes = (('flash', self.flash_bytes), ('SRAM', self.sram_bytes))
    parts = [f'{limit:,} B {name}' for name, limit in sizes if limit != NO_LIMIT]
    if self.macs is not None:
      parts.append(f'{self.macs:,} MACs')
    if self.latency_ms is not None:
      parts.append(f'{self.latency_ms:g} ms')
    return ', '.join(parts) or 'no limit'

  def fits(self, resources: Resources) -> bool:
    """Whether every resource is at most its limit.

    An unknown figure does not fit if there is a limit for it.
    """
    return all(used is not None and used <= limit for used, limit in self.limited(resources))

  def limited(self, resources: Resources) -> tuple[tuple[float | None, float], ...]:
    """Returns (amount used, limit) for each resource that has a limit."""
    pairs = (
      (resources.flash_bytes, self.flash_bytes),
      (resources.sram_bytes, self.sram_bytes),
      (resources.macs, self.macs),
      (resources.latency_ms, self.latency_ms),
    )
    return tuple((used, limit) for used, limit in pairs if limit not in (None, NO_LIMIT))


def _is_integer(value: object) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


UNLIMITED = Budget(flash_bytes=NO_LIMIT, sram_bytes=NO_LIMIT)  # of what takes no memory
