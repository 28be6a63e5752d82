import numpy as np
import pytest

from tests.experiments import script


@pytest.mark.nightly
def test_turns_are_compared_on_people_left_out(tmp_path):
  rng = np.random.default_rng(0)
  y = rng.integers(0, 2, 120)
  down = np.eye(3)[y][:, np.newaxis]
  x = (down + 0.2 * rng.normal(size=(120, 16, 3))).astype(np.float32)
  np.savez(tmp_path / 'moves.npz', x=x, y=y, groups=np.arange(120) % 4)
  flags = (f'--dataset={tmp_path / "moves.npz"}', '--folds=2', '--networks=1', '--epochs=2')
  done = script.run('benchmarks/benchmark_turns.py', *flags)
  assert done.code == 0, done.stderr
  rows = [line.split('|')[1:-1] for line in done.stdout.splitlines() if line.startswith('| ')]
  cells = [[cell.strip() for cell in row] for row in rows[1:]]
  assert [row[:2] for row in cells] == [
    [a, kind] for a in ('0', '15') for kind in ('float', 'int8')
  ]
  accuracies = [float(row[2].split()[0]) for row in cells]
  assert all(0 <= value <= 1 for value in accuracies)
  for row, before, after in zip(cells[2:], accuracies[:2], accuracies[2:], strict=True):
    assert abs(after - before - float(row[3].split()[0])) < 2e-4


def test_a_file_without_groups_is_refused(tmp_path):
  np.savez(tmp_path / 'moves.npz', x=np.zeros((4, 8, 3)), y=np.arange(4) % 2)
  done = script.run('benchmarks/benchmark_turns.py', f'--dataset={tmp_path / "moves.npz"}')
  assert done.code == 1
  assert 'has no array groups' in done.stderr
