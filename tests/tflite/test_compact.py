import numpy as np
import pytest
from absl import logging

from rlnas.architecture import Architecture, Graph, TaskShape
from rlnas.backend import flatbuffer_utils, keras, quiet, tf
from rlnas.data.scaling import UNSCALED
from rlnas.evaluation.untrained import build_trained_looking, noise
from rlnas.spaces import Chain, MultiBranch, NASNet, Recurrent
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite import compact as module
from rlnas.tflite.compact import agree, compact
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import tflm_logits


def plain(model: keras.Model) -> bytes:
  """Converted by the documented route of TensorFlow Lite, in the order that `mend` wants."""
  with quiet():
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    examples = noise(model.input_shape[1:], 10, 0)
    converter.representative_dataset = lambda: ([row[None]] for row in examples)
    return bytes(converter.convert())


def network(space, seed: int) -> Architecture:
  return decode(space, sample_uniform(compile_table(space), np.random.default_rng(seed)))


NIGHTLY = [
  pytest.param(space, marks=pytest.mark.nightly)
  for space in ('frames', MultiBranch(depth=6), NASNet(blocks=2))
]


@pytest.fixture(scope='module', params=[Chain(), *NIGHTLY])
def models(request):
  recurrent = request.param == 'frames'
  space = Recurrent(base=3, steps=3, frames_per_step=7) if recurrent else request.param
  shape = (29, 8) if recurrent else (16, 16, 1)
  original = plain(build_trained_looking(network(space, 3), TaskShape(shape, 10), seed=0))
  return original, compact(original), shape


@pytest.mark.slow
def test_it_is_a_fifth_smaller(models):
  original, smaller, _ = models
  assert len(smaller) <= 0.82 * len(original)


@pytest.mark.slow
def test_outputs_are_the_same_to_the_bit(models):
  original, smaller, shape = models
  x = np.random.default_rng(1).integers(-128, 128, (8, *shape)).astype(np.float32)
  outputs = tflm_logits(original, x, scaling=UNSCALED)
  assert np.array_equal(tflm_logits(smaller, x, scaling=UNSCALED), outputs)
  assert len(np.unique(outputs)) > 1


@pytest.mark.slow
def test_the_arena_is_not_larger(models):
  original, smaller, _ = models
  assert measure(smaller).arena_head_bytes <= measure(original).arena_head_bytes
  assert measure(smaller).arena_tail_bytes <= measure(original).arena_tail_bytes + 64


@pytest.mark.slow
def test_once_is_enough(models):
  _, smaller, _ = models
  assert compact(smaller) == smaller


@pytest.mark.slow
def test_weights_stay_aligned(models):
  _, smaller, _ = models
  root = flatbuffer_utils.schema_fb.Model.GetRootAsModel(bytearray(smaller), 0)
  buffers = [root.Buffers(i) for i in range(root.BuffersLength())]
  starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
  assert starts
  assert all(start % 16 == 0 for start in starts)


def two_branches() -> Architecture:
  """Both branches widen and then narrow, so that the order decides what is live together."""
  graph = Graph()

  def conv(x: int, filters: int) -> int:
    return graph.add(
      'conv', x, filters=filters, kernel_height=1, kernel_width=1, stride=1, activation='none'
    )

  narrow = [conv(conv(graph.input, 32), 2) for _ in range(2)]
  return graph.finish(graph.classify(graph.add('add', *narrow)))


@pytest.mark.slow
def test_another_order_makes_the_arena_smaller():
  model = build_trained_looking(two_branches(), TaskShape((16, 16, 4), 10), seed=0)
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(plain(model)))
  operators = graph.subgraphs[0].operators
  first = [o for o in operators if o.inputs[0] == graph.subgraphs[0].inputs[0]]
  rest = [o for o in operators if not any(o is f for f in first)]
  graph.subgraphs[0].operators = [*first, *rest]  # both wide maps first
  wasteful = bytes(flatbuffer_utils.convert_object_to_bytearray(graph))
  assert measure(wasteful).arena_head_bytes == 256 * (32 + 32 + 4) - 256 * 4 + 256 * 4
  assert measure(compact(wasteful)).arena_head_bytes == 256 * (32 + 4 + 2)


@pytest.mark.slow
def test_what_would_change_the_outputs_is_left_alone(models, monkeypatch, caplog):
  original, _, _ = models

  def careless(graph):
    data = max((b.data for b in graph.buffers if b.data is not None), key=len)
    data[:] = np.roll(data, 1)

  monkeypatch.setattr(module, '_strip', careless)
  logging.use_absl_handler()
  with caplog.at_level('WARNING'):
    assert compact(original) == original
  assert 'left' in caplog.text


@pytest.mark.slow
def test_agreement_is_to_the_bit(models):
  original, smaller, _ = models
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(original))
  data = max((b.data for b in graph.buffers if b.data is not None), key=len)
  data[:] = 255 - data
  other = bytes(flatbuffer_utils.convert_object_to_bytearray(graph))
  assert agree(original, smaller)
  assert not agree(original, other)
