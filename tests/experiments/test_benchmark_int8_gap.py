import pytest

from tests.experiments import script


@pytest.mark.nightly
def test_int8_loses_little_on_awkward_features():
  flags = ['--examples=1500', '--epochs=6', '--seeds=1']
  done = script.run('benchmarks/benchmark_int8_gap.py', *flags)
  assert done.code == 0, done.stderr
  rows = [[cell.strip() for cell in line.split('|')] for line in done.stdout.splitlines()[2:12]]
  assert len({row[1] for row in rows}) == 10
  lost = [float(row[4].split()[0]) for row in rows]
  assert sum(points <= 1.5 for points in lost) >= 8  # of 300 test examples each
  for row in rows:
    assert float(row[2].split()[0]) > 0.4, row  # so few trained steps; chance is 0.17 to 0.6


def test_unknown_data_are_refused():
  done = script.run('benchmarks/benchmark_int8_gap.py', '--data=absent')
  assert done.code == 1
  assert "--data='absent': must be one of floors, outliers" in done.stderr
