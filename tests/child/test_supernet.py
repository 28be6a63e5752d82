import dataclasses

import numpy as np
import pytest

from rlnas.architecture import Architecture, Graph, TaskShape
from rlnas.child import supernet as supernets
from rlnas.child.shared_layers import Slice, layers_of
from rlnas.child.supernet import Supernet
from rlnas.child.train import accuracy, cross_entropy
from rlnas.child.train_supernet import train_supernet
from rlnas.data import loaders
from rlnas.data.metrics import Metric
from rlnas.spaces import BlockQNN, Chain, MultiBranch, layers
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from tests.child.test_builder import map_network, recurrent_network, small_network

DIGITS = loaders.take(loaders.digits(), 500)
TASK = DIGITS.task


def inputs(count=128):
  return DIGITS.scaling.apply(DIGITS.x_train[:count]).astype(np.float32)


def chain(*widths, kernel=3):
  graph = Graph()
  x = graph.input
  for filters in widths:
    x = layers.conv(graph, x, filters=filters, kernel=kernel)
  return graph.finish(graph.classify(x))


def two_branches(*kernels):
  """Convolutions of the image side by side, concatenated."""
  graph = Graph()
  branches = (layers.conv(graph, graph.input, filters=4, kernel=k) for k in kernels)
  return graph.finish(graph.classify(graph.add('concat', *branches)))


def names(architecture: Architecture) -> list[tuple[str, ...]]:
  return [tuple(s.name for s in layer.kernels) for layer in layers_of(architecture, TASK)]


def untrained(architecture: Architecture, seed=3) -> Supernet:
  """A supernet as large as the network, with the weights of the beginning."""
  slices = {s for layer in layers_of(architecture, TASK) for s in layer.slices}
  arrays = {s.name: supernets.initial(s, seed) for s in slices}
  return Supernet(arrays, TASK, seed)


def test_like_layers_at_one_depth_share_whatever_their_size():
  assert names(chain(4, 8)) == [('conv@1.1',), ('conv@2.1',), ('classifier',)]
  assert names(chain(8, 16, kernel=5)) == names(chain(4, 8))
  assert names(small_network()) == [
    ('conv@1.1',),
    ('depthwise_conv@1.1',),
    ('conv@2.1',),
    ('classifier',),
  ]


def test_branches_and_parts_of_a_concatenation_have_weights_of_their_own():
  assert names(two_branches(1, 3)) == [
    ('conv@1.1',),
    ('conv@1.2',),
    ('classifier<1.1', 'classifier<1.2'),
  ]


def test_a_network_reads_the_centre_of_the_window_and_the_first_channels():
  supernet = untrained(chain(8, 16, kernel=5))
  network = supernet.network(chain(4, 6), [inputs()])
  kernel = network.get_layer('node2_conv').get_weights()[0]
  np.testing.assert_array_equal(kernel, supernet.arrays['conv@2.1'][1:4, 1:4, :4, :6])
  weights, bias = network.get_layer('node4_logits').get_weights()
  np.testing.assert_array_equal(weights, supernet.arrays['classifier'][:6])
  np.testing.assert_array_equal(bias, supernet.arrays['classifier/bias'])


@pytest.mark.parametrize(('whole', 'part', 'start'), [(5, 3, 1), (3, 2, 1), (4, 3, 0), (4, 1, 1)])
def test_windows_are_centred_on_the_pixel_of_the_output(whole, part, start):
  """Of an even window, 'same' padding puts one pixel more behind than in front."""
  own, _, _, _ = supernets.within((whole, whole, 4, 4), (part, part, 4, 4))
  assert (own.start, own.stop) == (start, start + part)


@pytest.mark.parametrize('network', [map_network, small_network, lambda: two_branches(1, 3, 5)])
def test_the_built_network_computes_what_the_path_through_the_supernet_does(network):
  architecture, x = network(), inputs(500)
  supernet = untrained(architecture)
  own = layers_of(architecture, TASK)
  path = supernets.Path(architecture, own).run(x, supernet._take)
  built = supernet.network(architecture, [x])(x, training=False)
  # The statistics that are kept are of a population, those of the path of the batch: 1 in 500.
  np.testing.assert_allclose(built, path.logits, rtol=0.02, atol=0.02)
  assert np.std(path.logits) > 0.1


def test_statistics_are_means_over_the_batches():
  architecture, x = small_network(), inputs(256)
  supernet = untrained(architecture)

  def statistics(batches):
    return supernet.network(architecture, batches).get_layer('node1_norm').get_weights()[2:]

  first, second, both = statistics([x[:128]]), statistics([x[128:]]), statistics([x[:128], x[128:]])
  for one, other, mean in zip(first, second, both, strict=True):
    assert not np.allclose(one, other)
    np.testing.assert_allclose(mean, (one + other) / 2, rtol=1e-5, atol=1e-6)


def test_kernels_begin_near_the_identity():
  kernel = supernets.initial(Slice('conv@2.1', (5, 5, 3, 4)), 0)
  noise = kernel.copy()
  noise[2, 2, range(3), range(3)] -= 1
  assert abs(noise).max() < 0.5
  depthwise = supernets.initial(Slice('depthwise_conv@2.1', (3, 3, 6, 1)), 0)
  assert depthwise[1, 1].mean() > 0.5 > abs(depthwise[0, 0].mean())


@pytest.mark.slow
def test_one_supernet_learns_networks_of_several_sizes():
  """8 images in 10 of these digits are recognised; by chance it is 1."""
  rng = np.random.default_rng(0)
  sizes = [(8, 8), (12, 16), (16, 12)]
  drawn = [chain(*sizes[i]) for i in rng.integers(3, size=240)]
  losses = []
  supernet = train_supernet(
    drawn, DIGITS, seed=1, learning_rate=0.02, on_step=lambda step, loss: losses.append(loss)
  )
  assert len(losses) == 240
  assert np.mean(losses[-20:]) < np.mean(losses[:20]) / 2
  for widths in sizes:
    network = supernet.network(chain(*widths), [inputs()])
    assert accuracy(network, DIGITS.x_val, DIGITS.y_val, scaling=DIGITS.scaling) > 0.5


def test_steps_change_only_what_they_reach():
  small, large = chain(4, 4), chain(8, 8, 8)
  supernet = train_supernet([small, small, large], DIGITS, seed=2)
  again = train_supernet([small, small, large], DIGITS, seed=2)
  other = train_supernet([small, small, large], DIGITS, seed=3)
  for name, array in supernet.arrays.items():
    np.testing.assert_array_equal(array, again.arrays[name])
  assert any((array != other.arrays[name]).any() for name, array in supernet.arrays.items())
  without = train_supernet([small, small], DIGITS, seed=2).arrays
  assert 'conv@3.1' not in without
  assert without['conv@2.1'].shape == (3, 3, 4, 4)
  assert (without['conv@2.1'] != supernets.initial(Slice('conv@2.1', (3, 3, 4, 4)), 2)).any()


def test_what_no_step_reached_is_fresh():
  supernet = train_supernet([chain(4, 4)], DIGITS, seed=2)
  wider = supernet.network(chain(8, 4, 4, kernel=5), [inputs()])
  kernel = wider.get_layer('node2_conv').get_weights()[0]
  np.testing.assert_array_equal(kernel[1:4, 1:4, :4], supernet.arrays['conv@2.1'])
  fresh = supernets.initial(Slice('conv@2.1', (5, 5, 8, 4)), 2)
  np.testing.assert_array_equal(kernel[:, :, 4:], fresh[:, :, 4:])
  deeper = wider.get_layer('node3_conv').get_weights()[0]
  np.testing.assert_array_equal(deeper, supernets.initial(Slice('conv@3.1', (5, 5, 4, 4)), 2))


@pytest.mark.parametrize('space', [Chain(), MultiBranch(), MultiBranch(align='pad'), BlockQNN()])
def test_a_place_is_taken_once_in_a_network(space):
  table, rng = compile_table(space), np.random.default_rng(0)
  for _ in range(20):
    architecture = decode(space, sample_uniform(table, rng))
    taken = [s.name for layer in layers_of(architecture, TASK) for s in layer.slices]
    assert len(set(taken)) == len(taken)


def test_dense_nodes_and_so_recurrent_networks_are_refused():
  with pytest.raises(ValueError, match='a supernet has no frames nodes'):
    layers_of(recurrent_network(), TaskShape((6, 3), 4))
  graph = Graph()
  features = graph.add('global_avg_pool', graph.input)
  dense = graph.add('dense', features, units=4, weights=1)
  with pytest.raises(ValueError, match='a supernet has no dense nodes'):
    train_supernet([graph.finish(graph.add('classifier', dense))], DIGITS, seed=0)


def test_another_metric_weights_the_classes():
  y = (np.arange(len(DIGITS.y_train)) % 10 == 0).astype(np.int32)  # 9 of 0 for each 1
  data = dataclasses.replace(DIGITS, y_train=y, class_names=('often', 'rare'))
  slices = {s for layer in layers_of(chain(4), data.task) for s in layer.slices}
  arrays = {s.name: supernets.initial(s, 3) for s in slices}
  x = data.scaling.apply(data.x_train).astype(np.float32)
  logits = Supernet(arrays, data.task, 3).network(chain(4), [x])(x).numpy()
  losses = cross_entropy(None, y, logits).numpy()
  for metric, expected in (
    (Metric.ACCURACY, losses.mean()),
    (Metric.BALANCED_ACCURACY, np.mean([losses[y == label].mean() for label in (0, 1)])),
  ):
    found = []
    options = {'seed': 3, 'batch_size': len(y), 'metric': metric}
    train_supernet([chain(4)], data, **options, on_step=lambda _, loss: found.append(loss))  # noqa: B023
    assert found == [pytest.approx(expected, rel=1e-2)]


@pytest.mark.parametrize('setting', [{'batch_size': 0}, {'learning_rate': 0.0}])
def test_bad_settings_are_named(setting):
  (name,) = setting
  with pytest.raises(ValueError, match=f'{name}=0.*must be'):
    train_supernet([small_network()], DIGITS, seed=0, **setting)


def test_nothing_to_train_or_to_take_statistics_from_is_named():
  with pytest.raises(ValueError, match='architectures: must hold at least one'):
    train_supernet([], DIGITS, seed=0)
  with pytest.raises(ValueError, match='batches: must hold at least one'):
    untrained(small_network()).network(small_network(), [])


def test_divergence_is_raised():
  with pytest.raises(FloatingPointError, match='training diverged: loss'):
    train_supernet([chain(4)] * 20, DIGITS, seed=0, learning_rate=3e38)
