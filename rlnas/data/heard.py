"""Data of sound as a network hears them: features by its own front end (`rlnas.cost.hearing`).

The features are made of the samples that the data set keeps, noisy copies included, so all networks
hear the same clips. With the settings of the data they are the features of the data, to the bit.
The features of one front end are made once for all processes of a search
(`rlnas.data.shared_features`).

Offset and scale stay those of the training data as they were given, as with windows. All front ends
count in half decibels, so their means differ by a fraction of a standard deviation.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Shape
from rlnas.cost.hearing import Hearing
from rlnas.data.checks import Array
from rlnas.data.dataset import Dataset
from rlnas.data.shared_features import made_once
from rlnas.data.sound_settings import SoundSettings


def heard(dataset: Dataset, hearing: Hearing, shape: Shape) -> Dataset:
  """Returns the data as a network hears them, without `given`.

  Args:
    dataset: recordings of sound whose samples were kept.
    hearing: the network's front end.
    shape: shape of an example for the network.

  Raises:
    ValueError: the data are something else, or the front end does not fit their clips.
    ImportError: as `SoundSettings.features`.
  """
  sound, samples = dataset.sound, dataset.samples
  if sound is None or samples is None:
    raise ValueError(
      f'hearing: {dataset.name} has no samples; must be sound, loaded with keep_samples=True'
    )
  own = sound.heard_by(hearing)

  def features(split: str) -> Array:
    kept = getattr(samples, split)
    if own == sound:
      found = getattr(dataset, f'x_{split}')
    else:
      name = f'{own.mel_bins}-{own.frame_ms}-{own.frame_hop_ms}-{split}-{len(kept)}'
      folder = dataset.heard_in if len(kept) else None
      found = made_once(folder, name, lambda: features_of(kept, own))
    return found.reshape(len(kept), *shape)

  return dataclasses.replace(
    dataset,
    x_train=features('train'),
    x_val=features('val'),
    x_test=features('test'),
    sound=own,
    samples=None,
    notes=tuple(str(own) if note == str(sound) else note for note in dataset.notes),
  )


def features_of(samples: npt.NDArray[np.int16], settings: SoundSettings) -> npt.NDArray[np.uint8]:
  """The features of clips: int16 [N, clip] -> uint8 [N, frames, bins]."""
  found = np.empty((len(samples), settings.frames, settings.mel_bins), np.uint8)
  for features, clip in zip(found, samples, strict=True):
    features[:] = settings.features(clip)
  return found
