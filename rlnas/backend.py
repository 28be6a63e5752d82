"""TensorFlow and Keras 2, loaded quietly and held to one thread.

Every module that needs TensorFlow writes `from rlnas.backend import keras, tf`; nothing else
imports it, so `import rlnas` stays fast.

One thread makes a child bit-identical in every process, first or later in it; two threads round
differently. Parallelism comes from processes instead (`rlnas.evaluation.executors`), which is also
faster.

oneDNN rounds differently, too. TensorFlow decides by the processor whether it is on (with AVX-512),
unless TF_ENABLE_ONEDNN_OPTS says so; `ONEDNN` tells. Turned on where TensorFlow leaves it off it
trains children in half the time, but it ended the process in the gradient of a 1x1 filter with
stride 2 on a single channel.
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
  """Sends what this process writes to descriptors 1 and 2, from C++ too, into a file.

  Yields:
    The file, to be read (after `seek(0)`) inside the block.
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
  """Keeps the notices of TensorFlow's converters and interpreters from the user's terminal."""
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
    'TensorFlow was started before rlnas, with its own thread settings: children trained in this '
    'process will differ in rounding from those of worker processes.'
  )

__all__ = ['ONEDNN', 'captured_output', 'flatbuffer_utils', 'keras', 'mlir_quantize', 'quiet', 'tf']
