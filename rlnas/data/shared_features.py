"""Arrays that the processes of a search share: made by the first that needs them, mapped by all.

They are .npy files in a folder of the search, so the system keeps one copy in memory for all
processes. The process that makes one holds a lock on a file beside it, and the others wait. The
folder has a lock as well, which its owner holds as long as the search runs. A folder without an
owner was left by a search that was killed, and the next search removes it.

A process that cannot reach the folder makes its own arrays: on another machine, on a system without
such locks, or if the disk is full. They have the same bits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import pathlib
import shutil
import uuid
from collections.abc import Callable, Iterator

import numpy as np

from rlnas.cost.file_locks import locked
from rlnas.data.atomic_file import write_file
from rlnas.data.checks import Array
from rlnas.data.dataset import Dataset

FOLDER = 'heard'
_LOCK = '.lock'


@contextlib.contextmanager
def shared_features(dataset: Dataset, workdir: str | os.PathLike[str]) -> Iterator[Dataset]:
  """A context in which processes share the features of networks with front ends of their own.

  Args:
    dataset: the data of a search. Without samples of sound there is nothing to share.
    workdir: folder of the search, in which the features lie until the context ends.

  Yields:
    The data, which know the folder.
  """
  if dataset.samples is None:
    yield dataset
    return
  parent = pathlib.Path(os.path.abspath(workdir)) / FOLDER
  folder = parent / uuid.uuid4().hex
  try:
    _remove_ownerless(parent)
    folder.mkdir(parents=True)
    owner = locked(folder.with_suffix(_LOCK), create=True)
  except OSError:
    yield dataset
    return
  try:
    yield dataclasses.replace(dataset, heard_in=folder)
  finally:
    _remove(folder)
    if owner is not None:
      os.close(owner)
    with contextlib.suppress(OSError):  # another command uses it
      parent.rmdir()


def _remove_ownerless(parent: pathlib.Path) -> None:
  """Removes the folders of searches that were killed. Raises OSError."""
  for lock in parent.glob(f'*{_LOCK}'):
    with contextlib.suppress(FileNotFoundError):
      descriptor = locked(lock)
      if descriptor is not None:
        _remove(lock.with_suffix(''))
        os.close(descriptor)


def _remove(folder: pathlib.Path) -> None:
  shutil.rmtree(folder, ignore_errors=True)
  with contextlib.suppress(OSError):
    folder.with_suffix(_LOCK).unlink()


def made_once(folder: pathlib.Path | None, name: str, make: Callable[[], Array]) -> Array:
  """Returns an array that processes share; the first that asks makes it.

  Args:
    folder: the folder; None to make the array here.
    name: name of the array in it. Equal names stand for equal arrays.
    make: makes the array.

  Returns:
    What `make` gives, read-only if it is shared.
  """
  try:
    lock = None if folder is None else locked(folder / f'{name}{_LOCK}', create=True, wait=True)
  except OSError:  # the folder is on another machine, or was removed
    lock = None
  if folder is None or lock is None:
    return make()
  try:
    path = folder / f'{name}.npy'
    if path.exists():
      return np.asarray(np.load(path, mmap_mode='r', allow_pickle=False))
    made = make()
    with contextlib.suppress(OSError):  # others make it, too, then
      _write(path, made)
    return made
  finally:
    os.close(lock)


def _write(path: pathlib.Path, array: Array) -> None:
  """Writes an array if that leaves as much room on the disk as it takes. Raises OSError."""
  if shutil.disk_usage(path.parent).free > 2 * array.nbytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_file(path, buffer.getvalue())
