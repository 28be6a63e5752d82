"""Counts the multiply-accumulate operations of an operator of a .tflite file.

Only products of matrices count, as usual: additions, activations, pooling and the like have none.
An operator that is in neither list here is unknown, not free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from rlnas.tflite.model_file import Operator, Tensor

# Operators of TFLite Micro that multiply no matrices. WHILE, IF and CALL_ONCE run other operators,
# which count for themselves.
_WITHOUT_MACS = {
  *('ABS', 'ADD', 'ADD_N', 'ARG_MAX', 'ARG_MIN', 'ASSIGN_VARIABLE', 'AVERAGE_POOL_2D'),
  *('BATCH_TO_SPACE_ND', 'BROADCAST_ARGS', 'BROADCAST_TO', 'CALL_ONCE', 'CAST', 'CEIL'),
  *('CONCATENATION', 'COS', 'CUMSUM', 'DEPTH_TO_SPACE', 'DEQUANTIZE', 'DIV'),
  *('DYNAMIC_UPDATE_SLICE', 'ELU', 'EMBEDDING_LOOKUP', 'EQUAL', 'EXP', 'EXPAND_DIMS', 'FILL'),
  *('FLOOR', 'FLOOR_DIV', 'FLOOR_MOD', 'GATHER', 'GATHER_ND', 'GELU', 'GREATER', 'GREATER_EQUAL'),
  *('HARD_SWISH', 'IF', 'L2_NORMALIZATION', 'L2_POOL_2D', 'LEAKY_RELU', 'LESS', 'LESS_EQUAL'),
  *('LOG', 'LOG_SOFTMAX', 'LOGICAL_AND', 'LOGICAL_NOT', 'LOGICAL_OR', 'LOGISTIC', 'MAXIMUM'),
  *('MAX_POOL_2D', 'MEAN', 'MINIMUM', 'MIRROR_PAD', 'MUL', 'NEG', 'NOT_EQUAL', 'ONE_HOT', 'PACK'),
  *('PAD', 'PADV2', 'POW', 'PRELU', 'QUANTIZE', 'RANGE', 'READ_VARIABLE', 'REDUCE_ALL'),
  *('REDUCE_ANY', 'REDUCE_MAX', 'REDUCE_MIN', 'REDUCE_PROD', 'RELU', 'RELU6', 'RELU_0_TO_1'),
  *('RELU_N1_TO_1', 'RESHAPE', 'RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR', 'REVERSE_V2', 'ROUND'),
  *('RSQRT', 'SELECT', 'SELECT_V2', 'SHAPE', 'SIGN', 'SIN', 'SLICE', 'SOFTMAX'),
  *('SPACE_TO_BATCH_ND', 'SPACE_TO_DEPTH', 'SPLIT', 'SPLIT_V', 'SQRT', 'SQUARE'),
  *('SQUARED_DIFFERENCE', 'SQUEEZE', 'STRIDED_SLICE', 'SUB', 'SUM', 'TANH', 'TILE', 'TRANSPOSE'),
  *('UNPACK', 'VAR_HANDLE', 'WHILE', 'ZEROS_LIKE', 'CIRCULAR_BUFFER'),
  *('TFLite_Detection_PostProcess',),
}
_WEIGHTS_OF_LSTM = (*range(1, 9), 16)  # of four gates for input and state, and the projection

Shapes = Sequence[tuple[int, ...]]


def count_macs(operator: Operator, tensors: Sequence[Tensor]) -> int | None:
  """Returns the multiply-accumulate operations of one run of an operator, or None if unknown.

  Args:
    operator: the operator.
    tensors: the tensors of its subgraph.
  """
  if operator.kind in _WITHOUT_MACS:
    return 0
  if operator.kind not in _FORMULAS:
    return None
  shapes = [() if i < 0 else tensors[i].shape for i in operator.inputs]
  result = tensors[operator.outputs[0]].shape if operator.outputs else ()
  try:
    return _FORMULAS[operator.kind](operator, shapes, result)
  except IndexError:  # it has not the inputs that it should have
    return None


def _dense(_: Operator, shapes: Shapes, result: tuple[int, ...]) -> int:
  return math.prod(result) * math.prod(shapes[1][1:])  # output channels come first in the kernel


def _depthwise(_: Operator, shapes: Shapes, result: tuple[int, ...]) -> int:
  return math.prod(result) * math.prod(shapes[1][1:3])  # (1, height, width, channels)


def _transpose_conv(_: Operator, shapes: Shapes, result: tuple[int, ...]) -> int:
  return math.prod(shapes[2]) * math.prod(shapes[1][:3])  # (output shape, kernel, input)


def _batch_matmul(operator: Operator, shapes: Shapes, result: tuple[int, ...]) -> int:
  return math.prod(result) * shapes[0][-2 if operator.is_transposed[0] else -1]


def _lstm(_: Operator, shapes: Shapes, result: tuple[int, ...]) -> int:
  steps = math.prod(shapes[0][:-1])  # time and batch, in either order
  weights = [shapes[i] for i in _WEIGHTS_OF_LSTM if i < len(shapes)]
  return steps * sum(math.prod(shape) for shape in weights if shape)


def _svdf(_: Operator, shapes: Shapes, result: tuple[int, ...]) -> int:
  features, time = shapes[1], shapes[2]  # (filters, inputs), (filters, steps)
  return shapes[0][0] * (math.prod(features) + math.prod(time))


_FORMULAS: Mapping[str, Callable[[Operator, Shapes, tuple[int, ...]], int]] = {
  'BATCH_MATMUL': _batch_matmul,
  'CONV_2D': _dense,
  'DEPTHWISE_CONV_2D': _depthwise,
  'FULLY_CONNECTED': _dense,
  'SVDF': _svdf,
  'TRANSPOSE_CONV': _transpose_conv,
  'UNIDIRECTIONAL_SEQUENCE_LSTM': _lstm,
}
