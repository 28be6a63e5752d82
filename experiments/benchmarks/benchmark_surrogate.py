"""Measures how well the regressor of --strategy=reinforce ranks networks that a search trained.

  python experiments/benchmarks/benchmark_surrogate.py runs/first/journal.jsonl \
    runs/second/journal.jsonl

The trained networks of all journals are split at random many times; the regressor learns from some
of them, and its scores of the others are compared with their int8 validation accuracies. The table
shows Spearman's correlation, mean and deviation over the splits. The journals must have the same
space and data set; searches by --strategy=random give a fair sample of the space.
"""

from __future__ import annotations

import numpy as np
from absl import flags
from scipy.stats import spearmanr

from rlnas.cli.flags import check_positive
from rlnas.cli.guard import run
from rlnas.cli.workdir import space_of
from rlnas.search.journal import read_journal
from rlnas.spaces.table import Table, compile_table
from rlnas.strategies.surrogate import Surrogate
from rlnas.trial import Measurement, Trial

FLAGS = flags.FLAGS
flags.DEFINE_list('learnt', ['15', '30', '60', '120'], 'From how many networks it learns.')
flags.DEFINE_integer('splits', 30, 'Number of random splits of the networks; default: 30.')
flags.DEFINE_integer('seed', 0, 'Seed of the splits; default: 0.')

_SAME = ('space', 'space_options', 'dataset_digest', 'fidelity')


def read(paths: list[str]) -> tuple[Table, list[tuple[Trial, Measurement]]]:
  """The space of the journals, and their trained networks, each once."""
  if not paths:
    raise ValueError('arguments: name at least one journal')
  configurations = []
  trained: dict[str, tuple[Trial, Measurement]] = {}
  for path in paths:
    configuration, trials = read_journal(path)
    configurations.append(configuration)
    for trial in trials:
      m = trial.measurement
      if None not in (m.int8_validation_accuracy, m.macs, m.flash_bytes):
        trained.setdefault(trial.proposal.digest, (trial, m))
  space = space_of(configurations[0])
  if space is None:
    raise ValueError(f'{paths[0]}: space={configurations[0].get("space")!r} is not known here')
  for path, other in zip(paths, configurations, strict=True):
    for name in _SAME:
      if other.get(name) != configurations[0].get(name):
        raise ValueError(f'{path}: its {name} is not that of {paths[0]}')
  return compile_table(space), list(trained.values())


def correlations(
  table: Table, trained: list[tuple[Trial, Measurement]], learnt: int, rng: np.random.Generator
) -> dict[str, float]:
  """Spearman's correlation of each score on the test networks of one random split."""
  order = rng.permutation(len(trained)).tolist()
  known, others = ([trained[i] for i in part] for part in (order[:learnt], order[learnt:]))
  surrogate = Surrogate(table)
  surrogate.learn(
    [t.proposal.tokens for t, _ in known], [m.int8_validation_accuracy or 0 for _, m in known]
  )
  scores = {
    'regressor': surrogate.predict([t.proposal.tokens for t, _ in others])[0],
    'MACs': [m.macs for _, m in others],
    'flash': [m.flash_bytes for _, m in others],
  }
  reached = [m.int8_validation_accuracy for _, m in others]
  return {name: float(spearmanr(score, reached).statistic) for name, score in scores.items()}


def main(arguments: list[str]) -> None:
  """Prints one row for each number of networks."""
  check_positive('splits')
  table, trained = read(arguments[1:])
  counts = [int(count) for count in FLAGS.learnt]
  if not all(1 <= count <= len(trained) - 3 for count in counts):
    raise ValueError(
      f'--learnt={",".join(FLAGS.learnt)}: must lie from 1 to {len(trained) - 3}, three less than '
      'there are trained networks'
    )
  print(f'{len(trained)} trained networks, {FLAGS.splits} splits')
  for i, count in enumerate(counts):
    rng = np.random.default_rng(FLAGS.seed)
    found = [correlations(table, trained, count, rng) for _ in range(FLAGS.splits)]
    if i == 0:
      print(f'| learnt | {" | ".join(found[0])} |\n|{"---|" * (1 + len(found[0]))}')
    cells = []
    for name in found[0]:
      values = [split[name] for split in found]
      cells.append(f'{np.mean(values):.3f} ± {np.std(values):.3f}')
    print(f'| {count} | {" | ".join(cells)} |')


if __name__ == '__main__':
  run(main)
