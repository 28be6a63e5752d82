"""Objects whose arrays are shared: the same on the other side, read-only, and gone afterwards."""

import dataclasses
import multiprocessing.shared_memory

import numpy as np
import pytest

from rlnas.evaluation import shared_memory
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
