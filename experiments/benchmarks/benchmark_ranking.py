"""Measures how well cheap estimates rank networks: Spearman's correlation with full training.

  python experiments/benchmarks/benchmark_ranking.py --dataset=fashion_mnist --space=chain \
    --truth=runs/truth-chain.jsonl

The networks are drawn uniformly among those that fit the budget. The truth is the int8 validation
accuracy after --truth_epochs epochs on all training data, the mean over --truth_seeds seeds; a file
of lines keeps it, so it is never computed twice. Each estimate has other seeds than the truth.
Prints a table with bootstrap intervals of 90 % and writes ranking-SPACE.json into --workdir.

`top` is the accuracy after all stages of --fidelity, for every network. `pruner` is the accuracy
that a strategy is told in a search that stops most networks early, with --before other networks
before them; `unpredicted` is the same without predictor. `shared` is the accuracy with the weights
of a supernet, whose training counts as time.

Time is processor time of all processes, with their start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats
from absl import flags
from networks import accuracies, draw_different, evaluate, supernet_of

from rlnas.architecture import Architecture
from rlnas.cli import flags as cli_flags
from rlnas.cli.build import Setup, build_stages
from rlnas.cli.choices import PRUNERS, choose
from rlnas.cli.flags import OF_TIMED_SEARCH, check_positive, define_search_flags, read_setup
from rlnas.cli.guard import run
from rlnas.cost.cost import estimate_cost
from rlnas.data.atomic_file import write_file
from rlnas.data.dataset import take
from rlnas.evaluation.trained import Trained
from rlnas.evaluation.weight_sharing import WeightSharing
from rlnas.interfaces import Evaluator
from rlnas.reward import linear_excess
from rlnas.search.line_file import LineFile
from rlnas.trial import Proposal, Terms, Trial, derive_seed

FLAGS = flags.FLAGS
define_search_flags(without=OF_TIMED_SEARCH, flash_kib=64.0, sram_kib=64.0)
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_integer('networks', 24, 'Number of networks to rank; default: 24.', lower_bound=3)
flags.DEFINE_integer('seed', 0, 'Seed of networks and weights; default: 0.')
flags.DEFINE_string('truth', 'runs/truth.jsonl', 'File of what full trainings reached.')
flags.DEFINE_integer('truth_epochs', 8, 'Number of epochs of the true training; default: 8.')
flags.DEFINE_integer('truth_seeds', 1, 'Number of true trainings of each network; default: 1.')
flags.DEFINE_integer(
  'before', 48, 'Number of networks that the pruner sees before them; default: 48.'
)
flags.DEFINE_integer('examples', 10_000, 'Number of examples of short trainings; default: 10000.')
flags.DEFINE_integer(
  'supernet_steps', 6000, 'Number of batches that train the supernet; default: 6000.'
)

WAVE = 8  # networks that are trained together, judged against those of the waves before

# Scores of networks, the higher the better.
Estimator = Callable[[Setup, Sequence[Architecture]], Sequence[float]]


def truth(setup: Setup, architectures: Sequence[Architecture]) -> list[float]:
  """int8 validation accuracies after full training, from the file as far as it has them."""
  with contextlib.closing(LineFile(pathlib.Path(FLAGS.truth))) as file:
    text = file.read()
    file.truncate(text.rfind(b'\n') + 1)  # a line that was cut off is computed again
    records = [json.loads(line) for line in text[: file.size].splitlines()]
    task = {'dataset': setup.dataset.digest, 'epochs': FLAGS.truth_epochs}
    known = {
      (record['digest'], record['seed']): record['int8_validation_accuracy']
      for record in records
      if task.items() <= record.items()
    }
    wanted = [(a, seed) for seed in range(FLAGS.truth_seeds) for a in architectures]
    missing = [(a, seed) for a, seed in wanted if (a.digest, seed) not in known]
    arriving = evaluate(
      Trained(setup.dataset, epochs=FLAGS.truth_epochs),
      [a for a, _ in missing],
      [derive_seed(seed, 'truth', a.digest) for a, seed in missing],
      workers=setup.workers,
      title='truth',
    )
    for key, measurement in arriving:
      architecture, seed = missing[key]
      record: dict[str, Any] = {**task, 'digest': architecture.digest, 'seed': seed}
      file.append([json.dumps({**record, **measurement.to_record()})])
      known[architecture.digest, seed] = measurement.int8_validation_accuracy
  seeds = range(FLAGS.truth_seeds)
  return [float(np.mean([known[a.digest, seed] for seed in seeds])) for a in architectures]


def briefly_trained(epochs: int) -> Estimator:
  """Accuracy after some epochs of --examples training examples."""

  def score(setup: Setup, architectures: Sequence[Architecture]) -> list[float]:
    data = setup.dataset
    subset = take(data, min(FLAGS.examples, len(data.x_train)))
    return brief(Trained(subset, epochs=epochs), setup, architectures, f'{epochs} epochs')

  return score


def shared(setup: Setup, architectures: Sequence[Architecture]) -> list[float]:
  """Accuracy with the weights of a supernet, which it trains on newly drawn networks."""
  supernet = supernet_of(
    setup, seed=derive_seed(FLAGS.seed, 'supernet'), steps=FLAGS.supernet_steps
  )
  return brief(WeightSharing(setup.dataset, supernet=supernet), setup, architectures, 'shared')


def brief(
  evaluator: Evaluator, setup: Setup, architectures: Sequence[Architecture], title: str
) -> list[float]:
  """int8 validation accuracies of all networks."""
  seed = derive_seed(FLAGS.seed, 'brief')
  return accuracies(evaluator, architectures, seed=seed, workers=setup.workers, title=title)


def parameters(setup: Setup, architectures: Sequence[Architecture]) -> list[float]:
  """The number of weights."""
  task = setup.dataset.task
  return [float(estimate_cost(a, task).parameters) for a in architectures]


def macs(setup: Setup, architectures: Sequence[Architecture]) -> list[float]:
  """The number of multiply-accumulates."""
  task = setup.dataset.task
  return [float(estimate_cost(a, task).macs) for a in architectures]


def whole(setup: Setup, architectures: Sequence[Architecture]) -> list[float]:
  """Accuracy after all stages of --fidelity."""
  return brief(
    Trained(setup.dataset, epochs=build_stages(setup.config)), setup, architectures, 'all stages'
  )


def climbing(*, predicts: bool) -> Estimator:
  """The accuracies that a strategy is told with a pruner, wave by wave."""

  def score(setup: Setup, architectures: Sequence[Architecture]) -> list[float]:
    pruner = choose('pruner', FLAGS.pruner, PRUNERS)(len(setup.config.stages()))
    others = draw_different(setup, derive_seed(FLAGS.seed, 'before'), FLAGS.before)
    climbers = [*others, *architectures]
    trained = Trained(setup.dataset, epochs=build_stages(setup.config))
    told: list[Trial] = []
    for first in range(0, len(climbers), WAVE):
      wave = climbers[first : first + WAVE]
      seeds = [derive_seed(FLAGS.seed, 'climb', a.digest) for a in wave]
      found = evaluate(
        trained,
        wave,
        seeds,
        workers=setup.workers,
        title=f'pruner {first // WAVE}',
        terms=Terms(thresholds=pruner.thresholds(told)),
      )
      now = []
      for key, measurement in sorted(found, key=lambda item: item[0]):
        predicted = pruner.predicted_accuracy(wave[key], measurement, told) if predicts else None
        proposal = Proposal((), wave[key])
        trial = Trial(first + key, 0, seeds[key], proposal, measurement, None, predicted)
        reward = linear_excess(trial.rewarded_measurement, setup.budget)
        now.append(dataclasses.replace(trial, reward=reward))
      told += now
    return [trial.reward or 0.0 for trial in told[len(others) :]]

  return score


ESTIMATORS: Mapping[str, Estimator] = {
  'params': parameters,
  'macs': macs,
  'epochs1': briefly_trained(1),
  'epochs2': briefly_trained(2),
  'shared': shared,
  'top': whole,
  'pruner': climbing(predicts=True),
  'unpredicted': climbing(predicts=False),
}
flags.DEFINE_list(
  'estimators',
  [name for name in ESTIMATORS if name not in ('pruner', 'unpredicted')],
  f'Which to try, of {", ".join(ESTIMATORS)}; default: all that need no --fidelity.',
)


def spearman(scores: Sequence[float], truths: Sequence[float]) -> tuple[float, float, float]:
  """The rank correlation, and the bounds of its bootstrap interval of 90 %."""
  x, y = np.array(scores), np.array(truths)
  rng = np.random.default_rng(0)
  drawn = rng.integers(len(x), size=(2000, len(x)))
  # Where a resample is of one network only, there is no correlation.
  varied = [rows for rows in drawn if np.ptp(x[rows]) and np.ptp(y[rows])]
  values = [scipy.stats.spearmanr(x[rows], y[rows]).statistic for rows in varied]
  low, high = np.quantile(values, (0.05, 0.95)) if values else (math.nan, math.nan)
  value = scipy.stats.spearmanr(x, y).statistic if np.ptp(x) and np.ptp(y) else math.nan
  return float(value), float(low), float(high)


def processor_seconds() -> float:
  """Processor time of this process and of all ended processes that it started."""
  times = os.times()
  return times.user + times.system + times.children_user + times.children_system


def main(arguments: list[str]) -> None:
  """Computes the truth, then compares each estimate with it."""
  for name in ('truth_epochs', 'truth_seeds', 'examples', 'supernet_steps'):
    check_positive(name)
  chosen = {name: choose('estimators', name, ESTIMATORS) for name in FLAGS.estimators}
  setup = read_setup(arguments)
  if {'pruner', 'unpredicted'} & set(chosen) and len(setup.config.stages()) < 2:
    raise ValueError('--fidelity: a pruner needs two stages, such as 10000x1,20000x1,55000x2')
  architectures = draw_different(setup, derive_seed(FLAGS.seed, 'networks'), FLAGS.networks)
  truths = truth(setup, architectures)
  print(
    f'{len(truths)} networks of {setup.config.space}, truth {np.mean(truths):.4f} '
    f'± {np.std(truths, ddof=1):.4f}'
  )
  print('| estimate | Spearman | 90 % interval | seconds |\n|---|---|---|---|', flush=True)
  results: dict[str, Any] = {}
  for name, estimator in chosen.items():
    started = processor_seconds()
    scores = list(estimator(setup, architectures))
    seconds = processor_seconds() - started
    value, low, high = spearman(scores, truths)
    print(f'| {name} | {value:.2f} | {low:.2f} to {high:.2f} | {seconds:.0f} |', flush=True)
    results[name] = {
      **{'spearman': value, 'low': low, 'high': high, 'seconds': seconds},
      'scores': scores,
    }
  workdir = pathlib.Path(FLAGS.workdir)
  digests = [a.digest for a in architectures]
  report = {'digests': digests, 'truths': truths, 'estimates': results}
  write_file(workdir / f'ranking-{setup.config.space}.json', json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
  run(main)
