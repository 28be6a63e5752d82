"""The builds of TFLite Micro, on which the arena and the speed of a network depend.

A build is a release of TFLite Micro, compiled with some kernels and flags for a core. The name says
all of it, for example 'm4-cmsis-arduino':

- the core: m0 (Cortex-M0+), m3, m4, m7, m33; 'host' is the Python package on this machine;
- the kernels: 'ref' are the portable ones, 'cmsis' are those of CMSIS-NN;
- 'arduino' does not define TF_LITE_STATIC_MEMORY, as libraries of the Arduino IDE are compiled, so
  nodes and tensors are larger; 'release' defines NDEBUG and has no error strings, so the program is
  smaller, and the arena is the same;
- 'm4-ard2023' is the Arduino library of February 2023 with its CMSIS-NN. All others are releases of
  2026.

These were checked:
- 'host', tflite-micro 0.dev20261023 on x86-64: exact to the byte for 42 networks of all spaces and
  for a network of every operator in `rlnas.cost.structures.KINDS`.
- 'm3-ref', 'm3-ref-arduino', 'm3-ref-release', 'm0-ref-release', 'm4-cmsis', 'm4-cmsis-arduino'
  and 'm4-ard2023' on an emulated Cortex-M, for six networks.
- 'esp32', esp-tflite-micro 1.3 on an ESP32, and 'm4-ard2023' on an nRF52840: exact to the byte for
  the arenas that boards measured for keyword spotting and anomaly detection of MLPerf Tiny
  (results/results.jsonl of github.com/avionicharshit-byte/mcufit-bench).
The others differ from a checked one only in the core.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Iterator, Mapping

from rlnas.cost.structures import (
  CMSIS_NN,
  CMSIS_NN_2023,
  ESP_NN,
  PYTHON_PACKAGE,
  REFERENCE,
  Layouts,
  Structures,
  without_static_memory,
)


@dataclasses.dataclass(frozen=True)
class Build:
  """A build of TFLite Micro.

  Attributes:
    name: its name, see above.
    title: a description for people.
    core: the processor core that it is compiled for, as `rlnas.board.Board` names it.
    kernels: 'reference', 'cmsis_nn' or 'esp_nn'.
    structures: the structures in the tail of the arena.
    asks_for_3x3: whether CMSIS-NN's depthwise convolution asks for scratch memory if its kernel is
      3x3 and the padding at most 1; releases after 2023 do not.
    mean_asks_once: whether MEAN requests one scratch area for its sums; releases after 2023 request
      two more.
    scratch_is_known: whether rlnas knows the scratch memory that its kernels ask for.
  """

  name: str
  title: str
  core: str
  kernels: str
  structures: Structures
  asks_for_3x3: bool = False
  mean_asks_once: bool = False
  scratch_is_known: bool = True

  @functools.cached_property
  def layouts(self) -> Layouts:
    """The layouts of its structures, for a network with one quantized input and output."""
    return self.structures.layouts_of(inputs=1, outputs=1, quantized=True)


def _builds() -> Iterator[Build]:
  yield Build('host', "TFLite Micro's Python package", 'x86-64', 'reference', PYTHON_PACKAGE)
  cores = (
    ('m0', 'Cortex-M0+', 'ref'),
    ('m3', 'Cortex-M3', 'ref'),
    ('m4', 'Cortex-M4', 'cmsis'),
    ('m7', 'Cortex-M7', 'cmsis'),
    ('m33', 'Cortex-M33', 'cmsis'),
  )
  for short, core, kernels in cores:
    name = f'{short}-{kernels}'
    what = 'CMSIS-NN' if kernels == 'cmsis' else 'reference kernels'
    lean = CMSIS_NN if kernels == 'cmsis' else REFERENCE
    plain = Build(
      name,
      f'{core}, {what}, TF_LITE_STATIC_MEMORY',
      core,
      'cmsis_nn' if kernels == 'cmsis' else 'reference',
      lean,
    )
    yield plain
    yield dataclasses.replace(
      plain,
      name=f'{name}-arduino',
      title=f'{core}, {what}, without TF_LITE_STATIC_MEMORY',
      structures=without_static_memory(lean),
    )
    yield dataclasses.replace(
      plain,
      name=f'{name}-release',
      title=f'{core}, {what}, TF_LITE_STATIC_MEMORY, NDEBUG, without error strings',
    )
  yield Build(
    'm4-ard2023',
    'Cortex-M4, Arduino library of February 2023 with its CMSIS-NN',
    'Cortex-M4',
    'cmsis_nn',
    CMSIS_NN_2023,
    asks_for_3x3=True,
    mean_asks_once=True,
  )
  yield Build('esp32', 'ESP32, esp-tflite-micro with ESP-NN', 'Xtensa LX6', 'esp_nn', ESP_NN)
  yield Build(
    'esp32s3',
    'ESP32-S3, esp-tflite-micro with ESP-NN',
    'Xtensa LX7',
    'esp_nn',
    ESP_NN,
    scratch_is_known=False,  # ESP-NN in assembler: it depends on the release
  )


BUILDS: Mapping[str, Build] = types.MappingProxyType({build.name: build for build in _builds()})
HOST = BUILDS['host']


def find_build(name: str) -> Build:
  """Returns the build with a name. Raises ValueError if there is none."""
  if name not in BUILDS:
    raise ValueError(f'build={name!r}: must be one of {", ".join(BUILDS)}')
  return BUILDS[name]


def builds_for(core: str, *, arduino: bool = False) -> tuple[str, ...]:
  """Returns the names of the builds that a board with a core may have, the usual one first.

  Args:
    core: the core, as `rlnas.board.Board` names it; one without a build of its own gets those of a
      Cortex-M3, as its kernels are portable, too.
    arduino: whether programs for the board are usually made with the Arduino IDE.
  """
  found = [build.name for build in BUILDS.values() if build.core == core]
  if not found:
    return builds_for('Cortex-M3', arduino=arduino)
  first = '-arduino' if arduino else '-release'
  return tuple(sorted(found, key=lambda name: not name.endswith(first)))
