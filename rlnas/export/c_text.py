"""Names, strings, numbers and comments as C text.

Names of data sets and classes may hold any characters: always convert them to identifiers with
`identifiers`, to strings with `c_string` and to comments with `comment`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np


def prefix_of(name: str) -> str:
  """Returns a model's name as the beginning of C symbols: 'Front door' is front_door.

  Raises:
    ValueError: it does not begin with a letter.
  """
  word = re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')
  if not re.match('[a-z]', word):
    raise ValueError(f'name={name!r}: must begin with a letter, as C symbols begin with it')
  return word


def identifiers(names: Sequence[str]) -> tuple[str, ...]:
  """Names as upper-case parts of C identifiers, all different, in order.

  Characters that C does not allow become underscores: 'T-shirt/top' is T_SHIRT_TOP. An empty name,
  or one that another class already has, gets its index at the end.
  """
  found: list[str] = []
  for index, name in enumerate(names):
    word = re.sub(r'[^A-Z0-9]+', '_', name.upper()).strip('_')
    if not word or word in found:
      word = f'{word}_{index}'.strip('_')
      while word in found:
        word += '_'
    found.append(word)
  return tuple(found)


def c_string(text: str) -> str:
  """A C string literal of the text's UTF-8 bytes; special characters become octal escapes."""
  plain = set(map(ord, ' !#$%&()*+,-./:;<=>@[]^_{|}~')) | set(b'abcdefghijklmnopqrstuvwxyz')
  plain |= set(b'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789')
  data = text.encode('utf-8', errors='replace')
  return '"' + ''.join(chr(b) if b in plain else f'\\{b:03o}' for b in data) + '"'


def comment(text: str) -> str:
  """Text that is safe in a C comment: printable ASCII that cannot end it or continue a line."""
  ascii_text = re.sub(r'[^ -~]', '?', text).replace('\\', '/').replace('??', '? ')
  return ascii_text.replace('*', ' ')


def without_folders(source: str) -> str:
  """The origin of data, with names of files and folders in place of their paths."""
  if re.match(r'[/\\~.]|[A-Za-z]:[/\\]', source) or (' ' not in source and '://' not in source):
    return re.split(r'[/\\]', source.rstrip('/\\'))[-1]
  return re.sub(r'(?<!\S)(?:~|[A-Za-z]:)?[/\\](?:\S*[/\\])?', '', source)


def c_float(value: float) -> str:
  """A C literal of type float."""
  return f'{float(np.float32(value))!r}f'


def rows(values: Sequence[int], width: int = 16) -> str:
  """Integers of an initializer, some to a line."""
  starts = range(0, len(values), width)
  return lines('  ' + ', '.join(map(str, values[i : i + width])) + ',' for i in starts)


def lines(parts: Iterable[str]) -> str:
  """The parts, a line each."""
  return '\n'.join(parts)
