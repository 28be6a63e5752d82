"""Turns a finished search into its winner: full training, one test on the test data, files."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlnas.architecture import Architecture, TaskShape
from rlnas.budget import Budget
from rlnas.child.distill import Teacher
from rlnas.child.inherit import save_weights
from rlnas.child.prune import prune_filters
from rlnas.cost.builds import HOST, Build
from rlnas.cost.preprocessing import with_input_of, without_preprocessing
from rlnas.cost.speed import Speed
from rlnas.data.atomic_file import write_folder
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import (
  Metric,
  chance_confusion,
  largest_class,
  metrics_of,
  recall_by_class,
)
from rlnas.data.spread import Spread
from rlnas.data.tasks import Task
from rlnas.data.windowed import through
from rlnas.evaluation.executors import InProcess
from rlnas.evaluation.screened import check_speed
from rlnas.finishing.choice import Prefer
from rlnas.finishing.evaluator import Finishing, Training
from rlnas.finishing.finalists import Candidate, Finalist, FinalistFile, finish_candidates, timed
from rlnas.finishing.judge import Judge
from rlnas.finishing.plan import Plan, Tools, run_plan, trial_of
from rlnas.interfaces import Evaluator, Executor
from rlnas.reports.anomaly_metrics import AnomalyQuality, judged_scores
from rlnas.reports.classification_metrics import wilson_interval
from rlnas.reports.graph_drawing import drawings
from rlnas.reports.regression_metrics import RegressionQuality, assess_values
from rlnas.reward import is_feasible
from rlnas.tflite.footprint import Footprint, measure
from rlnas.tflite.inference import int8_answers, int8_confusion, int8_spread
from rlnas.tflite.offline_plan import with_offline_plan
from rlnas.trial import Status, Trial


@dataclasses.dataclass(frozen=True)
class Winner:
  """The network that a search ends with.

  Attributes:
    trial: the trial that found it.
    architecture: the network that was trained.
    model: the .tflite file.
    metric: the metric that decided the choice.
    validation_accuracy: the metric of the float network on validation data, in [0, 1].
    int8_validation_accuracy: the metric of `model`, which decided the choice.
    int8_test_accuracy: accuracy of `model` on the test data, which no earlier step uses; R² of a
      regression, AUC of an anomaly detection.
    int8_test_interval: 95 % confidence interval of that (Wilson 1927; a bootstrap in other tasks).
      It covers the random choice of the test examples, not that of the search or of the training.
    int8_test_confusion: test examples by true class, then by the class that `model` names; () of
      other tasks.
    largest_class: the class with the most training examples; 0 in other tasks.
    footprint: flash and SRAM of `model`.
    macs: multiply-accumulate operations of one inference.
    latency_ms: estimated time of one inference of `architecture`; None if the board's speed is
      unknown.
    finalists: all finalists that it was chosen from: its own first, then the most accurate.
    on_front: for each of them, whether no other is at least as good in accuracy, flash, SRAM and
      MACs, and better in one of them.
    prefer: how much accuracy could be given up for less memory and work.
    why: why it won, in one sentence.
    int8_validation_groups: accuracy of `model` on each group of the validation data, such as a
      person; None if the data have no groups.
    int8_test_groups: likewise on the test data.
    int8_test_values: of a regression, the errors of `model` on the test data; else None.
    int8_test_alarms: of an anomaly detection, what `model` finds in the test data; else None.
  """

  trial: Trial
  architecture: Architecture
  model: bytes
  metric: Metric
  validation_accuracy: float
  int8_validation_accuracy: float
  int8_test_accuracy: float
  int8_test_interval: tuple[float, float]
  int8_test_confusion: tuple[tuple[int, ...], ...]
  largest_class: int
  footprint: Footprint
  macs: int
  latency_ms: float | None
  finalists: tuple[Finalist, ...]
  on_front: tuple[bool, ...]
  prefer: Prefer
  why: str
  int8_validation_groups: Spread | None = None
  int8_test_groups: Spread | None = None
  int8_test_values: RegressionQuality | None = None
  int8_test_alarms: AnomalyQuality | None = None

  @property
  def recall_by_class(self) -> tuple[float | None, ...]:
    """For each class the share of its test examples that `model` recognises; None without any."""
    return recall_by_class(np.array(self.int8_test_confusion))

  def tested(self, metric: Metric) -> float:
    """A metric of `model` on the test data, for its task."""
    if self.int8_test_alarms is not None:
      alarms = self.int8_test_alarms
      return alarms.auc if metric is Metric.AUC else alarms.partial_auc
    if self.int8_test_values is not None:
      return self.int8_test_accuracy
    return metric.of(np.array(self.int8_test_confusion))

  def chance(self, metric: Metric) -> float:
    """The metric on the test data if every answer is the largest class, or the mean values.

    In anomaly detection it is that of random scores.
    """
    if metric.task is not Task.CLASSIFICATION:
      return 0.0 if metric.task is Task.REGRESSION else 0.5
    examples = np.array(self.int8_test_confusion).sum(1)
    return metric.of(chance_confusion(examples, self.largest_class))


def finish_best(
  trials: Sequence[Trial],
  dataset: Dataset,
  budget: Budget,
  *,
  plan: Plan,
  seed: int,
  prefer: Prefer | str = Prefer.BALANCED,
  speed: Speed | None = None,
  build: Build = HOST,
  folder: str | os.PathLike[str] | None = None,
  executor_factory: Callable[[Evaluator], Executor] = InProcess,
  on_finished: Callable[[Finalist], None] | None = None,
) -> Winner:
  """Trains finalists, chooses one on validation data and measures its test accuracy.

  Each training starts from scratch; the winner gets all epochs, others as many as comparisons on
  validation data allow (`Plan.halving`). The trained files are measured again: if one exceeds the
  budget or its training fails, the next network replaces it. The result does not depend on the
  executor.

  Args:
    trials: trials of the search.
    dataset: the data; its test data are used once, for the winner.
    budget: the limits that the winner must fit.
    plan: what to train, and how.
    seed: decides the initial weights, the order of the examples and their augmentation.
    prefer: how much accuracy on validation data a smaller network may cost (`Prefer`).
    speed: speed of the board; without it no latency is known, and none can be limited.
    build: the board's build of TFLite Micro, whose arena the budget limits.
    folder: keeps each finalist as soon as it is finished, so that an interrupted call can resume;
      by default they are kept until the end of the call.
    executor_factory: makes the executor of an evaluator, for example `lambda e: WorkerPool(e,
      workers=2)`.
    on_finished: called with each finalist as soon as its training ends, and again if it goes on
      after all and ends later.

  Raises:
    SearchError: no trial is feasible, or none could be finished.
    ValueError: the folder holds something else, or there is no such preference.
    OSError: a file cannot be written.
  """
  check_speed(budget, speed)
  prefer = Prefer(prefer)
  with contextlib.ExitStack() as stack:
    if folder is None:
      folder = stack.enter_context(tempfile.TemporaryDirectory())
    where = pathlib.Path(folder)
    store = FinalistFile(where)
    stack.callback(store.close)

    plain = Finishing(dataset, plan.recipe, where, build=build)
    trainer = stack.enter_context(
      contextlib.closing(_Trainer(dataset.task, plain, store, executor_factory, speed))
    )
    judge = Judge(dataset, prefer, metric=plan.recipe.metric, model_path=plain.model_path)
    heard: set[tuple[str, int | None]] = set()

    def once(finalist: Finalist) -> None:
      """Says that a training has ended, once: what compares it may say so again."""
      end = finalist.candidate.title, finalist.epochs
      if on_finished is not None and end not in heard:
        heard.add(end)
        on_finished(finalist)

    def prune(finalist: Finalist, share: float) -> tuple[Architecture, str]:
      whole = Teacher(finalist.candidate.architecture, plain.weights_path(finalist.name))
      network = without_preprocessing(whole.architecture)
      smaller, pruned = prune_filters(whole.load(dataset), network, share=share)
      name = f'{finalist.name}-less-{share:g}'
      save_weights(pruned, plain.weights_path(name))
      return with_input_of(smaller, whole.architecture), name

    tools = Tools(
      finish_all=functools.partial(trainer.finish_all, on_finished=once),
      prune=prune,
      judge=judge.choose,
      loss=judge.loss,
      on_stopped=once,
    )
    finalists = run_plan(trials, budget, plan, seed=seed, tools=tools)
    choice = judge.choose(finalists)
    best = choice.finalists[0]
    trained = plain.model_path(best.name).read_bytes()
  model = with_offline_plan(trained, budget, build=build)
  measured, architecture = best.measurement, best.candidate.architecture
  _, seen = through(architecture, dataset)
  return Winner(
    trial=trial_of(best, trials),
    architecture=architecture,
    model=model,
    metric=plan.recipe.metric,
    validation_accuracy=measured.validation_accuracy or 0.0,
    int8_validation_accuracy=measured.int8_validation_accuracy or 0.0,
    footprint=measure(model, build=build).with_preprocessing_of(architecture),
    macs=measured.macs or 0,
    latency_ms=measured.latency_ms,
    finalists=choice.finalists,
    on_front=choice.on_front,
    prefer=prefer,
    why=choice.why,
    **_tested(model, seen),
  )


def _tested(model: bytes, dataset: Dataset) -> dict[str, Any]:
  """The fields of a `Winner` that say what its model does on the test data."""
  x, y, scaling = dataset.x_test, dataset.y_test, dataset.scaling
  if dataset.head.task is Task.REGRESSION:
    values = assess_values(
      y,
      int8_answers(model, x, scaling=scaling, head=dataset.head),
      names=dataset.class_names,
      head=dataset.head,
    )
    return {
      'int8_test_accuracy': values.quality,
      'int8_test_interval': values.interval,
      'int8_test_confusion': (),
      'largest_class': 0,
      'int8_test_values': values,
    }
  if dataset.head.task is Task.ANOMALY:
    alarms = judged_scores(model, dataset, 'test')
    return {
      'int8_test_accuracy': alarms.auc,
      'int8_test_interval': alarms.interval,
      'int8_test_confusion': (),
      'largest_class': 0,
      'int8_test_alarms': alarms,
    }
  confusion = int8_confusion(model, x, y, scaling=scaling)
  return {
    'int8_test_accuracy': Metric.ACCURACY.of(confusion),
    'int8_test_interval': wilson_interval(int(confusion.trace()), int(confusion.sum())),
    'int8_test_confusion': tuple(map(tuple, confusion.tolist())),
    'largest_class': largest_class(dataset.y_train, classes=dataset.classes),
    'int8_validation_groups': int8_spread(
      model, dataset.x_val, dataset.y_val, scaling=scaling, groups=dataset.groups_val
    ),
    'int8_test_groups': int8_spread(model, x, y, scaling=scaling, groups=dataset.groups_test),
  }


class _Trainer:
  """Trains candidates; keeps its workers from one round to the next if the teachers are the same.

  Args:
    task: shape of the input of the networks, and number of their outputs.
    plain: the evaluator without teachers, whose folder holds all files.
    store: stores what is done.
    executor_factory: makes the executor of an evaluator.
    speed: speed of the board, if known.
  """

  def __init__(
    self,
    task: TaskShape,
    plain: Finishing,
    store: FinalistFile,
    executor_factory: Callable[[Evaluator], Executor],
    speed: Speed | None,
  ) -> None:
    self._task, self._plain, self._store = task, plain, store
    self._executor_factory, self._speed = executor_factory, speed
    self._running: tuple[tuple[str, ...], Finishing, Executor] | None = None

  def finish_all(
    self,
    candidates: Sequence[Candidate],
    trainings: Sequence[Training],
    teachers: Sequence[Finalist],
    *,
    on_finished: Callable[[Finalist], None],
  ) -> list[Finalist]:
    """See `rlnas.finishing.plan.Tools`."""
    evaluator, executor = self._executor(teachers)
    finished = finish_candidates(
      candidates, trainings, evaluator, executor, self._store, on_finished=on_finished
    )
    return [timed(finalist, self._task, self._speed) for finalist in finished]

  def _executor(self, teachers: Sequence[Finalist]) -> tuple[Finishing, Executor]:
    names = tuple(teacher.name for teacher in teachers)
    if self._running is None or self._running[0] != names:
      self.close()
      evaluator = self._plain.taught_by(
        [Teacher(t.candidate.architecture, self._plain.weights_path(t.name)) for t in teachers]
      )
      self._running = names, evaluator, self._executor_factory(evaluator)
    return self._running[1:]

  def close(self) -> None:
    """Ends the workers."""
    if self._running is not None:
      self._running[2].close()
      self._running = None


def write_winner(
  winner: Winner,
  trials: Sequence[Trial],
  budget: Budget,
  folder: str | os.PathLike[str],
  *,
  dataset: Dataset,
  seconds: float,
) -> None:
  """Writes result.json and, in best/, model.tflite and architecture.json, .svg and .png.

  All of them are written, or all stay as they were.

  Args:
    winner: winner of the search.
    trials: trials of the search.
    budget: the limits that it fits.
    folder: folder for the files; created if it does not exist.
    dataset: the data of the search, as given.
    seconds: duration of the search and the finish.

  Raises:
    OSError: a file cannot be written.
  """
  metrics = metrics_of(dataset.head.task)
  result: dict[str, Any] = {
    'trials': len(trials),
    'feasible': sum(is_feasible(t.measurement, budget) for t in trials),
    'failed': sum(t.measurement.status is Status.FAILED for t in trials),
    'seconds': round(seconds, 1),
    'best': {
      'trial': winner.trial.index,
      'task': dataset.head.task.value,
      'metric': winner.metric.value,
      'architecture': json.loads(winner.architecture.to_json()),
      'validation_accuracy': winner.validation_accuracy,
      'int8_validation_accuracy': winner.int8_validation_accuracy,
      'int8_test_accuracy': winner.int8_test_accuracy,
      'int8_test_interval': list(winner.int8_test_interval),
      'int8_validation_quality': winner.int8_validation_accuracy,
      'int8_test_quality': winner.tested(winner.metric),
      'int8_test_metrics': {metric.value: winner.tested(metric) for metric in metrics},
      'chance': {metric.value: winner.chance(metric) for metric in metrics},
      **{
        name: None if spread is None else spread.to_record()
        for name, spread in (
          ('int8_validation_groups', winner.int8_validation_groups),
          ('int8_test_groups', winner.int8_test_groups),
        )
      },
      **_by_output(winner, dataset),
      **dataclasses.asdict(winner.footprint),
      'macs': winner.macs,
      'latency_ms': winner.latency_ms,
      # The network reads (x - offset) / scale, limited to ±limit if there is one, or of that what
      # the preprocessing in its architecture gives.
      'input': {
        'shape': list(dataset.input_shape),
        'type': dataset.x_train.dtype.name,  # in which raw values are kept before they are scaled
        'features': list(dataset.features),
        'offset': np.asarray(dataset.scaling.offset).tolist(),
        'scale': np.asarray(dataset.scaling.scale).tolist(),
        'limit': dataset.scaling.limit,
      },
      'budget': dataclasses.asdict(budget),
    },
    'prefer': winner.prefer.value,
    'why': winner.why,
    'finalists': [
      {
        **finalist.figures(),
        'on_front': on_front,
        'architecture': json.loads(finalist.candidate.architecture.to_json()),
      }
      for finalist, on_front in zip(winner.finalists, winner.on_front, strict=True)
    ],
  }
  word = 'accuracy' if dataset.head.task is Task.CLASSIFICATION else metrics[0].label
  title = f'trial {winner.trial.index}: int8 test {word} {winner.int8_test_accuracy:.4f}\n'
  title += f'flash {winner.footprint.flash_bytes:,} B, SRAM {winner.footprint.sram_bytes:,} B'
  drawn = architecture_contents(winner.architecture, dataset.task, title=title)
  contents: dict[str, bytes | str] = {
    'result.json': json.dumps(result, indent=2) + '\n',
    'best/model.tflite': winner.model,
    **{f'best/{name}': content for name, content in drawn.items()},
  }
  write_folder(folder, contents)


def _by_output(winner: Winner, dataset: Dataset) -> dict[str, Any]:
  """The entries of result.json for each class, or for each value of a regression."""
  if winner.int8_test_alarms is not None:
    return {'int8_test_alarms': winner.int8_test_alarms.to_record()}
  values, targets = winner.int8_test_values, dataset.head.targets
  if values is None or targets is None:
    recalls = zip(dataset.class_names, winner.recall_by_class, strict=True)
    return {'recall_by_class': dict(recalls)}
  return {
    'int8_test_values': {one.name: one.to_record() for one in values.values},
    'targets': {  # a value is output * scale + offset
      'names': list(dataset.class_names),
      'offset': np.asarray(targets.offset).tolist(),
      'scale': np.asarray(targets.scale).tolist(),
    },
  }


def architecture_contents(
  architecture: Architecture, task: TaskShape, *, title: str = ''
) -> dict[str, bytes | str]:
  """The contents of architecture.json, .svg and .png, by their names."""
  svg, png = drawings(architecture, ['.svg', '.png'], task=task, title=title)
  return {
    'architecture.json': architecture.to_json() + '\n',
    'architecture.svg': svg,
    'architecture.png': png,
  }
