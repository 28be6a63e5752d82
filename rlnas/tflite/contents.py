"""The contents of the tensor arena for a .tflite file: its operators and its tensors."""

from __future__ import annotations

from collections.abc import Sequence

from rlnas.cost.arena import Contents, KernelShape
from rlnas.cost.arena_head import Buffer
from rlnas.tflite.model_file import Operator, Subgraph, Tensor
from rlnas.tflite.walk import Step, scratch_of

_WITH_KERNEL = frozenset({'CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED'})


def contents_of(
  subgraphs: Sequence[Subgraph], steps: Sequence[Step], results: Sequence[Buffer]
) -> Contents:
  """Returns the contents of the arena for a file.

  Args:
    subgraphs: its subgraphs.
    steps: its operators in order, from `rlnas.tflite.walk.steps_of`.
    results: the tensors in the head, likewise.
  """
  operators = [(g, o) for g, graph in enumerate(subgraphs) for o in range(len(graph.operators))]
  places = {key: index for index, key in enumerate(operators)}
  network = subgraphs[0]
  inputs = [network.tensors[i] for i in network.inputs]
  return Contents(
    tuple(kernel_shape_of(subgraphs[g].operators[o], subgraphs[g].tensors) for g, o in operators),
    tuple((places[step.subgraph, step.place], step.first) for step in steps),
    tuple(results),
    tensors=sum(len(graph.tensors) for graph in subgraphs),
    inputs=len(inputs),
    outputs=len(network.outputs),
    quantized=bool(inputs and inputs[0].scales),
    subgraphs=len(subgraphs),
  )


def kernel_shape_of(operator: Operator, tensors: Sequence[Tensor]) -> KernelShape:
  """Returns the properties of an operator that the arena needs; `tensors` are its subgraph's."""
  inputs = [i for i in operator.inputs if i >= 0]
  result = tensors[operator.outputs[0]] if operator.outputs else None
  shape = result.shape if result else ()
  kernel = tensors[inputs[1]].shape if len(inputs) > 1 else ()
  entry = tensors[inputs[0]].shape if inputs else ()
  is_depthwise = operator.kind == 'DEPTHWISE_CONV_2D'
  return KernelShape(
    operator.kind,
    kernel[1:] if is_depthwise or operator.kind == 'CONV_2D' else (),
    shape[-1] if shape else 1,
    scales=scales_of(operator, tensors),
    inputs=len(inputs),
    multiplier=shape[-1] // max(1, entry[-1]) if is_depthwise and shape and entry else 1,
    is_dilated=(operator.window.dilation_height, operator.window.dilation_width) != (1, 1),
    scratch=scratch_of(operator, tensors),
  )


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
