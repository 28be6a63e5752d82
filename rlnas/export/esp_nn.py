"""The scratch memory that ESP-NN's convolutions ask for on an ESP32-S3, by its formulas.

ESP-NN aligns and pads copies of the input and the filter, in the head of the arena. How large they
are depends on its release, and the component registry brings the newest one. So each size here is
the largest of the releases since 1.1: `esp_nn_get_conv_scratch_size_esp32s3` and
`esp_nn_get_depthwise_conv_scratch_size_esp32s3` in src/convolution/ of github.com/espressif/esp-nn,
read in October 2026 (commit 1017042) and in versions of 2023 and of spring 2026. No board confirmed
these sizes. On other ESP32 these functions return 0, but for those with vector instructions of
their own (ESP32-P4).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rlnas.cost.arena import Contents
from rlnas.tflite.model_file import Operator, Subgraph, Tensor

_KIB = 1024
_MARGIN_BYTES = 64  # alignment, and what the assembler reads beyond an area
_PANEL_BYTES = 16 * _KIB  # where the newest kernels gather the outputs of a 1x1 convolution
_POSITIONS = 16  # of the output, whose windows the newest 3x3 convolution gathers


@dataclasses.dataclass(frozen=True)
class _Side:
  """A convolution along one side of its map."""

  size: int
  kernel: int
  stride: int
  result: int
  dilation: int

  @property
  def before(self) -> int:
    """The padding in front, as TFLite Micro computes it."""
    reach = (self.result - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
    return max(0, reach - self.size) // 2

  @property
  def behind(self) -> int:
    """The values beyond the end that ESP-NN reckons with, if there is no padding in front."""
    return max(0, self.result * self.stride + self.kernel - 1 - self.size)


def with_scratch(contents: Contents, subgraphs: Sequence[Subgraph]) -> Contents:
  """Returns what a network keeps in the arena, with the scratch memory of an ESP32-S3.

  Args:
    contents: the contents of the arena with the portable kernels.
    subgraphs: the subgraphs of its file.
  """
  operators = [(operator, graph.tensors) for graph in subgraphs for operator in graph.operators]
  shapes = []
  for shape, (operator, tensors) in zip(contents.operators, operators, strict=True):
    size = scratch_bytes(operator, tensors)
    areas = (*shape.scratch, size) if size else shape.scratch
    shapes.append(dataclasses.replace(shape, scratch=areas))
  return dataclasses.replace(contents, operators=tuple(shapes))


def scratch_bytes(operator: Operator, tensors: Sequence[Tensor]) -> int:
  """Returns the bytes that an int8 operator asks for; 0 if it is not a convolution."""
  if operator.kind not in ('CONV_2D', 'DEPTHWISE_CONV_2D'):
    return 0
  entry, kernel = (tensors[index].shape for index in operator.inputs[:2])
  result, window = tensors[operator.outputs[0]].shape, operator.window
  high = _Side(entry[1], kernel[1], window.stride_height, result[1], window.dilation_height)
  wide = _Side(entry[2], kernel[2], window.stride_width, result[2], window.dilation_width)
  if operator.kind == 'DEPTHWISE_CONV_2D':
    return _depthwise(high, wide, entry[3], result[3] // entry[3])
  return _convolution(high, wide, entry[3], result[3])


def _rounded(size: int, unit: int) -> int:
  return -(-size // unit) * unit


def _convolution(high: _Side, wide: _Side, channels: int, results: int) -> int:
  places, padding = high.size * wide.size, high.before + wide.before
  if (high.kernel, wide.kernel, high.stride, wide.stride, padding) == (1, 1, 1, 1, 0):
    whole = _rounded(channels, 8)
    copied = whole * results + 16 * whole + (places * whole if channels % 8 else 0)
    batched = 24 * channels + 8 * results
    panel = 24 * channels + _PANEL_BYTES if channels * results > 24 * _KIB else 0
    return max(copied, batched, panel) + _MARGIN_BYTES
  window = _rounded(high.kernel * wide.kernel * channels, 16)
  gathered = 4 * results + 32 + (results + 1) * window + _MARGIN_BYTES
  padded = (high.size + 2 * high.before) * (wide.size + 2 * wide.before) * channels
  beyond = (high.size + high.behind) * (wide.size + wide.behind) * channels
  filters = high.kernel * wide.kernel * _rounded(channels, 16) * results
  rows = high.kernel * _rounded(wide.kernel * channels, 16) * results
  copied = filters + rows + 4 * results + _MARGIN_BYTES
  copied += (padded if padding else 0) + (beyond if high.behind or wide.behind else 0)
  staged = 0
  is_aligned = (high.kernel, wide.kernel) == (3, 3) and channels % 16 == 0 and results >= 16
  if is_aligned and high.result * wide.result >= _POSITIONS:
    staged = (_POSITIONS + 24) * window + _PANEL_BYTES + 32 + _MARGIN_BYTES
  return max(gathered, copied, staged)


def _depthwise(high: _Side, wide: _Side, channels: int, multiplier: int) -> int:
  taps, places = high.kernel * wide.kernel, high.size * wide.size
  doubled = 2 * (taps * channels * multiplier + places * channels) + 32
  if multiplier != 1:
    return doubled if multiplier % 4 == 0 else 32
  if channels % 8:
    whole = _rounded(channels, 8)
    sizes = (2 * taps * whole, 2 * places * whole, high.result * wide.result * whole)
    padded = sum(_rounded(size, 16) for size in sizes) + 12 * whole + 16
    return padded if channels > 3 else 32
  if (high.kernel, wide.kernel) != (3, 3):
    column = 4 * channels + 2 * high.kernel * channels + 64  # a newer kernel of one column
    strip = 2 * (taps + wide.size * high.kernel) * channels + 32
    return max(doubled if doubled - 32 <= 48 * _KIB else strip, column if wide.kernel == 1 else 0)
  whole = _rounded(channels, 16)
  padded = bool(high.before + wide.before)
  if channels % 16 == 0:
    rows, columns = (s.size + (2 * s.before if padded else s.behind) for s in (high, wide))
    return 9 * whole + min(rows * columns, max(40 * _KIB // whole, 3 * columns)) * whole + 32
  if channels < 12:
    return doubled
  rows, columns = (side.size + 2 * side.before + side.behind for side in (high, wide))
  copy = 9 * whole + (rows * columns + high.result * wide.result) * whole
  return max(copy + 12 * whole + 64, doubled)
