import dataclasses
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

from rlnas.architecture import Architecture, Graph, Node, TaskShape, infer_shapes, input_sides
from rlnas.backend import keras, quiet, tf
from rlnas.budget import Resources
from rlnas.child.builder import build
from rlnas.cost import cost, latency
from rlnas.cost.builds import BUILDS
from rlnas.cost.cost import Cost, estimate_cost
from rlnas.cost.latency import latency_ms
from rlnas.cost.limits import within_limits
from rlnas.cost.nodes import encoded, read_by, shapes_of
from rlnas.cost.operators import arena_tasks, count_macs, predict_operators
from rlnas.cost.schedule import least_arena_order
from rlnas.cost.speed import Speed
from rlnas.cost.structures import KINDS
from rlnas.cost.terms import no_work
from rlnas.spaces import (
  BlockQNN,
  Chain,
  ConvAutoencoder,
  Joint,
  MultiBranch,
  NASNet,
  Recurrent,
  Temporal,
)
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.footprint import measure
from rlnas.tflite.quantize import quantize


def conv(graph: Graph, x: int, filters: int, side: int, stride: int = 1) -> int:
  return graph.add(
    'conv',
    x,
    filters=filters,
    kernel_height=side,
    kernel_width=side,
    stride=stride,
    activation='relu',
  )


def depthwise(graph: Graph, x: int, side: int) -> int:
  return graph.add(
    'depthwise_conv', x, kernel_height=side, kernel_width=side, stride=1, activation='none'
  )


def chain() -> Architecture:
  graph = Graph()
  x = conv(graph, graph.input, 8, 3, stride=2)
  x = conv(graph, depthwise(graph, x, 5), 12, 1)
  return graph.finish(graph.classify(x))


COLOURS = TaskShape((15, 15, 3), 10)
ESP32 = Speed('Xtensa LX6', 240_000_000, 'esp32')


def residual() -> Architecture:
  graph = Graph()
  x = conv(graph, graph.input, 8, 3, stride=2)
  x = graph.add('add', x, conv(graph, x, 8, 3))
  return graph.finish(graph.classify(x))


def test_macs_by_hand():
  # 15x15 becomes 8x8 under stride 2.
  expected = 64 * (9 * 3 * 8) + 64 * (25 * 8) + 64 * (8 * 12) + 12 * 10
  assert estimate_cost(chain(), COLOURS).macs == expected


def test_parameters_by_hand():
  expected = (9 * 3 * 8 + 16) + (25 * 8 + 16) + (8 * 12 + 24) + (12 * 10 + 10)
  assert estimate_cost(chain(), COLOURS).parameters == expected


def test_arena_of_a_chain_is_planned_greedily():
  # The maps have 675 (688 when aligned), 512, 512 and 768 bytes. The largest lies at 0, and so
  # does the input; the second 512 goes above the largest, the first above both its neighbours.
  assert estimate_cost(chain(), COLOURS).arena_head_bytes == 768 + 512 + 512


def test_arena_of_a_residual_holds_three_maps():
  assert estimate_cost(residual(), TaskShape((16, 16, 1), 10)).arena_head_bytes == 3 * 8 * 8 * 8


def test_the_int32_scratch_of_global_pooling_counts():
  graph = Graph()
  wide = graph.finish(graph.classify(conv(graph, graph.input, 64, 1, stride=2)))
  # 64 channels: 64 bytes in, 64 out, 4 * 64 bytes of sums, and two short lists of axes.
  assert estimate_cost(wide, TaskShape((2, 2, 1), 10)).arena_head_bytes == 64 + 64 + 256 + 2 * 16


def test_shapes_that_do_not_fit_are_refused():
  graph = Graph()
  x = conv(graph, graph.input, 8, 3)
  wrong = graph.finish(graph.classify(graph.add('add', x, conv(graph, x, 4, 3))))
  with pytest.raises(ValueError, match='add of different shapes'):
    estimate_cost(wrong, TaskShape((8, 8, 1), 10))


def look_trained(model: keras.Model, rng: np.random.Generator) -> None:
  # With the zero biases of an untrained network the converter shares buffers and saves flash.
  for layer in model.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
      layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    if getattr(layer, 'use_bias', False):
      kernel, bias = layer.get_weights()
      layer.set_weights([kernel, rng.normal(size=bias.shape)])


def operators(converted: bytes) -> list[tuple[str, int]]:
  """Of a .tflite file: names, and elements of the results."""
  with quiet():
    interpreter = tf.lite.Interpreter(
      model_content=converted,
      experimental_op_resolver_type=(
        tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
      ),
    )
  sizes = {t['index']: int(np.prod(t['shape'])) for t in interpreter.get_tensor_details()}
  return [(o['op_name'], sizes[o['outputs'][0]]) for o in interpreter._get_ops_details()]


@pytest.mark.parametrize('seed', [0, pytest.param(1, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
  'space',
  [
    Chain(),
    MultiBranch(),
    MultiBranch(depth=8, align='pad'),
    BlockQNN(),
    NASNet(blocks=2),
    Joint(max_stages=2),
    Temporal(),
    Recurrent(base=3, steps=3, frames_per_step=7),
    ConvAutoencoder(),
  ],
  ids=lambda space: type(space).__name__,
)
def test_agrees_with_the_converted_network(space, seed):
  rng = np.random.default_rng(seed)
  row = (1, 49, 10)
  shape = {Recurrent: (29, 8), Temporal: row, ConvAutoencoder: row}.get(type(space), (28, 28, 1))
  task = TaskShape(shape, 490 if isinstance(space, ConvAutoencoder) else 10)
  architecture = decode(space, sample_uniform(compile_table(space), rng))
  model = build(architecture, task, seed=seed)
  look_trained(model, rng)
  converted = quantize(model, rng.random((4, *shape), dtype=np.float32))
  network = predict_operators(architecture, task)
  order, _ = least_arena_order(arena_tasks(network))
  predicted = network.operators[order]
  kinds = [KINDS[kind] for kind in predicted['kind']]
  assert [*zip(kinds, predicted['elements'], strict=True)] == operators(converted)
  footprint, found = measure(converted), estimate_cost(architecture, task)
  assert found.parameters == sum(w.shape.num_elements() for w in model.trainable_weights)
  assert found.arena_head_bytes == footprint.arena_head_bytes
  # Of some recurrent networks the converter finds a layer to be another's equal: 32 bytes.
  assert found.arena_tail_bytes == pytest.approx(footprint.arena_tail_bytes, rel=0.003)
  assert found.sram_bytes >= found.arena_head_bytes + found.arena_tail_bytes
  assert found.sram_bytes == pytest.approx(footprint.sram_bytes, rel=0.003)
  for name in ('m3-ref', 'm4-cmsis', 'm4-ard2023'):
    chip, predicted = BUILDS[name], measure(converted, build=BUILDS[name])
    there = estimate_cost(architecture, task, build=chip)
    assert there.arena_head_bytes == predicted.arena_head_bytes
    assert there.sram_bytes == pytest.approx(predicted.sram_bytes, rel=0.004)
    assert predicted.sram_build == name
  assert found.flash_bytes == pytest.approx(footprint.flash_bytes, rel=0.015)
  assert found.resources == Resources(found.flash_bytes, found.sram_bytes, found.macs)
  assert footprint.resources == Resources(footprint.flash_bytes, footprint.sram_bytes)


def test_a_wide_concatenation_costs_its_copies():
  graph = Graph()
  parts = [conv(graph, graph.input, 2, 1 + 2 * i) for i in range(13)]
  wide = graph.finish(graph.classify(graph.add('concat', *parts)))
  model = build(wide, TaskShape((6, 6, 1), 4), seed=0)
  rng = np.random.default_rng(0)
  look_trained(model, rng)
  footprint = measure(quantize(model, rng.random((4, 6, 6, 1), dtype=np.float32)))
  assert estimate_cost(wide, TaskShape((6, 6, 1), 4)).arena_head_bytes == footprint.arena_head_bytes


def test_shared_dense_weights_are_stored_once_and_used_twice():
  graph = Graph()
  steps = [
    graph.add('dense', graph.add('frames', graph.input, first=t, count=2), units=6, weights=1)
    for t in (0, 2)
  ]
  twice = graph.finish(graph.add('classifier', graph.add('add', *steps)))
  model = build(twice, TaskShape((4, 5), 3), seed=0)
  found = estimate_cost(twice, TaskShape((4, 5), 3))
  assert found.parameters == sum(w.shape.num_elements() for w in model.trainable_weights)
  assert found.macs == 2 * 10 * 6 + 6 * 3
  assert count_macs(twice, TaskShape((4, 5), 3)) == (found.macs, 10 * 6 + 6 * 3)


def test_needs_no_tensorflow():
  code = (
    'import sys, rlnas.cost.cost; sys.exit(any(m.startswith("tensorflow") for m in sys.modules))'
  )
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_is_a_frozen_value():
  found = estimate_cost(chain(), TaskShape((16, 16, 1), 10))
  assert found == estimate_cost(chain(), TaskShape((16, 16, 1), 10)) == Cost(**vars(found))


def test_an_estimate_is_kept_with_the_network_and_goes_along_to_workers(monkeypatch):
  network, other = chain(), TaskShape((16, 16, 1), 10)
  found, known_ms = estimate_cost(network, COLOURS), latency_ms(network, COLOURS, speed=ESP32)
  sent = pickle.loads(pickle.dumps(network))  # noqa: S301 (made in this line)
  asked = []
  monkeypatch.setattr(
    cost, '_estimate', lambda *arguments: asked.append(arguments) or Cost(1, 2, 3, 4, 5, 6)
  )
  monkeypatch.setattr(
    latency, 'workload_of', lambda *arguments: asked.append(arguments) or no_work()
  )
  for known in (network, sent):
    assert estimate_cost(known, COLOURS) == found
    assert latency_ms(known, COLOURS, speed=ESP32) == known_ms
  assert not asked
  assert estimate_cost(network, other) == estimate_cost(network, other) == Cost(1, 2, 3, 4, 5, 6)
  assert latency_ms(network, COLOURS, speed=dataclasses.replace(ESP32, clock_hz=1)) == 0
  assert len(asked) == 2
  assert estimate_cost(chain(), COLOURS) == Cost(1, 2, 3, 4, 5, 6), 'it is asked for each object'


def test_what_is_kept_is_no_part_of_the_network():
  estimated, plain = chain(), chain()
  estimate_cost(estimated, COLOURS)
  assert estimated == plain
  assert (hash(estimated), repr(estimated)) == (hash(plain), repr(plain))
  assert (estimated.digest, estimated.to_json()) == (plain.digest, plain.to_json())
  assert dataclasses.asdict(estimated) == dataclasses.asdict(plain)


@pytest.mark.parametrize(
  'space',
  [Chain(), MultiBranch(align='pad'), NASNet(), Recurrent(), ConvAutoencoder()],
  ids=lambda s: type(s).__name__,
)
def test_shapes_are_those_of_the_architecture(space):
  table, rng = compile_table(space), np.random.default_rng(0)
  shape = (49, 10) if isinstance(space, Recurrent) else (29, 18, 3)
  task = TaskShape(shape, math.prod(shape) if isinstance(space, ConvAutoencoder) else 7)
  for _ in range(20):
    architecture = decode(space, sample_uniform(table, rng))
    limited = within_limits(architecture)
    nodes, rows = encoded(architecture)
    found = shapes_of(nodes, *read_by(rows, len(nodes)), input_sides(task), task.classes)
    for shape, expected in zip(found, infer_shapes(limited, task), strict=True):
      sides = (shape['height'], shape['width'], shape['channels'])
      assert shape['rank'] == len(expected)
      assert (*sides[: len(expected) - 1], sides[-1]) == expected


@pytest.mark.parametrize(
  'wrong',
  [
    *('multiply', 'concat', 'frames', 'pool', 'pad_like', 'pad_like a vector', 'resize_like'),
    'reconstruction',
  ],
)
def test_whatever_does_not_fit_is_refused_as_by_the_architecture(wrong):
  graph = Graph()
  x = conv(graph, graph.input, 8, 3)
  small = conv(graph, x, 4, 3, stride=2)
  y = {
    'multiply': lambda: graph.add('multiply', x, small),
    'concat': lambda: graph.add('concat', x, small),
    'frames': lambda: graph.add('frames', x, first=0, count=2),
    'pool': lambda: graph.add('global_avg_pool', graph.add('global_avg_pool', x)),
    'pad_like': lambda: graph.add('pad_like', x, small),
    'resize_like': lambda: graph.add('resize_like', x, small),
    'reconstruction': lambda: graph.add('reconstruction', x, kernel_height=1, kernel_width=1),
    'pad_like a vector': lambda: graph.add('pad_like', x, graph.add('global_avg_pool', x)),
  }[wrong]()
  architecture = graph.finish(graph.add('classifier', y))
  with pytest.raises(ValueError, match='node') as expected:
    infer_shapes(architecture, TaskShape((8, 8, 1), 10))
  for function in (estimate_cost, count_macs, predict_operators):
    with pytest.raises(ValueError, match='node') as found:
      function(architecture, TaskShape((8, 8, 1), 10))
    assert str(found.value) == str(expected.value)


def test_an_input_alone_is_refused():
  with pytest.raises(ValueError, match='nothing but the input'):
    estimate_cost(Architecture((Node('input'),)), TaskShape((8, 8, 1), 10))


def test_integers_of_numpy_are_taken():
  task = TaskShape(np.array((16, 16, 1), np.int32), np.int32(10))
  assert task == TaskShape((16, 16, 1), 10)
  assert [type(n) for n in (*task.input_shape, task.classes)] == [int] * 4
  assert estimate_cost(chain(), task) == estimate_cost(chain(), TaskShape((16, 16, 1), 10))
