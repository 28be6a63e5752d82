"""Finalists: some networks of a search are trained fully, each once.

A training may have several parts (`rlnas.finishing.halving`). Each that is done is a line in
finalists.jsonl beside its .tflite file and its weights; after an interruption only the missing ones
are trained.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rlnas.architecture import Architecture, TaskShape
from rlnas.budget import Budget
from rlnas.cost.latency import instruction_count, latency_ms
from rlnas.cost.speed import Speed
from rlnas.finishing.evaluator import Finishing, Training
from rlnas.interfaces import Executor
from rlnas.pareto import pareto_front
from rlnas.progress import WAITING, Step, changed_by, tell
from rlnas.reward import is_feasible
from rlnas.search.line_file import LineFile, LockedError
from rlnas.trial import Measurement, Status, Trial

_PATIENCE_SECONDS = 5.0


class Stop(str, enum.Enum):
  """Why the training of a finalist ended."""

  ALL = 'all epochs'
  PATIENCE = 'patience'
  NO_GAIN = 'no gain'  # its last part made it no better (`rlnas.finishing.halving.has_gained`)
  DOMINATED = 'dominated'
  HALVED = 'worse half'
  FAILED = 'failed'  # its last part diverged or no longer fits; what it reached before is kept

  @property
  def may_continue(self) -> bool:
    """Whether only a comparison with others ended it."""
    return self in (Stop.DOMINATED, Stop.HALVED)


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A network to finish.

  Attributes:
    trial: index of the trial that found the network.
    architecture: the network.
    seed: seed of its training.
    note: how it differs from the other candidates of its trial, to be shown.
  """

  trial: int
  architecture: Architecture
  seed: int
  note: str = ''

  @property
  def title(self) -> str:
    """Its name for people: 'trial 7', 'trial 7 seed 2'."""
    return f'trial {self.trial} {self.note}'.strip()


@dataclasses.dataclass(frozen=True)
class Finalist:
  """A candidate that was trained, fully or until others were better.

  Attributes:
    candidate: the network.
    name: name of its files.
    measurement: measurement on validation data.
    epochs: number of epochs that it was trained, without further trainings; None if an earlier
      version finished it.
    stopped: why its training ended; None if it has not, or if an earlier version finished it.
  """

  candidate: Candidate
  name: str
  measurement: Measurement
  epochs: int | None = None
  stopped: Stop | None = None

  @property
  def score(self) -> tuple[float, float]:
    """Greater is better: int8 validation accuracy, then that of the float network."""
    measured = self.measurement
    return measured.int8_validation_accuracy or 0.0, measured.validation_accuracy or 0.0

  @property
  def trained(self) -> str:
    """How long it was trained, for people: '26 epochs (worse half)'; '' if that is not known."""
    if self.epochs is None or self.stopped is None:
      return ''
    return f'{self.epochs} epochs ({self.stopped.value})'

  def figures(self) -> dict[str, Any]:
    """The record in result.json, without the network: names, accuracies, costs."""
    measured = self.measurement
    return {
      'trial': self.candidate.trial,
      'note': self.candidate.note,
      'int8_validation_accuracy': measured.int8_validation_accuracy,
      'validation_accuracy': measured.validation_accuracy,
      'flash_bytes': measured.flash_bytes,
      'sram_bytes': measured.sram_bytes,
      'macs': measured.macs,
      'latency_ms': measured.latency_ms,
      'parameters': measured.parameters,
      'detail': measured.detail,
      'epochs': self.epochs,
      'stopped': None if self.stopped is None else self.stopped.value,
      'name': self.name,
      'seed': self.candidate.seed,
    }

  def to_json(self) -> str:
    """A line of finalists.jsonl."""
    record = {
      'name': self.name,
      'trial': self.candidate.trial,
      'seed': self.candidate.seed,
      'note': self.candidate.note,
      'digest': self.candidate.architecture.digest,
      'measurement': self.measurement.to_record(),
    }
    return json.dumps(record, allow_nan=False)


class FinalistFile:
  """The finished finalists: finalists.jsonl in a folder.

  Args:
    folder: folder of this file and of the finalists' files.

  Raises:
    ValueError: the file is damaged, or another process holds it.
    OSError: it cannot be read or written.
  """

  def __init__(self, folder: pathlib.Path) -> None:
    path = folder / 'finalists.jsonl'
    try:
      self._file = LineFile(path)
    except LockedError as error:
      raise ValueError(f'{path}: another process is finishing this search') from error
    content = self._file.read()
    whole = content[: content.rfind(b'\n') + 1]
    if len(whole) < len(content):  # it was killed while it wrote
      self._file.truncate(len(whole))
    self._known: dict[str, Measurement] = {}
    for number, line in enumerate(whole.decode(errors='replace').splitlines(), start=1):
      try:
        record = json.loads(line)
        self._known[record['name']] = Measurement.from_record(record['measurement'])
      except (KeyError, TypeError, ValueError) as error:
        self._file.close()
        raise ValueError(f'{path}:{number}: not a finalist ({error}); remove the line') from error

  def find(self, name: str, model_path: pathlib.Path) -> Measurement | None:
    """The stored measurement; None if there is none or the model file is missing."""
    known = self._known.get(name)
    if known is None or not model_path.exists():
      return None
    return known if model_path.stat().st_size == known.flash_bytes else None

  def add(self, finalist: Finalist) -> None:
    """Adds one and waits until the disk has it. Raises OSError."""
    self._file.append([finalist.to_json()])

  def close(self) -> None:
    """Lets other processes use the file."""
    self._file.close()


def rank_trials(trials: Sequence[Trial], budget: Budget, *, top: int) -> list[Trial]:
  """The order in which feasible networks are finished, each network once.

  Of the first `top`, half have the highest rewards; the others are the most accurate of the Pareto
  front that are not among them, so that different networks are finished too. All others follow by
  their rewards, in case some of the first cannot be finished.

  Args:
    trials: trials of the search.
    budget: the limits that they must fit.
    top: number of networks to finish.

  Raises:
    ValueError: `top` is below 1.
  """
  if top < 1:
    raise ValueError(f'top={top}: must be at least 1')
  feasible = [t for t in trials if is_feasible(t.measurement, budget)]
  by_reward = sorted(feasible, key=lambda t: (-(t.reward or 0.0), t.index))
  best = list(_distinct(by_reward))[: (top + 1) // 2]
  chosen = list(_distinct([*best, *pareto_front(trials, budget)]))[:top]
  return list(_distinct([*chosen, *by_reward]))


def _distinct(trials: Iterable[Trial]) -> Iterable[Trial]:
  """The first trial of each network."""
  first: dict[str, Trial] = {}
  for trial in trials:
    first.setdefault(trial.proposal.digest, trial)
  return first.values()


def finish_candidates(
  candidates: Sequence[Candidate],
  trainings: Sequence[Training],
  evaluator: Finishing,
  executor: Executor,
  store: FinalistFile,
  *,
  on_finished: Callable[[Finalist], None] | None = None,
) -> list[Finalist]:
  """Trains candidates, unless that was done before.

  Args:
    candidates: the networks.
    trainings: the training, or the part of it, that each of them gets now.
    evaluator: trains and measures.
    executor: runs that evaluator.
    store: stores the finished ones.
    on_finished: called with each finalist whose training has ended: stored ones first, then as
      they finish.

  Returns:
    All of them, in the order of the candidates; also failed ones, which are not stored.

  Raises:
    ExecutorError: no network can be evaluated.
    OSError: the store, or the files of a finalist, cannot be written.
  """
  seeds = [t.seed_from(c.seed) for c, t in zip(candidates, trainings, strict=True)]
  names = [evaluator.name(t, seed=s) for t, s in zip(trainings, seeds, strict=True)]
  done: dict[int, Finalist] = {}

  def conclude(key: int, measurement: Measurement) -> Finalist:
    training = trainings[key]
    epochs = training.before + (len(measurement.curve) or training.epochs)
    why = Stop.ALL if epochs == training.total else Stop.PATIENCE
    stopped = why if training.is_last else None
    done[key] = Finalist(candidates[key], names[key], measurement, epochs, stopped)
    if on_finished is not None and training.is_last:
      on_finished(done[key])
    return done[key]

  for key, training in enumerate(trainings):
    known = store.find(names[key], evaluator.model_path(names[key]))
    if known is None:
      executor.submit(key, training, seed=seeds[key])
    else:
      conclude(key, known)

  def named(step: Step) -> Step:
    if step.key is None:
      return step
    return dataclasses.replace(step, name=candidates[step.key].title)

  with changed_by(named):
    while len(done) < len(candidates):
      arrived = executor.collect(_PATIENCE_SECONDS)
      if arrived is not None:
        key, measurement = arrived
        finalist, training = conclude(key, measurement), trainings[key]
        if not training.is_last:  # nothing of it runs until the others of its rung have ended
          tell(Step(training.until, training.total, unit=WAITING, key=key))
        if finalist.measurement.status is Status.COMPLETE:
          store.add(finalist)
  return [done[key] for key in range(len(candidates))]


def timed(finalist: Finalist, task: TaskShape, speed: Speed | None) -> Finalist:
  """Adds the time of the finalist's own network, which may be pruned; None if not known."""
  architecture = finalist.candidate.architecture
  measurement = dataclasses.replace(
    finalist.measurement,
    latency_ms=latency_ms(architecture, task, speed=speed),
    instructions=instruction_count(architecture, task, speed=speed),
  )
  return dataclasses.replace(finalist, measurement=measurement)
