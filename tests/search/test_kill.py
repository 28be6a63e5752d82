"""kill -9 of a whole search, again and again: nothing is lost, nothing changes."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

WORKERS = 2


def start(
  folder: pathlib.Path, *, trials: int, workers: int = WORKERS, evaluator: str = 'cheap'
) -> subprocess.Popen:
  arguments = [str(folder), str(trials), str(workers), evaluator]
  command = [sys.executable, '-m', 'tests.search.killed_search', *arguments]
  root = pathlib.Path(__file__).parents[2]
  return subprocess.Popen(command, cwd=root, start_new_session=True, stderr=subprocess.PIPE)


def run_to_its_end(folder: pathlib.Path, **options: int | str) -> None:
  process = start(folder, **options)
  _, errors = process.communicate(timeout=600)
  assert process.returncode == 0, errors.decode()


def timeless(path: pathlib.Path) -> list[dict]:
  records = [json.loads(line) for line in path.read_text().splitlines()]
  for record in records:
    record.get('measurement', {}).pop('seconds', None)
  return records


def recorded_seeds(folder: pathlib.Path) -> Counter[int]:
  """Of the whole lines in the journal and of those that wait beside it, each trial once.

  Trials of equal networks have equal seeds.
  """
  seeds = {}
  for path in folder.glob('journal.jsonl*'):
    for line in path.read_bytes().split(b'\n')[1:-1]:
      record = json.loads(line)
      seeds[record['index']] = record['seed']
  return Counter(seeds.values())


def logged_seeds(folder: pathlib.Path, event: str) -> list[int]:
  path = folder / 'log'
  lines = path.read_text().splitlines() if path.exists() else []
  return [int(line.split()[1]) for line in lines if line.startswith(event)]


def wait_for(folder: pathlib.Path, event: str, count: int) -> None:
  until = time.monotonic() + 120
  while len(logged_seeds(folder, event)) < count:
    assert time.monotonic() < until
    time.sleep(0.02)


@dataclasses.dataclass(frozen=True)
class Case:
  """How often a search is killed.

  Attributes:
    evaluator: 'cheap' or 'trained'.
    trials: of the search.
    kills: their number; every third comes while the search starts.
    start_seconds: the longest time from the start of the search to such a kill.
    run_seconds: the longest time from the first evaluation to one of the others.
  """

  evaluator: str
  trials: int
  kills: int
  start_seconds: float
  run_seconds: float


@pytest.mark.parametrize(
  'case',
  [
    pytest.param(Case('cheap', 60, 3, 1.0, 0.6), id='cheap', marks=pytest.mark.slow),
    pytest.param(Case('cheap', 60, 6, 1.0, 0.6), id='cheap, often', marks=pytest.mark.nightly),
    pytest.param(Case('trained', 60, 30, 10.0, 8.0), id='trained', marks=pytest.mark.nightly),
  ],
)
def test_a_search_killed_at_random_instants_ends_as_if_it_had_not_been(case, tmp_path):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  whole.mkdir()
  killed.mkdir()
  options = {'trials': case.trials, 'evaluator': case.evaluator}
  run_to_its_end(whole, **options, workers=1)  # the number of workers changes nothing either
  wanted = recorded_seeds(whole)
  instants = np.random.default_rng(7)
  amid = 0
  for number in range(case.kills):
    before = recorded_seeds(killed)
    begun = len(logged_seeds(killed, 'begin'))
    finished = len(logged_seeds(killed, 'end'))
    process = start(killed, **options)
    if number % 3 == 0:
      time.sleep(instants.uniform(0, case.start_seconds))
    else:
      if before.total() < case.trials:
        wait_for(killed, 'begin', begun + 1)
      time.sleep(instants.uniform(0, case.run_seconds))
    running = process.poll() is None
    if running:
      os.killpg(process.pid, signal.SIGKILL)
    _, errors = process.communicate()
    assert running or process.returncode == 0, errors.decode()
    amid += running
    after = recorded_seeds(killed)
    assert before <= after, f'kill {number}: a recorded trial was lost'
    again = Counter(logged_seeds(killed, 'begin')[begun:]) - (wanted - before)
    assert not again, f'kill {number}: recorded trials ran again'
    ended = Counter(logged_seeds(killed, 'end')[finished:])
    unrecorded = ended - (after - before)
    assert unrecorded.total() <= WORKERS, f'kill {number}: more was lost than was in flight'
  assert amid > case.kills / 2, 'the search was complete before most of the kills'
  run_to_its_end(killed, **options)
  assert timeless(killed / 'journal.jsonl') == timeless(whole / 'journal.jsonl')
  assert not (killed / 'journal.jsonl.ahead').exists()
  assert len(logged_seeds(whole, 'begin')) == case.trials
  assert len(logged_seeds(killed, 'begin')) <= case.trials + case.kills * WORKERS


@pytest.mark.slow
@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_parent_that_is_killed(tmp_path, how):
  process = start(tmp_path, trials=1000)
  wait_for(tmp_path, 'end', 3)
  workers = children_of(process.pid)
  assert len(workers) >= WORKERS
  process.send_signal(how)  # to the parent alone
  process.communicate()
  until = time.monotonic() + 20
  while any(is_running(pid) for pid in workers):
    assert time.monotonic() < until, 'a worker outlived its parent'
    time.sleep(0.1)


def children_of(parent: int) -> list[int]:
  found = subprocess.run(
    ['ps', '-o', 'pid=', '--ppid', str(parent)], capture_output=True, text=True, check=True
  )
  return [int(pid) for pid in found.stdout.split()]


def is_running(pid: int) -> bool:
  found = subprocess.run(
    ['ps', '-o', 'stat=', '-p', str(pid)], capture_output=True, text=True, check=False
  )
  return bool(found.stdout.strip()) and not found.stdout.startswith('Z')
