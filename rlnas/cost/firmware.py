"""Estimates the flash that TFLite Micro and a small program take beside the model.

This is the text and data of a firmware as `rlnas export` describes it, with its main.cc and C
library, but without the model and the test vectors. It depends on the build and on the operators
that the firmware registers. `experiments/benchmarks/fit_firmware.py` fitted the sizes to firmwares
of four models in five builds; the size of a single kind is only a rough share of the total. If a
model is left out, its error is at most 2.4 % for convolutional networks, and 16 % for a recurrent
one, most of whose kernels no other model has (docs/figures.md).

The firmwares register each operator for all types. With CMSIS-NN this links kernels for 16-bit
values, too; `Register_CONV_2D_INT8()` and its like save 31 to 38 KB. The bundles of `rlnas export`
use these, and so do the estimates for a bundle here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rlnas.cost.builds import Build, find_build

_Sizes = Mapping[str, int]

# By kind of operator; '' is the base.
# fmt: off
_CHECKED: _Sizes = {
  '': 66080, 'ADD': 8170, 'CONCATENATION': 3190, 'FULLY_CONNECTED': 4380, 'LOGISTIC': 6280,
  'MAX_POOL_2D': 3690, 'MEAN': 5600, 'MUL': 6280, 'RELU': 4390, 'RESHAPE': 1250,
  'STRIDED_SLICE': 4390, 'TANH': 8170, 'CONV_2D': 4980, 'DEPTHWISE_CONV_2D': 4230,
}
_RELEASE: _Sizes = {
  '': 30430, 'ADD': 6930, 'CONCATENATION': 2370, 'FULLY_CONNECTED': 3500, 'LOGISTIC': 5260,
  'MAX_POOL_2D': 2720, 'MEAN': 4290, 'MUL': 5260, 'RELU': 3630, 'RESHAPE': 1010,
  'STRIDED_SLICE': 3630, 'TANH': 6930, 'CONV_2D': 3840, 'DEPTHWISE_CONV_2D': 3630,
}
_RELEASE_M0: _Sizes = {
  '': 40420, 'ADD': 7620, 'CONCATENATION': 2370, 'FULLY_CONNECTED': 3500, 'LOGISTIC': 5660,
  'MAX_POOL_2D': 3770, 'MEAN': 3960, 'MUL': 5660, 'RELU': 3830, 'RESHAPE': 1030,
  'STRIDED_SLICE': 3830, 'TANH': 7620, 'CONV_2D': 3580, 'DEPTHWISE_CONV_2D': 3430,
}
_CMSIS_NN: _Sizes = {
  '': 80850, 'ADD': 8170, 'CONCATENATION': 3100, 'FULLY_CONNECTED': 6000, 'LOGISTIC': 6280,
  'MAX_POOL_2D': 4030, 'MEAN': 5600, 'MUL': 6280, 'RELU': 4390, 'RESHAPE': 1250,
  'STRIDED_SLICE': 4390, 'TANH': 8170, 'CONV_2D': 18730, 'DEPTHWISE_CONV_2D': 15960,
}
_CMSIS_NN_2023: _Sizes = {
  '': 55860, 'ADD': 5520, 'CONCATENATION': 3220, 'FULLY_CONNECTED': 4380, 'LOGISTIC': 4710,
  'MAX_POOL_2D': 2880, 'MEAN': 6880, 'MUL': 4710, 'RELU': 3620, 'RESHAPE': 1190,
  'STRIDED_SLICE': 3620, 'TANH': 5520, 'CONV_2D': 10530, 'DEPTHWISE_CONV_2D': 9190,
}
# fmt: on
# Kinds that were not measured, by their likeness to others in TFLite Micro's sources: a second
# pooling shares most of the first.
_UNREAD: _Sizes = {'AVERAGE_POOL_2D': 3500, 'PAD': 3500, 'QUANTIZE': 4500, 'SOFTMAX': 5000}
_UNREAD_OTHER = 5000
# Libraries of the Arduino IDE are larger by 112 to 304 bytes, as tensors and nodes are.
_ARDUINO = 300
# No release build with CMSIS-NN was measured. Those of a Cortex-M3 are 39.6 to 42.8 KB smaller.
_RELEASE_SAVES = 39_000
_INT8_SAVES = 31_000
# Measured on an ESP32-S3 board, by mcufit-bench (`rlnas.cost.speed` names it).
_ESP_NN = 114_579

DEFAULT_KINDS: Collection[str] = (
  'AVERAGE_POOL_2D',
  'CONV_2D',
  'DEPTHWISE_CONV_2D',
  'FULLY_CONNECTED',
  'MAX_POOL_2D',
  'MEAN',
)
"""What a converted chain has: taken if neither a network nor a space is known."""


def firmware_bytes(kinds: Collection[str], build: str) -> int | None:
  """Estimates the flash of a firmware without model and test vectors, in bytes.

  Args:
    kinds: the kinds of operators that it registers, for all types.
    build: name of the build of TFLite Micro.

  Returns:
    The estimate; None for the Python package, which is not a firmware.

  Raises:
    ValueError: there is no such build.
  """
  made = find_build(build)
  if made.core == 'x86-64':
    return None
  if made.kernels == 'esp_nn':
    return _ESP_NN
  size = _summed(_sizes_of(made), kinds)
  if made.core == 'Cortex-M0+' and not build.endswith('-release'):
    size += _summed(_CHECKED, kinds) - _summed(_RELEASE, kinds)
  if made.kernels == 'cmsis_nn' and build.endswith('-release'):
    size -= _RELEASE_SAVES
  return size + _ARDUINO * build.endswith('-arduino')


def bundle_bytes(kinds: Collection[str], build: str) -> int | None:
  """As `firmware_bytes`, for a bundle of `rlnas export`, which registers int8 kernels alone."""
  size = firmware_bytes(kinds, build)
  if size is None or find_build(build).kernels != 'cmsis_nn' or build == 'm4-ard2023':
    return size  # the library of 2023 does not have these functions for most operators
  return size - _INT8_SAVES


def _sizes_of(build: Build) -> _Sizes:
  if build.kernels == 'cmsis_nn':
    return _CMSIS_NN_2023 if build.name == 'm4-ard2023' else _CMSIS_NN
  if build.core == 'Cortex-M0+':
    return _RELEASE_M0
  return _RELEASE if build.name.endswith('-release') else _CHECKED


def _summed(sizes: _Sizes, kinds: Collection[str]) -> int:
  return sizes[''] + sum(
    sizes.get(kind, _UNREAD.get(kind, _UNREAD_OTHER)) for kind in sorted(set(kinds))
  )
