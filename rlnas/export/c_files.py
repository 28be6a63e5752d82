"""The C text of a deployment bundle.

The headers work in C and C++ and need only the standard library; classify.cc and main.cc alone need
TFLite Micro. What is the same for all networks is in templates/bundle/.
Names of data sets and classes may hold any characters: always convert them to identifiers with
`identifiers`, to strings with `c_string` and to comments with `comment`. Symbols and macros begin
with the model's name, so that a firmware can have several models.

A Cortex-M0 or M4 computes double in software, ten times as slowly as float. So all arithmetic is
that of float, but for the subtraction of offsets from float64 data, whose digits float would lose.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from rlnas.budget import Budget
from rlnas.data.dataset import Dataset
from rlnas.data.scaling import Scaling
from rlnas.export.deployment import DeploymentInfo, Reserve
from rlnas.tflite.inspection import DENSE_CHANNEL_SCALES_SINCE

# Methods of MicroMutableOpResolver for the operators that `rlnas.tflite.quantize` makes.
RESOLVER_METHODS = {
  'ADD': 'AddAdd',
  'AVERAGE_POOL_2D': 'AddAveragePool2D',
  'CONCATENATION': 'AddConcatenation',
  'CONV_2D': 'AddConv2D',
  'DEPTHWISE_CONV_2D': 'AddDepthwiseConv2D',
  'FULLY_CONNECTED': 'AddFullyConnected',
  'LOGISTIC': 'AddLogistic',
  'MAX_POOL_2D': 'AddMaxPool2D',
  'MEAN': 'AddMean',
  'MUL': 'AddMul',
  'PAD': 'AddPad',
  'QUANTIZE': 'AddQuantize',
  'RELU': 'AddRelu',
  'RESHAPE': 'AddReshape',
  'STRIDED_SLICE': 'AddStridedSlice',
  'TANH': 'AddTanh',
}

# Operators with a registration for int8 alone (Register_ADD_INT8, ...), and its header in
# tensorflow/lite/micro/kernels. They exist at least since the Arduino library of February 2023, and
# are equal to the general ones where a library has no kernels for int8 alone.
INT8_HEADERS = {
  'ADD': 'add.h',
  'AVERAGE_POOL_2D': 'pooling.h',
  'CONV_2D': 'conv.h',
  'DEPTHWISE_CONV_2D': 'depthwise_conv.h',
  'FULLY_CONNECTED': 'fully_connected.h',
  'MAX_POOL_2D': 'pooling.h',
  'MUL': 'mul.h',
}

DEFAULT_NAME = 'rlnas'


@dataclasses.dataclass(frozen=True, eq=False)
class Vectors:
  """Examples with the outputs that a firmware must reproduce.

  Attributes:
    inputs: inputs of the network. int8 [N, ...]
    outputs: outputs of the network. int8 [N, classes]
    labels: the true classes. [N]
    interpreter: name of the software that computed the outputs.
  """

  inputs: npt.NDArray[np.int8]
  outputs: npt.NDArray[np.int8]
  labels: tuple[int, ...]
  interpreter: str


@dataclasses.dataclass(frozen=True, eq=False)
class Deployment:
  """A model with everything that a firmware must know about it.

  Attributes:
    model: the .tflite file.
    info: what it reads, gives and needs.
    reserve: the arena to reserve.
    vectors: examples with outputs.
    name: with which symbols begin; see `prefix_of`.
  """

  model: bytes
  info: DeploymentInfo
  reserve: Reserve
  vectors: Vectors
  name: str = DEFAULT_NAME


def prefix_of(name: str) -> str:
  """Returns a model's name as the beginning of C symbols: 'Front door' is front_door.

  Raises:
    ValueError: it does not begin with a letter.
  """
  word = re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')
  if not re.match('[a-z]', word):
    raise ValueError(f'name={name!r}: must begin with a letter, as C symbols begin with it')
  return word


def identifiers(names: Sequence[str]) -> tuple[str, ...]:
  """Names as upper-case parts of C identifiers, all different, in order.

  Characters that C does not allow become underscores: 'T-shirt/top' is T_SHIRT_TOP. An empty name,
  or one that another class already has, gets its index at the end.
  """
  found: list[str] = []
  for index, name in enumerate(names):
    word = re.sub(r'[^A-Z0-9]+', '_', name.upper()).strip('_')
    if not word or word in found:
      word = f'{word}_{index}'.strip('_')
      while word in found:
        word += '_'
    found.append(word)
  return tuple(found)


def c_string(text: str) -> str:
  """A C string literal of the text's UTF-8 bytes; special characters become octal escapes."""
  plain = set(map(ord, ' !#$%&()*+,-./:;<=>@[]^_{|}~')) | set(b'abcdefghijklmnopqrstuvwxyz')
  plain |= set(b'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789')
  data = text.encode('utf-8', errors='replace')
  return '"' + ''.join(chr(b) if b in plain else f'\\{b:03o}' for b in data) + '"'


def comment(text: str) -> str:
  """Text that is safe in a C comment: printable ASCII that cannot end it or continue a line."""
  ascii_text = re.sub(r'[^ -~]', '?', text).replace('\\', '/').replace('??', '? ')
  return ascii_text.replace('*', ' ')


def without_folders(source: str) -> str:
  """The origin of data, with names of files and folders in place of their paths."""
  if re.match(r'[/\\~.]|[A-Za-z]:[/\\]', source) or (' ' not in source and '://' not in source):
    return re.split(r'[/\\]', source.rstrip('/\\'))[-1]
  return re.sub(r'(?<!\S)(?:~|[A-Za-z]:)?[/\\](?:\S*[/\\])?', '', source)


def model_header(name: str) -> str:
  """model.h: the declaration of the array."""
  return f"""\
/* The network as a byte array, with the same bytes as model.tflite. */
#ifndef {name.upper()}_MODEL_DATA_H_
#define {name.upper()}_MODEL_DATA_H_

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char {name}_model[];
extern const unsigned int {name}_model_bytes;

#ifdef __cplusplus
}}
#endif

#endif /* {name.upper()}_MODEL_DATA_H_ */
"""


def model_source(deployed: Deployment, dataset: Dataset) -> str:
  """model.cc: the array and the names of the classes."""
  model, name, upper = deployed.model, deployed.name, deployed.name.upper()
  return f"""\
/* The network for {comment(dataset.name)}: {len(model)} bytes of flash. */
#include "model.h"

#include "rlnas_model.h"

#ifdef __cplusplus
#define {upper}_ALIGN alignas(16)
#else
#define {upper}_ALIGN _Alignas(16)
#endif

{upper}_ALIGN const unsigned char {name}_model[{len(model)}] = {{
{_rows(list(model))}
}};
const unsigned int {name}_model_bytes = {len(model)};

const char* const {name}_class_names[{upper}_CLASSES] = {{
{_lines(f'  {c_string(label)},' for label in dataset.class_names)}
}};
{_arrays(deployed, dataset)}"""


def constants(deployed: Deployment, dataset: Dataset, budget: Budget) -> str:
  """rlnas_model.h: sizes, scales, classes and the operators that a resolver must know."""
  info, room = deployed.info, deployed.reserve
  name, upper = deployed.name, deployed.name.upper()
  source, target = info.input, info.output
  is_measured = info.report.sram_source == 'tflm'
  counted = 'Predicted from what TFLite Micro allocated' if is_measured else 'Planned, not measured'
  classes = zip(identifiers(dataset.class_names), range(dataset.classes), strict=True)
  return f"""\
/* What a firmware must know of the network for {comment(dataset.name)}.
 * Source of the data: {comment(without_folders(dataset.source) or 'unknown')}
{_oldest(info)}
 */
#ifndef {upper}_MODEL_H_
#define {upper}_MODEL_H_

#include <math.h>
#include <stdint.h>

/* Bytes of the tensor arena to reserve, at any alignment. Smallest arena that loads:
 *   {room.arena.smallest_bytes} with {room.build.title}
 *     (the budget was {budget.sram_bytes})
 *   {room.largest_bytes} with {room.largest_build.title}
 * {counted}; main.cc prints how
 * many bytes the device uses. Kernels of another library may need more: define it for all files. */
#ifndef {upper}_ARENA_BYTES
#define {upper}_ARENA_BYTES {room.total_bytes}
#endif

#define {upper}_INPUT_SHAPE {{{', '.join(map(str, source.shape))}}}
#define {upper}_INPUT_BYTES {source.size_bytes}
#define {upper}_INPUT_SCALE {_float(source.scale)}
#define {upper}_INPUT_ZERO_POINT ({source.zero_point})
#define {upper}_OUTPUT_SHAPE {{{', '.join(map(str, target.shape))}}}
#define {upper}_OUTPUT_SCALE {_float(target.scale)}
#define {upper}_OUTPUT_ZERO_POINT ({target.zero_point})

#define {upper}_CLASSES {dataset.classes}
enum {{
{_lines(f'  {upper}_CLASS_{label} = {index},' for label, index in classes)}
}};

#ifdef __cplusplus
extern "C" {{
#endif

extern const char* const {name}_class_names[{upper}_CLASSES];

{_quantizer(deployed, dataset)}

/* The real logit of an int8 output. The network has no softmax at its end. */
static inline float {name}_logit(int8_t output) {{
  return (float)(output - {upper}_OUTPUT_ZERO_POINT) * {upper}_OUTPUT_SCALE;
}}

/* The class with the largest output; of equal ones the first. */
static inline int {name}_best_class(const int8_t* outputs) {{
  int best = 0;
  for (int i = 1; i < {upper}_CLASSES; ++i) {{
    if (outputs[i] > outputs[best]) best = i;
  }}
  return best;
}}

#ifdef __cplusplus
}}  /* extern "C" */

{_resolver(name, info.kinds)}
#endif
#define {upper}_OPERATORS {len(info.kinds)}

#endif /* {upper}_MODEL_H_ */
"""


def _oldest(info: DeploymentInfo) -> str:
  """Which releases of TFLite Micro run the network, as lines of a comment."""
  if info.report.has_dense_channel_scales:
    return f"""\
 * TFLite Micro: of {DENSE_CHANNEL_SCALES_SINCE} or later. Earlier ones do not know the scales of
 *   its dense layers, one for each output, and refuse it or compute wrong outputs."""
  return """\
 * TFLite Micro: runs with the Arduino library of February 2023, whose outputs differ by at most 1
 *   from those in test_vectors.h, and with later releases."""


def _resolver(name: str, kinds: Sequence[str]) -> str:
  """The C++ function that registers the operators."""
  upper = name.upper()
  headers = sorted({INT8_HEADERS[kind] for kind in kinds if kind in INT8_HEADERS})
  paths = [f'"tensorflow/lite/micro/kernels/{header}"' for header in headers]
  found = ' && '.join(
    [f'!defined({upper}_PLAIN_KERNELS)', *(f'\\\n    __has_include({p})' for p in paths)]
  )
  calls = (
    f'{RESOLVER_METHODS[kind]}({f"{upper}_INT8({kind})" if kind in INT8_HEADERS else ""})'
    for kind in kinds
  )
  return f"""\
/* The registrations for int8 alone, which save some 30 KB of flash with CMSIS-NN's kernels. Define
 * {upper}_PLAIN_KERNELS if your TFLite Micro has none (before 2023). */
#if {found}
{_lines(f'#include {path}' for path in paths)}
#define {upper}_INT8(kernel) tflite::Register_##kernel##_INT8()
#else
#define {upper}_INT8(kernel)
#endif

/* Registers exactly the operators that the network has:
 *   tflite::MicroMutableOpResolver<{upper}_OPERATORS> resolver;
 *   if (!{name}_add_operators(&resolver)) ... */
template <typename Resolver>
bool {name}_add_operators(Resolver* resolver) {{
{_lines(f'  if (resolver->{call} != 0) return false;' for call in calls)}
  return true;
}}"""


def template_values(deployed: Deployment, dataset: Dataset) -> dict[str, str]:
  """The values of the templates of a bundle; see `rlnas.export.templates`."""
  name, is_uint8 = deployed.name, dataset.x_train.dtype == np.uint8
  is_per_feature = dataset.scaling.is_per_feature
  is_table = is_uint8 and not is_per_feature
  kind = _c_type(dataset)
  place = ', i' if is_per_feature else ''
  if is_table:
    quantize = f"""\
    const float raw = input[i] > 255.0f ? 255.0f : input[i] > 0.0f ? input[i] : 0.0f;
    quantized[i] = {name}_quantize((uint8_t)rintf(raw));"""
  else:
    quantize = f'    quantized[i] = {name}_quantize(input[i]{place});'
  raw, places, expected = _probes(deployed, dataset)
  literal = str if is_table else repr if kind == 'double' else _float
  return {
    'name': name,
    'NAME': name.upper(),
    'title': comment(dataset.name),
    'raw': kind,
    'quantized': 'uint8_t' if is_table else kind,
    'quantize_input': quantize,
    'quantize_probe': f'{name}_quantize(probe_raw[i]{", probe_place[i]" * is_per_feature})',
    'probes': str(len(raw)),
    'probe_raw': _lines(f'  {literal(value)},' for value in raw),
    'probe_place': _rows(places),
    'probe_int8': _rows(expected),
    'model_bytes': str(len(deployed.model)),
    'model_hash': str(fnv1a(deployed.model)),
    'src': '.',
    'cc': 'cc',
  }


def fnv1a(content: bytes) -> int:
  """The FNV-1a hash of 32 bits, which a chip computes in a line."""
  value = 2166136261
  for byte in content:
    value = (value ^ byte) * 16777619 % 2**32
  return value


_MOST_PROBES = 64
_CLEAR = 2e-3  # float and double round alike if a value is so far from halfway between two


def _probes(deployed: Deployment, dataset: Dataset) -> tuple[list[float], list[int], list[int]]:
  """Raw values, their places in the input and their int8 inputs, to check the C quantizer.

  All values of a table; else those of validation examples, and two that saturate.
  """
  port, scaling = deployed.info.input, dataset.scaling
  if dataset.x_train.dtype == np.uint8 and not scaling.is_per_feature:
    return list(range(256)), [0] * 256, _pixels(deployed, dataset).tolist()
  extremes = [np.full_like(dataset.x_val[:1], value) for value in _extremes(dataset)]
  examples = np.concatenate([*extremes, dataset.x_val[: deployed.vectors.inputs.shape[0]]])
  steps = scaling.apply(examples.astype(np.float64)) / port.scale + port.zero_point
  flat, seen = examples.ravel(), steps.ravel()
  clear = np.flatnonzero(np.abs(np.abs(seen - np.floor(seen)) - 0.5) > _CLEAR)
  chosen = np.unique(clear[np.linspace(0, len(clear) - 1, _MOST_PROBES).astype(int)])
  expected = np.clip(np.rint(seen[chosen]), -128, 127).astype(np.int8)
  return flat[chosen].tolist(), (chosen % port.size_bytes).tolist(), expected.tolist()


def _extremes(dataset: Dataset) -> tuple[float, float]:
  """Raw values below and above all others."""
  return (0.0, 255.0) if dataset.x_train.dtype == np.uint8 else (-1e30, 1e30)


def _quantizer(deployed: Deployment, dataset: Dataset) -> str:
  """The C function that turns a raw value, such as a pixel, into an int8 input."""
  name, upper, scaling = deployed.name, deployed.name.upper(), dataset.scaling
  if scaling.is_per_feature:
    return _quantizer_of_features(deployed, dataset)
  if dataset.x_train.dtype != np.uint8:
    return f"""\
{_limit(upper, scaling)}/* The int8 input for a raw value as in the training data. {_NEAR} */
static inline int8_t {name}_quantize({_c_type(dataset)} raw) {{
  const float scaled = {_centred(dataset)} / {_float(float(scaling.scale))};
{_rounded(upper, scaling)}
}}"""
  if np.array_equal(_pixels(deployed, dataset), np.arange(256) - 128):
    return f"""\
/* The int8 input for a pixel of 0 to 255. */
static inline int8_t {name}_quantize(uint8_t pixel) {{ return (int8_t)((int)pixel - 128); }}"""
  return f"""\
/* The int8 input for each raw value of 0 to 255, as in the training data. */
extern const int8_t {name}_inputs[256];
static inline int8_t {name}_quantize(uint8_t raw) {{ return {name}_inputs[raw]; }}"""


def _quantizer_of_features(deployed: Deployment, dataset: Dataset) -> str:
  """As `_quantizer`, if each feature has its own offset and divisor."""
  name, upper, kind = deployed.name, deployed.name.upper(), _c_type(dataset)
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


_NEAR = 'Halfway between two, to a thousandth, it may be either.'


def _pixels(deployed: Deployment, dataset: Dataset) -> npt.NDArray[np.int8]:
  """Returns the int8 inputs for the values of uint8. [256]."""
  port = deployed.info.input
  seen = dataset.scaling.apply(np.arange(256, dtype=np.float64)) / port.scale + port.zero_point
  return np.clip(np.rint(seen), -128, 127).astype(np.int8)


def _c_type(dataset: Dataset) -> str:
  """The C type of raw values: float64 data are double, as float would lose their digits."""
  return 'double' if dataset.x_train.dtype == np.float64 else 'float'


def _centred(dataset: Dataset) -> str:
  """The C expression of a raw value without the offset that all values share."""
  offset, kind = float(dataset.scaling.offset), _c_type(dataset)
  if kind == 'double':
    return _as_float(f'raw - {offset!r}', kind)
  near = float(np.float32(offset))
  rest = offset - near  # what float cannot represent
  return f'(raw - {_float(near)} - {_float(rest)})' if rest else f'(raw - {_float(near)})'


def _as_float(expression: str, kind: str) -> str:
  return f'(float)({expression})' if kind == 'double' else f'({expression})'


def _float(value: float) -> str:
  """A C literal of type float."""
  return f'{float(np.float32(value))!r}f'


def _limit(upper: str, scaling: Scaling) -> str:
  if scaling.limit is None:
    return ''
  return f"""\
/* Scaled values beyond it, as of a corrupt reading, become it or its negative; so does NaN. */
#define {upper}_INPUT_LIMIT {_float(scaling.limit)}

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


def _arrays(deployed: Deployment, dataset: Dataset) -> str:
  """The arrays that the quantizer reads; '' if it reads none."""
  name, upper, scaling = deployed.name, deployed.name.upper(), dataset.scaling
  if scaling.is_per_feature:
    kind = _c_type(dataset)
    offsets, divisors = np.broadcast_arrays(np.ravel(scaling.offset), np.ravel(scaling.scale))
    shown = [f'{v!r}' if kind == 'double' else _float(v) for v in map(float, offsets)]
    return f"""
const {kind} {name}_offsets[{upper}_FEATURES] = {{
{_lines(f'  {value},' for value in shown)}
}};
const float {name}_divisors[{upper}_FEATURES] = {{
{_lines(f'  {_float(float(value))},' for value in divisors)}
}};
"""
  if f'{name}_inputs' not in _quantizer(deployed, dataset):
    return ''
  return f"""
const int8_t {name}_inputs[256] = {{
{_rows(_pixels(deployed, dataset).tolist())}
}};
"""


def vectors_header(deployed: Deployment) -> str:
  """test_vectors.h: int8 inputs and expected outputs."""
  vectors, name, upper = deployed.vectors, deployed.name, deployed.name.upper()
  inputs, outputs = vectors.inputs.reshape(len(vectors.inputs), -1), vectors.outputs
  return f"""\
/* Validation examples, and the outputs that {comment(vectors.interpreter)} gave for them. */
#ifndef {upper}_TEST_VECTORS_H_
#define {upper}_TEST_VECTORS_H_

#include <stdint.h>

#include "rlnas_model.h"

#define {upper}_VECTORS {len(inputs)}

static const int8_t {name}_vector_inputs[{upper}_VECTORS][{upper}_INPUT_BYTES] = {{
{_lines('  {' + chr(10) + _rows(row.tolist()) + chr(10) + '  },' for row in inputs)}
}};

static const int8_t {name}_vector_outputs[{upper}_VECTORS][{upper}_CLASSES] = {{
{_lines('  {' + ', '.join(map(str, row.tolist())) + '},' for row in outputs)}
}};

/* The true classes. The network may be wrong; the device must still give the outputs above. */
static const int {name}_vector_labels[{upper}_VECTORS] = {{{', '.join(map(str, vectors.labels))}}};

#endif /* {upper}_TEST_VECTORS_H_ */
"""


def _rows(values: Sequence[int], width: int = 16) -> str:
  starts = range(0, len(values), width)
  return _lines('  ' + ', '.join(map(str, values[i : i + width])) + ',' for i in starts)


def _lines(parts: Iterable[str]) -> str:
  return '\n'.join(parts)
