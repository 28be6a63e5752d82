"""The C text of a deployment bundle.

The headers work in C and C++ and need only the standard library; only main.cc needs TFLite Micro.
Names of data sets and classes may hold any characters: always convert them to identifiers with
`identifiers`, to strings with `c_string` and to comments with `comment`.
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
from rlnas.export.deployment import DeploymentInfo, Port, Reserve

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
  """A model with everything that a firmware must know about it."""

  model: bytes
  info: DeploymentInfo
  reserve: Reserve
  vectors: Vectors


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


MODEL_HEADER = """\
/* The network as a byte array, with the same bytes as model.tflite. */
#ifndef RLNAS_MODEL_DATA_H_
#define RLNAS_MODEL_DATA_H_

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char rlnas_model[];
extern const unsigned int rlnas_model_bytes;

#ifdef __cplusplus
}
#endif

#endif /* RLNAS_MODEL_DATA_H_ */
"""


def model_source(model: bytes, dataset: Dataset) -> str:
  """model.cc: the array and the names of the classes."""
  return f"""\
/* The network for {comment(dataset.name)}: {len(model)} bytes of flash. */
#include "model.h"

#include "rlnas_model.h"

#ifdef __cplusplus
#define RLNAS_ALIGN alignas(16)
#else
#define RLNAS_ALIGN _Alignas(16)
#endif

RLNAS_ALIGN const unsigned char rlnas_model[{len(model)}] = {{
{_rows(list(model))}
}};
const unsigned int rlnas_model_bytes = {len(model)};

const char* const rlnas_class_names[RLNAS_CLASSES] = {{
{_lines(f'  {c_string(name)},' for name in dataset.class_names)}
}};
{_features(dataset)}"""


def constants(deployed: Deployment, dataset: Dataset, budget: Budget) -> str:
  """rlnas_model.h: sizes, scales, classes and the operators that a resolver must know."""
  info, room = deployed.info, deployed.reserve
  source, target = info.input, info.output
  kinds = info.kinds
  is_measured = info.report.sram_source == 'tflm'
  counted = 'Predicted from what TFLite Micro allocated' if is_measured else 'Planned, not measured'
  classes = zip(identifiers(dataset.class_names), range(dataset.classes), strict=True)
  return f"""\
/* What a firmware must know of the network for {comment(dataset.name)}.
 * Source of the data: {comment(dataset.source or 'unknown')}
 */
#ifndef RLNAS_MODEL_H_
#define RLNAS_MODEL_H_

#include <math.h>
#include <stdint.h>

/* Bytes of the tensor arena to reserve, at any alignment. Smallest arena that loads:
 *   {room.arena.smallest_bytes} with {room.build.title}
 *     (the budget was {budget.sram_bytes})
 *   {room.largest_bytes} with {room.largest_build.title}
 * {counted}; main.cc prints how
 * many bytes the device uses. */
#define RLNAS_ARENA_BYTES {room.total_bytes}

#define RLNAS_INPUT_SHAPE {{{', '.join(map(str, source.shape))}}}
#define RLNAS_INPUT_BYTES {source.size_bytes}
#define RLNAS_INPUT_SCALE {source.scale!r}
#define RLNAS_INPUT_ZERO_POINT ({source.zero_point})
#define RLNAS_OUTPUT_SHAPE {{{', '.join(map(str, target.shape))}}}
#define RLNAS_OUTPUT_SCALE {target.scale!r}
#define RLNAS_OUTPUT_ZERO_POINT ({target.zero_point})

#define RLNAS_CLASSES {dataset.classes}
enum {{
{_lines(f'  RLNAS_CLASS_{name} = {index},' for name, index in classes)}
}};

#ifdef __cplusplus
extern "C" {{
#endif

extern const char* const rlnas_class_names[RLNAS_CLASSES];

{_quantizer(source, dataset)}

/* The real logit of an int8 output. The network has no softmax at its end. */
static inline float rlnas_logit(int8_t output) {{
  return (float)((output - RLNAS_OUTPUT_ZERO_POINT) * RLNAS_OUTPUT_SCALE);
}}

/* The class with the largest output; of equal ones the first. */
static inline int rlnas_best_class(const int8_t* outputs) {{
  int best = 0;
  for (int i = 1; i < RLNAS_CLASSES; ++i) {{
    if (outputs[i] > outputs[best]) best = i;
  }}
  return best;
}}

#ifdef __cplusplus
}}  /* extern "C" */

/* Registers exactly the operators that the network has:
 *   tflite::MicroMutableOpResolver<RLNAS_OPERATORS> resolver;
 *   if (!rlnas_add_operators(&resolver)) ... */
template <typename Resolver>
bool rlnas_add_operators(Resolver* resolver) {{
{_lines(f'  if (resolver->{RESOLVER_METHODS[kind]}() != 0) return false;' for kind in kinds)}
  return true;
}}
#endif
#define RLNAS_OPERATORS {len(kinds)}

#endif /* RLNAS_MODEL_H_ */
"""


def _quantizer(port: Port, dataset: Dataset) -> str:
  """The C function that turns a raw value, such as a pixel, into an int8 input."""
  is_pixel = dataset.x_train.dtype == np.uint8
  scaling = dataset.scaling
  if scaling.is_per_feature:
    return _quantizer_of_features(dataset)
  pixels = np.arange(256, dtype=np.float64)
  seen = scaling.apply(pixels) / port.scale + port.zero_point
  if is_pixel and np.array_equal(np.clip(np.rint(seen), -128, 127), pixels - 128):
    return """\
/* The int8 input for a pixel of 0 to 255. */
static inline int8_t rlnas_quantize(uint8_t pixel) { return (int8_t)((int)pixel - 128); }"""
  kind = 'uint8_t' if is_pixel else _c_type(dataset)
  return f"""\
{_limit(scaling)}/* The int8 input for a raw value as in the training data. */
static inline int8_t rlnas_quantize({kind} raw) {{
  const double scaled = ((double)raw - {float(scaling.offset)!r}) / {float(scaling.scale)!r};
{_rounded(scaling)}
}}"""


def _quantizer_of_features(dataset: Dataset) -> str:
  """As `_quantizer`, if each feature has its own offset and divisor."""
  kind = _c_type(dataset)
  return f"""\
/* Inputs come in groups of this many features, each with its own offset and divisor. */
#define RLNAS_FEATURES {dataset.scaling.features}
extern const {kind} rlnas_offsets[RLNAS_FEATURES];
extern const {kind} rlnas_divisors[RLNAS_FEATURES];

{_limit(dataset.scaling)}\
/* The int8 input number `index`, from 0, for a raw value as in the training data. */
static inline int8_t rlnas_quantize({kind} raw, int index) {{
  const int feature = index % RLNAS_FEATURES;
  const double offset = (double)rlnas_offsets[feature];
  const double scaled = ((double)raw - offset) / (double)rlnas_divisors[feature];
{_rounded(dataset.scaling)}
}}"""


def _c_type(dataset: Dataset) -> str:
  """The C type of raw values: float data need double if float would lose their digits."""
  return 'double' if dataset.x_train.dtype == np.float64 else 'float'


def _limit(scaling: Scaling) -> str:
  if scaling.limit is None:
    return ''
  return f"""\
/* Scaled values beyond it, as of a corrupt reading, become it or its negative; so does NaN. */
#define RLNAS_INPUT_LIMIT {scaling.limit!r}

"""


def _rounded(scaling: Scaling) -> str:
  """The last lines of the C function: from `scaled` to int8."""
  seen = 'scaled'
  if scaling.limit is not None:
    low, high = '-RLNAS_INPUT_LIMIT', 'RLNAS_INPUT_LIMIT'
    seen = f'scaled > {high} ? {high} : scaled > {low} ? scaled : {low}'
  return f"""\
  const double seen = {seen};
  const double value = rint(seen / RLNAS_INPUT_SCALE + RLNAS_INPUT_ZERO_POINT);
  return (int8_t)(value > 127 ? 127 : value > -128 ? value : -128);"""


def _features(dataset: Dataset) -> str:
  """The offsets and divisors of `_quantizer_of_features`; '' if there are none."""
  scaling, kind = dataset.scaling, _c_type(dataset)
  suffix = 'f' * (kind == 'float')
  if not scaling.is_per_feature:
    return ''
  offsets, divisors = np.broadcast_arrays(np.ravel(scaling.offset), np.ravel(scaling.scale))
  return (
    '\n'
    + '\n'.join(
      f'const {kind} {name}[RLNAS_FEATURES] = {{\n'
      + _lines(f'  {float(value)!r}{suffix},' for value in values)
      + '\n};'
      for name, values in (('rlnas_offsets', offsets), ('rlnas_divisors', divisors))
    )
    + '\n'
  )


def vectors_header(vectors: Vectors) -> str:
  """test_vectors.h: int8 inputs and expected outputs."""
  inputs, outputs = vectors.inputs.reshape(len(vectors.inputs), -1), vectors.outputs
  return f"""\
/* Validation examples, and the outputs that {comment(vectors.interpreter)} gave for them. */
#ifndef RLNAS_TEST_VECTORS_H_
#define RLNAS_TEST_VECTORS_H_

#include <stdint.h>

#include "rlnas_model.h"

#define RLNAS_VECTORS {len(inputs)}

static const int8_t rlnas_vector_inputs[RLNAS_VECTORS][RLNAS_INPUT_BYTES] = {{
{_lines('  {' + chr(10) + _rows(row.tolist()) + chr(10) + '  },' for row in inputs)}
}};

static const int8_t rlnas_vector_outputs[RLNAS_VECTORS][RLNAS_CLASSES] = {{
{_lines('  {' + ', '.join(map(str, row.tolist())) + '},' for row in outputs)}
}};

/* The true classes. The network may be wrong; the device must still give the outputs above. */
static const int rlnas_vector_labels[RLNAS_VECTORS] = {{{', '.join(map(str, vectors.labels))}}};

#endif /* RLNAS_TEST_VECTORS_H_ */
"""


def _rows(values: Sequence[int], width: int = 16) -> str:
  starts = range(0, len(values), width)
  return _lines('  ' + ', '.join(map(str, values[i : i + width])) + ',' for i in starts)


def _lines(parts: Iterable[str]) -> str:
  return '\n'.join(parts)
