"""Walks the operators of all subgraphs in the order in which TFLite Micro plans the arena.

A WHILE, IF or CALL_ONCE runs other subgraphs. TFLite Micro plans their tensors within the time of
the operator that runs them (`micro_allocation_info.cc`, MarkAllocationLifetimes). A step of the
plan is an operator, or the entry into a subgraph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from rlnas.cost.arena_head import Buffer, mean_scratch
from rlnas.tflite.model_file import Operator, Subgraph, Tensor

_MOST_STEPS = 100_000  # subgraphs that run each other could go on without end
_MOST_RUNS = 10_000  # of a loop, to be counted
_SUM_BYTES = {'INT8': 4, 'INT16': 8}  # of the sums of a transposed convolution (transpose_conv.cc)
_CELL_STATE = 19  # input of an LSTM with the size of its cell


@dataclasses.dataclass(frozen=True)
class Step:
  """An operator in the plan.

  Attributes:
    subgraph: index of its subgraph.
    place: its place in the subgraph.
    first: the step in which it begins.
    last: the step in which it ends: a later one if it runs subgraphs.
    depth: how many operators run subgraphs around it.
    runs: how often it runs in one inference; None if that depends on the data.
    unknown: the operator for which `runs` is None, for example 'IF'; '' if it is known.
  """

  subgraph: int
  place: int
  first: int
  last: int
  depth: int
  runs: int | None
  unknown: str


def steps_of(subgraphs: Sequence[Subgraph]) -> tuple[tuple[Step, ...], tuple[Buffer, ...]]:
  """Returns the operators in order, and the tensors in the head of the arena.

  The tensors are sorted by subgraph and index. In a network without further subgraphs the input is
  written in step 0, and operator i (from 0 on) runs in step i + 1.

  Raises:
    ValueError: a subgraph runs itself.
  """
  steps: list[Step] = []
  first: dict[tuple[int, int], int] = {}
  last: dict[tuple[int, int], int] = {}
  now = 0

  def enter(index: int, within: tuple[int, ...], runs: int | None, unknown: str) -> None:
    nonlocal now
    if index in within or len(steps) > _MOST_STEPS:
      raise ValueError(f'model: the subgraph {index} runs itself')
    subgraph = subgraphs[index]
    for tensor in (*subgraph.inputs, *subgraph.outputs):
      first[index, tensor] = last[index, tensor] = now
    for place, operator in enumerate(subgraph.operators):
      now += 1
      begin, slot = now, len(steps)
      steps.append(Step(index, place, begin, begin, len(within), runs, unknown))
      for tensor in operator.outputs:
        first[index, tensor] = last[index, tensor] = now
      for called, times in zip(operator.calls, _runs(subgraphs, subgraph, operator), strict=True):
        now += 1
        inner = 0 if runs == 0 or times == 0 else runs and times and runs * times
        cause = '' if inner is not None else unknown or operator.kind
        enter(called, (*within, index), inner, cause)
      steps[slot] = dataclasses.replace(steps[slot], last=now)
      for tensor in (*operator.inputs, *operator.outputs):
        if (index, tensor) in first:
          last[index, tensor] = now
    for tensor in subgraph.outputs:
      if (index, tensor) in first:
        last[index, tensor] = now

  enter(0, (), 1, '')
  buffers = [
    Buffer(tensor.size_bytes, first[key], last[key], tensor.offset)
    for key in sorted(first)
    if not (tensor := subgraphs[key[0]].tensors[key[1]]).constant_bytes and not tensor.is_variable
  ]
  return tuple(steps), tuple(buffers)


def scratch_of(operator: Operator, tensors: Sequence[Tensor]) -> tuple[int, ...]:
  """Returns the sizes in bytes of the scratch areas that the portable kernel requests, if known."""
  result = tensors[operator.outputs[0]] if operator.outputs else None
  if operator.kind == 'MEAN' and result:
    values, axes = (tensors[i] for i in operator.inputs)
    return mean_scratch(rank=len(values.shape), axes=axes.elements, outputs=result.elements)
  if operator.kind == 'TRANSPOSE_CONV' and result and result.dtype in _SUM_BYTES:
    return (result.elements * _SUM_BYTES[result.dtype],)
  if operator.kind == 'UNIDIRECTIONAL_SEQUENCE_LSTM' and len(operator.inputs) > _CELL_STATE:
    return (tensors[operator.inputs[_CELL_STATE]].size_bytes,) * 4  # one for each gate
  return ()


def _runs(
  subgraphs: Sequence[Subgraph], caller: Subgraph, operator: Operator
) -> tuple[int | None, ...]:
  """Returns how often each called subgraph runs for one run of the operator; None if unknown."""
  if operator.kind == 'CALL_ONCE':  # before the first inference
    return (0,)
  if operator.kind != 'WHILE':
    return (None,) * len(operator.calls)
  condition, body = (subgraphs[called] for called in operator.calls)
  values = [None if i < 0 else caller.tensors[i].number for i in operator.inputs]
  runs = _loop_runs(condition, body, values)
  return (None, None) if runs is None else (runs + 1, runs)


def _loop_runs(condition: Subgraph, body: Subgraph, values: list[int | None]) -> int | None:
  """Returns how often a loop runs if its condition depends on constants and counters alone."""
  for runs in range(_MOST_RUNS + 1):
    go = _results(condition, values)
    if not go or go[0] is None:
      return None
    if not go[0]:
      return runs
    values = _results(body, values)
  return None


def _results(subgraph: Subgraph, values: Sequence[int | None]) -> list[int | None]:
  """Computes the results of a subgraph that are single integers; None for other results."""
  known = {i: t.number for i, t in enumerate(subgraph.tensors) if t.number is not None}
  for index, value in zip(subgraph.inputs, values, strict=False):
    if value is not None:
      known[index] = value
  for operator in subgraph.operators:
    if compute := _ARITHMETIC.get(operator.kind):
      result = compute([known.get(i) for i in operator.inputs])
      if result is not None and subgraph.tensors[operator.outputs[0]].elements == 1:
        known[operator.outputs[0]] = result
  return [known.get(i) for i in subgraph.outputs]


Values = list[int | None]


def _of_all(function: Callable[..., int]) -> Callable[[Values], int | None]:
  def compute(values: Values) -> int | None:
    return None if None in values else int(function(*values))

  return compute


def _both(values: Values) -> int | None:
  return 0 if 0 in values else (None if None in values else 1)


def _either(values: Values) -> int | None:
  return 1 if any(values) else (None if None in values else 0)


def _same(values: Values) -> int | None:
  return values[0]


_ARITHMETIC: Mapping[str, Callable[[Values], int | None]] = {
  'ADD': _of_all(lambda a, b: a + b),
  'SUB': _of_all(lambda a, b: a - b),
  'MUL': _of_all(lambda a, b: a * b),
  'MAXIMUM': _of_all(max),
  'MINIMUM': _of_all(min),
  'LESS': _of_all(lambda a, b: a < b),
  'LESS_EQUAL': _of_all(lambda a, b: a <= b),
  'GREATER': _of_all(lambda a, b: a > b),
  'GREATER_EQUAL': _of_all(lambda a, b: a >= b),
  'EQUAL': _of_all(lambda a, b: a == b),
  'NOT_EQUAL': _of_all(lambda a, b: a != b),
  'LOGICAL_AND': _both,
  'LOGICAL_OR': _either,
  'LOGICAL_NOT': _of_all(lambda a: not a),
  'RESHAPE': _same,
}
