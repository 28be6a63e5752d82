"""The tail of TFLite Micro's tensor arena, structure by structure, as a build of it allocates them.

The tail holds the interpreter's structures. How large they are depends on the build: pointers take
8 bytes on this machine and 4 on a microcontroller, enumerations 1 byte where the compiler packs
them, as GCC does for bare ARM cores, and kernels made for a chip keep more data than the portable
ones. Here the structures are written down as the sources declare them
(`tensorflow/lite/micro/micro_allocator.h`, `tensorflow/lite/c/common.h` and the kernels' headers),
and laid out by the rules of C for the build in question.

What was checked:
- `HOST`, tflite-micro 0.dev20261023 on x86-64: equal to the byte on 42 networks of all spaces and
  on a network of every operator in `KINDS`.
- `ESP_NN`, esp-tflite-micro 1.3 on an ESP32, and `CMSIS_NN`, Chirale_TensorFLowLite 2.0.0 on an
  nRF52840: equal to the byte on the arenas that boards read for keyword spotting and anomaly
  detection of MLPerf Tiny (results/results.jsonl of github.com/avionicharshit-byte/mcufit-bench).
  For its image classification and for person detection, rebuilt from their descriptions, too, but
  for one that came out 16 bytes too large.
- `REFERENCE`, the portable kernels on a chip, has no reading.
Other releases may differ by a field or two, some bytes an operator.
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

_BUFFER_ALIGNMENT = 16  # MicroArenaBufferAlignment(): of all that kernels ask for


class Node(NamedTuple):
  """An operator, as far as its structures depend on it.

  Attributes:
    kind: TensorFlow Lite's name, 'CONV_2D'.
    scales: how many channels of its kernel have a scale of their own; 0 for other operators.
    inputs: how many tensors it reads.
    scratch: how many scratch areas its kernel asks for.
  """

  kind: str
  scales: int = 0
  inputs: int = 1
  scratch: int = 0


class Nodes(NamedTuple):
  """The operators of a network in order, as columns of `Node`.

  Attributes:
    kinds: places in `KINDS`; its length for any other operator.
    scales: see `Node`, as for the following.
    inputs: of each operator.
    scratch: of all operators together.
  """

  kinds: Counts
  scales: Counts
  inputs: Counts
  scratch: int

  @classmethod
  def of(cls, nodes: Sequence[Node]) -> Nodes:
    """The columns of `nodes`."""
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

  Fields of a structure are written as one letter each, in the order of its declaration: P pointer
  or size_t, i int, int32 or float, d double, h int16, b bool or byte, e enumeration.

  Attributes:
    pointer_bytes: 4 or 8.
    enum_bytes: 1 or 4.
    fixed: the structures of the interpreter itself, in the order of allocation.
    node: NodeAndRegistration, one an operator.
    tensor: TfLiteTensor, of inputs and outputs.
    options: TfLite...Params, by operator; those without are not listed.
    data: what kernels keep for every operator; those without are not listed.
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
    """See `tail_bytes`."""
    of = functools.partial(layout, pointer_bytes=self.pointer_bytes, enum_bytes=self.enum_bytes)
    ports = []
    for count in (inputs, outputs):
      ports.append((count * self.pointer_bytes, _BUFFER_ALIGNMENT))
      # Of a quantized one TfLiteAffineQuantization, too, and its zero point.
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
    interpreter: of its own structures, [N, 2].
    tensor_and_node: of what there is for each tensor, and for each node, [2, 2].
    kinds: size and alignment of options and size of data, of all `KINDS` and any other, [K + 1, 3].
    ports: of what there is for inputs and outputs, [P, 2].
    pointer_bytes: 4 or 8.
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
  """(size, alignment) of a structure in bytes, as a C compiler lays it out.

  Args:
    fields: see `Build`.
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
  """The tail of the arena, once the network is loaded.

  Args:
    build: of TFLite Micro.
    nodes: of those that are not in `KINDS` nothing is counted but the node.
    tensors: how many tensors the network has, constants included.
    inputs: of the network.
    outputs: of the network.
    quantized: whether inputs and outputs have a scale.
  """
  layouts = build.layouts_of(inputs=inputs, outputs=outputs, quantized=quantized)
  return int(_compiled()(layouts, nodes, tensors))


@functools.cache
def _compiled() -> Callable[..., int]:
  """Numba is loaded when it is first needed; boards and speeds are tables, which do without."""
  from rlnas.cost.jit import compiled

  return compiled(used_bytes)


def used_bytes(layouts: Layouts, nodes: Nodes, tensors: int) -> int:
  """As `tail_bytes`; to be compiled.

  The tail grows as SingleArenaBufferAllocator::AllocatePersistentBuffer does: from the end of the
  arena down, where an address is rounded after the size is taken off.
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
_INDEX = 'i'  # of a scratch buffer

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
# What the portable kernels keep. Where the sources declare no pointers only the size matters.
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
# Operators whose structures are written down.
KINDS = tuple(sorted({*_OPTIONS, *_DATA, 'TRANSPOSE'}))
_CODES = {kind: code for code, kind in enumerate(KINDS)}

_LEAN_NODE = 'PPPPPPiP'  # TfLiteNode with TF_LITE_STATIC_MEMORY, and the registration
_LEAN_TENSOR = 'ePiiPPPeeb'
_FULL_NODE = 'PPPPPPPiPbP'  # without it, as Arduino libraries are compiled
_FULL_TENSOR = 'ePPiiePPPPibbPPPP'

# The package for Python: a recording allocator, and USE_TFLM_COMPRESSION.
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
    # Of a dense layer 32 bytes are recorded, with gaps as of pointers; older releases declare 16.
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
# ARM with packed enumerations, as an Arduino library: the larger node and tensor make this an upper
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
# Kernels of CMSIS-NN add the index of a scratch buffer; a dense layer pointers to multipliers and
# shifts too, softmax the number and size of its rows. Options of convolutions as of that release.
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
