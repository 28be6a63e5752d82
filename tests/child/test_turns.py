"""Turns of motion sensors."""

import dataclasses

import numpy as np
import pytest

import rlnas
from rlnas.backend import tf
from rlnas.child.augment import NO_AUGMENTATION, Augmentation
from rlnas.child.turns import Turns, for_motion, seen_through
from rlnas.cli.build import check_augmentation
from rlnas.cli.config import FinishConfig
from rlnas.cost.window import Window
from rlnas.finishing.evaluator import Finishing
from rlnas.finishing.recipe import Recipe
from rlnas.spaces.decision import decode
from rlnas.spaces.table import sample_uniform
from rlnas.trial import Status

OFFSET = np.array([0.5, -1, 2, 0, 1, 3], np.float32)
SCALE = np.array([1, 2, 0.5, 4, 1, 3], np.float32)


def worn(*, rng, examples=200, steps=32):
  """Acceleration and rate of turn of a body that lies in many ways: [N, T, 6]."""
  down = rng.normal(size=(examples, 1, 3))
  down /= np.linalg.norm(down, axis=2, keepdims=True)
  moves = 0.1 * rng.normal(size=(examples, steps, 3))
  return np.concatenate([down + moves, rng.normal(size=moves.shape)], axis=2).astype(np.float32)


@pytest.mark.parametrize(('shape', 'scaled_shape'), [((9, 6), 6), ((1, 9, 6), 6), ((9, 6, 1), 0)])
def test_a_quarter_turn_about_each_axis(shape, scaled_shape):
  offset, scale = (x if scaled_shape else x[:, np.newaxis] for x in (OFFSET, SCALE))
  turns = Turns(10, tuple(OFFSET.tolist()), tuple(SCALE.tolist()))
  turns.check_reads(shape)
  raw = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
  quarter = round(np.pi / 2 * 1e6)
  changes = tf.constant([[0, 0, 0], [quarter, 0, 0], [0, quarter, 0], [0, 0, quarter]], tf.int32)
  found = turns.apply(tf.constant((raw - offset) / scale), changes).numpy() * scale + offset
  assert found.shape == raw.shape
  x, y, z = np.moveaxis(raw.reshape(4, 9, 2, 3), 3, 0)
  expected = [(x, y, z), (x, -z, y), (z, y, -x), (-y, x, z)]
  for number, axes in enumerate(expected):
    turned = np.stack([axis[number] for axis in axes], axis=2).reshape(shape)
    np.testing.assert_allclose(found[number], turned, atol=1e-5)


def test_turns_keep_lengths_and_have_their_deviation():
  turns = Turns(15, tuple(OFFSET.tolist()), tuple(SCALE.tolist()))
  changes = turns.draw(np.random.default_rng(0), (40, 50))
  assert changes.shape == (40, 50, 3)
  # 6,000 angles: the deviation of their deviation is 0.9 %.
  assert np.degrees(changes * 1e-6).std() == pytest.approx(15, rel=0.04)
  raw = np.random.default_rng(1).normal(size=(50, 8, 6)).astype(np.float32)
  found = turns.apply(tf.constant((raw - OFFSET) / SCALE), tf.constant(changes[0])).numpy()
  found = found * SCALE + OFFSET

  def lengths(x):
    return np.linalg.norm(x.reshape(50, 8, 2, 3), axis=3)

  np.testing.assert_allclose(lengths(found), lengths(raw), rtol=1e-4)
  assert np.abs(found - raw).max() > 0.1
  same = dataclasses.replace(turns, degrees=0).draw(np.random.default_rng(0), (5,))
  assert not same.any()


@pytest.mark.slow
@pytest.mark.parametrize('as_rows', [False, True])
def test_a_finalist_is_trained_with_turns(as_rows, tmp_path):
  x, y = worn(rng=np.random.default_rng(0)), np.arange(200) % 2
  data = rlnas.data.assemble('moves', (x, y), source='made up')
  data = rlnas.data.as_row(data) if as_rows else rlnas.data.as_images(data)
  turns = for_motion(data, 15)
  np.testing.assert_allclose(turns.scale, np.ravel(data.scaling.scale))
  turns.check_reads(data.input_shape)
  table = rlnas.compile_table(rlnas.Temporal(max_depth=1) if as_rows else rlnas.Chain(max_depth=1))
  network = decode(table.space, sample_uniform(table, np.random.default_rng(0)))
  models = {}
  for name, changes in (('turned', turns), ('again', turns), ('plain', NO_AUGMENTATION)):
    recipe = Recipe(2, batch_size=16, augmentation=changes)
    evaluator = Finishing(data, recipe, tmp_path / name)
    measured = evaluator.evaluate(network, seed=0)
    assert measured.status is Status.COMPLETE
    models[name] = evaluator.model_path(evaluator.name(network, seed=0)).read_bytes()
  assert models['turned'] == models['again'] != models['plain']


def test_turns_of_a_window_are_those_of_the_sensors_that_it_keeps():
  turns = Turns(15, tuple(OFFSET.tolist()), tuple(SCALE.tolist()))
  assert seen_through(None, turns) is turns
  assert seen_through(Window(4, 2, (0, 1, 2, 3, 4, 5)), turns) == turns
  second = seen_through(Window(4, 2, (3, 4, 5)), turns)
  assert second == Turns(15, turns.offset[3:], turns.scale[3:])
  assert seen_through(Window(4, 2, (0, 1, 2, 3)), turns) is NO_AUGMENTATION
  assert seen_through(Window(4, 2, (1, 2, 3)), turns) is NO_AUGMENTATION
  shift = Augmentation(2)
  assert seen_through(Window(4, 2, (1,)), shift) is shift


@pytest.mark.parametrize('shape', [(28, 28, 3), (9, 4), (6,)])
def test_other_examples_are_refused(shape):
  turns = Turns(10, (0.0,) * 6, (1.0,) * 6)
  with pytest.raises(ValueError, match=r'degrees=10: examples of \(.*\) have no 6 axes over time'):
    turns.check_reads(shape)


@pytest.mark.parametrize('shape', [(1, 6), (1, 1, 6), (1, 6, 1)])
def test_a_window_of_one_frame_is_turned(shape):
  turns = Turns(10, (0.0,) * 6, (1.0,) * 6)
  turns.check_reads(shape)
  examples = tf.constant(np.arange(12, dtype=np.float32).reshape(2, *shape))
  turned = turns.apply(examples, tf.constant(turns.draw(np.random.default_rng(0), (2,))))
  assert turned.shape == examples.shape
  assert not np.allclose(turned, examples)


def test_wrong_settings_are_refused():
  with pytest.raises(ValueError, match='degrees=-1: must be at least 0 and finite'):
    Turns(-1, (0.0,) * 3, (1.0,) * 3)
  with pytest.raises(ValueError, match=r'scale=.*: must be x, y, z of each sensor'):
    Turns(1, (0.0,) * 4, (1.0,) * 4)


@pytest.mark.parametrize(
  ('shape', 'dtype'), [((12, 12, 1), 'u1'), ((12, 12, 3), 'f4'), ((9, 4), 'f4')]
)
def test_data_without_axes_are_refused(shape, dtype):
  x = np.random.default_rng(0).integers(0, 99, (60, *shape)).astype(dtype)
  data = rlnas.data.assemble('others', (x, np.arange(60) % 2), source='made up')
  rule = r'must have sequences of axes x, y, z of motion sensors, not examples of shape \('
  with pytest.raises(ValueError, match=f'^degrees=15: {rule}'):
    for_motion(data, 15)
  with pytest.raises(ValueError, match=f'^finish_turn=15: {rule}'):
    check_augmentation(FinishConfig(turn=15.0), data)
