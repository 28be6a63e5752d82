"""Estimates the size of a network's .tflite file from its predicted operators and kernels.

A file that `rlnas.tflite.compact` has packed stores equal parts once: equally many zero points,
equal shapes, equal options. This module counts the parts that remain and multiplies the counts by
the bytes in `FLASH_BYTES`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rlnas.architecture import OPS
from rlnas.cost.jit import compiled, inlined, inner
from rlnas.cost.operators import KIND_SCALES, SCALES, Converted, Indices, Records, scales_of
from rlnas.cost.scale_order import Scale, scale_owners
from rlnas.cost.structures import KINDS
from rlnas.cost.tasks import INPUT

# Bytes of each part, fitted with least squares by experiments/benchmarks/fit_cost.py; the resizings
# and 'reconstruction' later (--parts), with the others as they were.
FLASH_BYTES: Mapping[str, float] = {
  'ADD': 69.02,
  'AVERAGE_POOL_2D': 58.34,
  'CONCATENATION': 69.89,
  'CONV_2D': 169.78,
  'DEPTHWISE_CONV_2D': 190.97,
  'FULLY_CONNECTED': 112.06,
  'LOGISTIC': 45.92,
  'MAX_POOL_2D': 55.64,
  'MEAN': 176.66,
  'MUL': 67.67,
  'PAD': 70.41,
  'RELU': 65.10,
  'RESIZE_NEAREST_NEIGHBOR': 42.18,
  'STRIDED_SLICE': -22.74,
  'TANH': 45.27,
  'bias': 37.93,
  'byte': 1.00,
  'concatenated': -2.09,
  'constant': 68.54,
  'dense kernel': 124.63,
  'layout': 12.00,  # not fitted: a table of offsets, 4 bytes and 2 for each field
  'network': 166.90,
  'options': 34.98,
  'reconstruction': 208.82,
  'scale': 15.06,
  'shape': 17.84,
  'width': 3.98,
  'zero point': 11.17,
}

# The parts that are counted: operators by their codes, then the others.
_OTHERS = (
  *('network', 'concatenated', 'constant', 'bias', 'dense kernel', 'byte', 'width', 'shape'),
  *('options', 'scale', 'zero point', 'layout', 'reconstruction'),
)
_FEATURES = (*KINDS, *_OTHERS)
_BYTES = tuple(FLASH_BYTES.get(name, 0.0) for name in _FEATURES)
_NETWORK, _CONCATENATED, _CONSTANT, _BIAS, _DENSE_KERNEL, _BYTE, _WIDTH, _SHAPE = range(
  len(KINDS), len(KINDS) + 8
)
_OPTIONS, _SCALE, _ZERO_POINT, _LAYOUT, _RECONSTRUCTION = range(_SHAPE + 1, _SHAPE + 6)

_MEAN, _CONCATENATION, _RESHAPE, _SLICE, _PAD, _TANH, _LOGISTIC, _RELU, _RESIZE = map(
  KINDS.index,
  (
    *('MEAN', 'CONCATENATION', 'RESHAPE', 'STRIDED_SLICE', 'PAD', 'TANH', 'LOGISTIC', 'RELU'),
    'RESIZE_NEAREST_NEIGHBOR',
  ),
)
_RECONSTRUCTION_OP = OPS['reconstruction']
_KEPT = int(Scale.KEPT)
_KEEPS_SIGN = np.array([kind in (*SCALES, 'ADD', 'MUL', 'MEAN') for kind in KINDS])
_HAS_OPTIONS = np.array([kind not in ('RELU', 'TANH', 'LOGISTIC', 'PAD') for kind in KINDS])
_POOLS = np.array([kind.endswith('POOL_2D') for kind in KINDS])


def flash_features(network: Converted) -> dict[str, int]:
  """Returns how often the .tflite file of a network has each part in `FLASH_BYTES`."""
  counts = dict(zip(_FEATURES, counted(network).tolist(), strict=True))
  return {name: counts[name] for name in FLASH_BYTES}


def bytes_of(counts: Indices) -> int:
  """Returns the size of a file with the counts of `counted`."""
  total = 0.0
  for count, size in zip(counts.tolist(), _BYTES, strict=True):
    total += count * size
  return round(total)


def constants_of(counts: Indices) -> int:
  """Returns the number of constant tensors besides kernels and biases."""
  return int(counts[_CONSTANT])


@compiled
def counted(network: Converted) -> Indices:
  """Counts the parts of a network's .tflite file, in the order of `_FEATURES`."""
  nodes, shapes, operators, starts, sources, kernels, _ = network
  owners = scale_owners(starts, sources, scales_of(operators))
  counts = np.zeros(len(_FEATURES), np.int64)
  for index in range(len(operators)):
    kind = operators[index]['kind']
    counts[kind] += 1
    if kind == _CONCATENATION:
      counts[_CONCATENATED] += starts[index + 1] - starts[index]
  counts[_RESHAPE] = 0  # there is one for each STRIDED_SLICE
  counts[_NETWORK] = 1
  # What 'network' lacks, as nearly all networks end with an average and a dense layer.
  counts[_RECONSTRUCTION] = nodes[-1]['op'] == _RECONSTRUCTION_OP
  for first in _first_ones(_constants(nodes, shapes, operators, starts, sources)):
    counts[_CONSTANT] += first
  for first in _first_ones(_options(nodes, operators)):
    counts[_OPTIONS] += first
  counts[_LAYOUT] = _further_layouts(nodes, operators)
  counts[_SCALE], counts[_ZERO_POINT] = _scales(operators, starts, sources, owners)

  # A bias depends on the kernel and on the scale of the input.
  inputs = _input_scales(operators, starts, sources, len(nodes))
  biases, widths = _rows(len(kernels)), _rows(len(kernels))
  for index in range(len(kernels)):
    kernel = kernels[index]
    _put(biases, index, kernel['key'], inputs[kernel['node']], 0, 0, 0)
    _put(widths, index, kernel['channels'] if not kernel['dense'] else 1, 0, 0, 0, 0)
  bias, width = _first_ones(biases), _first_ones(widths)
  written, count = _rows(len(operators) + 2 * len(kernels)), len(operators)  # shapes
  for index in range(count):
    o = operators[index]
    _put(written, index, o['rank'], o['height'], o['width'], o['channels'], 0)
  for index in range(len(kernels)):
    kernel = kernels[index]
    if bias[index]:
      counts[_BIAS] += kernel['dense']  # that of a convolution belongs to its operator
      counts[_BYTE] += _aligned(4 * kernel['channels'])
      _put(written, count, 1, 1, 1, kernel['channels'], 0)
      count += 1
    if kernel['stored']:
      counts[_DENSE_KERNEL] += kernel['dense']
      counts[_BYTE] += _aligned(kernel['weights']) + 4 * widths[index, 0]  # scales
      _put(written, count, -1, kernel['weights'], kernel['channels'], 0, 0)
      if kernel['dense']:
        _put(written, count, -2, kernel['key'], 0, 0, 0)
      count += 1
    if width[index] and widths[index, 0] > 1:
      counts[_WIDTH] += 1
      counts[_BYTE] += 8 * widths[index, 0]  # zero points
  for first in _first_ones(written[:count]):
    counts[_SHAPE] += first
  return counts


@inner
def _rows(count: int) -> Indices:
  """Returns empty rows for `_first_ones` to compare; see `_put`."""
  return np.zeros((count, 5), np.int64)


@inlined
def _put(rows: Indices, index: int, a: int, b: int, c: int, d: int, e: int) -> None:
  rows[index, 0], rows[index, 1], rows[index, 2], rows[index, 3], rows[index, 4] = a, b, c, d, e


@inner
def _options(nodes: Records, operators: Records) -> Indices:
  """Returns a row for each operator with options; equal rows mean equal options."""
  found, count = _rows(len(operators)), 0
  for index in range(len(operators)):
    o = operators[index]
    node, kind = nodes[o['node']], o['kind']
    if not _HAS_OPTIONS[kind]:
      continue
    if kind == _RESHAPE:
      _put(found, count, kind, o['rank'], o['height'], o['width'], o['channels'])
    elif kind in (_CONCATENATION, _MEAN):
      _put(found, count, kind, 0, 0, 0, 0)
    elif _POOLS[kind]:
      _put(found, count, kind, node['stride'], node['kernel_height'], node['kernel_width'], 0)
    else:
      _put(found, count, kind, o['relu'], max(node['stride'], 1), node['dilation'], 0)
    count += 1
  return found[:count]


@inner
def _further_layouts(nodes: Records, operators: Records) -> int:
  """Returns the number of layouts of options, besides one for each kind of operator.

  A flatbuffer leaves out fields with their defaults: no activation, and a dilation of 1.
  """
  layouts, kinds, count = _rows(len(operators)), _rows(len(operators)), 0
  for index in range(len(operators)):
    kind = operators[index]['kind']
    if _HAS_OPTIONS[kind]:
      dilated = int(nodes[operators[index]['node']]['dilation'] > 1)
      _put(layouts, count, kind, operators[index]['relu'], dilated, 0, 0)
      _put(kinds, count, kind, 0, 0, 0, 0)
      count += 1
  further = 0
  for first in _first_ones(layouts[:count]):
    further += first
  for first in _first_ones(kinds[:count]):
    further -= first
  return further


@inner
def _scales(
  operators: Records, starts: Indices, sources: Indices, owners: Indices
) -> tuple[int, int]:
  """Returns the number of stored scales, and of stored zero points.

  The zero point of values that are never negative is stored once (see `rlnas.tflite.compact`).
  """
  count = len(operators)
  own, positive = np.empty(count, np.int64), np.zeros(count, np.bool_)
  met, above = np.zeros(count + 2, np.bool_), np.zeros(count + 2, np.bool_)
  for index in range(count):
    kind, reads = operators[index]['kind'], sources[starts[index] : starts[index + 1]]
    own[index] = index if owners[index] < 0 else owners[index]
    if own[index] == index and KIND_SCALES[kind] == _KEPT and reads[0] != INPUT:
      own[index] = own[reads[0]]
    positive[index] = operators[index]['relu'] or kind in (_RELU, _LOGISTIC)
    if _KEEPS_SIGN[kind] and not positive[index]:
      positive[index] = True
      for source in reads:
        if source == INPUT or not positive[source]:
          positive[index] = False
    # All results of tanh have one scale, and all of sigmoid.
    scale = own[index] + 2 if kind not in (_TANH, _LOGISTIC) else int(kind == _TANH)
    met[scale] = True
    above[scale] |= positive[index]
  scales, points = 0, 0
  for scale in range(len(met)):
    scales += met[scale]
    points += met[scale] and not above[scale]
  return scales, points


@inner
def _input_scales(operators: Records, starts: Indices, sources: Indices, nodes: int) -> Indices:
  """Returns for every node a number that is equal for equal scales of the (first) input."""
  own, read = np.empty(len(operators), np.int64), np.full(nodes, INPUT)
  for index in range(len(operators)):
    kind, source = operators[index]['kind'], sources[starts[index]]
    first = INPUT if source == INPUT else own[source]
    read[operators[index]['node']] = first
    if kind in (_TANH, _LOGISTIC):  # their scales are 1/128 and 1/256
      own[index] = INPUT - 1 - int(kind == _TANH)
    else:
      own[index] = first if kind in (_SLICE, _RESHAPE) else index
  return read


@inner
def _constants(
  nodes: Records, shapes: Records, operators: Records, starts: Indices, sources: Indices
) -> Indices:
  """Returns a row for each constant tensor besides kernels and biases; equal ones count once."""
  found, count = _rows(3 * len(operators)), 0
  for index in range(len(operators)):
    o = operators[index]
    kind, node = o['kind'], nodes[o['node']]
    if kind == _MEAN:  # its axes
      _put(found, count, _MEAN, 1, 2, 0, 0)
      count += 1
    elif kind == _RESIZE:  # the size of its result, which may equal these axes
      _put(found, count, _MEAN, o['height'], o['width'], 0, 0)
      count += 1
    elif kind == _RESHAPE:
      _put(found, count, kind, o['height'], o['width'], o['channels'], 0)
      count += 1
    elif kind == _PAD:
      source = sources[starts[index]]
      high = shapes[0]['height'] if source == INPUT else operators[source]['height']
      wide = shapes[0]['width'] if source == INPUT else operators[source]['width']
      _put(found, count, kind, o['height'] - high, o['width'] - wide, 0, 0)
      count += 1
    elif kind == _SLICE:  # begin, end (counted from the end of the sequence) and steps
      after = shapes[0]['height'] - node['key'] - node['width']
      _put(found, count, kind, 1, node['key'], 0, 0)
      _put(found, count + 1, kind, 1, -after, 0, 0)
      _put(found, count + 2, kind, 2, 0, 0, 0)
      count += 3
  return found[:count]


@inner
def _first_ones(rows: Indices) -> npt.NDArray[np.bool_]:
  """Returns for each row whether it equals no row before it."""
  slots = 16
  while slots < 2 * len(rows):
    slots *= 2
  table, first = np.full(slots, -1), np.zeros(len(rows), np.bool_)
  for index in range(len(rows)):
    slot = 0
    for place in range(5):
      slot = (slot * 31 + rows[index, place]) * 0x9E3779B1
    slot = (slot ^ slot >> 15) % slots
    while table[slot] >= 0:
      equal = True
      for place in range(5):
        equal &= rows[table[slot], place] == rows[index, place]
      if equal:
        break
      slot = (slot + 1) % slots
    if table[slot] < 0:
      table[slot], first[index] = index, True
  return first


@inner
def _aligned(size: int) -> int:
  return -(-size // 16) * 16
