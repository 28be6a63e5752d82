"""The benchmark of regression runs, and says what it measured."""

import pytest

from tests.experiments import script


def cells(stdout, table):
  rows = [line.strip('| ').split(' | ') for line in stdout.splitlines()]
  return [row for row in rows if row[0] == table]


@pytest.mark.nightly
def test_networks_stand_beside_boosting_and_a_line(tmp_path):
  flags = ['--tables=auto_mpg', '--splits=2', '--trials=2', '--top=1', '--epochs=40']
  done = script.run('benchmarks/benchmark_regression.py', *flags, f'--workdir={tmp_path}')
  assert done.code == 0, done.stdout + done.stderr
  *splits, mean = cells(done.stdout, 'auto_mpg')
  assert [row[1] for row in (*splits, mean)] == ['0', '1', 'mean']
  for column in range(2, 5):
    scores = [float(row[column]) for row in splits]
    assert all(0.5 < r2 < 1 for r2 in scores)  # 0 is that of the mean of the training data
    assert float(mean[column].split(' ± ')[0]) == pytest.approx(sum(scores) / 2, abs=0.0011)
  assert splits[0][4] != splits[1][4]  # the same line only if the rows were the same
  for row in splits:
    flash, sram = (int(cell.replace(',', '')) for cell in row[5:])
    assert 0 < flash <= 16 * 1024
    assert 0 < sram <= 16 * 1024
