"""Flags of the last round of a search, and what they do: experiments/search.py and finish.py."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Sequence

import tqdm
from absl import flags

from rlnas.budget import Budget
from rlnas.child.augment import suited_augmentation
from rlnas.child.train import LEARNING_RATE
from rlnas.cli.guard import check_positive
from rlnas.data.dataset import Dataset
from rlnas.evaluation.executors import WorkerPool
from rlnas.finishing.finalists import Finalist
from rlnas.finishing.plan import LAST_FEW, Plan, Teaching
from rlnas.finishing.recipe import Recipe
from rlnas.finishing.winner import Winner, finish_best
from rlnas.pareto import format_front, pareto_front
from rlnas.trial import Status, Trial, derive_seed

FLAGS = flags.FLAGS
flags.DEFINE_integer(
  'finish_top', 4, 'Networks that are trained fully, by reward and along the Pareto front.'
)
flags.DEFINE_integer('finish_epochs', 60, 'Epochs that each of them is trained, from scratch.')
flags.DEFINE_integer(
  'finish_seeds', 1, f'How many times the best {LAST_FEW} of them are trained, each by a new seed.'
)
flags.DEFINE_float(
  'finish_learning_rate',
  LEARNING_RATE,
  'Highest learning rate of these trainings; it falls to 0 as half a cosine.',
)
flags.DEFINE_float(
  'finish_warmup', 0.0, 'Share of the steps in which the learning rate rises to its highest.'
)
flags.DEFINE_integer(
  'finish_patience',
  None,
  'End a training after so many epochs without a better validation accuracy, and keep the weights '
  'of the best epoch. By default all epochs are trained and the last weights kept.',
)
flags.DEFINE_integer(
  'finish_shift',
  None,
  "Pixels by which images are moved at random at most; default: a fourteenth of an image's shorter "
  'side, none for sequences.',
)
flags.DEFINE_bool(
  'finish_flip', False, 'Whether images are mirrored at random: for clothes, not for digits.'
)
flags.DEFINE_integer(
  'finish_further_epochs',
  None,
  'Epochs of a further training, once as before and once aware of quantization; of the three '
  'models the best on int8 validation data is kept. None by default.',
)
flags.DEFINE_enum(
  'finish_teacher',
  None,
  [teaching.value for teaching in Teaching],
  f'The best {LAST_FEW} networks are trained once more, from scratch, by knowledge distillation: '
  'from the best finalists together, or from a copy of the best one with twice the filters. Not by '
  'default.',
)
flags.DEFINE_float(
  'finish_prune',
  None,
  'Share of its filters that a copy of the best network loses, the weakest first, before it is '
  'trained again from what is left; listed beside the others, and the winner where it is better. '
  'None by default.',
)
# What config.json records of them.
FINISH_FLAGS = (
  'finish_top',
  'finish_epochs',
  'finish_seeds',
  'finish_learning_rate',
  'finish_warmup',
  'finish_patience',
  'finish_shift',
  'finish_flip',
  'finish_further_epochs',
  'finish_teacher',
  'finish_prune',
)


def read_plan(dataset: Dataset) -> Plan:
  """What the flags ask for. Raises ValueError that names a flag which is wrong."""
  for name in ('top', 'epochs', 'seeds', 'patience', 'further_epochs'):
    check_positive(f'finish_{name}')
  rate, warmup = FLAGS.finish_learning_rate, FLAGS.finish_warmup
  if not (rate > 0 and math.isfinite(rate)):
    raise ValueError(f'--finish_learning_rate={rate}: must be positive')
  if not 0 <= warmup < 1:
    raise ValueError(f'--finish_warmup={warmup}: must lie in [0, 1)')
  if FLAGS.finish_prune is not None and not 0 < FLAGS.finish_prune < 1:
    raise ValueError(f'--finish_prune={FLAGS.finish_prune}: must lie in (0, 1)')
  shift = FLAGS.finish_shift
  if shift is not None and shift < 0:
    raise ValueError(f'--finish_shift={shift}: must be at least 0')
  if (FLAGS.finish_flip or shift) and len(dataset.input_shape) != 3:
    raise ValueError(
      f'--finish_flip, --finish_shift: examples of {dataset.input_shape} are no images'
    )
  augmentation = suited_augmentation(dataset.input_shape, flip=FLAGS.finish_flip)
  if shift is not None:
    augmentation = dataclasses.replace(augmentation, shift_pixels=shift)
  recipe = Recipe(
    FLAGS.finish_epochs,
    learning_rate=rate,
    warmup=warmup,
    augmentation=augmentation,
    patience=FLAGS.finish_patience,
    further_epochs=FLAGS.finish_further_epochs,
  )
  teacher = FLAGS.finish_teacher
  return Plan(
    recipe,
    top=FLAGS.finish_top,
    seeds=FLAGS.finish_seeds,
    teaching=None if teacher is None else Teaching(teacher),
    prune=FLAGS.finish_prune,
  )


def finish(
  trials: Sequence[Trial],
  dataset: Dataset,
  budget: Budget,
  plan: Plan,
  *,
  seed: int,
  workers: int,
  workdir: pathlib.Path,
) -> Winner:
  """Trains the finalists in worker processes, showing what is done, and chooses the winner."""
  with tqdm.tqdm(total=plan.trainings, desc='finish', unit='network', dynamic_ncols=True) as bar:

    def on_finished(finalist: Finalist) -> None:
      bar.set_postfix_str(f'trial {finalist.candidate.trial}: {finalist.score[0]:.4f}')
      bar.update()

    return finish_best(
      trials,
      dataset,
      budget,
      plan=plan,
      seed=derive_seed(seed, 'finish'),
      folder=workdir / 'finalists',
      executor_factory=lambda evaluator: WorkerPool(
        evaluator, workers=workers, trial_timeout=math.inf
      ),
      on_finished=on_finished,
    )


def show(winner: Winner, trials: Sequence[Trial], budget: Budget, workdir: pathlib.Path) -> None:
  """Prints the Pareto front, the finalists and the winner."""
  footprint = winner.footprint
  failed = [t for t in trials if t.measurement.status is Status.FAILED]
  if failed:
    cause = failed[0].measurement.detail.strip().splitlines()[-1]
    print(f'\n{len(failed)} of {len(trials)} children failed; the first with: {cause}')
  print('\nPareto front of the search (validation data):')
  print(format_front(pareto_front(trials, budget)))
  print(f'\nTrained fully, up to {FLAGS.finish_epochs} epochs (validation data):')
  print(format_finalists(winner.finalists))
  low, high = winner.int8_test_interval
  print(f'\nWinner: trial {winner.trial.index}')
  print(
    f'  int8 test accuracy        {winner.int8_test_accuracy:.4f}  (test data, read once; 95 % '
    f'interval {low:.4f} to {high:.4f})'
  )
  print(f'  int8 validation accuracy  {winner.int8_validation_accuracy:.4f}')
  print(f'  flash                     {footprint.flash_bytes:,} of {budget.flash_bytes:,} B')
  print(f'  SRAM                      {footprint.sram_bytes:,} of {budget.sram_bytes:,} B')
  print(f'  MACs                      {winner.macs:,}')
  print(f'\n{workdir / "best/model.tflite"}, {workdir / "result.json"}, {workdir / "pareto.png"}')


def format_finalists(finalists: Sequence[Finalist]) -> str:
  """The finalists as a table for a terminal, the winner first."""
  lines = [f'{"trial":>5}  {"float":>6}  {"int8":>6}  {"flash B":>8}  {"SRAM B":>8}']
  for finalist in finalists:
    m = finalist.measurement
    lines.append(
      f'{finalist.candidate.trial:5d}  {m.validation_accuracy:6.4f}  '
      f'{m.int8_validation_accuracy:6.4f}  {m.flash_bytes:8,d}  {m.sram_bytes:8,d}  '
      f'{finalist.candidate.note}  {m.detail}'.rstrip()
    )
  return '\n'.join(lines)
