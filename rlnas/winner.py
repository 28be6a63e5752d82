"""From a finished search to its winner: longer training, one look at the test data, files."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt
from absl import logging

from rlnas.board import Budget
from rlnas.child.cost import cost
from rlnas.child.finish import train_and_quantize
from rlnas.child.logits import int8_accuracy
from rlnas.child.measure import ArenaOverflow, Footprint, measure
from rlnas.datasets import Dataset
from rlnas.drawing import draw
from rlnas.reward import is_feasible
from rlnas.search import SearchError
from rlnas.trial import Status, Trial


@dataclasses.dataclass(frozen=True)
class Winner:
  """The network that a search ends with.

  Attributes:
    trial: where it was found.
    model: the .tflite file.
    validation_accuracy: of the float network, in [0, 1].
    int8_validation_accuracy: of `model`.
    int8_test_accuracy: of `model`, on data that nothing before has seen.
    footprint: flash and SRAM of `model`.
    macs: multiply-accumulate operations of one inference.
  """

  trial: Trial
  model: bytes
  validation_accuracy: float
  int8_validation_accuracy: float
  int8_test_accuracy: float
  footprint: Footprint
  macs: int


def finish_best(
  trials: Sequence[Trial],
  dataset: Dataset,
  budget: Budget,
  *,
  epochs: int,
  seed: int,
  on_epoch: Callable[[int, float], None] | None = None,
) -> Winner:
  """Trains the feasible child of highest reward anew, for longer, and reads its test accuracy.

  Images are shifted at random by up to a fourteenth of their shorter side (2 pixels for MNIST).
  The trained file is measured again; should it pass the budget after all, the next best child
  takes its place, before any test data are read.

  Args:
    trials: of the search.
    dataset: with its test data.
    budget: what the winner has to fit.
    epochs: how long to train.
    seed: decides initial weights, order of examples and shifts.
    on_epoch: called after each epoch with its number and mean loss.

  Raises:
    SearchError: no trial is feasible, or none could be finished.
  """
  feasible = [t for t in trials if is_feasible(t.measurement, budget)]
  for trial in sorted(feasible, key=lambda t: (-(t.reward or 0.0), t.index)):
    architecture = trial.proposal.architecture
    try:
      model, validation_accuracy = train_and_quantize(
        architecture,
        dataset,
        epochs=epochs,
        seed=seed,
        shift_pixels=shift_pixels(dataset),
        on_epoch=on_epoch,
      )
      footprint = measure(model)
    except (FloatingPointError, ArenaOverflow) as error:
      logging.warning('trial %d could not be finished: %s', trial.index, error)
      continue
    if not budget.fits(
      footprint.flash_bytes,
      footprint.sram_bytes,
      trial.measurement.macs,
      trial.measurement.latency_ms,
    ):
      logging.warning('trial %d passes the budget once trained: %s', trial.index, footprint)
      continue

    def int8(x: npt.NDArray[Any], y: npt.NDArray[Any], model: bytes = model) -> float:
      return int8_accuracy(model, x, y, offset=dataset.offset, scale=dataset.scale)

    return Winner(
      trial=trial,
      model=model,
      validation_accuracy=validation_accuracy,
      int8_validation_accuracy=int8(dataset.x_val, dataset.y_val),
      int8_test_accuracy=int8(dataset.x_test, dataset.y_test),
      footprint=footprint,
      macs=cost(architecture, dataset.input_shape, dataset.classes).macs,
    )
  if feasible:
    raise SearchError(f'none of {len(feasible)} feasible children could be finished in the budget')
  raise SearchError(
    f'none of {len(trials)} trials fits {budget.flash_bytes:,} B flash and '
    f'{budget.sram_bytes:,} B SRAM; try more --trials, a larger budget or a smaller space'
  )


def shift_pixels(dataset: Dataset) -> int:
  """How far the finishing shifts training images: not at all for sequences."""
  is_image = len(dataset.input_shape) == 3
  return min(dataset.input_shape[:2]) // 14 if is_image else 0


def write_winner(
  winner: Winner,
  trials: Sequence[Trial],
  budget: Budget,
  folder: str | os.PathLike[str],
  *,
  input_shape: Sequence[int],
  classes: int,
  seconds: float,
) -> None:
  """Writes result.json and, in best/, model.tflite and architecture.json, .svg and .png.

  Args:
    winner: of the search.
    trials: of the search.
    budget: that it had to keep.
    folder: where the files go; made if need be.
    input_shape: of the examples.
    classes: how many there are.
    seconds: that the search and its finish took.

  Raises:
    OSError: a file cannot be written.
  """
  folder = pathlib.Path(folder)
  best = folder / 'best'
  best.mkdir(parents=True, exist_ok=True)
  architecture = winner.trial.proposal.architecture.to_json()
  (best / 'model.tflite').write_bytes(winner.model)
  (best / 'architecture.json').write_text(architecture + '\n')
  result: dict[str, Any] = {
    'trials': len(trials),
    'feasible': sum(is_feasible(t.measurement, budget) for t in trials),
    'failed': sum(t.measurement.status is Status.FAILED for t in trials),
    'seconds': round(seconds, 1),
    'best': {
      'trial': winner.trial.index,
      'architecture': json.loads(architecture),
      'validation_accuracy': winner.validation_accuracy,
      'int8_validation_accuracy': winner.int8_validation_accuracy,
      'int8_test_accuracy': winner.int8_test_accuracy,
      **dataclasses.asdict(winner.footprint),
      'macs': winner.macs,
      'budget': dataclasses.asdict(budget),
    },
  }
  (folder / 'result.json').write_text(json.dumps(result, indent=2) + '\n')
  title = f'trial {winner.trial.index}: int8 test accuracy {winner.int8_test_accuracy:.4f}\n'
  title += f'flash {winner.footprint.flash_bytes:,} B, SRAM {winner.footprint.sram_bytes:,} B'
  draw(
    winner.trial.proposal.architecture,
    [best / 'architecture.svg', best / 'architecture.png'],
    input_shape=input_shape,
    classes=classes,
    title=title,
  )
