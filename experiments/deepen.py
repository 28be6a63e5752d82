"""Searches for networks with skip connections, deeper step by step: Zoph & Le 2016, section 4.1.

  python experiments/deepen.py --depths=2,4,6 --trials=40 --workdir=runs/deepen

The paper starts with 6 layers and adds 2 every 1,600 samples. Here REINFORCE searches each of
--depths for --trials trials, with its own journal in --workdir, from which the same command
resumes. The controller keeps its weights from one depth to the next (Adam and the baseline start
again). With --fresh it does not, to show the effect of the weights. Prints a table with a line for
each depth; test data are not used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
from absl import flags

from rlnas.cli import flags as cli_flags
from rlnas.cli.build import Setup, build_executor, build_pruner, build_space, journal_configuration
from rlnas.cli.flags import OF_ONE_SEARCH, define_search_flags, read_setup
from rlnas.cli.guard import run
from rlnas.cli.loading import load_tensorflow
from rlnas.data.metrics import Metric
from rlnas.pareto import best_trial
from rlnas.progress import told_to
from rlnas.reports.progress_bar import ProgressBar
from rlnas.reward import is_feasible, linear_excess
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.spaces import MultiBranch
from rlnas.spaces.table import Table, compile_table
from rlnas.strategies.controller import Controller
from rlnas.strategies.zoph_le import ZophLe
from rlnas.trial import Trial, derive_seed

FLAGS = flags.FLAGS
define_search_flags(without=OF_ONE_SEARCH, space='multibranch', workdir='runs/deepen')
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_list(
  'depths', ['2', '4', '6'], 'Layers; each depth has --trials trials; default: 2,4,6.'
)
flags.DEFINE_float(
  'learning_rate', 2.5e-3, 'Learning rate; the paper has 6e-4 for thousands of trials.'
)
flags.DEFINE_bool('fresh', False, 'Whether each depth starts with a new controller.')
flags.DEFINE_integer('seed', 0, 'Seed of the search; default: 0.')


def main(arguments: list[str]) -> None:
  """Searches one depth after the other."""
  depths = read_depths()
  setup = read_setup(arguments)
  load_tensorflow()
  if FLAGS.space != 'multibranch':
    raise ValueError(f'--space={FLAGS.space}: must be multibranch (--depths sets its depth)')
  if any(option.startswith('depth=') for option in FLAGS.space_option):
    raise ValueError(f'--space_option={FLAGS.space_option}: must not set depth; use --depths')
  space = cast(MultiBranch, build_space(setup.config))
  tables = {d: compile_table(dataclasses.replace(space, depth=d)) for d in depths}
  controller = Controller(tuple(tables.values()), seed=controller_seed(depths[0]))
  print(
    '| depth | networks | reward, first half | second half | feasible | best int8 validation |\n'
    '|---|---|---|---|---|---|'
  )
  for depth, table in tables.items():
    if FLAGS.fresh and depth != depths[0]:
      controller = Controller(tuple(tables.values()), seed=controller_seed(depth))
    print(row(depth, table, search(depth, table, controller, setup), setup), flush=True)


def read_depths() -> list[int]:
  """The depths. Raises ValueError if they do not increase from at least 1."""
  depths = [int(depth) if depth.isdecimal() else 0 for depth in FLAGS.depths]
  if not depths or depths[0] < 1 or depths != sorted(set(depths)):
    raise ValueError(f'--depths={",".join(FLAGS.depths)}: must increase, such as 2,4,6')
  return depths


def controller_seed(depth: int) -> int:
  """The seed of the initial weights."""
  return derive_seed(FLAGS.seed, 'controller', depth)


def search(depth: int, table: Table, controller: Controller, setup: Setup) -> tuple[Trial, ...]:
  """Searches the networks of one depth, or resumes from their journal."""
  decides = journal_configuration(setup.having(strategy='zoph_le', seed=FLAGS.seed))
  decides |= {'depths': ','.join(FLAGS.depths), 'depth': depth, 'trials': FLAGS.trials}
  decides |= {'learning_rate': FLAGS.learning_rate, 'fresh': FLAGS.fresh}
  with contextlib.ExitStack() as stack:
    journal = Journal(pathlib.Path(FLAGS.workdir) / f'depth{depth}.jsonl', configuration=decides)
    stack.callback(journal.close)
    executor = build_executor(setup)
    stack.callback(executor.close)
    progress = ProgressBar(
      FLAGS.trials, budget=setup.budget, metric=Metric(setup.config.metric), name=f'depth {depth}'
    )
    stack.callback(progress.close)
    stack.enter_context(told_to(progress.on_step))
    return run_search(
      ZophLe(table, controller=controller, learning_rate=FLAGS.learning_rate),
      executor=executor,
      reward=linear_excess,
      budget=setup.budget,
      trials=FLAGS.trials,
      batch=FLAGS.batch,
      seed=derive_seed(FLAGS.seed, 'depth', depth),
      pruner=build_pruner(setup.config),
      journal=journal,
      observers=[progress],
    )


def row(depth: int, table: Table, trials: Sequence[Trial], setup: Setup) -> str:
  """A line of the table."""
  middle = len(trials) // 2
  feasible = np.mean([is_feasible(trial.measurement, setup.budget) for trial in trials])
  best = best_trial(trials, setup.budget)
  accuracy = '–' if best is None else f'{best.measurement.int8_validation_accuracy:.4f}'
  first, second = mean_reward(trials[:middle]), mean_reward(trials[middle:])
  return (
    f'| {depth} | {float(table.size):.2g} | {first:.3f} | {second:.3f} | {feasible:.0%} '
    f'| {accuracy} |'
  )


def mean_reward(trials: Iterable[Trial]) -> float:
  """The mean reward of the trials that did not fail."""
  rewards = [trial.reward for trial in trials if trial.reward is not None]
  return float(np.mean(rewards)) if rewards else float('nan')


if __name__ == '__main__':
  run(main)
