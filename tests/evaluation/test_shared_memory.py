"""Objects whose arrays are shared: the same on the other side, read-only, and gone afterwards."""

import dataclasses
import multiprocessing.shared_memory
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rlnas.evaluation import memory_locks, shared_memory
from rlnas.evaluation.shared_memory import Shared, attach


@dataclasses.dataclass(frozen=True)
class Holder:
  name: str
  images: np.ndarray
  labels: np.ndarray


HOLDER = Holder('some', np.arange(3000, dtype=np.float32).reshape(10, 300), np.arange(7))


def test_arrays_arrive_and_are_not_copied():
  shared = Shared(HOLDER)
  assert len(shared.handle.body) < 1000
  found, memory = attach(shared.handle)
  assert found.name == 'some'
  np.testing.assert_array_equal(found.images, HOLDER.images)
  np.testing.assert_array_equal(found.labels, HOLDER.labels)
  assert found.images.base is not None
  with pytest.raises(ValueError, match='read-only'):
    found.images[0, 0] = 1
  again, _memory = attach(shared.handle)
  assert np.shares_memory(found.images, again.images) or again.images.ctypes.data % 64 == 0
  del found, again
  shared.close()
  with pytest.raises(FileNotFoundError):
    multiprocessing.shared_memory.SharedMemory(shared.handle.name)
  del memory


def test_what_has_no_arrays_needs_no_memory():
  shared = Shared({'a': 1})
  assert shared.handle.name == ''
  assert attach(shared.handle)[0] == {'a': 1}
  shared.close()


def test_without_room_everything_is_sent(monkeypatch):
  monkeypatch.setattr(shared_memory, '_has_room', lambda size: False)
  shared = Shared(HOLDER)
  assert shared.handle.name == ''
  np.testing.assert_array_equal(attach(shared.handle)[0].images, HOLDER.images)
  shared.close()


OWNER = """
import multiprocessing.resource_tracker as tracker, os, signal, sys, time
import numpy as np
from rlnas.evaluation.shared_memory import Shared
shared = Shared(np.arange(100_000))
print(shared.handle.name, tracker._resource_tracker._pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='blocks are no files')
def test_blocks_of_killed_searches_are_removed_by_the_next_and_others_are_not():
  searches = [
    subprocess.Popen([sys.executable, '-c', OWNER], stdout=subprocess.PIPE, text=True)
    for _ in range(2)
  ]
  (killed, tracker), (running, _) = (s.stdout.readline().split() for s in searches)
  folder = pathlib.Path(memory_locks.FOLDER)
  try:
    os.kill(int(tracker), signal.SIGKILL)  # else it removes what its process leaves
    searches[0].kill()
    searches[0].wait()
    for name in (killed, running):
      past = time.time() - 3600
      os.utime(folder / name, (past, past))
    (folder / f'{memory_locks.PREFIX}young').touch()  # its owner has not locked it yet
    Shared(HOLDER).close()
    assert not (folder / killed).exists()
    assert (folder / running).exists()
    assert (folder / f'{memory_locks.PREFIX}young').exists()
  finally:
    (folder / f'{memory_locks.PREFIX}young').unlink(missing_ok=True)
    (folder / killed).unlink(missing_ok=True)
    searches[1].terminate()
    searches[1].wait()
