"""One copy of large arrays for all worker processes of a machine.

`pickle` can leave arrays out of its output (PEP 574). They go into one block of shared memory that
every worker maps, so that a data set is in memory once, and not once in each worker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import shutil
import uuid
import weakref
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from rlnas.evaluation import memory_locks

_LINUX = '/dev/shm'  # noqa: S108  where Linux keeps shared memory
_ALIGNMENT_BYTES = 64  # of each array, for vector instructions


@dataclasses.dataclass(frozen=True)
class Handle:
  """Tells another process of this machine where an object is; small enough to be sent.

  Attributes:
    body: the object without its arrays, pickled.
    name: name of the shared memory, or '' if nothing is shared and `body` holds everything.
    places: (offset, bytes) of each array.
  """

  body: bytes
  name: str
  places: tuple[tuple[int, int], ...]


class Shared:
  """Keeps an object in shared memory until `close` or the end of this process.

  Args:
    value: anything that can be pickled.

  Attributes:
    handle: argument of `attach` in processes that this one started.
  """

  def __init__(self, value: object) -> None:
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    places, end = [], 0
    for view in views:
      places.append((end, view.nbytes))
      end += -(-view.nbytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
    self._finalizer = None
    if not end or not _has_room(end):
      self.handle = Handle(pickle.dumps(value, protocol=5), '', ())
      return
    memory_locks.remove_ownerless()
    memory = SharedMemory(f'{memory_locks.PREFIX}{uuid.uuid4().hex}', create=True, size=end)
    owned = memory_locks.lock(memory.name)
    whole = _bytes_of(memory)
    for (offset, size), view in zip(places, views, strict=True):
      whole[offset : offset + size] = view
    whole.release()
    self.handle = Handle(body, memory.name, tuple(places))
    self._finalizer = weakref.finalize(self, _discard, memory, owned)

  def close(self) -> None:
    """Frees the memory as soon as all processes that map it have ended."""
    if self._finalizer is not None:
      self._finalizer()


def attach(handle: Handle) -> tuple[Any, object]:
  """Returns the object of a handle; its arrays are read-only.

  Returns:
    The object, and the memory, which must be kept as long as the object is used.
  """
  if not handle.name:
    return pickle.loads(handle.body), None  # noqa: S301  from the parent process
  memory = SharedMemory(handle.name)
  whole = _bytes_of(memory).toreadonly()
  views = [whole[offset : offset + size] for offset, size in handle.places]
  return pickle.loads(handle.body, buffers=views), memory  # noqa: S301  from the parent process


def _bytes_of(memory: SharedMemory) -> memoryview:
  if memory.buf is None:
    raise ValueError(f'{memory.name}: was closed')
  return memoryview(memory.buf)


def _has_room(size: int) -> bool:
  """Whether shared memory has room for `size` bytes: Linux kills a process that exceeds it.

  Containers often have only 64 MiB of it. If there is no room, every worker gets a copy.
  """
  return not os.path.isdir(_LINUX) or shutil.disk_usage(_LINUX).free > 2 * size


def _discard(memory: SharedMemory, owned: int | None) -> None:
  memory.close()
  with contextlib.suppress(FileNotFoundError):
    memory.unlink()
  if owned is not None:
    os.close(owned)
