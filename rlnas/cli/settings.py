"""Flags that the searches share, and what they build."""

from __future__ import annotations

import dataclasses
import pathlib

from absl import flags

import rlnas
from rlnas.architecture import Architecture, infer_shapes
from rlnas.backend import ONEDNN, tf
from rlnas.board import BOARDS, find_board
from rlnas.budget import Budget
from rlnas.cli.choices import (
  PRUNERS,
  SEQUENCE_SPACES,
  SPACES,
  choose,
  describe_options,
  with_options,
)
from rlnas.cli.guard import check_positive
from rlnas.cost.kernels import SPEEDS
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.evaluation.executors import default_workers
from rlnas.evaluation.screened import Screened, may_fit
from rlnas.evaluation.trained import Stage, Trained
from rlnas.interfaces import StagedEvaluator
from rlnas.search.fidelity import Pruner
from rlnas.spaces.decision import Space, decode
from rlnas.spaces.table import Table, compile_table, unrank

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'dataset',
  'mnist5k',
  f'What the networks classify: {", ".join(loaders.BUILT_IN)}, the path of an .npz file '
  '(x_train, y_train, optional x_val, y_val, x_test, y_test) or of a folder of images by class.',
)
flags.DEFINE_string(
  'data_dir', None, 'Folder of IDX (MNIST) or binary (CIFAR-10) files; downloads where not given.'
)
flags.DEFINE_string('space', 'chain', f'Which networks exist: {", ".join(SPACES)}.')
flags.DEFINE_multi_string(
  'space_option',
  [],
  'Option of the space as name=value, tuples with commas; may be repeated, for example '
  '--space_option=max_depth=6 --space_option=filters=8,16. Defaults: '
  + '; '.join(f'{name}: {describe_options(space)}' for name, space in SPACES.items())
  + '.',
)
flags.DEFINE_string(
  'board',
  'nucleo-l010rb',
  f'Whose budget holds: {", ".join(BOARDS)}, or the path of a .json file.',
)
flags.DEFINE_float('flash_kib', None, "Flash for the .tflite file in KiB, in place of the board's.")
flags.DEFINE_float('sram_kib', None, "SRAM for the tensor arena in KiB, in place of the board's.")
flags.DEFINE_float(
  'max_mmacs', None, 'Most multiply-accumulates an inference, in millions; by default any.'
)
flags.DEFINE_float(
  'max_latency_ms',
  None,
  f'Longest inference in milliseconds, on a board whose speed is known: {", ".join(SPEEDS)}. '
  'By default any.',
)
flags.DEFINE_integer('trials', 40, 'Children to evaluate; more than before goes on with a search.')
flags.DEFINE_integer('batch', 4, 'Children that are proposed, and told to the strategy, together.')
flags.DEFINE_integer('epochs', 4, 'Epochs that a child is trained on all training data.')
flags.DEFINE_list(
  'fidelity',
  None,
  'In place of --epochs: stages of a training as EXAMPLESxEPOCHS, such as 10000x1,10000x1,50000x2; '
  'each goes on from the weights of the one before. With several, --pruner says who goes on.',
)
flags.DEFINE_string(
  'pruner',
  'halving',
  f'Who is trained beyond the first stage of --fidelity: {", ".join(PRUNERS)}.',
)
flags.DEFINE_bool(
  'inherit', False, 'Whether mutants begin with the weights of their parent (--strategy=evolution).'
)
flags.DEFINE_integer('workers', None, 'Worker processes of one thread; default: one a core.')
flags.DEFINE_string('workdir', 'runs/search', 'Folder for all that the search leaves.')


@dataclasses.dataclass(frozen=True, eq=False)
class Settings:
  """What the shared flags say, checked."""

  dataset: Dataset
  table: Table
  budget: Budget
  workers: int

  def admits(self, architecture: Architecture) -> bool:
    """Whether a network may keep the budget, as far as is known without training."""
    speed = SPEEDS.get(FLAGS.board)
    return may_fit(architecture, self.budget, self.dataset.task, speed=speed)


def read_settings(arguments: list[str]) -> Settings:
  """Builds what the flags name. Raises ValueError or OSError where one of them is wrong."""
  if len(arguments) > 1:
    raise ValueError(f'arguments: {arguments[1:]} are not understood; all settings are flags')
  for name in ('trials', 'batch', 'epochs', 'workers'):
    check_positive(name)
  pruner()
  space: Space = with_options(choose('space', FLAGS.space, SPACES), FLAGS.space_option)
  budget = chosen_budget()
  dataset = loaders.load(FLAGS.dataset, data_dir=FLAGS.data_dir)
  reshape = loaders.as_sequences if FLAGS.space in SEQUENCE_SPACES else loaders.as_images
  dataset = reshape(dataset)
  table = compile_table(space)
  check_space_reads(table, dataset)
  return Settings(
    dataset=dataset,
    table=table,
    budget=budget,
    workers=default_workers() if FLAGS.workers is None else FLAGS.workers,
  )


def evaluator(settings: Settings) -> StagedEvaluator:
  """Trains and measures what has a chance to keep the budget."""
  data, speed = settings.dataset, SPEEDS.get(FLAGS.board)
  weights = pathlib.Path(FLAGS.workdir) / 'weights' if FLAGS.inherit else None
  trained = Trained(data, epochs=stages(), speed=speed, weights=weights)
  return Screened(trained, settings.budget, data.task, speed)


def stages() -> tuple[Stage, ...]:
  """The stages of a child's training. Raises ValueError where --fidelity is wrong."""
  if FLAGS.fidelity is None:
    return (Stage(FLAGS.epochs),)
  found = []
  for text in FLAGS.fidelity:
    examples, _, epochs = text.partition('x')
    is_count = examples == 'all' or (examples.isdecimal() and int(examples))
    if not (is_count and epochs.isdecimal() and int(epochs)):
      raise ValueError(
        f'--fidelity={",".join(FLAGS.fidelity)}: must be stages such as 10000x1, EXAMPLESxEPOCHS'
      )
    found.append(Stage(int(epochs), None if examples == 'all' else int(examples)))
  if not found:
    raise ValueError('--fidelity=: must name at least one stage, such as 10000x1')
  return tuple(found)


def pruner() -> Pruner | None:
  """Who is trained beyond the first stage; None where there is only one."""
  build = choose('pruner', FLAGS.pruner, PRUNERS)
  return build(len(stages())) if len(stages()) > 1 else None


def check_space_reads(table: Table, dataset: Dataset) -> None:
  """Raises ValueError where the networks do not fit the examples: every child would fail."""
  try:
    infer_shapes(decode(table.space, unrank(table, 0)), dataset.task)
  except ValueError as error:
    raise ValueError(
      f'--space={FLAGS.space}: cannot read examples of shape {dataset.input_shape} ({error}); '
      'see --space_option'
    ) from error


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
  if FLAGS.max_mmacs is not None:
    if not 1e-6 <= FLAGS.max_mmacs < 1e9:
      raise ValueError(f'--max_mmacs={FLAGS.max_mmacs}: must be a positive number of millions')
    budget = dataclasses.replace(budget, macs=int(FLAGS.max_mmacs * 1e6))
  if FLAGS.max_latency_ms is not None:
    if not 0 < FLAGS.max_latency_ms < float('inf'):
      raise ValueError(f'--max_latency_ms={FLAGS.max_latency_ms}: must be positive (milliseconds)')
    if FLAGS.board not in SPEEDS:
      raise ValueError(
        f'--max_latency_ms={FLAGS.max_latency_ms}: the speed of --board={FLAGS.board} is not '
        f'known; must be one of {", ".join(SPEEDS)}'
      )
    budget = dataclasses.replace(budget, latency_ms=FLAGS.max_latency_ms)
  return budget


def configuration(
  settings: Settings, *, strategy: str, reward: str, seed: int
) -> dict[str, str | int | float | bool | None]:
  """All that decides the course of a search; its journal refuses to go on with another."""
  return {
    'dataset_digest': settings.dataset.digest,
    'space': FLAGS.space,
    'space_options': ' '.join(sorted(FLAGS.space_option)),
    'strategy': strategy,
    'reward': reward,
    **{f'budget_{name}': value for name, value in dataclasses.asdict(settings.budget).items()},
    'batch': FLAGS.batch,
    'fidelity': ','.join(f'{s.examples or "all"}x{s.epochs}' for s in stages()),
    'pruner': FLAGS.pruner if len(stages()) > 1 else None,
    'inherit': FLAGS.inherit,
    'seed': seed,
    # Other versions round differently, so that resuming would not give the same search.
    'rlnas': rlnas.__version__,
    'tensorflow': tf.__version__,
    'onednn': str(int(ONEDNN)),
  }
