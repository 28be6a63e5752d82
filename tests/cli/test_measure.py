import re

import pytest

import rlnas
from rlnas.cli.main import main
from rlnas.cost.builds import BUILDS
from tests.cli.command import refused
from tests.tflite.branching import converted
from tests.tflite.foreign import branches, of_function


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
    size = report.arena(build).smallest_bytes
    assert re.search(rf'^{build.name} .* {size:,}  {re.escape(build.title)}', shown, re.MULTILINE)
  most = report.arena(BUILDS['m3-ref-arduino']).smallest_bytes
  assert re.search(
    rf'^bluepill.* m3-ref-release .*\({most:,} B with m3-ref-arduino\)$', shown, re.M
  )
  assert (tmp_path / 'model.memory.png').read_bytes().startswith(b'\x89PNG')


def test_what_is_not_counted_is_unknown_and_not_zero(tmp_path, capsys):
  path = tmp_path / 'model.tflite'
  path.write_bytes(of_function(branches, (1, 8)))
  main(['measure', str(path), '--board=esp32'])
  shown = capsys.readouterr().out
  assert 'unknown: IF is not counted' in shown
  assert re.search(r'^esp32 .* unknown  (yes|no)$', shown, re.MULTILINE)


def test_mistakes_are_one_line(model, tmp_path):
  path = tmp_path / 'half.tflite'
  path.write_bytes(model[:1000])
  for arguments in ((path,), (tmp_path / 'none.tflite',), (), (path, '--board=none')):
    assert 'Traceback' not in refused('measure', *arguments)
