import pathlib

import pytest

from tests.experiments import script

CHECKOUT = pathlib.Path(__file__).parents[2]
SMALL = ('--dataset=digits', '--epochs=1', '--children=2', '--blocks=1', '--workers=1')


@pytest.mark.nightly
def test_the_version_before_takes_turns():
  done = script.run('benchmarks/benchmark_children.py', *SMALL, f'--before={CHECKOUT}')
  assert done.code == 0, done.stderr
  *_, speedup, before = done.stdout.splitlines()
  assert speedup.startswith('speedup ')
  assert before.startswith('against the version before ')
  # The version before is this one, so it finds the same.
  (ours, then) = [
    line.split(': ')[1]
    for earlier, line in zip(done.stdout.splitlines(), done.stdout.splitlines()[1:], strict=False)
    if earlier.startswith('plain int8') or line.startswith('int8 accuracy before')
  ]
  assert ours == then


@pytest.mark.slow
def test_a_folder_without_a_version_is_one_line(tmp_path):
  done = script.run('benchmarks/benchmark_children.py', *SMALL, f'--before={tmp_path}')
  assert done.code == 1
  assert f'--before={tmp_path}: must be a checkout' in done.stderr
