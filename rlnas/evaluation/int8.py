"""Measures the int8 form of a network, on validation data and on TFLite Micro."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from rlnas.architecture import Architecture
from rlnas.backend import keras
from rlnas.cost.builds import HOST, Build
from rlnas.cost.cost import estimate_cost
from rlnas.cost.latency import instruction_count, latency_ms
from rlnas.cost.speed import Speed
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric
from rlnas.data.windowed import through
from rlnas.tflite.compact import compact
from rlnas.tflite.footprint import MAX_ARENA_BYTES, ArenaOverflow, measure
from rlnas.tflite.inference import float_quality, int8_quality
from rlnas.tflite.quantize import calibrate, calibration_rows, to_int8
from rlnas.trial import Measurement, Status


class Ready(NamedTuple):
  """A network with its weights.

  Attributes:
    network: float32 [B, ...] -> logits [B, classes].
    validation_accuracy: of `network`, in [0, 1]; see `rlnas.trial.Measurement`. If None, the
      network is validated after its conversion, which needs no graph of its own; the result then
      ends the curve.
    curve: the same after each stage of its training.
  """

  network: keras.Model
  validation_accuracy: float | None = None
  curve: tuple[float, ...] = ()


def measure_int8(
  architecture: Architecture,
  dataset: Dataset,
  make: Callable[[], Ready],
  *,
  calibration_examples: int,
  speed: Speed | None,
  build: Build = HOST,
  metric: Metric = Metric.ACCURACY,
) -> Measurement:
  """Makes a network, quantizes it and measures the int8 network.

  Args:
    architecture: the network.
    dataset: training data for the calibration, validation data for the accuracy; as given, not as
      the network sees them after its preprocessing.
    make: trains the network, or finds its weights; not called if the activations alone need more
      than `MAX_ARENA_BYTES`.
    calibration_examples: see `rlnas.tflite.quantize.calibration_rows`.
    speed: speed of the board; without it there is no latency.
    build: the build of TFLite Micro that the arena is for.
    metric: the metric of the accuracies.

  Returns:
    The measurement, 'infeasible' if the tensor arena would exceed `MAX_ARENA_BYTES`.

  Raises:
    ValueError: the network does not fit the data set.
  """
  started = time.perf_counter()
  counted = estimate_cost(architecture, dataset.task, build=build)

  def infeasible(detail: str) -> Measurement:
    return Measurement(
      Status.INFEASIBLE,
      macs=counted.macs,
      parameters=counted.parameters,
      instructions=instruction_count(architecture, dataset.task, speed=speed),
      seconds=time.perf_counter() - started,
      detail=detail,
    )

  if counted.arena_head_bytes > MAX_ARENA_BYTES:
    return infeasible(f'activations need {counted.arena_head_bytes} bytes of arena')
  network, accuracy, curve = make()
  _, seen = through(architecture, dataset)
  rows = calibration_rows(seen.x_train, scaling=seen.scaling, count=calibration_examples)
  calibrated = calibrate(network, rows)
  model = compact(to_int8(calibrated))
  try:
    footprint = measure(model, build=build).with_preprocessing_of(architecture)
  except ArenaOverflow as error:
    return infeasible(str(error))
  if accuracy is None:
    accuracy = float_quality(calibrated, seen, metric)
    curve = (*curve, accuracy)
  return Measurement(
    Status.COMPLETE,
    validation_accuracy=accuracy,
    int8_validation_accuracy=int8_quality(model, seen, metric),
    flash_bytes=footprint.flash_bytes,
    sram_bytes=footprint.sram_bytes,
    sram_source=footprint.sram_source,
    sram_build=footprint.sram_build,
    macs=counted.macs,
    parameters=counted.parameters,
    latency_ms=latency_ms(architecture, dataset.task, speed=speed),
    instructions=instruction_count(architecture, dataset.task, speed=speed),
    curve=curve,
    seconds=time.perf_counter() - started,
  )
