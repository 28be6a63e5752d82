"""Two Ray nodes on one machine: the journal is the local one, also where a node leaves."""

import dataclasses
import multiprocessing
import os
import pathlib
import signal
import time

import pytest
import ray
from ray.cluster_utils import Cluster

from rlnas.cli import search as cli_search
from rlnas.cli.build import set_up
from rlnas.cli.config import SearchConfig
from rlnas.evaluation.executors import ExecutorError, InProcess
from rlnas.evaluation.ray_executor import RayCluster
from rlnas.reward import linear_excess
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, unrank
from rlnas.strategies.evolution import Evolution
from rlnas.trial import Measurement, Status
from tests.search.test_kill import timeless
from tests.synthetic import BUDGET, Synthetic

TABLE = compile_table(Chain(max_depth=3))
ARCHITECTURE = decode(TABLE.space, unrank(TABLE, 5))
ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Watched:
  """Writes down where a child begins; a seed that is a multiple of 7 kills its process."""

  log: pathlib.Path
  seconds: float

  def evaluate(self, architecture, *, seed) -> Measurement:
    with self.log.open('a') as file:
      file.write(f'{os.environ.get("RAY_NODE", "")} {seed}\n')
    if seed % 7 == 0:
      os.kill(os.getpid(), signal.SIGKILL)
    return Synthetic(seconds=self.seconds).evaluate(architecture, seed=seed)


@dataclasses.dataclass(frozen=True)
class Deadly:
  """The local twin of `Watched`: the same measurements without the accident."""

  def evaluate(self, architecture, *, seed) -> Measurement:
    if seed % 7 == 0:
      cause = 'the worker process died (exit code -9; a negative code is a signal), twice'
      return Measurement(Status.FAILED, detail=cause)
    return Synthetic().evaluate(architecture, seed=seed)


@pytest.fixture(name='cluster', scope='module')
def _cluster():
  """Two nodes of one core; every test joins them and leaves them again."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('PYTHONPATH', str(ROOT))
    cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
  yield cluster
  ray.shutdown()
  cluster.shutdown()


def search(path: pathlib.Path, executor, observers=()):
  journal = Journal(path, configuration={})
  trials = run_search(
    Evolution(TABLE, population=6, sample=3),
    executor=executor,
    reward=linear_excess,
    budget=BUDGET,
    trials=18,
    batch=6,
    seed=4,
    journal=journal,
    observers=observers,
  )
  executor.close()
  journal.close()
  return trials


@dataclasses.dataclass
class NodeRemover:
  """An observer that takes a node away once some trials are told."""

  cluster: Cluster
  node: object
  removed: bool = False

  def on_trial(self, trial):
    if trial.index == 6:
      self.cluster.remove_node(self.node, allow_graceful=False)
      self.removed = True

  def on_batch(self, trials, scalars): ...


def test_two_nodes_give_the_local_journal(cluster, tmp_path):
  search(tmp_path / 'local.jsonl', InProcess(Deadly()))
  where = RayCluster(Watched(tmp_path / 'log', seconds=0.05), address=cluster.address)
  trials = search(tmp_path / 'ray.jsonl', where)
  assert timeless(tmp_path / 'ray.jsonl') == timeless(tmp_path / 'local.jsonl')
  failed = [t.seed for t in trials if t.measurement.status is Status.FAILED]
  assert failed == [t.seed for t in trials if t.seed % 7 == 0] != []


@pytest.mark.nightly
def test_a_node_that_leaves_takes_no_trial_with_it(cluster, tmp_path):
  search(tmp_path / 'local.jsonl', InProcess(Deadly()))
  remover = NodeRemover(cluster, cluster.add_node(num_cpus=1))
  cluster.wait_for_nodes()
  where = RayCluster(Watched(tmp_path / 'log', seconds=0.3), address=cluster.address)
  search(tmp_path / 'ray.jsonl', where, observers=[remover])
  cluster.wait_for_nodes()
  assert remover.removed
  assert timeless(tmp_path / 'ray.jsonl') == timeless(tmp_path / 'local.jsonl')


@pytest.mark.nightly
def test_back_pressure_and_withdrawal(cluster, tmp_path):
  where = RayCluster(Synthetic(seconds=0.5), address=cluster.address)
  architecture = ARCHITECTURE
  for key in range(20):
    where.submit(key, architecture, seed=2 * key)
  withdrawn = where.withdraw()
  assert withdrawn == list(range(2, 20)), 'no more than the cores of the cluster were handed out'
  found = set()
  until = time.monotonic() + 60
  while len(found) < 2:
    assert time.monotonic() < until
    arrived = where.collect(1.0)
    if arrived:
      found.add(arrived[0])
  assert found == set(range(2))
  assert where.collect(0.1) is None
  where.close()


class Stubborn:
  """Ray can load it, the worker processes that Ray starts cannot."""

  def evaluate(self, architecture, *, seed) -> Measurement:
    return Measurement(Status.COMPLETE, macs=seed)

  def __reduce__(self):
    return (_stubborn, ())


def _stubborn() -> Stubborn:
  if multiprocessing.parent_process() is not None:
    raise OSError('no evaluator for you')
  return Stubborn()


@pytest.mark.nightly
def test_an_evaluator_that_no_node_can_load_stops_the_search(cluster):
  executor = RayCluster(Stubborn(), address=cluster.address)
  for key in range(3):
    executor.submit(key, ARCHITECTURE, seed=key)
  for _ in range(2):  # the second is not answered with what the first one asked for
    with pytest.raises(ExecutorError, match='cannot load the evaluator'):
      executor.collect(60.0)
  executor.close()


def test_no_cluster_at_the_address_is_one_clear_error():
  with pytest.raises(ExecutorError, match=r'ray_address=127\.0\.0\.1:1: nothing answers there'):
    RayCluster(Synthetic(), address='127.0.0.1:1')


@pytest.mark.nightly
def test_a_search_on_ray_is_the_one_in_this_process(cluster, tmp_path):
  small = SearchConfig(dataset='digits', trials=2, batch=2, epochs=1, workdir=str(tmp_path / 'ray'))
  remote = dataclasses.replace(small, executor='ray', ray_address=cluster.address)
  local = dataclasses.replace(small, executor='inprocess', workdir=str(tmp_path / 'local'))
  for config in (remote, local):
    cli_search.search(set_up(config))
  assert timeless(tmp_path / 'ray/journal.jsonl') == timeless(tmp_path / 'local/journal.jsonl')
