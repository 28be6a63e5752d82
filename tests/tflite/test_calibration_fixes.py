"""The networks that TensorFlow's quantizer alone gets wrong, end to end."""

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape
from rlnas.backend import keras, quiet, tf
from rlnas.child.builder import build
from rlnas.data.scaling import UNSCALED
from rlnas.spaces import layers
from rlnas.tflite import inference
from rlnas.tflite.quantize import quantize

SHAPE = (8, 8, 1)


def conflicting(*kinds):
  """A value that is concatenated and pooled; the poolings are added."""
  graph = Graph()
  x = layers.conv(graph, 0, filters=4, kernel=3)
  joined = graph.add('concat', x, layers.conv(graph, x, filters=4, kernel=3))
  pools = [layers.pool(graph, x, kind=kind, kernel=3, stride=1) for kind in kinds]
  y = graph.add('add', layers.conv(graph, joined, filters=4, kernel=1), graph.add('add', *pools))
  return graph.finish(graph.classify(y))


def random_model(architecture, shape, seed=0):
  model = build(architecture, TaskShape(shape, 3), seed=seed)
  rng = np.random.default_rng(seed)
  model.set_weights([np.abs(w) + 0.2 * rng.random(w.shape) for w in model.get_weights()])
  return model


def details(model):
  with quiet():
    interpreter = tf.lite.Interpreter(model_content=model)
  tensors = {t['index']: t for t in interpreter.get_tensor_details()}
  return [
    (o['op_name'], [tensors[i] for i in o['inputs']], tensors[o['outputs'][0]])
    for o in interpreter._get_ops_details()
  ]


def error(model, converted, x):
  """Root mean square of the int8 network's logits against the float network's, in int8 units."""
  scale, zero_point = details(converted)[-1][2]['quantization']
  found = inference.int8_logits(converted, x, scaling=UNSCALED).astype(float) - zero_point
  return np.sqrt(np.mean((found - model(x).numpy() / scale) ** 2))


@pytest.mark.parametrize('kinds', [('avg', 'max'), ('max', 'max'), ('avg', 'avg')])
def test_pooling_beside_a_concatenation_becomes_int8(kinds):
  x = np.random.default_rng(0).random((6, *SHAPE), dtype=np.float32)
  model = random_model(conflicting(*kinds), SHAPE)
  assert error(model, quantize(model, x), x) < 2


def test_average_pooling_does_not_cut_off_what_it_reads():
  """Single bright pixels: their averages are 9 and 25 times smaller than they are."""
  graph = Graph()
  x = layers.conv(graph, 0, filters=4, kernel=1)
  averages = [layers.pool(graph, x, kind='avg', kernel=side, stride=1) for side in (3, 5)]
  joined = layers.conv(graph, graph.add('concat', *averages), filters=4, kernel=1)
  model = random_model(graph.finish(graph.classify(graph.add('add', joined, x))), SHAPE)
  pixels = np.zeros((9, *SHAPE), np.float32)
  pixels[np.arange(8), np.arange(8), 4] = 1
  first = keras.Model(model.input, model.get_layer('node1_relu').output)(pixels).numpy().max()
  converted = quantize(model, pixels)
  scale = next(t['quantization'][0] for name, _, t in details(converted) if name == 'CONV_2D')
  assert 255 * scale == pytest.approx(first, rel=0.02)
  assert error(model, converted, pixels) < 2


@pytest.mark.parametrize('saturated', ['tanh', 'sigmoid'])
@pytest.mark.parametrize('shared', [False, True])
def test_huge_inputs_of_saturating_operators_are_cut(saturated, shared):
  """With a scale of 8 or more, TFLite Micro takes tanh(0) for -1 and sigmoid(0) for 0."""
  graph = Graph()
  x = graph.add('dense', graph.add('frames', 0, first=0, count=2), units=4, weights=1)
  square = graph.add('relu', graph.add('multiply', x, x))
  output = graph.add(saturated, square)
  if shared:
    output = graph.add('multiply', output, square)
  model = random_model(graph.finish(graph.add('classifier', output)), (2, 3))
  rng = np.random.default_rng(0)
  x = (rng.random((20, 2, 3)) * np.linspace(0, 40, 20)[:, None, None]).astype(np.float32)
  converted = quantize(model, x)
  name = {'tanh': 'TANH', 'sigmoid': 'LOGISTIC'}[saturated]
  scale = next(inputs[0]['quantization'][0] for op, inputs, _ in details(converted) if op == name)
  assert scale < (8 if shared else 0.1)
  gap = inference.int8_logits(converted, x, scaling=UNSCALED) - inference.tflm_logits(
    converted, x, scaling=UNSCALED
  ).astype(int)
  assert np.abs(gap).max() <= 1


def test_vanishing_sums_keep_a_range():
  """TFLite Micro ends the process where an input has 2 ** 19 times the scale of a sum."""
  graph = Graph()
  x = graph.add('dense', graph.add('frames', 0, first=0, count=2), units=4, weights=1)
  for _ in range(3):
    x = graph.add('multiply', x, x)
  x = graph.add('add', graph.add('tanh', x), x)
  model = random_model(graph.finish(graph.add('classifier', x)), (2, 3))
  tiny = (1e-3 * np.random.default_rng(0).random((20, 2, 3))).astype(np.float32)
  converted = quantize(model, tiny)
  inputs, target = next((i, t) for op, i, t in details(converted) if op == 'ADD')
  scales = [tensor['quantization'][0] for tensor in inputs]
  assert max(scales) < 2**19 * target['quantization'][0]
  assert inference.tflm_logits(converted, tiny, scaling=UNSCALED).shape == (20, 3)
