"""A bundle's C++, compiled for this machine: TFLite Micro itself loads and runs its networks.

The headers in tests/export/tflm/ hand the C++ side's calls to Python's package `tflite-micro`.
"""

import ctypes
import pathlib
import subprocess

import numpy as np
from tflite_micro import runtime

from rlnas.backend import quiet

HEADERS = pathlib.Path(__file__).with_name('tflm')
WARNINGS = ('-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Wdouble-promotion', '-Wshadow')

_LOAD = ctypes.CFUNCTYPE(
  ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t)
)
_RUN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _Kernels(ctypes.Structure):
  _fields_ = (('load', _LOAD), ('run', _RUN))


class HostFirmware:
  """The C++ files of bundles as one library, whose networks TFLite Micro runs."""

  def __init__(self, folders, *, output, files=('model.cc', 'classify.cc', 'main.cc'), flags=()):
    """Compiles and loads it.

    Args:
      folders: the folders of the bundles.
      output: file for the library.
      files: the sources in each folder.
      flags: further flags of the compiler.
    """
    sources = [
      HEADERS / 'tensorflow' / 'host_kernels.cc',
      *(f / name for f in folders for name in files),
    ]
    command = ['g++', '-std=c++17', *WARNINGS, '-Werror', '-shared', '-fPIC', '-I', HEADERS]
    subprocess.run([*command, *flags, *sources, '-o', output], check=True, timeout=120)
    self.library = ctypes.CDLL(str(output))
    self._networks = []
    self._kernels = _Kernels(_LOAD(self._load), _RUN(self._run))  # kept, as C calls them
    ctypes.memmove(
      ctypes.addressof(_Kernels.in_dll(self.library, 'host_kernels')),
      ctypes.addressof(self._kernels),
      ctypes.sizeof(_Kernels),
    )
    self._models = {}
    for folder in folders:
      for line in (folder / 'model.h').read_text().splitlines():
        if line.startswith('extern const unsigned char '):
          name = line.split()[-1].removesuffix('[];')
          address = ctypes.addressof(ctypes.c_ubyte.in_dll(self.library, name))
          size = ctypes.c_uint.in_dll(self.library, f'{name}_bytes').value
          self._models[address] = ctypes.string_at(address, size)

  def printed(self):
    """What MicroPrintf was given since the last call."""
    self.library.host_printed.restype = ctypes.c_char_p
    return self.library.host_printed().decode()

  def classify(self, name, raw, classes, kind=ctypes.c_float, call='classify'):
    """Class and scores of an example by <name>_classify(), or another function like it."""
    scores = (ctypes.c_float * classes)()
    values = np.ascontiguousarray(raw, kind).ravel()
    pointer = values.ctypes.data_as(ctypes.POINTER(kind))
    return getattr(self.library, f'{name}_{call}')(pointer, scores), np.array(scores, np.float32)

  def _load(self, model, arena_bytes, sizes):
    try:
      with quiet():
        micro = runtime.Interpreter.from_bytes(self._models[model], arena_size=arena_bytes)
    except RuntimeError:
      return -1
    shapes = (micro.get_input_details(0)['shape'], micro.get_output_details(0)['shape'])
    sizes[0], sizes[1] = (int(np.prod(shape)) for shape in shapes)
    sizes[2] = arena_bytes
    self._networks.append((micro, *shapes))
    return len(self._networks) - 1

  def _run(self, network, source, target):
    micro, entry, result = self._networks[network]
    given = ctypes.string_at(source, int(np.prod(entry)))
    micro.set_input(np.frombuffer(given, np.int8).reshape(entry), 0)
    micro.invoke()
    output = micro.get_output(0).astype(np.int8).tobytes()
    assert len(output) == np.prod(result)
    ctypes.memmove(target, output, len(output))
    return 1


def run_test(name, text, folder, macro):
  """The result of <name>_test.c with the network of a bundle: 0 if it passes.

  Args:
    name: of the front end.
    text: content of the test.
    folder: folder of the bundle, which gets the test.
    macro: what lets the test run the network.
  """
  (folder / f'{name}_test.c').write_text(text)
  (folder / f'{name}.cc').write_text(
    f'#define main FrontEndTest\n#include "{name}_test.c"\n'
    'extern "C" int front_end() { return FrontEndTest(); }\n'
  )
  number = len(list(folder.glob('front_end*.so')))  # a library is loaded once by its name
  firmware = HostFirmware(
    [folder],
    output=folder / f'front_end{number}.so',
    files=('model.cc', 'classify.cc', f'{name}.cc'),
    flags=(f'-D{macro}', '-I', folder),
  )
  return firmware.library.front_end()
