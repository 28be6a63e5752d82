"""The configuration of a search: every setting with its default, text and rule, in one place.

`rlnas.cli.flags` makes the flags of the command line from these two classes, `config.json` in the
folder of a search holds one of them, and in Python `rlnas.run(SearchConfig(...))` does the same as
the command. A new configuration checks everything that needs no data.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Collection, Mapping
from typing import Any

from rlnas.architecture import FRONT_ENDS
from rlnas.board import BOARDS, Board, find_board
from rlnas.budget import Budget
from rlnas.child.defaults import LEARNING_RATE
from rlnas.cli import choices
from rlnas.cost.builds import BUILDS, Build
from rlnas.cost.firmware import DEFAULT_KINDS
from rlnas.cost.speed import CORES, Speed
from rlnas.data.folders import Frame
from rlnas.data.loaders import BUILT_IN
from rlnas.data.metrics import Metric
from rlnas.data.recordings import Reading
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.tasks import MOST_CLASSES_OF_FLOATS, Task, check_task
from rlnas.evaluation.executors import TRIAL_TIMEOUT, check_timeout
from rlnas.finishing.choice import Prefer

EXECUTORS = ('pool', 'ray', 'inprocess')
TEACHERS = ('ensemble', 'wide')
SOUND = tuple(field.name for field in dataclasses.fields(SoundSettings))
METRICS = tuple(metric.value for metric in Metric)
PREFERENCES = tuple(prefer.value for prefer in Prefer)
# How networks are trained if nothing else is said: epochs, or stages if there are many examples.
EPOCHS = 4
LARGE = 20_000  # training examples
STAGES_IF_LARGE = '10000x2,10000x2,10000x4'


def _setting(default: Any, text: str, *, group: str, flag: str = '') -> Any:
  """A field with the text of its flag, and the flag's name if it differs."""
  return dataclasses.field(default=default, metadata={'text': text, 'group': group, 'flag': flag})


@dataclasses.dataclass(frozen=True)
class FinishConfig:
  """How a search is finished: the finalists are trained fully, and one of them wins.

  Raises:
    ValueError: a setting breaks its rule; the message begins with its name.
  """

  top: int = _setting(
    4,
    'Number of finalists, which are trained fully: the best by reward, and others of the Pareto '
    'front.',
    group='finishing',
  )
  epochs: int = _setting(
    60,
    'Largest number of epochs that a finalist is trained, from scratch. The winner gets all, '
    'unless it no longer gains.',
    group='finishing',
  )
  halving: bool = _setting(
    True,
    'Whether finalists are compared during training, so that only the better half continues '
    '(successive halving); otherwise all are trained for all epochs, under one cosine.',
    group='finishing',
  )
  seeds: int = _setting(
    1, 'Number of seeds with which the best two finalists are trained.', group='finishing'
  )
  learning_rate: float = _setting(
    LEARNING_RATE,
    'Highest learning rate of these trainings; it falls to 0 as half a cosine, before each '
    'comparison of --finish_halving.',
    group='finishing',
  )
  warmup: float = _setting(
    0.0,
    'Share of the steps in which the learning rate rises to its highest.',
    group='finishing',
  )
  patience: int | None = _setting(
    None,
    'Ends a training after this many epochs without a better validation accuracy, and keeps the '
    'weights of the best epoch. By default all epochs run and the last weights are kept.',
    group='finishing',
  )
  shift: int | None = _setting(
    None,
    'Images are moved at random by up to this many pixels, sound by this many frames; default: '
    'a fourteenth of the shorter side, 100 ms of sound, none for other sequences.',
    group='finishing',
  )
  flip: bool = _setting(
    False,
    'Whether images are mirrored at random: useful for clothes, not for digits.',
    group='finishing',
  )
  masks: bool = _setting(
    True,
    'Whether a random band of frequencies and a random stretch of frames of sound are masked, up '
    'to an eighth of them each (SpecAugment).',
    group='finishing',
  )
  turn: float = _setting(
    0.0,
    'Motion sensors are turned at random, all together, by angles of this many degrees (standard '
    'deviation) about each axis: their features are x, y, z, one sensor after the other.',
    group='finishing',
  )
  further_epochs: int | None = _setting(
    None,
    'Epochs of a further training, once as before and once aware of quantization; of the three '
    'models the one with the best int8 validation accuracy is kept. None by default.',
    group='finishing',
  )
  teacher: str | None = _setting(
    None,
    f'One of {", ".join(TEACHERS)}: the best two networks are trained again, from scratch, by '
    'knowledge distillation. The teacher is an ensemble of the best finalists, or a copy of the '
    'best one with twice the filters. None by default.',
    group='finishing',
  )
  prune: float | None = _setting(
    None,
    'Share of the filters to remove from a copy of the best network, the weakest first. The copy '
    'is then trained from its remaining weights and wins if it is better. None by default.',
    group='finishing',
  )
  prefer: str = _setting(
    Prefer.BALANCED.value,
    'Which finalist wins: "accuracy" is the best on validation data, the smallest of several; '
    '"balanced" the one with the least memory and work among those at most one standard error, and '
    '.002, below the best; "smallest" the one among those whose difference from the best may be '
    'chance (95 %).',
    group='finishing',
    flag='prefer',
  )

  def __post_init__(self) -> None:
    _check_types(self)
    _check_positive(self, 'top', 'epochs', 'seeds', 'patience', 'further_epochs')
    if not 0 < self.learning_rate < math.inf:
      raise ValueError(f'learning_rate={self.learning_rate}: must be positive')
    if not 0 <= self.warmup < 1:
      raise ValueError(f'warmup={self.warmup}: must lie in [0, 1)')
    if self.prune is not None and not 0 < self.prune < 1:
      raise ValueError(f'prune={self.prune}: must lie in (0, 1)')
    if self.shift is not None and self.shift < 0:
      raise ValueError(f'shift={self.shift}: must be at least 0')
    if not 0 <= self.turn < math.inf:
      raise ValueError(f'turn={self.turn}: must be at least 0 and finite')
    if self.teacher is not None:
      choices.check_one_of('teacher', self.teacher, TEACHERS)
    choices.check_one_of('prefer', self.prefer, PREFERENCES)


@dataclasses.dataclass(frozen=True)
class SearchConfig:
  """All settings of a search; `rlnas search --help` shows them with their meaning.

  Name your own space, strategy or reward as 'package.module:Name'.

  Raises:
    ValueError: a setting breaks its rule; the message begins with its name.
  """

  dataset: str = _setting(
    'mnist5k',
    f'Data that the networks learn: {", ".join(BUILT_IN)}, the path of an .npz file '
    '(x_train, y_train, optional x_val, y_val, x_test, y_test, groups), of a .csv file, or of a '
    'folder of images, .csv or .wav files by class.',
    group='task',
  )
  data_dir: str | None = _setting(
    None,
    'Folder of IDX (MNIST) or binary (CIFAR-10) files; downloads them if not given.',
    group='task',
  )
  task: str | None = _setting(
    None,
    f'What the networks are for, one of {", ".join(task.value for task in Task)}: to name a class, '
    'to give values (regression), or to find what is not normal after training on normal examples '
    'alone (anomaly). Default: values if the labels are numbers that are not all whole, or more '
    f'than {MOST_CLASSES_OF_FLOATS} different floats; anomaly if all training labels are the same '
    'and those of validation or test data are not; otherwise classes.',
    group='task',
  )
  label: str | None = _setting(
    None,
    'Column of the labels in .csv files; default: the one with a usual name, such as label or '
    'class, or else the only column of text.',
    group='task',
  )
  group: str | None = _setting(
    None,
    'Column of .csv files or key of an .npz file that says which examples lie in one split '
    "together, such as those of a person; 'folder' if the files of a class lie in folders for each "
    "group; or 'none'. Default: a usual name such as groups or subject, or else each recording.",
    group='task',
  )
  features: str | None = _setting(
    None,
    'Columns of .csv files that the networks read, separated by commas; default: all but labels, '
    'groups, times and numbers of rows.',
    group='task',
  )
  window: int | None = _setting(
    None,
    'Number of rows in a window: recordings in .csv files are cut into windows. By default '
    'each row is an example; in a folder by class, each file.',
    group='task',
  )
  hop: int | None = _setting(
    None,
    'Number of rows from the beginning of a window to that of the next; default: half a window.',
    group='task',
  )
  image_size: str | None = _setting(
    None,
    'Height and width, such as 64,96, of the images of a folder: each is scaled until it covers '
    'both, and its middle is cut out. By default all must have one size.',
    group='task',
  )
  channels: int | None = _setting(
    None,
    'Number of channels of the images of a folder: 1 makes all grey, 3 coloured. By default all '
    'must be alike.',
    group='task',
  )
  clip_ms: int | None = _setting(
    None,
    'Length of an example of sound (.wav) in milliseconds; default: 1000. Shorter recordings are '
    'padded, longer ones cut into clips.',
    group='sound',
  )
  clip_hop_ms: int | None = _setting(
    None,
    'Milliseconds from the beginning of a clip to that of the next in a longer recording; default: '
    'the length of a clip.',
    group='sound',
  )
  sample_rate: int | None = _setting(
    None,
    'Samples a second that the microphone will give; recordings of another rate are resampled. '
    'Default: 16000.',
    group='sound',
  )
  front_end: str | None = _setting(
    None,
    f'What computes the features of sound, on this machine and on the chip: one of '
    f'{", ".join(FRONT_ENDS)}. "micro" is that of TFLite Micro, with noise reduction and automatic '
    'gain. Default: log_mel.',
    group='sound',
  )
  mel_bins: int | None = _setting(
    None, 'Number of features of a frame of sound; default: 40.', group='sound'
  )
  frame_ms: int | None = _setting(
    None, 'Length of a frame of sound in milliseconds; default: 30.', group='sound'
  )
  frame_hop_ms: int | None = _setting(
    None,
    'Milliseconds from the beginning of a frame to that of the next; default: 20.',
    group='sound',
  )
  noisy_copies: int | None = _setting(
    None,
    'Copies of each training example of sound, moved in time and with noise (of the folder '
    '_background_noise_, or else white); default: none. Trainings take as much longer.',
    group='sound',
  )
  metric: str | None = _setting(
    None,
    f'What counts as accuracy wherever the search decides, one of {", ".join(METRICS)}. Default: '
    'accuracy, r2 of a regression, auc of an anomaly detection. With other metrics of classes than '
    'accuracy, which suits classes of about equal size, the training weights each class inversely '
    'to its number of examples.',
    group='task',
  )
  board: str = _setting(
    'nucleo-l010rb',
    f'Board whose budget is used: {", ".join(BOARDS)}, or the path of a .json file.',
    group='task',
  )
  tflm_build: str | None = _setting(
    None,
    'Build of TFLite Micro whose tensor arena the budget limits, one of '
    f'{", ".join(BUILDS)}; default: the usual one of the board.',
    group='task',
  )
  flash_kib: float | None = _setting(
    None, "Flash for the .tflite file in KiB; default: the board's.", group='task'
  )
  sram_kib: float | None = _setting(
    None, "SRAM for the tensor arena in KiB; default: the board's.", group='task'
  )
  max_mmacs: float | None = _setting(
    None,
    'Most multiply-accumulates of one inference, in millions; default: no limit.',
    group='task',
  )
  max_latency_ms: float | None = _setting(
    None,
    'Longest inference in milliseconds, by an estimate that rlnas measure shows with its range. '
    'Default: no limit.',
    group='task',
  )
  space: str | None = _setting(
    None,
    f'Space of networks: {", ".join(choices.SPACES)}, or package.module:Name. Default: '
    f'{choices.DEFAULT_SPACES[2]} for sequences, {choices.DEFAULT_SPACES[3]} for images, '
    f'{choices.ANOMALY_SPACE} for anomaly detection.',
    group='search',
  )
  space_options: tuple[str, ...] = _setting(
    (),
    'Option of the space as name=value, tuples with commas; may be repeated, for example '
    '--space_option=max_depth=6 --space_option=filters=8,16. The defaults are listed below.',
    group='search',
    flag='space_option',
  )
  preprocess: bool = _setting(
    False,
    'Whether each network also decides what it reads: of a sequence the length of the window, how '
    'many time steps make a frame, and which features; of sound the mel bins, the length of a '
    'frame and how often one begins. What a stream needs for that counts as SRAM and flash.',
    group='search',
  )
  preprocess_options: tuple[str, ...] = _setting(
    (),
    'Option of --preprocess as name=value; may be repeated, for example '
    '--preprocess_option=windows=128,64, or of sound --preprocess_option=mel_bins=40,20. The '
    'defaults are listed below.',
    group='search',
    flag='preprocess_option',
  )
  strategy: str = _setting(
    'reinforce',
    f'Strategy that proposes networks: {", ".join(choices.STRATEGIES)}, or package.module:Name.',
    group='search',
  )
  strategy_options: tuple[str, ...] = _setting(
    (),
    'Option of the strategy, or of its controller, as name=value; may be repeated. The defaults '
    'are listed below.',
    group='search',
    flag='strategy_option',
  )
  learn_from: tuple[str, ...] = _setting(
    (),
    'Journals of earlier searches of the same space, or their folders, separated by commas: '
    '--strategy=reinforce begins with what they found. Their data and budget may differ. Default: '
    'it begins with nothing.',
    group='search',
  )
  reward: str = _setting(
    'linear_excess',
    f'How the budget enters the reward: {", ".join(choices.REWARDS)}, or package.module:name.',
    group='search',
  )
  reward_options: tuple[str, ...] = _setting(
    (),
    'Option of the reward as name=value; may be repeated. The defaults are listed below.',
    group='search',
    flag='reward_option',
  )
  trials: int = _setting(
    40, 'Number of trials; a larger number than before continues a search.', group='search'
  )
  minutes: float | None = _setting(
    None,
    'Ends the search before --trials, when the times of its trials add up to this many minutes for '
    'each of --workers processes; default: no limit.',
    group='search',
  )
  batch: int = _setting(
    4, 'Number of networks that the strategy proposes, and learns from, together.', group='search'
  )
  lag: int = _setting(
    1,
    'Batches that may run besides the oldest one. If --batch times (1 + --lag) is not larger than '
    'the number of workers, some workers are idle.',
    group='search',
  )
  seed: int = _setting(0, 'Decides everything random.', group='search')
  epochs: int | None = _setting(
    None,
    'Epochs that each network is trained on all training data. Default: '
    f'{EPOCHS}, or the stages {STAGES_IF_LARGE} if there are {LARGE:,} training examples or more.',
    group='training',
  )
  fidelity: str | None = _setting(
    None,
    'Stages of a training, in place of --epochs: EXAMPLESxEPOCHS, such as '
    '10000x1,10000x1,50000x2; each continues with the weights of the one before. If there are '
    'several, --pruner decides which networks are promoted. Default: see --epochs.',
    group='training',
  )
  pruner: str = _setting(
    'halving',
    'Which networks are trained beyond the first stage of --fidelity: '
    f'{", ".join(choices.PRUNERS)}.',
    group='training',
  )
  inherit: bool = _setting(
    False,
    'Whether mutants start from the weights of their parent (--strategy=evolution).',
    group='training',
  )
  workdir: str = _setting(
    'runs/search', 'Folder for all files of the search; default: runs/search.', group='execution'
  )
  executor: str = _setting(
    'pool',
    f'Where networks are trained, one of {", ".join(EXECUTORS)}: in --workers processes, on a Ray '
    'cluster, or, for debugging and very short searches, in the process of the command itself.',
    group='execution',
  )
  workers: int | None = _setting(
    None, 'Worker processes with one thread each; default: one per core.', group='execution'
  )
  trial_timeout: float = _setting(
    TRIAL_TIMEOUT, 'Seconds after which a trial is stopped and counts as failed.', group='execution'
  )
  ray_address: str | None = _setting(
    None,
    "Head node of the Ray cluster, such as 10.0.0.1:6379, or 'auto' for the cluster on this "
    'machine; default: --executor=ray starts a cluster of this machine alone.',
    group='execution',
  )
  cache_dir: str | None = _setting(
    None,
    'Folder of measurements that searches with the same seed share; default: not shared. Cannot '
    'be used with --inherit.',
    group='execution',
  )
  finish: FinishConfig = dataclasses.field(default_factory=FinishConfig)

  def __post_init__(self) -> None:
    _check_types(self)
    for field in dataclasses.fields(self):
      if field.type == 'tuple[str, ...]':
        object.__setattr__(self, field.name, tuple(getattr(self, field.name)))
    journals = (path for given in self.learn_from for path in given.split(',') if path)
    object.__setattr__(self, 'learn_from', tuple(map(os.path.expanduser, journals)))
    for name in ('workdir', 'cache_dir'):  # a shell leaves the '~' of --workdir=~/runs as it is
      if (path := getattr(self, name)) is not None:
        object.__setattr__(self, name, os.path.expanduser(path))
    _check_positive(self, 'trials', 'batch', 'epochs', 'workers')
    if self.lag < 0:
      raise ValueError(f'lag={self.lag}: must be at least 0')
    if self.preprocess_options and not self.preprocess:
      shown = ' '.join(self.preprocess_options)
      raise ValueError(f'preprocess_option={shown}: needs --preprocess')
    self.reading()
    self.stages()
    choices.check_one_of('pruner', self.pruner, choices.PRUNERS)
    if self.metric is not None:
      choices.check_one_of('metric', self.metric, METRICS)
    check_task(self.task)
    for kind, value in (
      ('space', self.space),
      ('strategy', self.strategy),
      ('reward', self.reward),
    ):
      if value is not None:
        choices.check_name(kind, value)
    _check_execution(self)

  def check(self) -> None:
    """Checks what the configuration refers to: files, the user's classes, options.

    The constructor does not, so that the configuration of a finished search can be read if those
    are gone.

    Raises:
      ValueError: a setting breaks its rule; the message begins with its name.
      OSError: the board's file cannot be read.
    """
    self.budget(())
    self.target_build()
    if self.space is not None:
      choices.space_options(self.space, self.space_options)
    choices.preprocess_options(self.preprocess_options)
    choices.strategy_options(self.strategy, self.strategy_options)
    choices.reward_options(self.reward, self.reward_options)
    if self.learn_from:
      from rlnas.cli.earlier_journals import check_earlier

      check_earlier(
        self.learn_from,
        strategy=self.strategy,
        space=self.space,
        space_options=self.space_options,
        workdir=self.workdir,
      )

  def reading(self) -> dict[str, Any]:
    """The arguments of `rlnas.data.load` that say how one's own files are read."""
    features = tuple(filter(None, (self.features or '').split(',')))
    size: tuple[int, ...] | None = None
    if self.image_size is not None:
      sides = self.image_size.split(',')
      if len(sides) != 2 or not all(side.strip().isdecimal() for side in sides):
        raise ValueError(
          f'image_size={self.image_size}: must be height and width in pixels, such as 64,96'
        )
      size = tuple(map(int, sides))
    how = Reading(self.label, self.group, features, self.window, self.hop)
    frame = Frame((size[0], size[1]) if size else None, self.channels)
    given = {name: getattr(self, name) for name in SOUND}
    sound = SoundSettings(**{name: value for name, value in given.items() if value is not None})
    return {
      **dataclasses.asdict(how),
      'image_size': frame.size,
      'channels': frame.channels,
      'sound': sound if sound.changed() else None,
      'task': self.task,
      **({'keep_samples': True} if self.preprocess else {}),
    }

  def stages(self) -> tuple[tuple[int | None, int], ...]:
    """(examples, epochs) of each stage of a training; None stands for all examples."""
    if self.fidelity is None:
      return ((None, EPOCHS if self.epochs is None else self.epochs),)
    found: list[tuple[int | None, int]] = []
    for text in self.fidelity.split(','):
      examples, _, epochs = text.partition('x')
      is_count = examples == 'all' or (examples.isdecimal() and int(examples))
      if not (is_count and epochs.isdecimal() and int(epochs)):
        raise ValueError(
          f'fidelity={self.fidelity}: must be stages such as 10000x1, EXAMPLESxEPOCHS'
        )
      found.append((None if examples == 'all' else int(examples), int(epochs)))
    return tuple(found)

  def budget(self, kinds: Collection[str] = DEFAULT_KINDS) -> Budget:
    """The board's budget, with the limits that the settings replace.

    Args:
      kinds: the kinds of operators that the networks have; the runtime's flash depends on them.

    Raises:
      ValueError: there is no such board, or it has no room for a model beside the runtime, or a
        limit is out of its range.
      OSError: the board's file cannot be read.
    """
    board = self.target_board()
    if self.flash_kib is not None:
      board = dataclasses.replace(board, reserved_flash_bytes=0)
    budget = board.budget_for(kinds)
    for name, kib in (('flash_bytes', self.flash_kib), ('sram_bytes', self.sram_kib)):
      if kib is not None:
        if not 0 < kib < 2**22:  # 4 GiB
          raise ValueError(
            f'{name.replace("bytes", "kib")}={kib}: must be a positive number of KiB'
          )
        budget = dataclasses.replace(budget, **{name: int(kib * 1024)})
    if self.max_mmacs is not None:
      if not 1e-6 <= self.max_mmacs < 1e9:
        raise ValueError(f'max_mmacs={self.max_mmacs}: must be a positive number of millions')
      budget = dataclasses.replace(budget, macs=round(self.max_mmacs * 1e6))
    if self.max_latency_ms is not None:
      if not 0 < self.max_latency_ms < math.inf:
        raise ValueError(f'max_latency_ms={self.max_latency_ms}: must be positive (milliseconds)')
      if board.speed is None:
        raise ValueError(
          f'max_latency_ms={self.max_latency_ms}: the speed of a core {board.core!r}, that of '
          f'--board={self.board}, is not known; must be one of {", ".join(CORES)}'
        )
      budget = dataclasses.replace(budget, latency_ms=self.max_latency_ms)
    return budget

  def target_build(self) -> Build:
    """The build of TFLite Micro whose arena the budget limits.

    Raises:
      ValueError: there is no such build or board.
      OSError: the board's file cannot be read.
    """
    if self.tflm_build is not None:
      if self.tflm_build not in BUILDS:
        raise ValueError(f'tflm_build={self.tflm_build!r}: must be one of {", ".join(BUILDS)}')
      return BUILDS[self.tflm_build]
    return find_board(self.board).build

  def target_board(self) -> Board:
    """The board, its builds beginning with `target_build`. Raises as that does."""
    board, build = find_board(self.board), self.target_build().name
    others = (name for name in board.builds if name != build)
    return dataclasses.replace(board, builds=(build, *others))

  def speed(self) -> Speed | None:
    """The speed of the board; None if it is not known, or the board's file is gone."""
    try:
      return self.target_board().speed
    except (OSError, ValueError):
      return None


def _check_types(config: object) -> None:
  """Raises ValueError if a setting is not of the type that its field says."""
  for field in dataclasses.fields(config):  # type: ignore[arg-type]
    value, kind = getattr(config, field.name), str(field.type)
    if field.name == 'finish' or (value is None and kind.endswith('| None')):
      continue
    if kind == 'tuple[str, ...]':
      fits = isinstance(value, (tuple, list)) and all(isinstance(item, str) for item in value)
    else:
      allowed = _TYPES[kind.removesuffix(' | None')]
      fits = isinstance(value, allowed) and (kind == 'bool' or not isinstance(value, bool))
    if not fits:
      raise ValueError(f'{field.metadata["flag"] or field.name}={value!r}: must be of type {kind}')


_TYPES: Mapping[str, type | tuple[type, ...]] = {
  'int': int,
  'float': (int, float),
  'bool': bool,
  'str': str,
}


def named_space(config: SearchConfig) -> str:
  """The space of a configuration. Raises ValueError if the data are still to decide it."""
  if config.space is None:
    raise ValueError(
      f'space=None: the data decide it; must be named, such as {", ".join(choices.SPACES)}'
    )
  return config.space


def _check_positive(config: object, *names: str) -> None:
  for name in names:
    value = getattr(config, name)
    if value is not None and value < 1:
      raise ValueError(f'{name}={value}: must be at least 1')


def _check_execution(config: SearchConfig) -> None:
  """Raises ValueError if a setting of the execution is wrong."""
  choices.check_one_of('executor', config.executor, EXECUTORS)
  check_timeout(config.trial_timeout)
  for name in ('cache_dir', 'ray_address'):
    value = getattr(config, name)
    if config.inherit and value is not None:
      raise ValueError(f'{name}={value}: not with --inherit, whose weights stay in --workdir')
  if config.minutes is not None and not 0 < config.minutes < math.inf:
    raise ValueError(f'minutes={config.minutes}: must be a positive number of minutes')
  if config.executor == 'ray' and config.minutes is not None:
    raise ValueError(f'minutes={config.minutes}: not with --executor=ray, whose size may change')
  if config.executor == 'ray' and config.workers is not None:
    raise ValueError(f'workers={config.workers}: --executor=ray uses all cores of the cluster')
  if config.executor == 'inprocess' and config.workers is not None:
    raise ValueError(f'workers={config.workers}: --executor=inprocess starts no worker processes')
  if config.executor == 'inprocess' and config.trial_timeout != TRIAL_TIMEOUT:
    raise ValueError(
      f'trial_timeout={config.trial_timeout}: --executor=inprocess cannot stop a trial'
    )
  if config.executor != 'ray' and config.ray_address is not None:
    raise ValueError(f'ray_address={config.ray_address}: needs --executor=ray')
