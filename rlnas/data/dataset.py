"""A classification task as arrays in memory, split into training, validation and test.

Training data are shuffled, so the first examples are a random sample (see `take`). Data without a
validation or test split get one here, stratified by class. Both use one fixed seed, so a data set
is the same in every process. The loaders are in `rlnas.data.loaders`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import TaskShape
from rlnas.data import splits
from rlnas.data.checks import as_examples, check_class_names, check_examples, check_labels, kind_of
from rlnas.data.scaling import PIXELS, PerFeature, Scaling

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]  # examples and labels


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A classification task.

  Examples are scaled for the network: with offset 0 and scale 255 if they are uint8, with mean and
  standard deviation of the training data if they are float. Every feature of a sequence and every
  channel of an image has its own mean and deviation, since int8 inputs share one scale: a feature
  of small range would vanish beside one of large range.

  Attributes:
    name: short name.
    x_train: uint8 or float32 images [N, H, W, C] or sequences [N, T, F].
    y_train: int32 labels in [0, classes). [N]
    x_val: as x_train; used to choose among networks.
    y_val: as y_train.
    x_test: as x_train; used once, to test the winner of a search.
    y_test: as y_train.
    class_names: one name for each class.
    scaling: offset and scale of the examples, see above.
    source: origin of the data, and their licence.
  """

  name: str
  x_train: npt.NDArray[Any]
  y_train: npt.NDArray[np.int32]
  x_val: npt.NDArray[Any]
  y_val: npt.NDArray[np.int32]
  x_test: npt.NDArray[Any]
  y_test: npt.NDArray[np.int32]
  class_names: tuple[str, ...]
  scaling: Scaling = PIXELS
  source: str = ''

  @property
  def input_shape(self) -> tuple[int, ...]:
    """Shape of one example: (height, width, channels) or (time, features)."""
    return tuple(self.x_train.shape[1:])

  @property
  def classes(self) -> int:
    """Number of classes."""
    return len(self.class_names)

  @functools.cached_property
  def task(self) -> TaskShape:
    """Input shape and classes. Raises ValueError if the examples have a wrong number of sides."""
    return TaskShape(self.input_shape, self.classes)

  @property
  def digest(self) -> str:
    """Hash of all examples, labels and splits, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for split in (self.x_train, self.y_train, self.x_val, self.y_val, self.x_test, self.y_test):
      digest.update(repr((split.shape, split.dtype.str)).encode())
      digest.update(np.ascontiguousarray(split).data)
    return digest.hexdigest()[:16]

  def without_test(self) -> Dataset:
    """Returns the data that a search may use: the test arrays are empty."""
    return dataclasses.replace(self, x_test=self.x_test[:0], y_test=self.y_test[:0])


def validate(dataset: Dataset) -> None:
  """Checks a whole data set. Every loader calls it at the end.

  Raises:
    ValueError: an array has a wrong type, rank, length or value, a split is empty, splits differ in
      shape or type, the training data have one class only, or the scaling has a wrong shape.
  """
  check_class_names(dataset.class_names)
  for split in ('train', 'val', 'test'):
    x, y = getattr(dataset, f'x_{split}'), getattr(dataset, f'y_{split}')
    check_examples(f'x_{split}', x)
    check_labels(f'y_{split}', y, examples=len(x), classes=dataset.classes)
    if y.dtype != np.int32:
      raise ValueError(f'y_{split}: is {kind_of(y)}; must be int32')
    for what, value, rule in (
      ('shape', x.shape[1:], dataset.input_shape),
      ('type', x.dtype, dataset.x_train.dtype),
    ):
      if value != rule:
        raise ValueError(f'x_{split}: examples have {what} {value}; those of x_train have {rule}')
  if np.min(dataset.y_train) == np.max(dataset.y_train):
    raise ValueError(f'y_train: every label is {dataset.y_train[0]}; must be at least 2 classes')
  for name in ('offset', 'scale'):
    shape = np.shape(getattr(dataset.scaling, name))
    if shape not in ((), dataset.input_shape[-1:], (*dataset.input_shape[-2:-1], 1)):
      raise ValueError(
        f'{name} of shape {shape}: must be a number, or one for each feature of examples of shape '
        f'{dataset.input_shape}'
      )


def take(dataset: Dataset, count: int) -> Dataset:
  """Returns the data set with only its first `count` training examples, for short training.

  The training data are shuffled, so these are a random sample. Raises ValueError if there are
  fewer.
  """
  if not 1 <= count <= len(dataset.x_train):
    raise ValueError(f'count={count}: must be in [1, {len(dataset.x_train)}]')
  return dataclasses.replace(
    dataset, x_train=dataset.x_train[:count], y_train=dataset.y_train[:count]
  )


def assemble(
  name: str,
  train: Pair,
  *,
  val: Pair | None = None,
  test: Pair | None = None,
  val_fraction: float = 0.1,
  test_fraction: float = 0.1,
  class_names: tuple[str, ...] | None = None,
  scale: float = 255.0,
  source: str,
) -> Dataset:
  """Checks the given splits, makes missing ones and shuffles the training data.

  Args:
    name: short name.
    train: examples and labels; missing splits are taken from them.
    val: validation data; if None, a part of `train`.
    test: test data; if None, a part of `train`.
    val_fraction: share of `train` that becomes validation data if `val` is None.
    test_fraction: share of `train` that becomes test data if `test` is None.
    class_names: names of the classes; if None, '0', '1', ...
    scale: divisor of uint8 examples. Float examples are divided by the deviation of each feature.
    source: origin of the data, and their licence.

  Raises:
    ValueError: examples or labels break a rule of `validate`.
  """
  given = {'train': train, 'val': val, 'test': test}
  pairs, class_names = _checked({k: v for k, v in given.items() if v is not None}, class_names)
  x, y = pairs['train'][0], pairs['train'][1].astype(np.int32)
  of_train, of_val, of_test = splits.split(
    y,
    val=0 if val else round(len(y) * val_fraction) or 1,
    test=0 if test else round(len(y) * test_fraction) or 1,
  )
  x_train = x[of_train]
  is_float = x_train.dtype == np.float32
  x_val, y_val = pairs.get('val', (x[of_val], y[of_val]))
  x_test, y_test = pairs.get('test', (x[of_test], y[of_test]))
  dataset = Dataset(
    name=name,
    x_train=x_train,
    y_train=y[of_train],
    x_val=x_val,
    y_val=y_val.astype(np.int32),
    x_test=x_test,
    y_test=y_test.astype(np.int32),
    class_names=class_names,
    scaling=_standardising(x_train) if is_float else Scaling(0.0, scale),
    source=source,
  )
  validate(dataset)
  return dataset


def _checked(
  pairs: dict[str, Pair], class_names: tuple[str, ...] | None
) -> tuple[dict[str, Pair], tuple[str, ...]]:
  """Returns the splits with converted examples, and the names of the classes."""
  classes = None if class_names is None else len(class_names)
  checked = {}
  for split, (x, y) in pairs.items():
    x = as_examples(f'x_{split}', x)
    check_labels(f'y_{split}', y, examples=len(x), classes=classes)
    checked[split] = x, y
  if class_names is None:
    class_names = _numbered_classes([y for _, y in checked.values()])
  return checked, class_names


def _numbered_classes(labels: Sequence[Array]) -> tuple[str, ...]:
  """Names '0', '1', ... up to the greatest label. Raises ValueError if that is implausible."""
  greatest = max(int(y.max()) for y in labels)
  if greatest >= len(labels[0]):  # otherwise one wrong label could make 2**31 classes
    raise ValueError(
      f'label {greatest}: the greatest label must be below the number of training examples, '
      f'{len(labels[0])}; give class_names if it is meant'
    )
  if greatest == 0:
    raise ValueError('y_train: every label is 0; must be at least 2 classes')
  return tuple(str(label) for label in range(greatest + 1))


def _standardising(x: Array) -> Scaling:
  """Scaling by mean and standard deviation of each feature (the last side).

  Both are computed in float64, but without a float64 copy of the data. If there is one feature,
  both are numbers instead of arrays. For a feature that never varies, the deviation is set to 1.
  """
  axes = tuple(range(x.ndim - 1))
  low, high = x.min(axes), x.max(axes)
  if low.min() == high.max():
    raise ValueError(f'x_train: every value is {low.min()}; must vary')
  mean = np.asarray(np.mean(x, axes, dtype=np.float64))
  squares = np.zeros_like(mean)
  for example in x:
    squares += np.square(np.subtract(example, mean, dtype=np.float64)).sum(axes[:-1])
  deviation = np.where(low == high, 1.0, np.sqrt(squares * len(mean) / x.size))
  if len(mean) == 1:
    return Scaling(float(mean[0]), float(deviation[0]))
  return Scaling(mean.astype(np.float32), deviation.astype(np.float32))


def as_images(dataset: Dataset) -> Dataset:
  """Turns sequences [N, T, F] into images [N, T, F, 1] of one channel; keeps images.

  Each feature keeps its offset and scale.
  """
  if dataset.x_train.ndim == 4:
    return dataset

  def add_side(x: PerFeature) -> PerFeature:
    return x[..., np.newaxis] if isinstance(x, np.ndarray) else x

  scaling = Scaling(add_side(dataset.scaling.offset), add_side(dataset.scaling.scale))
  return dataclasses.replace(_reshaped(dataset, lambda x: x[..., np.newaxis]), scaling=scaling)


def as_sequences(dataset: Dataset) -> Dataset:
  """Turns images [N, H, W, C] into sequences [N, H, W * C] of their rows; keeps sequences.

  For float images, each of the W * C features gets its own offset and scale.
  """
  if dataset.x_train.ndim == 3:
    return dataset
  rows = _reshaped(dataset, lambda x: x.reshape(*x.shape[:2], math.prod(x.shape[2:])))
  if rows.x_train.dtype == np.uint8:
    return rows
  return dataclasses.replace(rows, scaling=_standardising(rows.x_train))


def _reshaped(dataset: Dataset, reshape: Callable[[Array], Array]) -> Dataset:
  return dataclasses.replace(
    dataset,
    x_train=reshape(dataset.x_train),
    x_val=reshape(dataset.x_val),
    x_test=reshape(dataset.x_test),
  )
