"""Compares strategies, or rewards, on one space over several seeds: by trained networks and trials.

  python experiments/compare.py --seeds=0,1,2 --trials=120 --workdir=runs/compare
  python experiments/compare.py --trained=60 --trials=2000 --strategies='random;random:admits=false'
  python experiments/compare.py --strategies=reinforce --rewards=linear_excess,absolute

A trial whose network does not fit, or was a trial before, costs next to nothing, since nothing is
trained. So the fair measure is the number of networks that a search trained. All strategies propose
only networks that may fit the budget, by the estimate; the option admits=false switches that off.

The script writes to --workdir a journal for each strategy, reward and seed, from which the same
command resumes, compare.json, and compare.png: the best feasible int8 validation accuracy against
trained networks, mean and standard error over the seeds. If several searches propose a network with
the same seed, it is trained once, and counts for each of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import pathlib
import re
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from absl import flags
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from rlnas.budget import Budget
from rlnas.cli import choices
from rlnas.cli import flags as cli_flags
from rlnas.cli.arms import Arm, read_arms
from rlnas.cli.build import (
  Setup,
  build_executor,
  build_pruner,
  build_reward,
  journal_configuration,
)
from rlnas.cli.flags import OF_ONE_SEARCH, check_positive, define_search_flags, read_setup
from rlnas.cli.guard import run, stopping
from rlnas.cli.loading import load_tensorflow, start_compiler
from rlnas.data.atomic_file import write_file
from rlnas.data.metrics import Metric
from rlnas.evaluation.cached import Cached
from rlnas.progress import told_to
from rlnas.reports.model_figures import BLUE, GREY, INK, ORANGE, style
from rlnas.reports.pareto_figure import fence
from rlnas.reports.progress_bar import ProgressBar
from rlnas.reports.rendering import encoded
from rlnas.reward import is_feasible
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search
from rlnas.trial import Trial

FloatArray = npt.NDArray[np.float64]
FLAGS = flags.FLAGS
_COLORS = (BLUE, ORANGE, '#2f7d6c', '#7a5ba6', INK)  # of the best curves; the others are grey
define_search_flags(without=OF_ONE_SEARCH)
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_string(
  'strategies',
  ','.join(choices.STRATEGIES),
  f'Some of {", ".join(choices.STRATEGIES)}, separated by commas; or, with options, separated by '
  'semicolons: default;default:elite=3;evolution:population=50,sample=10.',
)
flags.DEFINE_list(
  'rewards', ['linear_excess'], f'Some of {", ".join(choices.REWARDS)}, separated by commas.'
)
flags.DEFINE_list('seeds', ['0', '1', '2'], 'Whole numbers: each arm has one search per seed.')


flags.DEFINE_integer(
  'trained',
  None,
  'Number of trained networks after which a search ends; default: it ends after --trials, which '
  'limits it in any case.',
)


@dataclasses.dataclass(frozen=True)
class Run:
  """One search: its best feasible int8 validation accuracy, 0 before the first feasible network.

  Attributes:
    by_trial: the best after each trial.
    by_trained: the best after each trained network; repeats do not count.
    feasible: share of feasible trials.
  """

  by_trial: tuple[float, ...]
  by_trained: tuple[float, ...]
  feasible: float


@dataclasses.dataclass(frozen=True)
class Result:
  """The runs of one strategy and reward, one for each seed.

  Attributes:
    strategy: label of the strategy.
    reward: name of the reward.
    runs: its runs.
  """

  strategy: str
  reward: str
  runs: tuple[Run, ...]

  @property
  def trained(self) -> int:
    """Number of networks that every run trained."""
    return min(len(run.by_trained) for run in self.runs)

  @property
  def final(self) -> FloatArray:
    """The best of all trials. [seeds]."""
    return np.array([run.by_trial[-1] for run in self.runs])

  def curves(self, trained: int) -> FloatArray:
    """The best after each of the first trained networks. [seeds, trained]."""
    return np.array([run.by_trained[:trained] for run in self.runs]).reshape(
      len(self.runs), trained
    )


def main(arguments: list[str]) -> None:
  """Runs all searches, prints their table and draws their curves."""
  arms = read_arms(FLAGS.strategies)
  for name in FLAGS.rewards:
    choices.choose('rewards', name, choices.REWARDS)
  seeds = read_seeds()
  check_positive('trained')
  if (FLAGS.trained or 0) > FLAGS.trials:
    raise ValueError(f'--trained={FLAGS.trained}: must be at most --trials={FLAGS.trials}')
  setup = read_setup(arguments)
  start_compiler()
  load_tensorflow()
  for arm in arms:  # an error in one of them is shown before the first is run
    arm.build(setup.table, seed=0, penalty=setup.penalty)
  workdir = pathlib.Path(FLAGS.workdir)
  where = Cached(build_executor(setup), settings='', stages=len(setup.config.stages()))
  with contextlib.closing(where):
    results = [
      run_searches(arm, reward, seeds, setup, where, workdir)
      for arm, reward in itertools.product(arms, FLAGS.rewards)
    ]
  print(table(results))
  write_file(workdir / 'compare.json', json.dumps(list(map(record, results)), indent=2) + '\n')
  plot(results, workdir / 'compare.png', setup)


def read_seeds() -> list[int]:
  """The seeds. Raises ValueError if they are not different whole numbers."""
  if not all(seed.isdecimal() for seed in FLAGS.seeds) or not FLAGS.seeds:
    raise ValueError(f'--seeds={",".join(FLAGS.seeds)}: must be whole numbers such as 0,1,2')
  seeds = [int(seed) for seed in FLAGS.seeds]
  if len(set(seeds)) < len(seeds):
    raise ValueError(f'--seeds={",".join(FLAGS.seeds)}: must be different')
  return seeds


def run_searches(
  arm: Arm,
  reward: str,
  seeds: list[int],
  setup: Setup,
  where: Cached,
  workdir: pathlib.Path,
) -> Result:
  """Runs one search per seed, each with its own journal."""
  runs = []
  total, unit, counts = FLAGS.trials, 'trials', None
  if FLAGS.trained is not None:
    total, unit, counts = FLAGS.trained, 'trained networks', was_trained
  for number, seed in enumerate(seeds, 1):
    single = setup.having(
      strategy=arm.strategy, strategy_options=arm.options, reward=reward, seed=seed
    )
    name = re.sub(r'[^\w.=,+-]', '_', f'{arm.label}-{reward}-{seed}')
    journal = Journal(workdir / f'{name}.jsonl', configuration=journal_configuration(single))
    if not FLAGS.inherit:
      where.remember(journal.trials)
    progress = ProgressBar(
      total,
      budget=setup.budget,
      metric=Metric(setup.config.metric),
      name=f'{arm.label}, seed {seed} ({number}/{len(seeds)})',
      counts=counts,
      unit=unit,
    )
    with (
      contextlib.closing(journal),
      contextlib.closing(progress),
      told_to(progress.on_step),
      stopping(progress, total, unit),
    ):
      trials = run_search(
        single.build_strategy(),
        executor=where,
        reward=build_reward(single.config),
        budget=setup.budget,
        trials=FLAGS.trials,
        batch=FLAGS.batch,
        seed=seed,
        pruner=build_pruner(single.config),
        inherit=FLAGS.inherit,
        journal=journal,
        enough=None if FLAGS.trained is None else trained_enough,
        observers=[progress],
      )
    runs.append(run_of(trials, setup.budget))
  return Result(arm.label, reward, tuple(runs))


def was_trained(trial: Trial) -> bool:
  """Whether a network was trained for a trial, or for an earlier one of the same network."""
  return bool(trial.measurement.curve)


def trained_enough(trials: Sequence[Trial]) -> bool:
  """Whether a search has trained so many networks as --trained says."""
  return sum(newly_trained(trials)) >= FLAGS.trained


def newly_trained(trials: Sequence[Trial]) -> list[bool]:
  """Whether each trial trained a network that no earlier one had."""
  met: set[str] = set()
  found = []
  for trial in trials:
    digest = trial.proposal.digest
    trained = was_trained(trial) and digest not in met
    found.append(trained)
    if trained:
      met.add(digest)
  return found


def run_of(trials: Sequence[Trial], budget: Budget) -> Run:
  """The curves of a search."""
  best, by_trial, by_trained = 0.0, list[float](), list[float]()
  feasible = [is_feasible(trial.measurement, budget) for trial in trials]
  for trial, fits, trained in zip(trials, feasible, newly_trained(trials), strict=True):
    best = max(best, trial.measurement.int8_validation_accuracy or 0.0 if fits else 0.0)
    by_trial.append(best)
    if trained:
      by_trained.append(best)
    elif by_trained:  # a repeat may be trained further, by --fidelity
      by_trained[-1] = best
  return Run(
    tuple(by_trial), tuple(by_trained[: FLAGS.trained]), sum(feasible) / max(1, len(feasible))
  )


def table(results: list[Result]) -> str:
  """The results as a Markdown table: mean and deviation over the seeds.

  The best after some trained networks is given for the number that every search reached, with the
  p value of its difference from the first arm (Welch's t-test, corrected for the number of arms by
  Holm's method).
  """
  trained = min(result.trained for result in results)
  halfway = (trained + 1) // 2
  lines = [
    f'| strategy | reward | seeds | best after {halfway} trained | best after {trained} trained '
    '| p against the first | mean until then | trials | trained | best of all | feasible |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  ]
  for result, p in zip(results, against_first(results, trained), strict=True):
    curves = result.curves(trained)
    columns = (curves[:, halfway - 1], curves[:, -1], curves.mean(axis=1)) if trained else ()
    cells = [*map(spread, columns), *(() if trained else ('–',) * 3)]
    cells.insert(2, f'{p:.2g}' if math.isfinite(p) else '–')
    for numbers in zip(*((len(r.by_trial), len(r.by_trained)) for r in result.runs), strict=True):
      cells.append(f'{np.mean(numbers):.0f}')
    cells += [spread(result.final), f'{np.mean([run.feasible for run in result.runs]):.0%}']
    lines.append(
      f'| {result.strategy} | {result.reward} | {len(result.runs)} | {" | ".join(cells)} |'
    )
  return '\n'.join(lines)


def against_first(results: list[Result], trained: int) -> list[float]:
  """P values of the differences from the first arm after so many trained networks.

  Welch's t-test; with several arms, corrected by the method of Holm (1979, A simple sequentially
  rejective multiple test procedure). NaN where there is nothing to compare.
  """
  first, *others = [result.curves(trained)[:, -1] if trained else None for result in results]
  if first is None or len(first) < 2:
    return [math.nan] * len(results)
  with warnings.catch_warnings():  # searches whose best are equal have no deviation
    warnings.simplefilter('ignore', RuntimeWarning)
    found = np.array([stats.ttest_ind(first, other, equal_var=False).pvalue for other in others])
  order = np.argsort(found)
  stepped = found[order] * np.arange(len(found), 0, -1)
  corrected = np.empty_like(found)
  corrected[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
  return [math.nan, *corrected.tolist()]


def record(result: Result) -> dict[str, object]:
  """A result for compare.json."""
  return {
    'strategy': result.strategy,
    'reward': result.reward,
    'best': result.final.tolist(),
    'feasible': [run.feasible for run in result.runs],
    'trials': [len(run.by_trial) for run in result.runs],
    'trained': [len(run.by_trained) for run in result.runs],
    'best_by_trained': [run.by_trained for run in result.runs],
  }


def spread(values: FloatArray) -> str:
  """Mean and sample deviation."""
  return f'{values.mean():.4f} ± {deviations(values):.4f}'


def deviations(values: FloatArray) -> FloatArray:
  """Sample deviation over the first axis, the seeds; NaN if there is only one."""
  return np.asarray(
    values.std(axis=0, ddof=1) if len(values) > 1 else np.full_like(values[0], np.nan)
  )


def plot(results: list[Result], path: pathlib.Path, setup: Setup) -> None:
  """Draws the curves of all results, with their names at their ends and a band of one error.

  The best few have colors and bands, the others are faint. The vertical axis shows
  most of what the curves reach after a tenth of the networks; before that they rise from anywhere.
  """
  ordered = sorted(results, key=lambda result: -result.final.mean())
  several, reached = len(FLAGS.rewards) > 1, list[FloatArray]()
  with style():
    figure = Figure(figsize=(8, 4.8))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    ends = list[tuple[float, str, str]]()
    last = max(result.trained for result in results)
    for place, result in enumerate(ordered):
      curves = result.curves(result.trained)
      if not result.trained:
        continue
      mean, error = curves.mean(axis=0), deviations(curves) / np.sqrt(len(curves))
      steps = np.arange(1, len(mean) + 1)
      color = _COLORS[place] if place < len(_COLORS) else GREY
      clear = place < len(_COLORS)
      axes.step(steps, mean, where='post', color=color, linewidth=1.7 if clear else 0.9)
      if clear and len(curves) > 1:
        axes.fill_between(
          *(steps, mean - error, mean + error),
          step='post',
          color=color,
          alpha=0.14,
          linewidth=0,
        )
      settled = slice(len(mean) // 10, None)
      reached += [mean[settled], (mean - np.nan_to_num(error))[settled]]
      label = f'{result.strategy}, {result.reward}' if several else result.strategy
      ends.append((float(mean[-1]), f'{label}  {mean[-1]:.4f}', color))
      axes.plot([steps[-1], last], [mean[-1]] * 2, color=color, linewidth=0.8, linestyle=':')
    if reached:
      low, high = fence(np.concatenate(reached))
      axes.set_ylim(min(low, *(end - 0.02 * (high - low) for end, _, _ in ends)), high)
    _name_ends(axes, last, ends)
    axes.set_xlabel('trained networks')
    axes.set_ylabel(f'best feasible int8 validation {Metric(setup.config.metric).label}')
    runs = len(results[0].runs)
    shown = f'mean ± standard error of {runs} runs' if runs > 1 else 'one run each'
    axes.set_title(f'{setup.config.space}, {FLAGS.dataset}, {FLAGS.board}: {shown}', fontsize=10.5)
    content = encoded(figure, '.png', dpi=120)
  write_file(path, content)


def _name_ends(axes: Axes, last: int, ends: Sequence[tuple[float, str, str]]) -> None:
  """Writes the name of each curve right of its end, moved down where names would overlap."""
  low, high = axes.get_ylim()
  apart = 0.042 * (high - low)
  above = np.inf
  for end, name, color in sorted(ends, key=lambda e: -e[0]):
    above = min(end, above - apart)
    axes.annotate(
      name,
      (last, above),
      xytext=(7, 0),
      textcoords='offset points',
      va='center',
      fontsize=8.5,
      color=color,
      annotation_clip=False,
    )


if __name__ == '__main__':
  run(main)
