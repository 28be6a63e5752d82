"""Predicts the tensor arena on a 32-bit chip.

TFLite Micro's recording allocator counts the interpreter's structures on this machine, where
pointers take 8 bytes. On a microcontroller they take 4, so the tail of the arena is smaller there.
The kernels of some chips also request scratch memory in the head. Both depend on the kernels:

- 'esp_nn' on an ESP32: only softmax requests scratch memory. The prediction was exact to the byte
  for four networks that were measured on boards (MLPerf Tiny's keyword spotting, anomaly detection
  and image classification, and person detection).
- 'cmsis_nn' on cores with DSP instructions (Cortex-M4, M7, M33): scratch memory for columns of the
  input in 16 bits. For the same four networks, measured on an nRF52840, three predictions were
  exact to the byte and one was 16 bytes too large. These measurements used an Arduino library;
  other builds need less (see `rlnas.cost.arena_tail`).
- 'reference', the portable kernels: not measured.
- 'unknown': kernels whose requests rlnas does not know, such as ESP-NN's for the ESP32-S3.

Measurements are from github.com/avionicharshit-byte/mcufit-bench
(results/results.jsonl).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from rlnas.cost.arena_tail import Node, Nodes, tail_bytes
from rlnas.cost.builds import BUILDS, Build
from rlnas.cost.structures import KINDS


@dataclasses.dataclass(frozen=True)
class Work:
  """The work of an operator in one inference.

  Attributes:
    kind: TensorFlow Lite's name of the operator, for example 'CONV_2D'.
    macs: number of multiply-accumulate operations.
    elements: number of elements that it reads or writes, whichever is larger; without constants.
    kernel_shape: (height, width, input channels) of a convolution, (height, width, channels) of a
      depthwise convolution; () for other operators.
    channels: number of channels of its result.
    scales: number of channels of its kernel that have their own scale.
    inputs: number of tensors that it reads.
    runs: how often it runs in one inference.
    is_int8: whether it computes with int8 values.
  """

  kind: str
  macs: int
  elements: int
  kernel_shape: tuple[int, ...] = ()
  channels: int = 0
  scales: int = 0
  inputs: int = 1
  runs: int = 1
  is_int8: bool = True


@dataclasses.dataclass(frozen=True)
class Counted:
  """Numbers of the interpreter's structures in the tail of the arena.

  Attributes:
    eval_tensors: TfLiteEvalTensor, one for each tensor.
    tensors: TfLiteTensor, for inputs and outputs.
    quantizations: allocations for the quantization of inputs and outputs.
    nodes: NodeAndRegistration, one for each operator.
  """

  eval_tensors: int
  tensors: int
  quantizations: int
  nodes: int


def chip_tail_bytes(
  recorded_bytes: int, structures: Counted, work: Sequence[Work], *, build: Build
) -> int:
  """Predicts the size of the arena's tail on a 32-bit chip.

  The known structures are laid out twice: for this machine and for the chip. Bytes recorded here
  beyond the known structures belong to operators whose structures are not known. They are added
  in full to the prediction, which makes it an upper bound: on the chip they can only be smaller.

  Args:
    recorded_bytes: size of the tail as recorded on a 64-bit machine.
    structures: the numbers of structures in the same recording.
    work: the work of the operators, in order.
    build: the build of TFLite Micro on the chip.
  """

  def laid_out(build: Build) -> int:
    return tail_bytes(
      build.structures,
      Nodes.of(
        [
          Node(w.kind, w.scales, w.inputs, _scratch_areas(w, build) if w.kind in KINDS else 0)
          for w in work
        ]
      ),
      tensors=structures.eval_tensors,
      inputs=max(0, structures.tensors - 1),
      quantized=structures.quantizations > 0,
    )

  return laid_out(build) + max(0, recorded_bytes - laid_out(BUILDS['host']))


def _scratch_areas(work: Work, build: Build) -> int:
  """Returns the number of scratch areas that a kernel requests."""
  if work.kind == 'MEAN':
    return 3
  return int(scratch_bytes(work, build=build) > 0)


def scratch_bytes(work: Work, *, build: Build) -> int:
  """Returns the scratch memory in bytes that a kernel requests in the arena's head while it runs.

  CMSIS-NN (arm_convolve_s8_get_buffer_size, arm_depthwise_conv_s8_opt_get_buffer_size and
  arm_avgpool_s8_get_buffer_size on cores with DSP instructions): two columns of the input in 16
  bits for a convolution, none if it is 1x1; one column for a depthwise convolution; one 32-bit sum
  per channel for average pooling.

  ESP-NN on the ESP32: one 32-bit value per class for softmax.
  """
  if build.kernels == 'esp_nn':
    return 4 * work.channels if work.kind == 'SOFTMAX' else 0
  if build.kernels != 'cmsis_nn':
    return 0
  column = math.prod(work.kernel_shape)
  if work.kind == 'CONV_2D':
    return 0 if work.kernel_shape[:2] == (1, 1) else 4 * (-(-column // 4) * 4)
  if work.kind == 'DEPTHWISE_CONV_2D':
    return 2 * column
  return 4 * work.channels if work.kind == 'AVERAGE_POOL_2D' else 0
