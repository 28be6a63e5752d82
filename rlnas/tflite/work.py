"""Counts the work of the operators of a .tflite file, as `rlnas.cost.terms` defines it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from rlnas.cost.terms import CASES, OTHER, WIDE, Values, Window, Workload
from rlnas.cost.workload import add_work
from rlnas.tflite.macs import count_macs
from rlnas.tflite.model_file import Operator, Tensor

_FILTERED = ('CONV_2D', 'DEPTHWISE_CONV_2D')
_WIDE = ('FLOAT', 'INT16', 'COMPLEX')


def add_operator(
  load: Workload,
  operator: Operator,
  tensors: Sequence[Tensor],
  *,
  constants: Collection[int],
  runs: float,
) -> None:
  """Adds the work of an operator to a table.

  Args:
    load: the table.
    operator: the operator.
    tensors: the tensors of its subgraph.
    constants: indices of the constant tensors.
    runs: how often the operator runs in one inference.
  """
  inputs = [i for i in operator.inputs if i >= 0]
  read = [tensors[i] for i in inputs if i not in constants]
  first = _sides(tensors[inputs[0]].shape if inputs else ())
  result = _sides(tensors[operator.outputs[0]].shape if operator.outputs else ())
  window = operator.window
  if operator.kind in _FILTERED and len(inputs) > 1 and len(tensors[inputs[1]].shape) == 4:
    _, height, width, _ = tensors[inputs[1]].shape
    window = window._replace(height=height, width=width)
  values = Values(*result, *first, sum(t.elements for t in read), len(inputs))
  case = operator.kind if operator.kind in CASES else OTHER
  if is_wide(operator, tensors):
    case, window = WIDE, Window()
  products = count_macs(operator, tensors) or 0
  add_work(load, CASES.index(case), values, window, products, float(runs))


def is_wide(operator: Operator, tensors: Sequence[Tensor]) -> bool:
  """Whether an operator reads floating-point or 16-bit values."""
  return any(tensors[i].dtype.startswith(_WIDE) for i in operator.inputs if i >= 0)


def _sides(shape: tuple[int, ...]) -> tuple[int, int, int]:
  """Height, width and channels of a value with a batch."""
  if len(shape) < 2:
    return 1, 1, math.prod(shape)
  return math.prod(shape[1:2] if len(shape) > 2 else ()), math.prod(shape[2:-1]), shape[-1]
