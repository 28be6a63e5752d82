"""The portable form of a model: what TFLite Micro does not need is there, outputs are the same."""

import numpy as np
import pytest

from rlnas.architecture import TaskShape
from rlnas.cost.builds import HOST
from rlnas.data.scaling import UNSCALED
from rlnas.evaluation.untrained import convert_untrained
from rlnas.spaces import NASNet
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.footprint import contents_in
from rlnas.tflite.inference import int8_logits
from rlnas.tflite.model_file import read_subgraphs
from rlnas.tflite.offline_plan import planned_file
from rlnas.tflite.portable import portable

SHAPE = (8, 8, 1)


@pytest.fixture(scope='module', name='model')
def _model():
  space = NASNet()
  tokens = sample_uniform(compile_table(space), np.random.default_rng(2))
  return convert_untrained(decode(space, tokens), TaskShape(SHAPE, 4), seed=2)


@pytest.mark.slow
def test_biases_have_their_scales_and_tensors_names(model):
  whole = portable(model)
  (graph,) = read_subgraphs(whole)
  (small,) = read_subgraphs(model)
  layers = [o for o in graph.operators if 'CONV' in o.kind or o.kind == 'FULLY_CONNECTED']
  assert layers
  for layer in layers:
    source, kernel, bias = (graph.tensors[i] for i in layer.inputs)
    expected = np.float32(source.scales[0]) * np.array(kernel.scales, np.float32)
    assert bias.scales == tuple(map(float, expected))
    assert set(bias.zero_points) == {0}
  convolutions = [o for o in small.operators if 'CONV' in o.kind]
  assert not any(small.tensors[o.inputs[2]].scales for o in convolutions)
  names = [tensor.name for tensor in graph.tensors]
  assert len(set(names)) == len(names)
  assert {'input', 'output'} <= set(names)


def test_other_interpreters_give_the_same_outputs(model):
  x = np.random.default_rng(0).integers(-128, 128, (20, *SHAPE)).astype(np.float32)
  whole = portable(model)
  expected = int8_logits(model, x, scaling=UNSCALED)
  assert np.array_equal(int8_logits(whole, x, scaling=UNSCALED), expected)
  litert = pytest.importorskip('ai_edge_litert.interpreter')
  interpreter = litert.Interpreter(model_content=whole)
  interpreter.allocate_tensors()


def test_a_plan_of_the_arena_is_left_out(model):
  planned = planned_file(model, contents_in(model), HOST)
  assert b'OfflineMemoryAllocation' in planned
  assert b'OfflineMemoryAllocation' not in portable(planned)
