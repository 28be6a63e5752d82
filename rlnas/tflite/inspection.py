"""Inspects any .tflite file, operator by operator: `rlnas.measure`.

It also reads files from other tools and does not trust them: it verifies the flatbuffer, plans the
arena before it allocates anything, and runs TFLite Micro in a separate process.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from rlnas.cost.arena_head import Buffer, aligned, greedy_plan
from rlnas.cost.kernels import Structures, Work, chip_tail_bytes, scratch_bytes
from rlnas.tflite import footprint as measuring
from rlnas.tflite import tflm
from rlnas.tflite.footprint import Footprint
from rlnas.tflite.macs import count_macs
from rlnas.tflite.model_file import Subgraph, read_subgraphs
from rlnas.tflite.walk import Step, steps_of

MOST_FILE_BYTES = 64 * 2**20  # more flash than any microcontroller has

# The release of TFLite Micro that reads one scale for each output of a dense layer (tflite-micro
# 47b545074). Since the end of May 2024 it had refused such layers, before it used the first scale.
DENSE_CHANNEL_SCALES_SINCE = '27 September 2024'


@dataclasses.dataclass(frozen=True)
class OperatorReport:
  """An operator, in the order of execution.

  Attributes:
    kind: TensorFlow Lite's name of the operator, for example 'CONV_2D'.
    macs: number of multiply-accumulate operations of all its runs in one inference; None if it is
      unknown.
    shape: shape of its (first) result, with the batch.
    live_bytes: size of the arena's head in use while it runs, aligned.
    constant_bytes: size of its weights, biases and other constants.
    work: the work of one run, which determines its time.
    step: where it stands in TFLite Micro's plan, and how often it runs: a WHILE, an IF and a
      CALL_ONCE are followed by the operators of the subgraphs that they run.
  """

  kind: str
  macs: int | None
  shape: tuple[int, ...]
  live_bytes: int
  constant_bytes: int
  work: Work
  step: Step


@dataclasses.dataclass(frozen=True)
class ModelReport:
  """The memory and the work of a .tflite file.

  Attributes:
    flash_bytes: size of the file.
    sram_bytes: size of the tensor arena, head and tail.
    arena_head_bytes: size of activations and scratch memory.
    arena_tail_bytes: size of the interpreter's structures on this 64-bit machine.
    sram_source: 'tflm' if TFLite Micro was run, 'analytic' if it is not installed.
    macs: number of multiply-accumulate operations in one inference; None if it is unknown, because
      the operators in `uncounted` have no formula or run as often as the data demand.
    operators: the operators, in the order of execution.
    constants: (label, bytes) of the weights and other constants, the largest first. A label is the
      name, or the number if there is no name, with the shape.
    quantization_bytes: size of scales and zero points if stored for every tensor that has them.
    structures: numbers of the structures in the arena's tail.
    buffers: the buffers in the arena's head.
    has_dense_channel_scales: whether the weights of a dense layer have one scale for each output,
      which TFLite Micro knows since `DENSE_CHANNEL_SCALES_SINCE`. Models of rlnas have none.
  """

  flash_bytes: int
  sram_bytes: int
  arena_head_bytes: int
  arena_tail_bytes: int
  sram_source: str
  macs: int | None
  operators: tuple[OperatorReport, ...]
  constants: tuple[tuple[str, int], ...]
  quantization_bytes: int
  structures: Structures
  buffers: tuple[Buffer, ...]
  has_dense_channel_scales: bool

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

  @property
  def uncounted(self) -> tuple[str, ...]:
    """Kinds of the operators that keep the MACs from being known, sorted by name."""
    return tuple(sorted({o.step.unknown or o.kind for o in self.operators if o.macs is None}))

  @property
  def work(self) -> tuple[Work, ...] | None:
    """The work of one inference, in order, or None if that of an operator is unknown."""
    if any(o.macs is None or o.step.runs is None for o in self.operators):
      return None
    return tuple(o.work for o in self.operators)

  @property
  def unassigned_bytes(self) -> int:
    """Size of the head beyond the known buffers: scratch memory of kernels, of unknown time."""
    return max(0, self.arena_head_bytes - greedy_plan(self.buffers).total_bytes)

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
    scratch = [
      Buffer(size, o.step.first, o.step.first)
      for o in self.operators
      if (size := scratch_bytes(o.work, kernels=kernels))
    ]
    head = max(self.arena_head_bytes, greedy_plan([*self.buffers, *scratch]).total_bytes)
    once = {(o.step.subgraph, o.step.place): o.work for o in self.operators}
    work = list(once.values())
    return head, chip_tail_bytes(self.arena_tail_bytes, self.structures, work, kernels=kernels)


def measure(model: measuring.Model) -> ModelReport:
  """Inspects a .tflite file.

  Args:
    model: path or bytes of the file. It may come from any tool, and may be damaged.

  Returns:
    Its report. If TFLite Micro is not installed, SRAM is planned and `sram_source` says so.

  Raises:
    ValueError: the file is no .tflite file or damaged; is larger than `MOST_FILE_BYTES`; cannot run
      on TFLite Micro, or only with properties that TFLite Micro ignores (the message has the
      cause); or needs an arena larger than `rlnas.cost.arena_head.MAX_ARENA_BYTES`
      (ArenaOverflow).
    OSError: the file cannot be read.
  """
  content = _read(model)
  subgraphs = read_subgraphs(content)
  steps, buffers = steps_of(subgraphs)
  planned = measuring.planned(len(content), subgraphs, buffers)
  footprint, structures = _allocated(content, planned, subgraphs)
  constants = _constants(subgraphs)
  reports = tuple(_operator_report(step, subgraphs, buffers, constants) for step in steps)
  macs = [r.macs for r in reports]
  tensors = [t for graph in subgraphs for t in graph.tensors]
  return ModelReport(
    **dataclasses.asdict(footprint),
    macs=None if None in macs else sum(filter(None, macs)),
    operators=reports,
    constants=tuple(sorted(constants.values(), key=lambda c: (-c[1], c[0]))),
    quantization_bytes=sum(4 * len(t.scales) + 8 * len(t.zero_points) for t in tensors),
    structures=structures,
    buffers=buffers,
    has_dense_channel_scales=any(
      o.kind == 'FULLY_CONNECTED' and measuring.scales_of(o, graph.tensors) > 1
      for graph in subgraphs
      for o in graph.operators
    ),
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


# (label, bytes) of each constant, by subgraph and tensor.
_Constants = Mapping[tuple[int, int], tuple[str, int]]


def _constants(subgraphs: Sequence[Subgraph]) -> _Constants:
  """Returns the constants; a buffer that several tensors share counts for the first."""
  found: dict[tuple[int, int], tuple[str, int]] = {}
  counted: set[int] = set()
  for place, subgraph in enumerate(subgraphs):
    for index, tensor in enumerate(subgraph.tensors):
      if tensor.constant_bytes:
        label = f'{tensor.name or f"tensor {index}"} ({"x".join(map(str, tensor.shape))})'
        size = 0 if tensor.buffer in counted else tensor.constant_bytes
        found[place, index] = label, size
        counted.add(tensor.buffer)
  return found


def _operator_report(
  step: Step, subgraphs: Sequence[Subgraph], buffers: Sequence[Buffer], constants: _Constants
) -> OperatorReport:
  subgraph = subgraphs[step.subgraph]
  operator, tensors = subgraph.operators[step.place], subgraph.tensors
  kind, inputs = operator.kind, [i for i in operator.inputs if i >= 0]
  result = tensors[operator.outputs[0]] if operator.outputs else None
  shape = result.shape if result else ()
  kernel = tensors[inputs[1]].shape if len(inputs) > 1 else ()
  read = sum(tensors[i].elements for i in inputs if (step.subgraph, i) not in constants)
  macs = count_macs(operator, tensors)
  work = Work(
    kind,
    macs or 0,
    max(read, result.elements if result else 0),
    kernel[1:] if kind in ('CONV_2D', 'DEPTHWISE_CONV_2D') else (),
    shape[-1] if shape else 1,
    scales=measuring.scales_of(operator, tensors),
    inputs=len(inputs),
    runs=step.runs or 0,
    is_int8=not any(tensors[i].dtype.startswith(('FLOAT', 'INT16')) for i in inputs),
  )
  return OperatorReport(
    kind,
    0 if macs == 0 else None if macs is None or step.runs is None else macs * step.runs,
    shape,
    sum(aligned(b.size_bytes) for b in buffers if b.first <= step.first <= b.last),
    sum(constants[key][1] for i in inputs if (key := (step.subgraph, i)) in constants),
    work,
    step,
  )


def _allocated(
  content: bytes, planned: Footprint, subgraphs: Sequence[Subgraph]
) -> tuple[Footprint, Structures]:
  """Returns what TFLite Micro allocates, or the planned values if it is not installed."""
  try:
    report = tflm.load_elsewhere(content)
  except ImportError:
    tensors = sum(len(graph.tensors) for graph in subgraphs)
    operators = sum(len(graph.operators) for graph in subgraphs)
    return planned, Structures(tensors, 2, 4, operators)
  structures = Structures(
    eval_tensors=tflm.allocations(report, 'TfLiteEvalTensor data'),
    tensors=tflm.allocations(report, 'Persistent TfLiteTensor data'),
    quantizations=tflm.allocations(report, 'Persistent TfLiteTensor quantization data'),
    nodes=tflm.allocations(report, 'NodeAndRegistration struct'),
  )
  return measuring.allocated(content, report), structures
