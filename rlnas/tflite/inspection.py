"""Inspects any .tflite file, operator by operator: `rlnas.measure`.

It also reads files from other tools and does not trust them: it verifies the flatbuffer, plans the
arena before it allocates anything, and runs TFLite Micro in a separate process.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlnas.cost.arena_head import Buffer, greedy_plan
from rlnas.cost.kernels import Structures, Work, chip_tail_bytes, scratch_bytes
from rlnas.tflite import footprint as measuring
from rlnas.tflite.footprint import ArenaOverflow, Footprint

MOST_FILE_BYTES = 64 * 2**20  # more flash than any microcontroller has
_SECONDS = 120  # time limit for TFLite Micro to load a model


@dataclasses.dataclass(frozen=True)
class OperatorReport:
  """An operator, in the order of execution.

  Attributes:
    kind: TensorFlow Lite's name of the operator, for example 'CONV_2D'.
    macs: number of multiply-accumulate operations in one inference.
    shape: shape of its (first) result, with the batch.
    live_bytes: size of the arena's head in use while it runs, aligned.
    constant_bytes: size of its weights, biases and other constants.
    work: the work that determines its time.
  """

  kind: str
  macs: int
  shape: tuple[int, ...]
  live_bytes: int
  constant_bytes: int
  work: Work


@dataclasses.dataclass(frozen=True)
class ModelReport:
  """The memory and the work of a .tflite file.

  Attributes:
    flash_bytes: size of the file.
    sram_bytes: size of the tensor arena, head and tail.
    arena_head_bytes: size of activations and scratch memory.
    arena_tail_bytes: size of the interpreter's structures on this 64-bit machine.
    sram_source: 'tflm' if TFLite Micro was run, 'analytic' if it is not installed.
    macs: number of multiply-accumulate operations in one inference.
    operators: the operators, in the order of execution.
    constants: (label, bytes) of the weights and other constants, the largest first. A label is the
      name, or the number if there is no name, with the shape.
    quantization_bytes: size of scales and zero points if stored for every tensor that has them.
    structures: numbers of the structures in the arena's tail.
    buffers: the buffers in the arena's head.
  """

  flash_bytes: int
  sram_bytes: int
  arena_head_bytes: int
  arena_tail_bytes: int
  sram_source: str
  macs: int
  operators: tuple[OperatorReport, ...]
  constants: tuple[tuple[str, int], ...]
  quantization_bytes: int
  structures: Structures
  buffers: tuple[Buffer, ...]

  @property
  def constant_bytes(self) -> int:
    """Size of all weights, biases and other constants."""
    return sum(size for _, size in self.constants)

  @property
  def overhead_bytes(self) -> int:
    """Size of the file without constants, scales and zero points.

    It can be negative if the file shares tables, because scales count for every tensor.
    """
    return self.flash_bytes - self.constant_bytes - self.quantization_bytes

  @property
  def peak(self) -> tuple[int, ...]:
    """Indices of the operators during which the largest part of the head is in use."""
    most = max((o.live_bytes for o in self.operators), default=0)
    return tuple(i for i, o in enumerate(self.operators) if o.live_bytes == most)

  def chip_arena_bytes(self, kernels: str) -> tuple[int, int] | None:
    """Predicts the size of the arena on a 32-bit chip.

    Args:
      kernels: one of `rlnas.cost.kernels.KERNELS`.

    Returns:
      (head, tail) in bytes; None if `kernels` is 'unknown'.

    Raises:
      ValueError: there are no such kernels.
    """
    if kernels == 'unknown':
      return None
    work = [o.work for o in self.operators]
    sizes = [scratch_bytes(w, kernels=kernels) for w in work]
    scratch = [Buffer(size, step, step) for step, size in enumerate(sizes, start=1) if size]
    head = max(self.arena_head_bytes, greedy_plan([*self.buffers, *scratch]).total_bytes)
    return head, chip_tail_bytes(self.arena_tail_bytes, self.structures, work, kernels=kernels)


def measure(model: measuring.Model) -> ModelReport:
  """Inspects a .tflite file.

  Args:
    model: path or bytes of the file. It may come from any tool, and may be damaged.

  Returns:
    Its report. If TFLite Micro is not installed, SRAM is planned and `sram_source` says so.

  Raises:
    ValueError: the file is no .tflite file or damaged, is larger than `MOST_FILE_BYTES`, has an
      operator that TFLite Micro lacks (the message names it), or needs an arena larger than
      `rlnas.tflite.footprint.MAX_ARENA_BYTES` (ArenaOverflow).
    OSError: the file cannot be read.
  """
  content = _read(model)
  interpreter = measuring.interpreter_of(content)
  try:
    tensors = {int(t['index']): t for t in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()
    _check_indices(content)
    _check_sound(tensors, operators)
    planned = measuring.analytic_footprint(content)
    buffers = measuring.arena_buffers(interpreter, tensors, operators)
  except (KeyError, IndexError, TypeError, OverflowError) as error:
    raise ValueError(f'model of {len(content)} bytes: damaged ({error!r})') from error
  footprint, structures = _allocated(content, planned, len(tensors), len(operators))
  constants = _constants(content)
  reports = tuple(
    _operator_report(step, operator, tensors, buffers, constants)
    for step, operator in enumerate(operators, start=1)
  )
  listed = sorted(
    ((t.label, t.size_bytes) for t in constants.values()), key=lambda c: (-c[1], c[0])
  )
  return ModelReport(
    **dataclasses.asdict(footprint),
    macs=sum(r.macs for r in reports),
    operators=reports,
    constants=tuple(listed),
    quantization_bytes=sum(
      4 * len(t['quantization_parameters']['scales'])
      + 8 * len(t['quantization_parameters']['zero_points'])
      for t in tensors.values()
    ),
    structures=structures,
    buffers=tuple(buffers),
  )


def _read(model: measuring.Model) -> bytes:
  if not isinstance(model, bytes):
    path = pathlib.Path(model)
    if path.stat().st_size > MOST_FILE_BYTES:
      raise ValueError(f'{path}: {path.stat().st_size} bytes; must be at most {MOST_FILE_BYTES}')
    model = path.read_bytes()
  if len(model) > MOST_FILE_BYTES:
    raise ValueError(f'model of {len(model)} bytes: must be at most {MOST_FILE_BYTES}')
  return model


def _check_sound(tensors: Mapping[int, Any], operators: Sequence[Any]) -> None:
  """Raises ValueError if a tensor has no definite size or no numbers, or there are no operators."""
  if not operators:
    raise ValueError('model: has no operators')
  for index, tensor in tensors.items():
    shape = [int(side) for side in tensor['shape']]
    if any(side < 0 for side in shape) or math.prod(shape) > 2**31:
      raise ValueError(f'model: tensor {index} has the shape {shape}; sizes must be definite')
    if np.dtype(tensor['dtype']).hasobject:
      raise ValueError(f'model: tensor {index} is of type {tensor["dtype"]}, not of numbers')


def _check_indices(content: bytes) -> None:
  """Raises ValueError if an operator refers to a tensor that does not exist.

  TensorFlow Lite's interpreter ignores such an operator; TFLite Micro reads beyond its tensors.
  """
  graph = measuring.schema.Model.GetRootAsModel(content, 0).Subgraphs(0)
  count = graph.TensorsLength()
  for place in range(graph.OperatorsLength()):
    operator = graph.Operators(place)
    named = [operator.Inputs(i) for i in range(operator.InputsLength())]
    named = [i for i in named if i != -1]  # -1 is an optional input that is left out
    named += [operator.Outputs(i) for i in range(operator.OutputsLength())]
    for index in named:
      if not 0 <= index < count:
        raise ValueError(f'model: operator {place} has the tensor {index}; must be below {count}')


@dataclasses.dataclass(frozen=True)
class _Constant:
  label: str
  size_bytes: int


def _constants(content: bytes) -> dict[int, _Constant]:
  """Returns the constants by tensor; a buffer that several tensors share counts for the first."""
  root = measuring.schema.Model.GetRootAsModel(content, 0)
  graph = root.Subgraphs(0)
  found: dict[int, _Constant] = {}
  counted: set[int] = set()
  for index in range(graph.TensorsLength()):
    tensor = graph.Tensors(index)
    buffer = tensor.Buffer()
    if buffer >= root.BuffersLength():
      raise ValueError(
        f'model: tensor {index} reads buffer {buffer}; must be below {root.BuffersLength()}'
      )
    size = root.Buffers(buffer).DataLength()
    if size:
      shape = 'x'.join(str(tensor.Shape(i)) for i in range(tensor.ShapeLength()))
      name = (tensor.Name() or b'').decode(errors='replace')
      label = f'{name or "tensor " + str(index)} ({shape})'
      found[index] = _Constant(label, 0 if buffer in counted else size)
      counted.add(buffer)
  return found


def _operator_report(
  step: int,
  operator: Mapping[str, Any],
  tensors: Mapping[int, Any],
  buffers: Sequence[Buffer],
  constants: Mapping[int, _Constant],
) -> OperatorReport:
  inputs = [int(i) for i in operator['inputs'] if i >= 0]
  shapes = [tuple(int(side) for side in tensors[i]['shape']) for i in inputs]
  result = tuple(int(side) for side in tensors[int(operator['outputs'][0])]['shape'])
  kind = operator['op_name']
  kernel = shapes[1] if len(shapes) > 1 else ()
  macs = _macs(kind, shapes, result)
  read = sum(math.prod(s) for i, s in zip(inputs, shapes, strict=True) if i not in constants)
  work = Work(
    kind,
    macs,
    max(read, math.prod(result)),
    kernel[1:] if kind in ('CONV_2D', 'DEPTHWISE_CONV_2D') else (),
    result[-1] if result else 1,
    scales=measuring.scales_of(kind, tensors[inputs[1]]) if len(inputs) > 1 else 0,
    inputs=len(inputs),
  )
  live = sum(-(-b.size_bytes // 16) * 16 for b in buffers if b.first <= step <= b.last)
  held = sum(constants[i].size_bytes for i in inputs if i in constants)
  return OperatorReport(kind, macs, result, live, held, work)


def _macs(kind: str, shapes: Sequence[tuple[int, ...]], result: tuple[int, ...]) -> int:
  """Returns the multiply-accumulate operations; 0 for operators that multiply no matrices."""
  if kind in ('CONV_2D', 'FULLY_CONNECTED'):  # output channels come first in the kernel
    return math.prod(result) * math.prod(shapes[1][1:])
  if kind == 'DEPTHWISE_CONV_2D':  # (1, height, width, channels)
    return math.prod(result) * math.prod(shapes[1][1:3])
  if kind == 'TRANSPOSE_CONV':  # (output shape, kernel, input)
    return math.prod(shapes[2]) * math.prod(shapes[1][:3])
  if kind == 'BATCH_MATMUL':
    return math.prod(result) * shapes[0][-1]
  return 0


def _allocated(
  content: bytes, planned: Footprint, tensors: int, operators: int
) -> tuple[Footprint, Structures]:
  """Returns what TFLite Micro allocates, or the planned values if it is not installed."""
  if importlib.util.find_spec('tflite_micro') is None:
    return planned, Structures(tensors, 2, 4, operators)
  report = _load_elsewhere(content)
  total, head, tail = (measuring.counted(report, part) for part in ('total', 'head', 'tail'))
  if total > measuring.MAX_ARENA_BYTES:
    raise ArenaOverflow(measuring.overflow_message(head, tail))
  structures = Structures(
    eval_tensors=_allocations(report, 'TfLiteEvalTensor data'),
    tensors=_allocations(report, 'Persistent TfLiteTensor data'),
    quantizations=_allocations(report, 'Persistent TfLiteTensor quantization data'),
    nodes=_allocations(report, 'NodeAndRegistration struct'),
  )
  return Footprint(len(content), total, head, tail, 'tflm'), structures


def _allocations(report: str, name: str) -> int:
  found = re.search(rf"'{name}' used \d+ bytes with alignment overhead \(.*? for (\d+) ", report)
  return int(found[1]) if found else 0


def _load_elsewhere(content: bytes) -> str:
  """Returns the recording allocator's report; a damaged file ends only the separate process."""
  command = [sys.executable, '-m', 'rlnas.tflite.tflm_probe']
  root = pathlib.Path(__file__).parents[2]
  paths = os.pathsep.join([str(root), *filter(None, [os.environ.get('PYTHONPATH')])])
  try:
    done = subprocess.run(  # noqa: S603 (our own program)
      command,
      input=content,
      capture_output=True,
      check=False,
      timeout=_SECONDS,
      env={**os.environ, 'PYTHONPATH': paths},
    )
  except subprocess.TimeoutExpired as error:
    raise ValueError(
      f'model of {len(content)} bytes: TFLite Micro takes too long to load'
    ) from error
  report = ' '.join((done.stdout + done.stderr).decode(errors='replace').split())
  if done.returncode == 0:
    return report
  measuring.check_operators(report)
  ended = f'it was ended by signal {-done.returncode}' if done.returncode < 0 else report[-300:]
  raise ValueError(
    f'model of {len(content)} bytes: damaged; TFLite Micro cannot load it: '
    f'{ended or f"it ended with code {done.returncode}"}'
  )
