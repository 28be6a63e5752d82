"""An installed wheel works where TFLite Micro has no package: macOS, Windows, Arm."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.documents import ROOT

pytestmark = pytest.mark.nightly
HIDDEN = """
import sys
sys.modules['tflite_micro'] = None  # its import fails in this process and in all workers
"""


@pytest.fixture(scope='module', name='installed')
def _installed(tmp_path_factory):
  """The folder of the installed wheel; TFLite Micro cannot be imported beside it."""
  folder = tmp_path_factory.mktemp('installed')
  pip = (sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-build-isolation')
  source = folder / 'source'  # building leaves files beside setup.py
  archive = subprocess.run(['git', 'archive', 'HEAD'], cwd=ROOT, check=True, capture_output=True)
  source.mkdir()
  subprocess.run(['tar', '-x', '-C', source], input=archive.stdout, check=True)
  subprocess.run([*pip, '--target', folder / 'packages', source], check=True)
  (folder / 'packages' / 'sitecustomize.py').write_text(HIDDEN)
  return folder / 'packages'


def run(installed: pathlib.Path, folder: pathlib.Path, *arguments: str):
  done = subprocess.run(
    [sys.executable, *arguments],
    cwd=folder,
    env=os.environ | {'PYTHONPATH': str(installed)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return done


def test_it_is_imported(installed, tmp_path):
  done = run(installed, tmp_path, '-c', 'import rlnas; print(rlnas.__file__, rlnas.tflite.measure)')
  assert done.stdout.startswith(str(installed))


def test_it_searches_with_the_planned_arena_and_says_so(installed, tmp_path):
  small = ('--trials=3', '--batch=2', '--epochs=1', '--finish_epochs=1', '--finish_top=1')
  workdir = tmp_path / 'run'
  flags = ('--dataset=digits', *small, '--workers=1', f'--workdir={workdir}')
  done = run(installed, tmp_path, '-m', 'rlnas', 'search', *flags)
  assert 'SRAM figures are planned, not measured' in done.stderr
  assert '(planned: TFLite Micro is not installed)' in done.stdout
  best = json.loads((workdir / 'result.json').read_text())['best']
  assert best['sram_source'] == 'analytic'
  assert 'planned, not measured' in (workdir / 'best' / 'REPORT.md').read_text()
  model = str(workdir / 'best' / 'model.tflite')
  measured = run(installed, tmp_path, '-m', 'rlnas', 'measure', model)
  assert 'planned without TFLite Micro' in measured.stdout
  assert f'{best["sram_bytes"]:,}' in measured.stdout
