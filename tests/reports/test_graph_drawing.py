"""Boxes, files and the image in TensorBoard."""

import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from rlnas.architecture import Architecture, Graph, Node, TaskShape
from rlnas.budget import Budget
from rlnas.reports.graph_boxes import MOST_BOXES, boxes
from rlnas.reports.graph_drawing import draw, pixels
from rlnas.reports.tensorboard import TensorBoard
from rlnas.reports.tensorboard_scalars import BEST
from rlnas.spaces import (
  NASNet,
  Recurrent,
  Temporal,
  blockqnn,
  chain,
  joint,
  layers,
  multibranch,
  nasbench201,
)
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.trial import Measurement, Proposal, Status, Trial

IMAGES = TaskShape((28, 28, 1), 10)
SPEECH = TaskShape((49, 10), 12)
SPACES = [
  (chain.Chain(), IMAGES),
  (multibranch.MultiBranch(), IMAGES),
  (multibranch.MultiBranch(align='pad', pool_after=(2,)), IMAGES),
  pytest.param(multibranch.MultiBranch.paper(15), IMAGES, marks=pytest.mark.nightly),
  (NASNet(), IMAGES),
  (blockqnn.BlockQNN(), IMAGES),
  pytest.param(joint.Joint(), IMAGES, marks=pytest.mark.nightly),
  (nasbench201.NasBench201(), IMAGES),
  (Temporal(), TaskShape((1, 49, 10), 12)),
  (Recurrent(), SPEECH),
]


def sample(space, seed):
  tokens = sample_uniform(compile_table(space), np.random.default_rng(seed))
  return decode(space, tokens)


def branched():
  graph = Graph()
  x = layers.conv(graph, graph.input, filters=16, kernel=3, stride=2)
  y = layers.separable_conv(graph, x, filters=16, kernel=5)
  x = graph.add('add', x, y)
  return graph.finish(graph.classify(layers.pool(graph, x, kind='max', kernel=2, stride=2)))


def texts(path):
  root = ET.parse(path).getroot()  # noqa: S314 -- our own file
  return [element.text for element in root.iter('{http://www.w3.org/2000/svg}text')]


def test_labels_and_shapes_are_readable():
  found = boxes(branched(), IMAGES)
  assert [(b.label, b.shape) for b in found] == [
    ('input', '28×28×1'),
    ('conv 3×3, 16 /2', '14×14×16'),
    ('separable 5×5, 16', '14×14×16'),
    ('+', ''),
    ('max pool 2×2 /2', '7×7×16'),
    ('global avg pool', '16'),
    ('classifier', '10'),
  ]
  assert [b.inputs for b in found] == [(), (0,), (1,), (1, 2), (3,), (4,), (5,)]


def test_a_depthwise_convolution_with_two_readers_stays_a_box():
  graph = Graph()
  depthwise = graph.add(
    'depthwise_conv', 0, kernel_height=3, kernel_width=3, stride=1, activation='none'
  )
  x = layers.conv(graph, depthwise, filters=1, kernel=1)
  found = boxes(graph.finish(graph.classify(graph.add('add', x, depthwise))), IMAGES)
  assert [b.label for b in found[1:3]] == ['depthwise 3×3, no ReLU', 'conv 1×1, 1']


@pytest.mark.slow
@pytest.mark.parametrize(('space', 'task'), SPACES)
def test_every_space_is_drawn_with_all_its_labels(space, task, tmp_path):
  for seed in range(2):
    architecture = sample(space, seed)
    paths = [tmp_path / f'{seed}.svg', tmp_path / f'{seed}.png']
    draw(architecture, paths, task=task, title='$5 & <more>')
    found = boxes(architecture, task)
    written = [*(b.label for b in found), *(b.shape for b in found if b.shape), '$5 & <more>']
    assert sorted(texts(paths[0])) == sorted(written)
    with Image.open(paths[1]) as image:
      assert 100 < image.width < 4000
      assert 300 < image.height < 8000


@pytest.mark.slow
def test_the_same_architecture_gives_the_same_bytes(tmp_path):
  architecture = sample(multibranch.MultiBranch.paper(15), 1)
  for name in ('a.svg', 'b.svg'):
    draw(architecture, [tmp_path / name], task=IMAGES)
  assert (tmp_path / 'a.svg').read_bytes() == (tmp_path / 'b.svg').read_bytes()


def test_pixels_are_the_png(tmp_path):
  draw(branched(), [tmp_path / 'a.png'], task=IMAGES)
  with Image.open(tmp_path / 'a.png') as image:
    np.testing.assert_array_equal(np.asarray(image.convert('RGB')), pixels(branched(), task=IMAGES))


def test_colored_boxes_lie_above_the_lines():
  """The middle of the conv's box, left of its text, is of its own colour although a line starts."""
  image = pixels(branched(), task=IMAGES)
  blue = np.all(image == (0xCF, 0xE2, 0xF7), axis=-1)
  rows, columns = np.nonzero(blue)
  assert np.ptp(rows) + 1 == pytest.approx(0.44 * 110, abs=4)
  assert np.ptp(columns) + 1 > 100


def test_an_unrolled_cell_shows_two_steps():
  found = boxes(sample(Recurrent(base=8, steps=7), 0), SPEECH)
  assert {b.label for b in found if b.kind == 'frames'} == {'frames 0 to 6', 'frames 7 to 13'}
  assert found[-1].label == 'classifier'
  assert found[-2].label.endswith('more operations')
  assert found[-1].inputs == (len(found) - 2,)


@pytest.mark.parametrize(
  'space', [NASNet.paper(), pytest.param(blockqnn.BlockQNN.paper(), marks=pytest.mark.nightly)]
)
def test_a_large_network_is_cut_and_soon_drawn(space, tmp_path):
  architecture = sample(space, 3)
  found = boxes(architecture, IMAGES)
  assert len(architecture.nodes) > MOST_BOXES >= len(found) > 100
  hidden = int(found[-2].label.split()[1])
  depthwise = sum(n.op == 'depthwise_conv' for n in architecture.nodes)
  assert len(found) - 1 + hidden == len(architecture.nodes) - depthwise
  started = time.perf_counter()
  draw(architecture, [tmp_path / 'a.png'], task=IMAGES)
  assert time.perf_counter() - started < 20  # takes about 2 s; machines that test are busy


def test_a_thousand_layers_in_a_row_are_drawn(tmp_path):
  graph = Graph()
  x = graph.input
  for _ in range(1000):
    x = layers.conv(graph, x, filters=4, kernel=3)
  draw(graph.finish(graph.classify(x)), [tmp_path / 'a.png'], task=IMAGES)
  with Image.open(tmp_path / 'a.png') as image:
    assert image.height < 2**16  # what matplotlib can draw


def test_the_input_alone_is_drawn(tmp_path):
  draw(Architecture((Node('input'),)), [tmp_path / 'a.svg'], task=IMAGES)
  assert texts(tmp_path / 'a.svg') == ['input', '28×28×1']


def test_another_suffix_is_refused(tmp_path):
  with pytest.raises(ValueError, match=r'a\.pdf'):
    draw(branched(), [tmp_path / 'a.svg', tmp_path / 'a.pdf'], task=IMAGES)
  assert not list(tmp_path.iterdir())


def trial(index, architecture, reward, flash):
  measurement = Measurement(
    status=Status.COMPLETE,
    seconds=1.0,
    validation_accuracy=0.9,
    int8_validation_accuracy=0.9,
    flash_bytes=flash,
    sram_bytes=1000,
    macs=10,
    parameters=5,
  )
  proposal = Proposal(tokens=(), value=architecture)
  return Trial(
    index=index, batch=0, seed=0, proposal=proposal, measurement=measurement, reward=reward
  )


def test_tensorboard_shows_each_new_best_that_fits(tmp_path):
  board = TensorBoard(tmp_path, budget=Budget(flash_bytes=2000, sram_bytes=2000), task=IMAGES)
  found = [(0.5, 1000), (0.9, 3000), (0.4, 1000), (0.7, 1000)]  # reward and flash
  trials = [trial(i, branched(), *figures) for i, figures in enumerate(found)]
  for each in trials:
    board.on_trial(each)
  board.on_batch(trials, {})
  events = EventAccumulator(str(tmp_path / 'search' / BEST)).Reload()
  images = events.Tensors('best/architecture')
  assert [e.step for e in images] == [0, 3]
  width, height, png = make_ndarray(images[-1].tensor_proto)
  assert int(height) > int(width) > 100
  assert png.startswith(b'\x89PNG')


def test_a_drawing_that_fails_is_logged_and_the_search_goes_on(tmp_path, caplog):
  board = TensorBoard(
    tmp_path, budget=Budget(flash_bytes=2000, sram_bytes=2000), task=TaskShape((49, 10), 10)
  )
  board.on_trial(trial(0, branched(), 0.5, 1000))  # an image network on sequences
  assert 'trial 0: its architecture could not be drawn' in caplog.text
  assert 'shape (49, 10)' in caplog.text
