import pytest

from rlnas.cli.choices import SPACES
from tests.experiments import script


def benchmark(*flags):
  return script.run('benchmarks/benchmark_spaces.py', *flags)


@pytest.mark.nightly
@pytest.mark.parametrize('space', [*SPACES, 'multibranch-pad'])
def test_200_networks_of_each_space_pass(space):
  done = benchmark(f'--spaces={space}', '--count=200')
  assert done.code == 0, done.stdout + done.stderr
  assert f'| {space} | 200 | 100.0% | 100.0% | 100.0% | 0' in done.stdout


@pytest.mark.nightly
def test_small_networks_pass():
  done = benchmark(
    '--count=2', '--spaces=chain,recurrent', '--image=5,4,2', '--sequence=49,2', '--classes=3'
  )
  assert done.code == 0, done.stdout + done.stderr
  rows = [line for line in done.stdout.splitlines() if line.startswith('| ')]
  assert [row.split(' | ')[0] for row in rows[1:]] == ['| chain', '| recurrent']
  assert all('2 | 100.0% | 100.0% | 100.0% | 0' in row for row in rows[1:])


@pytest.mark.nightly
def test_networks_that_fail_are_shown_and_end_in_exit_code_1():
  # A sequence too short for the unrolled cell.
  done = benchmark('--count=1', '--spaces=recurrent', '--sequence=5,2')
  assert done.code == 1
  assert '| recurrent | 1 | 0.0% |' in done.stdout
  assert 'ValueError' in done.stdout


def test_wrong_flags_are_one_line():
  for flag in ('--spaces=chains', '--image=28,28', '--sequence=49,0'):
    done = benchmark(flag)
    assert done.code == 1
    assert done.stderr.startswith(f'error: {flag}')
