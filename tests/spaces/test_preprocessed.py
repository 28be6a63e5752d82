"""Networks that decide what they read, over a space of any other networks."""

import collections

import numpy as np
import pytest

from rlnas.architecture import Architecture, Node, TaskShape, infer_shapes
from rlnas.cost.cost import estimate_cost
from rlnas.cost.preprocessing import (
  behind_preprocessing,
  preprocessing_memory,
  preprocessing_of,
  with_preprocessing,
  without_preprocessing,
)
from rlnas.cost.window import Window
from rlnas.spaces import Chain, Preprocessed, PreprocessedSound, Temporal
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, enumerate_tokens, mutate, sample_uniform
from rlnas.strategies.network_features import traits

INNER = Temporal(max_depth=1, first_kernels=(3,), filters=(4,))
SMALL = Preprocessed(INNER, steps=12, features=4, windows=(12, 7), rates=(1, 3), group=2)


def networks(space):
  table = compile_table(space)
  return [decode(space, tokens) for tokens in enumerate_tokens(table)]


def test_every_window_is_there_as_often_as_every_other():
  found = networks(SMALL)
  counts = collections.Counter(map(preprocessing_of, found))
  kept = [(0, 1, 2, 3), (0, 1), (2, 3)]
  sizes = [(12, 1), (4, 3), (7, 1), (2, 3)]
  assert set(counts) == {Window(frames, rate, k) for frames, rate in sizes for k in kept}
  inner = len(networks(INNER))
  assert set(counts.values()) == {inner}
  assert len({network.digest for network in found}) == len(found) == inner * 12


def test_defaults_follow_the_data():
  space = Preprocessed(Temporal(), steps=128, features=9)
  assert (space.windows, space.rates, space.group) == ((128, 64, 32), (1, 2, 4), 3)
  assert space.one_row
  short = Preprocessed(Chain(), steps=10, features=3)
  assert (short.windows, short.group) == ((10, 5), 1)
  assert not short.one_row
  assert Preprocessed(Temporal(), steps=8, features=1).group == 1


@pytest.mark.parametrize(
  ('setting', 'rule'),
  [
    ({'steps': 0}, 'steps=0: must be at least 1'),
    ({'features': 0}, 'features=0: must be at least 1'),
    ({'group': 0}, 'group=0: must be at least 1'),
    ({'windows': (49, 49)}, r'windows=\(49, 49\): must be distinct'),
    ({'windows': (50,)}, r'windows=\(50,\): must be at most the 49 time steps'),
    ({'rates': (0, 1)}, r'rates=\(0, 1\): must be distinct positive'),
    ({'windows': (3,), 'rates': (4,)}, r'rates=\(4,\): must be at most the shortest window'),
  ],
)
def test_options_out_of_range_are_refused(setting, rule):
  with pytest.raises(ValueError, match=rule):
    Preprocessed(**{'space': INNER, 'steps': 49, 'features': 6} | setting)


@pytest.mark.parametrize(
  ('space', 'least'),
  [(SMALL, 10), (PreprocessedSound(INNER, 500, 8000, mel_bins=(72, 8)), 5)],
  ids=['window', 'sound'],
)
def test_mutation_changes_what_is_read_alone_too(space, least):
  table = compile_table(space)
  rng = np.random.default_rng(0)
  changed = 0
  for _ in range(60):
    tokens = sample_uniform(table, rng)
    parent, child = (decode(space, t) for t in (tokens, mutate(table, tokens, rng)))
    same_network = without_preprocessing(parent) == without_preprocessing(child)
    changed += same_network and preprocessing_of(parent) != preprocessing_of(child)
  assert changed > least


@pytest.mark.parametrize(
  ('shape', 'seen'), [((40, 6), (7, 2)), ((1, 40, 6), (1, 7, 2)), ((40, 6, 1), (7, 2, 1))]
)
def test_the_window_decides_the_shape(shape, seen):
  network = with_preprocessing(
    Architecture((Node('input'), Node('relu', (0,)))), Window(7, 5, (1, 5))
  )
  task = TaskShape(shape, 3)
  assert infer_shapes(network, task) == (seen, seen)
  plain, behind = behind_preprocessing(network, task)
  assert (plain.nodes[0], behind) == (Node('input'), TaskShape(seen, 3))
  assert preprocessing_of(plain) is None
  assert behind_preprocessing(plain, task) == (plain, task)
  assert Architecture.from_json(network.to_json()) == network


@pytest.mark.parametrize(
  ('window', 'shape'),
  [
    (Window(8, 5, (0,)), (39, 6)),
    (Window(1, 1, (6,)), (1, 39, 6)),
    (Window(2, 2, (0,)), (8, 8, 3)),
  ],
)
def test_a_window_that_does_not_fit_is_refused(window, shape):
  network = with_preprocessing(Architecture((Node('input'), Node('relu', (0,)))), window)
  with pytest.raises(ValueError, match='node 0: a window of'):
    infer_shapes(network, TaskShape(shape, 3))
  with pytest.raises(ValueError, match='node 0: a window of'):
    behind_preprocessing(network, TaskShape(shape, 3))


@pytest.mark.parametrize('features', ['', '1,0', '0,0', '-1', '01', 'a', 3])
def test_features_must_be_ascending_indices(features):
  attributes = (('features', features), ('frames', 4), ('rate', 1))
  with pytest.raises(ValueError, match='features='):
    Architecture((Node('input', (), attributes),))


@pytest.mark.parametrize(
  'wrong', [{'frames': 0}, {'rate': 0}, {'features': ()}, {'features': (2, 1)}]
)
def test_a_window_checks_itself(wrong):
  with pytest.raises(ValueError, match=next(iter(wrong))):
    Window(**{'frames': 4, 'rate': 1, 'features': (0,)} | wrong)


def test_the_cost_is_that_of_the_smaller_network_and_of_its_stream():
  task, window = TaskShape((1, 128, 6), 5), Window(32, 2, (0, 1, 2))
  whole = networks(INNER)[0]
  part = with_preprocessing(whole, window)
  smaller = estimate_cost(whole, TaskShape((1, 32, 3), 5))
  found = estimate_cost(part, task)
  assert preprocessing_memory(part) == (0, 32 * 3 + 3 * 4 + 3 * 4)
  assert found.sram_bytes == smaller.sram_bytes + preprocessing_memory(part).sram_bytes
  for name in ('flash_bytes', 'macs', 'parameters', 'arena_head_bytes'):
    assert getattr(found, name) == getattr(smaller, name)
  assert found.macs < estimate_cost(whole, task).macs / 4


def test_features_of_networks_tell_windows_apart():
  whole = networks(INNER)[0]
  one, other = (with_preprocessing(whole, Window(n, 1, (0, 1))) for n in (8, 16))
  assert len(traits(one)) == len(traits(whole)) + 3
  np.testing.assert_array_equal(traits(one)[:-3], traits(whole))
  np.testing.assert_allclose(
    traits(other) - traits(one), [*[0] * len(traits(whole)), np.log(2), 0, 0]
  )
