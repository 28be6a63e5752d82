"""Measures the flash and SRAM that a quantized network needs on a microcontroller.

Flash is the size of the .tflite file. SRAM is the tensor arena as TFLite Micro allocates it: the
head holds activations and scratch memory, the tail the interpreter's structures (David et al. 2021,
TensorFlow Lite Micro, section 4.4). On a 64-bit machine the structures hold wider pointers, so the
tail is larger here than on a 32-bit chip: the figure is an upper bound.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from absl import logging

from rlnas.budget import Resources
from rlnas.cost.arena_head import MAX_ARENA_BYTES, MEAN_SCRATCH, Buffer, greedy_plan
from rlnas.cost.arena_tail import Node, Nodes, tail_bytes
from rlnas.cost.structures import HOST
from rlnas.tflite import tflm
from rlnas.tflite.model_file import Operator, Subgraph, Tensor, opens, read_subgraphs
from rlnas.tflite.walk import steps_of

Model = bytes | os.PathLike[str] | str

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
    ValueError: the model is no .tflite file, or TFLite Micro cannot run it; the cause is quoted.
    ArenaOverflow: the arena would be larger than `MAX_ARENA_BYTES`.
  """
  content = read_model(model)
  plan = analytic_footprint(content)
  try:
    # What TensorFlow Lite refuses might end the process; it gets one of its own.
    report = tflm.load(content) if opens(content) else tflm.load_elsewhere(content)
  except ImportError:
    logging.log_first_n(
      logging.WARNING,
      'TFLite Micro (tflite-micro) is not installed: SRAM figures are planned, not measured.',
      1,
    )
    return plan
  return allocated(content, report)


def analytic_footprint(model: Model) -> Footprint:
  """Plans the arena as TFLite Micro does, but without running it.

  The head was exact for all of 256 random networks (89 chains, 119 that branch, 48 unrolled
  recurrent ones), and the tail for 42 networks of all spaces. The tail lacks the data of kernels
  for operators that `rlnas.cost.arena_tail` does not know.

  Raises:
    ValueError: see `rlnas.tflite.model_file.read_subgraphs`.
    ArenaOverflow: the arena would be larger than `MAX_ARENA_BYTES`.
  """
  content = read_model(model)
  subgraphs = read_subgraphs(content)
  return planned(len(content), subgraphs, steps_of(subgraphs)[1])


def planned(
  flash_bytes: int, subgraphs: Sequence[Subgraph], buffers: Sequence[Buffer]
) -> Footprint:
  """As `analytic_footprint`, for a file that is read already."""
  network = subgraphs[0]
  inputs = [network.tensors[i] for i in network.inputs]
  head = greedy_plan(buffers).total_bytes
  tail = tail_bytes(
    HOST,
    Nodes.of([_node(o, graph.tensors) for graph in subgraphs for o in graph.operators]),
    tensors=sum(len(graph.tensors) for graph in subgraphs),
    inputs=len(inputs),
    outputs=len(network.outputs),
    quantized=bool(inputs and inputs[0].scales),
  )
  if head + tail > MAX_ARENA_BYTES:
    raise ArenaOverflow(overflow_message(head, tail))
  return Footprint(flash_bytes, head + tail, head, tail, 'analytic')


def allocated(content: bytes, report: str) -> Footprint:
  """Returns the footprint that TFLite Micro reports. Raises ArenaOverflow, or RuntimeError."""
  total, head, tail = (tflm.counted(report, part) for part in ('total', 'head', 'tail'))
  if total > MAX_ARENA_BYTES:
    raise ArenaOverflow(overflow_message(head, tail))
  return Footprint(len(content), total, head, tail, 'tflm')


def read_model(model: Model) -> bytes:
  """Returns the bytes of a model or reads them from its file. Raises OSError if it cannot."""
  return model if isinstance(model, bytes) else pathlib.Path(model).read_bytes()


def overflow_message(head: int, tail: int) -> str:
  """Returns the message that the arena is larger than `MAX_ARENA_BYTES`."""
  return f'the tensor arena needs {head} + {tail} bytes, more than {MAX_ARENA_BYTES}'


def scales_of(operator: Operator, tensors: Sequence[Tensor]) -> int:
  """Returns the number of multipliers, one per channel, that an operator's kernel stores."""
  kind = operator.kind
  if kind not in _WITH_KERNEL or len(operator.inputs) < 2 or operator.inputs[1] < 0:
    return 0
  kernel = tensors[operator.inputs[1]]
  if kind != 'FULLY_CONNECTED' and kernel.dtype in ('INT8', 'INT4'):
    return kernel.shape[0 if kind == 'CONV_2D' else -1]
  scales = len(kernel.scales)
  return scales if kind == 'FULLY_CONNECTED' and scales > 1 else 0


def _node(operator: Operator, tensors: Sequence[Tensor]) -> Node:
  scratch = MEAN_SCRATCH if operator.kind == 'MEAN' else 0
  return Node(operator.kind, scales_of(operator, tensors), len(operator.inputs), scratch)
