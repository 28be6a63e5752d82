"""The files in rlnas/export/templates/, filled in for one network.

A template holds `@key@` where a value belongs, also in its name. Everything else is left as it is,
so that C, Make and CMake need no escapes.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

# What `rlnas export --for` takes, each a folder of templates.
WORLDS = ('arduino', 'cmake', 'cpp', 'esp-idf', 'platformio', 'zephyr')

_FOLDER = pathlib.Path(__file__).with_name('templates')


def filled(folder: str, values: Mapping[str, str]) -> dict[str, str]:
  """Returns the texts of a folder of templates, by their paths in it.

  Args:
    folder: its name in rlnas/export/templates/.
    values: for each key the text in its place. Raises KeyError if one has none.
  """

  def fill(text: str) -> str:
    return re.sub(r'@(\w+)@', lambda key: values[key[1]], text)

  paths = sorted(path for path in (_FOLDER / folder).rglob('*') if path.is_file())
  return {
    fill(path.relative_to(_FOLDER / folder).as_posix()): fill(path.read_text(encoding='utf-8'))
    for path in paths
  }
