"""Writes a .tflite file for other tools that import models, besides TFLite Micro.

`rlnas.tflite.compact` removes what TFLite Micro does not need. Compilers that make C code of a file
need the scales of biases, which follow from those of input and weights; without names, several
tools cannot tell the tensors apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rlnas.backend import flatbuffer_utils
from rlnas.tflite.compact import agree, pack, with_bias
from rlnas.tflite.model_file import OFFLINE_PLAN

_schema = flatbuffer_utils.schema_fb


def portable(model: bytes) -> bytes:
  """Returns the network with scales of all biases, with names, and without a plan of the arena.

  Args:
    model: a full-integer .tflite file with one subgraph.

  Raises:
    ValueError: the file has several subgraphs, or the outputs would differ.
  """
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  if len(graph.subgraphs) != 1:
    raise ValueError(f'model: has {len(graph.subgraphs)} subgraphs; must have one')
  (subgraph,) = graph.subgraphs
  for source, kernel, bias in with_bias(graph):
    _describe(subgraph.tensors[bias], subgraph.tensors[source], subgraph.tensors[kernel])
  ports = {int(subgraph.inputs[0]): 'input', int(subgraph.outputs[0]): 'output'}
  for index, tensor in enumerate(subgraph.tensors):
    tensor.name = tensor.name or ports.get(index, f'tensor_{index}')
  subgraph.name = subgraph.name or 'main'
  for plan in [m for m in graph.metadata or () if m.name == OFFLINE_PLAN]:
    graph.metadata.remove(plan)
    graph.buffers[plan.buffer].data = None
  written = pack(graph)
  if not agree(model, written):
    raise ValueError('model: its portable form gives other outputs')
  return written


def _describe(bias: Any, source: Any, kernel: Any) -> None:
  """Gives a bias the scale of the products that it is added to: one per channel, or one in all."""
  scales = np.asarray(kernel.quantization.scale, np.float32)
  bias.quantization = _schema.QuantizationParametersT()
  bias.quantization.scale = np.float32(source.quantization.scale[0]) * scales
  bias.quantization.zeroPoint = np.zeros(len(scales), np.int64)
  bias.quantization.quantizedDimension = 0
