"""The benchmarks of arenas run; the prediction is what loads on this machine."""

import json
import re

import pytest

import rlnas
from rlnas.cost.builds import BUILDS
from tests.experiments.test_benchmarks import run
from tests.tflite.branching import converted

ROW = re.compile(r'^\| ([\w-]+) \| (\d+) \| (-?\d+) \| (-?\d+) \|$', re.MULTILINE)


def check_rows(flags, networks):
  done = run('smallest_arena.py', *flags, workers=None)
  assert done.code == 0, done.stdout + done.stderr
  rows = ROW.findall(done.stdout)
  assert sum(int(count) for _, count, _, _ in rows) == networks
  for space, _, least, most in rows:
    assert 0 <= int(least) <= int(most) <= 64, space


@pytest.mark.nightly
def test_the_smallest_arena_that_loads_is_predicted():
  check_rows(['--spaces=chain,temporal,recurrent', '--count=1'], 3)


@pytest.mark.nightly
def test_the_smallest_arenas_of_all_spaces_are_predicted():
  check_rows(['--count=10', '--seed=1', '--spaces=' + ','.join(SPACES)], 10 * len(SPACES))


SPACES = (
  *('chain', 'multibranch', 'nasnet', 'blockqnn', 'temporal', 'recurrent', 'joint'),
  'conv_autoencoder',
)


@pytest.mark.slow
def test_readings_are_compared(tmp_path):
  (tmp_path / 'model.tflite').write_bytes(converted())
  arena = rlnas.measure(tmp_path / 'model.tflite').arena(BUILDS['m4-cmsis'])
  readings = {
    'm4-cmsis': {'used': arena.used_bytes, 'smallest': arena.smallest_bytes - 4},
    'm4-cmsis-release': {'used': arena.used_bytes, 'smallest': arena.smallest_bytes + 4},
  }
  models = {'branching': {'file': 'model.tflite', 'readings': readings}}
  (tmp_path / 'readings.json').write_text(json.dumps({'models': models}))
  done = run('check_chip.py', f'--readings={tmp_path}', workers=None)
  assert done.code == 0, done.stdout + done.stderr
  good, missed = done.stdout.splitlines()[-2:]
  assert good.endswith('| +4 |')
  assert missed.endswith('| -4 missed |')
