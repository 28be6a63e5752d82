"""Estimates the time of an inference on a board from its work.

The time is instructions times cycles per instruction, divided by the clock.
`rlnas.cost.instructions` has the instructions. Cycles per instruction depend on the core, and on
its flash: code that waits for flash takes longer. They come from boards that were measured:

- NUCLEO-L4R5ZI (Cortex-M4): the reference results of MLPerf Tiny v0.5 with TFLite Micro, 181.9,
  600.6, 704.2 and 10.05 ms for keyword spotting, person detection, image classification and anomaly
  detection (github.com/mlcommons/tiny_results_v0.5). It ran CMSIS-NN: the reference kernels would
  have had to run 12 to 16 instructions per cycle.
- nRF52840 (Cortex-M4) and ESP32: the same four networks, from the results of
  github.com/avionicharshit-byte/mcufit-bench.

The two Cortex-M4 took 0.83 to 1.5 cycles per instruction, counted with the library of 2023. The
estimate for a measured board is for the library that was measured; its range reaches down to the
time of the present library. No other core was measured: its cycles per instruction are a range
around those of a Cortex-M4, by its pipeline and whether it caches flash. With ESP-NN only
multiply-accumulates per cycle are known; its other operators take the reference kernels.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping

import numpy as np

from rlnas.cost.builds import find_build
from rlnas.cost.instructions import Range, Weights, weighed, weights_of
from rlnas.cost.terms import CASES, DEPTHWISE_3X3, POINTWISE, TERMS, Workload

# Low, middle and high. A Cortex-M0+ or M3 without cache waits for flash above about 24 MHz; an M7
# runs up to two instructions a cycle; an M33 has nearly the pipeline of an M4.
_CYCLES_PER_INSTRUCTION: Mapping[str, Range] = types.MappingProxyType(
  {
    'Cortex-M0+': Range(1.1, 1.4, 2.0),
    'Cortex-M3': Range(1.0, 1.3, 1.9),
    'Cortex-M4': Range(0.8, 1.1, 1.55),
    'Cortex-M7': Range(0.45, 0.75, 1.3),
    'Cortex-M33': Range(0.8, 1.1, 1.7),
  }
)
CORES = (*_CYCLES_PER_INSTRUCTION, 'Xtensa LX6', 'Xtensa LX7')
"""The cores whose speed is known, at least as a range."""


@dataclasses.dataclass(frozen=True)
class _Reading:
  """Cycles per instruction of the build 'm4-ard2023' on a board that was measured.

  Attributes:
    convolution: of convolutions that gather their input.
    pointwise: of 1x1 and depthwise convolutions.
    dense: of dense layers.
    other: of all other operators.
  """

  convolution: float
  pointwise: float
  dense: float
  other: float

  def of(self, case: str) -> float:
    """Cycles per instruction of a case."""
    if case == 'CONV_2D':
      return self.convolution
    if case in (POINTWISE, 'DEPTHWISE_CONV_2D', DEPTHWISE_3X3):
      return self.pointwise
    return self.dense if case == 'FULLY_CONNECTED' else self.other


# Measured times of whole networks in ms, and the estimate's error:
#                         ESP32            nRF52840         NUCLEO-L4R5ZI
#   keyword spotting      162.3   +0.1 %    224.6   -3.6 %   181.9   +1.4 %
#   anomaly detection      49.3   +0.1 %     22.0   -0.5 %    10.05  +0.0 %
#   image classification  724.5   +1.7 %   1241.8   -0.4 %   704.2   -0.9 %
#   person detection      474.2   -3.7 %    657.3   +0.7 %   600.6   -4.4 %
# The same networks gave the constants, so the error may be larger for others.
_READ: Mapping[str, _Reading] = {
  'arduino-nano-33-ble': _Reading(convolution=1.2, pointwise=0.83, dense=1.0, other=1.0),
  'nucleo-l4r5zi': _Reading(convolution=1.25, pointwise=1.45, dense=0.86, other=1.2),
}
_READ_LIBRARY = 'm4-ard2023'
_READ_LOW, _READ_HIGH = 0.65, 1.2

# ESP-NN on an ESP32: multiply-accumulates per cycle, elements added per cycle, seconds per call.
_ESP32_HZ = 240e6
_ESP_NN: Mapping[str, tuple[str, float]] = {
  'CONV_2D': ('products', 1 / 0.0732),
  POINTWISE: ('products', 1 / 0.0732),
  'DEPTHWISE_CONV_2D': ('products', 1 / 0.0443),
  DEPTHWISE_3X3: ('products', 1 / 0.0443),
  'FULLY_CONNECTED': ('products', 1 / 0.0223),
  'ADD': ('results', 1 / 0.0048),
  'AVERAGE_POOL_2D': ('calls', 415e-6 * _ESP32_HZ),
  'SOFTMAX': ('calls', 385e-6 * _ESP32_HZ),
  'RESHAPE': ('calls', 51e-6 * _ESP32_HZ),
}
_ESP_NN_RANGE = Range(0.88, 1.0, 1.12)
# Its other kernels: person detection with the reference kernels takes 4084 ms on an ESP32 and 2300
# on an ESP32-S3 (README of github.com/espressif/esp-tflite-micro), 1.1 and 0.6 cycles for each
# instruction of a Cortex-M3. A sum took 2.2.
_ESP32_OTHERS, _ESP32S3_OTHERS = Range(0.5, 1.1, 2.2), Range(0.3, 0.7, 2.0)
# With ESP-NN it takes 380 ms on an ESP32 and 54 on an ESP32-S3, whose ESP-NN uses vectors.
_ESP32S3_RANGE = Range(0.1, 0.142, 0.4)


@dataclasses.dataclass(frozen=True)
class Speed:
  """The properties of a board that decide the time of an inference.

  Attributes:
    core: the core, one of `CORES`.
    clock_hz: its clock.
    build: name of the build of TFLite Micro.
    board: name of the board, if it was measured; else ''.

  Raises:
    ValueError: the core or the build is not known.
  """

  core: str
  clock_hz: int
  build: str
  board: str = ''

  def __post_init__(self) -> None:
    if self.core not in CORES:
      raise ValueError(f'core={self.core!r}: its speed is not known; must be {", ".join(CORES)}')
    find_build(self.build)

  def __str__(self) -> str:
    board = f'{self.board}, ' if self.board else ''
    return f'{board}{self.core} at {self.clock_hz / 1e6:g} MHz, {self.build}'

  def latency(self, load: Workload) -> Range:
    """Estimates the time of one inference in milliseconds, from its work."""
    cycles = weighed(load, _cycles(self.core, self.build, self.board))
    return Range(*(1e3 * value / self.clock_hz for value in cycles))


READ_BOARDS = frozenset(_READ)
"""Names of boards with a Cortex-M whose times were measured."""


@functools.cache
def _cycles(core: str, build: str, board: str) -> Weights:
  """Returns the cycles of each term: [3, case, term]."""
  if core.startswith('Xtensa'):
    return _esp_cycles(core)
  if board in _READ:
    reading = _READ[board]
    weights = weights_of(_READ_LIBRARY) * np.array([reading.of(case) for case in CASES])[:, None]
    return weights * np.array([_READ_LOW, 1, _READ_HIGH])[:, None, None]
  return weights_of(build) * np.array(_CYCLES_PER_INSTRUCTION[core])[:, None, None]


def _esp_cycles(core: str) -> Weights:
  is_s3 = core == 'Xtensa LX7'
  others = _ESP32S3_OTHERS if is_s3 else _ESP32_OTHERS
  weights = weights_of('m3-ref') * np.array(others)[:, None, None]
  for case, (term, cycles) in _ESP_NN.items():
    line = weights[:, CASES.index(case)]
    line[:] = 0
    scales = _ESP32S3_RANGE if is_s3 and term == 'products' else _ESP_NN_RANGE
    line[:, TERMS.index(term)] = cycles * np.array(scales)
  return weights
