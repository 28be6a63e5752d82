"""The files in rlnas/export/templates/, filled in for one network.

A template holds `@key@` where a value belongs, also in its name. Everything else is left as it is,
so that C, Make and CMake need no escapes.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping, Sequence

# What `rlnas export --for` takes, each a folder of templates.
WORLDS = ('arduino', 'cmake', 'cpp', 'esp-idf', 'platformio', 'zephyr')

_FOLDER = pathlib.Path(__file__).with_name('templates')


def in_folders(
  texts: Mapping[str, str], name: str, worlds: Sequence[str], *, header: str
) -> dict[str, bytes]:
  """The files of a front end in a bundle and in its folders <world>/<name>, by their paths.

  Args:
    texts: ASCII texts by the name of the file.
    name: the model's name.
    worlds: the folders that the bundle has.
    header: the file that lies with the sources; the others belong to its test.
  """
  contents = {file: text.encode('ascii') for file, text in texts.items()}
  for world in worlds:
    for file, text in texts.items():
      place = f'src/{name}' if file == header else 'test'
      contents[f'{world}/{name}/{place}/{file}'] = text.encode('ascii')
  return contents


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
