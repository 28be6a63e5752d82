"""The evaluator of finalists: trains fully, and writes the files that a winner needs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Sequence

import rlnas
from rlnas.architecture import Architecture
from rlnas.backend import ONEDNN, tf
from rlnas.child.distill import Teacher, distillation
from rlnas.child.inherit import save_weights
from rlnas.child.progress import Step, tell
from rlnas.child.train import Loss, cross_entropy
from rlnas.cost.builds import HOST, Build
from rlnas.cost.cost import estimate_cost
from rlnas.data.atomic_file import write_file
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric
from rlnas.finishing.recipe import Finished, Recipe, finish
from rlnas.tflite.footprint import ArenaOverflow, measure
from rlnas.trial import Measurement, Status


class Finishing:
  """Trains each network by a recipe; keeps its .tflite file and its weights in a folder.

  It drops the test data, and can be pickled to worker processes of the same machine.

  Args:
    dataset: the data to train and validate on.
    recipe: how to train.
    folder: folder for the files; created if it does not exist.
    teachers: networks to learn from, besides the labels (`rlnas.child.distill`).
    start: file of the first weights; its name must depend on everything that decides them.
    build: the build of TFLite Micro that the arena is for.
  """

  def __init__(
    self,
    dataset: Dataset,
    recipe: Recipe,
    folder: str | os.PathLike[str],
    *,
    teachers: Sequence[Teacher] = (),
    start: pathlib.Path | None = None,
    build: Build = HOST,
  ) -> None:
    self._build = build
    self._start = start
    self._teachers = tuple(teachers)
    self._dataset = dataset.without_test()
    self._recipe = recipe
    self._folder = pathlib.Path(folder)
    versions = (rlnas.__version__, tf.__version__, str(int(ONEDNN)))
    taught_by = [teacher.weights.stem for teacher in teachers]
    begun = None if start is None else start.stem
    recorded = dataclasses.asdict(recipe)
    if recipe.metric is Metric.ACCURACY:
      del recorded['metric']  # so that finalists of earlier folders are found
    self._settings = [dataset.digest, recorded, versions, taught_by, begun, build.name]

  def name(self, architecture: Architecture, *, seed: int) -> str:
    """The name of the network's files, a hash of everything that decides them."""
    parts = json.dumps([architecture.digest, seed, self._settings], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]

  def model_path(self, name: str) -> pathlib.Path:
    """The path of the .tflite file of that name."""
    return self._folder / f'{name}.tflite'

  def weights_path(self, name: str) -> pathlib.Path:
    """The path of the weights of the float network of that name (`rlnas.child.inherit`)."""
    return self._folder / f'{name}.npz'

  def evaluate(self, architecture: Architecture, *, seed: int) -> Measurement:
    """Trains, quantizes, measures and writes one network.

    Args:
      architecture: the network.
      seed: decides the initial weights, the order of the examples and their augmentation.

    Returns:
      The measurement; `detail` says how the model was made. It is 'infeasible' if the tensor arena
      is too large to be measured.

    Raises:
      ValueError: the network does not fit the data set, or a teacher's weights are missing.
      FloatingPointError: the training diverged.
      OSError: a file cannot be written.
    """
    started = time.perf_counter()
    data = self._dataset
    loss: Loss = cross_entropy
    if self._teachers:
      loss = distillation([teacher.load(data) for teacher in self._teachers])
    found = finish(architecture, data, recipe=self._recipe, seed=seed, loss=loss, start=self._start)
    tell(Step(1, 1, unit='measuring'))
    name = self.name(architecture, seed=seed)
    save_weights(found.network, self.weights_path(name))
    counted = estimate_cost(architecture, data.task, build=self._build)
    try:
      footprint = measure(found.model, build=self._build)
    except ArenaOverflow as error:
      return Measurement(Status.INFEASIBLE, detail=str(error))
    write_file(self.model_path(name), found.model)
    return Measurement(
      Status.COMPLETE,
      validation_accuracy=found.validation_accuracy,
      int8_validation_accuracy=found.int8_validation_accuracy,
      flash_bytes=footprint.flash_bytes,
      sram_bytes=footprint.sram_bytes,
      sram_source=footprint.sram_source,
      sram_build=footprint.sram_build,
      macs=counted.macs,
      parameters=counted.parameters,
      seconds=time.perf_counter() - started,
      detail=_detail(found),
    )


def _detail(found: Finished) -> str:
  """The way of training that was kept, and the accuracy of each."""
  if not found.compared:
    return ''
  others = ', '.join(f'{way} {accuracy:.4f}' for way, accuracy in found.compared)
  return f'{found.way} (int8: {others})'
