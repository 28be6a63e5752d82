"""The evaluator of a search on real data: train briefly, quantize, measure as on the chip."""

from __future__ import annotations

import time

from rlnas.architecture import Architecture
from rlnas.child.cost import cost
from rlnas.child.finish import train_and_quantize
from rlnas.child.latency import latency_ms
from rlnas.child.logits import int8_accuracy
from rlnas.child.measure import MAX_ARENA_BYTES, ArenaOverflow, measure
from rlnas.child.train import BATCH_SIZE, LEARNING_RATE
from rlnas.chip import Speed
from rlnas.datasets import Dataset
from rlnas.trial import Measurement, Status


class Trained:
  """Trains each network from scratch and measures its int8 form on the validation data.

  It keeps no test data, and can be pickled to worker processes.
  """

  def __init__(
    self,
    dataset: Dataset,
    *,
    epochs: int = 3,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
    calibration_examples: int = 100,
    speed: Speed | None = None,
  ) -> None:
    """Keeps the settings.

    Args:
      dataset: what to train and validate on.
      epochs: of a child's training.
      batch_size: of a child's training.
      learning_rate: of a child's first step.
      calibration_examples: see `train_and_quantize`.
      speed: of the board; without it measurements have no latency.

    Raises:
      ValueError: an argument is out of its range.
    """
    for name, value in (
      ('epochs', epochs),
      ('batch_size', batch_size),
      ('learning_rate', learning_rate),
      ('calibration_examples', calibration_examples),
    ):
      if not value > 0:
        raise ValueError(f'{name}={value}: must be positive')
    self._dataset = dataset.without_test()
    self._epochs = epochs
    self._batch_size = batch_size
    self._learning_rate = learning_rate
    self._calibration_examples = calibration_examples
    self._speed = speed

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    """Trains and measures one network.

    Args:
      architecture: the network.
      seed: decides initial weights and the order of the examples.

    Returns:
      The measurement, 'infeasible' where the tensor arena would pass `MAX_ARENA_BYTES`: such a
      network is not even trained where its activations alone tell.

    Raises:
      ValueError: the network does not fit the data set.
      FloatingPointError: the training diverged.
    """
    started = time.perf_counter()
    data = self._dataset
    counted = cost(architecture, data.input_shape, data.classes)

    def infeasible(detail: str) -> Measurement:
      return Measurement(
        Status.INFEASIBLE,
        macs=counted.macs,
        parameters=counted.parameters,
        seconds=time.perf_counter() - started,
        detail=detail,
      )

    if counted.arena_head_bytes > MAX_ARENA_BYTES:
      return infeasible(f'activations need {counted.arena_head_bytes} bytes of arena')
    model, validation_accuracy = train_and_quantize(
      architecture,
      data,
      epochs=self._epochs,
      seed=seed,
      batch_size=self._batch_size,
      learning_rate=self._learning_rate,
      calibration_examples=self._calibration_examples,
    )
    try:
      footprint = measure(model)
    except ArenaOverflow as error:
      return infeasible(str(error))
    return Measurement(
      Status.COMPLETE,
      validation_accuracy=validation_accuracy,
      int8_validation_accuracy=int8_accuracy(
        model, data.x_val, data.y_val, offset=data.offset, scale=data.scale
      ),
      flash_bytes=footprint.flash_bytes,
      sram_bytes=footprint.sram_bytes,
      sram_source=footprint.sram_source,
      macs=counted.macs,
      parameters=counted.parameters,
      latency_ms=latency_ms(architecture, data.input_shape, data.classes, speed=self._speed),
      seconds=time.perf_counter() - started,
    )
