"""The main job as a user runs it: a process, its flags, its files."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import rlnas
from rlnas.architecture import Architecture
from rlnas.cli.build import set_up
from rlnas.cli.search import search
from rlnas.cost.builds import find_build
from rlnas.data import loaders
from rlnas.search.journal import read_journal
from rlnas.strategies.controller import pad_tokens
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_accuracy, tflm_logits
from tests.cli.command import refused, within
from tests.finished_search import SEARCH


def without_times(path: pathlib.Path) -> list[dict]:
  records = [json.loads(line) for line in path.read_text().splitlines()]
  for record in records:
    record.get('measurement', {}).pop('seconds', None)
  return records


def test_a_worker_that_imports_a_script_without_a_guard_begins_no_search(tmp_path):
  script, workdir = tmp_path / 'script.py', tmp_path / 'run'
  script.write_text(
    textwrap.dedent(f"""
    import multiprocessing
    import rlnas
    if __name__ == '__main__':
      worker = multiprocessing.get_context('spawn').Process(target=int)
      worker.start()
      worker.join()
      print(worker.exitcode)
    else:
      rlnas.run(rlnas.SearchConfig(dataset='digits', workdir={str(workdir)!r}))
    """)
  )
  done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
  assert done.stdout == '1\n'
  assert done.stderr.startswith('error: a worker process began to run the whole script. A script')
  assert len(done.stderr.splitlines()) == 1
  assert not workdir.exists()


@pytest.mark.slow
def test_the_winner_is_what_the_result_says(finished):
  workdir = finished.workdir
  result = json.loads((workdir / 'result.json').read_text())
  assert (result['trials'], result['failed']) == (4, 0)
  assert 1 <= result['feasible'] <= 4
  best = result['best']
  model = (workdir / 'best' / 'model.tflite').read_bytes()
  footprint = measure(model, build=find_build(best['sram_build']))
  assert best['flash_bytes'] == len(model) <= best['budget']['flash_bytes']
  assert best['sram_bytes'] == footprint.sram_bytes <= best['budget']['sram_bytes']
  data = loaders.digits()
  scaling = {'scaling': data.scaling}
  assert int8_accuracy(model, data.x_test, data.y_test, **scaling) == best['int8_test_accuracy']
  logits = tflm_logits(model, data.x_test[:3], **scaling)
  assert logits.dtype == np.int8
  assert logits.shape == (3, 10)
  written = Architecture.from_json((workdir / 'best' / 'architecture.json').read_text())
  assert written == Architecture.from_rows(best['architecture'])
  for name in ('architecture.svg', 'architecture.png'):
    assert (workdir / 'best' / name).stat().st_size > 1000


@pytest.mark.slow
def test_the_terminal_is_quiet_and_shows_progress(finished):
  shown = finished.shown
  assert 'Pareto front' in shown.stdout
  assert 'int8 test accuracy' in shown.stdout
  assert '--host=127.0.0.1' in shown.stdout
  assert 'search 4/4 trials: in ' in shown.stderr
  assert 'best 0.' in shown.stderr
  assert '\r' not in shown.stderr
  for noise in ('oneDNN', 'cudart', 'XNNPACK', 'Warning', 'WARNING', 'Traceback'):
    assert noise not in shown.stderr + shown.stdout


@pytest.mark.slow
def test_onednn_is_used_unless_it_is_refused_and_the_journal_says_so(finished):
  configuration, _ = read_journal(finished.workdir / 'journal.jsonl')
  refused = os.environ.get('TF_ENABLE_ONEDNN_OPTS') == '0'
  assert configuration['onednn'] == ('0' if refused else '1')


@pytest.mark.slow
def test_a_search_says_first_what_the_data_are(finished):
  lines = finished.shown.stdout.splitlines()[:4]
  assert lines[0].startswith('data     digits: ')
  assert lines[1] == (
    'examples 1,258 training, 180 validation, 359 test; images of 8 x 8, 1 channel, uint8'
  )
  assert lines[2].startswith('classes  0 178, 1 182, 2 177, ')
  assert lines[3].startswith('space ')


@pytest.mark.nightly
def test_a_search_says_what_it_clips_and_the_result_has_the_limit(tmp_path):
  rng = np.random.default_rng(0)
  y = np.arange(400) % 2
  x = rng.normal(size=(400, 16, 6)) + y[:, None, None]
  x[7, 3, 4] = 32767
  np.savez(tmp_path / 'shakes.npz', x_train=x, y_train=y + 1)
  flags = ('--trials=1', '--batch=1', '--epochs=1', '--space_option=max_depth=2')
  flags += ('--strategy=random', '--finish_epochs=1', '--finish_top=1', '--executor=inprocess')
  data = f'--dataset={tmp_path / "shakes.npz"}'
  shown = within('search', data, *flags, f'--workdir={tmp_path / "run"}').stdout
  assert '16 time steps of 6 features' in shown
  assert 'note     labels 1, 2 are numbered from 0 on' in shown
  assert 'clipped  feature 4: 1 of 6,400 values, beyond 10 deviations' in shown
  result = json.loads((tmp_path / 'run' / 'result.json').read_text())
  assert result['best']['input']['limit'] == 10


@pytest.mark.slow
def test_a_worker_process_changes_nothing_and_a_cut_journal_resumes(finished, tmp_path):
  workdir = finished.workdir
  lines = (workdir / 'journal.jsonl').read_text().splitlines(keepends=True)
  (tmp_path / 'journal.jsonl').write_text(''.join(lines[:3]) + lines[3][:50])
  changes = {'workdir': str(tmp_path), 'executor': 'pool', 'workers': 1}
  search(set_up(dataclasses.replace(rlnas.read_config(workdir), **changes)))
  resumed = (tmp_path / 'journal.jsonl').read_text().splitlines(keepends=True)
  assert resumed[1:3] == lines[1:3], 'two trials with the seconds that they took'
  assert without_times(tmp_path / 'journal.jsonl') == without_times(workdir / 'journal.jsonl')


@pytest.mark.nightly
def test_python_with_worker_processes_ends_at_the_same_network(finished, tmp_path):
  workdir = finished.workdir
  changes = {'workdir': str(tmp_path), 'executor': 'pool', 'workers': 2}
  winner = rlnas.run(dataclasses.replace(rlnas.read_config(workdir), **changes))
  results = [json.loads((p / 'result.json').read_text()) for p in (workdir, tmp_path)]
  assert results[0]['best'] == results[1]['best']
  assert winner.model == (workdir / 'best' / 'model.tflite').read_bytes()


@pytest.mark.slow
def test_a_search_ends_when_its_time_is_up_and_again_at_the_same_trial(finished, tmp_path):
  changes = {'workdir': str(tmp_path), 'strategy': 'random', 'strategy_options': ()}
  changes |= {'trials': 900, 'minutes': 0.005}
  config = dataclasses.replace(rlnas.read_config(finished.workdir), **changes)
  ended, again = (search(set_up(config)) for _ in range(2))
  assert again == ended
  seconds = [t.measurement.seconds for t in read_journal(tmp_path / 'journal.jsonl')[1]]
  assert 2 <= len(ended) < 20
  assert sum(seconds[: len(ended)]) >= 0.3 > sum(seconds[: len(ended) - 2])


@pytest.mark.slow
def test_another_configuration_is_refused(finished):
  workdir = finished.workdir
  before = (workdir / 'journal.jsonl').read_bytes()
  message = refused('search', *SEARCH, '--seed=1', f'--workdir={workdir}')
  assert 'seed was 0, now 1' in message
  assert (workdir / 'journal.jsonl').read_bytes() == before


@pytest.mark.slow
def test_tensorboard_finds_curves_and_trials(finished):
  from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
  from tensorboard.util.tensor_util import make_ndarray

  workdir = finished.workdir
  folder = workdir / 'tensorboard'
  each = EventAccumulator(str(folder / 'search' / 'each trial')).Reload()
  assert {
    'reward',
    'search/feasible_rate',
    'search/unique_rate',
    'trial/int8_validation_accuracy',
    'trial/flash_kib',
    'trial/sram_kib',
    'trial/latency_ms',
    'strategy/entropy',
  } <= set(each.Tags()['tensors'])
  best = EventAccumulator(str(folder / 'search' / 'best so far')).Reload()
  assert {'reward', 'best/architecture', 'best/network'} <= set(best.Tags()['tensors'])
  assert [e.step for e in each.Tensors('reward')] == list(range(4))
  rewards = [t.reward for t in read_journal(workdir / 'journal.jsonl')[1]]
  written = [float(make_ndarray(e.tensor_proto)) for e in each.Tensors('reward')]
  assert written == pytest.approx(rewards)
  for rows in (folder / 'trials', workdir / 'tensorboard_trials'):
    row = EventAccumulator(str(rows / '0000')).Reload()
    assert 'hparams' in row.summary_metadata['_hparams_/session_start_info'].plugin_data.plugin_name
    assert 'hparams/latency_ms' in row.Tags()['tensors']


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--workdir=/proc/rlnas', '/proc/rlnas'),
    ('--inherit --cache_dir=shared', '--cache_dir=shared: not with --inherit'),
  ],
)
def test_bad_input_is_one_line(flag, message, tmp_path):
  workdir = [] if 'workdir' in flag else [f'--workdir={tmp_path}']
  assert message in refused('search', *SEARCH, *workdir, *flag.split())
  assert not (tmp_path / 'journal.jsonl').exists()


OWN = """
import dataclasses

import rlnas
from rlnas import layers


@dataclasses.dataclass(frozen=True)
class Pyramid:
  stages: int = 2

  def __call__(self):
    graph, x = rlnas.Graph(), rlnas.Graph.input
    for i in range(self.stages):
      filters = yield rlnas.Decision(f'stage{i}/filters', 'filters', (4, 8))
      x = layers.conv(graph, x, filters=filters, kernel=3, stride=2)
    return graph.finish(graph.classify(x))


class First:
  \"\"\"Proposes the first networks of the space.\"\"\"

  def __init__(self, table, *, seed: int, start: int = 0):
    self.table, self.told = table, start

  def ask(self, count, rng):
    walks = [rlnas.sample_uniform(self.table, rng) for _ in range(count)]
    return [rlnas.Proposal(tokens, rlnas.decode(self.table.space, tokens)) for tokens in walks]

  def tell(self, trials):
    self.told += len(trials)
    return {'told': float(self.told)}


def generous(measurement, budget, *, bonus: float = 1.0):
  return rlnas.reward.linear_excess(measurement, budget) + bonus
"""


@pytest.mark.slow
def test_own_classes_are_named_by_their_module(tmp_path, monkeypatch):
  (tmp_path / 'pyramids').mkdir()
  (tmp_path / 'pyramids' / 'parts.py').write_text(OWN)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', list(sys.path))  # it adds the folder
  shown = within(
    *('search', '--dataset=digits', '--trials=2', '--batch=2', '--epochs=1', '--tensorboard'),
    *('--space=pyramids.parts:Pyramid', '--space_option=stages=1', '--finish_top=1'),
    *('--strategy=pyramids.parts:First', '--strategy_option=start=3'),
    *('--reward=pyramids.parts:generous', '--reward_option=bonus=2'),
    *('--executor=inprocess', '--finish_epochs=1'),
  )
  assert 'watch    http://127.0.0.1:' in shown.stdout
  assert re.search(r'^report: .*search\.html$', shown.stdout, re.MULTILINE)
  configuration, trials = read_journal(tmp_path / 'runs' / 'search' / 'journal.jsonl')
  assert configuration['strategy_options'] == '{"admits": true, "start": 3}'
  assert configuration['reward_options'] == '{"bonus": 2.0}'
  assert all(len(t.proposal.tokens) == 1 for t in trials)
  measured = [t for t in trials if t.measurement.int8_validation_accuracy is not None]
  assert measured
  assert all(t.reward == t.measurement.int8_validation_accuracy + 2 for t in measured)
  # What only reads the folder works where the classes are gone.
  (tmp_path / 'pyramids' / 'parts.py').unlink()
  for name in ('pyramids.parts', 'pyramids'):
    del sys.modules[name]
  for command in ('report', 'export'):
    within(command)


@pytest.mark.slow
def test_the_controller_that_a_search_leaves_can_be_sampled(finished):
  workdir = finished.workdir
  controller = rlnas.Controller.load(workdir / 'controller.npz')
  table = rlnas.compile_table(rlnas.build_space(rlnas.read_config(workdir)))
  rng = np.random.default_rng(0)
  drawn = controller.sample(table, 10, rng).sequences
  assert len(drawn) == 10
  assert all(rlnas.decode(table.space, tokens).nodes for tokens in drawn)
  # It is the trained one: what was rewarded most is likelier than before the search.
  fresh = rlnas.Controller(table, seed=0)
  _, trials = read_journal(workdir / 'journal.jsonl')
  best = max(trials, key=lambda t: t.reward).proposal.tokens
  padded = pad_tokens(table, [best])
  likelihoods = [float(c.score(table, padded).log_prob[0]) for c in (controller, fresh)]
  assert likelihoods[0] > likelihoods[1]
