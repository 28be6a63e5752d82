"""The bundle and the report as a user gets them: a search, then the two commands."""

import json
import shlex

import pytest

from rlnas.tflite.footprint import measure
from tests.cli.command import refused, within
from tests.disk import full_disk

FILES = {
  *('model.tflite', 'model.cc', 'model.h', 'rlnas_model.h', 'test_vectors.h', 'main.cc'),
  *('REPORT.md', 'report.html', 'figures', 'architecture.json'),
}


@pytest.mark.slow
def test_a_search_leaves_the_bundle_and_export_writes_the_same(finished):
  workdir = finished.workdir
  best = workdir / 'best'
  assert finished.shown.stdout.splitlines()[-1] == str(best / 'report.html')
  assert {path.name for path in best.iterdir()} >= FILES
  result = json.loads((workdir / 'result.json').read_text())['best']
  report = (best / 'REPORT.md').read_text()
  assert f'{result["int8_test_accuracy"]:.4f}' in report
  assert f'{measure(best / "model.tflite").sram_bytes:,} B' in report
  assert 'CC BY 4.0' in report
  before = {path: path.read_bytes() for path in best.rglob('*') if path.is_file()}
  within('export', f'--workdir={workdir}')
  assert {path: path.read_bytes() for path in best.rglob('*') if path.is_file()} == before


@pytest.mark.slow
def test_a_name_begins_the_symbols(copy):
  within('export', f'--workdir={copy}', '--name=Front door')
  assert '#define FRONT_DOOR_ARENA_BYTES' in (copy / 'best' / 'rlnas_model.h').read_text()
  report = (copy / 'best' / 'REPORT.md').read_text().replace('\\', '')  # which escape underscores
  assert 'FRONT_DOOR_ARENA_BYTES' in report
  assert 'front_door_quantize()' in report
  assert 'name=' in refused('export', f'--workdir={copy}', '--name=7')


@pytest.mark.slow
def test_the_report_tells_the_latency_of_the_winner_not_of_its_trial(copy):
  result = json.loads((copy / 'result.json').read_text())
  result['best']['latency_ms'] = 12.34
  (copy / 'result.json').write_text(json.dumps(result))
  within('export', f'--workdir={copy}')
  assert '12.3 ms' in (copy / 'best' / 'REPORT.md').read_text()


@pytest.mark.slow
def test_the_command_in_the_report_is_the_search(finished):
  report = (finished.workdir / 'best' / 'REPORT.md').read_text()
  command = shlex.split(report.split('rlnas search')[1].split('```')[0])
  assert f'--workdir={finished.workdir}' in command
  assert '--space_option=max_depth=3' in command
  assert '--sram_kib=20' in command
  assert not [flag for flag in command if flag.startswith('--flash_kib')]
  again = within('search', *(flag for flag in command if flag != '\n'))
  assert 'resumed  4 trials' in again.stdout


@pytest.mark.slow
def test_the_report_needs_the_journal_alone(finished, tmp_path):
  (tmp_path / 'journal.jsonl').write_bytes((finished.workdir / 'journal.jsonl').read_bytes())
  shown = within('report', f'--workdir={tmp_path}')
  assert shown.stdout.strip() == str(tmp_path / 'search.html')
  text = (tmp_path / 'SEARCH.md').read_text()
  for heading in ('Course', 'Trade-offs', 'Pareto front', 'Preferences', 'Time', 'Configuration'):
    assert f'## {heading}' in text
  assert (tmp_path / 'figures' / 'preference-0.svg').exists()


@pytest.mark.parametrize('command', ['export', 'report'])
def test_a_folder_without_a_search_is_one_line(command, tmp_path):
  for workdir in (tmp_path, tmp_path / 'absent'):
    assert str(workdir) in refused(command, f'--workdir={workdir}')


@pytest.mark.slow
@pytest.mark.parametrize('command', ['export', 'report', 'finish'])
def test_on_a_full_disk_the_files_stay_and_the_error_names_one(command, copy):
  within('report', f'--workdir={copy}')
  before = {path: path.read_bytes() for path in copy.rglob('*') if path.is_file()}
  flags = ['--finish_epochs=2', '--finish_top=1'] if command == 'finish' else []
  with full_disk(4096):
    message = refused(command, f'--workdir={copy}', *flags)
  assert 'cannot be written (File too large)' in message
  assert str(copy) in message
  assert {path: path.read_bytes() for path in copy.rglob('*') if path.is_file()} == before
