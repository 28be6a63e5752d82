"""`rlnas finish`: finishes a search again from its journal, with other settings.

Networks that this command or `rlnas search` has already trained with the same settings are not
trained again, so the same command resumes after an interruption. Finishing settings that you do not
give have their defaults.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import textwrap
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from rlnas.cli.config import FinishConfig, SearchConfig
from rlnas.cli.config_file import write_config
from rlnas.cli.flags import (
  check_positive,
  define_finish_flags,
  define_some_flags,
  named_by_flags,
  no_arguments,
  read_finish_config,
  show,
)
from rlnas.cli.guard import stopping
from rlnas.cli.loading import load_tensorflow, start_compiler
from rlnas.cli.workdir import budget_of, build_of, dataset_of, given_config
from rlnas.data.metrics import NOTABLE_SHARE, Metric, metric_for
from rlnas.data.shared_features import shared_features
from rlnas.data.tasks import Task
from rlnas.progress import told_to
from rlnas.trial import Status, Trial

_MOST_RECALLS, _WORST_RECALLS = 12, 5  # of more classes only the worst are shown
_MOST_COMPARED = 3  # finalists after the winner

if TYPE_CHECKING:
  from rlnas.budget import Budget
  from rlnas.child.augment import Changes
  from rlnas.cost.builds import Build
  from rlnas.data.dataset import Dataset
  from rlnas.finishing.finalists import Finalist
  from rlnas.finishing.plan import Plan
  from rlnas.finishing.winner import Winner
  from rlnas.interfaces import Evaluator, Executor
  from rlnas.reports.anomaly_metrics import AnomalyQuality
  from rlnas.reports.regression_metrics import RegressionQuality


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of this command."""
  define_some_flags(flag_values, 'workdir', 'data_dir', 'workers')
  define_finish_flags(flag_values)


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Finishes the search in the workdir."""
  started = time.perf_counter()
  no_arguments(arguments)
  finish_config = read_finish_config(flag_values)
  check_positive('workers', flag_values)
  config = given_config(flag_values)
  config = dataclasses.replace(config, finish=finish_config)
  from rlnas.cli.export import closing_lines, export_workdir
  from rlnas.cli.report import report
  from rlnas.search.journal import read_journal

  workdir = pathlib.Path(config.workdir)
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  dataset = dataset_of(config, configuration, trials)
  with shared_features(dataset, workdir) as shared:
    with named_by_flags():
      finish(
        trials,
        shared,
        budget_of(configuration),
        config,
        build=build_of(configuration),
        workers=flag_values['workers'].value,
        since=started,
      )
    write_config(config, workdir)
    winner = export_workdir(workdir, shared) / 'report.html'
  show('\n' + closing_lines(config, search=report(workdir), winner=winner))


def finish(
  trials: Sequence[Trial],
  dataset: Dataset,
  budget: Budget,
  config: SearchConfig,
  *,
  build: Build,
  workers: int | None,
  since: float,
) -> Winner:
  """Trains the finalists, writes the winner's files and shows the outcome.

  Args:
    trials: trials of the search.
    dataset: the data of the search.
    budget: the limits that the winner must fit.
    config: configuration of the search.
    build: build of TFLite Micro whose arena the budget limits.
    workers: number of worker processes; None for one per core, or, if the search ran within the
      process of its command, for none.
    since: start of the work, from `time.perf_counter`.

  Raises:
    ValueError: the settings do not fit the data.
    SearchError: no network fits the budget, or none could be finished.
    OSError: a file cannot be written.
  """
  start_compiler()
  load_tensorflow()
  from rlnas.data.int8_range import gap_warning
  from rlnas.evaluation.executors import InProcess, WorkerPool, default_workers
  from rlnas.finishing.winner import finish_best, write_winner
  from rlnas.reports.progress_bar import Bar
  from rlnas.trial import derive_seed

  def executor_of(evaluator: Evaluator) -> Executor:
    if workers is None and config.executor == 'inprocess':
      return InProcess(evaluator)
    return WorkerPool(evaluator, workers=workers or default_workers(), trial_timeout=math.inf)

  workdir = pathlib.Path(config.workdir)
  plan = plan_of(config, dataset)
  best = 0.0
  with (
    Bar(plan.finalists, 'finish', unit='finalists') as bar,
    told_to(bar.on_step),
    stopping(bar, plan.finalists, 'finalists'),
  ):

    def on_finished(finalist: Finalist) -> None:
      nonlocal best
      best = max(best, finalist.score[0])
      bar.end(finalist.candidate.title, text=f'best {best:.4f}')

    winner = finish_best(
      trials,
      dataset,
      budget,
      plan=plan,
      seed=derive_seed(config.seed, 'finish'),
      speed=config.speed(),
      build=build,
      folder=workdir / 'finalists',
      prefer=config.finish.prefer,
      executor_factory=executor_of,
      on_finished=on_finished,
    )
  seconds = time.perf_counter() - since
  write_winner(winner, trials, budget, workdir, dataset=dataset, seconds=seconds)
  show_winner(winner, trials, budget, config, dataset)
  gap = gap_warning(
    winner.validation_accuracy,
    winner.int8_validation_accuracy,
    dataset,
    metric=winner.metric,
  )
  for warning in (chance_warning(winner, dataset), gap):
    if warning:
      show(f'\nWarning: {warning}')
  return winner


def _augmentation(asked: FinishConfig, dataset: Dataset) -> Changes:
  """The random changes of the training examples."""
  from rlnas.child.augment import suited_augmentation
  from rlnas.child.spec_augment import for_sound
  from rlnas.child.turns import for_motion

  if dataset.sound is not None:
    return for_sound(dataset, masks=asked.masks, shift=asked.shift)
  if asked.turn:
    return for_motion(dataset, asked.turn)
  suited = suited_augmentation(dataset.input_shape, flip=asked.flip)
  return suited if asked.shift is None else dataclasses.replace(suited, shift_pixels=asked.shift)


def plan_of(config: SearchConfig, dataset: Dataset) -> Plan:
  """The plan of the finishing. Raises ValueError if it has flip or shift, but no images."""
  from rlnas.cli.build import check_augmentation
  from rlnas.finishing.plan import Plan, Teaching
  from rlnas.finishing.recipe import Recipe

  asked = config.finish
  check_augmentation(asked, dataset)
  recipe = Recipe(
    asked.epochs,
    learning_rate=asked.learning_rate,
    warmup=asked.warmup,
    augmentation=_augmentation(asked, dataset),
    patience=asked.patience,
    further_epochs=asked.further_epochs,
    metric=metric_for(dataset, config.metric),
  )
  return Plan(
    recipe,
    top=asked.top,
    seeds=asked.seeds,
    teaching=None if asked.teacher is None else Teaching(asked.teacher),
    prune=asked.prune,
    halving=asked.halving,
  )


def show_winner(
  winner: Winner,
  trials: Sequence[Trial],
  budget: Budget,
  config: SearchConfig,
  dataset: Dataset,
) -> None:
  """Prints the Pareto front, the finalists and the winner."""
  from rlnas.cost.latency import timing
  from rlnas.pareto import format_front, pareto_front

  footprint = winner.footprint
  failed = [t for t in trials if t.measurement.status is Status.FAILED]
  if failed:
    cause = failed[0].measurement.detail.strip().splitlines()[-1]
    show(f'\n{len(failed)} of {len(trials)} trials failed; cause of the first: {cause}')
  show('\nPareto front of the search (validation data):')
  front = pareto_front(trials, budget)
  show(format_front(front, title=winner.metric.label, winner=winner.trial))
  show(f'\nFinalists, trained for up to {config.finish.epochs} epochs (validation data):')
  show(format_finalists(winner))
  planned = '  (planned: TFLite Micro is not installed)' if footprint.is_planned else ''
  sram = f'{footprint.sram_bytes:,} of {budget.sram_bytes:,} B, {footprint.sram_build}{planned}'
  rows = [
    *rows_on_test_data(winner, dataset),
    (f'int8 validation {winner.metric.label}', f'{winner.int8_validation_accuracy:.4f}'),
    ('flash', f'{footprint.flash_bytes:,} of {budget.flash_bytes:,} B'),
    ('SRAM', sram),
    ('MACs', f'{winner.macs:,}'),
  ]
  if (speed := config.speed()) is not None:
    known = timing(winner.architecture, dataset.task, speed=speed).latency_ms
    rows.append(('latency', f'{known} ms, estimated'))
  width = max(len(name) for name, _ in rows)
  show(f'\nWinner: {winner.finalists[0].candidate.title}')
  show(
    textwrap.fill(
      f'{winner.why} (--prefer={winner.prefer.value})',
      80,
      initial_indent='  ',
      subsequent_indent='  ',
    )
  )
  show('\n'.join(f'  {name:{width}}  {text}' for name, text in rows))


def rows_on_test_data(winner: Winner, dataset: Dataset) -> list[tuple[str, str]]:
  """Names and texts of the winner's figures on the test data, each with that of chance."""
  low, high = winner.int8_test_interval
  if winner.int8_test_values is not None:
    return rows_of_values(winner.int8_test_values)
  if winner.int8_test_alarms is not None:
    return rows_of_alarms(winner.int8_test_alarms)
  name = dataset.class_names[winner.largest_class]
  grouped = '' if winner.int8_test_groups is None else ', wider if examples of a group are alike'
  rows = [
    (
      'int8 test accuracy',
      f'{winner.int8_test_accuracy:.4f}  (test data, used once; 95 % interval {low:.4f} to '
      f'{high:.4f}{grouped}); always {name!r}: {winner.chance(Metric.ACCURACY):.4f}',
    )
  ]
  if (metric := winner.metric) is not Metric.ACCURACY:
    text = f'{winner.tested(metric):.4f}; always {name!r}: {winner.chance(metric):.4f}'
    rows.append((f'int8 test {metric.label}', text))
  recalls = [
    (recall, name)
    for recall, name in zip(winner.recall_by_class, dataset.class_names, strict=True)
    if recall is not None
  ]
  title = 'recall by class'
  if len(recalls) > _MOST_RECALLS:
    title = f'recall, worst {_WORST_RECALLS} classes'
    recalls = sorted(recalls)[:_WORST_RECALLS]
  rows.append((title, ', '.join(f'{name} {recall:.3f}' for recall, name in recalls)))
  if winner.int8_test_groups is not None:
    rows.append(('int8 test accuracy by group', str(winner.int8_test_groups)))
  return rows


def rows_of_values(quality: RegressionQuality) -> list[tuple[str, str]]:
  """Names and texts of the figures of a regression, in the units of its values."""
  low, high = quality.interval
  interval = f'95 % interval {low:.4f} to {high:.4f}, of {quality.examples:,} examples'
  rows = [('int8 test R²', f'{quality.quality:.4f}  ({interval})')]
  for one in quality.values:
    text = f'R² {one.r2:.4f}, MAE {one.mae:.4g}, RMSE {one.rmse:.4g}; always the mean: MAE '
    rows.append((one.name, text + f'{one.mean_mae:.4g}, RMSE {one.mean_rmse:.4g}'))
  return rows


def rows_of_alarms(quality: AnomalyQuality) -> list[tuple[str, str]]:
  """Names and texts of the figures of an anomaly detection."""
  low, high = quality.interval
  interval = f'95 % interval {low:.4f} to {high:.4f}, of {quality.examples:,} examples'
  rows = [
    ('int8 test AUC', f'{quality.auc:.4f}  ({interval})'),
    ('int8 test partial AUC', f'{quality.partial_auc:.4f}  (at most 10 % of false alarms)'),
  ]
  for alarm in quality.alarms:
    text = f'finds {alarm.found:.1%} with {alarm.false_alarms:.1%} of false alarms'
    rows.append((f'threshold {alarm.threshold:.4g}', f'{text} ({alarm.rate:.0%} in validation)'))
  return rows


def chance_warning(winner: Winner, dataset: Dataset) -> str:
  """Warns if the winner is not better than an answer without a network; '' if it is."""
  metric = winner.metric
  reached, chance = winner.tested(metric), winner.chance(metric)
  if reached > chance:
    return ''
  if dataset.head.task is Task.ANOMALY:
    return (
      f'the winner is not better than chance: its test {metric.label} is {reached:.4f}. Normal '
      'examples may be too unlike each other, or anomalies too like them.'
    )
  if dataset.head.task is Task.REGRESSION:
    return (
      f'the winner is not better than always giving the mean of the training data: its test '
      f'{metric.label} is {reached:.4f}. It needs more epochs (--finish_epochs), or more examples.'
    )
  advice = 'It needs more epochs, or more examples of the other classes.'
  if metric is Metric.ACCURACY and chance * dataset.classes > NOTABLE_SHARE:
    advice = 'A search with --metric=balanced_accuracy counts all classes alike.'
  return (
    f'the winner is not better than always naming {dataset.class_names[winner.largest_class]!r}, '
    f'the largest class: its test {metric.label} is {reached:.4f}, that of chance is '
    f'{chance:.4f}. {advice}'
  )


def format_finalists(winner: Winner) -> str:
  """The finalists as a table for a terminal, the winner first; compares the next ones with it."""
  from rlnas.pareto import compared, milliseconds

  has_latency = winner.latency_ms is not None
  lines = [
    f'    #  {"trial":>5}  {"float":>6}  {"int8":>6}  {"flash B":>9}  {"SRAM B":>9}  {"MACs":>11}'
    + (f'  {"ms":>7}' if has_latency else '')
  ]
  for number, finalist in enumerate(winner.finalists, start=1):
    m = finalist.measurement
    mark = '*' if number == 1 else '+' if winner.on_front[number - 1] else ' '
    lines.append(
      f'{mark} {number:3d}  {finalist.candidate.trial:5d}  {m.validation_accuracy:6.4f}  '
      f'{m.int8_validation_accuracy:6.4f}  {m.flash_bytes:9,d}  {m.sram_bytes:9,d}  {m.macs:11,d}'
      + (f'  {milliseconds(m.latency_ms):>7}' if has_latency else '')
      + '  '.join(['', *filter(None, (finalist.trained, finalist.candidate.note, m.detail))])
    )
  best, *others = winner.finalists
  if others:
    lines.append('* the winner, + on the Pareto front of the finalists; against the winner:')
  for number, other in enumerate(others[:_MOST_COMPARED], start=2):
    gain = other.score[0] - best.score[0]
    costs = compared(other.measurement.resources, best.measurement.resources)
    lines.append(f'{number:5d}  {gain:+.4f} int8, {costs or "the same costs"}')
  return '\n'.join(lines)
