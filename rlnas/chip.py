"""From this machine to the chip: the tensor arena on 32 bits, and the time of an inference.

TFLite Micro's recording allocator counts the interpreter's structures on this machine, where
pointers take 8 bytes. On a microcontroller they take 4, so that the tail of the arena is smaller;
the kernels of some chips ask for scratch memory in its head. Both depend on the family of kernels:

- 'esp_nn' on an ESP32: no scratch. Readings: 22,780 B (keyword spotting of MLPerf Tiny) and 2,380 B
  (its anomaly detector), foretold 0.4 % and 5 % (120 B) too large.
- 'cmsis_nn' on cores with DSP instructions (Cortex-M4, M7, M33): columns of the input in 16 bits.
  Readings on an nRF52840: 24,164 B and 2,596 B, foretold 0.3 % and 4 % (104 B) too large.
- 'reference', the portable kernels: as 'esp_nn' without a reading.

A figure errs on the large side; for other networks and chips its error is not known. Readings and
throughputs are from github.com/avionicharshit-byte/mcufit-bench (`arena_used_bytes`, and
results/layers.jsonl).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping, Sequence

KERNELS = ('reference', 'cmsis_nn', 'esp_nn')


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
  """

  kind: str
  macs: int
  elements: int
  kernel_shape: tuple[int, ...] = ()
  channels: int = 0


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


# What a structure takes more on 64 bits (tensorflow/lite/c/common.h with TF_LITE_STATIC_MEMORY):
# 24 against 12 bytes, 64 against 40, 16 against 10 on the mean, 64 against 32.
_EVAL_TENSOR, _TENSOR, _QUANTIZATION, _NODE = 12, 24, 6, 32
# The data of an operator: pointers to multipliers, and fields that releases on the boards lack (72
# bytes of a dense layer here, 32 there). What is not listed is taken to be as large on the chip.
_OPERATOR_DATA: Mapping[str, int] = types.MappingProxyType(
  {'CONV_2D': 16, 'DEPTHWISE_CONV_2D': 16, 'FULLY_CONNECTED': 40}
)
# The interpreter, its allocators and planner: some 650 bytes here that are not recorded, pointers
# for the most part.
_INTERPRETER = 320
# CMSIS-NN's data of an operator, an index and the handle of a scratch buffer.
_CMSIS_NN_DATA = 20
_CMSIS_NN_KINDS = frozenset({'CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'AVERAGE_POOL_2D'})


def chip_tail_bytes(
  tail_bytes: int, structures: Structures, operators: Iterable[str], *, kernels: str
) -> int:
  """The arena's tail on a 32-bit chip.

  Args:
    tail_bytes: as counted on a 64-bit machine.
    structures: of the same count.
    operators: TensorFlow Lite's name of each operator.
    kernels: one of `KERNELS`.

  Raises:
    ValueError: there are no such kernels.
  """
  _check(kernels)
  kinds = list(operators)
  smaller = (
    _EVAL_TENSOR * structures.eval_tensors
    + _TENSOR * structures.tensors
    + _QUANTIZATION * structures.quantizations
    + _NODE * structures.nodes
    + sum(_OPERATOR_DATA.get(kind, 0) for kind in kinds)
    + _INTERPRETER
  )
  larger = _CMSIS_NN_DATA * sum(kind in _CMSIS_NN_KINDS for kind in kinds)
  return tail_bytes - smaller + (larger if kernels == 'cmsis_nn' else 0)


def scratch_bytes(work: Work, *, kernels: str) -> int:
  """What a kernel asks for in the arena's head while it runs.

  CMSIS-NN (arm_convolve_s8_get_buffer_size, arm_depthwise_conv_s8_opt_get_buffer_size and
  arm_avgpool_s8_get_buffer_size on cores with DSP instructions): two columns of a convolution's
  input in 16 bits, none for 1x1; one of a depthwise convolution; a 32-bit sum a channel.

  Raises:
    ValueError: there are no such kernels.
  """
  _check(kernels)
  if kernels != 'cmsis_nn':
    return 0
  column = 1
  for side in work.kernel_shape:
    column *= side
  if work.kind == 'CONV_2D':
    return 0 if work.kernel_shape[:2] == (1, 1) else 4 * (-(-column // 4) * 4)
  if work.kind == 'DEPTHWISE_CONV_2D':
    return 2 * column
  return 4 * work.channels if work.kind == 'AVERAGE_POOL_2D' else 0


def _check(kernels: str) -> None:
  if kernels not in KERNELS:
    raise ValueError(f'kernels={kernels!r}: must be one of {", ".join(KERNELS)}')


@dataclasses.dataclass(frozen=True)
class Speed:
  """Throughput that was read on a board.

  Attributes:
    clock_hz: at which it was read.
    macs_per_cycle: by operator.
    seconds_per_call: by operator, of those whose time hardly depends on their size.
    elements_per_cycle: of addition; operators without a reading are taken to be as fast.
    error: greatest relative error of a whole network that was read.
  """

  clock_hz: int
  macs_per_cycle: Mapping[str, float]
  seconds_per_call: Mapping[str, float]
  elements_per_cycle: float
  error: float

  def latency_ms(self, work: Sequence[Work]) -> float:
    """Time of one inference; operators without a reading add to the stated error."""
    seconds = 0.0
    for operator in work:
      if operator.kind in self.macs_per_cycle:
        seconds += operator.macs / (self.macs_per_cycle[operator.kind] * self.clock_hz)
      elif operator.kind in self.seconds_per_call:
        seconds += self.seconds_per_call[operator.kind]
      else:
        seconds += operator.elements / (self.elements_per_cycle * self.clock_hz)
    return 1e3 * seconds


# By the name of the board. Whole networks read on the ESP32: keyword spotting 162.2 ms (foretold
# 162.9), anomaly detection 49.1 (49.4), image classification 707.8 (712); single operators differ
# by up to a tenth from network to network, which is the error that is stated.
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
      error=0.1,
    ),
  }
)
