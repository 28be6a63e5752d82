import pytest

from tests.experiments import script

STAGES = ('compiled', 'first trial begins', 'first result', 'last result', 'finished', 'end')


@pytest.mark.nightly
def test_the_stages_of_a_small_search_follow_each_other():
  search = ('--dataset=digits', '--trials=4', '--batch=2', '--epochs=1', '--sram_kib=20')
  finish = ('--finish_epochs=1', '--finish_top=2', '--workers=1')
  given = [f'--search_flag={flag}' for flag in (*search, *finish)]
  done = script.run('benchmarks/benchmark_start.py', '--seeds=0', *given)
  assert done.code == 0, done.stderr
  rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in done.stdout.splitlines()]
  cells = dict(rows[2:])
  assert list(cells) == [*STAGES, 'int8 test accuracy']
  walls = [float(cells[stage].split()[0]) for stage in STAGES[1:]]
  assert walls == sorted(walls)
  assert cells['compiled'] != '–'
  taken = [float(cells[stage].split('(')[1][:-1]) for stage in STAGES[2:]]
  assert taken == sorted(taken)
  assert taken[-1] > 5, 'loading TensorFlow alone takes seconds'
  assert 0.1 < float(cells['int8 test accuracy']) <= 1


def test_wrong_seeds_are_one_line():
  done = script.run('benchmarks/benchmark_start.py', '--seeds=a')
  assert done.code == 1
  assert done.stderr == 'error: --seeds=a: must be whole numbers such as 0,1,2\n'
