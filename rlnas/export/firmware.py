"""A folder that builds in one of the worlds of firmware, with the network as a library of it.

Each folder has the network's C files in src/<name>/, a header src/<name>.h that no other library
has, a program that runs the test vectors, a README.md, and the test of the files on the host; all
that a build system wants besides is a template in templates/<world>/. Where TFLite Micro comes from
and at which version stands in the file where that world declares what a library needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from rlnas.data.dataset import Dataset
from rlnas.export.c_files import Deployment, template_values
from rlnas.export.templates import WORLDS, filled

_LIBRARY = (
  *('model.h', 'model.cc', 'rlnas_model.h', 'classify.h', 'classify.cc', 'test_vectors.h'),
)
_WITH_MAIN = frozenset({'cmake', 'cpp'})  # the other worlds have programs of their own
# Versions of Arduino's builder before 2025 compile no .cc files.
_EXTENSIONS = {'arduino': 'cpp'}

# Where TFLite Micro comes from; Zephyr pins it itself, in its west.yml.
SOURCES = {
  'tflm_date': '23 October 2026',  # of the package that computes our vectors
  'tflm_commit': '8f6596d',
  'arduino_library': 'Chirale_TensorFLowLite',  # in Arduino's and in PlatformIO's index
  'arduino_version': '2.0.0',
  'arduino_header': 'Chirale_TensorFlowLite.h',
  'platformio_owner': 'spaziochirale',
  'espressif_version': '^1.3.7',
  'url': 'https://github.com/tensorflow/tflite-micro',
}


def firmware_contents(
  world: str, deployed: Deployment, dataset: Dataset, c_files: Mapping[str, bytes]
) -> dict[str, bytes]:
  """The files of a firmware folder, by their paths in it.

  Args:
    world: one of `rlnas.export.templates.WORLDS`.
    deployed: the model and its measurements.
    dataset: the data that it was trained on.
    c_files: the bundle's C files, by name.

  Raises:
    ValueError: the world is not known.
  """
  if world not in WORLDS:
    raise ValueError(f'worlds: {world!r} must be one of {", ".join(WORLDS)}')
  name, extension = deployed.name, _EXTENSIONS.get(world, 'cc')
  values = template_values(deployed, dataset) | SOURCES
  values |= {
    'src': f'../src/{name}',
    'cc': extension,
    'version': '1.0.0',
    'author': 'rlnas',
    'title_json': json.dumps(values['title'])[1:-1],
    'arena_bytes': str(deployed.reserve.total_bytes),
  }
  tests = filled('bundle', values)
  texts = {
    **filled('common', values),
    **filled(world, values),
    'test/host_test.c': tests['host_test.c'],
    'test/Makefile': tests['Makefile'],
  }
  if world in _WITH_MAIN:
    texts['examples/check/main.cc'] = tests['main.cc']
  contents = {path: text.encode() for path, text in texts.items()}
  for file in _LIBRARY:
    contents[f'src/{name}/{file.replace(".cc", f".{extension}")}'] = c_files[file]
  return contents
