"""The structures of TFLite Micro's interpreter and kernels, by release, and their layout in C.

They fill the tail of the tensor arena. Their size depends on the build. Pointers take 8 bytes on
this machine and 4 on a microcontroller. Enumerations take 1 byte if the compiler packs them, as GCC
does for bare ARM cores. Projects that define TF_LITE_STATIC_MEMORY have smaller nodes and tensors;
the libraries of the Arduino IDE do not define it. Kernels made for a chip keep more data than the
portable ones. The structures are listed as the sources declare them
(`tensorflow/lite/micro/micro_allocator.h`, `tensorflow/lite/c/common.h` and the kernels' headers).

`rlnas.cost.builds` says which build has which of them, and how each was checked.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

BUFFER_ALIGNMENT = 16  # MicroArenaBufferAlignment(), for all memory that kernels request


@dataclasses.dataclass(frozen=True)
class Structures:
  """The structures of a build.

  A structure is a string with one letter for each field, in the order of its declaration: P pointer
  or size_t, i int, int32 or float, d double, h int16, b bool or byte, e enumeration.

  Attributes:
    pointer_bytes: size of a pointer, 4 or 8.
    enum_bytes: size of an enumeration, 1 or 4.
    fixed: the structures of the interpreter itself, in the order of allocation.
    node: NodeAndRegistration, one for each operator.
    tensor: TfLiteTensor, for inputs and outputs.
    options: TfLite...Params, by operator; operators without them are not listed.
    data: data that the kernel keeps, by operator; operators without data are not listed.
    concat_arrays: whether concatenation keeps scales and zero points of its inputs.
    dense_arrays: whether a dense layer keeps a multiplier and a shift for each of several scales.
  """

  pointer_bytes: int
  enum_bytes: int
  fixed: tuple[str, ...]
  node: str
  tensor: str
  options: tuple[tuple[str, str], ...]
  data: tuple[tuple[str, str], ...]
  concat_arrays: bool = False
  dense_arrays: bool = True

  def layouts_of(self, *, inputs: int, outputs: int, quantized: bool) -> Layouts:
    """Returns the layouts of the structures; for the arguments see `tail_bytes`."""
    of = functools.partial(layout, pointer_bytes=self.pointer_bytes, enum_bytes=self.enum_bytes)
    ports = []
    for count in (inputs, outputs):
      ports.append((count * self.pointer_bytes, BUFFER_ALIGNMENT))
      # A quantized input or output also has a TfLiteAffineQuantization and its zero point.
      ports += [of(f) for f in (self.tensor, *(('PPi', 'ii') if quantized else ()))] * count
    options, data = dict(self.options), dict(self.data)
    kinds = [(*of(options.get(k, '')), of(data.get(k, ''))[0]) for k in KINDS]
    return Layouts(
      interpreter=np.array([of(fields) for fields in self.fixed], np.int64),
      tensor_and_node=np.array([of('PPe'), of(self.node)], np.int64),  # TfLiteEvalTensor
      kinds=np.array([*kinds, (0, 1, 0)], np.int64),
      ports=np.array(ports, np.int64),
      temporary=sum(of(fields)[0] for fields in (self.tensor, 'PPi', 'ii')),
      request=of('Pii')[0],
      lifetime=of('PPiiib')[0],
      pointer_bytes=self.pointer_bytes,
      concat=CODES['CONCATENATION'] if self.concat_arrays else -1,
      single=-1 if self.dense_arrays else CODES['FULLY_CONNECTED'],
    )


class Layouts(NamedTuple):
  """Sizes and alignments of a build's structures in bytes, in the order of allocation.

  Attributes:
    interpreter: structures of the interpreter itself. [N, 2]
    tensor_and_node: the structure of each tensor, and that of each node. [2, 2]
    kinds: size and alignment of options, and size of data, for all `KINDS` and then for any other
      operator. [K + 1, 3]
    ports: structures of inputs and outputs. [P, 2]
    temporary: size of a tensor's structures while an operator is prepared, without the zero points
      of further channels.
    request: size of ScratchBufferRequest.
    lifetime: size of AllocationInfo.
    pointer_bytes: size of a pointer, 4 or 8.
    concat: the kind that keeps arrays for its inputs; -1 for none.
    single: the kind that keeps no arrays for its scales; -1 for none.
  """

  interpreter: Counts
  tensor_and_node: Counts
  kinds: Counts
  ports: Counts
  temporary: int
  request: int
  lifetime: int
  pointer_bytes: int
  concat: int
  single: int


@functools.cache
def layout(fields: str, pointer_bytes: int, enum_bytes: int) -> tuple[int, int]:
  """Returns (size, alignment) of a structure in bytes, as a C compiler lays it out.

  Args:
    fields: the structure; see `Structures`.
    pointer_bytes: size of a pointer.
    enum_bytes: size of an enumeration.
  """
  width = {'P': pointer_bytes, 'e': enum_bytes, 'd': 8, 'i': 4, 'h': 2, 'b': 1}
  end, largest = 0, 1
  for field in fields:
    size = width[field]
    end = -(-end // size) * size + size
    largest = max(largest, size)
  return -(-end // largest) * largest, largest


_ALLOCATOR, _PLANNER = 'PPPPPPPPi', 'PiiPPPPiiPb'  # SingleArenaBufferAllocator, GreedyMemoryPlanner
_MICRO_ALLOCATOR, _OPTIONS_ALLOCATOR, _SUBGRAPH = 'PPPPPbPPP', 'PP', 'PP'
_PADDING = 'iiii'  # TfLitePaddingValues
_CONV = _PADDING + 'iiiiiPPiii'  # OpDataConv
_DENSE = 'iiiiiiiiiPPb'  # OpDataFullyConnected
_POOL = _PADDING + 'iiii'  # OpDataPooling
_SOFTMAX = 'diiiiiiiPPPPP'  # SoftmaxParams
_CONCAT = 'bPPhii'  # ConcatenationParams
_INDEX = 'i'  # index of a scratch buffer

# TfLite...Params of tensorflow/lite/core/c/builtin_op_data.h.
_OPTIONS = {
  'ADD': 'eb',
  'AVERAGE_POOL_2D': 'eiiiie' + _PADDING,
  'CONCATENATION': 'ie',
  'CONV_2D': 'eiieiie',
  'DEPTHWISE_CONV_2D': 'eiiieii',
  'FULLY_CONNECTED': 'eebbe',
  'LEAKY_RELU': 'i',
  'MAX_POOL_2D': 'eiiiie' + _PADDING,
  'MEAN': 'b',
  'MUL': 'e',
  'RESHAPE': 'iiiiiiiii',
  'RESIZE_NEAREST_NEIGHBOR': 'bb',
  'SOFTMAX': 'i',
  'STRIDED_SLICE': 'iiiiib',
  'SUB': 'eb',
}
# Data that the portable kernels keep. If the sources declare no pointers, only the size matters.
_DATA = {
  'ADD': 'b' + 14 * 'i',
  'AVERAGE_POOL_2D': _POOL,
  'CONCATENATION': _CONCAT,
  'CONV_2D': _CONV,
  'DEPTHWISE_CONV_2D': _CONV,
  'DEQUANTIZE': 4 * 'd',
  'FULLY_CONNECTED': _DENSE,
  'HARD_SWISH': 5 * 'i',
  'LEAKY_RELU': 6 * 'i',
  'LOGISTIC': 4 * 'i',
  'MAX_POOL_2D': _POOL,
  'MEAN': 11 * 'i',
  'MUL': 9 * 'i',
  'PAD': 14 * 'i',
  'QUANTIZE': 4 * 'd',
  'RELU': 7 * 'i',
  'RELU6': 2 * 'i',
  'SOFTMAX': _SOFTMAX,
  'STRIDED_SLICE': 21 * 'i',
  'SUB': 13 * 'i',
  'TANH': 4 * 'i',
}
# Operators whose structures are listed.
KINDS = tuple(sorted({*_OPTIONS, *_DATA, 'TRANSPOSE'}))
CODES = {kind: code for code, kind in enumerate(KINDS)}

_LEAN_NODE = 'PPPPPPiP'  # TfLiteNode with TF_LITE_STATIC_MEMORY, and the registration
_LEAN_TENSOR = 'ePiiPPPeeb'
_FULL_NODE = 'PPPPPPPiPbP'  # without TF_LITE_STATIC_MEMORY, as Arduino libraries are compiled
_FULL_TENSOR = 'ePPiiePPPPibbPPPP'

_LEAN_NODE = 'PPPPPPiP'  # TfLiteNode with TF_LITE_STATIC_MEMORY, and the registration
_LEAN_TENSOR = 'ePiiPPPeeb'
_FULL_NODE = 'PPPPPPPiPbP'  # without TF_LITE_STATIC_MEMORY, as Arduino libraries are compiled
_FULL_TENSOR = 'ePPiiePPPPibbPPPP'
_CHIP_FIXED = (_ALLOCATOR, _PLANNER, _MICRO_ALLOCATOR, _OPTIONS_ALLOCATOR, _SUBGRAPH)


def _updated(fields: Mapping[str, str], **changed: str) -> tuple[tuple[str, str], ...]:
  return tuple({**fields, **changed}.items())


# The Python package on x86-64. It has a recording allocator, and is compiled with
# USE_TFLM_COMPRESSION, which adds scratch buffers of weights and bias.
_COMPRESSION = 'ii'
PYTHON_PACKAGE = Structures(
  pointer_bytes=8,
  enum_bytes=4,
  fixed=(
    _ALLOCATOR + 'PPPP',
    _PLANNER,
    _MICRO_ALLOCATOR + 'P' + 8 * 'PPP',
    _OPTIONS_ALLOCATOR,
    _SUBGRAPH + 'P',
  ),
  node=_LEAN_NODE,
  tensor=_LEAN_TENSOR,
  # 32 bytes are recorded for a dense layer, padded as if for pointers; older releases declare 16.
  options=_updated(_OPTIONS, FULLY_CONNECTED='eebbePP'),
  data=_updated(
    _DATA,
    CONV_2D=_CONV + _COMPRESSION,
    DEPTHWISE_CONV_2D=_CONV + _COMPRESSION,
    FULLY_CONNECTED=_DENSE + _COMPRESSION,
    CONCATENATION=_CONCAT + 10 * 'i',
  ),
)
# Portable kernels on ARM, whose compilers pack enumerations, with TF_LITE_STATIC_MEMORY.
REFERENCE = Structures(
  pointer_bytes=4,
  enum_bytes=1,
  fixed=_CHIP_FIXED,
  node=_LEAN_NODE,
  tensor=_LEAN_TENSOR,
  options=_updated(_OPTIONS),
  data=_updated(_DATA),
)
# Kernels of CMSIS-NN add the index of a scratch buffer. A dense layer also adds pointers to
# multipliers and shifts, and three sizes; softmax adds the number and size of its rows.
CMSIS_NN = dataclasses.replace(
  REFERENCE,
  data=_updated(
    _DATA,
    CONV_2D=_CONV + _INDEX,
    DEPTHWISE_CONV_2D=_CONV + _INDEX,
    AVERAGE_POOL_2D=_POOL + _INDEX,
    MAX_POOL_2D=_POOL + _INDEX,
    FULLY_CONNECTED=_DENSE + 'PP' + _INDEX + 'iii',
    SOFTMAX=_SOFTMAX + 'ii',
  ),
)
# The Arduino library of February 2023, before some options had a type of the bias or an offset.
CMSIS_NN_2023 = dataclasses.replace(
  CMSIS_NN,
  node=_FULL_NODE,
  tensor=_FULL_TENSOR,
  options=_updated(_OPTIONS, CONV_2D='eiieii', FULLY_CONNECTED='eebb', STRIDED_SLICE='iiiii'),
  data=_updated(dict(CMSIS_NN.data), FULLY_CONNECTED=_DENSE + 'PP' + _INDEX),
  concat_arrays=True,
  dense_arrays=False,
)
# Xtensa: enumerations are int. The kernels of ESP-NN add the index of a scratch buffer.
ESP_NN = Structures(
  pointer_bytes=4,
  enum_bytes=4,
  fixed=_CHIP_FIXED,
  node=_LEAN_NODE,
  tensor=_LEAN_TENSOR,
  options=_updated(_OPTIONS),
  data=_updated(
    _DATA,
    CONV_2D=_CONV + _INDEX,
    DEPTHWISE_CONV_2D=_CONV + _INDEX,
    SOFTMAX=_SOFTMAX + _INDEX,
  ),
  concat_arrays=True,
)


def without_static_memory(structures: Structures) -> Structures:
  """Returns the structures of the same build if it does not define TF_LITE_STATIC_MEMORY."""
  return dataclasses.replace(structures, node=_FULL_NODE, tensor=_FULL_TENSOR)
