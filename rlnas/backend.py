"""TensorFlow and Keras 2, loaded without log messages and limited to one thread.

Every module that needs TensorFlow writes `from rlnas.backend import keras, tf`; no other module
imports TensorFlow, so `import rlnas` stays fast.

With one thread, a trained network is bit-identical in every process, whatever ran there before;
with two threads, rounding differs. Parallelism comes from processes instead
(`rlnas.evaluation.executors`), which is also faster.

Rounding also depends on oneDNN. TensorFlow turns it on or off by processor (on with AVX-512) unless
TF_ENABLE_ONEDNN_OPTS is set; `ONEDNN` is the result. If you turn it on where TensorFlow does
not, networks train in half the time, but the process has crashed in the gradient of a 1x1 filter
with stride 2 on a single channel.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import IO

from absl import logging


@contextlib.contextmanager
def captured_output() -> Iterator[IO[bytes]]:
  """Redirects output of this process to descriptors 1 and 2, also from C++, to a file.

  Yields:
    The file; read it inside the block, after `seek(0)`.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  saved = os.dup(1), os.dup(2)
  with tempfile.TemporaryFile() as file:
    try:
      os.dup2(file.fileno(), 1)
      os.dup2(file.fileno(), 2)
      yield file
    finally:
      sys.stdout.flush()
      sys.stderr.flush()
      for descriptor, original in zip((1, 2), saved, strict=True):
        os.dup2(original, descriptor)
        os.close(original)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Hides messages of TensorFlow's converters and interpreters from the terminal."""
  verbosity = logging.get_verbosity()
  with captured_output(), warnings.catch_warnings():
    warnings.simplefilter('ignore')
    logging.set_verbosity(logging.ERROR)
    try:
      yield
    finally:
      logging.set_verbosity(verbosity)


os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
with quiet():
  import tensorflow as tf
  import tf_keras as keras
  from tensorflow.lite.python.convert import mlir_quantize
  from tensorflow.lite.tools import flatbuffer_utils
  from tensorflow.python.util import _pywrap_util_port

  ONEDNN: bool = _pywrap_util_port.IsMklEnabled()
  try:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], 'GPU')
    _single = True
  except RuntimeError:
    _single = False
if not _single:
  logging.warning(
    'TensorFlow was started before rlnas, with its own thread settings: networks trained in this '
    'process will differ in rounding from those of worker processes.'
  )

__all__ = ['ONEDNN', 'captured_output', 'flatbuffer_utils', 'keras', 'mlir_quantize', 'quiet', 'tf']
