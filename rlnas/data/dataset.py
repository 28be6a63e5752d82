"""A task as arrays in memory, split into training, validation and test.

Training data are shuffled, so the first examples are a random sample (see `take`). Data without a
validation or test split get one here, stratified by class. Both use one fixed seed, so a data set
is the same in every process. The loaders are in `rlnas.data.loaders`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import TaskShape
from rlnas.cost.window import Window
from rlnas.data import splits
from rlnas.data.anomalies import arranged, looks_like_anomalies
from rlnas.data.checks import (
  check_class_names,
  check_examples,
  check_groups,
  check_labels,
  check_real,
  kind_of,
)
from rlnas.data.labels import as_anomalies, as_classes, as_values
from rlnas.data.scaling import PIXELS, PerFeature, Scaling
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.standardise import lost_digits, standardising, storage_type
from rlnas.data.tasks import (
  CLASSES,
  Head,
  Task,
  as_targets,
  check_varies,
  standardised,
  task_of,
)

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]  # examples and labels


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """Examples with what a network is to say of them: classes, or values (`head`).

  Examples are scaled for the network: with offset 0 and scale 255 if they are uint8, with mean and
  standard deviation of the training data if they are float (`rlnas.data.standardise`). Every
  feature of a sequence and every channel of an image has its own mean and deviation, since int8
  inputs share one scale: a feature of small range would vanish beside one of large range.

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
    notes: what people should know about how the data were read, as files that were skipped.
    groups_val: the group of each validation example, such as its person; None if there are none.
    groups_test: likewise of each test example.
    features: names of the columns that the features come from; () if they have none.
    sound: how recordings of sound became the examples; None if they are something else. Features
      of sound are uint8; one offset and scale, mean and deviation of all, stand for all of them,
      so that the int8 input of a byte follows from a table.
    window: the window that the examples are seen through (`rlnas.data.windowed`); None if they are
      as they were given.
    given: the data as they were given, before that; None without a window.
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
    """Input shape and outputs. Raises ValueError if the examples have a wrong number of sides."""
    return TaskShape(self.input_shape, self.outputs)

  @property
  def given_task(self) -> TaskShape:
    """The task of the data as they were given, before their window."""
    return self.task if self.given is None else self.given.task

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
    return dataclasses.replace(
      self, x_test=self.x_test[:0], y_test=self.y_test[:0], groups_test=None
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
  notes: tuple[str, ...] = (),
  folders: tuple[str, ...] = (),
  groups: Array | None = None,
  groups_val: Array | None = None,
  groups_test: Array | None = None,
  features: tuple[str, ...] = (),
  sound: SoundSettings | None = None,
  copies: Array | None = None,
  task: Task | str | None = None,
) -> Dataset:
  """Checks the given splits, makes missing ones and shuffles the training data.

  Without names of classes, the distinct training labels are the classes, in order, and their names.
  Labels are integers or text; with names of classes they count from 0 or from 1, or are the names.
  Of a regression the labels are real values, one or several for each example. In anomaly detection
  one label is that of normal examples (`rlnas.data.anomalies`).

  Args:
    name: short name.
    train: examples and labels; missing splits are taken from them.
    val: validation data; if None, a part of `train`.
    test: test data; if None, a part of `train`.
    val_fraction: share of `train` that becomes validation data if `val` is None.
    test_fraction: share of `train` that becomes test data if `test` is None.
    class_names: names of the classes; each must have training examples.
    scale: divisor of uint8 examples. Float examples are divided by the deviation of each feature.
    source: origin of the data, and their licence.
    notes: see `Dataset`.
    folders: where the training examples of each class come from, for error messages.
    groups: the group of each training example, such as its recording or person: integers or text.
      Splits that are made here have whole groups then. By default, each example is on its own.
    groups_val: the group of each example of `val`, if they are known.
    groups_test: likewise of `test`.
    features: see `Dataset`.
    sound: see `Dataset`.
    copies: changed copies of the examples of `train` [copies, N, ...]. Those of the examples that
      stay training examples follow these in the training data.
    task: what the data are for; by default a regression if the training labels are floats, unless
      these are few different whole numbers, and anomaly detection if they are all the same and
      those of another split are not.

  Raises:
    ValueError: examples or labels break a rule of `validate`.
  """
  given = {'train': train, 'val': val, 'test': test}
  pairs = {split: pair for split, pair in given.items() if pair is not None}
  examples, remarks = _stored({split: x for split, (x, _) in pairs.items()})
  notes += remarks
  given_labels = {split: y for split, (_, y) in pairs.items()}
  kind = _guessed(given_labels) if task is None else Task(task)
  sizes = {split: len(x) for split, x in examples.items()}
  if kind is Task.ANOMALY:
    settled = arranged(
      given_labels,
      class_names=class_names,
      groups=groups,
      val_fraction=val_fraction,
      test_fraction=test_fraction,
    )
    of_split = {'train': groups, 'val': groups_val, 'test': groups_test}
    groups, groups_val, groups_test = (settled.of(s, of_split) for s in ('train', 'val', 'test'))
    if copies is not None:
      copies = copies[:, settled.places['train'][1]]
    examples = {split: settled.of(split, examples) for split in settled.places}
    found = as_anomalies(settled.labels, settled.notes)
  elif kind is Task.REGRESSION:
    found = as_values(given_labels, sizes, class_names)
  else:
    found = as_classes(given_labels, sizes, class_names, folders)
  labels, y, named = found.labels, found.strata, found.titles
  notes += found.notes
  has_val, has_test = 'val' in labels, 'test' in labels
  if groups is None or (has_val and has_test):
    of_train, of_val, of_test = splits.split(
      y,
      val=0 if has_val else round(len(y) * val_fraction) or 1,
      test=0 if has_test else round(len(y) * test_fraction) or 1,
      titles=named,
    )
  else:
    check_groups('groups', groups, examples=len(y))
    named = ('the data',) if kind is Task.REGRESSION else named
    of_train, of_val, of_test = splits.split_groups(
      np.zeros_like(y) if kind is Task.REGRESSION else y,
      groups,
      val=0 if has_val else val_fraction,
      test=0 if has_test else test_fraction,
      titles=named,
    )
    parts = ((of_train, 'training'), (of_val, 'validation'), (of_test, 'test'))
    counts = (f'{len(np.unique(groups[part]))} {what}' for part, what in parts if len(part))
    notes += (f'split by group: {", ".join(counts)} groups',)

  def part(split: str, indices: splits.Indices) -> Pair:
    if split in labels and split != 'train':
      return examples[split], labels[split]
    return examples['train'][indices], labels['train'][indices]

  def grouped(split: str, given: Array | None, indices: splits.Indices) -> Array | None:
    if split in labels:
      if given is not None:
        check_groups(f'groups_{split}', given, examples=len(labels[split]))
      return given
    return None if groups is None else groups[indices]

  (x_train, y_train), (x_val, y_val) = part('train', of_train), part('val', of_val)
  if copies is not None:
    x_train = np.concatenate([x_train, *(copy[of_train] for copy in copies)])
    y_train = np.concatenate([y_train] * (1 + len(copies)))
  x_test, y_test = part('test', of_test)
  dataset = Dataset(
    name=name,
    x_train=x_train,
    y_train=y_train,
    x_val=x_val,
    y_val=y_val,
    x_test=x_test,
    y_test=y_test,
    class_names=found.class_names,
    scaling=_scaling(x_train, scale=scale, is_sound=sound is not None),
    source=source,
    notes=notes,
    groups_val=grouped('val', groups_val, of_val),
    groups_test=grouped('test', groups_test, of_test),
    features=features,
    sound=sound,
    head=Head(kind, standardised(y_train) if kind is Task.REGRESSION else None),
  )
  validate(dataset)
  return dataset


def _guessed(labels: dict[str, Array]) -> Task:
  """The task that the labels of all splits suggest."""
  task = task_of(labels['train'])
  is_odd = task is Task.CLASSIFICATION and looks_like_anomalies(labels)
  return Task.ANOMALY if is_odd else task


def _scaling(x_train: Array, *, scale: float, is_sound: bool) -> Scaling:
  """The scaling of training examples; see `Dataset`."""
  if is_sound:
    mean, deviation = float(np.mean(x_train)), float(np.std(x_train))
    if not deviation:
      raise ValueError('x_train: all recordings are silent; must have sound')
    return Scaling(mean, deviation)
  return Scaling(0.0, scale) if x_train.dtype == np.uint8 else standardising(x_train)


def _stored(examples: dict[str, Array]) -> tuple[dict[str, Array], tuple[str, ...]]:
  """Converts the examples of all splits to the type in which they are kept; remarks on losses."""
  for split, x in examples.items():
    check_real(f'x_{split}', x)
  train = examples['train']
  dtype = storage_type('x_train', train)
  stored = {
    s: x if x.dtype == np.uint8 else x.astype(dtype, copy=False) for s, x in examples.items()
  }
  few = lost_digits(train, np.float32) if train.dtype == np.float32 else []
  remarks = tuple(
    f'feature {feature}: float32 tells few of its values apart; save the array as float64, or '
    'subtract the mean first'
    for feature in few
  )
  return stored, remarks


def as_images(dataset: Dataset) -> Dataset:
  """Turns sequences [N, T, F] into images [N, T, F, 1] of one channel; keeps images.

  Each feature keeps its offset and scale.
  """
  if dataset.x_train.ndim == 4:
    return dataset

  def add_side(x: PerFeature) -> PerFeature:
    return x[..., np.newaxis] if isinstance(x, np.ndarray) else x

  scaling = dataclasses.replace(
    dataset.scaling,
    offset=add_side(dataset.scaling.offset),
    scale=add_side(dataset.scaling.scale),
  )
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
  return dataclasses.replace(rows, scaling=standardising(rows.x_train))


def as_row(dataset: Dataset) -> Dataset:
  """Turns sequences [N, T, F] into images of one row [N, 1, T, F]; keeps images of one row.

  The features are the channels, so each keeps its offset and scale, and the bytes of an example are
  the same. Other images count as sequences of their rows; see `as_sequences`.
  """
  if dataset.x_train.ndim == 4 and dataset.x_train.shape[1] == 1:
    return dataset
  return _reshaped(as_sequences(dataset), lambda x: x[:, np.newaxis])


def as_pixel(dataset: Dataset) -> Dataset:
  """Turns every example into an image of one pixel [N, 1, 1, values]; its bytes are the same.

  Each value keeps its offset and scale.
  """
  shape, scaling = dataset.input_shape, dataset.scaling

  def flat(x: PerFeature) -> PerFeature:
    return np.broadcast_to(x, shape).ravel() if isinstance(x, np.ndarray) else x

  scaling = dataclasses.replace(scaling, offset=flat(scaling.offset), scale=flat(scaling.scale))
  pixels = _reshaped(dataset, lambda x: x.reshape(len(x), 1, 1, -1))
  return dataclasses.replace(pixels, scaling=scaling)


def _reshaped(dataset: Dataset, reshape: Callable[[Array], Array]) -> Dataset:
  return dataclasses.replace(
    dataset,
    x_train=reshape(dataset.x_train),
    x_val=reshape(dataset.x_val),
    x_test=reshape(dataset.x_test),
  )
