"""The tasks of networks and the meaning of their outputs: classes, values, reconstructed inputs.

A `Task` decides the loss (`rlnas.child.train.LOSSES`), the metrics (`rlnas.data.metrics`) and the
reports. A `Head` reads the outputs of a network of that task, in floating point and in int8 alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.scaling import Scaling
from rlnas.data.word import Word

Array = npt.NDArray[Any]

# Whole numbers of a float type are classes up to so many different ones, otherwise values.
MOST_CLASSES_OF_FLOATS = 20


class Task(Word):
  """The task of a network: classification, regression or anomaly detection.

  Raises:
    ValueError: there is no task of that name.
  """

  CLASSIFICATION = 'classification'  # to name a class: one output for each
  REGRESSION = 'regression'  # to give values, one for each output
  ANOMALY = 'anomaly'  # to reconstruct the input; what cannot be reconstructed is anomalous


@dataclasses.dataclass(frozen=True)
class Head:
  """How the outputs of a network are read.

  Attributes:
    task: the task of the network.
    targets: offset and scale [K] of the values of a regression, whose outputs are (value - offset)
      / scale, so that all have one range, which they share in int8; None for other tasks.

  Raises:
    ValueError: a regression has no targets, or another task has some.
  """

  task: Task = Task.CLASSIFICATION
  targets: Scaling | None = None

  def __post_init__(self) -> None:
    if (self.task is Task.REGRESSION) != (self.targets is not None):
      raise ValueError(f'targets={self.targets}: a regression must have them, no other task')

  def wanted(self, y: Array) -> Array:
    """The targets of a training: int32 classes [N], or float32 values [N, K].

    An anomaly detection does not use them: its targets are its inputs.
    """
    if self.targets is None:
      return y.astype(np.int32, copy=False)
    return self.targets.apply(y).astype(np.float32)

  def answers(self, outputs: Array, inputs: Array) -> Array:
    """The network's answers for examples.

    Args:
      outputs: in real units; of classes any that grow with them. [N, outputs]
      inputs: what the network read, in real units; only anomaly detection uses them. [N, ...]

    Returns:
      int64 classes [N], float64 values in the unit of the targets [N, K], or float64 scores [N]:
      the mean squared difference of outputs and inputs.
    """
    if self.task is Task.ANOMALY:
      missed = outputs.astype(np.float64) - inputs.reshape(len(inputs), -1)
      return np.mean(np.square(missed), axis=1)
    if self.targets is None:
      return outputs.argmax(axis=1).astype(np.int64)
    return outputs.astype(np.float64) * self.targets.scale + self.targets.offset


CLASSES = Head()
RECONSTRUCTION = Head(Task.ANOMALY)
NORMAL, ANOMALOUS = 'normal', 'anomaly'  # classes 0 and 1 of anomaly detection


def check_task(task: str | None) -> None:
  """Raises ValueError if there is no task of that name; None is for the data to decide."""
  if task is not None:
    Task(task)


def task_of(y: Array) -> Task:
  """The task that labels suggest: values if they are floats that do not look like classes."""
  if not isinstance(y, np.ndarray) or y.dtype.kind != 'f' or not y.size:
    return Task.CLASSIFICATION
  known = y[np.isfinite(y)]
  is_whole = known.size == y.size and bool(np.all(known == np.rint(known)))
  few = is_whole and len(np.unique(known)) <= MOST_CLASSES_OF_FLOATS
  return Task.CLASSIFICATION if few else Task.REGRESSION


def as_targets(key: str, y: Array, *, examples: int) -> npt.NDArray[np.float64]:
  """The values that a regression learns, one row per example.

  Args:
    key: name of the values, for error messages.
    y: values of any real type. [N] or [N, K]
    examples: number of examples that there must be.

  Returns:
    The values. [N, K]

  Raises:
    ValueError: they are not real numbers, not finite, or of another shape.
  """
  if isinstance(y, np.ndarray) and y.dtype.kind == 'U':  # of a CSV file, if a class may be meant
    with contextlib.suppress(ValueError):
      y = y.astype(np.float64)
  if not isinstance(y, np.ndarray) or y.dtype.kind not in 'buif':
    found = y.dtype if isinstance(y, np.ndarray) else type(y).__name__
    raise ValueError(f'{key}: is of type {found}; the values of a regression must be numbers')
  if y.ndim not in (1, 2) or y.shape[0] != examples or 0 in y.shape:
    raise ValueError(
      f'{key}: has shape {y.shape}; must be ({examples},) or ({examples}, K), K values for each of '
      'the examples'
    )
  rows = y.reshape(examples, -1).astype(np.float64)
  bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
  if bad.size:
    raise ValueError(
      f'{key}: holds NaN or infinite values in {bad.size} of {examples} rows, first in row '
      f'{bad[0]}; all must be finite: leave these examples out'
    )
  return rows


def standardised(y: npt.NDArray[np.float64]) -> Scaling:
  """Mean and standard deviation of each value of the training data, which must vary: [N, K]."""
  return Scaling(y.mean(axis=0), y.std(axis=0))


def check_varies(key: str, y: npt.NDArray[np.float64], names: tuple[str, ...]) -> None:
  """Raises ValueError if a target [N, K] is constant, so that no R² is defined."""
  for column in np.flatnonzero(y.min(axis=0) == y.max(axis=0))[:1]:
    raise ValueError(
      f'{key}: target {names[column]!r} is {y[0, column]:g} in all {len(y)} examples; must vary'
    )


def target_names(given: tuple[str, ...] | None, count: int) -> tuple[str, ...]:
  """The names of `count` values: those given, or y, or y0, y1, ... Raises ValueError."""
  if given is None:
    return ('y',) if count == 1 else tuple(f'y{i}' for i in range(count))
  if len(given) != count or len(set(given)) < count or not all(given):
    raise ValueError(f'class_names={given}: must be {count} different names, one for each value')
  return given
