"""The evaluator of a search on real data: train briefly, quantize, measure as on the chip.

A training may have stages, each of which starts from the weights of the stage before. `Terms` give
the accuracy that a network must reach to be trained further (`rlnas.search.fidelity`).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from rlnas.architecture import Architecture
from rlnas.child.builder import build
from rlnas.child.inherit import inherit_weights, save_weights
from rlnas.child.train import BATCH_SIZE, LEARNING_RATE, Trainer, loss_for, quality_function
from rlnas.cost.builds import HOST, Build
from rlnas.cost.speed import Speed
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric, metric_for
from rlnas.data.windowed import through
from rlnas.evaluation.int8 import Ready, measure_int8
from rlnas.progress import part_of
from rlnas.trial import NO_TERMS, Measurement, Terms, derive_seed, weights_name


@dataclasses.dataclass(frozen=True)
class Stage:
  """A part of a training, in which the learning rate falls from its first value to 0.

  Attributes:
    epochs: number of passes over its data.
    examples: how many of the training examples it uses, from the first; all if None.

  Raises:
    ValueError: a figure is below 1.
  """

  epochs: int
  examples: int | None = None

  def __post_init__(self) -> None:
    for name, value in (('epochs', self.epochs), ('examples', self.examples)):
      if value is not None and value < 1:
        raise ValueError(f'{name}={value}: must be at least 1')


class Trained:
  """Trains each network from scratch and measures its int8 form on the validation data.

  It drops the test data, and can be pickled to worker processes.
  """

  def __init__(
    self,
    dataset: Dataset,
    *,
    epochs: int | Sequence[Stage] = 3,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
    calibration_examples: int = 100,
    speed: Speed | None = None,
    build: Build = HOST,
    weights: str | os.PathLike[str] | None = None,
    metric: Metric | None = None,
  ) -> None:
    """Stores the settings.

    Args:
      dataset: the data to train and validate on.
      epochs: epochs of a training, or its stages.
      batch_size: examples per step.
      learning_rate: learning rate of the first step.
      calibration_examples: see `rlnas.tflite.quantize.calibration_rows`.
      speed: speed of the board; without it measurements have no latency.
      build: the build of TFLite Micro that the arena is for; by default that of this machine.
      weights: folder that keeps the weights of each network for its mutants; None keeps none.
      metric: the metric that measurements hold; it decides the loss, too
        (`rlnas.child.train.loss_for`). By default accuracy, R² of a regression, AUC of an anomaly
        detection.

    Raises:
      ValueError: an argument is out of its range.
    """
    self._stages = (Stage(epochs),) if isinstance(epochs, int) else tuple(epochs)
    if not self._stages:
      raise ValueError(f'epochs={epochs}: must name at least one stage')
    for name, value in (
      ('batch_size', batch_size),
      ('learning_rate', learning_rate),
      ('calibration_examples', calibration_examples),
    ):
      if not value > 0:
        raise ValueError(f'{name}={value}: must be positive')
    self._dataset = dataset.without_test()
    self._batch_size = batch_size
    self._learning_rate = learning_rate
    self._calibration_examples = calibration_examples
    self._speed = speed
    self._build = build
    self._metric = metric_for(dataset, metric)
    self._weights = None if weights is None else pathlib.Path(weights)

  def evaluate(
    self, architecture: Architecture, *, seed: int, terms: Terms = NO_TERMS
  ) -> Measurement:
    """Trains and measures one network.

    Args:
      architecture: the network.
      seed: decides the initial weights and the order of the examples.
      terms: thresholds, at most one less than stages, and inherited weights.

    Returns:
      The measurement, 'infeasible' if the tensor arena would exceed `MAX_ARENA_BYTES`. If the
      activations alone exceed it, the network is not trained.

    Raises:
      ValueError: the network does not fit the data set, or the terms do not fit this evaluator.
      FloatingPointError: the training diverged.
    """
    self._check(terms)
    return measure_int8(
      architecture,
      self._dataset,
      lambda: self._train(architecture, seed, terms),
      calibration_examples=self._calibration_examples,
      speed=self._speed,
      build=self._build,
      metric=self._metric,
    )

  def _train(self, architecture: Architecture, seed: int, terms: Terms) -> Ready:
    """Trains stage by stage until a threshold is missed."""
    network, data = through(architecture, self._dataset)
    model = build(network, data.task, seed=seed)
    if terms.parent and self._weights is not None:
      inherit_weights(model, self._weights / f'{terms.parent}.npz')
    trainer = Trainer(
      model,
      data,
      batch_size=self._batch_size,
      learning_rate=self._learning_rate,
      loss=loss_for(self._metric, data),
    )
    curve: list[float] = []
    last = len(self._stages) - 1
    if last:
      quality = quality_function(model, data, self._metric)
    for number, stage in enumerate(self._stages):
      order = seed if number == 0 else derive_seed(seed, 'stage', number)
      before = sum(earlier.epochs for earlier in self._stages[:number])
      with part_of(sum(s.epochs for s in self._stages), after=before):
        trainer.run(epochs=stage.epochs, examples=stage.examples, seed=order)
      if number == last:  # `measure_int8` validates it
        break
      curve.append(quality())
      if number < len(terms.thresholds) and curve[-1] < terms.thresholds[number]:
        break
    if self._weights is not None:
      name = weights_name(architecture, seed, terms, number + 1)
      save_weights(model, self._weights / f'{name}.npz')
    return Ready(model, None if number == last else curve[-1], tuple(curve))

  def _check(self, terms: Terms) -> None:
    if len(terms.thresholds) >= len(self._stages):
      raise ValueError(
        f'terms: {len(terms.thresholds)} thresholds for a training of {len(self._stages)} stages: '
        'must be fewer than stages'
      )
    if terms.parent and self._weights is None:
      raise ValueError(f'terms: parent={terms.parent!r} needs kept weights, but weights=None')
