"""Compares strategies, or rewards, on one space with equal trials over several seeds.

  python experiments/compare.py --seeds=0,1,2 --trials=120 --workdir=runs/compare
  python experiments/compare.py --strategies=reinforce --rewards=linear_excess,absolute

Every pair of strategy and reward is an arm. The script writes to --workdir a journal for each arm
and seed, from which the same command resumes, compare.json, and compare.png: the best feasible int8
validation accuracy against trials, mean and deviation over the seeds. If several arms propose a
network with the same seed, it is trained once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import pathlib

import numpy as np
import numpy.typing as npt
from absl import flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlnas.cli import flags as cli_flags
from rlnas.cli.build import (
  Setup,
  build_executor,
  build_pruner,
  build_reward,
  journal_configuration,
)
from rlnas.cli.choices import REWARDS, STRATEGIES, choose
from rlnas.cli.flags import OF_ONE_SEARCH, define_search_flags, read_setup
from rlnas.cli.guard import run
from rlnas.data.atomic_file import write_file
from rlnas.data.metrics import Metric
from rlnas.evaluation.cached import Cached
from rlnas.reports.progress_bar import ProgressBar
from rlnas.reports.rendering import encoded
from rlnas.reward import is_feasible
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.trial import Trial

FLAGS = flags.FLAGS
define_search_flags(without=OF_ONE_SEARCH)
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_list('strategies', list(STRATEGIES), 'Strategies, separated by commas; default: all.')
flags.DEFINE_list(
  'rewards', ['linear_excess'], f'Some of {", ".join(REWARDS)}, separated by commas.'
)
flags.DEFINE_list('seeds', ['0', '1', '2'], 'Whole numbers: each arm has one search per seed.')


@dataclasses.dataclass(frozen=True, eq=False)
class Arm:
  """The results of one strategy and reward.

  Attributes:
    strategy: name of the strategy.
    reward: name of the reward.
    best: best feasible int8 validation accuracy after each trial, 0 before the first feasible
      one. [seeds, trials]
    feasible: share of feasible trials, by seed. [seeds]
  """

  strategy: str
  reward: str
  best: npt.NDArray[np.float64]
  feasible: npt.NDArray[np.float64]


def main(arguments: list[str]) -> None:
  """Runs all arms, prints their table and draws their curves."""
  for name in FLAGS.strategies:
    choose('strategies', name, STRATEGIES)
  for name in FLAGS.rewards:
    choose('rewards', name, REWARDS)
  seeds = read_seeds()
  setup = read_setup(arguments)
  workdir = pathlib.Path(FLAGS.workdir)
  where = Cached(build_executor(setup), settings='', stages=len(setup.config.stages()))
  with contextlib.closing(where):
    arms = [
      run_arm(strategy, reward, seeds, setup, where, workdir)
      for strategy, reward in itertools.product(FLAGS.strategies, FLAGS.rewards)
    ]
  print(table(arms))
  results = [
    {
      'strategy': arm.strategy,
      'reward': arm.reward,
      'best': arm.best[:, -1].tolist(),
      'feasible': arm.feasible.tolist(),
    }
    for arm in arms
  ]
  write_file(workdir / 'compare.json', json.dumps(results, indent=2) + '\n')
  plot(arms, workdir / 'compare.png')


def read_seeds() -> list[int]:
  """The seeds. Raises ValueError if they are not different whole numbers."""
  if not all(seed.isdecimal() for seed in FLAGS.seeds) or not FLAGS.seeds:
    raise ValueError(f'--seeds={",".join(FLAGS.seeds)}: must be whole numbers such as 0,1,2')
  seeds = [int(seed) for seed in FLAGS.seeds]
  if len(set(seeds)) < len(seeds):
    raise ValueError(f'--seeds={",".join(FLAGS.seeds)}: must be different')
  return seeds


def run_arm(
  strategy: str,
  reward: str,
  seeds: list[int],
  setup: Setup,
  where: Cached,
  workdir: pathlib.Path,
) -> Arm:
  """Runs one search per seed, each with its own journal."""
  runs = []
  for seed in seeds:
    arm = setup.having(strategy=strategy, reward=reward, seed=seed)
    journal = Journal(
      workdir / f'{strategy}-{reward}-{seed}.jsonl',
      configuration=journal_configuration(arm),
    )
    if not FLAGS.inherit:
      where.remember(journal.trials)
    progress = ProgressBar(FLAGS.trials, budget=setup.budget, metric=Metric(FLAGS.metric))
    with contextlib.closing(journal), contextlib.closing(progress):
      trials = run_search(
        arm.build_strategy(),
        executor=where,
        reward=build_reward(arm.config),
        budget=setup.budget,
        trials=FLAGS.trials,
        batch=FLAGS.batch,
        seed=seed,
        pruner=build_pruner(arm.config),
        inherit=FLAGS.inherit,
        journal=journal,
        observers=[progress],
      )
    runs.append(feasible_accuracies(trials, setup))
  accuracies = np.array(runs)
  best = np.maximum.accumulate(accuracies, axis=1)
  return Arm(strategy, reward, best, (accuracies > 0).mean(axis=1))


def feasible_accuracies(trials: tuple[Trial, ...], setup: Setup) -> list[float]:
  """int8 validation accuracy of each trial; 0 if it does not fit the budget."""
  return [
    t.measurement.int8_validation_accuracy or 0.0
    if is_feasible(t.measurement, setup.budget)
    else 0.0
    for t in trials
  ]


def table(arms: list[Arm]) -> str:
  """The arms as a Markdown table: mean and deviation over the seeds."""
  halfway = (FLAGS.trials - 1) // 2
  lines = [
    f'| strategy | reward | seeds | best after {halfway + 1} trials | best after {FLAGS.trials} '
    '| mean over the search | feasible |',
    '|---|---|---|---|---|---|---|',
  ]
  for arm in arms:
    cells = [spread(arm.best[:, halfway]), spread(arm.best[:, -1]), spread(arm.best.mean(axis=1))]
    lines.append(
      f'| {arm.strategy} | {arm.reward} | {len(arm.best)} | {" | ".join(cells)} '
      f'| {arm.feasible.mean():.0%} |'
    )
  return '\n'.join(lines)


def spread(values: npt.NDArray[np.float64]) -> str:
  """Mean and sample deviation."""
  return f'{values.mean():.4f} ± {deviations(values):.4f}'


def deviations(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
  """Sample deviation over the first axis, the seeds; NaN if there is only one."""
  return np.asarray(
    values.std(axis=0, ddof=1) if len(values) > 1 else np.full_like(values[0], np.nan)
  )


def plot(arms: list[Arm], path: pathlib.Path) -> None:
  """Draws the curves of all arms, the best first, with a band of one deviation."""
  figure = Figure(figsize=(8, 5), layout='constrained')
  FigureCanvasAgg(figure)
  axes = figure.subplots()
  for arm in sorted(arms, key=lambda arm: -arm.best[:, -1].mean()):
    label = arm.strategy if len(FLAGS.rewards) == 1 else f'{arm.strategy}, {arm.reward}'
    mean, deviation = arm.best.mean(axis=0), deviations(arm.best)
    steps = np.arange(1, len(mean) + 1)
    (line,) = axes.plot(steps, mean, label=label)
    axes.fill_between(steps, mean - deviation, mean + deviation, alpha=0.15, color=line.get_color())
  top = max(float(np.max(arm.best)) for arm in arms)
  axes.set_ylim(max(0.0, top - 0.25), min(1.0, top + 0.02))
  axes.set_xlabel('trials')
  axes.set_ylabel(f'best feasible int8 validation {Metric(FLAGS.metric).label}')
  runs = f'{len(arms[0].best)} runs each'
  axes.set_title(f'{FLAGS.space}, {FLAGS.dataset}, {FLAGS.board}: mean ± deviation, {runs}')
  axes.grid(alpha=0.3)
  axes.legend(loc='lower right')
  write_file(path, encoded(figure, '.png', dpi=120))


if __name__ == '__main__':
  run(main)
