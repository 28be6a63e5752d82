import re

import pytest

import rlnas
from rlnas.cli.main import main
from tests.cli.command import refused
from tests.tflite.branching import converted
from tests.tflite.foreign import branches, convolutional, of_function, of_keras


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


def test_what_is_not_counted_is_unknown_and_not_zero(tmp_path, capsys):
  path = tmp_path / 'model.tflite'
  path.write_bytes(of_function(branches, (1, 8)))
  main(['measure', str(path), '--board=esp32'])
  shown = capsys.readouterr().out
  assert 'unknown: IF is not counted' in shown
  assert re.search(r'^esp32 .* unknown  (yes|no)$', shown, re.MULTILINE)


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
