"""Mends a calibrated network before TensorFlow Lite's quantizer sees it.

Five faults, seen with TensorFlow 2.21 (`rlnas.cost.scale_order` says which values share a scale):

- The quantizer leaves pooling in floating point that stands behind the concatenation which decides
  its scale: in 3 of 60 NASNet networks. The operators are therefore put into `execution_order`.
- It takes that scale from the values of the concatenation alone. Average pooling has a smaller
  range than what it reads, and the rest was cut off: the output of one network was wrong by 14 int8
  units (root mean square), by 0.5 after the mending.
- Where a value goes into two concatenations, it adds operators that only rescale. The ranges of all
  values that concatenations tie together are therefore united. Over 60 untrained networks of five
  spaces this left the errors of the int8 outputs as they were (within 1.4 %) and saved 1 % of flash
  and 4 % of SRAM in multi-branch networks, and something in the others.
- TFLite Micro computes tanh and sigmoid of 0 as -1 and 0 where the scale of the input is 8 or more
  (`input_range_radius` is then 0 in its kernels), as unbounded memories of recurrent cells reach
  it. Their ranges are cut, and at `SATURATION` where nothing else reads them.
- Addition ends the process (TFLITE_CHECK) where an input has 2 ** 19 times the scale of the result,
  as where products of saturated values vanish and their sums with them. These ranges are widened.
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
  _Operator.STRIDED_SLICE: Scale.KEPT,
  _Operator.CONCATENATION: Scale.JOINED,
}

_SATURATING = (_Operator.TANH, _Operator.LOGISTIC)

# Where the int8 results of tanh and sigmoid no longer change.
SATURATION = 8.0
# Ranges within it have a scale below 8.
_WIDEST = 1000.0
# Ranges are not cut to less than this share of their own, nor sums of what they add up.
_LEAST_SHARE = 1e-3


def mend(calibrated: bytes) -> bytes:
  """Orders the operators, unites ranges that must be one, and cuts those of saturated values.

  Args:
    calibrated: a float .tflite file of one output whose tensors hold the ranges that were seen.

  Returns:
    The same network.
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
  """Which of `BuiltinOperator` an operator of a model is."""
  code = model.operatorCodes[operator.opcodeIndex]
  return int(max(code.builtinCode, code.deprecatedBuiltinCode))  # small ones stand in both


def _readers(graph: Any) -> dict[int, list[Any]]:
  """The operators that read each tensor."""
  readers: dict[int, list[Any]] = {}
  for operator in graph.operators:
    for tensor in operator.inputs:
      readers.setdefault(int(tensor), []).append(operator)
  return readers


def _widen_sums(model: Any) -> None:
  """Sees to it that no sum has less than `_LEAST_SHARE` of the range of what it adds up.

  Products of saturated values can vanish, while tanh and sigmoid keep their scale of 1/128 and
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
