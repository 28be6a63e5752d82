"""The bundle and the report as a user gets them: a search, then the two scripts."""

import json
import pathlib
import shlex
import subprocess
import sys

import pytest

from rlnas.tflite.footprint import measure

EXPERIMENTS = pathlib.Path(__file__).parents[2] / 'experiments'
FILES = {
  *('model.tflite', 'model.cc', 'model.h', 'rlnas_model.h', 'test_vectors.h', 'main.cc'),
  *('REPORT.md', 'report.html', 'figures', 'architecture.json'),
}


def run(script: str, *arguments: object) -> subprocess.CompletedProcess:
  command = [sys.executable, str(EXPERIMENTS / script), *map(str, arguments)]
  return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope='module', name='workdir')
def _workdir(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('bundle') / 'my run'
  flags = ('--dataset=digits', '--trials=4', '--batch=2', '--epochs=1', '--finish_epochs=1')
  options = ('--space_option=max_depth=3', '--sram_kib=20', '--workers=1')
  done = run('search.py', *flags, *options, f'--workdir={workdir}')
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[-1] == str(workdir / 'best' / 'report.html')
  return workdir


@pytest.mark.slow
def test_a_search_leaves_the_bundle_and_export_writes_the_same(workdir):
  best = workdir / 'best'
  assert {path.name for path in best.iterdir()} >= FILES
  result = json.loads((workdir / 'result.json').read_text())['best']
  report = (best / 'REPORT.md').read_text()
  assert f'{result["int8_test_accuracy"]:.4f}' in report
  assert f'{measure(best / "model.tflite").sram_bytes:,} B' in report
  assert 'CC BY 4.0' in report
  before = {path: path.read_bytes() for path in best.rglob('*') if path.is_file()}
  done = run('export.py', workdir)
  assert done.returncode == 0, done.stderr
  assert {path: path.read_bytes() for path in best.rglob('*') if path.is_file()} == before


@pytest.mark.slow
def test_the_command_in_the_report_is_the_search(workdir):
  report = (workdir / 'best' / 'REPORT.md').read_text()
  command = shlex.split(report.split('python experiments/search.py')[1].split('```')[0])
  assert f'--workdir={workdir}' in command
  assert '--space_option=max_depth=3' in command
  assert '--sram_kib=20' in command
  assert not [flag for flag in command if flag.startswith('--flash_kib')]
  again = run('search.py', *(flag for flag in command if flag != '\n'))
  assert again.returncode == 0, again.stderr
  assert 'resumed  4 trials' in again.stdout


@pytest.mark.slow
def test_the_report_needs_the_journal_alone(workdir, tmp_path):
  (tmp_path / 'journal.jsonl').write_bytes((workdir / 'journal.jsonl').read_bytes())
  done = run('report.py', tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == str(tmp_path / 'search.html')
  text = (tmp_path / 'SEARCH.md').read_text()
  for heading in ('Course', 'Trade-offs', 'Pareto front', 'Preferences', 'Time', 'Configuration'):
    assert f'## {heading}' in text
  assert (tmp_path / 'figures' / 'preference-0.svg').exists()


@pytest.mark.slow
@pytest.mark.parametrize('script', ['export.py', 'report.py'])
def test_bad_input_is_one_line(script, tmp_path):
  for arguments in ((), (tmp_path, tmp_path), (tmp_path / 'absent',)):
    done = run(script, *arguments)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith('error: ')
