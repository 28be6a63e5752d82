"""Builds the best cells of a NASNet search in a larger stack, on the same or on other data.

  rlnas search --space=nasnet --workdir=runs/cells
  python experiments/transfer.py --search=runs/cells --repeats=2 --filters=12

Zoph et al. 2018, section 4: cells found on small images in a small stack also work in a larger
stack. Both stacks are trained in the same way and compared on validation data; test data are not
used.
"""

from __future__ import annotations

import pathlib

from absl import flags

from rlnas.architecture import Architecture
from rlnas.child.augment import suited_augmentation
from rlnas.cli import flags as cli_flags
from rlnas.cli.choices import recorded_options
from rlnas.cli.flags import check_positive, define_some_flags, no_arguments
from rlnas.cli.guard import run
from rlnas.cli.workdir import budget_of
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric
from rlnas.finishing.recipe import Recipe, finish
from rlnas.pareto import best_trial
from rlnas.search.journal import read_journal
from rlnas.spaces import NASNet
from rlnas.spaces.decision import decode
from rlnas.tflite.footprint import measure

FLAGS = flags.FLAGS
flags.DEFINE_string('search', None, 'Workdir of a search with --space=nasnet.', required=True)
define_some_flags(FLAGS, 'dataset', 'data_dir', 'epochs')
flags.adopt_module_key_flags(cli_flags)
FLAGS.set_default('dataset', 'fashion_mnist')
FLAGS.set_default('epochs', 8)
flags.DEFINE_integer('train_examples', None, 'Number of training examples; default: all.')
flags.DEFINE_integer('repeats', 2, 'Number of normal cells between reductions in the larger stack.')
flags.DEFINE_integer('filters', 12, 'Number of filters of the first cells in the larger stack.')
flags.DEFINE_integer('seed', 0, 'Seed of initial weights and of the order of examples.')


def main(arguments: list[str]) -> None:
  """Trains the small and the large stack and prints their figures."""
  no_arguments(arguments)
  check_positive('epochs')
  configuration, trials = read_journal(pathlib.Path(FLAGS.search) / 'journal.jsonl')
  if configuration['space'] != 'nasnet':
    raise ValueError(
      f'--search={FLAGS.search}: has space {configuration["space"]!r}; must have nasnet'
    )
  options = recorded_options('space', 'nasnet', str(configuration['space_options']))
  space = NASNet(**options)
  best = best_trial(trials, budget_of(configuration))
  if best is None:
    raise ValueError(f'--search={FLAGS.search}: must have a trial that fits its budget')
  dataset = loaders.as_images(loaders.load(FLAGS.dataset, data_dir=FLAGS.data_dir))
  if FLAGS.train_examples is not None:
    dataset = loaders.take(dataset, FLAGS.train_examples)
  tokens = best.proposal.tokens
  print(f'cells of trial {best.index}, {dataset.name}, {len(dataset.x_train):,} images')
  print(
    '| stack | validation | int8 validation | flash B | SRAM B | MACs |\n|---|---|---|---|---|---|'
  )
  metric = Metric(configuration.get('metric', Metric.ACCURACY))
  report('small', decode(space, tokens), dataset, metric)
  large = space.transfer(tokens, repeats=FLAGS.repeats, filters=FLAGS.filters)
  report('large', large, dataset, metric)


def report(name: str, architecture: Architecture, dataset: Dataset, metric: Metric) -> None:
  """Trains one stack, as the search did for its metric, and prints its row of the table."""
  augmentation = suited_augmentation(dataset.input_shape)
  recipe = Recipe(FLAGS.epochs, augmentation=augmentation, metric=metric)
  found = finish(architecture, dataset, recipe=recipe, seed=FLAGS.seed)
  footprint = measure(found.model)
  macs = estimate_cost(architecture, dataset.task).macs
  print(
    f'| {name} | {found.validation_accuracy:.4f} | {found.int8_validation_accuracy:.4f} '
    f'| {footprint.flash_bytes:,} | {footprint.sram_bytes:,} | {macs:,} |',
    flush=True,
  )


if __name__ == '__main__':
  run(main)
