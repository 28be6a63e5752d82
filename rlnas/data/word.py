"""Settings whose value is one of a few words."""

from __future__ import annotations

import enum


class Word(str, enum.Enum):
  """An enumeration of words; the setting has the name of the class in lower case.

  Raises:
    ValueError: the word is not in the list.
  """

  @classmethod
  def _missing_(cls, value: object) -> Word:
    names = ', '.join(word.value for word in cls)
    raise ValueError(f'{cls.__name__.lower()}={value!r}: must be one of {names}')
