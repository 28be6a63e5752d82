"""All executors keep the contract; a new one is added to `EXECUTORS`."""

import pathlib

import pytest
import ray

from rlnas.evaluation.cached import Cached
from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.evaluation.ray_executor import RayCluster
from rlnas.testing import check_executor

ROOT = pathlib.Path(__file__).parents[2]


def cached_pool(evaluator):
  return Cached(WorkerPool(evaluator, workers=2), settings='contract', stages=2)


EXECUTORS = {
  'in_process': InProcess,
  'cached': lambda evaluator: Cached(InProcess(evaluator), settings='contract', stages=2),
  'pool': lambda evaluator: WorkerPool(evaluator, workers=2),
  'cached_pool': cached_pool,
  'ray': RayCluster,
}
# Ray starts a process anew wherever one dies, which takes half a minute here.
MARKS = {'pool': pytest.mark.slow, 'cached_pool': pytest.mark.nightly, 'ray': pytest.mark.nightly}


@pytest.fixture(scope='module')
def _cluster():
  """One for all executors that are made: each only joins and leaves it."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('PYTHONPATH', str(ROOT))
    ray.init(address='local', num_cpus=2, log_to_driver=False, logging_level='ERROR')
  yield
  ray.shutdown()


@pytest.mark.parametrize('name', [pytest.param(n, marks=MARKS.get(n, ())) for n in EXECUTORS])
def test_it_keeps_the_contract(name, request):
  if name == 'ray':
    request.getfixturevalue('_cluster')
  check_executor(EXECUTORS[name])


def test_a_cache_on_disk_keeps_the_contract(tmp_path):
  """The checks share the folder, so that later ones are answered from it."""

  def make(evaluator):
    return Cached(InProcess(evaluator), settings='contract', stages=2, folder=tmp_path)

  check_executor(make)
  assert list(tmp_path.rglob('*.json'))
