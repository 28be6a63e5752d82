import pytest

import rlnas
from rlnas.cli.main import main
from tests.cli.command import refused
from tests.tflite.branching import converted


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


def test_mistakes_are_one_line(model, tmp_path):
  path = tmp_path / 'half.tflite'
  path.write_bytes(model[:1000])
  for arguments in ((path,), (tmp_path / 'none.tflite',), (), (path, '--board=none')):
    assert 'Traceback' not in refused('measure', *arguments)
