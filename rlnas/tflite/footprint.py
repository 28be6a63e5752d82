"""Measures the flash and SRAM that a quantized network needs on a microcontroller.

Flash is the size of the .tflite file. SRAM is the tensor arena as TFLite Micro allocates it: the
head holds activations and scratch memory, the tail the interpreter's structures (David et al. 2021,
TensorFlow Lite Micro, section 4.4). On a 64-bit machine the structures hold wider pointers, so the
tail is larger here than on a 32-bit chip: the figure is an upper bound.
"""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from rlnas.backend import captured_output, flatbuffer_utils, quiet, tf
from rlnas.budget import Resources
from rlnas.cost.arena_head import (
  MAX_ARENA_BYTES,
  MEAN_SCRATCH,
  ROOMY_ARENA_BYTES,
  Buffer,
  greedy_plan,
  mean_scratch,
)
from rlnas.cost.arena_tail import HOST, Node, Nodes, tail_bytes

Model = bytes | os.PathLike[str] | str

schema = flatbuffer_utils.schema_fb
_WITH_KERNEL = frozenset({'CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED'})


class ArenaOverflow(ValueError):  # noqa: N818 (names what happened, as OverflowError does)
  """The network needs a tensor arena larger than `MAX_ARENA_BYTES`."""


@dataclasses.dataclass(frozen=True)
class Footprint:
  """The memory that a network needs on the chip.

  Attributes:
    flash_bytes: size of the .tflite file.
    sram_bytes: size of the tensor arena once the network is loaded: head and tail. While it loads,
      TFLite Micro's planner needs about 32 bytes per tensor and 40 per buffer beside the tail. If
      that is more than the head, a firmware must reserve more: 4,632 instead of 3,984 bytes for the
      anomaly detector of MLPerf Tiny, 1.2 to 1.4 times as much for unrolled recurrent networks, 80
      bytes more for one of 230 convolutional networks, and nothing more for the others.
    arena_head_bytes: size of activations and scratch memory.
    arena_tail_bytes: size of the interpreter's structures.
    sram_source: 'tflm' if TFLite Micro was run, 'analytic' if it is not installed.
  """

  flash_bytes: int
  sram_bytes: int
  arena_head_bytes: int
  arena_tail_bytes: int
  sram_source: str

  @property
  def resources(self) -> Resources:
    """The flash and SRAM that the network needs."""
    return Resources(self.flash_bytes, self.sram_bytes)

  @property
  def is_planned(self) -> bool:
    """Whether the arena was planned without TFLite Micro."""
    return self.sram_source == 'analytic'


def measure(model: Model) -> Footprint:
  """Measures a .tflite file by loading it into TFLite Micro, which has a recording allocator.

  If TFLite Micro is not installed, the plan of `analytic_footprint` is returned and a warning is
  logged once.

  Args:
    model: path or bytes of the file.

  Raises:
    ValueError: the model is no .tflite file, or has an operator that TFLite Micro lacks.
    ArenaOverflow: the arena would be larger than `MAX_ARENA_BYTES`.
    RuntimeError: TFLite Micro cannot load the model for another reason, which is quoted.
  """
  content = read_model(model)
  planned = analytic_footprint(content)
  try:
    report = _load_in_tflm(content)
  except ImportError:
    logging.log_first_n(
      logging.WARNING,
      'TFLite Micro (tflite-micro) is not installed: SRAM figures are planned, not measured.',
      1,
    )
    return planned
  total, head, tail = (counted(report, part) for part in ('total', 'head', 'tail'))
  if total > MAX_ARENA_BYTES:
    raise ArenaOverflow(overflow_message(head, tail))
  return Footprint(len(content), total, head, tail, 'tflm')


def analytic_footprint(model: Model) -> Footprint:
  """Plans the arena as TFLite Micro does, but without running it.

  The head was exact for all of 256 random networks (89 chains, 119 that branch, 48 unrolled
  recurrent ones), and the tail for 42 networks of all spaces. The tail lacks the data of kernels
  for operators that `rlnas.cost.arena_tail` does not know.

  Raises:
    ValueError: the model is no .tflite file.
    ArenaOverflow: the arena would be larger than `MAX_ARENA_BYTES`.
  """
  content = read_model(model)
  interpreter = interpreter_of(content)
  tensors = {t['index']: t for t in interpreter.get_tensor_details()}
  operators = interpreter._get_ops_details()
  head = greedy_plan(arena_buffers(interpreter, tensors, operators)).total_bytes
  tail = tail_bytes(
    HOST,
    Nodes.of([_node(operator, tensors) for operator in operators]),
    tensors=len(tensors),
    inputs=len(interpreter.get_input_details()),
    outputs=len(interpreter.get_output_details()),
    quantized=interpreter.get_input_details()[0]['quantization'][0] > 0,
  )
  if head + tail > MAX_ARENA_BYTES:
    raise ArenaOverflow(overflow_message(head, tail))
  return Footprint(len(content), head + tail, head, tail, 'analytic')


def read_model(model: Model) -> bytes:
  """Returns the bytes of a model or reads them from its file. Raises OSError if it cannot."""
  return model if isinstance(model, bytes) else pathlib.Path(model).read_bytes()


def interpreter_of(content: bytes) -> Any:
  """Opens TensorFlow Lite's interpreter; unlike TFLite Micro, it verifies the file.

  Raises:
    ValueError: `content` is not a .tflite file.
  """
  with quiet():
    try:
      return tf.lite.Interpreter(
        model_content=content,
        experimental_op_resolver_type=(
          tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
        num_threads=1,
      )
    except ValueError as error:
      raise ValueError(f'model of {len(content)} bytes: not a .tflite file ({error})') from error


def _load_in_tflm(content: bytes) -> str:
  """Loads a verified, planned model and returns the report of the recording allocator."""
  from tflite_micro import runtime

  report, loaded = '', False
  with captured_output() as output:
    try:
      runtime.Interpreter.from_bytes(content, arena_size=ROOMY_ARENA_BYTES).print_allocations()
      loaded = True
    except RuntimeError:  # the output contains its cause
      pass
    output.seek(0)
    report = ' '.join(output.read().decode(errors='replace').split())
  if not loaded:
    check_operators(report)
    raise RuntimeError(f'TFLite Micro cannot load the model: {report}')
  return report


def check_operators(report: str) -> None:
  """Raises ValueError if TFLite Micro reports an operator that it lacks."""
  if missing := re.search(r'Failed to get registration from op code (\S+)', report):
    raise ValueError(f'model: TFLite Micro has no operator {missing[1]}')


def overflow_message(head: int, tail: int) -> str:
  """Returns the message that the arena is larger than `MAX_ARENA_BYTES`."""
  return f'the tensor arena needs {head} + {tail} bytes, more than {MAX_ARENA_BYTES}'


def counted(report: str, part: str) -> int:
  """Reads the bytes of a part of the arena ('total', 'head', 'tail') from the allocator's report.

  Raises:
    RuntimeError: the report does not contain them.
  """
  found = re.search(rf'Arena allocation {part} (\d+) bytes', report)
  if not found:
    raise RuntimeError(f'TFLite Micro reports no {part} of its arena: {report!r}')
  return int(found[1])


def arena_buffers(
  interpreter: Any, tensors: dict[int, Any], operators: Sequence[dict[str, Any]]
) -> list[Buffer]:
  """Lists the arena's buffers as MicroAllocator does: tensors by index, then scratch areas.

  The input is written in step 0, and operator i (from 0 on) runs in step i + 1.
  """
  first = {int(t['index']): 0 for t in interpreter.get_input_details()}
  last = dict(first)
  for step, operator in enumerate(operators, start=1):
    for index in operator['outputs']:
      first.setdefault(int(index), step)
    for index in (*operator['inputs'], *operator['outputs']):
      if index in first:  # not a constant
        last[int(index)] = step
  for detail in interpreter.get_output_details():
    last[int(detail['index'])] = len(operators)

  def elements(index: int) -> int:
    return math.prod(map(int, tensors[index]['shape']))

  scratch = [
    buffer
    for step, operator in enumerate(operators, start=1)
    if operator['op_name'] == 'MEAN'
    for buffer in mean_scratch(
      step,
      rank=len(tensors[operator['inputs'][0]]['shape']),
      axes=elements(operator['inputs'][1]),
      outputs=elements(operator['outputs'][0]),
    )
  ]
  sizes = {i: elements(i) * np.dtype(tensors[i]['dtype']).itemsize for i in first}
  return [Buffer(sizes[i], first[i], last[i]) for i in sorted(first)] + scratch


def scales_of(kind: str, kernel: dict[str, Any]) -> int:
  """Returns the number of multipliers, one per channel, that an operator's kernel stores."""
  if kind in ('CONV_2D', 'DEPTHWISE_CONV_2D') and kernel['dtype'] == np.int8:
    return int(kernel['shape'][0 if kind == 'CONV_2D' else -1])
  scales = len(kernel['quantization_parameters']['scales'])
  return scales if kind == 'FULLY_CONNECTED' and scales > 1 else 0


def _node(operator: dict[str, Any], tensors: dict[int, Any]) -> Node:
  kind, inputs = operator['op_name'], operator['inputs']
  scales = scales_of(kind, tensors[inputs[1]]) if kind in _WITH_KERNEL else 0
  return Node(kind, scales, len(inputs), MEAN_SCRATCH if kind == 'MEAN' else 0)
