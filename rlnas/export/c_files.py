"""The C text of a deployment bundle.

The headers work in C and C++ and need only the standard library; classify.cc and main.cc alone need
TFLite Micro. The text that is the same for all networks is in templates/bundle/. Symbols and macros
begin with the model's name, so that a firmware can have several models.

The files belong to the user, so their licence has no conditions (0BSD).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.dataset import Dataset
from rlnas.export import inputs
from rlnas.export.c_text import (
  c_float,
  comment,
  lines,
  rows,
  without_folders,
)
from rlnas.export.calls import (
  enumeration,
  names_array,
  names_of,
  outputs_of,
  readers,
  truths,
  values_of,
)
from rlnas.export.deployment import DeploymentInfo, Reserve
from rlnas.export.quantizer import arrays, is_table, quantizer
from rlnas.tflite.inspection import DENSE_CHANNEL_SCALES_SINCE

DEFAULT_NAME = 'rlnas'


@dataclasses.dataclass(frozen=True, eq=False)
class Vectors:
  """Examples with the outputs that a firmware must reproduce.

  Attributes:
    inputs: inputs of the network. int8 [N, ...]
    outputs: outputs of the network. int8 [N, classes]
    truth: the true classes [N], or the true values [N, K].
    interpreter: name of the software that computed the outputs.
  """

  inputs: npt.NDArray[np.int8]
  outputs: npt.NDArray[np.int8]
  truth: npt.NDArray[Any]
  interpreter: str


@dataclasses.dataclass(frozen=True, eq=False)
class Deployment:
  """A model with everything that a firmware must know about it.

  Attributes:
    model: the .tflite file.
    info: its input, output, sizes and operators.
    reserve: the arena to reserve.
    vectors: examples with outputs.
    name: with which symbols begin; see `rlnas.export.c_text.prefix_of`.
    latency: the time of an inference, for people; '' if it is not known.
    threshold: score above which an example is anomalous; None if the network gives no scores.
  """

  model: bytes
  info: DeploymentInfo
  reserve: Reserve
  vectors: Vectors
  name: str = DEFAULT_NAME
  latency: str = ''
  threshold: float | None = None


def model_header(name: str) -> str:
  """The text of model.h: the declaration of the array."""
  return f"""\
/* SPDX-License-Identifier: 0BSD */
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
  """The text of model.cc: the array and the names of the classes or values."""
  model, name, upper = deployed.model, deployed.name, deployed.name.upper()
  return f"""\
/* SPDX-License-Identifier: 0BSD */
/* The network for {comment(dataset.name)}: {len(model)} bytes of flash. */
#include "model.h"

#include "rlnas_model.h"

#ifdef __cplusplus
#define {upper}_ALIGN alignas(16)
#else
#define {upper}_ALIGN _Alignas(16)
#endif

{upper}_ALIGN const unsigned char {name}_model[{len(model)}] = {{
{rows(list(model))}
}};
const unsigned int {name}_model_bytes = {len(model)};

{names_array(name, dataset)}
{arrays(name, deployed.info.input, dataset)}"""


def constants(deployed: Deployment, dataset: Dataset) -> str:
  """The text of rlnas_model.h: sizes, scales, classes and the quantizer, for C99 and C++."""
  info, name, upper = deployed.info, deployed.name, deployed.name.upper()
  source, target = info.input, info.output
  return f"""\
/* SPDX-License-Identifier: 0BSD */
/* What firmware needs to know about the network for {comment(dataset.name)}.
 * Source of the data: {comment(without_folders(dataset.source) or 'unknown')}
{_oldest(info)}
 */
#ifndef {upper}_MODEL_H_
#define {upper}_MODEL_H_

{'' if is_table(dataset) else '#include <math.h>' + chr(10)}#include <stdint.h>

{_arena(deployed)}

/* Another model has another hash: FNV-1a of the bytes of model.tflite. */
#define {upper}_MODEL_HASH {fnv1a(deployed.model):#010x}u

#define {upper}_INPUT_SHAPE {{{', '.join(map(str, source.shape))}}}
{inputs.macros(upper, dataset)}
#define {upper}_INPUT_VALUES {source.size_bytes}
#define {upper}_INPUT_BYTES {source.size_bytes} /* one for each value */
#define {upper}_INPUT_SCALE {c_float(source.scale)}
#define {upper}_INPUT_ZERO_POINT ({source.zero_point})
#define {upper}_OUTPUT_SHAPE {{{', '.join(map(str, target.shape))}}}
#define {upper}_OUTPUT_SCALE {c_float(target.scale)}
#define {upper}_OUTPUT_ZERO_POINT ({target.zero_point})

{enumeration(name, dataset)}

#ifdef __cplusplus
extern "C" {{
#endif

extern const char* const {names_of(name, dataset)}[{outputs_of(name, dataset)}];

{quantizer(name, source, dataset)}

{readers(name, info, dataset, deployed.threshold)}

#ifdef __cplusplus
}}  /* extern "C" */
#endif

#endif /* {upper}_MODEL_H_ */
"""


def _arena(deployed: Deployment) -> str:
  """The arena, by where the files are compiled."""
  room, name, upper = deployed.reserve, deployed.name, deployed.name.upper()
  is_measured = deployed.info.report.sram_source == 'tflm'
  counted = 'predicted from what TFLite Micro allocated here' if is_measured else 'planned'
  return f"""\
/* Bytes of the tensor arena to reserve, at any alignment. Smallest arena that loads:
 *   {room.arena.smallest_bytes} usually: {room.build.title}
 *   {room.largest_bytes} at most on the board of the search: {room.largest_build.title}
 *   {room.any_bytes} at most on other chips of 32 bits, but for the last: {room.any_build.title}
 *   {room.host_bytes} on a machine of 64 bits
 *   {room.esp32s3_bytes} on an ESP32-S3 with ESP-NN
 * The last is by the formulas of ESP-NN's scratch memory; the others are
 * {counted}. {name}_arena_used_bytes() tells
 * what a device uses. To set another size, define it for all files. */
#ifndef {upper}_ARENA_BYTES
#if UINTPTR_MAX > 0xffffffffu
#define {upper}_ARENA_BYTES {room.host_total_bytes}
#elif defined(ARDUINO) || defined(ESP_PLATFORM) || defined(__ZEPHYR__) || defined(CMSIS_NN)
/* There the library decides on kernels and TF_LITE_STATIC_MEMORY. */
#define {upper}_ARENA_BYTES {room.any_total_bytes}
#else
#define {upper}_ARENA_BYTES {room.total_bytes}
#endif
#endif"""


def _oldest(info: DeploymentInfo) -> str:
  """Which releases of TFLite Micro run the network, as lines of a comment."""
  if info.report.has_dense_channel_scales:
    return f"""\
 * TFLite Micro: of {DENSE_CHANNEL_SCALES_SINCE} or later. Earlier ones do not know the scales of
 *   its dense layers, one for each output, and refuse it or compute wrong outputs."""
  return """\
 * TFLite Micro: runs with the Arduino library of February 2023, whose outputs differ by at most 1
 *   from those in test_vectors.h, and with later releases."""


def fnv1a(content: bytes) -> int:
  """The FNV-1a hash of 32 bits, which a chip computes in a line."""
  value = 2166136261
  for byte in content:
    value = (value ^ byte) * 16777619 % 2**32
  return value


def vectors_header(deployed: Deployment, dataset: Dataset) -> str:
  """The text of test_vectors.h: int8 inputs and expected outputs."""
  vectors, name, upper = deployed.vectors, deployed.name, deployed.name.upper()
  inputs, outputs = vectors.inputs.reshape(len(vectors.inputs), -1), vectors.outputs
  return f"""\
/* SPDX-License-Identifier: 0BSD */
/* Validation examples, and the outputs that {comment(vectors.interpreter)} gave for them. Include
 * it in one file only: the arrays are static.
 *
 * The examples have the licence of their data, not the one above. Source of the data:
 * {comment(without_folders(dataset.source) or 'unknown')} */
#ifndef {upper}_TEST_VECTORS_H_
#define {upper}_TEST_VECTORS_H_

#include <stdint.h>

#include "rlnas_model.h"

#define {upper}_VECTORS {len(inputs)}

static const int8_t {name}_vector_inputs[{upper}_VECTORS][{upper}_INPUT_BYTES] = {{
{lines('  {' + chr(10) + rows(row.tolist()) + chr(10) + '  },' for row in inputs)}
}};

static const int8_t {name}_vector_outputs[{upper}_VECTORS][{values_of(name, dataset)}] = {{
{lines('  {' + ', '.join(map(str, row.tolist())) + '},' for row in outputs)}
}};

{truths(name, dataset, vectors.truth, (vectors.inputs, outputs), deployed.info)}

/* The greatest difference of outputs from those above. The reference kernels differ by 0, optimised
 * ones by at most 1, from rounding. */
static inline int {name}_vector_difference(int vector, const int8_t* outputs) {{
  int greatest = 0;
  for (int i = 0; i < {values_of(name, dataset)}; ++i) {{
    const int difference = outputs[i] - {name}_vector_outputs[vector][i];
    const int distance = difference < 0 ? -difference : difference;
    if (distance > greatest) greatest = distance;
  }}
  return greatest;
}}

#endif /* {upper}_TEST_VECTORS_H_ */
"""
