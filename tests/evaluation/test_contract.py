import dataclasses

import pytest

from rlnas.architecture import Architecture
from rlnas.data import loaders
from rlnas.evaluation.trained import Trained
from rlnas.interfaces import Evaluator
from tests.child.test_builder import small_network
from tests.evaluation import contract
from tests.synthetic import Synthetic


@dataclasses.dataclass(frozen=True)
class Case:
  evaluator: Evaluator
  architectures: tuple[Architecture, ...]


NETWORKS = (small_network(8), small_network(16))
EVALUATORS = {
  'synthetic': lambda: Case(Synthetic(), NETWORKS),
  'trained': lambda: Case(Trained(loaders.take(loaders.digits(), 500), epochs=1), NETWORKS),
}


@pytest.fixture(params=EVALUATORS, name='case', scope='module')
def _case(request):
  return EVALUATORS[request.param]()


def test_measurement_is_whole(case):
  contract.check_measurement_is_whole(case.evaluator, case.architectures[0])


def test_same_arguments_same_result(case):
  contract.check_same_arguments_same_result(case.evaluator, case.architectures)


def test_the_seed_reaches_the_result(case):
  contract.check_the_seed_reaches_the_result(case.evaluator, case.architectures[0])


@pytest.mark.slow
def test_same_in_every_process(case):
  contract.check_same_in_every_process(case.evaluator, case.architectures)
