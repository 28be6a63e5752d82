"""The benchmark as a user runs it, on an invented table of all cells."""

import dataclasses
import importlib.util
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rlnas.architecture import Architecture, Node
from rlnas.cli.arms import read_arms
from rlnas.cli.guard import INTERRUPTED
from rlnas.evaluation.lookup import EVALUATION_EPOCHS
from rlnas.progress import told_to
from rlnas.trial import Measurement, Proposal, Status, Trial
from tests.experiments import script
from tests.experiments.invented_table import invented_table

pytestmark = pytest.mark.slow

ANYTHING = Architecture((Node('input'),))


@pytest.fixture(name='experiment')
def _experiment():
  path = script.ROOT / 'nasbench201.py'
  with script.forgotten_afterwards(path):
    spec = importlib.util.spec_from_file_location('nasbench201_experiment', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module


@pytest.fixture(scope='module', name='table')
def _table(tmp_path_factory) -> pathlib.Path:
  return invented_table(tmp_path_factory.mktemp('table') / 'table.npz')


def trial(tokens: tuple[int, ...], seconds: float, reward: float | None) -> Trial:
  measurement = Measurement(Status.COMPLETE, seconds=seconds, detail='an accident')
  return Trial(0, 0, 0, Proposal(tokens, ANYTHING), measurement, reward)


def test_what_ends_too_late_does_not_count(experiment):
  ledger = experiment.Ledger(experiment.Protocol(10.0))
  ledger.on_trial(trial((0,), 4.0, 0.5))
  ledger.on_trial(trial((1,), 4.0, 0.4))
  ledger.on_trial(trial((2,), 2.0, 0.6))
  with pytest.raises(experiment.BudgetSpentError):
    ledger.on_trial(trial((3,), 0.5, 0.9))
  assert (ledger.seconds, ledger.evaluations) == (10.0, 3)
  assert [(s, t.proposal.tokens) for s, _, t in ledger.found] == [(4.0, (0,)), (10.0, (2,))]


@pytest.mark.parametrize(('free', 'seconds', 'evaluations'), [(True, 4.0, 1), (False, 8.0, 2)])
def test_repeats_cost_nothing_only_where_they_are_free(experiment, free, seconds, evaluations):
  ledger = experiment.Ledger(experiment.Protocol(10.0, free_repeats=free))
  ledger.on_trial(trial((0,), 4.0, 0.5))
  ledger.on_trial(trial((0,), 4.0, 0.5))
  assert (ledger.seconds, ledger.evaluations) == (seconds, evaluations)


def test_a_failed_evaluation_is_no_result(experiment):
  with pytest.raises(RuntimeError, match='an accident'):
    experiment.Ledger(experiment.Protocol(10.0)).on_trial(trial((0,), 4.0, None))


@pytest.mark.parametrize(
  'name',
  [
    'random',
    'qlearning',
    'evolution',
    'local_search:samples=3',
    pytest.param('reinforce', marks=pytest.mark.nightly),
  ],
)
def test_a_search_spends_its_budget(experiment, table, name):
  (arm,), seconds = read_arms(name), 22.5 * EVALUATION_EPOCHS
  run, again = (
    experiment.search_once(arm, str(table), protocol=experiment.Protocol(seconds), seed=3)
    for _ in range(2)
  )
  assert run == again
  assert run.evaluations == 22
  assert run.test_200 == pytest.approx(run.validation_12 + 10)
  assert run.curve[0][0] == pytest.approx(EVALUATION_EPOCHS)
  assert list(run.curve) == sorted(run.curve)


def test_every_step_is_told_with_the_arm(experiment, table):
  (arm,), steps = read_arms('zoph_le:warm_start=3'), []
  protocol = experiment.Protocol(5.5 * EVALUATION_EPOCHS)
  with told_to(steps.append):
    experiment.search_once(arm, str(table), protocol=protocol, seed=0)
  assert {(step.name, step.unit) for step in steps} == {('zoph_le:warm_start=3', 'warm start')}


def test_a_budget_for_nothing_is_refused(experiment, table):
  with pytest.raises(ValueError, match='must be long enough for one evaluation'):
    experiment.search_once(
      *(read_arms('random')[0], str(table)), protocol=experiment.Protocol(1), seed=0
    )


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


def test_under_limits_only_cells_that_fit_count(experiment, table):
  """All cells have one size, so a limit below it lets none fit, and one above it all."""
  protocol = experiment.Protocol(math.inf, networks=9, parameters=2e6, macs=1.5e6)
  run = experiment.search_once(read_arms('random')[0], str(table), protocol=protocol, seed=0)
  assert (run.evaluations, run.after(networks=9)) == (9, run.curve[-1])
  assert run.after(networks=1).networks == 1
  measured = Measurement(
    Status.COMPLETE, validation_accuracy=0.5, parameters=4_000_000, macs=1_000_000
  )
  assert protocol.excess(measured) == pytest.approx(math.log(2))
  assert protocol.reward(measured, experiment.UNLIMITED) == pytest.approx(0.5 - math.log(2))
  ledger = experiment.Ledger(protocol)
  ledger.on_trial(dataclasses.replace(trial((0,), 1.0, 0.9), measurement=measured))
  assert (ledger.evaluations, ledger.found) == (1, [])


def test_limits_that_no_cell_keeps_are_named(experiment, table):
  protocol = experiment.Protocol(math.inf, networks=2, parameters=1e5)
  with pytest.raises(ValueError, match=r'--max_params_m=0\.1, --max_flops_m=inf: no cell'):
    experiment.search_once(read_arms('random')[0], str(table), protocol=protocol, seed=0)
