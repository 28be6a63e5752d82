import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape, infer_shapes
from rlnas.child.builder import build
from rlnas.cost.limits import MAX_CONCAT_INPUTS, within_limits
from rlnas.spaces import layers
from rlnas.tflite.footprint import measure
from rlnas.tflite.quantize import quantize

TASK = TaskShape((4, 4, 1), 3)


def wide(count):
  """Convolutions of 1, 2, 3, 4, 1, ... filters, concatenated; their channels tell their order."""
  graph = Graph()
  parts = [layers.conv(graph, 0, filters=1 + i % 4, kernel=1) for i in range(count)]
  return graph.finish(graph.classify(graph.add('concat', *parts)))


@pytest.mark.parametrize('count', [2, 10, 11, 19, 20, 57])
def test_concatenations_are_split_and_keep_their_order(count):
  split = within_limits(wide(count))
  concats = [n for n in split.nodes if n.op == 'concat']
  assert all(2 <= len(n.inputs) <= MAX_CONCAT_INPUTS for n in concats)

  def parts(index):
    node = split.nodes[index]
    return [p for i in node.inputs for p in parts(i)] if node.op == 'concat' else [node]

  original = wide(count)
  whole = next(n for n in original.nodes if n.op == 'concat')
  assert parts(len(split.nodes) - 3) == [original.nodes[i] for i in whole.inputs]
  assert infer_shapes(split, TASK)[-2:] == infer_shapes(original, TASK)[-2:]


def test_what_is_within_limits_is_returned_as_it_is():
  architecture = wide(10)
  assert within_limits(architecture) is architecture


def test_a_wide_concatenation_runs_in_tflm():
  model = build(wide(23), TASK, seed=0)
  x = np.random.default_rng(0).random((5, 4, 4, 1), dtype=np.float32)
  assert measure(quantize(model, x)).sram_source == 'tflm'
