"""TensorFlow and Keras 2, loaded without log messages and limited to one thread.

Every module that needs TensorFlow writes `from rlnas.backend import keras, tf`; no other module
imports TensorFlow, so `import rlnas` stays fast.

With one thread, a trained network is bit-identical in every process, whatever ran there before;
with two threads, rounding differs. Parallelism comes from processes instead
(`rlnas.evaluation.executors`), which is also faster.

Rounding also depends on oneDNN. By itself TensorFlow uses it only with AVX-512; here it is on
everywhere, because networks train in half the time, unless TF_ENABLE_ONEDNN_OPTS is 0. `ONEDNN` is
the result. `rlnas.child.convolution` avoids the one gradient in which it has crashed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator

from absl import logging

# Descriptors 1 and 2, the verbosity of absl and the filters of warnings belong to the whole
# process: if two threads replaced them at once, one would restore what is not the original. A
# thread that holds the lock may take it again.
_redirection = threading.RLock()


@contextlib.contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
  """Redirects output of this process to descriptors 1 and 2, also from C++, to a file.

  Other threads that want to redirect it wait; what other threads write meanwhile is captured, too.

  Yields:
    A function that returns what was written so far; call it inside the block.
  """
  with contextlib.ExitStack() as stack:
    stack.enter_context(_redirection)
    file = stack.enter_context(tempfile.TemporaryFile())

    def read() -> str:
      _flush()
      size = os.fstat(file.fileno()).st_size
      return os.pread(file.fileno(), size, 0).decode(errors='replace')

    _flush()
    for descriptor in (1, 2):
      stack.enter_context(_replaced(descriptor, file.fileno()))
    stack.callback(_flush)  # before the descriptors are restored
    yield read


def _flush() -> None:
  """Writes out what Python's own streams hold, if they are open."""
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(AttributeError, OSError, ValueError):
      stream.flush()


@contextlib.contextmanager
def _replaced(descriptor: int, by: int) -> Iterator[None]:
  """Makes a descriptor stand for another file, and restores it whatever happens."""
  saved = os.dup(descriptor)
  try:
    os.dup2(by, descriptor)
    yield
  finally:
    os.dup2(saved, descriptor)
    os.close(saved)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Hides messages of TensorFlow's converters and interpreters from the terminal."""
  with captured_output(), warnings.catch_warnings():
    verbosity = logging.get_verbosity()
    warnings.simplefilter('ignore')
    logging.set_verbosity(logging.ERROR)
    try:
      yield
    finally:
      logging.set_verbosity(verbosity)


os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
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


@contextlib.contextmanager
def unoptimised() -> Iterator[None]:
  """Runs graphs as they were traced, without TensorFlow's graph optimiser (Grappler).

  For a network that is trained for seconds it takes longer than it saves. Call a function either
  always or never within this context: TensorFlow prepares it again if the setting changes.
  """
  before = tf.config.optimizer.get_experimental_options()
  tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
  try:
    yield
  finally:
    off = before.get('disable_meta_optimizer', False)
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': off})


__all__ = [
  'ONEDNN',
  'captured_output',
  'flatbuffer_utils',
  'keras',
  'mlir_quantize',
  'quiet',
  'tf',
  'unoptimised',
]
