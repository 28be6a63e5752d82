"""The searches of the benchmark, on an invented table of all cells that is read once."""

import dataclasses
import math
import pathlib

import pytest

from rlnas.architecture import Architecture, Node
from rlnas.cli.arms import read_arms
from rlnas.evaluation.lookup import EVALUATION_EPOCHS
from rlnas.progress import told_to
from rlnas.spaces.nasbench201 import record
from rlnas.trial import Measurement, Proposal, Status, Trial
from tests.experiments import script
from tests.experiments.invented_table import invented_table

pytestmark = pytest.mark.slow

ANYTHING = Architecture((Node('input'),))


@pytest.fixture(scope='module', name='experiment')
def _experiment():
  with script.imported('nasbench201.py') as module:
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


def test_cells_that_differ_in_edges_without_a_way_are_one_network(experiment):
  cells = (
    ('none', 'none', 'none', 'nor_conv_1x1', 'none', 'none'),
    ('none', 'none', 'nor_conv_3x3', 'nor_conv_1x1', 'avg_pool_3x3', 'skip_connect'),
    ('none', 'none', 'none', 'nor_conv_3x3', 'none', 'none'),
  )
  one, same, other = (
    Trial(i, i, i, Proposal((i,), record(cell)), Measurement(Status.COMPLETE), 0.5 + i)
    for i, cell in enumerate(cells)
  )
  ledger = experiment.Ledger(experiment.Protocol(math.inf, networks=2))
  ledger.on_trial(one)
  ledger.on_trial(same)
  with pytest.raises(experiment.BudgetSpentError):
    ledger.on_trial(other)
  assert [networks for _, networks, _ in ledger.found] == [1, 1, 2]


def test_limits_that_no_cell_keeps_are_named(experiment, table):
  protocol = experiment.Protocol(math.inf, networks=2, parameters=1e5)
  with pytest.raises(ValueError, match=r'--max_params_m=0\.1, --max_flops_m=inf: no cell'):
    experiment.search_once(read_arms('random')[0], str(table), protocol=protocol, seed=0)
