"""One copy of large arrays for all worker processes of a machine.

`pickle` can leave arrays out of what it writes (PEP 574). They go into one piece of shared memory
that every worker maps, so that a data set is neither copied to a worker nor kept once in each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import shutil
import weakref
from multiprocessing.shared_memory import SharedMemory
from typing import Any

_LINUX = '/dev/shm'  # noqa: S108  where it keeps shared memory
_ALIGNMENT_BYTES = 64  # of each array, for vector instructions


@dataclasses.dataclass(frozen=True)
class Handle:
  """Where another process of this machine finds an object; small, so it can be sent.

  Attributes:
    body: the object without its arrays, pickled.
    name: of the shared memory, or '' where nothing is shared and `body` is whole.
    places: (offset, bytes) of each array.
  """

  body: bytes
  name: str
  places: tuple[tuple[int, int], ...]


class Shared:
  """Keeps an object where other processes can map it, until `close` or the end of this process.

  Args:
    value: anything that can be pickled.

  Attributes:
    handle: for `attach`, in processes that this one started.
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
    memory = SharedMemory(create=True, size=end)
    whole = _bytes_of(memory)
    for (offset, size), view in zip(places, views, strict=True):
      whole[offset : offset + size] = view
    whole.release()
    self.handle = Handle(body, memory.name, tuple(places))
    self._finalizer = weakref.finalize(self, _discard, memory)

  def close(self) -> None:
    """Frees the memory once all processes that map it have ended."""
    if self._finalizer is not None:
      self._finalizer()


def attach(handle: Handle) -> tuple[Any, object]:
  """The object of a handle; its arrays cannot be written to.

  Returns:
    The object, and what must be kept as long as it is used.
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
  """Whether shared memory can take so many bytes: Linux kills who writes beyond its end.

  Containers often have 64 MiB of it. Without room every worker gets a copy.
  """
  return not os.path.isdir(_LINUX) or shutil.disk_usage(_LINUX).free > 2 * size


def _discard(memory: SharedMemory) -> None:
  memory.close()
  with contextlib.suppress(FileNotFoundError):
    memory.unlink()
