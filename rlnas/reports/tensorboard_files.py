"""Errors of TensorBoard's event files, which TensorFlow writes."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

from rlnas.backend import tf
from rlnas.data.atomic_file import WriteError


@contextlib.contextmanager
def named_errors(folder: pathlib.Path) -> Iterator[None]:
  """A context for writing the event file of a folder.

  Raises:
    WriteError: the file cannot be written, in place of an error of TensorFlow.
  """
  try:
    yield
  except tf.errors.OpError as error:
    written = sorted(folder.glob('events.out.tfevents.*'))
    cause = error.message.strip().rpartition(';')[2].splitlines()[0].strip()
    raise WriteError(f'{[folder, *written][-1]}: cannot be written ({cause})') from error
