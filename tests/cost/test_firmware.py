"""The flash of firmwares against those that were linked."""

import json
import pathlib

import numpy as np
import pytest

from rlnas.architecture import TaskShape
from rlnas.cost.builds import BUILDS
from rlnas.cost.firmware import DEFAULT_KINDS, bundle_bytes, firmware_bytes
from rlnas.cost.kinds import operator_kinds
from rlnas.cost.operators import predict_operators
from rlnas.cost.structures import KINDS
from rlnas.spaces import BlockQNN, Chain, MultiBranch, NASNet, Recurrent, Temporal
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from tests.experiments import script

READINGS = pathlib.Path(__file__).with_name('chip_firmwares.json')
FIRMWARES = json.loads(READINGS.read_text())['firmwares']


@pytest.mark.parametrize(('model', 'kinds', 'sizes'), FIRMWARES)
def test_firmwares_that_were_linked(model, kinds, sizes):
  assert len(sizes) == 7, model
  for build, size in sizes.items():
    assert firmware_bytes(kinds, build) == pytest.approx(size, rel=0.005)


def test_firmwares_of_a_model_that_was_left_out():
  done = script.run('benchmarks/fit_firmware.py', f'--readings={READINGS}')
  assert done.code == 0, done.stderr
  rows = dict(line.strip('| ').split(' | ', 1) for line in done.stdout.splitlines() if '%' in line)
  errors = {model: [float(e.strip('%')) for e in row.split(' | ')] for model, row in rows.items()}
  recurrent = errors.pop('recurrent')
  assert len(errors) == 3
  assert all(abs(error) <= 2.5 for row in errors.values() for error in row)
  assert all(abs(error) <= 16 for error in recurrent)


def test_more_operators_take_more_flash_and_int8_kernels_take_less():
  for build in BUILDS:
    small, large = (firmware_bytes(kinds, build) for kinds in (['CONV_2D'], DEFAULT_KINDS))
    if build == 'host':
      assert small is large is None
    elif build.startswith('esp'):
      assert small == large == 114_579
    else:
      assert small < large
      saved = large - bundle_bytes(DEFAULT_KINDS, build)
      assert saved == 31_000 * ('-cmsis' in build), build


IMAGES, FRAMES = TaskShape((28, 28, 1), 10), TaskShape((49, 10), 12)
SPACES = [
  (Chain(), IMAGES),
  (MultiBranch(depth=5), IMAGES),
  (NASNet(blocks=3), IMAGES),
  (BlockQNN(), IMAGES),
  (Temporal(), TaskShape((1, 49, 10), 12)),
  (Recurrent(), FRAMES),
]


@pytest.mark.parametrize(('space', 'task'), SPACES, ids=lambda value: type(value).__name__)
def test_kinds_are_those_of_the_predicted_operators(space, task):
  table, rng = compile_table(space), np.random.default_rng(3)
  for _ in range(30):
    network = decode(space, sample_uniform(table, rng))
    kinds = predict_operators(network, task).operators['kind']
    assert operator_kinds(network) == {KINDS[kind] for kind in kinds}
