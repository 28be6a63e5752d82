"""How well what a search is told at the end of a ladder ranks networks.

  python experiments/benchmark_fidelity.py --fidelity=10000x1,20000x1,55000x2 ...

Truth is the int8 validation accuracy after --truth_epochs epochs of all training data, from another
seed. The networks are uniform among those that fit the board. As many others as --before climb the
ladder before them, as in a search that has been under way. Prints Spearman's rank correlation with
the truth, with a bootstrap interval of 90 %: of the accuracy at each stage, of what the strategy is
told with and without foresight, and of the networks' sizes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import scipy.stats
import settings as settings_module
import tqdm
from absl import flags
from choices import LADDERS
from guard import run
from settings import Settings, evaluator, read_settings, stages

from rlnas.architecture import Architecture
from rlnas.child.cost import cost
from rlnas.decision import decode
from rlnas.evaluators.trained import Trained
from rlnas.executors import WorkerPool
from rlnas.ladder import Ladder
from rlnas.reward import linear_excess
from rlnas.table import sample_uniform
from rlnas.trial import Measurement, Proposal, Terms, Trial, derive_seed

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(settings_module)
flags.DEFINE_integer('networks', 24, 'Networks to rank; default: 24.', lower_bound=3)
flags.DEFINE_integer('before', 48, 'Networks on the ladder before them; default: 48.')
flags.DEFINE_integer('truth_epochs', 8, 'Epochs of the true training; default: 8.', lower_bound=1)
flags.DEFINE_integer('seed', 0, 'Decides networks and weights; default: 0.')

WAVE = 8  # networks that climb together, judged against those of the waves before


def draw(settings: Settings, count: int) -> Iterator[Proposal]:
  """Networks that keep the budget, each once."""
  rng = np.random.default_rng(derive_seed(FLAGS.seed, 'networks'))
  data, seen = settings.dataset, set[str]()
  while len(seen) < count:
    tokens = sample_uniform(settings.table, rng)
    architecture = decode(settings.table.space, tokens)
    needed = cost(architecture, data.input_shape, data.classes)
    fits = settings.budget.fits(needed.flash_bytes, needed.sram_bytes, needed.macs, None)
    if fits and architecture.digest not in seen:
      seen.add(architecture.digest)
      yield Proposal(tokens, architecture)


def evaluate(
  pool: WorkerPool,
  architectures: Sequence[Architecture],
  seeds: Sequence[int],
  terms: Terms,
  on_result: Callable[[int, Measurement], None],
) -> None:
  """Evaluates all, and hands over each result as it comes."""
  for key, (architecture, seed) in enumerate(zip(architectures, seeds, strict=True)):
    pool.submit(key, architecture, seed=seed, terms=terms)
  for _ in architectures:
    while (arrived := pool.collect(60.0)) is None:
      pass
    if arrived[1].int8_validation_accuracy is None:
      raise ValueError(f'network {arrived[0]} has no accuracy: {arrived[1].detail}')
    on_result(*arrived)


def truth(settings: Settings, proposals: Sequence[Proposal], path: pathlib.Path) -> list[float]:
  """Accuracies after the full training; those that the file has are not trained again."""
  known: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
  missing = [p.architecture for p in proposals if p.architecture.digest not in known]
  pool = WorkerPool(Trained(settings.dataset, epochs=FLAGS.truth_epochs), workers=settings.workers)
  with tqdm.tqdm(total=len(missing), unit='network', desc='truth', dynamic_ncols=True) as bar:

    def keep(key: int, measurement: Measurement) -> None:
      known[missing[key].digest] = measurement.int8_validation_accuracy or 0.0
      path.write_text(json.dumps(known, indent=2) + '\n')
      bar.update()

    seeds = [derive_seed(FLAGS.seed, 'truth', a.digest) for a in missing]
    evaluate(pool, missing, seeds, Terms(), keep)
  pool.close()
  return [known[p.architecture.digest] for p in proposals]


def climb(settings: Settings, ladder: Ladder, proposals: Sequence[Proposal]) -> list[Trial]:
  """All networks on the ladder, wave by wave."""
  pool = WorkerPool(evaluator(settings), workers=settings.workers)
  told: list[Trial] = []
  with tqdm.tqdm(total=len(proposals), unit='network', desc='ladder', dynamic_ncols=True) as bar:
    for first in range(0, len(proposals), WAVE):
      wave = proposals[first : first + WAVE]
      found: dict[int, Measurement] = {}

      def keep(key: int, measurement: Measurement, found: dict[int, Measurement] = found) -> None:
        found[key] = measurement
        bar.update()

      architectures = [p.architecture for p in wave]
      seeds = [derive_seed(FLAGS.seed, 'child', a.digest) for a in architectures]
      evaluate(pool, architectures, seeds, Terms(bars=ladder.bars(told)), keep)
      trials = []
      for key, proposal in enumerate(wave):
        expected = ladder.expected_accuracy(proposal.architecture, found[key], told)
        measurement = dataclasses.replace(found[key], expected_accuracy=expected)
        reward = linear_excess(measurement, settings.budget)
        trials.append(Trial(first + key, 0, seeds[key], proposal, measurement, reward))
      told += trials
  pool.close()
  return told


def spearman(
  scores: Sequence[float], truths: Sequence[float], seed: int
) -> tuple[float, float, float]:
  """The correlation, and the bounds of its bootstrap interval of 90 %."""
  x, y = np.array(scores), np.array(truths)
  rng = np.random.default_rng(seed)
  drawn = rng.integers(len(x), size=(2000, len(x)))
  values = [scipy.stats.spearmanr(x[rows], y[rows]).statistic for rows in drawn]
  low, high = np.nanquantile(values, (0.05, 0.95))
  return float(scipy.stats.spearmanr(x, y).statistic), float(low), float(high)


def main(arguments: list[str]) -> None:
  """Trains, climbs and compares."""
  if len(stages()) < 2:
    raise ValueError('--fidelity: must name at least two stages, such as 10000x1,20000x1,55000x2')
  settings = read_settings(arguments)
  workdir = pathlib.Path(FLAGS.workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  proposals = list(draw(settings, FLAGS.before + FLAGS.networks))
  judged = proposals[FLAGS.before :]
  truths = truth(settings, judged, workdir / 'truth.json')
  trials = climb(settings, LADDERS[FLAGS.ladder](len(stages())), proposals)[FLAGS.before :]
  measured = [t.measurement for t in trials]
  scores: Mapping[str, list[float]] = {
    'told, with foresight': [t.reward or 0.0 for t in trials],
    'told, without': [m.int8_validation_accuracy or 0.0 for m in measured],
    'after the first stage': [m.curve[0] for m in measured],
    'log parameters': [math.log(m.parameters or 1) for m in measured],
    'log MACs': [math.log(m.macs or 1) for m in measured],
  }
  reached = np.bincount([len(m.curve) for m in measured], minlength=len(stages()) + 1)[1:]
  print(
    f'{len(judged)} networks, truth {np.mean(truths):.4f} ± {np.std(truths, ddof=1):.4f}; stages'
  )
  print(
    f'reached: {", ".join(map(str, reached))}; mean {np.mean([m.seconds for m in measured]):.1f} s'
  )
  print('| told | Spearman | 90 % interval |\n|---|---|---|')
  for name, values in scores.items():
    value, low, high = spearman(values, truths, FLAGS.seed)
    print(f'| {name} | {value:.3f} | {low:.2f} to {high:.2f} |')
  rows = zip(
    (p.architecture.digest for p in judged), truths, scores['told, with foresight'], strict=True
  )
  (workdir / 'ranking.json').write_text(json.dumps(list(rows), indent=2) + '\n')


if __name__ == '__main__':
  run(main)
