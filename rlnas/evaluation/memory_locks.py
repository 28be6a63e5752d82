"""Finds shared memory whose owner was killed before it could free it.

On Linux each block is a file in /dev/shm, which stays until the next start of the machine if a
process and those that watch it are killed together. Its owner holds a lock on the file. The system
releases the lock when the owner ends, so a block without a lock has no owner. Unlike a process id
in its name, this also holds in containers and if ids are reused.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sys
import time

from rlnas.cost.file_locks import locked

PREFIX = 'rlnas-'
FOLDER = '/dev/shm'  # noqa: S108  where Linux keeps shared memory
_YOUNG_SECONDS = 60.0  # a block may be that young and not be locked yet


def lock(name: str) -> int | None:
  """Marks a block as owned, until this process ends or closes the descriptor that is returned.

  Args:
    name: name of the block.

  Returns:
    The descriptor; None if another process owns it, and on systems where blocks are not files.
  """
  if sys.platform != 'linux':
    return None
  try:
    return locked(os.path.join(FOLDER, name))
  except OSError:
    return None


def remove_ownerless() -> int:
  """Removes the blocks of processes that have ended. Returns their number."""
  removed = 0
  for path in glob.glob(os.path.join(FOLDER, f'{PREFIX}*')):
    with contextlib.suppress(OSError):  # of another user, or removed meanwhile
      if time.time() - os.stat(path).st_mtime < _YOUNG_SECONDS:
        continue
      descriptor = lock(os.path.basename(path))
      if descriptor is not None:
        try:
          os.unlink(path)
        finally:
          os.close(descriptor)
        removed += 1
  return removed
