"""Computes the tail of TFLite Micro's tensor arena, structure by structure, for a given build.

The tail holds the interpreter's structures. Their size depends on the build. Pointers take 8 bytes
on this machine and 4 on a microcontroller. Enumerations take 1 byte if the compiler packs them, as
GCC does for bare ARM cores. Kernels made for a chip keep more data than the portable ones. This
module lists the structures as the sources declare them
(`tensorflow/lite/micro/micro_allocator.h`, `tensorflow/lite/c/common.h` and the kernels' headers),
and lays them out by the rules of C for the build.

These builds were checked:
- `HOST`, tflite-micro 0.dev20261023 on x86-64: exact to the byte for 42 networks of all spaces and
  for a network of every operator in `KINDS`.
- `ESP_NN`, esp-tflite-micro 1.3 on an ESP32, and `CMSIS_NN`, Chirale_TensorFLowLite 2.0.0 on an
  nRF52840: exact to the byte for the arenas that boards measured for keyword spotting and anomaly
  detection of MLPerf Tiny (results/results.jsonl of github.com/avionicharshit-byte/mcufit-bench).
  Its image classification and person detection were rebuilt from their descriptions: exact, too,
  except for one that was 16 bytes too large.
- `REFERENCE`, the portable kernels on a chip, was not measured.
Other releases may differ by one or two fields, which are some bytes per operator.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

_BUFFER_ALIGNMENT = 16  # MicroArenaBufferAlignment(), for all memory that kernels request


class Node(NamedTuple):
  """The properties of an operator that its structures depend on.

  Attributes:
    kind: TensorFlow Lite's name of the operator, for example 'CONV_2D'.
    scales: number of channels of its kernel that have their own scale; 0 for other operators.
    inputs: number of tensors that it reads.
    scratch: number of scratch areas that its kernel requests.
  """

  kind: str
  scales: int = 0
  inputs: int = 1
  scratch: int = 0


class Nodes(NamedTuple):
  """The operators of a network in order, as columns of `Node`.

  Attributes:
    kinds: indices in `KINDS`; the length of `KINDS` for any other operator.
    scales: for each operator, see `Node`.
    inputs: for each operator, see `Node`.
    scratch: number of scratch areas of all operators together.
  """

  kinds: Counts
  scales: Counts
  inputs: Counts
  scratch: int

  @classmethod
  def of(cls, nodes: Sequence[Node]) -> Nodes:
    """Returns the columns of `nodes`."""
    kinds = [_CODES.get(node.kind, len(KINDS)) for node in nodes]
    scales, inputs = [node.scales for node in nodes], [node.inputs for node in nodes]
    return cls(
      np.array(kinds, np.int64),
      np.array(scales, np.int64),
      np.array(inputs, np.int64),
      sum(node.scratch for node in nodes),
    )


@dataclasses.dataclass(frozen=True)
class Build:
  """A build of TFLite Micro.

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
  """

  pointer_bytes: int
  enum_bytes: int
  fixed: tuple[str, ...]
  node: str
  tensor: str
  options: Mapping[str, str]
  data: Mapping[str, str]
  concat_arrays: bool

  def layouts_of(self, *, inputs: int, outputs: int, quantized: bool) -> Layouts:
    """Returns the layouts of the structures; for the arguments see `tail_bytes`."""
    of = functools.partial(layout, pointer_bytes=self.pointer_bytes, enum_bytes=self.enum_bytes)
    ports = []
    for count in (inputs, outputs):
      ports.append((count * self.pointer_bytes, _BUFFER_ALIGNMENT))
      # A quantized input or output also has a TfLiteAffineQuantization and its zero point.
      ports += [of(f) for f in (self.tensor, *(('PPi', 'ii') if quantized else ()))] * count
    kinds = [(*of(self.options.get(k, '')), of(self.data.get(k, ''))[0]) for k in KINDS]
    return Layouts(
      interpreter=np.array([of(fields) for fields in self.fixed], np.int64),
      tensor_and_node=np.array([of('PPe'), of(self.node)], np.int64),  # TfLiteEvalTensor
      kinds=np.array([*kinds, (0, 1, 0)], np.int64),
      ports=np.array(ports, np.int64),
      pointer_bytes=self.pointer_bytes,
      concat=_CODES['CONCATENATION'] if self.concat_arrays else -1,
    )


class Layouts(NamedTuple):
  """Sizes and alignments of a build's structures in bytes, in the order of allocation.

  Attributes:
    interpreter: structures of the interpreter itself. [N, 2]
    tensor_and_node: the structure of each tensor, and that of each node. [2, 2]
    kinds: size and alignment of options, and size of data, for all `KINDS` and then for any other
      operator. [K + 1, 3]
    ports: structures of inputs and outputs. [P, 2]
    pointer_bytes: size of a pointer, 4 or 8.
    concat: the kind that keeps arrays for its inputs; -1 for none.
  """

  interpreter: Counts
  tensor_and_node: Counts
  kinds: Counts
  ports: Counts
  pointer_bytes: int
  concat: int


@functools.cache
def layout(fields: str, pointer_bytes: int, enum_bytes: int) -> tuple[int, int]:
  """Returns (size, alignment) of a structure in bytes, as a C compiler lays it out.

  Args:
    fields: the structure; see `Build`.
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


def tail_bytes(
  build: Build,
  nodes: Nodes,
  *,
  tensors: int,
  inputs: int = 1,
  outputs: int = 1,
  quantized: bool = True,
) -> int:
  """Returns the size of the arena's tail once the network is loaded.

  Args:
    build: the build of TFLite Micro.
    nodes: the operators; if one is not in `KINDS`, only its node is counted.
    tensors: number of the network's tensors, including constants.
    inputs: number of the network's inputs.
    outputs: number of the network's outputs.
    quantized: whether inputs and outputs have a scale.
  """
  layouts = build.layouts_of(inputs=inputs, outputs=outputs, quantized=quantized)
  return int(_compiled()(layouts, nodes, tensors))


@functools.cache
def _compiled() -> Callable[..., int]:
  """Returns `used_bytes` compiled; loads Numba only now, because the tables of boards need none."""
  from rlnas.cost.jit import compiled

  return compiled(used_bytes)


def used_bytes(layouts: Layouts, nodes: Nodes, tensors: int) -> int:
  """As `tail_bytes`, in a form that Numba can compile.

  The tail grows as in SingleArenaBufferAllocator::AllocatePersistentBuffer: from the end of the
  arena down; each address is rounded after the size is subtracted.
  """
  used = 0
  for size, alignment in layouts.interpreter:
    used = -(-(used + size) // alignment) * alignment
  for row, count in enumerate((tensors, len(nodes.kinds))):
    size, alignment = layouts.tensor_and_node[row]
    used = -(-(used + count * size) // alignment) * alignment
  for kind in nodes.kinds:
    size, alignment, _ = layouts.kinds[kind]
    used = -(-(used + size) // alignment) * alignment
  for index in range(len(nodes.kinds)):
    kind = nodes.kinds[index]
    # A channel's multiplier and shift, or an input's scale and zero point, are 4 bytes each.
    length = nodes.inputs[index] if kind == layouts.concat else nodes.scales[index]
    for size in (layouts.kinds[kind, 2], 4 * length, 4 * length):
      if size:
        used = -(-(used + size) // _BUFFER_ALIGNMENT) * _BUFFER_ALIGNMENT
  pointer = layouts.pointer_bytes
  used = -(-(used + nodes.scratch * pointer) // pointer) * pointer
  for size, alignment in layouts.ports:
    used = -(-(used + size) // alignment) * alignment
  return used


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
_CODES = {kind: code for code, kind in enumerate(KINDS)}

_LEAN_NODE = 'PPPPPPiP'  # TfLiteNode with TF_LITE_STATIC_MEMORY, and the registration
_LEAN_TENSOR = 'ePiiPPPeeb'
_FULL_NODE = 'PPPPPPPiPbP'  # without TF_LITE_STATIC_MEMORY, as Arduino libraries are compiled
_FULL_TENSOR = 'ePPiiePPPPibbPPPP'

# The Python package has a recording allocator, and is compiled with USE_TFLM_COMPRESSION.
_COMPRESSION = 'ii'  # scratch buffers of weights and bias
HOST = Build(
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
  options=types.MappingProxyType(
    # 32 bytes are recorded for a dense layer, padded as if for pointers; older releases declare 16.
    _OPTIONS | {'FULLY_CONNECTED': 'eebbePP'}
  ),
  data=types.MappingProxyType(
    _DATA
    | {'CONV_2D': _CONV + _COMPRESSION, 'DEPTHWISE_CONV_2D': _CONV + _COMPRESSION}
    | {'FULLY_CONNECTED': _DENSE + _COMPRESSION, 'CONCATENATION': _CONCAT + 10 * 'i'}
  ),
  concat_arrays=False,
)
_CHIP_FIXED = (_ALLOCATOR, _PLANNER, _MICRO_ALLOCATOR, _OPTIONS_ALLOCATOR, _SUBGRAPH)
# Xtensa: enumerations are int. The kernels of ESP-NN add the index of a scratch buffer.
ESP_NN = Build(
  pointer_bytes=4,
  enum_bytes=4,
  fixed=_CHIP_FIXED,
  node=_LEAN_NODE,
  tensor=_LEAN_TENSOR,
  options=types.MappingProxyType(_OPTIONS),
  data=types.MappingProxyType(
    _DATA
    | {'CONV_2D': _CONV + _INDEX, 'DEPTHWISE_CONV_2D': _CONV + _INDEX}
    | {'SOFTMAX': _SOFTMAX + _INDEX}
  ),
  concat_arrays=True,
)
# ARM with packed enumerations, as an Arduino library. The larger node and tensor make this an upper
# bound for projects that define TF_LITE_STATIC_MEMORY.
REFERENCE = Build(
  pointer_bytes=4,
  enum_bytes=1,
  fixed=_CHIP_FIXED,
  node=_FULL_NODE,
  tensor=_FULL_TENSOR,
  options=types.MappingProxyType(_OPTIONS),
  data=types.MappingProxyType(_DATA),
  concat_arrays=True,
)
# Kernels of CMSIS-NN add the index of a scratch buffer. A dense layer also adds pointers to
# multipliers and shifts; softmax adds the number and size of its rows. The options of convolutions
# are those of that release.
CMSIS_NN = dataclasses.replace(
  REFERENCE,
  options=types.MappingProxyType(_OPTIONS | {'CONV_2D': 'eiieii'}),
  data=types.MappingProxyType(
    _DATA
    | {'CONV_2D': _CONV + _INDEX, 'DEPTHWISE_CONV_2D': _CONV + _INDEX}
    | {'AVERAGE_POOL_2D': _POOL + _INDEX, 'MAX_POOL_2D': _POOL + _INDEX}
    | {'FULLY_CONNECTED': _DENSE + 'PP' + _INDEX, 'SOFTMAX': _SOFTMAX + 'ii'}
  ),
)
