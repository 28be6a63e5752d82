"""A space of one's own is one file: all else takes it as it is."""

import subprocess
import sys

import pytest

from rlnas.budget import Budget
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.evaluation.executors import InProcess
from rlnas.evaluation.screened import Screened
from rlnas.evaluation.trained import Trained
from rlnas.reward import linear_excess
from rlnas.search.loop import run_search
from rlnas.spaces.table import compile_table
from rlnas.strategies.controller import Controller
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.qlearning import QLearning
from rlnas.strategies.reinforce import Reinforce
from rlnas.strategies.zoph_le import ZophLe
from rlnas.trial import Status
from tests.spaces.residuals import Residuals
from tests.synthetic import Synthetic

BUDGET = Budget(flash_bytes=20_000, sram_bytes=20_000)


def search(strategy, evaluator, trials):
  return run_search(
    strategy,
    executor=InProcess(evaluator),
    reward=linear_excess,
    budget=BUDGET,
    trials=trials,
    batch=2,
  )


def test_its_size():
  # Two widths, and 2 ** k sequences of k blocks for each k.
  assert compile_table(Residuals(max_blocks=4)).size == 2 * (1 + 2 + 4 + 8 + 16)


@pytest.mark.slow
def test_every_strategy_takes_it():
  table = compile_table(Residuals())
  for strategy in (
    Reinforce(table, controller=Controller(table, seed=0)),
    ZophLe(table, controller=Controller(table, seed=0)),
    QLearning(table, seed=0),
    Evolution(table, seed=0),
  ):
    trials = search(strategy, Synthetic(), 6)
    assert len(trials) == 6
    assert all(t.measurement.status is Status.COMPLETE for t in trials)


@pytest.mark.nightly
def test_its_children_are_trained_and_measured():
  data = loaders.take(loaders.digits(), 300)
  table = compile_table(Residuals(max_blocks=2))
  evaluator = Screened(Trained(data, epochs=1), BUDGET, data.task)
  trials = search(Evolution(table, seed=0), evaluator, 4)
  measured = [t for t in trials if t.measurement.status is Status.COMPLETE]
  assert measured
  for trial in measured:
    found = trial.measurement
    estimate = estimate_cost(trial.proposal.architecture, data.task)
    assert abs(estimate.flash_bytes / found.flash_bytes - 1) < 0.03
    assert 0 <= found.int8_validation_accuracy <= 1


def test_the_space_itself_needs_no_tensorflow():
  code = (
    'import sys; from tests.spaces.residuals import Residuals; '
    'from rlnas.spaces.table import compile_table; compile_table(Residuals()); '
    'sys.exit(any(m.startswith("tensorflow") for m in sys.modules))'
  )
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
