"""The benchmark of anomaly detection runs, and its networks keep their limits."""

import pytest

from tests.experiments import script


@pytest.mark.nightly
def test_searches_stand_beside_the_layers_of_ad01(tmp_path):
  flags = ['--seeds=3', '--clips=40', '--trials=8', '--top=1', '--epochs=20', '--shares=0.1']
  done = script.run('benchmarks/benchmark_anomaly.py', *flags, f'--workdir={tmp_path}')
  assert done.code == 0, done.stdout + done.stderr
  rows = [line.strip('| ').split(' | ') for line in done.stdout.splitlines()]
  rows = [row for row in rows if len(row) == 6 and row[1] == '3']
  names, aucs = [row[0] for row in rows], [float(row[2]) for row in rows]
  assert names[0] == "ad01's layers"
  assert len(names) == len(set(names)) == 2
  assert all(0.5 < auc < 1 for auc in aucs)  # half is that of chance
  reference, searched = (int(row[4].replace(',', '')) for row in rows)
  assert abs(reference / 276_976 - 1) < 0.02
  assert searched <= 27_697
