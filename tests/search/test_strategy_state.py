"""The file of a strategy's state: whatever it holds, the search is the same to the bit."""

import contextlib
import dataclasses
import io
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rlnas.evaluation.executors import InProcess
from rlnas.reward import linear_excess
from rlnas.search import strategy_state
from rlnas.search.journal import Journal, JournalError, read_journal
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.strategies.admitting import Admitting
from rlnas.strategies.controller import Controller
from rlnas.strategies.ppo import PPO
from rlnas.strategies.proposals import propose
from rlnas.strategies.reinforce import Reinforce
from rlnas.strategies.zoph_le import CubedReward, ZophLe
from rlnas.testing.strategy import check_its_state_replaces_learning, failed
from tests.synthetic import BUDGET, Synthetic

TABLE = compile_table(Chain(max_depth=2, filters=(4, 8, 16), kernels=(1, 3)))
TRIALS, FEW, BATCH = 40, 24, 2


class Walker:
  """Its proposals depend on all trials told, and its state on their order."""

  def __init__(self, *, step: float = 0.5, file_step: float | None = None):
    self.value, self.count = 1.0, 0
    self.step = step
    self.file_step = step if file_step is None else file_step
    self.told = self.restored = 0

  def ask(self, count, rng):
    walks = [sample_uniform(TABLE, rng) for _ in range(count)]
    return [propose(TABLE, walk, log_prob=-self.value) for walk in walks]

  def tell(self, trials):
    self.told += 1
    for trial in trials:
      self.value += self.step * (abs(trial.reward) - self.value)
    self.count += len(trials)
    return {'value': self.value, 'count': self.count, 'odd': float('inf')}

  def state(self):
    return {'value': np.array(self.value), 'step': np.array(self.file_step)}

  def restore(self, state, told):
    if state['step'] != self.file_step:
      raise ValueError('state: step: is another one')
    self.value, self.count = float(state['value']), sum(map(len, told))
    self.restored = len(told)


class Log:
  """An observer that writes down all calls."""

  def __init__(self):
    self.calls = []

  def on_trial(self, trial):
    self.calls.append(trial)

  def on_batch(self, trials, scalars):
    self.calls.append((tuple(trials), scalars))


class Copies(Log):
  """Also copies journal and state after each batch."""

  def __init__(self, path):
    super().__init__()
    self.path, self.files = path, []

  def on_batch(self, trials, scalars):
    super().on_batch(trials, scalars)
    state = self.path.with_name('journal.state.npz')
    self.files.append((self.path.read_bytes(), state.read_bytes() if state.exists() else None))


@pytest.fixture(name='eager')
def _eager(monkeypatch):
  """Returns a context in which every state is written."""

  @contextlib.contextmanager
  def eager():
    with monkeypatch.context() as patch:
      patch.setattr(strategy_state, '_WRITE_SECONDS', 0.0)
      yield

  return eager


def search(path, strategy, observer=None, *, trials=TRIALS, configuration=None, **options):
  journal = Journal(path, configuration=configuration or {'seed': 3})
  try:
    return run_search(
      strategy,
      executor=InProcess(Synthetic()),
      reward=linear_excess,
      budget=BUDGET,
      trials=trials,
      journal=journal,
      observers=[] if observer is None else [observer],
      **{'batch': BATCH, 'seed': 3} | options,
    )
  finally:
    journal.close()


def put(folder: pathlib.Path, journal: bytes, state: bytes | None) -> pathlib.Path:
  folder.mkdir(exist_ok=True)
  path = folder / 'journal.jsonl'
  path.write_bytes(journal)
  path.with_name('journal.state.npz').unlink(missing_ok=True)
  if state is not None:
    path.with_name('journal.state.npz').write_bytes(state)
  return path


def penalty(architecture) -> float:
  return max(0.0, len(architecture.nodes) - 8) / 8


def admits(architecture) -> bool:
  return len(architecture.nodes) <= 9


class Counted(Reinforce):
  """Counts the batches that it learns from."""

  learnt = 0

  def tell(self, trials):
    self.learnt += 1
    return super().tell(trials)


def reinforce(**options) -> Counted:
  return Counted(
    TABLE,
    controller=Controller(TABLE, units=6, layers=1, seed=0),
    penalty=penalty,
    admits=admits,
    **{
      **{'updates': 1, 'imagined': 6, 'warm_up': 3, 'warm_start': 2, 'patience': 4, 'elite': 2},
      **options,
    },
  )


STRATEGIES = {
  'reinforce': reinforce,
  'zoph_le': lambda: ZophLe(
    TABLE, controller=Controller(TABLE, units=6, seed=0), warm_start=2, updates=2, penalty=penalty
  ),
  'ppo': lambda: PPO(TABLE, controller=Controller(TABLE, units=6, seed=0), replays=3),
  'cubed': lambda: CubedReward(ZophLe(TABLE, controller=Controller(TABLE, units=6, seed=0))),
  'admitting': lambda: Admitting(STRATEGIES['zoph_le'](), table=TABLE, admits=admits),
}


@pytest.mark.parametrize('name', STRATEGIES)
def test_the_state_of_a_strategy_replaces_learning(name):
  check_its_state_replaces_learning(lambda _: STRATEGIES[name](), TABLE)


def weights(strategy) -> list[bytes]:
  return [w.tobytes() for w in strategy.controller.weights.values()]


@pytest.mark.slow
def test_the_default_strategy_resumes_at_every_batch_as_if_it_had_learnt(tmp_path, eager):
  """The search begins several descents; each resumed one is compared with one that never ended."""
  whole = Copies(tmp_path / 'journal.jsonl')
  strategy = reinforce()
  with eager():
    trials = search(whole.path, strategy, whole, trials=FEW)
  descents = [call[1]['descents'] for call in whole.calls if isinstance(call, tuple)]
  assert descents[-1] >= 3, 'a restart lies between some state and the next'
  states = [state for _, state in whole.files]
  assert states[:3] == [None] * 3
  assert len(set(states[3:])) == len(states) - 3, 'a new state after each batch'
  for batch, (journal, state) in enumerate(whole.files, 1):
    again, log = reinforce(), Log()
    path = put(tmp_path / 'again', journal, state)
    found = search(path, again, log, trials=FEW)
    assert timeless(found) == timeless(trials), batch
    assert timeless_calls(log) == timeless_calls(whole)
    assert path.read_bytes() == whole.path.read_bytes()
    assert weights(again) == weights(strategy)
    assert again.learnt == FEW // BATCH - (0 if state is None else batch - 3)
  path.with_name('journal.state.npz').unlink()
  folded, log = reinforce(), Log()
  assert timeless(search(path, folded, log, trials=FEW)) == timeless(trials)
  assert timeless_calls(log) == timeless_calls(whole)
  assert weights(folded) == weights(strategy)


def timeless(trials):
  return [
    dataclasses.replace(t, measurement=dataclasses.replace(t.measurement, seconds=0.0))
    for t in trials
  ]


def timeless_calls(log):
  return [
    (timeless(call[0]), call[1]) if isinstance(call, tuple) else timeless([call])
    for call in log.calls
  ]


@pytest.fixture(name='finished')
def _finished(tmp_path, eager):
  whole = Copies(tmp_path / 'whole' / 'journal.jsonl')
  with eager():
    trials = search(whole.path, Walker(), whole)
  return whole, trials


@pytest.mark.slow
def test_a_state_is_used_only_if_later_batches_of_the_journal_are_compared(finished, tmp_path):
  whole, trials = finished
  lines = whole.path.read_bytes().splitlines(keepends=True)
  state = whole.files[9][1]  # after 7 of 10 batches
  for kept in range(len(lines)):
    strategy, log = Walker(), Log()
    path = put(tmp_path / 'part', b''.join(lines[: kept + 1]), state)
    assert search(path, strategy, log) == trials
    assert log.calls == whole.calls
    assert path.read_bytes() == whole.path.read_bytes()
    # Batch 8 is proposed by the restored strategy, batch 9 after it has learnt batch 7 again.
    assert strategy.restored == (7 if kept > 9 * BATCH else 0), kept
    assert strategy.told == TRIALS // BATCH - strategy.restored


def test_the_same_search_without_lag_and_with_more_lag(tmp_path, eager):
  for lag in (0, 2, 5):
    whole = Copies(tmp_path / f'{lag}' / 'journal.jsonl')
    with eager():
      trials = search(whole.path, Walker(), whole, lag=lag)
    strategy, log = Walker(), Log()
    assert search(whole.path, strategy, log, lag=lag) == trials
    assert log.calls == whole.calls
    assert strategy.restored == TRIALS // BATCH - lag - 2


@pytest.mark.slow
def test_a_damaged_file_is_not_used(finished, tmp_path):
  """Any byte may be damaged, or any part missing."""
  whole, trials = finished
  journal, state = whole.files[-1]
  used = 0
  rng = np.random.default_rng(0)
  places = sorted(rng.choice(len(state), 60, replace=False).tolist())
  damaged = [state[:i] + bytes([state[i] ^ 0x41]) + state[i + 1 :] for i in places]
  damaged += [state[:i] for i in (0, 1, *places[::6], len(state) - 1)]
  for content in damaged:
    strategy, log = Walker(), Log()
    assert search(put(tmp_path / 'part', journal, content), strategy, log) == trials
    assert log.calls == whole.calls
    used += strategy.restored > 0
  assert used < len(damaged) / 2, 'some bytes, such as dates, mean nothing'


def rewritten(state: bytes, **changes) -> bytes:
  with np.load(io.BytesIO(state)) as file:
    arrays = {name: file[name] for name in file.files}
  content = io.BytesIO()
  np.savez(content, **{k: v for k, v in (arrays | changes).items() if v is not None})
  return content.getvalue()


@pytest.mark.parametrize(
  'changes',
  [
    {'strategy.value': np.array(3.0)},
    {'strategy.value': None},
    {'strategy.value': np.array([None])},  # needs pickle to be read
    {'strategy.other': np.array(1)},
    {'header': np.array(b'{}')},
    {'header': np.array(b'{"format": 2}')},
  ],
  ids=str,
)
def test_a_file_of_other_content_is_not_used(finished, tmp_path, changes):
  whole, trials = finished
  journal, state = whole.files[-1]
  same = Walker()
  search(put(tmp_path / 'same', journal, rewritten(state)), same)
  assert same.restored
  strategy = Walker()
  path = put(tmp_path / 'part', journal, rewritten(state, **changes))
  assert search(path, strategy) == trials
  assert not strategy.restored


def test_a_state_of_another_search_is_not_used(finished, tmp_path, monkeypatch):
  whole, _ = finished
  journal, state = whole.files[-1]

  def restored(content: bytes, made=Walker, **options) -> int:
    strategy = made()
    search(put(tmp_path / 'part', content, state), strategy, **options)
    return strategy.restored

  assert restored(journal)
  assert not restored(journal, trials=2 * 9)  # the state was told more
  changed = read_journal(whole.path)[1]
  changed[3] = dataclasses.replace(
    changed[3], measurement=dataclasses.replace(changed[3].measurement, seconds=7.0)
  )
  header = journal.splitlines(keepends=True)[0]
  # Another journal, although its strategy would have proposed the same.
  assert not restored(header + ''.join(t.to_json() + '\n' for t in changed).encode())
  renamed = header.replace(b'"seed": 3', b'"seed": 4')
  rest = journal[len(header) :]
  assert not restored(renamed + rest, configuration={'seed': 4})
  monkeypatch.setattr('rlnas.__version__', '0')
  assert not restored(journal)


def test_a_strategy_with_other_settings_does_not_use_the_state(finished, tmp_path):
  journal, state = finished[0].files[-1]
  path = put(tmp_path / 'part', journal, state)
  strategy = Walker(step=0.25)
  with pytest.raises(JournalError, match='trial 4 has tokens'):
    search(path, strategy)
  assert not strategy.restored
  assert path.with_name('journal.state.npz').read_bytes() == state


def test_a_strategy_that_hides_other_settings_is_found_out(finished, tmp_path):
  """The batches after the state are compared; then the state is removed, and the first ones are."""
  journal, state = finished[0].files[-1]
  path = put(tmp_path / 'part', journal, state)
  for trial, restored in ((38, 17), (4, 0)):
    strategy = Walker(step=0.25, file_step=0.5)
    with pytest.raises(JournalError, match=f'trial {trial} has tokens'):
      search(path, strategy)
    assert strategy.restored == restored
    assert not path.with_name('journal.state.npz').exists()


def test_a_restored_strategy_that_was_changed_is_found_out_far_inside_a_journal(
  tmp_path, eager, monkeypatch
):
  class Broken(Walker):
    def restore(self, state, told):
      super().restore(state, told)
      self.value += 1e-9

  monkeypatch.setattr('rlnas.search.loop._VERIFIED_BATCHES', 8)
  whole = Copies(tmp_path / 'journal.jsonl')
  with eager():
    search(whole.path, Walker(), whole, trials=60, batch=1)
  state = whole.files[28][1]
  with pytest.raises(JournalError, match='trial 27 has tokens'):
    search(put(tmp_path, whole.files[-1][0], state), Broken(), trials=60, batch=1)


def test_a_strategy_that_refuses_the_state_learns(finished, tmp_path):
  class Refusing(Walker):
    def restore(self, state, told):
      raise ValueError('state: is not wanted')

  whole, trials = finished
  strategy, log = Refusing(), Log()
  assert search(put(tmp_path / 'part', *whole.files[-1]), strategy, log) == trials
  assert log.calls == whole.calls
  assert strategy.told == TRIALS // BATCH


def test_a_resumed_search_that_ends_before_the_state_has_learnt_only_its_trials(finished, tmp_path):
  whole, _ = finished

  class TimeIsUpError(Exception):
    pass

  class Clock(Log):
    def on_batch(self, trials, scalars):
      if trials[0].batch == 4:
        raise TimeIsUpError

  strategy = Walker()
  search(put(tmp_path / 'a', *whole.files[-1]), strategy, enough=lambda trials: len(trials) >= 8)
  assert (strategy.told, strategy.restored, strategy.count) == (5, 0, 10)
  strategy = Walker()
  with pytest.raises(TimeIsUpError):
    search(put(tmp_path / 'b', *whole.files[-1]), strategy, Clock())
  assert (strategy.told, strategy.restored, strategy.count) == (5, 0, 10)


def test_the_state_is_written_when_a_search_ends_or_is_stopped(tmp_path):
  path = tmp_path / 'journal.jsonl'
  state = path.with_name('journal.state.npz')

  class Stopping(Log):
    def on_batch(self, trials, scalars):
      if trials[0].batch == 11:
        raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    search(path, Walker(), Stopping())
  stopped, strategy = state.read_bytes(), Walker()
  search(path, strategy)
  assert strategy.restored == 12 - 3
  assert state.read_bytes() != stopped
  strategy = Walker()
  search(path, strategy)
  assert strategy.restored == TRIALS // BATCH - 3
  assert {p.name for p in tmp_path.iterdir()} == {'journal.jsonl', 'journal.state.npz'}


def test_writes_are_rare_while_a_search_runs(tmp_path):
  whole = Copies(tmp_path / 'journal.jsonl')
  search(whole.path, Walker(), whole)
  assert len({state for _, state in whole.files}) == 2, 'none at first, then the first one'


def test_a_search_goes_on_if_the_state_cannot_be_written(finished, tmp_path):
  whole, trials = finished
  path = put(tmp_path / 'part', whole.files[0][0], None)
  path.with_name('journal.state.npz').mkdir()
  assert search(path, Walker()) == trials


def test_strategies_without_a_state_write_none(tmp_path):
  path = tmp_path / 'journal.jsonl'
  wrapped = Admitting(Walker(), table=TABLE, admits=admits)
  assert wrapped.state() is not None

  class Plain:
    ask, tell = Walker.ask, Walker.tell

    def __init__(self):
      Walker.__init__(self)

  for strategy in (Plain(), Admitting(Plain(), table=TABLE, admits=admits), CubedReward(Plain())):
    search(path, strategy)
    path.unlink()
  assert not list(tmp_path.iterdir())


def test_failed_trials_are_restored_too():
  """A failed network is not proposed again, which only the trials tell."""
  strategy, restored = reinforce(), reinforce()
  told = []
  for batch in range(4):
    proposals = strategy.ask(6, np.random.default_rng(batch))
    told.append(failed(proposals, batch))
    strategy.tell(told[-1])
  restored.restore(strategy.state(), told)
  digests = [
    {p.architecture.digest for p in s.ask(6, np.random.default_rng(9))}
    for s in (strategy, restored)
  ]
  assert digests[0] == digests[1]
  assert not digests[1] & {t.proposal.architecture.digest for trials in told for t in trials}


@pytest.mark.nightly
def test_killed_at_random_instants_the_file_is_whole_or_missing(tmp_path):
  """And the search ends as if it had not been killed."""
  whole = tmp_path / 'whole' / 'journal.jsonl'
  search(whole, Walker(), trials=300, batch=1)
  path = tmp_path / 'killed' / 'journal.jsonl'
  program = (
    'import sys, pathlib; import tests.search.test_strategy_state as t; '
    't.strategy_state._WRITE_SECONDS = 0.0; print("begun", flush=True); '
    't.search(pathlib.Path(sys.argv[1]), t.Walker(), trials=300, batch=1)'
  )
  rng = np.random.default_rng(1)
  met = 0
  for _ in range(8):
    command = [sys.executable, '-c', program, str(path)]
    root = pathlib.Path(__file__).parents[2]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b'begun\n'
    time.sleep(rng.uniform(0.05, 1.0))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    state = path.with_name('journal.state.npz')
    if state.exists():
      strategy_state._unpacked(state.read_bytes())
      met += 1
  assert met > 3
  strategy = Walker()
  search(path, strategy, trials=300, batch=1)
  assert strategy.restored
  assert path.read_bytes() == whole.read_bytes()
