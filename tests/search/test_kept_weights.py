"""Weights stay as long as a mutant may inherit them, and no longer."""

import dataclasses
import pathlib

import numpy as np

from rlnas.budget import UNLIMITED
from rlnas.evaluation.executors import InProcess
from rlnas.search.kept_weights import KeptWeights
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.evolution import Evolution
from rlnas.strategies.local_search import LocalSearch
from rlnas.trial import NO_TERMS, Measurement, Status, weights_name

TABLE = compile_table(Chain(max_depth=3))


@dataclasses.dataclass(frozen=True)
class Writing:
  """Writes a file for each network; fails if the parent's is gone."""

  folder: pathlib.Path

  def evaluate(self, value, *, seed, terms=NO_TERMS):
    if terms.parent:
      assert (self.folder / f'{terms.parent}.npz').exists()
    name = weights_name(value, seed, terms, 1)
    (self.folder / f'{name}.npz').touch()
    reward = np.random.default_rng(seed % 2**32).random()
    return Measurement(
      Status.COMPLETE,
      validation_accuracy=reward,
      int8_validation_accuracy=reward,
      flash_bytes=1,
      sram_bytes=1,
      sram_source='tflm',
      macs=1,
      parameters=1,
      curve=(reward,),
    )


def searched(strategy, folder, *, lag, observers):
  folder.mkdir()
  return run_search(
    strategy,
    executor=InProcess(Writing(folder)),
    reward=lambda measurement, budget: measurement.validation_accuracy,
    budget=UNLIMITED,
    trials=120,
    batch=4,
    lag=lag,
    inherit=True,
    observers=observers,
  )


def check(make, tmp_path, *, most):
  for lag in (0, 2):
    strategy, folder = make(), tmp_path / f'{lag}'
    observer = KeptWeights(folder, strategy, lag=lag)
    trials = searched(strategy, folder, lag=lag, observers=[observer])
    assert not [t for t in trials if t.reward is None], 'a parent was gone'
    assert sum(t.proposal.parent is not None for t in trials) > 40
    kept = len(list(folder.iterdir()))
    assert 1 <= kept <= most + 4 * (lag + 2)
    everything = searched(make(), tmp_path / f'{lag}-all', lag=lag, observers=[])
    assert everything == tuple(trials), 'what is removed changes nothing'
    assert len(list((tmp_path / f'{lag}-all').iterdir())) > 80


def test_the_population_of_an_evolution_keeps_its_weights(tmp_path):
  check(lambda: Evolution(TABLE, population=10, sample=3), tmp_path, most=10)


def test_so_do_tournaments_without_age(tmp_path):
  check(lambda: Evolution(TABLE, population=10, sample=3, aging=False), tmp_path, most=10)


def test_a_local_search_keeps_where_it_stands(tmp_path):
  check(lambda: LocalSearch(TABLE, samples=5), tmp_path, most=5)
