import dataclasses
import json
import re

import pytest

import rlnas
from rlnas.backend import keras
from rlnas.cli.main import main
from rlnas.cost.builds import BUILDS
from rlnas.cost.firmware import firmware_bytes
from rlnas.cost.instructions import COUNTED
from tests.cli.command import refused
from tests.tflite.branching import converted
from tests.tflite.foreign import branches, convolutional, of_function, of_keras, recurrent

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module', name='model')
def _model():
  return converted()


def test_it_reports_on_every_board(model, tmp_path, capsys):
  path = tmp_path / 'model.tflite'
  path.write_bytes(model)
  main(['measure', str(path)])
  shown = capsys.readouterr().out
  for text in ('tensor arena', 'CONV_2D', '<- peak', *rlnas.BOARDS):
    assert text in shown
  report = rlnas.measure(path)
  for build in BUILDS.values():
    size = f'{report.arena(build).smallest_bytes:,}' if build.scratch_is_known else '–'
    assert re.search(rf'^{build.name} .* {size} ', shown, re.MULTILINE)
  assert (tmp_path / 'model.memory.png').read_bytes().startswith(b'\x89PNG')


def test_operators_of_a_loop_are_shown_with_their_runs(tmp_path, capsys):
  path = tmp_path / 'model.tflite'
  path.write_bytes(of_keras(recurrent(keras.layers.GRU(4), steps=6)))
  main(['measure', str(path), '--board=esp32'])
  lines = capsys.readouterr().out.splitlines()
  place = next(i for i, line in enumerate(lines) if 'operators by kind' in line)
  operators, kinds = lines[place - 26 : place - 1], lines[place + 1 :]
  assert operators[0].split() == ['operator', 'result', 'MACs', 'constants', 'B', 'live', 'B']
  product = next(line for line in operators if 'FULLY_CONNECTED x 6' in line)
  assert product[4:6] == '  ', 'those that the loop runs are indented'
  macs = 6 * 3 * 4 * (5 + 4) + 4 * 3
  assert [line.split() for line in kinds if 'FULLY' in line] == [
    ['FULLY_CONNECTED', '3', '13', str(macs)]
  ]
  assert max(map(len, operators)) <= 80


def test_a_build_whose_arena_is_too_large_is_named(model, tmp_path, capsys):
  path, own = tmp_path / 'model.tflite', tmp_path / 'own.json'
  path.write_bytes(model)
  lean, whole = (
    rlnas.measure(path).arena(BUILDS[name]).smallest_bytes
    for name in ('m3-ref-release', 'm3-ref-arduino')
  )
  assert lean < whole
  board = dataclasses.asdict(rlnas.BOARDS['bluepill-f103c8']) | {'flash_bytes': 10**6}
  for sram_bytes, fits in ((whole, 'yes'), (lean, 'yes; no: m3-ref-arduino'), (lean - 16, 'no')):
    own.write_text(json.dumps(board | {'sram_bytes': sram_bytes + board['reserved_sram_bytes']}))
    main(['measure', str(path), f'--board={own}'])
    assert re.search(rf'^bluepill.*  {fits}$', capsys.readouterr().out, re.MULTILINE)


def test_what_is_not_counted_is_unknown_and_not_zero(tmp_path, capsys):
  path = tmp_path / 'model.tflite'
  path.write_bytes(of_function(branches, (1, 8)))
  main(['measure', str(path), '--board=esp32'])
  shown = capsys.readouterr().out
  assert 'unknown: IF is not counted' in shown
  assert re.search(r'^esp32 .* unknown  (yes|no)$', shown, re.MULTILINE)


def test_paths_may_begin_with_the_home_folder(model, tmp_path, monkeypatch):
  (tmp_path / 'model.tflite').write_bytes(model)
  monkeypatch.setenv('HOME', str(tmp_path))
  main(['measure', '~/model.tflite', '--board=esp32', '--out=~/picture.png'])
  assert (tmp_path / 'picture.png').exists()


def test_a_file_that_is_no_model_is_named(tmp_path):
  path = tmp_path / 'model.cc'
  path.write_text('const unsigned char model[] = {0x1c};')
  assert refused('measure', path).startswith(f'error: {path}: model of 37 bytes: not a .tflite')


READ = {
  *('m3-ref', 'm3-ref-arduino', 'm3-ref-release', 'm0-ref-release'),
  *('m4-cmsis', 'm4-cmsis-arduino', 'm4-ard2023'),
}


def test_the_figures_are_in_a_json_file(model, tmp_path):
  path, out = tmp_path / 'model.tflite', tmp_path / 'figures' / 'model.json'
  path.write_bytes(model)
  main(['measure', str(path), f'--json={out}'])
  found = json.loads(out.read_text())
  report = rlnas.measure(path)
  assert set(found) == {'flash_bytes', 'macs', 'builds', 'boards'}
  assert (found['flash_bytes'], found['macs']) == (len(model), report.macs)
  assert set(found['builds']) == set(BUILDS) > READ
  for name, on in found['builds'].items():
    assert set(on) == {'used_bytes', 'smallest_bytes', 'firmware_bytes', 'instructions'}
    assert all(value is None or (type(value) is int and value > 0) for value in on.values())
    assert (None not in on.values()) == (name in COUNTED), name
  for name in READ:
    on = found['builds'][name]
    assert on['smallest_bytes'] >= on['used_bytes']
    assert on['instructions'] == round(report.instructions(name).middle)
    assert on['firmware_bytes'] == firmware_bytes(report.kinds, name)
  assert list(found['boards']) == list(rlnas.BOARDS)
  for name, on in found['boards'].items():
    board, (low, high) = rlnas.BOARDS[name], on['latency_ms']
    assert on['build'] == board.builds[0]
    assert [low, high] == [(r := board.speed.latency(report.workload)).low, r.high]
    assert 0 < low < high
    smallest = found['builds'][on['build']]['smallest_bytes']
    room = board.room_bytes(report.kinds)
    sram_bytes = board.sram_bytes - board.reserved_sram_bytes
    if smallest is not None:
      assert on['fits'] == (len(model) <= room and smallest <= sram_bytes), name


def test_what_is_unknown_is_null_in_the_json_file(tmp_path):
  path, out = tmp_path / 'model.tflite', tmp_path / 'model.json'
  path.write_bytes(of_function(branches, (1, 8)))
  main(['measure', str(path), '--board=nucleo-f446re', f'--json={out}'])
  found = json.loads(out.read_text())
  assert found['macs'] is found['builds']['m3-ref']['instructions'] is None
  assert found['builds']['host']['firmware_bytes'] is None
  assert list(found['boards']) == ['nucleo-f446re']
  assert found['boards']['nucleo-f446re']['latency_ms'] is None


def test_a_board_without_room_is_listed(model, tmp_path, capsys):
  board = dataclasses.asdict(rlnas.BOARDS['bluepill-f103c8']) | {'flash_bytes': 40_000}
  own, path = tmp_path / 'own.json', tmp_path / 'model.tflite'
  own.write_text(json.dumps(board))
  path.write_bytes(model)
  main(['measure', str(path), f'--board={own}', f'--json={tmp_path / "model.json"}'])
  shown = capsys.readouterr().out
  assert re.search(r'^bluepill-f103c8 +no room .* no$', shown, re.MULTILINE)
  assert not json.loads((tmp_path / 'model.json').read_text())['boards']['bluepill-f103c8']['fits']
  main(['boards', str(own)])
  assert re.search(r'^bluepill-f103c8 .* no room ', capsys.readouterr().out, re.MULTILINE)


def test_scales_that_old_releases_of_tflm_do_not_know_are_named(model, tmp_path, capsys):
  ours, foreign = tmp_path / 'ours.tflite', tmp_path / 'foreign.tflite'
  ours.write_bytes(model)
  foreign.write_bytes(of_keras(convolutional(), kind='int8'))
  shown = {}
  for path in (ours, foreign):
    main(['measure', str(path), '--board=esp32'])
    shown[path] = capsys.readouterr().out
  assert 'before 27 September 2024 computes wrong results' in shown[foreign]
  assert '2024' not in shown[ours]


def test_mistakes_are_one_line(model, tmp_path):
  path = tmp_path / 'half.tflite'
  path.write_bytes(model[:1000])
  for arguments in ((path,), (tmp_path / 'none.tflite',), (), (path, '--board=none')):
    assert 'Traceback' not in refused('measure', *arguments)
