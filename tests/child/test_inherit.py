"""A child gets the weights of the layers that it shares with its parent."""

import numpy as np
import pytest

from rlnas.architecture import Graph, TaskShape
from rlnas.child.builder import build
from rlnas.child.inherit import inherit_weights, save_weights
from rlnas.data import loaders
from rlnas.evaluation.trained import Stage, Trained
from rlnas.spaces import layers
from rlnas.trial import Terms, weights_name
from tests.child.test_builder import small_network

DIGITS = loaders.take(loaders.digits(), 500)


def chain(*filters):
  graph = Graph()
  x = graph.input
  for count in filters:
    x = layers.conv(graph, x, filters=count, kernel=3)
  return graph.finish(graph.classify(x))


def built(architecture, seed):
  return build(architecture, TaskShape((8, 8, 1), 10), seed=seed)


def kernels(model):
  return [layer.get_weights()[0] for layer in model.layers if layer.weights]


def test_equal_networks_inherit_all(tmp_path):
  parent, child = built(chain(4, 8), 1), built(chain(4, 8), 2)
  save_weights(parent, tmp_path / 'a.npz')
  assert inherit_weights(child, tmp_path / 'a.npz') == 5  # two of each kind and the classifier
  for ours, theirs in zip(child.get_weights(), parent.get_weights(), strict=True):
    np.testing.assert_array_equal(ours, theirs)


def test_what_a_mutation_inserts_stays_fresh(tmp_path):
  parent, child, twin = built(chain(4, 8), 1), built(chain(4, 4, 8), 2), built(chain(4, 4, 8), 2)
  save_weights(parent, tmp_path / 'a.npz')
  assert inherit_weights(child, tmp_path / 'a.npz') == 5
  inherited = [k for k in kernels(child) if any(np.array_equal(k, p) for p in kernels(parent))]
  fresh = [k for k in kernels(child) if any(np.array_equal(k, p) for p in kernels(twin))]
  assert len(inherited) >= 3
  assert any(k.shape == (3, 3, 4, 4) for k in fresh)


def test_what_does_not_fit_is_left(tmp_path):
  parent, child = built(chain(4), 1), built(chain(6), 2)
  before = child.get_weights()
  save_weights(parent, tmp_path / 'a.npz')
  assert inherit_weights(child, tmp_path / 'a.npz') == 0
  for ours, old in zip(child.get_weights(), before, strict=True):
    np.testing.assert_array_equal(ours, old)


def test_lost_or_damaged_weights_are_named(tmp_path):
  with pytest.raises(ValueError, match=r'gone\.npz: the weights of the parent are gone'):
    inherit_weights(built(chain(4), 1), tmp_path / 'gone.npz')
  (tmp_path / 'bad.npz').write_bytes(b'no archive')
  with pytest.raises(ValueError, match=r'bad\.npz: not the weights of a network'):
    inherit_weights(built(chain(4), 1), tmp_path / 'bad.npz')


@pytest.mark.slow
def test_a_child_goes_on_from_its_parent(tmp_path):
  evaluator = Trained(DIGITS, epochs=3, weights=tmp_path)
  parent = small_network(8)
  first = evaluator.evaluate(parent, seed=1)
  terms = Terms(parent=weights_name(parent, 1, Terms(), 1))
  inherited = evaluator.evaluate(parent, seed=2, terms=terms)
  alone = evaluator.evaluate(parent, seed=2)
  assert inherited.validation_accuracy > max(first.validation_accuracy, alone.validation_accuracy)
  assert evaluator.evaluate(parent, seed=2, terms=terms).curve == inherited.curve
  assert len(list(tmp_path.glob('*.npz'))) == 3
  with pytest.raises(ValueError, match='needs kept weights'):
    Trained(DIGITS).evaluate(parent, seed=2, terms=terms)


@pytest.mark.slow
def test_stages_go_on_until_a_bar_is_missed():
  stages = (Stage(1, 200), Stage(1), Stage(2))
  evaluator = Trained(DIGITS, epochs=stages)
  network = small_network(8)
  whole = evaluator.evaluate(network, seed=0)
  assert len(whole.curve) == 3
  assert whole.curve[-1] == whole.validation_accuracy
  stopped = evaluator.evaluate(network, seed=0, terms=Terms((0.0, 1.01)))
  assert stopped.curve == whole.curve[:2]
  assert (stopped.flash_bytes, stopped.sram_bytes) == (whole.flash_bytes, whole.sram_bytes)
  with pytest.raises(ValueError, match='3 thresholds for a training of 3 stages'):
    evaluator.evaluate(network, seed=0, terms=Terms((0.0, 0.0, 0.0)))
