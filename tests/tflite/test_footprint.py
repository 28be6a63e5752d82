import pathlib
import sys

import numpy as np
import pytest

from rlnas.backend import quiet, tf
from rlnas.cost.arena_head import aligned
from rlnas.cost.builds import BUILDS
from rlnas.tflite import footprint
from rlnas.tflite.quantize import quantize
from tests.tflite.branching import branching_model, converted


@pytest.fixture(scope='module', name='model')
def _model():
  return converted()


def test_flash_is_the_file_and_sram_is_what_loads(model, tmp_path):
  found = footprint.measure(model)
  assert found.flash_bytes == len(model)
  # The head and the tail are larger than what the planner needs; arenas are multiples of 16.
  assert found.sram_bytes == aligned(found.arena_head_bytes + found.arena_tail_bytes)
  assert (found.sram_source, found.sram_build) == ('tflm', 'host')
  # The input of the sum, the result of the depthwise convolution and the sum itself.
  assert found.arena_head_bytes >= 3 * 8 * 8 * 8
  path = tmp_path / 'child.tflite'
  path.write_bytes(model)
  assert footprint.measure(path) == footprint.measure(str(path)) == found


def test_on_a_chip_pointers_are_shorter(model):
  here = footprint.measure(model)
  there = footprint.measure(model, build=BUILDS['m3-ref'])
  assert there.sram_build == 'm3-ref'
  assert there.arena_head_bytes == here.arena_head_bytes
  assert 0.4 * here.arena_tail_bytes < there.arena_tail_bytes < 0.7 * here.arena_tail_bytes
  assert there.sram_bytes == footprint.analytic_footprint(model, build=BUILDS['m3-ref']).sram_bytes


def test_planned_arena_agrees_with_tflm(model):
  measured, planned = footprint.measure(model), footprint.analytic_footprint(model)
  assert planned.arena_head_bytes == measured.arena_head_bytes
  assert abs(planned.arena_tail_bytes - measured.arena_tail_bytes) <= 32
  assert planned.flash_bytes == measured.flash_bytes
  assert planned.sram_source == 'analytic'


def test_without_tflm_the_arena_is_planned(model, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tflite_micro', None)  # makes its import fail
  assert footprint.measure(model) == footprint.analytic_footprint(model)


def test_an_arena_beyond_every_microcontroller_is_an_overflow():
  shape = (300, 300, 1)
  blank = np.zeros((1, *shape), np.float32)
  blank[0, 0, 0, 0] = 1
  large = quantize(branching_model(64, shape), blank)
  with pytest.raises(footprint.ArenaOverflow, match=str(footprint.MAX_ARENA_BYTES)):
    footprint.measure(large)
  with pytest.raises(footprint.ArenaOverflow, match=str(footprint.MAX_ARENA_BYTES)):
    footprint.analytic_footprint(large)


def test_an_operator_that_tflm_lacks_is_named():
  @tf.function(input_signature=[tf.TensorSpec((1, 1, 1, 8), tf.float32)])
  def normalise(x):
    return tf.nn.local_response_normalization(x)

  with quiet():
    converter = tf.lite.TFLiteConverter.from_concrete_functions([normalise.get_concrete_function()])
    foreign = converter.convert()
  with pytest.raises(ValueError, match='LOCAL_RESPONSE_NORMALIZATION'):
    footprint.measure(foreign)


@pytest.mark.parametrize('keep', [0, 500, -100])
def test_a_damaged_file_is_refused_before_it_reaches_tflm(model, keep):
  with pytest.raises(ValueError, match=r'not a \.tflite file'):
    footprint.measure(model[:keep])


def test_a_missing_file_is_reported():
  with pytest.raises(FileNotFoundError):
    footprint.measure(pathlib.Path('no/such/child.tflite'))
