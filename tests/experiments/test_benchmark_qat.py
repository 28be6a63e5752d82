import pytest

from tests.experiments import script


@pytest.mark.nightly
def test_each_network_is_a_row_and_the_best_is_kept():
  flags = ['--dataset=digits', '--train_examples=200', '--epochs=1', '--further_epochs=1']
  done = script.run('benchmarks/benchmark_qat.py', *flags, '--networks=separable,chain')
  assert done.code == 0, done.stderr
  rows = [[cell.strip() for cell in line.split('|')] for line in done.stdout.splitlines()[2:]]
  assert [row[1] for row in rows] == ['separable', 'chain']
  for row in rows:
    trained, further, ours = row[2], row[3], row[5]
    assert row[6].split()[1] == max(trained, further, ours)
    assert (row[7], row[10]) == (row[9], row[12])  # flash and SRAM as without
