"""Makes data sets from arrays: reads labels, makes missing splits, shuffles, decides the scaling.

Data without a validation or test split get one here, stratified by class. Splits and the order of
the training data come from one fixed seed, so a data set is the same in every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rlnas.data import splits
from rlnas.data.anomalies import arranged, looks_like_anomalies
from rlnas.data.checks import Array, check_groups, check_real
from rlnas.data.dataset import ClipSamples, Dataset, Pair, validate
from rlnas.data.labels import Labels, as_anomalies, as_classes, as_values
from rlnas.data.scaling import Scaling
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.standardise import lost_digits, standardising, storage_type
from rlnas.data.tasks import Head, Task, standardised, task_of


class _Parts(NamedTuple):
  """The given data of each split, after the task has decided which examples lie in which.

  Attributes:
    examples: examples of each split that there is, 'train' among them. [N, ...]
    labels: their labels.
    groups: their groups; None if they are not known. [N]
    copies: changed copies of the training examples. [copies, N, ...]
    samples: the samples of sound that examples were made of, by split; {} if they are not kept.
    copied_samples: those of the copies. [copies, N, S]
  """

  examples: Mapping[str, Array]
  labels: Labels
  groups: Mapping[str, Array | None]
  copies: Array | None
  samples: Mapping[str, Array]
  copied_samples: Array | None


class _Cut(NamedTuple):
  """Places among the given training examples of those of each split, and what to say of it."""

  train: splits.Indices
  val: splits.Indices
  test: splits.Indices
  notes: tuple[str, ...] = ()


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
  samples: Mapping[str, Array] | None = None,
  copied_samples: Array | None = None,
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
    scale: divisor of uint8 examples. Float examples are divided by the standard deviation of each
      feature.
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
    samples: of sound, the samples of the examples of each split that is given. int16 [N, S] each
    copied_samples: those of the copies. int16 [copies, N, S]
    task: the task of the data; by default a regression if the training labels are floats, unless
      these are few different whole numbers, and anomaly detection if they are all the same and
      those of another split are not.

  Raises:
    ValueError: examples or labels break a rule of `validate`.
  """
  given = {'train': train, 'val': val, 'test': test}
  pairs = {split: pair for split, pair in given.items() if pair is not None}
  examples, remarks = _stored({split: x for split, (x, _) in pairs.items()})
  labels = {split: y for split, (_, y) in pairs.items()}
  kind = _guessed(labels) if task is None else Task(task)
  shares = {'val': val_fraction, 'test': test_fraction}
  known = {'train': groups, 'val': groups_val, 'test': groups_test}
  of_samples = (samples or {}, copied_samples)
  if kind is Task.ANOMALY:
    parts = _of_anomalies(examples, labels, known, copies, of_samples, class_names, shares)
  else:
    sizes = {split: len(x) for split, x in examples.items()}
    if kind is Task.REGRESSION:
      found = as_values(labels, sizes, class_names)
    else:
      found = as_classes(labels, sizes, class_names, folders)
    parts = _Parts(examples, found, known, copies, *of_samples)
  cut = _cut(parts, shares, kind)
  more = () if parts.copies is None else parts.copies
  x_train, x_val, x_test = _splits(parts.examples, cut, more)
  of_all = parts.labels.labels
  y_train, y_val, y_test = _splits(of_all, cut, [of_all['train']] * len(more))
  kept = None
  if parts.samples:
    more = () if parts.copied_samples is None else parts.copied_samples
    kept = ClipSamples(*_splits(parts.samples, cut, more))
  dataset = Dataset(
    name=name,
    x_train=x_train,
    y_train=y_train,
    x_val=x_val,
    y_val=y_val,
    x_test=x_test,
    y_test=y_test,
    class_names=parts.labels.class_names,
    scaling=_scaling(x_train, scale=scale, is_sound=sound is not None),
    source=source,
    notes=(*notes, *remarks, *parts.labels.notes, *cut.notes),
    groups_val=_groups(parts, 'val', cut.val),
    groups_test=_groups(parts, 'test', cut.test),
    features=features,
    sound=sound,
    samples=kept,
    head=Head(kind, standardised(y_train) if kind is Task.REGRESSION else None),
  )
  validate(dataset)
  return dataset


def _of_anomalies(
  examples: Mapping[str, Array],
  labels: Mapping[str, Array],
  groups: Mapping[str, Array | None],
  copies: Array | None,
  of_samples: tuple[Mapping[str, Array], Array | None],
  class_names: tuple[str, ...] | None,
  shares: Mapping[str, float],
) -> _Parts:
  """The splits of anomaly detection, whose training examples are normal. Raises ValueError."""
  found = arranged(
    labels,
    class_names=class_names,
    groups=groups['train'],
    val_fraction=shares['val'],
    test_fraction=shares['test'],
  )
  samples, copied = of_samples
  normal = found.places['train'][1]
  return _Parts(
    examples={split: found.of(split, examples) for split in found.places},
    labels=as_anomalies(found.labels, found.notes),
    groups={split: found.of(split, groups) for split in found.places},
    copies=None if copies is None else copies[:, normal],
    samples={split: found.of(split, samples) for split in found.places} if samples else {},
    copied_samples=None if copied is None else copied[:, normal],
  )


def _cut(parts: _Parts, shares: Mapping[str, float], kind: Task) -> _Cut:
  """Cuts the splits that are missing off the training examples, by whole groups if there are any.

  Args:
    parts: the given data.
    shares: share of the training examples that a missing split gets.
    kind: the task of the data.

  Raises:
    ValueError: there are too few examples or groups, or the groups are wrong.
  """
  y, groups, titles = parts.labels.strata, parts.groups['train'], parts.labels.titles
  missing = {split: share for split, share in shares.items() if split not in parts.labels.labels}
  if groups is None or not missing:
    counts = {split: round(len(y) * share) or 1 for split, share in missing.items()}
    val, test = (counts.get(split, 0) for split in ('val', 'test'))
    return _Cut(*splits.split(y, val=val, test=test, titles=titles))
  check_groups('groups', groups, examples=len(y))
  if kind is Task.REGRESSION:  # groups are too few for strata of values
    y, titles = np.zeros_like(y), ('the data',)
  of_val, of_test = (missing.get(split, 0) for split in ('val', 'test'))
  cut = _Cut(*splits.split_groups(y, groups, val=of_val, test=of_test, titles=titles))
  named = (('training', cut.train), ('validation', cut.val), ('test', cut.test))
  told = (f'{len(np.unique(groups[part]))} {what}' for what, part in named if len(part))
  return cut._replace(notes=(f'split by group: {", ".join(told)} groups',))


def _splits(
  given: Mapping[str, Array], cut: _Cut, copies: Sequence[Array] | Array
) -> tuple[Array, Array, Array]:
  """What belongs to the examples of each split: given, or cut off that of the training examples.

  Args:
    given: what belongs to the given examples of each split, such as their labels. [N, ...]
    cut: the places of those that are cut off.
    copies: what belongs to the copies of the training examples, which follow them. [copies, N, ...]
  """

  def of(split: str, places: splits.Indices) -> Array:
    return given[split] if split in given and split != 'train' else given['train'][places]

  train = of('train', cut.train)
  if len(copies):
    train = np.concatenate([train, *(copy[cut.train] for copy in copies)])
  return train, of('val', cut.val), of('test', cut.test)


def _groups(parts: _Parts, split: str, cut: splits.Indices) -> Array | None:
  """The groups of a split, which may be cut off. Raises ValueError if those given are wrong."""
  groups, y = parts.groups, parts.labels.labels
  if split not in y:
    return None if groups['train'] is None else groups['train'][cut]
  known = groups[split]
  if known is not None:
    check_groups(f'groups_{split}', known, examples=len(y[split]))
  return known


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
