"""An evaluator that trains nothing: networks take their weights from a supernet.

It measures the int8 network, as `rlnas.evaluation.trained` does; the sizes equal those of the
network trained alone. The accuracy is lower, so use it only to compare networks.
"""

from __future__ import annotations

import numpy as np

from rlnas.architecture import Architecture
from rlnas.child.supernet import Supernet
from rlnas.child.train import quality_function
from rlnas.cost.builds import HOST, Build
from rlnas.cost.speed import Speed
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric, metric_for
from rlnas.evaluation.int8 import Ready, measure_int8
from rlnas.trial import Measurement

_STATISTICS_BATCH = 128


class WeightSharing:
  """Measures the int8 form of each network with its part of the weights of a supernet.

  It drops the test data, and can be pickled to worker processes.
  """

  def __init__(
    self,
    dataset: Dataset,
    *,
    supernet: Supernet,
    statistics_examples: int = 1024,
    calibration_examples: int = 100,
    speed: Speed | None = None,
    build: Build = HOST,
    metric: Metric | None = None,
  ) -> None:
    """Stores the settings.

    Args:
      dataset: the data that the supernet was trained on.
      supernet: the weights.
      statistics_examples: how many training examples give the statistics of batch normalisation.
      calibration_examples: see `rlnas.tflite.quantize.calibration_rows`.
      speed: speed of the board; without it measurements have no latency.
      build: the build of TFLite Micro that the arena is for; by default that of this machine.
      metric: the metric that measurements hold; give `train_supernet` the same. By default
        accuracy, or R² of a regression.

    Raises:
      ValueError: the supernet does not fit the data set, or a number is below 1.
    """
    for name, value in (
      ('statistics_examples', statistics_examples),
      ('calibration_examples', calibration_examples),
    ):
      if value < 1:
        raise ValueError(f'{name}={value}: must be at least 1')
    known, task = supernet.task, dataset.task
    if task != known:
      raise ValueError(
        f'supernet: reads {known.input_shape} for {known.classes} classes, the data set '
        f'has {task.input_shape} and {task.classes}'
      )
    self._dataset = dataset.without_test()
    self._supernet = supernet
    self._statistics_examples = statistics_examples
    self._calibration_examples = calibration_examples
    self._speed = speed
    self._build = build
    self._metric = metric_for(dataset, metric)

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    """Measures one network.

    Args:
      architecture: the network.
      seed: has no effect: only the training of the supernet is random.

    Returns:
      The measurement, 'infeasible' if the tensor arena would exceed `MAX_ARENA_BYTES`.

    Raises:
      ValueError: the network does not fit the data set or the supernet.
    """
    del seed
    return measure_int8(
      architecture,
      self._dataset,
      lambda: self._network(architecture),
      calibration_examples=self._calibration_examples,
      speed=self._speed,
      build=self._build,
      metric=self._metric,
    )

  def _network(self, architecture: Architecture) -> Ready:
    data = self._dataset
    network = self._supernet.network(architecture, self._batches())
    return Ready(network, quality_function(network, data, self._metric)())

  def _batches(self) -> list[np.ndarray]:
    """Network inputs [at most `_STATISTICS_BATCH`, ...] of the first training data."""
    data = self._dataset
    x = data.scaling.inputs(data.x_train[: self._statistics_examples])
    return [x[i : i + _STATISTICS_BATCH] for i in range(0, len(x), _STATISTICS_BATCH)]
