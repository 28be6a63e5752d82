"""Searches a network for a microcontroller and leaves a deployable int8 model.

  python experiments/search.py --dataset=mnist5k --board=nucleo-l010rb --workdir=runs/first

The same command on the same workdir resumes the search. The workdir then holds config.json,
journal.jsonl, tensorboard/, finalists/, result.json, pareto.png and, in best/, model.tflite,
architecture.json, .svg and .png, and the bundle that experiments/export.py writes.
"""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import time
from collections.abc import Mapping, Sequence

from absl import flags

from rlnas.cli import finishing as finishing_module
from rlnas.cli import settings as settings_module
from rlnas.cli.choices import REWARDS, STRATEGIES, choose
from rlnas.cli.export import export_workdir
from rlnas.cli.finishing import FINISH_FLAGS, finish, read_plan, show
from rlnas.cli.guard import run
from rlnas.cli.settings import Settings, configuration, evaluator, pruner, read_settings, stages
from rlnas.evaluation.cached import Cached
from rlnas.evaluation.executors import TRIAL_TIMEOUT, WorkerPool, check_timeout
from rlnas.evaluation.ray_executor import RayCluster
from rlnas.finishing.winner import write_winner
from rlnas.interfaces import Executor
from rlnas.reports.pareto_figure import plot_pareto
from rlnas.reports.tensorboard import ProgressBar, TensorBoard
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.trial import Trial, derive_seed

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(settings_module)
flags.adopt_module_key_flags(finishing_module)
flags.DEFINE_string('strategy', 'imitation', f'What proposes them: {", ".join(STRATEGIES)}.')
flags.DEFINE_string(
  'reward', 'linear_excess', f'How the budget enters the reward: {", ".join(REWARDS)}.'
)
flags.DEFINE_string(
  'cache_dir',
  None,
  'Folder of measurements that searches of one seed share; not shared by default, nor with '
  '--inherit.',
)
flags.DEFINE_integer('seed', 0, 'Decides everything random.')
flags.DEFINE_integer(
  'lag',
  1,
  'Batches that may be under way beside the one that is told. --batch times (1 + --lag) children '
  'must be more than there are workers, or some idle.',
)
flags.DEFINE_float(
  'minutes',
  None,
  'End the search before --trials, once its children took so many minutes on --workers processes '
  'that were always busy; by default it does not end before.',
)
flags.DEFINE_float('trial_timeout', TRIAL_TIMEOUT, 'Seconds after which a child has failed.')
flags.DEFINE_enum(
  'executor', 'pool', ['pool', 'ray'], 'Where children run: in --workers processes, or on Ray.'
)
flags.DEFINE_string(
  'ray_address',
  None,
  "Head of the Ray cluster, such as 10.0.0.1:6379, or 'auto' for the one on this machine; without "
  'it, --executor=ray starts one of this machine alone.',
)


def main(arguments: list[str]) -> None:
  """Searches, finishes the winner and writes the results."""
  started = time.perf_counter()
  check_execution()
  settings = read_settings(arguments)
  plan = read_plan(settings.dataset)
  workdir = pathlib.Path(FLAGS.workdir)
  trials = search(settings, workdir)
  winner = finish(
    trials,
    settings.dataset,
    settings.budget,
    plan,
    seed=FLAGS.seed,
    workers=settings.workers,
    workdir=workdir,
  )
  write_winner(
    winner,
    trials,
    settings.budget,
    workdir,
    dataset=settings.dataset,
    seconds=time.perf_counter() - started,
  )
  title = f'{FLAGS.strategy}, {FLAGS.space}, {settings.dataset.name}, {FLAGS.board}'
  plot_pareto(
    trials, settings.budget, workdir / 'pareto.png', title=f'{title}: {len(trials)} trials'
  )
  show(winner, trials, settings.budget, workdir)
  print(export_workdir(workdir, settings.dataset) / 'report.html')


def search(settings: Settings, workdir: pathlib.Path) -> tuple[Trial, ...]:
  """Runs the search, or goes on with the one in `workdir`."""
  strategy = choose('strategy', FLAGS.strategy, STRATEGIES)
  reward = choose('reward', FLAGS.reward, REWARDS)
  decides = configuration(settings, strategy=FLAGS.strategy, reward=FLAGS.reward, seed=FLAGS.seed)
  decides['lag'] = FLAGS.lag
  names = (
    'dataset',
    'board',
    'trials',
    'minutes',
    *FINISH_FLAGS,
  )  # may differ when a search is resumed
  shown = {name: FLAGS[name].value for name in names}
  with contextlib.ExitStack() as stack:
    journal = Journal(workdir / 'journal.jsonl', configuration=decides)
    stack.callback(journal.close)
    if len(journal.trials) > FLAGS.trials:
      raise ValueError(
        f'--trials={FLAGS.trials}: {journal.path} holds {len(journal.trials)} already'
      )
    (workdir / 'config.json').write_text(json.dumps(decides | shown, indent=2) + '\n')
    announce(settings, workdir, resumed=len(journal.trials))
    where = Cached(
      executor(settings),
      settings=evaluated_by(decides),
      stages=len(stages()),
      folder=FLAGS.cache_dir,
    )
    stack.callback(where.close)
    if not FLAGS.inherit:
      where.remember(journal.trials)
    progress = ProgressBar(FLAGS.trials, budget=settings.budget)
    stack.callback(progress.close)
    events = TensorBoard(
      workdir / 'tensorboard',
      budget=settings.budget,
      task=settings.dataset.task,
      table=settings.table,
    )
    stack.callback(events.close)
    limit = Limit(math.inf if FLAGS.minutes is None else 60 * FLAGS.minutes * settings.workers)
    stack.enter_context(contextlib.suppress(TimeIsUpError))
    run_search(
      strategy(settings.table, derive_seed(FLAGS.seed, 'strategy'), settings.admits),
      executor=where,
      reward=reward,
      budget=settings.budget,
      trials=FLAGS.trials,
      batch=FLAGS.batch,
      lag=FLAGS.lag,
      seed=FLAGS.seed,
      pruner=pruner(),
      inherit=FLAGS.inherit,
      journal=journal,
      observers=[progress, events, limit],
    )
  if where.hits:
    print(f'known    {where.hits} of {len(limit.trials)} children were not trained again')
  return tuple(limit.trials)


class TimeIsUpError(Exception):
  """Ends a search before --trials."""


class Limit:
  """An observer that ends a search once its children took so many seconds in all.

  The time of children is in the journal, so that a search that resumes ends where it would have.
  """

  def __init__(self, seconds: float) -> None:
    self._left = seconds
    self.trials: list[Trial] = []

  def on_trial(self, trial: Trial) -> None:
    """Counts."""
    self.trials.append(trial)
    self._left -= trial.measurement.seconds

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Raises TimeIsUpError."""
    del trials, scalars
    if self._left <= 0:
      raise TimeIsUpError


def evaluated_by(decides: Mapping[str, object]) -> str:
  """What decides a measurement, of all that decides a search."""
  others = (
    *('strategy', 'reward', 'batch', 'lag', 'seed', 'space', 'space_options'),
    *('pruner', 'inherit'),  # a measurement's stages and its parent are known to the cache
  )
  kept = {name: value for name, value in decides.items() if name not in others}
  return json.dumps(kept | {'board': FLAGS.board}, sort_keys=True)


def check_execution() -> None:
  """Raises ValueError where a flag that says how children run is wrong."""
  if FLAGS.lag < 0:
    raise ValueError(f'--lag={FLAGS.lag}: must be at least 0')
  check_timeout(FLAGS.trial_timeout)
  for name in ('cache_dir', 'ray_address'):
    if FLAGS.inherit and FLAGS[name].value is not None:
      raise ValueError(
        f'--{name}={FLAGS[name].value}: not with --inherit, whose weights stay within --workdir'
      )
  if FLAGS.minutes is not None and not 0 < FLAGS.minutes < math.inf:
    raise ValueError(f'--minutes={FLAGS.minutes}: must be a positive number of minutes')
  if FLAGS.executor == 'ray' and FLAGS.minutes is not None:
    raise ValueError(f'--minutes={FLAGS.minutes}: not with --executor=ray, whose size may change')
  if FLAGS.executor == 'ray' and FLAGS.workers is not None:
    raise ValueError(f'--workers={FLAGS.workers}: --executor=ray uses all cores of the cluster')
  if FLAGS.executor != 'ray' and FLAGS.ray_address is not None:
    raise ValueError(f'--ray_address={FLAGS.ray_address}: needs --executor=ray')


def executor(settings: Settings) -> Executor:
  """Runs children where the flags say."""
  if FLAGS.executor == 'ray':
    return RayCluster(
      evaluator(settings), address=FLAGS.ray_address, trial_timeout=FLAGS.trial_timeout
    )
  return WorkerPool(
    evaluator(settings), workers=settings.workers, trial_timeout=FLAGS.trial_timeout
  )


def announce(settings: Settings, workdir: pathlib.Path, *, resumed: int) -> None:
  """Tells what is about to happen."""
  data, budget = settings.dataset, settings.budget
  print(f'data     {data.name}: {data.source}')
  print(f'space    {FLAGS.space}: {float(settings.table.size):.3g} networks')
  print(f'budget   {budget.flash_bytes:,} B flash, {budget.sram_bytes:,} B SRAM ({FLAGS.board})')
  print(f'watch    tensorboard --logdir={workdir / "tensorboard"} --host=127.0.0.1')
  if resumed:
    print(f'resumed  {resumed} trials from {workdir / "journal.jsonl"}')


if __name__ == '__main__':
  run(main)
