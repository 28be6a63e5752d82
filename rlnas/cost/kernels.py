"""From this machine to the chip: the tensor arena on 32 bits, and the time of an inference.

TFLite Micro's recording allocator counts the interpreter's structures on this machine, where
pointers take 8 bytes. On a microcontroller they take 4, so that the tail of the arena is smaller;
the kernels of some chips ask for scratch memory in its head. Both depend on the kernels:

- 'esp_nn' on an ESP32: no scratch but softmax's. Four networks that boards read (MLPerf Tiny's
  keyword spotting, anomaly detection and image classification, and person detection): predicted to
  the byte.
- 'cmsis_nn' on cores with DSP instructions (Cortex-M4, M7, M33): columns of the input in 16 bits.
  The same four, read on an nRF52840: three predicted to the byte, one 16 bytes too large. The
  readings are of an Arduino library; other builds need less (see `rlnas.cost.arena_tail`).
- 'reference', the portable kernels: no reading.
- 'unknown': what such kernels ask for is not known here, as those of ESP-NN for the ESP32-S3.

Readings and throughputs are from github.com/avionicharshit-byte/mcufit-bench (results/results.jsonl
and its README).
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence

from rlnas.cost.arena_tail import (
  CMSIS_NN,
  ESP_NN,
  HOST,
  KINDS,
  REFERENCE,
  Build,
  Node,
  Nodes,
  tail_bytes,
)

_BUILDS: Mapping[str, Build] = types.MappingProxyType(
  {'reference': REFERENCE, 'cmsis_nn': CMSIS_NN, 'esp_nn': ESP_NN}
)
KERNELS = (*_BUILDS, 'unknown')


@dataclasses.dataclass(frozen=True)
class Work:
  """What an operator has to do in one inference.

  Attributes:
    kind: TensorFlow Lite's name, 'CONV_2D'.
    macs: multiply-accumulate operations.
    elements: that it reads, or writes where that is more; constants apart.
    kernel_shape: (height, width, input channels) of a convolution, (height, width, channels) of a
      depthwise one; () for others.
    channels: of its result.
    scales: how many channels of its kernel have a scale of their own.
    inputs: how many tensors it reads.
  """

  kind: str
  macs: int
  elements: int
  kernel_shape: tuple[int, ...] = ()
  channels: int = 0
  scales: int = 0
  inputs: int = 1


@dataclasses.dataclass(frozen=True)
class Structures:
  """How many of the interpreter's structures lie in the tail.

  Attributes:
    eval_tensors: TfLiteEvalTensor, one a tensor.
    tensors: TfLiteTensor, of inputs and outputs.
    quantizations: allocations for their quantization.
    nodes: NodeAndRegistration, one an operator.
  """

  eval_tensors: int
  tensors: int
  quantizations: int
  nodes: int


def chip_tail_bytes(
  recorded_bytes: int, structures: Structures, work: Sequence[Work], *, kernels: str
) -> int:
  """The arena's tail on a 32-bit chip.

  Structures are laid out as here and as there. What was recorded here beyond them, of operators
  whose structures are not known, counts in full there, where it can only be smaller.

  Args:
    recorded_bytes: the tail as counted on a 64-bit machine.
    structures: of the same count.
    work: of the operators in order.
    kernels: one of `KERNELS`, but not 'unknown'.

  Raises:
    ValueError: there are no such kernels.
  """

  def laid_out(build: Build, asked: str) -> int:
    return tail_bytes(
      build,
      Nodes.of(
        [
          Node(w.kind, w.scales, w.inputs, _scratch_areas(w, asked) if w.kind in KINDS else 0)
          for w in work
        ]
      ),
      tensors=structures.eval_tensors,
      inputs=max(0, structures.tensors - 1),
      quantized=structures.quantizations > 0,
    )

  there = laid_out(_build(kernels), kernels)
  return there + max(0, recorded_bytes - laid_out(HOST, 'reference'))


def _scratch_areas(work: Work, kernels: str) -> int:
  """How many scratch areas a kernel asks for."""
  if work.kind == 'MEAN':
    return 3
  return int(scratch_bytes(work, kernels=kernels) > 0)


def scratch_bytes(work: Work, *, kernels: str) -> int:
  """What a kernel asks for in the arena's head while it runs.

  CMSIS-NN (arm_convolve_s8_get_buffer_size, arm_depthwise_conv_s8_opt_get_buffer_size and
  arm_avgpool_s8_get_buffer_size on cores with DSP instructions): two columns of a convolution's
  input in 16 bits, none for 1x1; one of a depthwise convolution; a 32-bit sum a channel.

  ESP-NN on the ESP32: a 32-bit value a class for softmax.

  Raises:
    ValueError: there are no such kernels.
  """
  _build(kernels)
  if kernels == 'esp_nn':
    return 4 * work.channels if work.kind == 'SOFTMAX' else 0
  if kernels != 'cmsis_nn':
    return 0
  column = math.prod(work.kernel_shape)
  if work.kind == 'CONV_2D':
    return 0 if work.kernel_shape[:2] == (1, 1) else 4 * (-(-column // 4) * 4)
  if work.kind == 'DEPTHWISE_CONV_2D':
    return 2 * column
  return 4 * work.channels if work.kind == 'AVERAGE_POOL_2D' else 0


def _build(kernels: str) -> Build:
  if kernels not in _BUILDS:
    raise ValueError(f'kernels={kernels!r}: must be one of {", ".join(_BUILDS)}')
  return _BUILDS[kernels]


@dataclasses.dataclass(frozen=True)
class Speed:
  """Throughput that was read on a board.

  Attributes:
    clock_hz: at which it was read.
    macs_per_cycle: by operator.
    seconds_per_call: by operator, of those whose time hardly depends on their size.
    elements_per_cycle: of addition; operators without a reading are taken to be as fast.
    error: bound on the relative errors of the whole networks that were read.
  """

  clock_hz: int
  macs_per_cycle: Mapping[str, float]
  seconds_per_call: Mapping[str, float]
  elements_per_cycle: float
  error: float

  def latency_ms(self, work: Sequence[Work]) -> float:
    """Time of one inference in milliseconds."""
    return 1e3 * sum(map(self._seconds, work))

  def error_of(self, work: Sequence[Work]) -> float:
    """Relative error to expect of `latency_ms`: all the time of operators without a reading too."""
    total = sum(map(self._seconds, work))
    unread = sum(self._seconds(w) for w in work if not self._has_reading(w.kind))
    return self.error + (1 - self.error) * unread / total if total else self.error

  def _has_reading(self, kind: str) -> bool:
    return kind in self.macs_per_cycle or kind in self.seconds_per_call or kind == 'ADD'

  def _seconds(self, work: Work) -> float:
    if work.kind in self.macs_per_cycle:
      return work.macs / (self.macs_per_cycle[work.kind] * self.clock_hz)
    if work.kind in self.seconds_per_call:
      return self.seconds_per_call[work.kind]
    return work.elements / (self.elements_per_cycle * self.clock_hz)


# By the name of the board. Medians of whole networks in ms, and what is predicted:
#                         ESP32            nRF52840
#   keyword spotting      162.3   +0.3 %    224.6  +19.1 %
#   anomaly detection      49.3   +0.1 %     22.0   +0.6 %
#   image classification  724.5   +1.8 %   1241.8  -12.7 %
#   person detection      474.2   -6.4 %    657.3  +14.1 %
# The throughputs are means over the same networks, so that others may differ more.
SPEEDS: Mapping[str, Speed] = types.MappingProxyType(
  {
    'esp32': Speed(
      clock_hz=240_000_000,
      macs_per_cycle={'CONV_2D': 0.0732, 'DEPTHWISE_CONV_2D': 0.0443, 'FULLY_CONNECTED': 0.0223},
      seconds_per_call={'AVERAGE_POOL_2D': 415e-6, 'SOFTMAX': 385e-6, 'RESHAPE': 51e-6},
      elements_per_cycle=0.0048,
      error=0.1,
    ),
    'arduino-nano-33-ble': Speed(  # nRF52840
      clock_hz=64_000_000,
      macs_per_cycle={'CONV_2D': 0.1899, 'DEPTHWISE_CONV_2D': 0.0630, 'FULLY_CONNECTED': 0.1863},
      seconds_per_call={'AVERAGE_POOL_2D': 969e-6, 'SOFTMAX': 85e-6, 'RESHAPE': 18e-6},
      elements_per_cycle=0.0083,
      error=0.2,
    ),
  }
)
