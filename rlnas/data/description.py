"""Describes a data set in lines of text, which a search shows before it begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.dataset import Dataset
from rlnas.data.metrics import NOTABLE_SHARE, UNBALANCED, Metric, chance_confusion
from rlnas.data.tasks import Task

_MOST_CLASSES, _MOST_FEATURES = 12, 5  # that are listed one by one
_CHUNK_VALUES = 1 << 22


@dataclasses.dataclass(frozen=True)
class Clipped:
  """The values of a feature that lie beyond the limit of the scaling, in all splits.

  Attributes:
    feature: its index, from 0.
    count: how many of its values are clipped.
    values: how many values it has.
    farthest: the greatest distance from the offset, in units of the scale.
  """

  feature: int
  count: int
  values: int
  farthest: float


def describe(dataset: Dataset, *, metric: Metric = Metric.ACCURACY) -> tuple[str, ...]:
  """Returns sizes and shape, the classes, what was skipped, and what is clipped.

  If one class has far more than its share of the examples, a line says what a network reaches that
  always answers with it.

  Args:
    dataset: the data.
    metric: the metric that the search maximises.
  """
  sizes = (f'{len(y):,} {name}' for name, y in _labels(dataset) if len(y))
  lines = [
    f'examples {", ".join(sizes)}; {_shape(dataset)}, {dataset.x_train.dtype}',
    *_said_of_labels(dataset, metric),
    *(f'note     {note}' for note in dataset.notes),
  ]
  found = clipped(dataset)
  limit = dataset.scaling.limit or 0
  for one in found[:_MOST_FEATURES]:
    whose = f'feature {one.feature}' if dataset.scaling.is_per_feature else 'all'
    lines.append(
      f'clipped  {whose}: {one.count:,} of {one.values:,} values, beyond {limit:g} deviations (up '
      f'to {one.farthest:,.0f})'
    )
  if found[_MOST_FEATURES:]:
    rest = sum(one.count for one in found[_MOST_FEATURES:])
    lines.append(f'clipped  {len(found) - _MOST_FEATURES} more features: {rest:,} values')
  return tuple(lines)


def _said_of_labels(dataset: Dataset, metric: Metric) -> tuple[str, ...]:
  """The lines on the classes, or on the values of a regression."""
  if dataset.head.task is Task.CLASSIFICATION:
    return f'classes  {_classes(dataset)}', *_chance(dataset, metric)
  y = dataset.y_train
  if dataset.head.task is Task.ANOMALY:
    odd = [int(np.count_nonzero(labels)) for labels in (dataset.y_val, dataset.y_test)]
    return (f'anomalies {odd[0]:,} in validation, {odd[1]:,} in test; training is normal alone',)
  return tuple(
    f'value    {name}: {column.min():.4g} to {column.max():.4g}, mean {column.mean():.4g}, '
    f'deviation {column.std():.4g}'
    for name, column in zip(dataset.class_names, y.T, strict=True)
  )


def clipped(dataset: Dataset) -> tuple[Clipped, ...]:
  """Finds the features with values beyond the limit of the scaling, most values first."""
  limit, features = dataset.scaling.limit, dataset.scaling.features
  if limit is None:
    return ()
  counts, farthest, values = np.zeros(features, int), np.zeros(features), 0
  for x in (dataset.x_train, dataset.x_val, dataset.x_test):
    for part in _chunks(x):
      distance = np.abs(dataset.scaling.without_limit(part)).reshape(-1, features)
      counts += (distance > limit).sum(0)
      farthest = np.maximum(farthest, distance.max(0))
      values += len(distance)
  found = [
    Clipped(int(i), int(counts[i]), values, float(farthest[i])) for i in np.flatnonzero(counts)
  ]
  return tuple(sorted(found, key=lambda one: -one.count))


def _chunks(x: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
  step = max(1, _CHUNK_VALUES // max(1, x[:1].size))
  return (x[start : start + step] for start in range(0, len(x), step))


def _labels(dataset: Dataset) -> tuple[tuple[str, npt.NDArray[np.int32]], ...]:
  return (
    ('training', dataset.y_train),
    ('validation', dataset.y_val),
    ('test', dataset.y_test),
  )


def _shape(dataset: Dataset) -> str:
  shape, sequence = dataset.input_shape, as_sequence(dataset)
  if sequence is not None:
    steps, features = sequence
    if len(shape) == 3 and steps == 1:  # rows of a CSV file
      return f'{features} features'
    how = '' if len(shape) == 2 else ', as images of one row' if shape[0] == 1 else ', as images'
    return f'{steps} time steps of {features} features{how}'
  channels = 'channel' if shape[2] == 1 else 'channels'
  return f'images of {shape[0]} x {shape[1]}, {shape[2]} {channels}'


def as_sequence(dataset: Dataset) -> tuple[int, int] | None:
  """Time steps and features of an example, in whatever shape it is; None if it is an image."""
  shape = dataset.input_shape
  if len(shape) == 2:
    return shape[0], shape[1]
  if shape[0] == 1:  # for `rlnas.spaces.temporal`, or a row of a CSV file
    return shape[1], shape[2]
  if shape[2] == 1 and dataset.scaling.features == shape[1] > 1:  # for networks of images
    return shape[0], shape[1]
  return None


def _counts(dataset: Dataset) -> npt.NDArray[np.intp]:
  labels = np.concatenate([y for _, y in _labels(dataset)])
  return np.bincount(labels, minlength=dataset.classes)


def _chance(dataset: Dataset, metric: Metric) -> tuple[str, ...]:
  """The line on the largest class, and advice if the smallest one is far smaller."""
  counts = _counts(dataset)
  largest = int(counts.argmax())
  if counts[largest] * dataset.classes <= NOTABLE_SHARE * counts.sum():
    return ()
  confusion = chance_confusion(counts, largest)
  shown = dict.fromkeys((Metric.ACCURACY, metric))
  reached = ', '.join(f'{one.label} {one.of(confusion):.3f}' for one in shown)
  line = f'chance   always {dataset.class_names[largest]!r}: {reached}'
  if metric is Metric.ACCURACY and counts[largest] >= UNBALANCED * counts.min():
    line += '; --metric=balanced_accuracy counts all classes alike'
  return (line,)


def _classes(dataset: Dataset) -> str:
  counts = _counts(dataset)
  each = [f'{name} {count:,}' for name, count in zip(dataset.class_names, counts, strict=True)]
  if len(each) <= _MOST_CLASSES:
    return ', '.join(each)
  return f'{len(each)}: {each[int(np.argmin(counts))]} (fewest) to {each[int(np.argmax(counts))]}'
