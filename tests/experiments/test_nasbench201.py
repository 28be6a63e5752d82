"""The benchmark as a user runs it, on an invented table of all cells."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rlnas.cli.guard import INTERRUPTED
from rlnas.evaluation.lookup import EVALUATION_EPOCHS
from tests.experiments import script
from tests.experiments.invented_table import invented_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module', name='table')
def _table(tmp_path_factory) -> pathlib.Path:
  return invented_table(tmp_path_factory.mktemp('table') / 'table.npz')


def compared(table: pathlib.Path, folder: pathlib.Path, *, workers: int) -> dict:
  """What two strategies reached in seven runs each."""
  out = folder / 'result.json'
  done = script.run(
    'nasbench201.py',
    f'--table={table}',
    '--strategies=random;evolution:sample=3',
    '--budget_seconds=600',
    '--runs=7',
    f'--workers={workers}',
    f'--out={out}',
  )
  assert done.code == 0, done.stderr
  assert 'random - evolution:sample=3: ' in done.stdout
  assert out.with_suffix('.png').read_bytes().startswith(b'\x89PNG')
  return json.loads(out.read_text())


@pytest.mark.nightly
def test_it_writes_one_number_a_run(tmp_path, table):
  written = compared(table, tmp_path, workers=2)
  assert set(written) == {'random', 'evolution:sample=3'}
  for columns in written.values():
    assert set(columns) == {'test_200', 'validation_12', 'evaluations'}
    assert all(len(column) == 7 for column in columns.values())
    assert columns['evaluations'] == [45] * 7
    assert columns['test_200'] == pytest.approx([v + 10 for v in columns['validation_12']])
  evolution, random = (written[name]['test_200'] for name in ('evolution:sample=3', 'random'))
  assert np.mean(evolution) > np.mean(random)


@pytest.mark.nightly
def test_the_number_of_workers_has_no_say(tmp_path, table):
  written = [compared(table, tmp_path / str(w), workers=w) for w in (1, 2)]
  assert written[0] == written[1]


@pytest.mark.nightly
def test_ctrl_c_keeps_what_has_ended(tmp_path, table):
  """The file appears while searches run; after Ctrl-C their results are shown."""
  out, runs = tmp_path / 'result.json', 100_000
  command = (
    *(sys.executable, script.ROOT / 'nasbench201.py', f'--table={table}', '--workers=1'),
    *('--strategies=random', f'--budget_seconds={60 * EVALUATION_EPOCHS}'),
    *(f'--runs={runs}', f'--out={out}'),
  )
  with subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
  ) as process:
    while not out.exists():
      assert process.poll() is None
      time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    stdout, _ = process.communicate(timeout=120)
  assert process.returncode == INTERRUPTED
  found = len(json.loads(out.read_text())['random']['test_200'])
  assert 0 < found < runs
  (row,) = (line for line in stdout.splitlines() if line.startswith('random '))
  assert row.split()[-1] == str(found)


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--runs=0', '--runs=0: must be at least 1'),
    ('--budget_seconds=-1', '--budget_seconds=-1.0: must be positive'),
    ('--strategies=random,annealing', "--strategies='annealing': must be one of default"),
    ('--strategies=evolution:sample=0', "'evolution:sample=0': strategy_option=sample=0"),
    ('--table=nowhere.npz', 'nowhere.npz'),
  ],
)
def test_a_mistake_is_one_line(table, flag, message):
  done = script.run('nasbench201.py', f'--table={table}', flag)
  assert done.code == 1
  assert message in done.stderr
  assert 'Traceback' not in done.stderr
