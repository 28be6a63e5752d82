"""Searches a network for a microcontroller and leaves a deployable int8 model.

  python experiments/search.py --dataset=mnist5k --board=nucleo-l010rb --workdir=runs/first

The same command on the same workdir resumes the search. The workdir then holds config.json,
journal.jsonl, tensorboard/, result.json, pareto.png, best/model.tflite and
best/architecture.json.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import time

import tqdm
from absl import app, flags
from choices import REWARDS, SPACES, STRATEGIES, choose

import rlnas
from rlnas import datasets
from rlnas.backend import tf
from rlnas.board import BOARDS, Budget, find_board
from rlnas.datasets import Dataset
from rlnas.evaluators.trained import Trained
from rlnas.executors import WorkerPool, default_workers
from rlnas.journal import Journal
from rlnas.monitor import ProgressBar, TensorBoard
from rlnas.report import format_front, pareto_front, plot_pareto
from rlnas.search import SearchError, run_search
from rlnas.table import compile_table
from rlnas.trial import Trial, derive_seed
from rlnas.winner import Winner, finish_best, write_winner

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'dataset',
  'mnist5k',
  f'What the networks classify: {", ".join(datasets.BUILT_IN)}, the path of an .npz file '
  '(x_train, y_train, optional x_val, y_val, x_test, y_test) or of a folder of images by class.',
)
flags.DEFINE_string(
  'data_dir', None, 'Folder of IDX (MNIST) or binary (CIFAR-10) files; downloads where not given.'
)
flags.DEFINE_string('space', 'chain', f'Which networks exist: {", ".join(SPACES)}.')
flags.DEFINE_string('strategy', 'reinforce', f'What proposes them: {", ".join(STRATEGIES)}.')
flags.DEFINE_string(
  'board',
  'nucleo-l010rb',
  f'Whose budget holds: {", ".join(BOARDS)}, or the path of a .json file.',
)
flags.DEFINE_float('flash_kib', None, "Flash for the .tflite file in KiB, in place of the board's.")
flags.DEFINE_float('sram_kib', None, "SRAM for the tensor arena in KiB, in place of the board's.")
flags.DEFINE_string(
  'reward', 'linear_excess', f'How the budget enters the reward: {", ".join(REWARDS)}.'
)
flags.DEFINE_integer('trials', 40, 'Children to evaluate; more than before goes on with a search.')
flags.DEFINE_integer('batch', 4, 'Children that are proposed, and told to the strategy, together.')
flags.DEFINE_integer('epochs', 4, 'Epochs that a child is trained.')
flags.DEFINE_integer('finish_epochs', 60, 'Epochs that the winner is trained, from scratch.')
flags.DEFINE_integer('workers', None, 'Worker processes of one thread; default: one a core.')
flags.DEFINE_integer('seed', 0, 'Decides everything random.')
flags.DEFINE_string('workdir', 'runs/search', 'Folder for all that the search leaves.')


def main(arguments: list[str]) -> None:
  """Searches, finishes the winner and writes the results."""
  started = time.perf_counter()
  if len(arguments) > 1:
    raise ValueError(f'arguments: {arguments[1:]} are not understood; all settings are flags')
  for name in ('trials', 'batch', 'epochs', 'finish_epochs', 'workers'):
    if FLAGS[name].value is not None and FLAGS[name].value < 1:
      raise ValueError(f'--{name}={FLAGS[name].value}: must be at least 1')
  workers = default_workers() if FLAGS.workers is None else FLAGS.workers
  space = choose('space', FLAGS.space, SPACES)
  strategy = choose('strategy', FLAGS.strategy, STRATEGIES)
  reward = choose('reward', FLAGS.reward, REWARDS)
  budget = chosen_budget()
  dataset = datasets.load(FLAGS.dataset, data_dir=FLAGS.data_dir)
  workdir = pathlib.Path(FLAGS.workdir)
  table = compile_table(space())
  with contextlib.ExitStack() as stack:
    settings = configuration(dataset, budget)
    journal = Journal(workdir / 'journal.jsonl', configuration=settings)
    stack.callback(journal.close)
    (workdir / 'config.json').write_text(json.dumps(settings | lengths(), indent=2) + '\n')
    announce(dataset, budget, table.size, workdir, resumed=len(journal.trials))
    pool = WorkerPool(Trained(dataset, epochs=FLAGS.epochs), workers=workers)
    stack.callback(pool.close)
    progress = ProgressBar(FLAGS.trials, budget=budget)
    stack.callback(progress.close)
    trials = run_search(
      strategy(table, derive_seed(FLAGS.seed, 'strategy')),
      executor=pool,
      reward=reward,
      budget=budget,
      trials=FLAGS.trials,
      batch=FLAGS.batch,
      seed=FLAGS.seed,
      journal=journal,
      observers=[progress, TensorBoard(workdir / 'tensorboard', budget=budget)],
    )
  winner = finish(trials, dataset, budget)
  write_winner(winner, trials, budget, workdir, seconds=time.perf_counter() - started)
  title = f'{FLAGS.strategy} on {FLAGS.space}, {dataset.name}, {FLAGS.board}: {len(trials)} trials'
  plot_pareto(trials, budget, workdir / 'pareto.png', title=title)
  show(winner, trials, budget, workdir)


def chosen_budget() -> Budget:
  """The board's budget, with what the flags put in its place."""
  budget = find_board(FLAGS.board).budget
  for name, kib in (('flash_bytes', FLAGS.flash_kib), ('sram_bytes', FLAGS.sram_kib)):
    if kib is not None:
      if not 0 < kib < 2**22:  # 4 GiB
        raise ValueError(
          f'--{name.replace("bytes", "kib")}={kib}: must be a positive number of KiB'
        )
      budget = dataclasses.replace(budget, **{name: int(kib * 1024)})
  return budget


def configuration(dataset: Dataset, budget: Budget) -> dict[str, str | int | float | bool | None]:
  """All that decides the course of the search; the journal refuses to go on with another."""
  return {
    'dataset': FLAGS.dataset,
    'dataset_digest': dataset.digest,
    'space': FLAGS.space,
    'strategy': FLAGS.strategy,
    'reward': FLAGS.reward,
    'board': FLAGS.board,
    **{f'budget_{name}': value for name, value in dataclasses.asdict(budget).items()},
    'batch': FLAGS.batch,
    'epochs': FLAGS.epochs,
    'seed': FLAGS.seed,
    # Other versions round differently, so that resuming would not give the same search.
    'rlnas': rlnas.__version__,
    'tensorflow': tf.__version__,
    'onednn': os.environ.get('TF_ENABLE_ONEDNN_OPTS', '1'),
  }


def lengths() -> dict[str, int]:
  """What may differ when a search is resumed."""
  return {'trials': FLAGS.trials, 'finish_epochs': FLAGS.finish_epochs}


def announce(
  dataset: Dataset, budget: Budget, size: int, workdir: pathlib.Path, *, resumed: int
) -> None:
  """Tells what is about to happen."""
  print(f'data     {dataset.name}: {dataset.source}')
  print(f'space    {FLAGS.space}: {float(size):.3g} networks')
  print(f'budget   {budget.flash_bytes:,} B flash, {budget.sram_bytes:,} B SRAM ({FLAGS.board})')
  print(f'watch    tensorboard --logdir={workdir / "tensorboard"} --host=127.0.0.1')
  if resumed:
    print(f'resumed  {resumed} trials from {workdir / "journal.jsonl"}')


def finish(trials: tuple[Trial, ...], dataset: Dataset, budget: Budget) -> Winner:
  """Trains the winner longer, showing its progress."""
  with tqdm.tqdm(total=FLAGS.finish_epochs, unit='epoch', desc='finish', dynamic_ncols=True) as bar:

    def on_epoch(epoch: int, loss: float) -> None:
      bar.set_postfix_str(f'loss {loss:.4f}')
      bar.update(epoch - bar.n)

    seed = derive_seed(FLAGS.seed, 'finish')
    epochs = FLAGS.finish_epochs
    return finish_best(trials, dataset, budget, epochs=epochs, seed=seed, on_epoch=on_epoch)


def show(winner: Winner, trials: tuple[Trial, ...], budget: Budget, workdir: pathlib.Path) -> None:
  """Prints the Pareto front and the winner."""
  print('\nPareto front of the search (validation data):')
  print(format_front(pareto_front(trials, budget)))
  print(f'\nWinner: trial {winner.trial.index}, trained for {FLAGS.finish_epochs} epochs')
  print(f'  int8 test accuracy        {winner.int8_test_accuracy:.4f}  (test data, read once)')
  print(f'  int8 validation accuracy  {winner.int8_validation_accuracy:.4f}')
  print(f'  flash                     {winner.footprint.flash_bytes:,} of {budget.flash_bytes:,} B')
  print(f'  SRAM                      {winner.footprint.sram_bytes:,} of {budget.sram_bytes:,} B')
  print(f'  MACs                      {winner.macs:,}')
  print(f'\n{workdir / "best/model.tflite"}, {workdir / "result.json"}, {workdir / "pareto.png"}')


def run(arguments: list[str]) -> None:
  """Runs `main`; a mistake of the user or of the machine is one line, not a traceback."""
  try:
    main(arguments)
  except (ValueError, OSError, SearchError) as error:
    sys.exit(f'error: {error}')
  except KeyboardInterrupt:
    sys.exit('\nstopped; the same command resumes the search')


if __name__ == '__main__':
  app.run(run)
