"""The C++ header that registers a network's operators: rlnas_operators.h."""

from __future__ import annotations

from collections.abc import Sequence

from rlnas.export.c_text import lines

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
  'RESIZE_NEAREST_NEIGHBOR': 'AddResizeNearestNeighbor',
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


def operators_header(name: str, kinds: Sequence[str]) -> str:
  """The text of rlnas_operators.h. Only classify.cc includes it: it depends on the include path.

  Args:
    name: the model's name, with which symbols begin.
    kinds: the kinds of operators that it has.
  """
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
/* SPDX-License-Identifier: 0BSD */
/* The operators of the network. Only classify.cc includes it: its content depends on the include
 * path. */
#ifndef {upper}_OPERATORS_H_
#define {upper}_OPERATORS_H_

/* The registrations for int8 alone, which save about 30 KB of flash with CMSIS-NN's kernels. Define
 * {upper}_PLAIN_KERNELS if your TFLite Micro has none (before 2023). */
#if {found}
{lines(f'#include {path}' for path in paths)}
#define {upper}_INT8(kernel) tflite::Register_##kernel##_INT8()
#else
#define {upper}_INT8(kernel)
#endif

#define {upper}_OPERATORS {len(kinds)}

/* Registers exactly the operators that the network has:
 *   tflite::MicroMutableOpResolver<{upper}_OPERATORS> resolver;
 *   if (!{name}_add_operators(&resolver)) ... */
template <typename Resolver>
bool {name}_add_operators(Resolver* resolver) {{
{lines(f'  if (resolver->{call} != 0) return false;' for call in calls)}
  return true;
}}

#endif /* {upper}_OPERATORS_H_ */
"""
