"""The bundle and the report as a user gets them: a search, then the two commands."""

import json
import shlex
import shutil

import pytest
from absl import flags

from rlnas.board import find_board
from rlnas.cli.build import journal_configuration, set_up
from rlnas.cli.config import SearchConfig
from rlnas.cli.config_file import read_config
from rlnas.cli.flags import parse, read_search_config
from rlnas.cli.search import define_flags
from rlnas.cost.builds import find_build
from rlnas.cost.instructions import digits
from rlnas.search.journal import read_journal
from rlnas.tflite.footprint import measure
from rlnas.tflite.inspection import measure as inspect
from tests.cli.command import refused, within
from tests.disk import full_disk

FILES = {
  *('model.tflite', 'model.cc', 'model.h', 'rlnas_model.h', 'test_vectors.h', 'main.cc'),
  *('REPORT.md', 'report.html', 'figures', 'architecture.json'),
  *('classify.h', 'classify.cc', 'host_test.c', 'Makefile', 'rlnas_operators.h', 'LICENSE'),
}


@pytest.mark.slow
def test_a_search_leaves_the_bundle_and_export_writes_the_same(finished):
  workdir = finished.workdir
  best = workdir / 'best'
  closing = [line.split(':')[0].strip() for line in finished.shown.stdout.splitlines()[-7:]]
  names = ['report', 'winner', 'firmware', 'watch', 'and open http', 'library', 'finish longer']
  assert closing == names
  library, longer = finished.shown.stdout.splitlines()[-2:]
  assert ' export ' in library
  program = shlex.split(longer.split(':', 1)[1])[0]
  assert shutil.which(program), 'it can be pasted, whether or not the environment is activated'
  assert f'winner:         {best / "report.html"}' in finished.shown.stdout
  assert {path.name for path in best.iterdir()} >= FILES
  result = json.loads((workdir / 'result.json').read_text())['best']
  report = (best / 'REPORT.md').read_text()
  assert f'{result["int8_test_accuracy"]:.4f}' in report
  assert result['sram_build'] == find_board(SearchConfig.board).build.name
  footprint = measure(best / 'model.tflite', build=find_build(result['sram_build']))
  assert footprint.sram_bytes == result['sram_bytes']
  assert f'{footprint.sram_bytes:,} B' in report
  assert 'CC BY 4.0' in report
  before = {path: path.read_bytes() for path in best.rglob('*') if path.is_file()}
  shown = within('export', f'--workdir={workdir}').stdout
  assert shown.splitlines()[0] == f'report:    {best / "report.html"}'
  assert shown.splitlines()[-1] == f'next:      make -C {shlex.quote(str(best))} test'
  assert {path: path.read_bytes() for path in best.rglob('*') if path.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
  ('content', 'fault'),
  [
    ('{"best": {"tri', 'must hold the winner of the search (Unterminated string'),
    ('{}', "has no 'best'; must hold the winner"),
    ('{"best": null}', 'must hold the winner of the search'),
    ('[1]', 'must hold the winner of the search'),
    ('{"best": {"trial": 999, "architecture": []}}', 'must hold the winner of the search'),
  ],
)
def test_a_damaged_result_is_named(content, fault, copy):
  (copy / 'result.json').write_text(content)
  message = refused('export', f'--workdir={copy}')
  assert message.startswith(f'error: {copy / "result.json"}: ')
  assert fault in message


@pytest.mark.slow
def test_a_name_begins_the_symbols(copy):
  within('export', f'--workdir={copy}', '--name=Front door')
  assert '#define FRONT_DOOR_ARENA_BYTES' in (copy / 'best' / 'rlnas_model.h').read_text()
  report = (copy / 'best' / 'REPORT.md').read_text().replace('\\', '')  # which escape underscores
  assert 'FRONT_DOOR_ARENA_BYTES' in report
  assert 'front_door_quantize()' in report
  assert 'name=' in refused('export', f'--workdir={copy}', '--name=7')


@pytest.mark.slow
def test_each_world_gets_a_folder_and_other_importers_a_model(copy):
  flags = ('--name=door', '--for=arduino', '--for=esp-idf', '--portable')
  shown = within('export', f'--workdir={copy}', *flags).stdout
  best = copy / 'best'
  rows = [line.split(':  ', 1) for line in shown.splitlines()]
  assert [label for label, _ in rows] == [
    *('report', 'firmware', 'portable', 'arduino', 'next', 'esp-idf', 'next'),
  ]
  texts = [text.strip() for _, text in rows]
  assert texts[2] == str(best / 'portable.tflite')
  assert texts[3] == f'{best / "arduino" / "door"}, see README.md'
  folder = shlex.quote(str(best / 'esp-idf' / 'door'))
  assert texts[6].startswith(f'cd {folder}/examples/check && idf.py ')
  small, whole = ((best / f'{name}.tflite').read_bytes() for name in ('model', 'portable'))
  assert len(whole) > len(small)
  assert 'includes=door.h' in (best / 'arduino' / 'door' / 'library.properties').read_text()
  model = (best / 'model.cc').read_bytes()
  assert (best / 'arduino' / 'door' / 'src' / 'door' / 'model.cpp').read_bytes() == model
  assert (best / 'esp-idf' / 'door' / 'src' / 'door' / 'model.cc').read_bytes() == model
  assert 'mbed' in refused('export', f'--workdir={copy}', '--for=mbed')


@pytest.mark.slow
def test_the_report_tells_the_range_of_the_time_and_the_flash_of_the_runtime(finished):
  best, board = finished.workdir / 'best', find_board(SearchConfig.board)
  report, text = inspect(best / 'model.tflite'), (best / 'REPORT.md').read_text()
  low, middle, high = map(digits, board.speed.latency(report.workload))
  assert f'{middle} ms' in text
  assert f'{low} to {high} ms, estimated' in text
  taken, room = board.taken_flash_bytes(report.kinds), board.room_bytes(report.kinds)
  assert f'{taken:,} of {board.flash_bytes:,} B of flash' in text
  assert f'This leaves {room:,} B for the model.' in text


@pytest.mark.slow
def test_without_the_board_the_report_tells_the_latency_of_the_winner_not_of_its_trial(copy):
  config = json.loads((copy / 'config.json').read_text())
  (copy / 'config.json').write_text(json.dumps(config | {'board': 'gone.json'}))
  result = json.loads((copy / 'result.json').read_text())
  result['best']['latency_ms'] = 12.34
  (copy / 'result.json').write_text(json.dumps(result))
  within('export', f'--workdir={copy}')
  assert '12.3 ms' in (copy / 'best' / 'REPORT.md').read_text()


def command_in_the_report(workdir) -> list[str]:
  """The arguments of `rlnas search` that the report gives."""
  report = (workdir / 'best' / 'REPORT.md').read_text()
  words = shlex.split(report.split('rlnas search')[1].split('```')[0])
  return [word for word in words if word != '\n']


@pytest.mark.slow
def test_the_command_in_the_report_is_the_search(finished):
  command = command_in_the_report(finished.workdir)
  assert f'--workdir={finished.workdir}' in command
  assert '--space_option=max_depth=3' in command
  assert '--sram_kib=20' in command
  assert not [flag for flag in command if flag.startswith('--flash_kib')]
  values = flags.FlagValues()
  define_flags(values)
  parse(values, ['rlnas search', *command])
  config = read_search_config(values)
  recorded, _ = read_journal(finished.workdir / 'journal.jsonl')
  assert journal_configuration(set_up(config)) == recorded, 'it would be resumed'
  assert config.finish == read_config(finished.workdir).finish


@pytest.mark.nightly
def test_the_command_in_the_report_resumes_the_search(finished):
  again = within('search', *command_in_the_report(finished.workdir))
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
  before = {path: path.read_bytes() for path in copy.rglob('*') if path.is_file()}
  flags = ['--finish_epochs=2', '--finish_top=1'] if command == 'finish' else []
  with full_disk(4096):
    message = refused(command, f'--workdir={copy}', *flags)
  assert 'cannot be written (File too large)' in message
  assert str(copy) in message
  assert {path: path.read_bytes() for path in copy.rglob('*') if path.is_file()} == before
