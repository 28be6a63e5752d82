import concurrent.futures
import contextlib
import os
import subprocess
import sys
import time
import warnings

import pytest
from absl import logging

from rlnas.backend import captured_output, quiet, tf, unoptimised

WARNING = 'TensorFlow was started before rlnas'


@pytest.mark.nightly
@pytest.mark.parametrize(('asked', 'on'), [('0', 'False'), (None, 'True')])
def test_whether_onednn_is_used_is_known(asked, on):
  shown, complained = run('from rlnas.backend import ONEDNN; print(ONEDNN)', asked)
  assert shown == on
  assert WARNING not in complained


@pytest.mark.nightly
def test_other_threads_than_those_of_workers_are_told():
  _, complained = run('import tensorflow; tensorflow.constant(1); import rlnas.backend', '1')
  assert WARNING in complained


def standing():
  """What the descriptors stand for, and the other settings of the process that are replaced."""
  files = [(s.st_dev, s.st_ino) for s in (os.fstat(descriptor) for descriptor in (1, 2))]
  return files, logging.get_verbosity(), list(warnings.filters)


def test_threads_that_redirect_output_restore_it():
  before = standing()

  def redirect(turn):
    with quiet(), captured_output() as output:
      os.write(1, f'line of {turn}'.encode())
      time.sleep(0.002)
      assert output() == f'line of {turn}'

  with concurrent.futures.ThreadPoolExecutor(4) as threads:
    list(threads.map(redirect, range(60)))
  assert standing() == before


def test_output_is_restored_after_an_error():
  before = standing()
  with contextlib.suppress(KeyboardInterrupt), quiet(), captured_output():
    raise KeyboardInterrupt
  assert standing() == before


def test_output_of_python_and_of_others_is_captured_in_order():
  with captured_output() as output:
    print('first', flush=False, file=sys.__stdout__)
    os.write(1, b'second\n') if 'first' in output() else None
    assert output() == 'first\nsecond\n'


def test_the_graph_optimiser_is_off_only_within():
  def is_off():
    return tf.config.optimizer.get_experimental_options().get('disable_meta_optimizer', False)

  assert not is_off()
  with contextlib.suppress(KeyboardInterrupt), unoptimised():
    assert is_off()
    with unoptimised():
      assert is_off()
    assert is_off()
    raise KeyboardInterrupt
  assert not is_off()


def run(code, onednn):
  """What a script that sets nothing but `onednn` writes."""
  ours = ('TF_ENABLE_ONEDNN_OPTS', 'TF_USE_LEGACY_KERAS')
  environment = {k: v for k, v in os.environ.items() if k not in ours}
  environment |= {} if onednn is None else {'TF_ENABLE_ONEDNN_OPTS': onednn}
  done = subprocess.run(
    [sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True
  )
  return done.stdout.strip(), done.stderr
