import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

WARNING = 'TensorFlow was started before rlnas'


@pytest.mark.parametrize(
  ('asked', 'on'), [pytest.param('0', 'False', marks=pytest.mark.nightly), ('1', 'True')]
)
def test_whether_onednn_is_used_is_known(asked, on):
  shown, complained = run('from rlnas.backend import ONEDNN; print(ONEDNN)', asked)
  assert shown == on
  assert WARNING not in complained


def test_other_threads_than_those_of_workers_are_told():
  _, complained = run('import tensorflow; tensorflow.constant(1); import rlnas.backend', '1')
  assert WARNING in complained


def run(code, onednn):
  environment = os.environ | {'TF_ENABLE_ONEDNN_OPTS': onednn}
  done = subprocess.run(
    [sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True
  )
  return done.stdout.strip(), done.stderr
