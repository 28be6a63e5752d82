"""Compares mutants with their parent's weights and training from scratch, at equal time.

  python experiments/benchmarks/benchmark_inheritance.py --fidelity=10000x1 --minutes=10 \
    --seeds=0,1

Two searches by evolution for each seed, of equal processor time (on --workers idle cores). Rewards
of inherited weights come from longer training, so they cannot be compared. Instead the best
--finalists of each search are trained from scratch in the same way, for --final_epochs on all
training data.
"""

from __future__ import annotations

import contextlib
import pathlib

import numpy as np
from absl import flags
from processor_time import MOST_TRIALS, Clock, Timed, TimeIsUpError

from rlnas.cli import flags as cli_flags
from rlnas.cli.build import Setup, build_evaluator, journal_configuration
from rlnas.cli.flags import OF_TIMED_SEARCH, check_positive, define_search_flags, read_setup
from rlnas.cli.guard import run
from rlnas.evaluation.executors import WorkerPool
from rlnas.evaluation.trained import Trained
from rlnas.reports.progress_bar import ProgressBar
from rlnas.reward import is_feasible, linear_excess
from rlnas.search.journal import Journal, read_journal
from rlnas.search.loop import run_search
from rlnas.strategies.evolution import Evolution
from rlnas.trial import Trial, derive_seed

FLAGS = flags.FLAGS
define_search_flags(without=(*OF_TIMED_SEARCH, 'inherit'))
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_float(
  'minutes', 10.0, 'Time of each search on --workers idle cores, in minutes; default: 10.'
)
flags.DEFINE_list('seeds', ['0', '1'], 'One pair of searches a seed; default: 0,1.')
flags.DEFINE_integer(
  'finalists', 3, 'Number of networks that are trained in the end; default: 3.', lower_bound=1
)
flags.DEFINE_integer(
  'final_epochs', 2, 'Number of epochs of that training; default: 2.', lower_bound=1
)


def search(setup: Setup, seed: int, inherit: bool) -> list[Trial]:
  """The trials of a search of --minutes; resumes a search that was stopped."""
  name = 'inherited' if inherit else 'scratch'
  setup = setup.having(strategy='evolution', seed=seed, inherit=inherit)
  path = pathlib.Path(FLAGS.workdir) / f'{name}-{seed}.jsonl'
  decides = journal_configuration(setup)
  clock = Clock(
    setup.budget,
    stages=len(setup.config.stages()),
    workers=setup.workers,
    seconds=60 * FLAGS.minutes,
  )
  journal = Journal(path, configuration=decides)
  pool = WorkerPool(Timed(build_evaluator(setup)), workers=setup.workers)
  with (
    contextlib.closing(journal),
    contextlib.closing(pool),
    contextlib.closing(ProgressBar(MOST_TRIALS, budget=setup.budget)) as bar,
    contextlib.suppress(TimeIsUpError),
  ):
    run_search(
      Evolution(setup.table, seed=derive_seed(seed, 'strategy')),
      executor=pool,
      reward=linear_excess,
      budget=setup.budget,
      trials=MOST_TRIALS,
      batch=FLAGS.batch,
      seed=seed,
      inherit=inherit,
      journal=journal,
      observers=[bar, clock],
    )
  return read_journal(path)[1][: clock.trials]


def finish(setup: Setup, trials: list[Trial], seed: int) -> list[float]:
  """int8 validation accuracies of the best few different networks after equal training."""
  feasible = [t for t in trials if is_feasible(t.measurement, setup.budget)]
  best = sorted(feasible, key=lambda t: (-(t.reward or 0.0), t.index))
  networks = list({t.proposal.digest: t for t in best}.values())[: FLAGS.finalists]
  pool = WorkerPool(Trained(setup.dataset, epochs=FLAGS.final_epochs), workers=setup.workers)
  with contextlib.closing(pool):
    for key, trial in enumerate(networks):
      pool.submit(key, trial.proposal.architecture, seed=derive_seed(seed, 'final'))
    found: list[float] = []
    while len(found) < len(networks):
      if (arrived := pool.collect(60.0)) is not None:
        found.append(arrived[1].int8_validation_accuracy or 0.0)
  return found


def main(arguments: list[str]) -> None:
  """Runs the pairs and prints a table."""
  check_positive('minutes')
  setup = read_setup(arguments)
  rows = []
  for seed in map(int, FLAGS.seeds):
    for inherit in (False, True):
      trials = search(setup, seed, inherit)
      final = finish(setup, trials, seed)
      trained = [t for t in trials if t.measurement.curve]
      rows.append(
        f'| {seed} | {"inherited" if inherit else "from scratch"} | {len(trials)} '
        f'({len(trained)}) | {max(final):.4f} | {np.mean(final):.4f} |'
      )
  print('| seed | weights | trials (trained) | best finalist | mean finalist |')
  print('|---|---|---|---|---|')
  print('\n'.join(rows))


if __name__ == '__main__':
  run(main)
