"""Sequences whose features are the axes of motion sensors."""

from __future__ import annotations

from rlnas.cost.window import AXES, sequence_shape
from rlnas.data.dataset import Dataset


def check_axes(setting: str, dataset: Dataset) -> None:
  """Checks that features may be x, y, z of one sensor after the other, each with its own scale.

  Args:
    setting: what needs such features, for the message, such as 'finish_turn=15'.
    dataset: the data.

  Raises:
    ValueError: they are images, sound or bytes, or their features are not a multiple of 3.
  """
  try:
    _, features = sequence_shape(dataset.input_shape)
  except ValueError:  # an image
    features = 0
  if dataset.scaling.is_per_feature and features and features % AXES == 0:
    return
  raise ValueError(
    f'{setting}: must have sequences of axes x, y, z of motion sensors, not examples of shape '
    f'{dataset.input_shape}, {dataset.x_train.dtype}'
  )
