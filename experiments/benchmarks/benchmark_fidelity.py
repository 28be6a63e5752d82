"""Measures how much sooner a search with a pruner reaches the accuracy of one without.

  python experiments/benchmarks/benchmark_fidelity.py --dataset=fashion_mnist --minutes=20 \
    --seeds=0,1

One search trains every network through all stages (--fidelity), the other only those that the
pruner promotes. Only trials that completed all stages count, so both are compared by the same
training. Prints when each reached the best accuracy that the first had after --minutes.

Time is processor time, as if --workers idle cores spent it.
"""

from __future__ import annotations

import contextlib
import json
import pathlib

import numpy as np
from absl import flags
from processor_time import MOST_TRIALS, Clock, Timed, TimeIsUpError

from rlnas.cli import flags as cli_flags
from rlnas.cli.build import Setup, build_evaluator, build_pruner, journal_configuration
from rlnas.cli.flags import OF_TIMED_SEARCH, check_positive, define_search_flags, read_setup
from rlnas.cli.guard import run
from rlnas.data.atomic_file import write_file
from rlnas.evaluation.executors import WorkerPool
from rlnas.reports.progress_bar import ProgressBar
from rlnas.reward import linear_excess
from rlnas.search.fidelity import Pruner
from rlnas.search.journal import Journal
from rlnas.search.loop import run_search

FLAGS = flags.FLAGS
define_search_flags(without=[name for name in OF_TIMED_SEARCH if name != 'strategy'])
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_float(
  'minutes', 20.0, 'Time of each search on --workers idle cores, in minutes; default: 20.'
)
flags.DEFINE_list('seeds', ['0', '1'], 'One pair of searches a seed; default: 0,1.')


def search(setup: Setup, pruner: Pruner | None, seed: int, clock: Clock, name: str) -> None:
  """Searches until the clock ends it; resumes from its journal."""
  workdir = pathlib.Path(FLAGS.workdir)
  decides = journal_configuration(setup)
  journal = Journal(
    workdir / f'{name}-{seed}.jsonl', configuration={**decides, 'climbs': pruner is not None}
  )
  pool = WorkerPool(Timed(build_evaluator(setup)), workers=setup.workers)
  with (
    contextlib.closing(journal),
    contextlib.closing(pool),
    contextlib.closing(ProgressBar(MOST_TRIALS, budget=setup.budget)) as bar,
    contextlib.suppress(TimeIsUpError),
  ):
    run_search(
      setup.build_strategy(),
      executor=pool,
      reward=linear_excess,
      budget=setup.budget,
      trials=MOST_TRIALS,
      batch=FLAGS.batch,
      seed=seed,
      pruner=pruner,
      journal=journal,
      observers=[bar, clock],
    )


def main(arguments: list[str]) -> None:
  """Runs a pair of searches for each seed and compares them."""
  check_positive('minutes')
  setup = read_setup(arguments)
  stages = len(setup.config.stages())
  if stages < 2:
    raise ValueError('--fidelity: must name at least two stages, such as 10000x1,20000x1,55000x2')
  rows, speedups = [], []
  for seed in map(int, FLAGS.seeds):
    setup = setup.having(seed=seed)
    limits = {'stages': stages, 'workers': setup.workers}
    whole = Clock(setup.budget, **limits, seconds=60 * FLAGS.minutes)
    search(setup, None, seed, whole, 'whole')
    climbing = Clock(setup.budget, **limits, seconds=60 * FLAGS.minutes, target=whole.best)
    pruner = build_pruner(setup.config)
    search(setup, pruner, seed, climbing, FLAGS.pruner)
    reached = whole.curve[-1][0] if whole.curve else float('nan')
    speedup = 60 * FLAGS.minutes / climbing.seconds if climbing.best >= whole.best else float('nan')
    speedups.append((speedup, reached / climbing.seconds))
    rows.append(
      f'| {seed} | {whole.trials} | {whole.best:.4f} | {reached / 60:.1f} | {climbing.trials} '
      f'({climbing.whole}) | {climbing.best:.4f} | {climbing.seconds / 60:.1f} | {speedup:.2f}x | '
      f'{reached / climbing.seconds:.2f}x |'
    )
    result = {'seed': seed, 'whole': whole.curve, 'pruner': climbing.curve}
    path = pathlib.Path(FLAGS.workdir) / f'curves-{seed}.json'
    write_file(path, json.dumps(result, indent=2) + '\n')
  print(
    '| seed | trials | best | found at, min | with pruner: trials (through all stages) | best '
    '| reached at, min | sooner than the end | sooner than it was found |'
  )
  print('|' + '---|' * 9)
  print('\n'.join(rows))
  print(f'sooner than the end: {np.mean([s for s, _ in speedups]):.2f}x on the mean')


if __name__ == '__main__':
  run(main)
