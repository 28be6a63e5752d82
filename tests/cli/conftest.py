"""One finished search for all tests of the commands."""

import dataclasses
import pathlib
import shutil

import pytest

from tests.cli.command import Shown, launched

# What decides the search, and how it runs.
SEARCH = (
  *('--dataset=digits', '--trials=4', '--batch=2', '--epochs=1', '--space_option=max_depth=3'),
  *('--sram_kib=20', '--finish_epochs=1', '--finish_top=2'),
)


@dataclasses.dataclass(frozen=True)
class Finished:
  """A search that came to its end; tests change copies of its folder."""

  workdir: pathlib.Path
  shown: Shown


@pytest.fixture(scope='session', name='finished')
def _finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('finished') / 'my run'
  shown = launched('search', *SEARCH, '--executor=inprocess', f'--workdir={workdir}')
  return Finished(workdir, shown)


@pytest.fixture(name='copy')
def _copy(finished, tmp_path):
  return pathlib.Path(shutil.copytree(finished.workdir, tmp_path / 'copy'))
