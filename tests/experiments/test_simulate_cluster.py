"""The simulation of large clusters as a user runs it, small."""

import pytest

from tests.experiments import script


@pytest.mark.nightly
def test_a_wide_window_keeps_workers_busy_and_a_narrow_one_does_not(tmp_path):
  flags = ['--workers=20', '--trials=1500', '--batches=10', '--lags=0,39', '--hangs=0']
  done = script.run('benchmarks/simulate_cluster.py', *flags, f'--folder={tmp_path}')
  assert done.code == 0, done.stderr
  rows = [line.split() for line in done.stdout.splitlines()[2:]]
  assert [row[:3] for row in rows] == [['10', '0', '10'], ['10', '39', '400']]
  narrow, wide = (float(row[3].rstrip('%')) for row in rows)
  assert narrow < 50, 'half of the workers have nothing to do'
  assert wide > 95
  assert len(list(tmp_path.glob('*.jsonl'))) == 2
