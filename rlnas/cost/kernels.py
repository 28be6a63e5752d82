"""The work of operators, and the time of an inference on boards whose speed was measured.

Measurements and throughputs are from github.com/avionicharshit-byte/mcufit-bench
(results/results.jsonl and its README).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence


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
    multiplier: number of results for each input channel of a depthwise convolution.
    is_dilated: whether the elements of its kernel lie apart.
    scratch: sizes in bytes of the scratch areas that its portable kernel requests.
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
  multiplier: int = 1
  is_dilated: bool = False
  scratch: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Speed:
  """Throughput that was measured on a board.

  Attributes:
    clock_hz: clock of the board during the measurement.
    macs_per_cycle: throughput by operator; other operators that multiply matrices are assumed to
      be as fast as a dense layer.
    seconds_per_call: time by operator, for operators whose time hardly depends on their size.
    elements_per_cycle: throughput of addition; operators without a measurement are assumed to be
      as fast.
    error: bound on the relative errors for the whole networks that were measured.
  """

  clock_hz: int
  macs_per_cycle: Mapping[str, float]
  seconds_per_call: Mapping[str, float]
  elements_per_cycle: float
  error: float

  def latency_ms(self, work: Sequence[Work]) -> float:
    """Estimates the time of one inference in milliseconds."""
    return 1e3 * sum(w.runs * self._seconds(w) for w in work)

  def error_of(self, work: Sequence[Work]) -> float:
    """Estimates the relative error of `latency_ms`.

    The whole time of operators without a measurement counts as error, too.
    """
    total = sum(w.runs * self._seconds(w) for w in work)
    unread = sum(w.runs * self._seconds(w) for w in work if not self._has_reading(w))
    return self.error + (1 - self.error) * unread / total if total else self.error

  def _has_reading(self, work: Work) -> bool:
    read = work.kind in self.macs_per_cycle or work.kind in self.seconds_per_call
    return work.is_int8 and (read or work.kind == 'ADD')

  def _seconds(self, work: Work) -> float:
    if work.kind in self.macs_per_cycle:
      return work.macs / (self.macs_per_cycle[work.kind] * self.clock_hz)
    if work.kind in self.seconds_per_call:
      return self.seconds_per_call[work.kind]
    if work.macs:
      return work.macs / (self.macs_per_cycle['FULLY_CONNECTED'] * self.clock_hz)
    return work.elements / (self.elements_per_cycle * self.clock_hz)


# By the name of the board. Measured medians of whole networks in ms, and the prediction's error:
#                         ESP32            nRF52840
#   keyword spotting      162.3   +0.3 %    224.6  +19.1 %
#   anomaly detection      49.3   +0.1 %     22.0   +0.6 %
#   image classification  724.5   +1.8 %   1241.8  -12.7 %
#   person detection      474.2   -6.4 %    657.3  +14.1 %
# The throughputs are means over the same networks, so the error may be larger for others.
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
