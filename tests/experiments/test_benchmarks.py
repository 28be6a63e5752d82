"""The benchmark scripts run, and say what they measured."""

import pytest

from tests.experiments import script


def run(name: str, *flags: object, workers: int | None = 1) -> script.Done:
  given = () if workers is None else (f'--workers={workers}',)
  return script.run(f'benchmarks/{name}', *flags, *given)


@pytest.mark.nightly
def test_packing_and_ordering():
  done = run('benchmark_compact.py', '--count=2', '--inputs=3', '--spaces=multibranch')
  assert done.code == 0, done.stdout + done.stderr
  assert '| multibranch | 2 | 100.0% |' in done.stdout
  assert 'smaller on the mean' in done.stdout


@pytest.mark.nightly
def test_warm_start(tmp_path):
  out = tmp_path / 'warm_start.png'
  done = run(
    'benchmark_warm_start.py', '--steps=0,5', '--count=40', '--dataset=digits', f'--out={out}'
  )
  assert done.code == 0, done.stdout + done.stderr
  assert '| chain | 5 steps |' in done.stdout
  assert out.read_bytes().startswith(b'\x89PNG')


@pytest.mark.nightly
def test_screening(tmp_path):
  flags = ['--trials=3', '--dataset=digits', '--epochs=1', '--space=multibranch']
  done = run('benchmark_screening.py', *flags, '--flash_kib=16', '--sram_kib=8')
  assert done.code == 0, done.stdout + done.stderr
  assert 'size of the trained network known before   3 of 3' in done.stdout
  assert 'infeasible networks that would be trained  0' in done.stdout


@pytest.mark.nightly
def test_fitting_of_costs():
  done = run('fit_cost.py', '--count=3', '--held_out=1', '--spaces=chain,multibranch')
  assert done.code == 0, done.stdout + done.stderr
  assert 'FLASH_BYTES = {' in done.stdout
  assert '| chain | 1 |' in done.stdout


@pytest.mark.nightly
def test_scales_of_dense_layers():
  done = run('benchmark_dense_scales.py', '--datasets=digits', '--count=2', '--epochs=1')
  assert done.code == 0, done.stdout + done.stderr
  assert '| multibranch | digits | 1 |' in done.stdout
  assert 'Per tensor is lower in' in done.stdout


@pytest.mark.nightly
def test_divergence():
  done = run('benchmark_divergence.py', '--count=1', '--epochs=1', workers=None)
  assert done.code == 0, done.stdout + done.stderr
  assert '0 of 1 diverged' in done.stdout


@pytest.mark.nightly
def test_earlier_searches():
  done = run('benchmark_earlier.py', '--runs=1', '--counts=4,8', '--earlier=8')
  assert done.code == 0, done.stdout + done.stderr
  assert '| 1 searches | 4 trials | 8 trials |' in done.stdout
  assert '| after one with the opposite order | ' in done.stdout


@pytest.mark.parametrize('name', ['benchmark_compact.py', 'fit_cost.py'])
def test_wrong_flags_are_one_line(name):
  done = run(name, '--spaces=chains')
  assert done.code == 1
  assert done.stderr.startswith('error: --spaces=chains')


@pytest.mark.nightly
def test_resuming():
  options = ('updates=1', 'imagined=4', 'warm_start=2')
  flags = ['--trials=40', '--batch=2', *(f'--strategy_option={option}' for option in options)]
  done = run('benchmark_resume.py', *flags, workers=None)
  assert done.code == 0, done.stdout + done.stderr
  assert 'reinforce, nucleo-l010rb: 40 trials in' in done.stdout
  assert 'resumed with the state in' in done.stdout
  assert 'resumed without it in' in done.stdout


@pytest.mark.nightly
def test_finishing():
  search = ('--batch=2', '--epochs=1', '--space_option=max_depth=3', '--sram_kib=20')
  flags = ['--dataset=digits', '--trials=4', '--seeds=0', '--finish_flag=--finish_epochs=21']
  done = run('benchmark_finishing.py', *flags, *(f'--search_flag={flag}' for flag in search))
  assert done.code == 0, done.stdout + done.stderr
  rows = [line.split('|') for line in done.stdout.splitlines() if line.startswith('| seed')]
  epochs = {row[2].strip(): int(row[8]) for row in rows}
  assert epochs['now'] < epochs['before'] == 4 * 21
  assert 'processor time, now / before' in done.stdout


def test_a_folder_without_a_version_is_named():
  done = run('benchmark_finishing.py', '--before=absent')
  assert done.code == 1
  assert done.stderr.startswith('error: --before=absent: must be the folder of a checkout')
