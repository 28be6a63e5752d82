"""Settings and fixtures of all tests."""

import os
import pathlib
import shutil
import signal

import hypothesis
import pytest

os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')  # as a command does; else Keras 3 is loaded, too
# Machines that run tests are busy; an example that takes long is no failure.
hypothesis.settings.register_profile('steady', deadline=None, derandomize=True)
hypothesis.settings.load_profile('steady')


@pytest.fixture(autouse=True)
def _interruptible():
  """Programs that tests start hear Ctrl-C, even if the tests run in the background of a shell."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


@pytest.fixture(scope='session', name='finished')
def _finished(tmp_path_factory):
  """A finished search; tests change copies of its folder."""
  from tests.finished_search import finished_search  # the search loads TensorFlow

  folder = tmp_path_factory.getbasetemp()
  if 'PYTEST_XDIST_WORKER' in os.environ:
    folder = folder.parent  # that of all processes
  return finished_search(folder / 'finished-search')


@pytest.fixture(scope='session', name='moves')
def _moves(tmp_path_factory):
  """A finished search by macro F1 on recordings of people; no test changes its folder."""
  from tests.moves import search_of_moves

  folder = tmp_path_factory.getbasetemp()
  if 'PYTEST_XDIST_WORKER' in os.environ:
    folder = folder.parent
  return search_of_moves(folder / 'search-of-moves')


@pytest.fixture(name='copy')
def _copy(finished, tmp_path):
  """A copy of the folder of the finished search."""
  return pathlib.Path(shutil.copytree(finished.workdir, tmp_path / 'copy'))
