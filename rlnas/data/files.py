"""Reads the file formats of data sets into arrays. Files are treated as untrusted.

Nothing is unpickled and no archive is unpacked to disk. A file with wrong content raises one
`ValueError` that names it; a missing file raises `FileNotFoundError`.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_IDX_UINT8 = 8  # code of the element type in the third byte of an IDX file
_CIFAR_RECORD_BYTES = 1 + 3 * 32 * 32  # label, then the red, green and blue planes
UNREADABLE = (
  OSError,
  EOFError,
  ValueError,
  MemoryError,
  NotImplementedError,
  RuntimeError,
  SyntaxError,
  tarfile.TarError,
  zipfile.BadZipFile,
  zlib.error,
)


def existing(path: str | pathlib.Path) -> pathlib.Path:
  """Returns the path with '~' expanded. Raises FileNotFoundError if it does not exist."""
  found = pathlib.Path(os.path.expanduser(path))
  if not found.exists():
    raise FileNotFoundError(f'{found}: no such file or folder')
  return found


def npz_keys(path: pathlib.Path) -> tuple[str, ...]:
  """The keys of an .npz file, in their order. Raises as `read_npz`."""
  with _opened_npz(path) as archive:
    return tuple(archive.files)


def read_npz(path: pathlib.Path, keys: Sequence[str]) -> list[Array]:
  """Reads arrays of an .npz file by their keys.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is not a readable .npz file, a key is missing, or an array holds Python objects.
  """
  found = npz_keys(path)
  for key in keys:
    if key not in found:
      raise ValueError(f'{path}: has no key {key!r}, only {", ".join(sorted(found)) or "no keys"}')
  with _opened_npz(path) as archive:
    arrays = [archive[key] for key in keys]
  for key, array in zip(keys, arrays, strict=True):
    if not isinstance(array, np.ndarray):  # a member that is not an .npy file is read as bytes
      raise ValueError(f'{path}: key {key!r} is not a NumPy array')
  return arrays


@contextlib.contextmanager
def _opened_npz(path: pathlib.Path) -> Iterator[Any]:
  existing(path)
  rule = 'is not a readable .npz file of plain arrays; text must have a type of text (dtype=str)'
  try:
    with zipfile.ZipFile(path):  # first: NumPy takes a file without a magic number for a pickle
      pass
    with np.load(path, allow_pickle=False) as archive:
      yield archive
  except UNREADABLE as error:
    refuse(path, rule, error)


def download(url: str, *, folder: str = '', sha256: str | None = None) -> pathlib.Path:
  """Downloads a file into the cache of Keras, ~/.keras/datasets/`folder`, if it is not there.

  Raises:
    FileNotFoundError: the download failed, or the file has another hash.
  """
  from rlnas.backend import keras  # here, so reading data needs no TensorFlow

  file = url.rsplit('/', 1)[1]
  try:
    subfolder = f'datasets/{folder}'
    return pathlib.Path(keras.utils.get_file(file, url, cache_subdir=subfolder, file_hash=sha256))
  except Exception as error:  # Keras raises no more specific class
    raise FileNotFoundError(
      f'{url}: could not be downloaded ({error}); download the data yourself and give its '
      'folder as data_dir (--data_dir)'
    ) from error


def read_idx(folder: pathlib.Path, name: str, *, rank: int) -> Array:
  """Reads an IDX file of uint8, `name` or `name`.gz, in the format of LeCun's MNIST page.

  The file holds two zero bytes, a byte for the element type, one for the rank, the length of each
  axis as a big-endian 32-bit integer, and the elements.

  Args:
    folder: folder of the file.
    name: name of the file, such as 'train-images-idx3-ubyte'.
    rank: number of axes that the array must have.

  Raises:
    FileNotFoundError: neither file is there.
    ValueError: the magic number or the length is wrong.
  """
  path = folder / name
  if not path.exists():
    path = folder / f'{name}.gz'
  if not path.exists():
    raise FileNotFoundError(f'{folder / name}: no such file, nor with .gz')
  content = read_bytes(path)
  magic = bytes((0, 0, _IDX_UINT8, rank))
  if content[:4] != magic:
    raise ValueError(f'{path}: begins with {content[:4].hex()}; must begin with {magic.hex()}')
  start = 4 + 4 * rank
  sides = tuple(np.frombuffer(content[4:start].ljust(4 * rank, b'\0'), '>u4').tolist())
  expected = start + math.prod(sides)
  if len(content) != expected:
    raise ValueError(f'{path}: has {len(content)} bytes; sides {sides} make it {expected}')
  return np.frombuffer(content, np.uint8, offset=start).reshape(sides)


def read_cifar(content: bytes, name: str) -> tuple[Array, Array]:
  """Reads a CIFAR-10 file, binary version (https://www.cs.toronto.edu/~kriz/cifar.html).

  Args:
    content: bytes of the file, records of 3,073 bytes.
    name: name of the file, for error messages.

  Returns:
    uint8 images [N, 32, 32, 3] and labels [N].

  Raises:
    ValueError: the content is empty or not a whole number of records.
  """
  if not content or len(content) % _CIFAR_RECORD_BYTES:
    raise ValueError(
      f'{name}: has {len(content)} bytes; must be a positive multiple of {_CIFAR_RECORD_BYTES}'
    )
  records = np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_RECORD_BYTES)
  planes = records[:, 1:].reshape(-1, 3, 32, 32)
  return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0]


def read_bytes(path: pathlib.Path) -> bytes:
  """Reads a file, decompressed if it ends in .gz. Raises FileNotFoundError or ValueError."""
  existing(path)
  try:
    with gzip.open(path) if path.suffix == '.gz' else path.open('rb') as file:
      return file.read()
  except UNREADABLE as error:
    refuse(path, 'cannot be read', error)


def read_tar(path: pathlib.Path, names: Sequence[str]) -> list[bytes]:
  """Reads the members `names` of a gzipped tar file; writes nothing to disk.

  Raises:
    ValueError: the archive is damaged, or a member is missing or not an ordinary file.
  """
  existing(path)
  contents: dict[str, bytes] = {}
  try:
    with tarfile.open(path, 'r|gz') as archive:  # one pass, since gzip cannot seek backwards
      for member in archive:
        if member.name in names and member.isreg():
          file = archive.extractfile(member)
          contents[member.name] = file.read() if file else b''
  except UNREADABLE as error:
    refuse(path, 'is not a readable .tar.gz file', error)
  missing = [name for name in names if name not in contents]
  if missing:
    raise ValueError(f'{path}: has no file {missing[0]}')
  return [contents[name] for name in names]


def refuse(path: pathlib.Path, rule: str, error: BaseException) -> NoReturn:
  """Raises the ValueError of a file that breaks a rule."""
  raise ValueError(f'{path}: {rule} ({type(error).__name__}: {error})') from error
