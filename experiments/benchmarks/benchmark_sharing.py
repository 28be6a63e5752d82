"""Compares the weights of a supernet with training from scratch, at equal time.

  python experiments/benchmarks/benchmark_sharing.py --dataset=fashion_mnist --seconds=1200

Two random searches take equal processor time. One trains each network from scratch, for one epoch
of --examples. The other trains a supernet for --share of the time, and evaluates networks with its
weights for the rest. Then the best --finalists of each are trained from scratch in the same way,
for --final_epochs on all training data: their accuracies show which search is better.
"""

from __future__ import annotations

import contextlib
import time

import numpy as np
import tqdm
from absl import flags
from networks import accuracies, draw, supernet_of
from processor_time import Timed

from rlnas.architecture import Architecture
from rlnas.cli import flags as cli_flags
from rlnas.cli.build import Setup
from rlnas.cli.flags import OF_TIMED_SEARCH, check_positive, define_search_flags, read_setup
from rlnas.cli.guard import run
from rlnas.data.dataset import take
from rlnas.evaluation.executors import WorkerPool
from rlnas.evaluation.screened import Screened
from rlnas.evaluation.trained import Trained
from rlnas.evaluation.weight_sharing import WeightSharing
from rlnas.interfaces import Evaluator
from rlnas.reward import is_feasible
from rlnas.trial import Status, derive_seed

FLAGS = flags.FLAGS
define_search_flags(without=OF_TIMED_SEARCH)
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_float('seconds', 1200.0, 'Processor time of each search, in seconds; default: 1200.')
flags.DEFINE_integer('seed', 0, 'Seed of networks and weights; default: 0.')
flags.DEFINE_float('share', 0.5, 'Share of the time that trains the supernet; default: 0.5.')
flags.DEFINE_integer(
  'examples', 10_000, 'Number of examples of a training from scratch; default: 10000.'
)
flags.DEFINE_integer(
  'finalists', 3, 'Number of networks that are trained in the end; default: 3.', lower_bound=1
)
flags.DEFINE_integer(
  'final_epochs', 4, 'Number of epochs of that training; default: 4.', lower_bound=1
)

_PILOT_STEPS = 40  # that tell how long one takes; they count


def search(
  setup: Setup, evaluator: Evaluator, seconds: float, title: str
) -> tuple[list[Architecture], int]:
  """Evaluates random networks until the processors have spent the time.

  Returns:
    The best few different networks, and the number of evaluated ones.
  """
  data, budget = setup.dataset, setup.budget
  screened = Screened(evaluator, budget, data.task, build=setup.build)
  drawn = draw(setup, derive_seed(FLAGS.seed, 'search'))
  asked: list[Architecture] = []
  reached: dict[Architecture, float] = {}
  looked = 0
  pool = WorkerPool(Timed(screened), workers=setup.workers)
  bar = tqdm.tqdm(unit='network', desc=title, dynamic_ncols=True)
  with contextlib.closing(pool), bar:
    while seconds > 0:
      while len(asked) - looked < 2 * setup.workers:  # so that no worker waits
        asked.append(next(drawn))
        pool.submit(len(asked) - 1, asked[-1], seed=derive_seed(FLAGS.seed, 'child', len(asked)))
      while (arrived := pool.collect(60.0)) is None:
        bar.refresh()
      key, measurement = arrived
      if measurement.status is Status.FAILED:
        raise ValueError(f'network {key} has no accuracy: {measurement.detail}')
      seconds -= measurement.seconds
      looked += 1
      bar.update()
      if is_feasible(measurement, budget):
        reached[asked[key]] = measurement.int8_validation_accuracy or 0.0
  return sorted(reached, key=lambda a: -reached[a])[: FLAGS.finalists], looked


def share_weights(setup: Setup) -> tuple[WeightSharing, float]:
  """Trains a supernet in about --share of the time; returns the remaining seconds."""
  started = time.process_time()
  supernet_of(setup, seed=0, steps=_PILOT_STEPS)
  a_step = (time.process_time() - started) / _PILOT_STEPS
  steps = int((FLAGS.share * FLAGS.seconds) / a_step) - _PILOT_STEPS
  if steps < 1:
    raise ValueError(
      f'--seconds={FLAGS.seconds}: too short for a supernet, each step takes {a_step:.2f} s'
    )
  supernet = supernet_of(setup, seed=derive_seed(FLAGS.seed, 'supernet'), steps=steps)
  print(f'supernet: {steps} steps in {time.process_time() - started:.0f} s')
  left = FLAGS.seconds - (time.process_time() - started)
  return WeightSharing(setup.dataset, supernet=supernet, build=setup.build), left


def main(arguments: list[str]) -> None:
  """Runs both searches and trains their finalists."""
  check_positive('seconds')
  check_positive('examples')
  if not 0 < FLAGS.share < 1:
    raise ValueError(f'--share={FLAGS.share}: must lie in (0, 1)')
  setup = read_setup(arguments)
  data = setup.dataset
  few = take(data, min(FLAGS.examples, len(data.x_train)))
  scratch = Trained(few, epochs=1, build=setup.build)
  shared, left = share_weights(setup)
  found = {
    'from scratch': search(setup, scratch, FLAGS.seconds, 'from scratch'),
    'shared': search(setup, shared, left, 'shared'),
  }
  rows = []
  for name, (architectures, looked) in found.items():
    final = accuracies(
      Trained(data, epochs=FLAGS.final_epochs),
      architectures,
      seed=derive_seed(FLAGS.seed, 'final'),
      workers=setup.workers,
      title=f'{name}, final',
    )
    rows.append(f'| {name} | {looked} | {max(final):.4f} | {np.mean(final):.4f} |')
  print(f'| weights | networks | best of {FLAGS.finalists} | their mean |\n|---|---|---|---|')
  print('\n'.join(rows))


if __name__ == '__main__':
  run(main)
