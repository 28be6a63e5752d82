"""All evaluators keep the contract; a new one is added to `EVALUATORS`."""

import dataclasses
import functools

import numpy as np
import pytest

from rlnas.architecture import Architecture
from rlnas.budget import Budget
from rlnas.child.train_supernet import train_supernet
from rlnas.data import loaders
from rlnas.data.assembling import assemble
from rlnas.data.metrics import Metric
from rlnas.evaluation.lookup import NasBench201Data
from rlnas.evaluation.screened import Screened
from rlnas.evaluation.trained import Trained
from rlnas.evaluation.untrained import untrained_footprint
from rlnas.evaluation.weight_sharing import WeightSharing
from rlnas.finishing.evaluator import Finishing
from rlnas.finishing.recipe import Recipe
from rlnas.interfaces import Evaluator
from rlnas.testing import check_evaluator
from rlnas.testing.executor import Probe
from rlnas.trial import Status
from tests.child.test_builder import small_network
from tests.evaluation.test_lookup import CELLS, architecture, written
from tests.synthetic import Synthetic


@dataclasses.dataclass(frozen=True)
class Case:
  evaluator: Evaluator
  architectures: tuple[Architecture, ...]
  measures_all: bool = True
  uses_seed: bool = True


NETWORKS = (small_network(8), small_network(16))


@functools.cache
def digits():
  return loaders.take(loaders.digits(), 200)


def screened(folder):
  """The second network is measured to miss the budget, the third estimated to."""
  data = digits()
  near = untrained_footprint(NETWORKS[1], data.task)
  budget = Budget(near.flash_bytes - 1, 2 * near.sram_bytes)
  evaluator = Screened(Synthetic(), budget, data.task)
  return Case(evaluator, (*NETWORKS, small_network(100)))


def lookup(folder):
  evaluator = NasBench201Data.read(written(folder)).evaluator()
  cells = tuple(architecture(cell) for cell in CELLS)
  return Case(evaluator, cells, measures_all=False, uses_seed=False)


def weight_sharing(folder):
  supernet = train_supernet(NETWORKS * 5, digits(), seed=0)
  return Case(WeightSharing(digits(), supernet=supernet), NETWORKS, uses_seed=False)


@functools.cache
def cars():
  return loaders.load('auto_mpg')


def weight_sharing_of_values(folder):
  supernet = train_supernet(NETWORKS * 5, cars(), seed=0)
  return Case(WeightSharing(cars(), supernet=supernet), NETWORKS, uses_seed=False)


@functools.cache
def zeros():
  """Digits, of which 0 is normal."""
  data, odd = loaders.digits(), loaders.digits()
  x, y = data.x_train[data.y_train == 0], np.zeros(np.count_nonzero(data.y_train == 0), int)
  return assemble('zeros', (x, y), test=(odd.x_val, odd.y_val), source='', task='anomaly')


def weight_sharing_of_scores(folder):
  supernet = train_supernet(NETWORKS * 5, zeros(), seed=0)
  return Case(WeightSharing(zeros(), supernet=supernet), NETWORKS, uses_seed=False)


EVALUATORS = {
  'synthetic': lambda folder: Case(Synthetic(), NETWORKS),
  'probe': lambda folder: Case(Probe(), NETWORKS),
  'trained': lambda folder: Case(Trained(digits(), epochs=1), NETWORKS),
  'screened': screened,
  'lookup': lookup,
  'weight_sharing': weight_sharing,
  'finishing': lambda folder: Case(Finishing(digits(), Recipe(1), folder), NETWORKS),
  'trained_values': lambda folder: Case(Trained(cars(), epochs=9), NETWORKS),
  'trained_scores': lambda folder: Case(Trained(zeros(), epochs=9), NETWORKS),
  'weight_sharing_scores': weight_sharing_of_scores,
  'finishing_scores': lambda folder: Case(
    Finishing(zeros(), Recipe(9, metric=Metric.AUC), folder), NETWORKS
  ),
  'weight_sharing_values': weight_sharing_of_values,
  'finishing_values': lambda folder: Case(
    Finishing(cars(), Recipe(9, metric=Metric.R2), folder), NETWORKS
  ),
}


CLASSES = ('trained', 'weight_sharing', 'finishing')  # of evaluators that train
MARKS = dict.fromkeys(CLASSES, pytest.mark.slow)
for _name in CLASSES:
  MARKS |= dict.fromkeys((f'{_name}_values', f'{_name}_scores'), pytest.mark.nightly)


@pytest.mark.parametrize(
  'name', [pytest.param(name, marks=MARKS.get(name, ())) for name in EVALUATORS]
)
def test_it_keeps_the_contract(name, tmp_path):
  case = EVALUATORS[name](tmp_path)
  options = {'measures_all': case.measures_all, 'uses_seed': case.uses_seed}
  check_evaluator(case.evaluator, case.architectures, **options, processes=False)


@pytest.mark.nightly
@pytest.mark.parametrize('name', CLASSES)
def test_it_keeps_the_contract_in_processes_of_its_own(name, tmp_path):
  case = EVALUATORS[name](tmp_path)
  check_evaluator(case.evaluator, case.architectures, uses_seed=case.uses_seed, processes=True)


def test_the_screened_networks_go_all_three_ways(tmp_path):
  case = screened(tmp_path)
  found = [case.evaluator.evaluate(a, seed=1) for a in case.architectures]
  assert [m.status for m in found] == [Status.COMPLETE, Status.INFEASIBLE, Status.INFEASIBLE]
  assert found[1].detail.startswith('measured')
  assert found[2].detail.startswith('estimated')
