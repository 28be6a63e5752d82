"""The evaluator of finalists: trains fully, and writes the files that a winner needs."""

from __future__ import annotations

import copy
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
from rlnas.child.spec_augment import as_heard
from rlnas.child.train import Loss
from rlnas.child.turns import seen_through
from rlnas.cost.builds import HOST, Build
from rlnas.cost.cost import estimate_cost
from rlnas.data.atomic_file import write_file
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric
from rlnas.data.windowed import through
from rlnas.finishing.recipe import Finished, Recipe, finish
from rlnas.progress import Step, part_of, tell
from rlnas.tflite.footprint import ArenaOverflow, measure
from rlnas.trial import Measurement, Status, derive_seed


@dataclasses.dataclass(frozen=True)
class Training:
  """A training of a network, or a part of one that continues from the weights of another.

  Attributes:
    architecture: the network.
    epochs: largest number of epochs of this part.
    total: largest number of epochs of the whole training.
    before: number of epochs of the parts before.
    start: name of the weights that it starts from, in the evaluator's folder; '' for new ones.
  """

  architecture: Architecture
  epochs: int
  total: int
  before: int = 0
  start: str = ''

  @property
  def until(self) -> int:
    """Largest number of epochs at its end."""
    return self.before + self.epochs

  @property
  def is_last(self) -> bool:
    """Whether no other part follows."""
    return self.until == self.total

  def seed_from(self, seed: int) -> int:
    """The seed of this part, from that of the whole: each part has an order of its own."""
    return derive_seed(seed, 'epochs', self.before) if self.before else seed


class Finishing:
  """Trains each network by a recipe; keeps its .tflite file and its weights in a folder.

  It takes networks, which it trains from new weights, and parts of trainings. Only last parts get
  the further epochs of the recipe.

  It drops the test data, and can be pickled to worker processes of the same machine.

  Args:
    dataset: the data to train and validate on.
    recipe: how to train.
    folder: folder for the files; created if it does not exist.
    teachers: networks to learn from, besides the labels (`rlnas.child.distill`).
    build: the build of TFLite Micro that the arena is for.
  """

  def __init__(
    self,
    dataset: Dataset,
    recipe: Recipe,
    folder: str | os.PathLike[str],
    *,
    teachers: Sequence[Teacher] = (),
    build: Build = HOST,
  ) -> None:
    self._build = build
    self._teachers = tuple(teachers)
    self._dataset = dataset.without_test()
    self._dataset_digest = dataset.digest
    self._recipe = recipe
    self._folder = pathlib.Path(folder)
    self._versions = (rlnas.__version__, tf.__version__, str(int(ONEDNN)))

  def taught_by(self, teachers: Sequence[Teacher]) -> Finishing:
    """The same evaluator with other teachers."""
    other = copy.copy(self)
    other._teachers = tuple(teachers)
    return other

  def name(self, value: Architecture | Training, *, seed: int) -> str:
    """The name of the network's files, a hash of everything that decides them."""
    training = self._training(value)
    recorded = dataclasses.asdict(self._recipe_of(training))
    if self._recipe.metric is Metric.ACCURACY:
      del recorded['metric']  # so that finalists of earlier folders are found
    taught_by = [teacher.weights.stem for teacher in self._teachers]
    settings = [
      *(self._dataset_digest, recorded, self._versions, taught_by),
      *(training.start or None, self._build.name),
    ]
    parts = json.dumps([training.architecture.digest, seed, settings], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]

  def model_path(self, name: str) -> pathlib.Path:
    """The path of the .tflite file of that name."""
    return self._folder / f'{name}.tflite'

  def weights_path(self, name: str) -> pathlib.Path:
    """The path of the weights of the float network of that name (`rlnas.child.inherit`)."""
    return self._folder / f'{name}.npz'

  def evaluate(self, value: Architecture | Training, *, seed: int) -> Measurement:
    """Trains, quantizes, measures and writes one network.

    Args:
      value: the network, or a part of its training.
      seed: decides the initial weights, the order of the examples and their augmentation.

    Returns:
      The measurement; `detail` says how the model was made, and `curve` is the validation accuracy
      after each epoch if the recipe has a patience. It is 'infeasible' if the tensor arena is too
      large to be measured.

    Raises:
      ValueError: the network does not fit the data set, or the first weights, or those of a
        teacher, are missing.
      FloatingPointError: the training diverged.
      OSError: a file cannot be written.
    """
    started = time.perf_counter()
    training = self._training(value)
    architecture, recipe = training.architecture, self._recipe_of(training)
    network, data = through(architecture, self._dataset)
    changes = as_heard(data, seen_through(data.window, recipe.augmentation))
    recipe = dataclasses.replace(recipe, augmentation=changes)
    loss: Loss | None = None
    if self._teachers:
      teachers = [teacher.load(self._dataset) for teacher in self._teachers]
      loss = distillation(teachers, task=data.head.task)
    start = self.weights_path(training.start) if training.start else None
    total = training.total + 2 * (recipe.further_epochs or 0)
    with part_of(total, after=training.before):
      found = finish(network, data, recipe=recipe, seed=seed, loss=loss, start=start)
    tell(Step(total if training.is_last else training.until, total, unit='measuring'))
    name = self.name(training, seed=seed)
    save_weights(found.network, self.weights_path(name))
    counted = estimate_cost(architecture, self._dataset.task, build=self._build)
    try:
      footprint = measure(found.model, build=self._build).with_preprocessing_of(architecture)
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
      curve=found.curve,
      seconds=time.perf_counter() - started,
      detail=_detail(found),
    )

  def _training(self, value: Architecture | Training) -> Training:
    if isinstance(value, Training):
      return value
    return Training(value, self._recipe.epochs, self._recipe.epochs)

  def _recipe_of(self, training: Training) -> Recipe:
    further = self._recipe.further_epochs if training.is_last else None
    return dataclasses.replace(self._recipe, epochs=training.epochs, further_epochs=further)


def _detail(found: Finished) -> str:
  """The way of training that was kept, and the accuracy of each."""
  if not found.compared:
    return ''
  others = ', '.join(f'{way} {accuracy:.4f}' for way, accuracy in found.compared)
  return f'{found.way} (int8: {others})'
