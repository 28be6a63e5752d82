"""Inspects any .tflite file, operator by operator: `rlnas.measure`.

It also reads files from other tools, which it does not trust: it verifies the flatbuffer, plans the
arena before it allocates anything, and runs TFLite Micro in a separate process.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from rlnas.cost.arena import NO_EXCESS, Arena, Contents, Excess
from rlnas.cost.arena_head import Buffer, aligned
from rlnas.cost.builds import HOST, Build
from rlnas.cost.instructions import Range, count_instructions
from rlnas.cost.terms import Workload, no_work
from rlnas.tflite import footprint as measuring
from rlnas.tflite import tflm
from rlnas.tflite.contents import contents_of, scales_of
from rlnas.tflite.macs import count_macs
from rlnas.tflite.model_file import Subgraph, read_subgraphs
from rlnas.tflite.walk import Step, steps_of
from rlnas.tflite.work import add_operator, is_wide

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
    is_int8: whether it reads no floating-point or 16-bit values.
    step: its place in TFLite Micro's plan, and how often it runs: a WHILE, an IF and a CALL_ONCE
      are followed by the operators of the subgraphs that they run.
  """

  kind: str
  macs: int | None
  shape: tuple[int, ...]
  live_bytes: int
  constant_bytes: int
  is_int8: bool
  step: Step


@dataclasses.dataclass(frozen=True)
class ModelReport:
  """The memory and the work of a .tflite file.

  Attributes:
    flash_bytes: size of the file.
    contents: the contents of the arena of TFLite Micro.
    recorded: what TFLite Micro took on this machine beyond the prediction; None if it is not
      installed.
    macs: number of multiply-accumulate operations in one inference; None if it is unknown, because
      the operators in `uncounted` have no formula or run as often as the data decide.
    operators: the operators, in the order of execution.
    constants: (label, bytes) of the weights and other constants, the largest first. A label is the
      name, or the number if there is no name, with the shape.
    quantization_bytes: size of scales and zero points if stored for every tensor that has them.
    has_dense_channel_scales: whether the weights of a dense layer have one scale for each output,
      which TFLite Micro knows since `DENSE_CHANNEL_SCALES_SINCE`. Models of rlnas have none.
    workload: the work of one inference; None if that of an operator is unknown, as for `macs`.
  """

  flash_bytes: int
  contents: Contents
  recorded: Excess | None
  macs: int | None
  operators: tuple[OperatorReport, ...]
  constants: tuple[tuple[str, int], ...]
  quantization_bytes: int
  has_dense_channel_scales: bool
  workload: Workload | None = dataclasses.field(compare=False, repr=False)

  def arena(self, build: Build = HOST) -> Arena:
    """The arena of a build of TFLite Micro: measured for that of this machine, else predicted."""
    return self.contents.arena(build, NO_EXCESS if self.recorded is None else self.recorded)

  @property
  def sram_bytes(self) -> int:
    """Size of the smallest arena in which the file can be loaded on this machine."""
    return self.arena().smallest_bytes

  @property
  def arena_head_bytes(self) -> int:
    """Size of activations and scratch memory on this machine."""
    return self.arena().head_bytes

  @property
  def arena_tail_bytes(self) -> int:
    """Size of the interpreter's structures on this machine, with pointers of 64 bits."""
    return self.arena().tail_bytes

  @property
  def sram_source(self) -> str:
    """'tflm' if TFLite Micro was run, 'analytic' if it is not installed."""
    return 'analytic' if self.recorded is None else 'tflm'

  @property
  def buffers(self) -> tuple[Buffer, ...]:
    """The tensors and scratch areas in the arena's head on this machine."""
    return self.contents.buffers(HOST)

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
  def kinds(self) -> tuple[str, ...]:
    """The different kinds of operators, sorted by name, which a firmware must register."""
    return tuple(sorted({operator.kind for operator in self.operators}))

  @property
  def is_int8(self) -> bool:
    """Whether all operators compute with int8 values."""
    return all(operator.is_int8 for operator in self.operators)

  def instructions(self, build: str) -> Range | None:
    """Estimates the instructions of one inference.

    Args:
      build: name of the build of TFLite Micro.

    Returns:
      The estimate; None if the work is unknown, or the build's kernels were not counted.
    """
    return None if self.workload is None else count_instructions(self.workload, build)

  @property
  def unassigned_bytes(self) -> int:
    """Size of the head beyond the known buffers: scratch memory of kernels, of unknown time."""
    return 0 if self.recorded is None else self.recorded.head_bytes


def measure(model: measuring.Model) -> ModelReport:
  """Inspects a .tflite file.

  Args:
    model: path or bytes of the file. It may come from any tool, and may be damaged.

  Returns:
    Its report. If TFLite Micro is not installed, SRAM is planned and `sram_source` says so.

  Raises:
    ValueError: the file is not a .tflite file or damaged; is larger than `MOST_FILE_BYTES`; cannot
      run on TFLite Micro, or only with properties that TFLite Micro ignores (the message has the
      cause); or needs an arena larger than `rlnas.cost.arena_head.MAX_ARENA_BYTES` (ArenaOverflow).
    OSError: the file cannot be read.
  """
  content = _read(model)
  subgraphs = read_subgraphs(content)
  steps, results = steps_of(subgraphs)
  contents = contents_of(subgraphs, steps, results)
  measuring.check_arena(contents.arena(HOST))
  recorded = _recorded(content, contents)
  constants, buffers = _constants(subgraphs), contents.buffers(HOST)
  reports = tuple(_operator_report(step, subgraphs, buffers, constants) for step in steps)
  macs = [r.macs for r in reports]
  tensors = [t for graph in subgraphs for t in graph.tensors]
  return ModelReport(
    flash_bytes=len(content),
    contents=contents,
    recorded=recorded,
    macs=None if None in macs else sum(filter(None, macs)),
    operators=reports,
    constants=tuple(sorted(constants.values(), key=lambda c: (-c[1], c[0]))),
    quantization_bytes=sum(4 * len(t.scales) + 8 * len(t.zero_points) for t in tensors),
    has_dense_channel_scales=any(
      o.kind == 'FULLY_CONNECTED' and scales_of(o, graph.tensors) > 1
      for graph in subgraphs
      for o in graph.operators
    ),
    workload=None if None in macs else _workload(steps, subgraphs, constants),
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


def _workload(
  steps: Sequence[Step], subgraphs: Sequence[Subgraph], constants: _Constants
) -> Workload | None:
  """The work of one inference; None if it is unknown how often an operator runs."""
  load = no_work()
  for step in steps:
    if step.runs is None:
      return None
    subgraph = subgraphs[step.subgraph]
    constant = {tensor for graph, tensor in constants if graph == step.subgraph}
    add_operator(
      load, subgraph.operators[step.place], subgraph.tensors, constants=constant, runs=step.runs
    )
  return load


def _operator_report(
  step: Step, subgraphs: Sequence[Subgraph], buffers: Sequence[Buffer], constants: _Constants
) -> OperatorReport:
  subgraph = subgraphs[step.subgraph]
  operator, tensors = subgraph.operators[step.place], subgraph.tensors
  inputs = [i for i in operator.inputs if i >= 0]
  macs = count_macs(operator, tensors)
  return OperatorReport(
    operator.kind,
    0 if macs == 0 else None if macs is None or step.runs is None else macs * step.runs,
    tensors[operator.outputs[0]].shape if operator.outputs else (),
    sum(aligned(b.size_bytes) for b in buffers if b.first <= step.first <= b.last),
    sum(constants[key][1] for i in inputs if (key := (step.subgraph, i)) in constants),
    not is_wide(operator, tensors),
    step,
  )


def _recorded(content: bytes, contents: Contents) -> Excess | None:
  """Returns what TFLite Micro takes beyond the prediction; None if it is not installed."""
  try:
    report = tflm.load_elsewhere(content)
  except ImportError:
    return None
  excess = measuring.recorded_excess(contents, report)
  measuring.check_arena(contents.arena(HOST, excess))
  return excess
