"""Settings that are one of a few words."""

from __future__ import annotations

import enum


class Word(str, enum.Enum):
  """A word of a fixed list; the setting has the name of the class in small letters.

  Raises:
    ValueError: the word is not in the list.
  """

  @classmethod
  def _missing_(cls, value: object) -> Word:
    names = ', '.join(word.value for word in cls)
    raise ValueError(f'{cls.__name__.lower()}={value!r}: must be one of {names}')
