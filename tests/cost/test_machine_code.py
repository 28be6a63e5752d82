"""Compiled and uncompiled functions agree, and no search waits for the compiler."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from rlnas.cost import machine_code

ESTIMATES = """
import hashlib, json, sys
import numpy as np
from rlnas import TaskShape, compile_table, decode, estimate_cost, sample_uniform
from rlnas.cost.builds import BUILDS
from rlnas.cost.operators import count_macs
from rlnas.cost.workload import workload_of
from rlnas.spaces import (BlockQNN, Chain, ConvAutoencoder, Joint, MultiBranch, NASNet, Recurrent,
                          Temporal)

def estimates(networks=2):
  found, image, sequence = [], TaskShape((28, 28, 1), 10), TaskShape((49, 10), 12)
  row, all_of_it = TaskShape((1, 128, 6), 6), TaskShape((1, 128, 6), 768)
  spaces = [Chain(), MultiBranch(), MultiBranch(depth=8, align='pad'), BlockQNN(), NASNet(blocks=2),
            Joint(max_stages=2), Recurrent(base=3, steps=3, frames_per_step=7), Temporal(),
            ConvAutoencoder()]
  for space in spaces:
    table, rng = compile_table(space), np.random.default_rng(5)
    task = {Recurrent: sequence, Temporal: row, ConvAutoencoder: all_of_it}.get(type(space), image)
    for _ in range(networks):
      network = decode(space, sample_uniform(table, rng))
      costs = [estimate_cost(network, task, build=build) for build in BUILDS.values()]
      work = hashlib.sha256(workload_of(network, task).tobytes()).hexdigest()
      found.append((type(space).__name__, str(costs), work, count_macs(network, task)))
  return found
"""


def started(code: str, folder: pathlib.Path, **environment: str) -> subprocess.Popen[str]:
  return subprocess.Popen(
    [sys.executable, '-c', ESTIMATES + code],
    env=os.environ | {'NUMBA_CACHE_DIR': str(folder)} | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


@dataclasses.dataclass(frozen=True)
class Done:
  returncode: int
  stdout: str
  stderr: str


def ended(process: subprocess.Popen[str]) -> Done:
  stdout, stderr = process.communicate(timeout=400)
  return Done(process.returncode, stdout, stderr)


def run(code: str, folder: pathlib.Path, **environment: str) -> Done:
  return ended(started(code, folder, **environment))


def markers(folder: pathlib.Path) -> list[pathlib.Path]:
  return list(folder.glob('numba-*/complete'))


SHOWN = 'print(json.dumps(estimates()))\n'

WAITING = """
import time
from rlnas.cost import jit, machine_code
machine_code.compile_in_background()
assert machine_code.is_awaited()
early = estimates(networks=1)
assert machine_code.is_awaited(), 'compiled while a few networks were estimated'
assert 'numba' not in sys.modules
pid = machine_code._state.compiler.pid
while machine_code.is_awaited():
  time.sleep(0.1)
assert machine_code.is_complete()
late = estimates(networks=1)
assert late == early
from rlnas.cost import cost, operators, schedule, workload
entries = (operators.converted, operators.totals, operators.arena_tasks, operators.chip_tasks,
           schedule.planned_arena, workload.add_network, cost._arena_bytes)
assert all(entry._form == entry._kept for entry in entries)
assert not any(entry.dispatcher.stats.cache_misses for entry in entries)
print(json.dumps(estimates()))
"""


STARTED = """
import time
from rlnas.cost import machine_code
machine_code.compile_in_background()
print(machine_code.is_awaited(), machine_code._state.compiler and machine_code._state.compiler.pid)
"""


def test_one_process_compiles_for_all_and_a_killed_one_is_replaced(tmp_path):
  awaited, pid = run(STARTED, tmp_path).stdout.split()
  assert awaited == 'True'
  try:
    # It goes on without its parent, and others wait for it.
    assert run(STARTED, tmp_path).stdout.split() == ['True', 'None']
    os.kill(int(pid), signal.SIGKILL)
    awaited, following = run(STARTED, tmp_path).stdout.split()
    assert awaited == 'True'
    assert following not in (pid, 'None')
  finally:
    os.kill(int(following), signal.SIGKILL)
  assert not markers(tmp_path)


@pytest.mark.nightly
def test_if_the_compiler_fails_functions_are_compiled_here(tmp_path):
  code = (
    'import resource, time\n'
    'from rlnas.cost import machine_code, operators\n'
    'machine_code.compile_in_background()\n'
    'resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n'
    'assert machine_code.is_awaited()\n'
    'while machine_code.is_awaited(): time.sleep(0.1)\n'
    'assert machine_code._state.failed and not machine_code.is_complete()\n'
    'print(operators.totals(np.zeros(0, operators.KERNEL)))\n'
    'assert operators.totals._form is operators.totals.dispatcher\n'
  )
  done = run(code, tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stdout == '(0, 0, 0)\n'
  assert 'cannot be compiled in the background' in done.stderr
  assert not markers(tmp_path)


SEARCH = """
import sys
from rlnas.budget import Budget
from rlnas.cli.build import build_strategy, set_up
from rlnas.cli.config import SearchConfig
from rlnas.cost import machine_code
from rlnas.evaluation.executors import InProcess
from rlnas.reward import linear_excess
from rlnas.search.loop import run_search
from rlnas.trial import Measurement, Status
machine_code.compile_in_background()
waits = machine_code.is_awaited()

class Formula:
  def evaluate(self, architecture, *, seed):
    c = estimate_cost(architecture, setup.dataset.task)
    accuracy = (c.macs % 97) / 100
    return Measurement(Status.COMPLETE, validation_accuracy=accuracy,
      int8_validation_accuracy=accuracy, flash_bytes=c.flash_bytes, sram_bytes=c.sram_bytes,
      sram_source='analytic', macs=c.macs, parameters=c.parameters, curve=(accuracy,))

config = SearchConfig(dataset='digits', strategy_options=('warm_start=3', 'warm_up=4'))
setup = set_up(config)
trials = run_search(setup.build_strategy(), executor=InProcess(Formula()), reward=linear_excess,
  budget=setup.budget, trials=12, batch=4)
print(json.dumps([(t.proposal.tokens, t.proposal.log_prob, t.reward) for t in trials]))
print(waits, file=sys.stderr)
"""


@pytest.mark.slow
def test_compiled_functions_give_what_the_interpreted_ones_give(tmp_path):
  interpreted = started(SHOWN, tmp_path, NUMBA_DISABLE_JIT='1')
  compiled = run(SHOWN, pathlib.Path(machine_code.folder() or '.').parent)
  plain = ended(interpreted)
  assert (plain.returncode, compiled.returncode) == (0, 0), plain.stderr + compiled.stderr
  assert plain.stdout == compiled.stdout
  assert len(json.loads(plain.stdout)) == 18


@pytest.mark.nightly
def test_nothing_waits_for_the_compiler_and_nothing_changes_when_it_is_done(tmp_path):
  """One compilation serves both: estimates and a search, before it is done and after it."""
  old = tmp_path / 'numba-0123456789abcdef'
  recent = tmp_path / 'numba-fedcba9876543210'
  for folder in (old, recent):
    folder.mkdir()
    (folder / 'complete').touch()
  past = time.time() - 8 * 24 * 3600
  os.utime(old / 'complete', (past, past))
  os.utime(old, (past, past))
  fresh, waiting = started(SEARCH, tmp_path), started(WAITING, tmp_path)
  searched, found = ended(fresh), ended(waiting)
  assert searched.returncode == 0, searched.stderr
  assert searched.stderr.strip().endswith('True'), 'it ran while another process compiled'
  assert found.returncode == 0, found.stderr
  assert not old.exists(), 'of a state that nobody used for a week'
  assert recent.exists()
  interpreted = {'NUMBA_DISABLE_JIT': '1'}
  plain = run(f'{SHOWN}assert "numba" not in sys.modules', tmp_path, **interpreted)
  assert plain.returncode == 0, plain.stderr
  assert json.loads(plain.stdout) == json.loads(found.stdout)
  assert len(json.loads(plain.stdout)) == 18
  # A second process finds everything, and starts none.
  code = (
    'from rlnas.cost import machine_code\n'
    'machine_code.compile_in_background()\n'
    'assert not machine_code.is_awaited() and machine_code._state.compiler is None\n'
  )
  again = run(code + SHOWN, tmp_path)
  assert again.returncode == 0, again.stderr
  assert again.stdout == found.stdout
  compiled = run(SEARCH, tmp_path)
  assert compiled.stderr.strip().endswith('False'), compiled.stderr
  assert searched.stdout == run(SEARCH, tmp_path, **interpreted).stdout == compiled.stdout


@pytest.mark.slow
def test_help_and_lists_start_no_compiler(tmp_path):
  for arguments in (['--help'], ['search', '--help'], ['boards'], ['search', '--trials=x']):
    subprocess.run(
      [sys.executable, '-m', 'rlnas', *arguments],
      env=os.environ | {'NUMBA_CACHE_DIR': str(tmp_path)},
      capture_output=True,
      check=False,
    )
    assert not list(tmp_path.iterdir()), arguments


def test_by_itself_a_function_is_compiled_when_it_is_called():
  code = (
    'from rlnas.cost import operators, machine_code\n'
    'operators.totals(np.zeros(0, operators.KERNEL))\n'
    'assert operators.totals._form is operators.totals.dispatcher\n'
    'assert machine_code._state.compiler is None\n'
  )
  done = run(code, pathlib.Path(machine_code.folder() or '.').parent)
  assert done.returncode == 0, done.stderr
