"""Faults are results: one child's is recorded, what concerns all stops the search cleanly."""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import signal
import time
from collections import Counter

import numpy as np
import pytest

from rlnas.architecture import Architecture, TaskShape
from rlnas.backend import keras, tf
from rlnas.data import loaders
from rlnas.data.atomic_file import WriteError, write_file
from rlnas.evaluation.executors import InProcess, WorkerPool
from rlnas.evaluation.trained import Trained
from rlnas.reports.tensorboard import TensorBoard
from rlnas.reward import linear_excess
from rlnas.search.journal import Journal, read_journal
from rlnas.search.loop import SearchError, run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.random_search import RandomSearch
from rlnas.trial import Measurement, Status
from tests.disk import full_disk
from tests.search.test_kill import (
  logged_seeds,
  recorded_seeds,
  run_to_its_end,
  start,
  timeless,
  wait_for,
)
from tests.synthetic import BUDGET, Synthetic

TABLE = compile_table(Chain(max_depth=1, filters=(4, 8)))


def search(evaluator, *, executor=None, **options):
  settings = {'reward': linear_excess, 'budget': BUDGET, 'trials': 12, 'batch': 4, 'seed': 3}
  return run_search(
    RandomSearch(TABLE), executor=executor or InProcess(evaluator), **settings | options
  )


@dataclasses.dataclass(frozen=True)
class Faulty:
  """Real accidents for the trials of odd seeds; every other one is a cheap success."""

  fault: str

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    if seed % 2:
      if self.fault == 'diverge':
        few = small_digits()
        return Trained(few, epochs=3, learning_rate=1e38).evaluate(architecture, seed=seed)
      if self.fault == 'convert':
        unconvertible()
      if self.fault == 'nan':
        return dataclasses.replace(
          Synthetic().evaluate(architecture, seed=seed), int8_validation_accuracy=float('nan')
        )
      if self.fault == 'no number':
        return dataclasses.replace(
          Synthetic().evaluate(architecture, seed=seed), validation_accuracy=np.float32(0.5)
        )
    return Synthetic().evaluate(architecture, seed=seed)


@functools.cache
def small_digits():
  data = loaders.digits()
  return dataclasses.replace(data, x_train=data.x_train[:100], y_train=data.y_train[:100])


def unconvertible() -> None:
  """Asks the real converter for an operator that TensorFlow Lite does not have."""
  model = keras.Sequential([keras.layers.Lambda(lambda x: tf.linalg.svd(x)[0])])
  model.build((1, 4, 4))
  tf.lite.TFLiteConverter.from_keras_model(model).convert()


@pytest.mark.slow
@pytest.mark.parametrize(
  ('fault', 'cause'),
  [
    ('diverge', 'FloatingPointError'),
    ('convert', 'ConverterError'),
    ('nan', 'int8_validation_accuracy=nan: must lie in [0, 1]'),
    ('no number', '(TypeError: Object of type float32 is not JSON serializable)'),
  ],
)
def test_an_accident_of_a_child_is_recorded_with_its_cause(tmp_path, fault, cause):
  journal = Journal(tmp_path / 'journal.jsonl', configuration={})
  trials = search(Faulty(fault), journal=journal, trials=8)
  journal.close()
  for trial in trials:
    assert (trial.measurement.status is Status.FAILED) == bool(trial.seed % 2)
    assert (trial.reward is None) == bool(trial.seed % 2)
    assert trial.seed % 2 == 0 or cause in trial.measurement.detail
  assert {t.seed % 2 for t in trials} == {0, 1}
  assert read_journal(tmp_path / 'journal.jsonl')[1] == list(trials)


def test_a_search_of_which_most_fails_stops_and_says_why(tmp_path):
  @dataclasses.dataclass(frozen=True)
  class Often:
    broken: bool

    def evaluate(self, architecture, *, seed):
      if self.broken and seed % 3:
        raise OSError('no space for a temporary file')
      return Synthetic().evaluate(architecture, seed=seed)

  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration={})
  with pytest.raises(SearchError, match=r'\d+ of \d+ trials failed, trial \d+ with: OSError: no'):
    search(Often(broken=True), trials=200, journal=journal)
  journal.close()
  recorded = len(read_journal(path)[1])
  assert 24 <= recorded < 60
  journal = Journal(path, configuration={})
  assert len(search(Often(broken=False), trials=200, journal=journal)) == 200
  journal.close()
  assert [t.reward is None for t in read_journal(path)[1][recorded:]] == [False] * (200 - recorded)


@pytest.mark.parametrize('workers', [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_stops_the_search_which_then_goes_on(tmp_path, workers):
  whole = search(Synthetic(), trials=24)
  path = tmp_path / 'journal.jsonl'
  pool = WorkerPool(Synthetic(seconds=0.02), workers=2) if workers else None
  journal = Journal(path, configuration={})
  try:
    with full_disk(6000), pytest.raises(OSError, match='cannot be written'):
      search(Synthetic(), executor=pool, trials=24, journal=journal)
  finally:
    journal.close()
    if pool:
      pool.close()
  kept = len(read_journal(path)[1])
  assert 0 < kept < 24
  journal = Journal(path, configuration={})
  again = search(Synthetic(), trials=24, journal=journal)
  journal.close()
  assert [t.reward for t in again] == [t.reward for t in whole]


def test_event_files_on_a_full_disk_stop_the_search_which_then_goes_on(tmp_path, capfd):
  path, folder = tmp_path / 'journal.jsonl', tmp_path / 'tensorboard'

  def run():
    journal = Journal(path, configuration={})
    try:
      events = TensorBoard(folder, budget=BUDGET, task=TaskShape((8, 8, 1), 10), table=TABLE)
      return search(Synthetic(), journal=journal, observers=[events])
    finally:
      journal.close()

  run_folder = rf'{folder}/(search/[^/]+|trials/\d+)'
  named = rf'^{run_folder}/events\.out\.tfevents\S+: cannot be written \([^()\n]+\)$'
  with full_disk(20_000), pytest.raises(WriteError, match=named):
    run()
  assert capfd.readouterr() == ('', '')
  kept = read_journal(path)[1]
  assert 0 < len(kept) < 12
  trials = run()
  assert len(trials) == 12
  assert [t.reward for t in trials[: len(kept)]] == [t.reward for t in kept]


def test_a_lost_folder_stops_the_search_which_then_goes_on(tmp_path):
  path = tmp_path / 'runs' / 'journal.jsonl'

  class Vandal:
    calls = 0

    def evaluate(self, architecture, *, seed):
      Vandal.calls += 1
      if Vandal.calls == 7:
        shutil.rmtree(path.parent)
      return Synthetic().evaluate(architecture, seed=seed)

  journal = Journal(path, configuration={})
  with pytest.raises(OSError, match='was removed or replaced while the search ran'):
    search(Vandal(), journal=journal)
  journal.close()
  assert len(read_journal(path)[1]) == 7, 'what was told, and the one that was being kept'
  journal = Journal(path, configuration={})
  trials = search(Vandal(), journal=journal)
  journal.close()
  assert Vandal.calls == 12
  assert list(trials) == read_journal(path)[1]


@pytest.mark.slow
def test_ctrl_c_keeps_what_runs_and_the_same_command_goes_on(tmp_path):
  whole, stopped = tmp_path / 'whole', tmp_path / 'stopped'
  for folder in (whole, stopped):
    folder.mkdir()
  process = start(stopped, trials=60)
  wait_for(stopped, 'begin', 20)
  os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers get it too
  _, errors = process.communicate(timeout=60)
  assert b'stopping when the running trials have finished' in errors
  assert b'KeyboardInterrupt' in errors
  ended = logged_seeds(stopped, 'end')
  assert sorted(logged_seeds(stopped, 'begin')) == sorted(ended), 'no child was cut off'
  assert recorded_seeds(stopped) == Counter(ended), 'all are kept'
  assert 20 <= len(ended) < 60
  run_to_its_end(stopped, trials=60)
  run_to_its_end(whole, trials=60)
  assert timeless(stopped / 'journal.jsonl') == timeless(whole / 'journal.jsonl')
  assert len(logged_seeds(stopped, 'begin')) == 60, 'nothing ran twice'


@pytest.mark.slow
def test_ctrl_c_twice_stops_at_once(tmp_path):
  process = start(tmp_path, trials=12, evaluator='endless')
  wait_for(tmp_path, 'begin', 1)
  os.killpg(process.pid, signal.SIGINT)
  time.sleep(2)
  assert process.poll() is None, 'it waits for the child that runs'
  os.killpg(process.pid, signal.SIGINT)
  _, errors = process.communicate(timeout=20)
  assert process.returncode != 0
  assert b'KeyboardInterrupt' in errors


def test_what_is_recorded_is_json_alone(tmp_path):
  path = tmp_path / 'journal.jsonl'
  journal = Journal(path, configuration={})
  search(Synthetic(), journal=journal)
  journal.close()
  for line in path.read_text().splitlines():
    json.loads(line, parse_constant=lambda name: pytest.fail(f'{name} is no JSON'))


@dataclasses.dataclass(frozen=True)
class Incomplete:
  """Calls a network measured, but leaves a figure out."""

  left_out: str

  def evaluate(self, architecture, *, seed):
    found = Synthetic().evaluate(architecture, seed=seed)
    return dataclasses.replace(found, **{self.left_out: None})


@pytest.mark.parametrize('field', ['int8_validation_accuracy', 'flash_bytes', 'sram_bytes'])
def test_an_evaluator_that_leaves_a_figure_out_is_told_so(field):
  with pytest.raises(SearchError, match=f'12 trials failed .* {field}=None: a complete measurem'):
    search(Incomplete(field), trials=40)


@dataclasses.dataclass(frozen=True)
class Writing:
  """Writes a file for each network, as inherited weights are."""

  folder: pathlib.Path

  def evaluate(self, architecture, *, seed):
    write_file(self.folder / f'{seed}.npz', b'x' * 10_000)
    return Synthetic().evaluate(architecture, seed=seed)


@pytest.mark.parametrize('workers', [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_full_disk_is_no_failure_of_the_network_that_meets_it(tmp_path, workers):
  path, pool = tmp_path / 'journal.jsonl', None
  journal = Journal(path, configuration={})
  with full_disk(9_000):
    pool = WorkerPool(Writing(tmp_path), workers=workers) if workers else None
    with pytest.raises(OSError, match=r'cannot be written \(File too large\).*\.npz'):
      search(Writing(tmp_path), executor=pool, journal=journal)
  journal.close()
  if pool:
    pool.close()
  assert read_journal(path)[1] == []
  journal = Journal(path, configuration={})
  assert len(search(Writing(tmp_path), journal=journal)) == 12
  journal.close()
  assert all(t.reward is not None for t in read_journal(path)[1])
