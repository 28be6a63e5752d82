"""The C function that turns a raw value, such as a pixel, into an int8 input, and its test.

A Cortex-M0 or M4 computes double in software, ten times as slowly as float. So all arithmetic is in
float, except that offsets are subtracted from float64 data in double, because float would lose
their digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.dataset import Dataset
from rlnas.data.scaling import Scaling
from rlnas.export.c_text import c_float, lines, rows
from rlnas.export.deployment import Port

_MOST_PROBES = 64
_CLEAR = 2e-3  # float and double round alike if a value is so far from halfway between two


def probes(port: Port, dataset: Dataset, examples: int) -> tuple[list[float], list[int], list[int]]:
  """Raw values, their places in the input and their int8 inputs, to check the C quantizer.

  All values of a table; else those of some validation examples, and two that saturate.
  """
  scaling = dataset.scaling
  if is_table(dataset):
    return list(range(256)), [0] * 256, _pixels(port, dataset).tolist()
  extremes = [np.full_like(dataset.x_val[:1], value) for value in _extremes(dataset)]
  values = np.concatenate([*extremes, dataset.x_val[:examples]])
  steps = scaling.apply(values.astype(np.float64)) / port.scale + port.zero_point
  flat, seen = values.ravel(), steps.ravel()
  clear = np.flatnonzero(np.abs(np.abs(seen - np.floor(seen)) - 0.5) > _CLEAR)
  chosen = np.unique(clear[np.linspace(0, len(clear) - 1, _MOST_PROBES).astype(int)])
  expected = np.clip(np.rint(seen[chosen]), -128, 127).astype(np.int8)
  return flat[chosen].tolist(), (chosen % port.size_bytes).tolist(), expected.tolist()


def is_table(dataset: Dataset) -> bool:
  """Whether the function takes values of uint8, all of which share one scaling."""
  return dataset.x_train.dtype == np.uint8 and not dataset.scaling.is_per_feature


def _extremes(dataset: Dataset) -> tuple[float, float]:
  """Raw values below and above all others."""
  return (0.0, 255.0) if dataset.x_train.dtype == np.uint8 else (-1e30, 1e30)


def quantizer(name: str, port: Port, dataset: Dataset) -> str:
  """The C function that turns a raw value, such as a pixel, into an int8 input."""
  upper, scaling = name.upper(), dataset.scaling
  if scaling.is_per_feature:
    return _quantizer_of_features(name, dataset)
  if dataset.x_train.dtype != np.uint8:
    return f"""\
{_limit(upper, scaling)}/* The int8 input for a raw value as in the training data. {_NEAR} */
static inline int8_t {name}_quantize({c_type(dataset)} raw) {{
  const float scaled = {_centred(dataset)} / {c_float(float(scaling.scale))};
{_rounded(upper, scaling)}
}}"""
  if np.array_equal(_pixels(port, dataset), np.arange(256) - 128):
    return f"""\
/* The int8 input for a pixel of 0 to 255. */
static inline int8_t {name}_quantize(uint8_t pixel) {{ return (int8_t)((int)pixel - 128); }}"""
  return f"""\
/* The int8 input for each raw value of 0 to 255, as in the training data. */
extern const int8_t {name}_inputs[256];
static inline int8_t {name}_quantize(uint8_t raw) {{ return {name}_inputs[raw]; }}"""


def _quantizer_of_features(name: str, dataset: Dataset) -> str:
  """As `_quantizer`, if each feature has its own offset and divisor."""
  upper, kind = name.upper(), c_type(dataset)
  difference = f'raw - {name}_offsets[feature]'
  return f"""\
/* Inputs come in groups of this many features, each with its own offset and divisor. */
#define {upper}_FEATURES {dataset.scaling.features}
extern const {kind} {name}_offsets[{upper}_FEATURES];
extern const float {name}_divisors[{upper}_FEATURES];

{_limit(upper, dataset.scaling)}\
/* The int8 input number `index`, from 0, for a raw value as in the training data.
 * {_NEAR} */
static inline int8_t {name}_quantize({kind} raw, int index) {{
  const int feature = index % {upper}_FEATURES;
  const float scaled = {_as_float(difference, kind)} / {name}_divisors[feature];
{_rounded(upper, dataset.scaling)}
}}"""


def quantized(x: npt.NDArray[Any], port: Port, scaling: Scaling) -> npt.NDArray[np.int8]:
  """The int8 inputs of raw values, computed as the C function does, to the bit.

  Args:
    x: raw values, float32 or float64, feature by feature. [..., features]
    port: the network's input.
    scaling: the scaling of the values; one for all, or one for each feature.
  """
  offset, scale = np.ravel(scaling.offset), np.ravel(scaling.scale)
  values = x.reshape(*x.shape[:-1], -1, max(offset.size, scale.size))
  if x.dtype == np.float32 and not scaling.is_per_feature:
    near = np.float32(offset[0])
    centred = values - near - np.float32(float(offset[0]) - float(near))
  else:
    centred = values - offset.astype(x.dtype)
  scaled = centred.astype(np.float32) / scale.astype(np.float32)
  if scaling.limit is not None:
    scaled = np.clip(scaled, -np.float32(scaling.limit), np.float32(scaling.limit))
  steps = np.rint(scaled / np.float32(port.scale) + np.float32(port.zero_point))
  return np.clip(steps, -128, 127).astype(np.int8).reshape(x.shape)


_NEAR = 'Halfway between two, to a thousandth, it may be either.'


def _pixels(port: Port, dataset: Dataset) -> npt.NDArray[np.int8]:
  """Returns the int8 inputs for the values of uint8. [256]."""
  seen = dataset.scaling.apply(np.arange(256, dtype=np.float64)) / port.scale + port.zero_point
  return np.clip(np.rint(seen), -128, 127).astype(np.int8)


def c_type(dataset: Dataset) -> str:
  """The C type of raw values: float64 data are double, as float would lose their digits."""
  return 'double' if dataset.x_train.dtype == np.float64 else 'float'


def _centred(dataset: Dataset) -> str:
  """The C expression of a raw value without the offset that all values share."""
  offset, kind = float(dataset.scaling.offset), c_type(dataset)
  if kind == 'double':
    return _as_float(f'raw - {offset!r}', kind)
  near = float(np.float32(offset))
  rest = offset - near  # what float cannot represent
  return f'(raw - {c_float(near)} - {c_float(rest)})' if rest else f'(raw - {c_float(near)})'


def _as_float(expression: str, kind: str) -> str:
  return f'(float)({expression})' if kind == 'double' else f'({expression})'


def _limit(upper: str, scaling: Scaling) -> str:
  if scaling.limit is None:
    return ''
  return f"""\
/* Scaled values beyond it, as of a corrupt reading, become it or its negative; so does NaN. */
#define {upper}_INPUT_LIMIT {c_float(scaling.limit)}

"""


def _rounded(upper: str, scaling: Scaling) -> str:
  """The last lines of the C function: from `scaled` to int8."""
  seen = 'scaled'
  if scaling.limit is not None:
    low, high = f'-{upper}_INPUT_LIMIT', f'{upper}_INPUT_LIMIT'
    seen = f'scaled > {high} ? {high} : scaled > {low} ? scaled : {low}'
  return f"""\
  const float seen = {seen};
  const float value = rintf(seen / {upper}_INPUT_SCALE + (float){upper}_INPUT_ZERO_POINT);
  return (int8_t)(value > 127.0f ? 127.0f : value > -128.0f ? value : -128.0f);"""


def arrays(name: str, port: Port, dataset: Dataset) -> str:
  """The arrays that the quantizer reads; '' if it reads none."""
  upper, scaling = name.upper(), dataset.scaling
  if scaling.is_per_feature:
    kind = c_type(dataset)
    offsets, divisors = np.broadcast_arrays(np.ravel(scaling.offset), np.ravel(scaling.scale))
    shown = [f'{v!r}' if kind == 'double' else c_float(v) for v in map(float, offsets)]
    return f"""
const {kind} {name}_offsets[{upper}_FEATURES] = {{
{lines(f'  {value},' for value in shown)}
}};
const float {name}_divisors[{upper}_FEATURES] = {{
{lines(f'  {c_float(float(value))},' for value in divisors)}
}};
"""
  if f'{name}_inputs' not in quantizer(name, port, dataset):
    return ''
  return f"""
const int8_t {name}_inputs[256] = {{
{rows(_pixels(port, dataset).tolist())}
}};
"""
