import re

import pytest

import rlnas
from rlnas.backend import keras
from rlnas.cli.main import main
from tests.cli.command import refused
from tests.tflite.branching import converted
from tests.tflite.foreign import branches, of_function, of_keras, recurrent


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


def test_mistakes_are_one_line(model, tmp_path):
  path = tmp_path / 'half.tflite'
  path.write_bytes(model[:1000])
  for arguments in ((path,), (tmp_path / 'none.tflite',), (), (path, '--board=none')):
    assert 'Traceback' not in refused('measure', *arguments)
