"""What any .tflite file takes and does, operator by operator: `rlnas.measure`.

It works on files that others made, and does not trust them: the flatbuffer is verified, the arena
is planned before anything is allocated, and TFLite Micro runs in a process of its own.
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
_SECONDS = 120  # that TFLite Micro may take to load a model


@dataclasses.dataclass(frozen=True)
class OperatorReport:
  """An operator, in the order of execution.

  Attributes:
    kind: TensorFlow Lite's name, 'CONV_2D'.
    macs: multiply-accumulate operations of one inference.
    shape: of its (first) result, with the batch.
    live_bytes: of the arena's head in use while it runs, aligned.
    constant_bytes: its weights, biases and other constants.
    work: what its time depends on.
  """

  kind: str
  macs: int
  shape: tuple[int, ...]
  live_bytes: int
  constant_bytes: int
  work: Work


@dataclasses.dataclass(frozen=True)
class ModelReport:
  """What a .tflite file takes and does.

  Attributes:
    flash_bytes: size of the file.
    sram_bytes: tensor arena, head and tail.
    arena_head_bytes: activations and scratch.
    arena_tail_bytes: structures of the interpreter, as on this 64-bit machine.
    sram_source: 'tflm' where TFLite Micro was run, 'analytic' where it is not installable.
    macs: multiply-accumulate operations of one inference.
    operators: in the order of execution.
    constants: (name or shape, bytes) of the weights and other constants, the largest first.
    quantization_bytes: scales and zero points, as stored for every tensor that has them.
    structures: what lies in the arena's tail.
    buffers: what lies in the arena's head.
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
    """Of all weights, biases and other constants."""
    return sum(size for _, size in self.constants)

  @property
  def overhead_bytes(self) -> int:
    """Of the file beside constants, scales and zero points; negative where tables are shared."""
    return self.flash_bytes - self.constant_bytes - self.quantization_bytes

  @property
  def peak(self) -> tuple[int, ...]:
    """Indices of the operators during which the most of the head is in use."""
    most = max((o.live_bytes for o in self.operators), default=0)
    return tuple(i for i, o in enumerate(self.operators) if o.live_bytes == most)

  def chip_arena_bytes(self, kernels: str) -> tuple[int, int] | None:
    """(head, tail) of the arena on a 32-bit chip; None where its kernels are 'unknown'.

    Args:
      kernels: one of `rlnas.cost.kernels.KERNELS`.

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
  """Examines a .tflite file.

  Args:
    model: path or bytes of the file; it need not be one of ours, nor sound.

  Returns:
    Its report. Where TFLite Micro is not installed, SRAM is planned and `sram_source` says so.

  Raises:
    ValueError: the file is no .tflite file or damaged, is larger than `MOST_FILE_BYTES`, has an
      operator that TFLite Micro lacks, which is named, or needs an arena beyond
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
  """Raises ValueError where a tensor has no definite size, or there is nothing to run."""
  if not operators:
    raise ValueError('model: has no operators')
  for index, tensor in tensors.items():
    shape = [int(side) for side in tensor['shape']]
    if any(side < 0 for side in shape) or math.prod(shape) > 2**31:
      raise ValueError(f'model: tensor {index} has the shape {shape}; sizes must be definite')
    if np.dtype(tensor['dtype']).hasobject:
      raise ValueError(f'model: tensor {index} is of type {tensor["dtype"]}, not of numbers')


def _check_indices(content: bytes) -> None:
  """Raises ValueError where an operator names a tensor that is not there.

  TensorFlow Lite's interpreter leaves such an operator out, TFLite Micro reads beyond its tensors.
  """
  graph = measuring.schema.Model.GetRootAsModel(content, 0).Subgraphs(0)
  count = graph.TensorsLength()
  for place in range(graph.OperatorsLength()):
    operator = graph.Operators(place)
    named = [operator.Inputs(i) for i in range(operator.InputsLength())]
    named = [i for i in named if i != -1]  # an input that is left out
    named += [operator.Outputs(i) for i in range(operator.OutputsLength())]
    for index in named:
      if not 0 <= index < count:
        raise ValueError(f'model: operator {place} has the tensor {index}, of {count}')


@dataclasses.dataclass(frozen=True)
class _Constant:
  label: str
  size_bytes: int


def _constants(content: bytes) -> dict[int, _Constant]:
  """By tensor; a buffer that several tensors read is counted for the first."""
  root = measuring.schema.Model.GetRootAsModel(content, 0)
  graph = root.Subgraphs(0)
  found: dict[int, _Constant] = {}
  counted: set[int] = set()
  for index in range(graph.TensorsLength()):
    tensor = graph.Tensors(index)
    buffer = tensor.Buffer()
    if buffer >= root.BuffersLength():
      raise ValueError(f'model: tensor {index} reads buffer {buffer} of {root.BuffersLength()}')
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
  """Of operators that multiply matrices; the others have none."""
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
  """What TFLite Micro allocates; what was planned where it is not installed."""
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
  """The recording allocator's report, from a process that may die of a damaged file."""
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
    raise ValueError(f'model of {len(content)} bytes: TFLite Micro does not end') from error
  report = ' '.join((done.stdout + done.stderr).decode(errors='replace').split())
  if done.returncode == 0:
    return report
  measuring.check_operators(report)
  ended = f'it was ended by signal {-done.returncode}' if done.returncode < 0 else report[-300:]
  raise ValueError(
    f'model of {len(content)} bytes: damaged; TFLite Micro cannot load it: '
    f'{ended or f"it ended with code {done.returncode}"}'
  )
