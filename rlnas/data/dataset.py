"""A task as arrays in memory, split into training, validation and test.

`rlnas.data.assembling` makes data sets from arrays, and the loaders are in `rlnas.data.loaders`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import pathlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.architecture import TaskShape
from rlnas.cost.preprocessing import Preprocessing
from rlnas.cost.window import Window
from rlnas.data.checks import (
  check_class_names,
  check_examples,
  check_labels,
  kind_of,
)
from rlnas.data.scaling import PIXELS, Scaling
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.tasks import (
  CLASSES,
  Head,
  Task,
  as_targets,
  check_varies,
)

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]  # examples and labels


class ClipSamples(NamedTuple):
  """The samples of the clips that examples of sound were made of, by split. int16 [N, S] each."""

  train: npt.NDArray[np.int16]
  val: npt.NDArray[np.int16]
  test: npt.NDArray[np.int16]


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """Examples with the classes or values that a network learns to predict (`head`).

  Examples are scaled for the network: with offset 0 and scale 255 if they are uint8, with mean and
  standard deviation of the training data if they are float (`rlnas.data.standardise`). Every
  feature of a sequence and every channel of an image has its own mean and standard deviation, since
  int8 inputs share one scale: a feature of small range would vanish beside one of large range.

  Attributes:
    name: short name.
    x_train: uint8, float32 or float64 images [N, H, W, C] or sequences [N, T, F]. Loaders use
      float64 only if float32 would lose digits, as of time stamps.
    y_train: int32 labels in [0, classes) [N]; of a regression float64 values in their unit [N, K].
    x_val: as x_train; used to choose among networks.
    y_val: as y_train.
    x_test: as x_train; used once, to test the winner of a search.
    y_test: as y_train.
    class_names: one name for each class; of a regression, for each value.
    scaling: offset and scale of the examples, see above.
    source: origin of the data, and their licence.
    notes: remarks for the user on how the data were read, such as files that were skipped.
    groups_val: the group of each validation example, such as its person; None if there are none.
    groups_test: likewise of each test example.
    features: names of the columns that the features come from; () if they have none.
    sound: how recordings of sound became the examples; None if they are something else. Features
      of sound are uint8; all of them share one offset and scale, the mean and standard deviation of
      all values, so that a table gives the int8 input of a byte.
    samples: the samples of the clips of sound, noisy copies included, if they were kept, so that
      networks can have front ends of their own.
    heard_in: folder in which processes share the features of these front ends; None if each makes
      its own (`rlnas.data.heard`).
    window: the window that the examples are seen through (`rlnas.data.windowed`); None if they are
      as they were given, or sound.
    given: the data as they were given, before the preprocessing of a network; None if these are
      they.
    head: the task, and how the outputs of a network are read.
  """

  name: str
  x_train: npt.NDArray[Any]
  y_train: npt.NDArray[Any]
  x_val: npt.NDArray[Any]
  y_val: npt.NDArray[Any]
  x_test: npt.NDArray[Any]
  y_test: npt.NDArray[Any]
  class_names: tuple[str, ...]
  scaling: Scaling = PIXELS
  source: str = ''
  notes: tuple[str, ...] = ()
  groups_val: Array | None = None
  groups_test: Array | None = None
  features: tuple[str, ...] = ()
  sound: SoundSettings | None = None
  samples: ClipSamples | None = None
  heard_in: pathlib.Path | None = None
  window: Window | None = None
  given: Dataset | None = None
  head: Head = CLASSES

  @property
  def input_shape(self) -> tuple[int, ...]:
    """Shape of one example: (height, width, channels) or (time, features)."""
    return tuple(self.x_train.shape[1:])

  @property
  def classes(self) -> int:
    """Number of classes, or of values."""
    return len(self.class_names)

  @property
  def outputs(self) -> int:
    """Number of outputs of a network: one for each class or value, or for each input."""
    is_reconstruction = self.head.task is Task.ANOMALY
    return math.prod(self.input_shape) if is_reconstruction else self.classes

  @functools.cached_property
  def task(self) -> TaskShape:
    """Input shape and outputs. Raises ValueError if the examples have a wrong number of axes."""
    return TaskShape(self.input_shape, self.outputs)

  @property
  def given_task(self) -> TaskShape:
    """The task of the data as they were given, before any preprocessing."""
    return self.task if self.given is None else self.given.task

  @property
  def preprocessing(self) -> Preprocessing | None:
    """What a network decided to read of the data; None if they are as they were given."""
    if self.given is None or self.sound is None:
      return self.window
    return self.sound.hearing

  @property
  def digest(self) -> str:
    """Hash of all examples, labels and splits, as 16 hexadecimal digits.

    The samples of clips enter if they are kept.
    """
    digest = hashlib.sha256()
    kept = (self.x_train, self.y_train, self.x_val, self.y_val, self.x_test, self.y_test)
    for split in (*kept, *(self.samples or ())):
      digest.update(repr((split.shape, split.dtype.str)).encode())
      digest.update(np.ascontiguousarray(split).data)
    return digest.hexdigest()[:16]

  def without_test(self) -> Dataset:
    """Returns the data that a search may use: the test arrays are empty."""
    samples = self.samples
    if samples is not None:
      samples = samples._replace(test=samples.test[:0])
    return dataclasses.replace(
      self, x_test=self.x_test[:0], y_test=self.y_test[:0], groups_test=None, samples=samples
    )


def validate(dataset: Dataset) -> None:
  """Checks a whole data set. Every loader calls it at the end.

  Raises:
    ValueError: an array has a wrong type, rank, length or value, a split is empty, splits differ in
      shape or type, the training data have one class only, a target is constant, or the scaling
      has a wrong shape.
  """
  is_regression = dataset.head.task is Task.REGRESSION
  if not is_regression:
    check_class_names(dataset.class_names)
  for split in ('train', 'val', 'test'):
    x, y = getattr(dataset, f'x_{split}'), getattr(dataset, f'y_{split}')
    check_examples(f'x_{split}', x)
    if is_regression:
      _check_values(f'y_{split}', y, dataset)
    else:
      check_labels(f'y_{split}', y, examples=len(x), classes=dataset.classes)
      if y.dtype != np.int32:
        raise ValueError(f'y_{split}: is {kind_of(y)}; must be int32')
    for what, value, rule in (
      ('shape', x.shape[1:], dataset.input_shape),
      ('type', x.dtype, dataset.x_train.dtype),
    ):
      if value != rule:
        raise ValueError(f'x_{split}: examples have {what} {value}; those of x_train have {rule}')
  if dataset.head.task is Task.ANOMALY:
    _check_anomalies(dataset)
  elif not is_regression and np.min(dataset.y_train) == np.max(dataset.y_train):
    raise ValueError(f'y_train: every label is {dataset.y_train[0]}; must be at least 2 classes')
  for name in ('offset', 'scale'):
    shape = np.shape(getattr(dataset.scaling, name))
    if shape not in ((), dataset.input_shape[-1:], (*dataset.input_shape[-2:-1], 1)):
      raise ValueError(
        f'{name} of shape {shape}: must be a number, or one for each feature of examples of shape '
        f'{dataset.input_shape}'
      )


def _check_anomalies(dataset: Dataset) -> None:
  """Raises ValueError if training data are not all normal, or others of one kind."""
  if dataset.y_train.any():
    raise ValueError(f'y_train: {np.count_nonzero(dataset.y_train)} are anomalous; none may be')
  for split in ('val', 'test'):
    y = getattr(dataset, f'y_{split}')
    if np.min(y) == np.max(y):
      raise ValueError(
        f'y_{split}: every example is {dataset.class_names[y[0]]}; must have normal and anomalous '
        'ones, since AUC is not defined otherwise'
      )


def _check_values(key: str, y: Array, dataset: Dataset) -> None:
  """Checks the values of one split of a regression. Raises ValueError."""
  rows = as_targets(key, y, examples=len(getattr(dataset, key.replace('y_', 'x_'))))
  if y.shape != rows.shape or y.dtype != np.float64 or y.shape[1] != dataset.classes:
    raise ValueError(
      f'{key}: is {kind_of(y)} of shape {y.shape}; must be float64 [N, {dataset.classes}]'
    )
  check_varies(key, rows, dataset.class_names)


def take(dataset: Dataset, count: int) -> Dataset:
  """Returns the data set with only its first `count` training examples, for short training.

  The training data are shuffled, so these are a random sample. Raises ValueError if there are
  fewer.
  """
  if not 1 <= count <= len(dataset.x_train):
    raise ValueError(f'count={count}: must be in [1, {len(dataset.x_train)}]')
  samples = dataset.samples
  if samples is not None:
    samples = samples._replace(train=samples.train[:count])
  return dataclasses.replace(
    dataset,
    x_train=dataset.x_train[:count],
    y_train=dataset.y_train[:count],
    samples=samples,
    heard_in=None,  # what lies there is of all examples
  )
