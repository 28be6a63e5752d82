"""Data as a network sees them after its preprocessing: through its window, or as it hears them.

A frame of a window is the sum of its steps, from the oldest to the newest, divided by their number,
in the type of the data. The C code of a bundle does the same (`rlnas.export.window_files`). Sound
is in `rlnas.data.heard`.

Offset and scale of a feature stay those of the training data as they were given. So they do not
depend on the preprocessing, and one record of them serves all networks of a search.
"""

from __future__ import annotations

import dataclasses
import weakref

import numpy as np

from rlnas.architecture import Architecture
from rlnas.cost.hearing import Hearing
from rlnas.cost.preprocessing import Preprocessing, behind_preprocessing, preprocessing_of
from rlnas.cost.window import Window, sequence_shape
from rlnas.data.checks import Array
from rlnas.data.dataset import Dataset
from rlnas.data.heard import heard
from rlnas.data.scaling import PerFeature, Scaling

# The last data sets as networks saw them, without what was given: a trial uses them more than
# once. Nothing here keeps the data alive, which may lie in memory that a worker shares.
_KEPT = 2
_SEEN: weakref.WeakKeyDictionary[Dataset, dict[Preprocessing, Dataset]] = (
  weakref.WeakKeyDictionary()
)


def through(architecture: Architecture, dataset: Dataset) -> tuple[Architecture, Dataset]:
  """Returns the network without its preprocessing, and the data as it sees them.

  Raises:
    ValueError: a window does not fit the examples, or they are not floats; or the network hears
      sound, and the data have no samples or other clips.
  """
  preprocessing = preprocessing_of(architecture)
  if preprocessing is None:
    return architecture, dataset
  network, task = behind_preprocessing(architecture, dataset.task)
  kept = _SEEN.setdefault(dataset, {})
  if preprocessing not in kept:
    for oldest in list(kept)[: len(kept) - _KEPT + 1]:
      del kept[oldest]
    kept[preprocessing] = (
      heard(dataset, preprocessing, task.input_shape)
      if isinstance(preprocessing, Hearing)
      else _seen(dataset, preprocessing, task.input_shape)
    )
  return network, dataclasses.replace(kept[preprocessing], given=dataset)


def _seen(dataset: Dataset, window: Window, shape: tuple[int, ...]) -> Dataset:
  check_windowed(dataset)
  names = dataset.features

  def seen(x: Array) -> Array:
    return windowed(x, window).reshape(len(x), *shape)

  return dataclasses.replace(
    dataset,
    x_train=seen(dataset.x_train),
    x_val=seen(dataset.x_val),
    x_test=seen(dataset.x_test),
    scaling=scaling_of(dataset.scaling, window),
    features=tuple(names[i] for i in window.features) if names else (),
    window=window,
  )


def check_windowed(dataset: Dataset) -> None:
  """Raises ValueError if a window cannot read the data: images, or features that are not floats."""
  sequence_shape(dataset.input_shape)
  if dataset.sound is not None or dataset.x_train.dtype.kind != 'f':
    what = 'features of sound' if dataset.sound is not None else dataset.x_train.dtype
    raise ValueError(f'window: examples of {dataset.name} are {what}; must be sequences of floats')


def windowed(x: Array, window: Window) -> Array:
  """Returns the part of examples that a window covers, as frames.

  Args:
    x: sequences of floats, as [N, T, F], [N, 1, T, F] or [N, T, F, 1].
    window: the window; it fits them.

  Returns:
    [N, window.frames, features], of the same type.
  """
  steps, features = sequence_shape(x.shape[1:])
  seen = x.reshape(len(x), steps, features)[:, steps - window.steps :]
  if window.features != tuple(range(features)):
    seen = seen[..., list(window.features)]
  if window.rate == 1:
    return seen
  total = seen[:, :: window.rate].copy()
  for step in range(1, window.rate):
    total += seen[:, step :: window.rate]
  total /= x.dtype.type(window.rate)
  return total


def scaling_of(scaling: Scaling, window: Window) -> Scaling:
  """The scaling of the features that a window keeps."""

  def kept(x: PerFeature) -> PerFeature:
    return x if not np.ndim(x) else np.asarray(x)[list(window.features)]

  return dataclasses.replace(scaling, offset=kept(scaling.offset), scale=kept(scaling.scale))
