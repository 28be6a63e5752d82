"""Strategies search the space of each task on real data, and a cut journal changes nothing."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest

from rlnas.budget import Budget
from rlnas.data import loaders
from rlnas.data.assembling import assemble
from rlnas.data.dataset import Dataset
from rlnas.evaluation.executors import InProcess
from rlnas.evaluation.trained import Trained
from rlnas.reward import linear_excess
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import Autoencoder, Chain
from rlnas.spaces.decision import Space
from rlnas.spaces.table import compile_table
from rlnas.strategies.controller import Controller
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.reinforce import Reinforce
from rlnas.testing import check_strategy
from rlnas.trial import Status

BUDGET = Budget(flash_bytes=64 * 1024, sram_bytes=64 * 1024)
DENSE = Chain(max_depth=3, operations=('conv',), kernels=(1,), max_strides=0)
CODE = Autoencoder(max_layers=2, widths=(8, 16, 32))


def zeros() -> Dataset:
  """Digits, of which 0 is normal."""
  data = loaders.digits()
  normal = data.x_train[data.y_train == 0]
  trained = normal, np.zeros(len(normal), int)
  whole = assemble('zeros', trained, test=(data.x_val, data.y_val), source='', task='anomaly')
  return loaders.as_pixel(whole)


@dataclasses.dataclass(frozen=True)
class Case:
  load: Callable[[], Dataset]
  space: Space
  epochs: int
  chance: float  # quality of a network that learnt nothing


TASKS = {
  'classes': Case(functools.partial(loaders.load, 'digits'), Chain(max_depth=2), 1, 0.1),
  'values': Case(functools.partial(loaders.load, 'auto_mpg'), DENSE, 40, 0.0),
  'scores': Case(zeros, CODE, 20, 0.5),
}
SPACES = {'dense': DENSE, 'code': CODE}


def reinforce(table):
  controller = Controller(table, units=8, seed=1)
  return Reinforce(table, controller=controller, updates=1, imagined=4, warm_up=2)


STRATEGIES = {
  'reinforce': reinforce,
  'aging_evolution': lambda table: Evolution(table, population=4, sample=2),
}


def timeless(trials):
  return [
    dataclasses.replace(t, measurement=dataclasses.replace(t.measurement, seconds=0.0))
    for t in trials
  ]


@pytest.mark.nightly
@pytest.mark.parametrize('strategy', ['aging_evolution', 'reinforce'])
@pytest.mark.parametrize('task', ['classes', 'values', 'scores'])
def test_it_searches_the_space_of_a_task_and_resumes(task, strategy, tmp_path):
  case = TASKS[task]
  table, evaluator = compile_table(case.space), Trained(case.load(), epochs=case.epochs)

  def search(name):
    return run_search(
      STRATEGIES[strategy](table),
      executor=InProcess(evaluator),
      reward=linear_excess,
      budget=BUDGET,
      trials=6,
      batch=2,
      seed=1,
      journal=Journal(tmp_path / name, configuration={'task': task}),
    )

  trials = search('whole.jsonl')
  assert {trial.measurement.status for trial in trials} == {Status.COMPLETE}
  reached = [trial.measurement.quality for trial in trials]
  assert case.chance + 0.1 < max(reached) <= 1
  assert [trial.reward for trial in trials] == reached  # all fit the budget
  lines = (tmp_path / 'whole.jsonl').read_text().splitlines(keepends=True)
  (tmp_path / 'cut.jsonl').write_text(''.join(lines[:5]))  # the header and four trials
  assert timeless(search('cut.jsonl')) == timeless(trials)


@pytest.mark.slow
@pytest.mark.parametrize('strategy', STRATEGIES)
@pytest.mark.parametrize('space', SPACES)
def test_it_keeps_the_contract_in_the_spaces_of_other_tasks(space, strategy):
  check_strategy(STRATEGIES[strategy], compile_table(SPACES[space]))
