"""Corrects a calibrated network before TensorFlow Lite's quantizer processes it.

It works around five faults that occur with TensorFlow 2.21 (`rlnas.cost.scale_order` says which
values share a scale):

- The quantizer leaves a pooling operator in floating point if it comes after the concatenation that
  determines its scale: in 3 of 60 NASNet networks. `mend` sorts the operators by `execution_order`.
- The quantizer takes that scale only from the values of the concatenation. The result of average
  pooling has a smaller range than its input, which was therefore clipped: the output of one network
  was wrong by 14 int8 units (root mean square), and by 0.5 after the correction.
- If two concatenations read one value, the quantizer adds operators that only rescale. `mend`
  therefore gives one range to all values that concatenations tie together. Over 60 untrained
  networks of five spaces this did not change the errors of the int8 outputs (within 1.4 %). It
  saved 1 % of flash and 4 % of SRAM in multi-branch networks, and some in the others.
- TFLite Micro computes tanh and sigmoid of 0 as -1 and 0 if the scale of the input is 8 or more
  (`input_range_radius` is then 0 in its kernels). The unbounded memories of recurrent cells reach
  such scales. `mend` cuts their ranges, to `SATURATION` if only tanh and sigmoid read the values.
- Addition ends the process (TFLITE_CHECK) if the scale of an input is 2 ** 19 times that of the
  result, for example if products of saturated values vanish, and their sums with them. `mend`
  widens the ranges of these sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rlnas.backend import flatbuffer_utils
from rlnas.cost.scale_order import Scale, execution_order, listed, scale_groups

_Operator = flatbuffer_utils.schema_fb.BuiltinOperator
SCALES = {
  _Operator.AVERAGE_POOL_2D: Scale.KEPT,
  _Operator.MAX_POOL_2D: Scale.KEPT,
  _Operator.PAD: Scale.KEPT,
  _Operator.RESHAPE: Scale.KEPT,
  _Operator.RESIZE_NEAREST_NEIGHBOR: Scale.KEPT,
  _Operator.STRIDED_SLICE: Scale.KEPT,
  _Operator.CONCATENATION: Scale.JOINED,
}

_SATURATING = (_Operator.TANH, _Operator.LOGISTIC)

# From here on the int8 results of tanh and sigmoid no longer change.
SATURATION = 8.0
# Ranges within this limit have a scale below 8.
_WIDEST = 1000.0
# The smallest share of its size to which a range is cut, and the smallest range of a sum as a share
# of its terms' range.
_LEAST_SHARE = 1e-3


def mend(calibrated: bytes) -> bytes:
  """Sorts the operators, merges ranges that must be equal, and cuts those of saturated values.

  Args:
    calibrated: a float .tflite file with one output, whose tensors hold the calibrated ranges.

  Returns:
    The corrected file of the same network.
  """
  model = flatbuffer_utils.convert_bytearray_to_object(bytearray(calibrated))
  graph = model.subgraphs[0]
  writers = {int(t): i for i, operator in enumerate(graph.operators) for t in operator.outputs}
  network = (
    *listed([[writers[int(t)] for t in o.inputs if int(t) in writers] for o in graph.operators]),
    np.array([SCALES.get(operator_code(model, o), Scale.OWN) for o in graph.operators], np.int64),
  )
  results = [graph.tensors[operator.outputs[0]].quantization for operator in graph.operators]
  _widen_sums(model)
  order = execution_order(*network, writers[int(graph.outputs[0])])
  for group in scale_groups(*network):
    least = min(float(results[i].min[0]) for i in group)
    most = max(float(results[i].max[0]) for i in group)
    for index in group:
      results[index].min, results[index].max = [least], [most]
  for tensor, readers in _readers(graph).items():
    codes = [operator_code(model, operator) for operator in readers]
    if tensor in writers and any(code in _SATURATING for code in codes):
      limit = SATURATION if all(code in _SATURATING for code in codes) else _WIDEST
      _cut(graph.tensors[tensor].quantization, limit)
  _widen_sums(model)
  graph.operators = [graph.operators[index] for index in order]
  return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def operator_code(model: Any, operator: Any) -> int:
  """Returns the code in `BuiltinOperator` of an operator of a model."""
  code = model.operatorCodes[operator.opcodeIndex]
  return int(max(code.builtinCode, code.deprecatedBuiltinCode))  # both hold small codes


def _readers(graph: Any) -> dict[int, list[Any]]:
  """Returns the operators that read each tensor, by tensor."""
  readers: dict[int, list[Any]] = {}
  for operator in graph.operators:
    for tensor in operator.inputs:
      readers.setdefault(int(tensor), []).append(operator)
  return readers


def _widen_sums(model: Any) -> None:
  """Widens the ranges of sums to at least `_LEAST_SHARE` of the range of their terms.

  Products of saturated values can vanish, while tanh and sigmoid keep their scales of 1/128 and
  1/256 however small their values are.
  """
  graph = model.subgraphs[0]
  codes = {int(o.outputs[0]): operator_code(model, o) for o in graph.operators}

  def reach(tensor: int) -> float:
    quantization = graph.tensors[tensor].quantization
    if codes.get(tensor) in _SATURATING or quantization is None or quantization.min is None:
      return 1.0
    return max(-float(quantization.min[0]), float(quantization.max[0]))

  for operator in graph.operators:
    if operator_code(model, operator) == _Operator.ADD:
      least = _LEAST_SHARE * max(reach(int(index)) for index in operator.inputs)
      quantization = graph.tensors[operator.outputs[0]].quantization
      if reach(int(operator.outputs[0])) < least:
        quantization.max = [least]


def _cut(quantization: Any, limit: float) -> None:
  least, most = float(quantization.min[0]), float(quantization.max[0])
  limit = max(limit, _LEAST_SHARE * max(-least, most))
  quantization.min, quantization.max = [max(least, -limit)], [min(most, limit)]
