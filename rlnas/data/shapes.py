"""Data sets in the shapes that networks read: images, images of one row or one pixel, sequences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from rlnas.data.checks import Array
from rlnas.data.dataset import Dataset
from rlnas.data.scaling import PerFeature
from rlnas.data.standardise import standardising


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
