"""Budgets: what a microcontroller leaves for the model."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Budget:
  """What the model may take.

  Attributes:
    flash_bytes: most bytes of the .tflite file.
    sram_bytes: most bytes of the tensor arena.

  Raises:
    ValueError: a figure is not a positive integer.
  """

  flash_bytes: int
  sram_bytes: int

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f'{field.name}={value!r}: must be a positive integer (bytes)')
