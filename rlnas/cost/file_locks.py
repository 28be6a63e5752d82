"""Locks on files, which the system releases when their process ends, however it ends.

Unlike the id of a process, a lock also tells in containers, and when ids are used again, whether
the process still runs.
"""

from __future__ import annotations

import os


def locked(path: str | os.PathLike[str], *, create: bool = False, wait: bool = False) -> int | None:
  """Locks a file until this process ends or closes the descriptor that is returned.

  Args:
    path: the file.
    create: whether to create it if it does not exist.
    wait: whether to wait for the process that holds the lock.

  Returns:
    The descriptor; None if another process holds the lock.

  Raises:
    OSError: the file cannot be opened, or the system has no such locks.
  """
  try:
    import fcntl
  except ImportError as error:  # Windows
    raise OSError('this system has no flock') from error
  flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
  descriptor = os.open(path, flags, 0o644)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
  except BlockingIOError:
    os.close(descriptor)
    return None
  except OSError:
    os.close(descriptor)
    raise
  return descriptor
