import pytest

from tests.experiments import script


@pytest.mark.nightly
def test_zeros_shrink_no_file_and_fewer_filters_do():
  flags = ['--dataset=digits', '--epochs=2', '--further_epochs=1', '--shares=0.5']
  done = script.run('benchmarks/benchmark_prune.py', *flags)
  assert done.code == 0, done.stderr
  rows = [[cell.strip() for cell in line.split('|')] for line in done.stdout.splitlines()[2:]]
  assert [row[1] for row in rows] == ['trained', '50% zeros', '50% of the filters']
  flash, compressed = ([int(row[column].replace(',', '')) for row in rows] for column in (4, 5))
  assert flash[1] == flash[0] > flash[2]
  assert compressed[1] < compressed[0]  # the zeros are there
