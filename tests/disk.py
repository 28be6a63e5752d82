"""A disk that is full, as far as one process can have it."""

import contextlib
import resource
import sys
from collections.abc import Iterator
from unittest import mock


@contextlib.contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
  """A context in which no file of this process and of those that it starts grows beyond that.

  Nor do they write bytecode: Python may leave a cut file of it, which no later process can load.
  """
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  with (
    mock.patch.object(sys, 'dont_write_bytecode', True),
    mock.patch.dict('os.environ', PYTHONDONTWRITEBYTECODE='1'),
  ):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
      yield
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
