"""A folder for one firmware platform, such as Arduino, with the network as a library.

Each folder has the network's C files in src/<name>/, the same bytes on all platforms; a header
src/<name>.h that no other library has, a program that runs the test vectors, a README.md, and the
test of the files on the host. All other files that a build system needs are templates in
templates/<world>/. The file in which a platform declares the dependencies of a library also holds
the source and the version of TFLite Micro; `_ARENAS` says how large an arena is needed there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from rlnas.export.templates import WORLDS, filled

_LIBRARY = (
  *('model.h', 'model.cc', 'rlnas_model.h', 'rlnas_operators.h', 'classify.h', 'classify.cc'),
  'test_vectors.h',
)
_WITH_MAIN = frozenset({'cmake', 'cpp'})  # the other platforms have programs of their own
# Versions of Arduino's builder before 2025 compile no .cc files.
_EXTENSIONS = {'arduino': 'cpp'}
# Where the program of the Arduino framework lies, and what precedes it there.
_SKETCHES = {
  'arduino': ('examples/check/check.ino', ''),
  'platformio': ('examples/check/src/main.cpp', '#include <Arduino.h>\n'),
}
# The arena in README.md, by its key in `template_values`; other platforms have that of the board.
_ARENAS = {
  'arduino': 'any_arena_bytes',
  'esp-idf': 'esp32s3_arena_bytes',
  'platformio': 'any_arena_bytes',
  'zephyr': 'any_arena_bytes',
}

# Whose code the flash in README.md is, by the beginning of its key; elsewhere that of the board.
_CODE = {'arduino': 'library', 'esp-idf': 'esp', 'platformio': 'library', 'zephyr': 'library'}

# Where TFLite Micro comes from; Zephyr pins it itself, in its manifest.
SOURCES = {
  'tflm_date': '23 October 2026',  # of the package that computes our vectors
  'tflm_commit': '8f6596d',
  'arduino_library': 'Chirale_TensorFLowLite',  # in Arduino's and in PlatformIO's index
  'arduino_version': '2.0.0',
  'arduino_header': 'Chirale_TensorFlowLite.h',
  'platformio_owner': 'spaziochirale',
  'espressif_version': '^1.3.7',
  'url': 'https://github.com/tensorflow/tflite-micro',  # Arduino's index wants one
}


def firmware_contents(
  world: str, values: Mapping[str, str], c_files: Mapping[str, bytes]
) -> dict[str, bytes]:
  """The files of a firmware folder, by their paths in it.

  Args:
    world: the platform, one of `rlnas.export.templates.WORLDS`.
    values: those of `rlnas.export.template_values.template_values`.
    c_files: the bundle's C files, by name.

  Raises:
    ValueError: the platform is not known.
  """
  if world not in WORLDS:
    raise ValueError(f'worlds: {world!r} must be one of {", ".join(WORLDS)}')
  name, extension = values['name'], _EXTENSIONS.get(world, 'cc')
  own = {**values, **SOURCES, **_values_of(world, values)}
  # README.md has parts that are the same on all platforms.
  own |= {path.removesuffix('.md'): text for path, text in filled('parts', own).items()}
  tests = filled('bundle', own)
  texts = {
    **filled('common', own),
    **filled(world, own),
    **{f'test/{file}': tests[file] for file in ('host_test.c', 'Makefile')},
    'LICENSE': tests['LICENSE'],
  }
  if world in _WITH_MAIN:
    texts['examples/check/main.cc'] = tests['main.cc']
  if world in _SKETCHES:
    path, before = _SKETCHES[world]
    texts[path] = before + filled('sketch', own)['check.ino']
  contents = {path: text.encode() for path, text in texts.items()}
  for file in _LIBRARY:
    contents[f'src/{name}/{file.replace(".cc", f".{extension}")}'] = c_files[file]
  return contents


def _values_of(world: str, values: Mapping[str, str]) -> dict[str, str]:
  """The values that depend on the platform."""
  name, code = values['name'], f'{_CODE[world]}_' if world in _CODE else ''
  finds_library = '#if defined(ARDUINO) && defined(__cplusplus)\n'  # the IDE looks for a header
  finds_library += f'#include <{SOURCES["arduino_header"]}>\n#endif\n'
  return {
    'world': world,
    **{key: values[code + key] for key in ('code_bytes', 'code_build')},
    'world_arena_bytes': f'{int(values[_ARENAS.get(world, "arena_bytes")]):,}',
    'library_include': finds_library if world in _SKETCHES else '',
    'src': f'../src/{name}',
    'cc': _EXTENSIONS.get(world, 'cc'),
    'classify_h': f'{name}.h',
    'sketch': '',  # for Arduino there is a folder of its own
    'vectors_h': f'{name}/test_vectors.h',
    'version': '1.0.0',
    'author': 'rlnas',
    'title_json': json.dumps(values['title'])[1:-1],
  }
