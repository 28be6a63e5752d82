import os
import subprocess
import sys

import pytest

SHOWS_ONEDNN = (
  'from tensorflow.python.util import _pywrap_util_port; print(_pywrap_util_port.IsMklEnabled())'
)
WARNING = 'TensorFlow was started before rlnas'


@pytest.mark.parametrize(('asked', 'on'), [(None, 'True'), ('0', 'False'), ('1', 'True')])
def test_onednn_is_on_whatever_the_processor_unless_it_is_turned_off(asked, on):
  shown, complained = run('import rlnas.backend; ' + SHOWS_ONEDNN, asked)
  assert shown == on
  assert WARNING not in complained


@pytest.mark.parametrize(
  'before',
  [
    "import os; os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'; import tensorflow; "
    "del os.environ['TF_ENABLE_ONEDNN_OPTS']; ",
    'import tensorflow; tensorflow.constant(1); ',
  ],
)
def test_other_arithmetic_than_that_of_workers_is_told(before):
  _, complained = run(before + 'import rlnas.backend', None)
  assert WARNING in complained


def run(code, onednn):
  environment = {k: v for k, v in os.environ.items() if k != 'TF_ENABLE_ONEDNN_OPTS'}
  if onednn is not None:
    environment['TF_ENABLE_ONEDNN_OPTS'] = onednn
  done = subprocess.run(
    [sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True
  )
  return done.stdout.strip(), done.stderr
