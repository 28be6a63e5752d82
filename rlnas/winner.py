"""From a finished search to its winner: full training, one look at the test data, files."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from absl import logging

from rlnas.architecture import Architecture
from rlnas.board import Budget
from rlnas.child.distill import Teacher
from rlnas.child.finish import Recipe
from rlnas.child.inherit import save_weights
from rlnas.child.logits import int8_accuracy
from rlnas.child.measure import Footprint, measure
from rlnas.child.prune import prune_filters
from rlnas.dataset import Dataset
from rlnas.drawing import draw
from rlnas.evaluators.finishing import Finishing
from rlnas.executors import InProcess
from rlnas.finalists import Candidate, Finalist, FinalistFile, finish_candidates, fits, rank_trials
from rlnas.interfaces import Evaluator, Executor
from rlnas.quality import wilson_interval
from rlnas.reward import is_feasible
from rlnas.search import SearchError
from rlnas.trial import Status, Trial, derive_seed
from rlnas.widths import widened

# So many of the finalists are trained with further seeds, and by teachers.
LAST_FEW = 2
_ENSEMBLE = 3  # at most so many finalists teach together
_WIDER = 2  # a wide teacher has so many times the filters


class Teaching(enum.Enum):
  """Whom the best finalists learn from, beside the labels, in a training of their own."""

  ENSEMBLE = 'ensemble'  # the best finalists together
  WIDE = 'wide'  # a wider copy of the best one, which no budget binds


@dataclasses.dataclass(frozen=True)
class Plan:
  """How many networks a search ends with before the last choice.

  Attributes:
    recipe: how each is trained.
    top: how many networks are trained (`rank_trials`).
    seeds: how many times the best `LAST_FEW` of them are.
    teaching: whether these are trained once more, and by whom.
    prune: share of its filters that a copy of the best one loses (`rlnas.child.prune`), which is
      then trained by the recipe from the weights that are left; it takes part in the last choice,
      and its file is kept whatever is chosen.

  Raises:
    ValueError: a figure is out of its range.
  """

  recipe: Recipe
  top: int = 1
  seeds: int = 1
  teaching: Teaching | None = None
  prune: float | None = None

  def __post_init__(self) -> None:
    if self.prune is not None and not 0 < self.prune < 1:
      raise ValueError(f'prune={self.prune}: must lie in (0, 1)')
    for name in ('top', 'seeds'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: must be at least 1')

  @property
  def trainings(self) -> int:
    """How many there are, unless there are too few networks or some cannot be finished."""
    taught = self.teaching is not None
    repeats = self.seeds - 1 + taught
    others = (self.teaching is Teaching.WIDE) + (self.prune is not None)
    return self.top + repeats * min(self.top, LAST_FEW) + others


@dataclasses.dataclass(frozen=True)
class Winner:
  """The network that a search ends with.

  Attributes:
    trial: where it was found.
    architecture: what was trained.
    model: the .tflite file.
    validation_accuracy: of the float network, in [0, 1].
    int8_validation_accuracy: of `model`; what it was chosen by.
    int8_test_accuracy: of `model`, on data that nothing before has seen.
    int8_test_interval: 95 % confidence interval of that (Wilson 1927). It tells the chance of the
      test examples, not that of the search or of the training.
    footprint: flash and SRAM of `model`.
    macs: multiply-accumulate operations of one inference.
    finalists: all that it was chosen from, the best first.
  """

  trial: Trial
  architecture: Architecture
  model: bytes
  validation_accuracy: float
  int8_validation_accuracy: float
  int8_test_accuracy: float
  int8_test_interval: tuple[float, float]
  footprint: Footprint
  macs: int
  finalists: tuple[Finalist, ...]


def finish_best(
  trials: Sequence[Trial],
  dataset: Dataset,
  budget: Budget,
  *,
  plan: Plan,
  seed: int,
  folder: str | os.PathLike[str] | None = None,
  employ: Callable[[Evaluator], Executor] = InProcess,
  on_finished: Callable[[Finalist], None] | None = None,
) -> Winner:
  """Trains finalists anew and fully, chooses one on validation data and reads its test accuracy.

  The trained files are measured again; where one passes the budget after all, or its training
  fails, the next network takes its place. The result does not depend on the executor.

  Args:
    trials: of the search.
    dataset: with its test data, which are read once, for the winner.
    budget: what the winner has to fit.
    plan: what is trained, and how.
    seed: decides initial weights, order of examples and their changes.
    folder: keeps each finalist as soon as it is done, so that what was interrupted goes on; by
      default they are kept until the end of the call.
    employ: gives the executor of an evaluator, such as `lambda e: WorkerPool(e, workers=2)`.
    on_finished: called with each finalist.

  Raises:
    SearchError: no trial is feasible, or none could be finished.
    ValueError: the folder holds something else.
    OSError: a file cannot be written.
  """
  with contextlib.ExitStack() as stack:
    if folder is None:
      folder = stack.enter_context(tempfile.TemporaryDirectory())
    where = pathlib.Path(folder)
    store = FinalistFile(where)
    stack.callback(store.close)

    plain = Finishing(dataset, plan.recipe, where)

    def finish_all(
      candidates: Sequence[Candidate],
      teachers: Sequence[Finalist] = (),
      start: pathlib.Path | None = None,
    ) -> list[Finalist]:
      found = [Teacher(t.candidate.architecture, plain.weights_path(t.name)) for t in teachers]
      evaluator = Finishing(dataset, plan.recipe, where, teachers=found, start=start)
      with contextlib.closing(employ(evaluator)) as executor:
        return finish_candidates(candidates, evaluator, executor, store, on_finished=on_finished)

    def prune(finalist: Finalist, share: float) -> tuple[Architecture, pathlib.Path]:
      whole = Teacher(finalist.candidate.architecture, plain.weights_path(finalist.name))
      smaller, network = prune_filters(whole.load(dataset), whole.architecture, share=share)
      path = plain.weights_path(f'{finalist.name}-less-{share:g}')
      save_weights(network, path)
      return smaller, path

    rounds = _Rounds(trials, budget, plan, seed, finish_all, prune)
    finalists = rounds.play()
    best = finalists[0]
    model = plain.model_path(best.name).read_bytes()
  measured = best.measurement
  offset, scale = dataset.offset, dataset.scale
  accuracy = int8_accuracy(model, dataset.x_test, dataset.y_test, offset=offset, scale=scale)
  examples = len(dataset.y_test)
  return Winner(
    trial=rounds.trial_of(best),
    architecture=best.candidate.architecture,
    model=model,
    validation_accuracy=measured.validation_accuracy or 0.0,
    int8_validation_accuracy=measured.int8_validation_accuracy or 0.0,
    int8_test_accuracy=accuracy,
    int8_test_interval=wilson_interval(round(accuracy * examples), examples),
    footprint=measure(model),
    macs=measured.macs or 0,
    finalists=tuple(finalists),
  )


@dataclasses.dataclass(frozen=True)
class _Rounds:
  """The rounds of training, one after the other."""

  trials: Sequence[Trial]
  budget: Budget
  plan: Plan
  seed: int
  finish_all: Callable[..., list[Finalist]]  # of candidates, their teachers and first weights
  prune: Callable[[Finalist, float], tuple[Architecture, pathlib.Path]]

  def play(self) -> list[Finalist]:
    """All rounds; the finalists that fit, the best first. Raises SearchError."""
    found = self._first()
    repeats = [
      dataclasses.replace(f.candidate, seed=self._seed_of(repeat), note=f'seed {repeat + 1}')
      for repeat in range(1, self.plan.seeds)
      for f in found[:LAST_FEW]
    ]
    repeated = self._fitting(repeats)
    taught = [] if self.plan.teaching is None else self._taught(found, self.plan.teaching)
    best = _sorted([*found, *repeated, *taught])
    return best if self.plan.prune is None else _sorted([*best, *self._pruned(best[0])])

  def _first(self) -> list[Finalist]:
    """The best networks, one training each; others take the place of those that do not fit."""
    waiting = rank_trials(self.trials, self.budget, top=self.plan.top)
    feasible = len(waiting)
    found: list[Finalist] = []
    while waiting and len(found) < self.plan.top:
      missing = self.plan.top - len(found)
      now, waiting = waiting[:missing], waiting[missing:]
      seed = self._seed_of(0)
      found += self._fitting([Candidate(t.index, t.proposal.architecture, seed) for t in now])
    if not found:
      raise SearchError(self._why_none(feasible))
    return _sorted(found)

  def _taught(self, found: Sequence[Finalist], teaching: Teaching) -> list[Finalist]:
    """The best networks, trained by teachers; none where there is no teacher."""
    teachers = found[:_ENSEMBLE]
    if teaching is Teaching.WIDE:
      best = found[0].candidate
      wide = widened(best.architecture, _WIDER)
      (teacher,) = self.finish_all([dataclasses.replace(best, architecture=wide, note='teacher')])
      if teacher.measurement.status is not Status.COMPLETE:
        logging.warning('the wide teacher could not be trained: %s', _cause(teacher))
        return []
      teachers = [teacher]
    students = [dataclasses.replace(f.candidate, note='taught') for f in found[:LAST_FEW]]
    return self._fitting(students, teachers)

  def _pruned(self, best: Finalist) -> list[Finalist]:
    """The best network with fewer filters; none where it has none to spare."""
    share = self.plan.prune or 0.0
    try:
      smaller, start = self.prune(best, share)
    except ValueError as error:
      logging.warning('trial %d is not pruned: %s', best.candidate.trial, error)
      return []
    note = f'{best.candidate.note} pruned by {share:g}'.strip()
    candidate = dataclasses.replace(best.candidate, architecture=smaller, note=note)
    return self._fitting([candidate], start=start)

  def _fitting(
    self,
    candidates: Sequence[Candidate],
    teachers: Sequence[Finalist] = (),
    start: pathlib.Path | None = None,
  ) -> list[Finalist]:
    """Those of the candidates that could be finished and fit."""
    kept = []
    for finalist in self.finish_all(candidates, teachers, start):
      trial, measured = self.trial_of(finalist), finalist.measurement
      if fits(finalist, trial, self.budget):
        kept.append(finalist)
      elif measured.status is Status.COMPLETE:
        logging.warning(
          'trial %d passes the budget once trained: %s B flash, %s B SRAM',
          trial.index,
          measured.flash_bytes,
          measured.sram_bytes,
        )
      else:
        logging.warning('trial %d could not be finished: %s', trial.index, _cause(finalist))
    return kept

  def trial_of(self, finalist: Finalist) -> Trial:
    """Where a finalist was found."""
    return next(t for t in self.trials if t.index == finalist.candidate.trial)

  def _seed_of(self, repeat: int) -> int:
    return derive_seed(self.seed, 'repeat', repeat)

  def _why_none(self, feasible: int) -> str:
    if feasible:
      return f'none of {feasible} feasible networks could be finished in the budget'
    return (
      f'none of {len(self.trials)} trials fits {self.budget.flash_bytes:,} B flash and '
      f'{self.budget.sram_bytes:,} B SRAM; try more --trials, a larger budget or a smaller space'
    )


def _cause(finalist: Finalist) -> str:
  return ''.join(finalist.measurement.detail.strip().splitlines()[-1:])


def _sorted(finalists: Sequence[Finalist]) -> list[Finalist]:
  return sorted(finalists, key=lambda f: f.score, reverse=True)  # stable: of equals the first


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
  architecture = winner.architecture.to_json()
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
      'int8_test_interval': list(winner.int8_test_interval),
      **dataclasses.asdict(winner.footprint),
      'macs': winner.macs,
      'budget': dataclasses.asdict(budget),
    },
    'finalists': [json.loads(finalist.to_json()) for finalist in winner.finalists],
  }
  (folder / 'result.json').write_text(json.dumps(result, indent=2) + '\n')
  title = f'trial {winner.trial.index}: int8 test accuracy {winner.int8_test_accuracy:.4f}\n'
  title += f'flash {winner.footprint.flash_bytes:,} B, SRAM {winner.footprint.sram_bytes:,} B'
  draw(
    winner.architecture,
    [best / 'architecture.svg', best / 'architecture.png'],
    input_shape=input_shape,
    classes=classes,
    title=title,
  )
