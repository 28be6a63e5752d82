"""Finishes a search anew from its journal, with other settings, and writes its results again.

  python experiments/finish.py runs/first --finish_top=6 --finish_epochs=200 --finish_seeds=3

Networks that were trained with the same settings before, here or by experiments/search.py, are not
trained again, so that the same command goes on where it was stopped. Data that the search was given
by --data_dir are given so here, too.
"""

from __future__ import annotations

import json
import time

from absl import flags

from rlnas.cli import finishing as finishing_module
from rlnas.cli.choices import SEQUENCE_SPACES
from rlnas.cli.export import budget_of, export_workdir, named_workdir, read_config
from rlnas.cli.finishing import FINISH_FLAGS, finish, read_plan, show
from rlnas.cli.guard import check_positive, run
from rlnas.data import loaders
from rlnas.evaluation.executors import default_workers
from rlnas.finishing.winner import write_winner
from rlnas.search.journal import read_journal

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(finishing_module)
flags.declare_key_flag('data_dir', flag_values=FLAGS)
flags.declare_key_flag('workers', flag_values=FLAGS)


def main(arguments: list[str]) -> None:
  """Finishes the search in the workdir that is named."""
  started = time.perf_counter()
  check_positive('workers')
  workdir = named_workdir(arguments)
  config = read_config(workdir)
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  dataset = loaders.load(config['dataset'], data_dir=FLAGS.data_dir)
  is_sequence = config.get('space') in SEQUENCE_SPACES
  dataset = loaders.as_sequences(dataset) if is_sequence else loaders.as_images(dataset)
  if configuration.get('dataset_digest') != dataset.digest:
    raise ValueError(f'dataset {dataset.name}: is not the one that the search was made on')
  plan, budget = read_plan(dataset), budget_of(config)
  winner = finish(
    trials,
    dataset,
    budget,
    plan,
    seed=config['seed'],
    workers=default_workers() if FLAGS.workers is None else FLAGS.workers,
    workdir=workdir,
  )
  write_winner(
    winner,
    trials,
    budget,
    workdir,
    dataset=dataset,
    seconds=time.perf_counter() - started,
  )
  config |= {name: FLAGS[name].value for name in FINISH_FLAGS}
  (workdir / 'config.json').write_text(json.dumps(config, indent=2) + '\n')
  show(winner, trials, budget, workdir)
  print(export_workdir(workdir, dataset) / 'report.html')


if __name__ == '__main__':
  run(main)
