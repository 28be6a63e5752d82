"""`rlnas search`: searches for a network that fits a board, and writes an int8 model with C code.

Without flags it searches on 5,000 images of MNIST for a board with 20 KiB SRAM. Open search.html in
the folder of the search to watch. The same command resumes a search that was stopped; a larger
number of --trials continues it.

At the end best/ holds the model, its drawing, its report and the bundle that `rlnas export` writes.
Beside it lie result.json (the winner, the other finalists, and why it won), journal.jsonl (every
trial), config.json, scalars.jsonl (the strategy's figures, such as its loss), controller.npz (if
the strategy has a controller), pareto.png, finalists/ and tensorboard/.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from absl import flags, logging

from rlnas.cli import choices
from rlnas.cli.config import SearchConfig
from rlnas.cli.config_file import write_config
from rlnas.cli.flags import (
  define_finish_flags,
  define_search_flags,
  named_by_flags,
  no_arguments,
  options_text,
  read_search_config,
  show,
)
from rlnas.cli.guard import stopping
from rlnas.cli.loading import load_tensorflow, start_compiler
from rlnas.data.description import as_sequence, describe
from rlnas.data.loaders import BUILT_IN, DOWNLOADED
from rlnas.data.metrics import Metric
from rlnas.data.shared_features import shared_features
from rlnas.data.sound_settings import HEARD
from rlnas.data.tasks import Task
from rlnas.evaluation.workers import end_if_imported_by_worker
from rlnas.progress import told_to
from rlnas.spaces.decision import Space
from rlnas.spaces.preprocessed import Preprocessed
from rlnas.spaces.preprocessed_sound import PreprocessedSound
from rlnas.trial import Trial

if TYPE_CHECKING:
  from rlnas.cli.build import Setup
  from rlnas.finishing.winner import Winner
  from rlnas.interfaces import Executor, Strategy
  from rlnas.reports.tensorboard import TensorBoard


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of this command."""
  define_search_flags(flag_values)
  define_finish_flags(flag_values)
  flags.DEFINE_bool(
    'tensorboard',
    False,
    'Whether TensorBoard shows the search while it runs, at a local address that is '
    'printed. It ends with the command.',
    flag_values=flag_values,
  )


def extra_help() -> str:
  """The text of --help after the flags."""
  return 'Options, with their defaults:\n' + options_text()


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Runs the search that the flags describe."""
  no_arguments(arguments)
  config = read_search_config(flag_values)
  with named_by_flags():
    run(config, tensorboard=flag_values['tensorboard'].value)


def run(config: SearchConfig, *, tensorboard: bool = False) -> Winner:
  """Searches, finishes the winner and writes the results, as the command does; shows progress.

  Args:
    config: configuration of the search. If its `workdir` holds a search, that search is resumed.
    tensorboard: whether TensorBoard shows it at an address of the loopback interface, until this
      process ends.

  Returns:
    The winner; its files are in `workdir`/best.

  Raises:
    ValueError: a setting is wrong, or `workdir` holds a search with another configuration.
    OSError: a file cannot be read or written.
    SearchError: no network fits the budget, or too many trials fail.
    ExecutorError: worker processes cannot be started.
    KeyboardInterrupt: Ctrl-C; what was evaluated is kept.
  """
  end_if_imported_by_worker()
  started = time.perf_counter()
  config.check()
  start_compiler()  # first, so that it is done when the first results arrive
  if config.dataset in DOWNLOADED:  # by Keras
    load_tensorflow()
  from rlnas.cli.build import set_up

  setup = set_up(config)  # before TensorFlow is loaded, so that a mistake is told at once
  load_tensorflow()
  with shared_features(setup.dataset, setup.config.workdir) as dataset:
    return _run(dataclasses.replace(setup, dataset=dataset), started, tensorboard=tensorboard)


def _run(setup: Setup, started: float, *, tensorboard: bool) -> Winner:
  """Searches and finishes; see `run`."""
  config, workdir = setup.config, pathlib.Path(setup.config.workdir)
  trials = search(setup, tensorboard=tensorboard)
  from rlnas.cli.export import closing_lines, export_workdir
  from rlnas.cli.finish import finish
  from rlnas.cli.report import report
  from rlnas.reports.pareto_figure import plot_pareto

  winner = finish(
    trials,
    setup.dataset,
    setup.budget,
    config,
    build=setup.build,
    workers=config.workers,
    since=started,
  )
  title = f'{config.strategy}, {config.space}, {setup.dataset.name}, {config.board}'
  plot_pareto(
    trials,
    setup.budget,
    workdir / 'pareto.png',
    title=f'{title}: {len(trials)} trials',
    metric=winner.metric,
    winner=winner.trial,
  )
  best = export_workdir(workdir, setup.dataset) / 'report.html'
  show('\n' + closing_lines(config, search=report(workdir), winner=best))
  return winner


def search(setup: Setup, *, tensorboard: bool = False) -> tuple[Trial, ...]:
  """Runs the search, or resumes the one in the workdir; see `run`."""
  from rlnas.cli import build
  from rlnas.evaluation.cached import Cached
  from rlnas.interfaces import Breeding
  from rlnas.reports.live_page import LivePage
  from rlnas.reports.progress_bar import ProgressBar
  from rlnas.reports.tensorboard import TensorBoard
  from rlnas.reports.tensorboard_page import serve
  from rlnas.search.journal import Journal
  from rlnas.search.kept_weights import KeptWeights
  from rlnas.search.loop import run_search
  from rlnas.search.scalars_file import NAME, ScalarsFile

  config, workdir = setup.config, pathlib.Path(setup.config.workdir)
  decides = build.journal_configuration(setup)
  # A mistake in one of them is told before the folder belongs to this configuration.
  strategy, reward = setup.build_strategy(), build.build_reward(config)
  with contextlib.ExitStack() as stack:
    journal = Journal(workdir / 'journal.jsonl', configuration=decides)
    stack.callback(journal.close)
    if len(journal.trials) > config.trials:
      raise ValueError(
        f'trials={config.trials}: must be at least {len(journal.trials)}, the number of trials '
        f'in {journal.path}'
      )
    write_config(config, workdir)
    served = serve(workdir / 'tensorboard') if tensorboard else None
    announce(setup, resumed=len(journal.trials), served=served)
    executor: Executor = build.build_executor(setup)
    cached = None
    if not config.inherit:  # else a network is trained again, as its weights may be gone
      executor = cached = Cached(
        executor,
        settings=_evaluated_by(decides, config),
        stages=len(config.stages()),
        folder=config.cache_dir,
      )
      cached.remember(journal.trials)
    stack.callback(executor.close)
    seconds = math.inf if config.minutes is None else 60 * config.minutes * setup.workers
    progress = ProgressBar(
      config.trials,
      budget=setup.budget,
      metric=Metric(config.metric),
      seconds=seconds,
      workers=setup.workers,
    )
    stack.callback(progress.close)
    events = TensorBoard(
      workdir / 'tensorboard',
      budget=setup.budget,
      task=setup.dataset.task,
      table=setup.table,
      metric=Metric(config.metric),
    )
    stack.push(functools.partial(_close, events))
    page = LivePage(
      workdir / 'search.html',
      budget=setup.budget,
      configuration=decides,
      dataset=setup.dataset.name,
      known=len(journal.trials),
    )
    stack.callback(page.close)
    limit = _Limit(seconds)
    pruning = []
    if config.inherit and isinstance(strategy, Breeding):
      pruning.append(KeptWeights(workdir / 'weights', strategy, lag=config.lag))
    stack.enter_context(told_to(progress.on_step))
    stack.enter_context(stopping(progress, config.trials, 'trials'))
    with contextlib.suppress(_TimeIsUpError):
      run_search(
        strategy,
        executor=executor,
        reward=reward,
        budget=setup.budget,
        trials=config.trials,
        batch=config.batch,
        lag=config.lag,
        seed=config.seed,
        pruner=build.build_pruner(config),
        inherit=config.inherit,
        journal=journal,
        observers=[progress, events, ScalarsFile(workdir / NAME), page, *pruning, limit],
      )
    _keep_controller(strategy, workdir)
  if cached is not None and cached.hits:
    show(f'cached   {cached.hits} of {len(limit.trials)} trials repeated a known network')
  return tuple(limit.trials)


def announce(setup: Setup, *, resumed: int, served: str | None = None) -> None:
  """Shows what the search is about to do, and where TensorBoard shows it if that runs."""
  from rlnas.cli.fitting import warning_of_few
  from rlnas.reports.tensorboard import all_trials
  from rlnas.reports.tensorboard_page import PORT, address, command, trials_address

  config, data, budget = setup.config, setup.dataset, setup.budget
  workdir = pathlib.Path(config.workdir)
  lines = [
    f'data     {data.name}: {data.source}',
    *_task(setup),
    *describe(data, metric=Metric(config.metric)),
    f'space    {config.space}: {float(setup.table.size):.3g} networks{_why(setup)}',
    *_preprocessing(setup.table.space),
    f'budget   {budget} for the model ({config.board}, {setup.build.name})',
    f'page     {workdir / "search.html"}, from the first batch on',
  ]
  if len(config.stages()) > 1:
    lines.append(
      f'stages   {config.fidelity} (examples x epochs); --pruner={config.pruner} decides which '
      'networks continue'
    )
  events = workdir / 'tensorboard'
  if served is None:
    lines += [f'watch    {command(events)}', f'         and open {address()}']
  else:
    lines.append(f'watch    {address(served)} (until this command ends)')
  lines += [
    f'trials   {command(all_trials(events), port=PORT + 1)}',
    f'         and open {trials_address()}',
  ]
  if resumed:
    lines.append(f'resumed  {resumed} trials from {workdir / "journal.jsonl"}')
  show('\n'.join(lines))
  warning = warning_of_few(setup.table, setup.admits)
  if warning:
    show(warning)


def _task(setup: Setup) -> tuple[str, ...]:
  """What the networks are for, if it is not to name classes, and why."""
  task = setup.dataset.head.task
  if task is Task.CLASSIFICATION:
    return ()
  known = setup.config.task is None and setup.config.dataset not in BUILT_IN
  kind = 'floats' if task is Task.REGRESSION else 'all the same in the training data'
  why = f' (the labels are {kind}; --task names another)' if known else ''
  return (f'task     {task.value}{why}',)


def _why(setup: Setup) -> str:
  """Why a search has its space, if the data decided it."""
  if not setup.by_data:
    return ''
  sides = 3 if as_sequence(setup.dataset) is None else 2
  if setup.config.space == choices.ANOMALY_SPACE:
    return ' (the default for anomaly detection; --space names another)'
  if setup.config.space != choices.DEFAULT_SPACES[sides]:
    return ' (as this search began)'
  kind = {2: 'sequences', 3: 'images'}[sides]
  return f' (the default for {kind}; --space names another)'


def _preprocessing(space: Space) -> list[str]:
  """The line on what networks may read of an example; none if they read all."""
  if isinstance(space, PreprocessedSound):
    bins, frames, hops = (', '.join(map(str, getattr(space, name))) for name in HEARD)
    return [
      f'input    {space.front_end} with {bins} mel bins; frames of {frames} ms, every {hops} ms'
    ]
  if not isinstance(space, Preprocessed):
    return []
  windows, rates = (', '.join(map(str, values)) for values in (space.windows, space.rates))
  features = f'{space.features} features' + (f' by {space.group}' if space.group != 1 else '')
  return [f'input    windows of {windows} time steps; frames of {rates} steps; any of {features}']


def _close(
  events: TensorBoard, kind: type[BaseException] | None, error: object, trace: object
) -> None:
  """Closes the event files. After an error it hides that they, too, cannot be written."""
  with contextlib.suppress(*([] if kind is None else [OSError])):
    events.close()


class _TimeIsUpError(Exception):
  """Ends a search before --trials."""


class _Limit:
  """An observer that ends a search when its trials took `seconds` together.

  The journal holds the times of the trials, so a resumed search ends at the same trial.
  """

  def __init__(self, seconds: float) -> None:
    self._left = seconds
    self.trials: list[Trial] = []

  def on_trial(self, trial: Trial) -> None:
    """Adds the trial and its time."""
    self.trials.append(trial)
    self._left -= trial.measurement.seconds

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Raises _TimeIsUpError if no time is left."""
    del trials, scalars
    if self._left <= 0:
      raise _TimeIsUpError


def _keep_controller(strategy: Strategy, workdir: pathlib.Path) -> None:
  controller = getattr(strategy, 'controller', None)
  if controller is None:
    return
  try:
    controller.save(workdir / 'controller.npz')
  except (AttributeError, ValueError) as error:  # the search itself is complete
    logging.warning('the controller is not saved: %s', error)


def _evaluated_by(decides: Mapping[str, object], config: SearchConfig) -> str:
  """The settings that decide a measurement, among those that decide a search."""
  others = (
    *('strategy', 'strategy_options', 'reward', 'reward_options', 'batch', 'lag', 'seed'),
    *('space', 'space_options', 'preprocess'),
    *('pruner', 'inherit'),  # a measurement's stages and its parent are known to the cache
  )
  kept = {name: value for name, value in decides.items() if name not in others}
  return json.dumps(kept | {'board': config.board}, sort_keys=True)
