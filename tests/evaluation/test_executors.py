"""What worker processes survive, and what is told of it."""

import collections
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from rlnas.architecture import Architecture
from rlnas.evaluation.executors import ExecutorError, InProcess, WorkerPool
from rlnas.evaluation.shared_memory import Shared
from rlnas.evaluation.workers import evaluate_safely, start_worker
from rlnas.progress import Step, tell, told_to
from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.trial import NO_TERMS, Measurement, Status, Terms
from tests.synthetic import Synthetic

TABLE = compile_table(Chain(max_depth=3))


def architectures(count: int) -> list[Architecture]:
  import numpy as np

  rng = np.random.default_rng(0)
  return [decode(TABLE.space, sample_uniform(TABLE, rng)) for _ in range(count)]


def collect_all(executor, count: int) -> dict[int, Measurement]:
  found: dict[int, Measurement] = {}
  until = time.monotonic() + 120
  while len(found) < count:
    assert time.monotonic() < until
    arrived = executor.collect(1.0)
    if arrived is not None:
      assert arrived[0] not in found
      found[arrived[0]] = arrived[1]
  assert executor.collect(0.01) is None
  return found


@dataclasses.dataclass(frozen=True)
class Once:
  """Fails in the way that is asked for, the first time only, or each time."""

  folder: pathlib.Path
  how: str
  always: bool = False

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    marker = self.folder / str(seed)
    if seed == 2 and (self.always or not marker.exists()):
      marker.touch()
      if self.how == 'kill':
        os.kill(os.getpid(), signal.SIGKILL)
      time.sleep(600)
    return Measurement(Status.COMPLETE, macs=seed)


@dataclasses.dataclass(frozen=True)
class Stubborn:
  """Cannot be loaded by a worker."""

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    return Measurement(Status.COMPLETE)

  def __reduce__(self):
    return (_refuse, ())


def _refuse():
  raise OSError('no evaluator for you')


@pytest.fixture(
  name='executor', params=['in_process', pytest.param('pool', marks=pytest.mark.slow)]
)
def _executor(request):
  evaluator = Synthetic()
  executor = (
    InProcess(evaluator) if request.param == 'in_process' else WorkerPool(evaluator, workers=2)
  )
  yield executor
  executor.close()


def test_what_has_not_begun_can_be_withdrawn(executor):
  for key, architecture in enumerate(architectures(12)):
    executor.submit(key, architecture, seed=key)
  withdrawn = executor.withdraw()
  found = collect_all(executor, 12 - len(withdrawn))
  assert sorted([*withdrawn, *found]) == list(range(12))
  assert len(withdrawn) >= 10


@pytest.mark.slow
def test_a_child_whose_worker_was_killed_runs_once_more(tmp_path):
  pool = WorkerPool(Once(tmp_path, 'kill'), workers=2)
  for key, architecture in enumerate(architectures(5)):
    pool.submit(key, architecture, seed=key)
  found = collect_all(pool, 5)
  pool.close()
  assert [found[key].macs for key in range(5)] == list(range(5))


@pytest.mark.slow
def test_a_child_that_kills_two_workers_has_failed_alone(tmp_path):
  pool = WorkerPool(Once(tmp_path, 'kill', always=True), workers=2)
  for key, architecture in enumerate(architectures(5)):
    pool.submit(key, architecture, seed=key)
  found = collect_all(pool, 5)
  pool.close()
  assert 'died (exit code -9; a negative code is a signal), twice' in found[2].detail
  assert [found[key].macs for key in range(5)] == [0, 1, None, 3, 4]


@pytest.mark.slow
def test_a_child_that_hangs_fails_at_the_timeout_and_the_others_go_on(tmp_path):
  pool = WorkerPool(Once(tmp_path, 'hang', always=True), workers=1, trial_timeout=2)
  for key, architecture in enumerate(architectures(5)):
    pool.submit(key, architecture, seed=key)
  found = collect_all(pool, 5)
  pool.close()
  assert found[2].detail == 'the trial ran for longer than trial_timeout=2 seconds'
  assert [found[key].macs for key in range(5)] == [0, 1, None, 3, 4]


@pytest.mark.slow
def test_workers_that_cannot_load_the_evaluator_say_why():
  pool = WorkerPool(Stubborn(), workers=1)
  pool.submit(0, architectures(1)[0], seed=0)
  with pytest.raises(ExecutorError, match=r'cannot load the evaluator(?s:.*)OSError: no evaluator'):
    collect_all(pool, 1)
  pool.close()


@pytest.mark.slow
def test_a_script_without_a_guard_ends_with_an_error(tmp_path):
  script = tmp_path / 'script.py'
  script.write_text(
    textwrap.dedent("""
    from tests.synthetic import Synthetic
    from tests.evaluation.test_executors import architectures
    from rlnas.evaluation.executors import WorkerPool
    pool = WorkerPool(Synthetic(), workers=1)
    pool.submit(0, architectures(1)[0], seed=0)
    while not pool.collect(1.0):
      pass
    """)
  )
  root = pathlib.Path(__file__).parents[2]
  done = subprocess.run(
    [sys.executable, str(script)],
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
    env=os.environ | {'PYTHONPATH': str(root)},
  )
  assert done.returncode != 0
  assert "A script that starts workers must do so under if __name__ == '__main__':" in done.stderr
  assert done.stderr.count('Traceback') == 1  # that of the script, none of the workers


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'workers': 0}, 'workers=0: must be at least 1'),
    ({'workers': 1, 'trial_timeout': 0}, 'trial_timeout=0: must be a positive number'),
    ({'workers': 1, 'trial_timeout': float('nan')}, 'trial_timeout=nan'),
  ],
)
def test_bad_settings_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    WorkerPool(Synthetic(), **options)


def test_only_exceptions_of_the_child_are_held_back():
  class Interrupted:
    def evaluate(self, architecture, *, seed):
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    evaluate_safely(Interrupted(), architectures(1)[0], 0)


@pytest.mark.parametrize('terms', [NO_TERMS, Terms((0.5,))])
def test_an_evaluator_that_returns_nothing_has_failed(terms):
  class Forgetful:
    def evaluate(self, architecture, *, seed, terms=NO_TERMS):
      pass

  measurement = evaluate_safely(Forgetful(), architectures(1)[0], 0, terms)
  assert measurement.status is Status.FAILED
  assert 'evaluate returned None: must be a Measurement' in measurement.detail


@dataclasses.dataclass(frozen=True)
class Waiting:
  """Waits for a file."""

  path: pathlib.Path

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    while not self.path.exists():
      time.sleep(0.01)
    tell(Step(1, 1))
    return Measurement(Status.COMPLETE)


@pytest.mark.slow
@pytest.mark.parametrize('before', ['its greeting', 'it is ready', 'a result'])
def test_a_worker_whose_parent_has_closed_the_pipe_ends_without_a_word(before, tmp_path, capfd):
  """As at the end of a search, where a worker that is killed must not have begun a traceback."""
  evaluator = Shared(Waiting(tmp_path / 'go'))
  worker = start_worker(0, None)
  if before != 'its greeting':
    worker.connection.recv()
    worker.connection.send(evaluator.handle)
  if before == 'a result':
    while worker.connection.recv() != '':  # steps, while modules are loaded
      pass
    worker.connection.send((architectures(1)[0], 3, NO_TERMS))
  worker.connection.close()
  (tmp_path / 'go').touch()
  worker.process.join(60)
  evaluator.close()
  assert worker.process.exitcode == 0
  assert capfd.readouterr().err == ''


@dataclasses.dataclass(frozen=True)
class Telling:
  """Says how far it is."""

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    tell(Step(seed, 10))
    tell(Step(seed, 10))  # at once, so a worker does not send it
    tell(Step(10, 10))
    return Measurement(Status.COMPLETE, macs=seed)


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
def test_what_evaluations_tell_is_heard_with_their_keys(workers):
  steps: list[Step] = []
  executor = WorkerPool(Telling(), workers=workers) if workers else InProcess(Telling())
  with told_to(steps.append):
    for key, architecture in enumerate(architectures(3)):
      executor.submit(key, architecture, seed=key)
    collect_all(executor, 3)
    executor.close()
  ends = [step.key for step in steps if step.done == 10]
  assert sorted(ends) == [0, 1, 2]
  starting = [step for step in steps if step.key is None]
  assert bool(starting) == bool(workers)
  if workers:
    assert starting[-1].done >= 1
    assert {step.total for step in starting} <= {1, 2}
  else:
    assert [step.done for step in steps] == [0, 0, 10, 1, 1, 10, 2, 2, 10]


@dataclasses.dataclass(frozen=True)
class Whereabouts:
  """Says in which process, on which cores and with what data it evaluates."""

  data: object

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    cores = sorted(os.sched_getaffinity(0))
    return Measurement(
      Status.COMPLETE, macs=os.getpid(), parameters=int(self.data.sum()), detail=str(cores)
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity'), reason='cores are chosen on Linux alone')
def test_workers_keep_to_their_core_and_are_replaced(monkeypatch):
  import numpy as np

  monkeypatch.setattr('rlnas.evaluation.workers.CHILDREN_PER_WORKER', 3)
  cores = sorted(os.sched_getaffinity(0))[:2]
  workers = len(cores)
  monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(cores))
  pool = WorkerPool(Whereabouts(np.ones((1000, 1000), np.uint8)), workers=workers)
  for key, architecture in enumerate(architectures(12)):
    pool.submit(key, architecture, seed=key)
  found = collect_all(pool, 12)
  pool.close()
  children = collections.Counter(m.macs for m in found.values())
  assert max(children.values()) == 3
  assert len(children) >= 4
  assert {m.detail for m in found.values()} <= {str([core]) for core in cores}
  assert {m.parameters for m in found.values()} == {1_000_000}
