"""Estimates the instructions of one inference from the work of its operators, by build.

Each case of an operator has a few coefficients (`rlnas.cost.terms` defines cases and terms).
They were fitted to counts of an emulated Cortex-M3 and M4, for three sets of kernels:

- `REFERENCE`: the portable kernels of August 2026. GCC compiles them for size, so that each element
  is addressed by a function that also checks its indices: about 109 instructions for each
  multiply-accumulate. Release builds (NDEBUG) do not check.
- `CMSIS_NN`: the same release with CMSIS-NN on a core with DSP instructions.
- `CMSIS_NN_2023`: the Arduino library of February 2023 with its CMSIS-NN.

`experiments/benchmarks/fit_instructions.py` prints these tables and the errors on models that were
left out (docs/figures.md). Operators that were not measured have estimates with a wide range.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.cost.builds import BUILDS, Build
from rlnas.cost.terms import CASES, OTHER, TERMS, WIDE, Workload

Coefficients = Mapping[str, Mapping[str, float]]


class Range(NamedTuple):
  """An estimate with its range.

  Attributes:
    low: the lower end.
    middle: the estimate.
    high: the upper end.
  """

  low: float
  middle: float
  high: float

  def __str__(self) -> str:
    low, middle, high = map(digits, self)
    return f'{middle} ({low} to {high})'


def digits(value: float) -> str:
  """Returns a number with three digits, without an exponent."""
  rounded = float(f'{value:.3g}')
  return f'{rounded:,.0f}' if rounded >= 100 else f'{rounded:g}'


# fmt: off
REFERENCE: Coefficients = {
  'ADD': {'calls': 2600, 'results': 94.36},
  'CONCATENATION': {'calls': 4271, 'reads': 1.2, 'copies': 53.01},
  'FULLY_CONNECTED': {'calls': 800.1, 'results': 94.47, 'products': 9.622},
  'LOGISTIC': {'calls': 600, 'results': 539.2},
  'MAX_POOL_2D': {'results': 154.2, 'inside': 59.78},
  'MEAN': {'calls': 2053, 'reads': 256.6, 'results': 56.64},
  'MUL': {'calls': 1900, 'results': 47.62},
  'RELU': {'calls': 1000, 'results': 58.13},
  'RESHAPE': {'calls': 335, 'results': 1},
  'STRIDED_SLICE': {'calls': 1940, 'results': 3},
  'TANH': {'calls': 600, 'results': 567.7},
  'CONV_2D': {'results': 206.9, 'rows': 24.29, 'visits': 44.32, 'inner': 108.7},
  'CONV_2D 1x1': {'calls': 2057, 'results': 249.3, 'inner': 108.7},
  'DEPTHWISE_CONV_2D': {'calls': 6211, 'visits': 22.94, 'inner': 110.9},
  'DEPTHWISE_CONV_2D 3x3': {'calls': 4114, 'visits': 41.31, 'inner': 111.5},
}
CMSIS_NN: Coefficients = {
  'ADD': {'calls': 2600, 'results': 68.36},
  'CONCATENATION': {'calls': 4265, 'reads': 1, 'copies': 54.56},
  'FULLY_CONNECTED': {'calls': 722.3, 'results': 92.19, 'products': 3.232},
  'LOGISTIC': {'calls': 600, 'results': 539.9},
  'MAX_POOL_2D': {'results': 39.89, 'inside': 10.85},
  'MEAN': {'calls': 2045, 'reads': 266.2, 'results': 56.58},
  'MUL': {'calls': 1900, 'results': 27.98},
  'RELU': {'calls': 1000, 'results': 59.58},
  'RESHAPE': {'calls': 328.4, 'results': 1},
  'STRIDED_SLICE': {'calls': 1930, 'results': 3},
  'TANH': {'calls': 600, 'results': 567.5},
  'CONV_2D': {'results': 72.09, 'places': 320.9, 'products': 2.599, 'columns': 5.342,
              'patches': 51.92},
  'CONV_2D 1x1': {'calls': 5490, 'results': 64.46, 'products': 2.326, 'rest': 0.509},
  'DEPTHWISE_CONV_2D': {'products': 14.84, 'rest': 61.46, 'patches': 10.55},
  'DEPTHWISE_CONV_2D 3x3': {'results': 80.63, 'places': 152.8, 'inside': 3.655},
}
CMSIS_NN_2023: Coefficients = {
  'ADD': {'calls': 2600, 'results': 73.2},
  'CONCATENATION': {'calls': 3917, 'reads': 1, 'copies': 55.65},
  'FULLY_CONNECTED': {'calls': 677.1, 'results': 74.05, 'products': 4.815},
  'LOGISTIC': {'calls': 600, 'results': 1180},
  'MAX_POOL_2D': {'results': 47.62, 'inside': 12.08},
  'MEAN': {'calls': 1671, 'reads': 277.4, 'results': 203.4},
  'MUL': {'calls': 1900, 'results': 32.3},
  'RELU': {'calls': 1000, 'results': 58.56},
  'RESHAPE': {'calls': 317.3, 'results': 1},
  'STRIDED_SLICE': {'calls': 2093, 'results': 3},
  'TANH': {'calls': 600, 'results': 1251},
  'CONV_2D': {'results': 78.4, 'places': 335.9, 'products': 4.214, 'columns': 4.457,
              'patches': 66.19},
  'CONV_2D 1x1': {'calls': 6195, 'results': 71.34, 'products': 2.968, 'rest': 3.718},
  'DEPTHWISE_CONV_2D': {'products': 18.94, 'rest': 66.24, 'patches': 5.371},
  'DEPTHWISE_CONV_2D 3x3': {'results': 91.95, 'places': 167.6, 'inside': 7.107},
}
# fmt: on

# Not read. An average is a maximum and a division; the others are compared with what a sum, a
# product, a sigmoid or a copy of memory takes. `OTHER` multiplies as a dense layer does; `WIDE`
# counts a floating-point addition and multiplication in software.
_UNREAD: Coefficients = {
  'AVERAGE_POOL_2D': {'results': 180, 'inside': 60},
  'DEQUANTIZE': {'calls': 600, 'results': 120},
  'HARD_SWISH': {'calls': 600, 'results': 100},
  'LEAKY_RELU': {'calls': 600, 'results': 60},
  'PAD': {'calls': 2500, 'results': 20},
  'QUANTIZE': {'calls': 600, 'results': 45},
  'RELU6': {'calls': 600, 'results': 15},
  'RESIZE_NEAREST_NEIGHBOR': {'calls': 1900, 'results': 30},
  'SOFTMAX': {'calls': 1000, 'results': 450},
  'SUB': {'calls': 2600, 'results': 94},
  'TRANSPOSE': {'calls': 1900, 'results': 40},
  OTHER: {'calls': 2000, 'results': 60, 'products': 10},
  WIDE: {'calls': 2000, 'results': 300, 'products': 120},
}
_UNREAD_CMSIS_NN: Coefficients = {
  **_UNREAD,
  'AVERAGE_POOL_2D': {'results': 60, 'inside': 11},
  'SUB': {'calls': 2600, 'results': 68},
}
_UNREAD_FACTOR, _UNKNOWN_FACTOR = 3.0, 10.0
# Largest errors of fitted operators: 5 % of one with thousands of instructions.
_READ_FACTOR = 1.08
# A sigmoid of a saturated value skips the computation: 18 to 25 instructions in place of 540.
_SATURATED = {'LOGISTIC', 'TANH'}
_SATURATED_LOW = 0.5
# Only one size was measured, so the share of the call is assumed.
_ONE_SIZE = {'ADD', 'MUL', 'RELU', 'RESHAPE', 'STRIDED_SLICE'}
_ONE_SIZE_FACTOR = 1.5


class _Kind(NamedTuple):
  """How the instructions of a build follow from a table.

  Attributes:
    table: coefficients of the cases that were measured.
    unread: those of the others.
    factors: instructions relative to the table, by case; `factor` for the others.
    factor: see `factors`.
    spread: the range of all cases is wider by this factor, downwards and upwards.
  """

  table: Coefficients
  unread: Coefficients
  factors: Mapping[str, float] = types.MappingProxyType({})
  factor: float = 1.0
  spread: float = 1.0


# Release builds were not counted. Compiled without its checks (GCC 12.2, -Os), the inner loop of a
# convolution takes 47 of 109 instructions on a Cortex-M3. Counts of other firmwares are 57.6 for
# each multiply-accumulate of a convolution (not 109), 73.4 for a 1x1 one, 73.6 for a depthwise one,
# 7.7 in a dense layer (not 9.6), and 0.6 of the above for sigmoids and averages; with CMSIS-NN 0.8
# for its convolutions.
_RELEASE = {
  'CONV_2D': 0.53,
  'CONV_2D 1x1': 0.6,
  'DEPTHWISE_CONV_2D': 0.6,
  'DEPTHWISE_CONV_2D 3x3': 0.6,
  'FULLY_CONNECTED': 0.8,
}
_RELEASE_CMSIS_NN = {
  **dict.fromkeys(('CONV_2D', 'CONV_2D 1x1'), 0.85),
  **dict.fromkeys(('DEPTHWISE_CONV_2D', 'DEPTHWISE_CONV_2D 3x3'), 0.85),
  **dict.fromkeys(('FULLY_CONNECTED', 'MAX_POOL_2D', 'AVERAGE_POOL_2D'), 0.9),
}
_RELEASE_FACTOR, _RELEASE_SPREAD, _RELEASE_CMSIS_NN_SPREAD = 0.6, 1.35, 1.2
# The same loops take 54 instructions on a Cortex-M0+ where they take 47 on an M3; each result also
# needs a 64-bit product in software, about 60 instructions.
_THUMB1, _THUMB1_SPREAD = 1.2, 1.35


def _kind(build: Build) -> _Kind:
  if build.name == 'm4-ard2023':
    return _Kind(CMSIS_NN_2023, _UNREAD_CMSIS_NN)
  is_release = build.name.endswith('-release')
  if build.kernels == 'cmsis_nn':
    if not is_release:
      return _Kind(CMSIS_NN, _UNREAD_CMSIS_NN)
    return _Kind(
      CMSIS_NN, _UNREAD_CMSIS_NN, _RELEASE_CMSIS_NN, _RELEASE_FACTOR, _RELEASE_CMSIS_NN_SPREAD
    )
  kind = _Kind(REFERENCE, _UNREAD)
  if is_release:
    kind = _Kind(REFERENCE, _UNREAD, _RELEASE, _RELEASE_FACTOR, _RELEASE_SPREAD)
  if build.core == 'Cortex-M0+':
    kind = kind._replace(
      factors={case: factor * _THUMB1 for case, factor in kind.factors.items()},
      factor=kind.factor * _THUMB1,
      spread=kind.spread * _THUMB1_SPREAD,
    )
  return kind


COUNTED = tuple(
  name for name, build in BUILDS.items() if name != 'host' and build.kernels != 'esp_nn'
)
"""The builds whose instructions can be estimated."""

Weights = npt.NDArray[np.float64]  # [3, case, term]: low, middle, high


def count_instructions(load: Workload, build: str) -> Range | None:
  """Estimates the instructions of one inference.

  Args:
    load: its work.
    build: name of the build of TFLite Micro.

  Returns:
    The estimate; None if there is none for the build.
  """
  if build not in COUNTED:
    return None
  return weighed(load, weights_of(build))


def weighed(load: Workload, weights: Weights) -> Range:
  """Returns the sums of all terms of the work, weighted. weights: [3, case, term]."""
  return Range(*(weights.reshape(3, -1) @ load.ravel()).tolist())


@functools.cache
def weights_of(build: str) -> Weights:
  """Returns the coefficients of a build in `COUNTED`, with their range: [3, case, term]."""
  kind = _kind(BUILDS[build])
  weights = np.zeros((3, len(CASES), len(TERMS)))
  for row, case in enumerate(CASES):
    values = kind.table.get(case) or kind.unread[case]
    line = np.array([values.get(term, 0) for term in TERMS]) * kind.factors.get(case, kind.factor)
    low, high = _factors(case, is_read=case in kind.table)
    weights[:, row] = line * low / kind.spread, line, line * high * kind.spread
  weights.flags.writeable = False
  return weights


def _factors(case: str, *, is_read: bool) -> tuple[float, float]:
  """Returns the range of a case, relative to its estimate."""
  factor = _READ_FACTOR
  if case in (OTHER, WIDE):
    factor = _UNKNOWN_FACTOR
  elif not is_read:
    factor = _UNREAD_FACTOR
  elif case in _ONE_SIZE:
    factor = _ONE_SIZE_FACTOR
  return (_SATURATED_LOW if case in _SATURATED else 1 / factor), factor
