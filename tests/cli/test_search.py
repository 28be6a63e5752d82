"""The main experiment as a user runs it: a process, its flags, its files."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from rlnas.architecture import Architecture
from rlnas.data import loaders
from rlnas.evaluation.executors import default_workers
from rlnas.search.journal import read_journal
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_accuracy, tflm_logits

EXPERIMENTS = pathlib.Path(__file__).parents[2] / 'experiments'
SMALL = ('--dataset=digits', '--trials=6', '--batch=2', '--epochs=1', '--finish_epochs=2')


def search(*flags: str) -> subprocess.CompletedProcess:
  command = [sys.executable, str(EXPERIMENTS / 'search.py'), *flags]
  return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def without_times(path: pathlib.Path) -> list[dict]:
  records = [json.loads(line) for line in path.read_text().splitlines()]
  for record in records:
    record.get('measurement', {}).pop('seconds', None)
  return records


@pytest.fixture(scope='module', name='finished')
def _finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('finished')
  done = search(*SMALL, '--workers=2', f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  return workdir, done


@pytest.mark.slow
def test_the_winner_is_what_the_result_says(finished):
  workdir, _ = finished
  result = json.loads((workdir / 'result.json').read_text())
  assert (result['trials'], result['failed']) == (6, 0)
  assert 1 <= result['feasible'] <= 6
  best = result['best']
  model = (workdir / 'best' / 'model.tflite').read_bytes()
  footprint = measure(model)
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
  _, done = finished
  assert 'Pareto front' in done.stdout
  assert 'int8 test accuracy' in done.stdout
  assert '--host=127.0.0.1' in done.stdout
  assert 'best int8 accuracy' in done.stderr
  for noise in ('oneDNN', 'cudart', 'XNNPACK', 'Warning', 'WARNING', 'Traceback'):
    assert noise not in done.stderr + done.stdout


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing_and_a_cut_journal_resumes(finished, tmp_path):
  workdir, _ = finished
  lines = (workdir / 'journal.jsonl').read_text().splitlines(keepends=True)
  (tmp_path / 'journal.jsonl').write_text(''.join(lines[:3]) + lines[3][:50])
  done = search(*SMALL, '--workers=1', f'--workdir={tmp_path}')
  assert done.returncode == 0, done.stderr
  assert 'resumed  2 trials' in done.stdout
  assert without_times(tmp_path / 'journal.jsonl') == without_times(workdir / 'journal.jsonl')
  results = [json.loads((p / 'result.json').read_text()) for p in (workdir, tmp_path)]
  assert results[0]['best'] == results[1]['best']


@pytest.mark.slow
def test_a_search_ends_when_its_time_is_up_and_again_at_the_same_trial(tmp_path):
  flags = (*SMALL, '--trials=900', '--minutes=0.01', '--finish_top=1', f'--workdir={tmp_path}')
  results = []
  for _ in range(2):
    done = search(*flags)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / 'result.json').read_text())
    results.append({name: value for name, value in result.items() if name != 'seconds'})
  assert results[0] == results[1]
  seconds = [t.measurement.seconds for t in read_journal(tmp_path / 'journal.jsonl')[1]]
  told = results[0]['trials']
  assert 2 <= told < 20
  assert sum(seconds[:told]) >= 0.6 * default_workers() > sum(seconds[: told - 2])


@pytest.mark.slow
def test_another_configuration_is_refused(finished):
  workdir, _ = finished
  before = (workdir / 'journal.jsonl').read_bytes()
  done = search(*SMALL, '--seed=1', f'--workdir={workdir}')
  assert done.returncode != 0
  assert 'seed was 0, now 1' in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
  assert (workdir / 'journal.jsonl').read_bytes() == before


@pytest.mark.slow
def test_tensorboard_finds_scalars_and_children(finished):
  from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
  from tensorboard.util.tensor_util import make_ndarray

  workdir, _ = finished
  events = EventAccumulator(str(workdir / 'tensorboard' / 'search')).Reload()
  tags = set(events.Tags()['tensors'])
  assert {
    'reward/trial',
    'reward/best_feasible',
    'best/architecture',
    'search/feasible_rate',
    'search/unique_rate',
    'child/int8_validation_accuracy',
    'child/flash_kib',
    'child/sram_kib',
    'strategy/entropy',
  } <= tags
  assert [e.step for e in events.Tensors('reward/trial')] == list(range(6))
  rewards = [t.reward for t in read_journal(workdir / 'journal.jsonl')[1]]
  written = [float(make_ndarray(e.tensor_proto)) for e in events.Tensors('reward/trial')]
  assert written == pytest.approx(rewards)
  children = EventAccumulator(str(workdir / 'tensorboard' / 'children' / '0000')).Reload()
  assert (
    'hparams' in children.summary_metadata['_hparams_/session_start_info'].plugin_data.plugin_name
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--board=uno9000', "'uno9000'"),
    ('--board=absent.json', 'absent.json'),
    ('--flash_kib=-1', '--flash_kib=-1'),
    ('--sram_kib=0', '--sram_kib=0'),
    ('--sram_kib=nan', '--sram_kib=nan'),
    ('--trials=0', '--trials=0: must be at least 1'),
    ('--epochs=-2', '--epochs=-2'),
    ('--workers=0', 'workers=0'),
    ('--space=hyperspace', "--space='hyperspace': must be one of chain"),
    ('--strategy=luck', "--strategy='luck'"),
    ('--reward=love', "--reward='love'"),
    ('--dataset=absent.npz', 'absent.npz'),
    ('--workdir=/proc/rlnas', '/proc/rlnas'),
    ('surplus', 'surplus'),
    ('--inherit --cache_dir=shared', '--cache_dir=shared: not with --inherit'),
  ],
)
def test_bad_input_is_one_line(flag, message, tmp_path):
  done = search(*SMALL, *([] if 'workdir' in flag else [f'--workdir={tmp_path}']), *flag.split())
  assert done.returncode != 0
  assert message in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
  assert not (tmp_path / 'journal.jsonl').exists()
