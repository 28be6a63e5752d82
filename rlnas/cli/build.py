"""Builds the objects of a configuration: data, table, strategy, reward, evaluator, executor."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import rlnas
from rlnas.architecture import Architecture, Scalar, infer_shapes
from rlnas.budget import Budget
from rlnas.child.defaults import BATCH_SIZE
from rlnas.cli import choices
from rlnas.cli.config import FinishConfig, SearchConfig, named_space
from rlnas.cli.earlier_journals import EarlierJournal, read_earlier, walks_of
from rlnas.cli.fitting import (
  check_input,
  check_reconstruction,
  kinds_in,
  with_frames,
  with_metric,
  with_preprocessing,
  with_space,
  with_training,
)
from rlnas.cli.options import written
from rlnas.cost.builds import Build
from rlnas.cost.speed import Speed
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import metric_for
from rlnas.data.motion import check_axes
from rlnas.evaluation.executors import default_workers
from rlnas.interfaces import Executor, Reward, StagedEvaluator, Strategy
from rlnas.search.fidelity import Pruner
from rlnas.spaces.decision import Space, decode
from rlnas.spaces.table import Table, compile_table, unrank
from rlnas.strategies.admitting import Admitting
from rlnas.strategies.earlier_results import Earlier
from rlnas.trial import Measurement, Status, derive_seed

if TYPE_CHECKING:
  from rlnas.evaluation.trained import Stage


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
  """The inputs of a search.

  Attributes:
    config: configuration of the search.
    dataset: the data, in the shape that the networks read.
    table: the compiled space.
    budget: the limits that networks must fit.
    speed: speed of the board; None if not known.
    build: build of TFLite Micro whose arena the budget limits.
    workers: number of networks that are trained at the same time.
    journals: journals of earlier searches that this one learns from.
    by_data: whether the space was not named, so that the data decided it.
  """

  config: SearchConfig
  dataset: Dataset
  table: Table
  budget: Budget
  speed: Speed | None
  build: Build
  workers: int
  journals: tuple[EarlierJournal, ...] = ()
  by_data: bool = False

  def having(self, **settings: Any) -> Setup:
    """A copy with other settings, which must not change data, space or budget."""
    return dataclasses.replace(self, config=dataclasses.replace(self.config, **settings))

  def build_strategy(self) -> Strategy:
    """Builds the strategy that the configuration names. Raises ValueError."""
    return build_strategy(
      self.config.strategy,
      self.table,
      seed=derive_seed(self.config.seed, 'strategy'),
      options=self.config.strategy_options,
      penalty=self.penalty,
      earlier=tuple(walks_of(journal, self.table) for journal in self.journals),
    )

  def penalty(self, architecture: Architecture) -> float:
    """By how much a network exceeds the budget, by an estimate; 0 if it may fit."""
    from rlnas.evaluation.screened import excess

    task = self.dataset.task
    return excess(architecture, self.budget, task, speed=self.speed, build=self.build)

  def admits(self, architecture: Architecture) -> bool:
    """Whether a network may fit the budget, by the same estimate."""
    return self.penalty(architecture) == 0


def set_up(config: SearchConfig) -> Setup:
  """Loads the data and compiles the space.

  Raises:
    ValueError: a setting is wrong, or the networks of the space cannot read the data.
    OSError: the data or the board's file cannot be read.
  """
  if config.space is not None:
    build_space(config)  # a wrong option is told before the data are read
  journals = read_earlier(config.learn_from)
  dataset = loaders.load(config.dataset, config.data_dir, **config.reading())
  by_data, config = config.space is None, with_frames(with_space(config, dataset), dataset)
  check_reconstruction(dataset, config)
  config = with_metric(with_training(with_preprocessing(config, dataset), dataset), dataset)
  table = compile_table(build_space(config))
  first = decode(table.space, unrank(table, 0))
  if not isinstance(first, Architecture):
    raise ValueError(
      f'space={config.space}: returns {first!r}, not an Architecture; the command trains networks, '
      'so search this space in Python: rlnas.run_search with an evaluator of your own'
    )
  try:
    ways = {name: getattr(table.space, name, False) for name in ('one_row', 'one_pixel')}
    dataset = shaped_for(first, dataset, **ways)
  except ValueError as error:  # every trial would fail
    raise ValueError(f'space={config.space}: {error}; see --space_option') from error
  check_augmentation(config.finish, dataset)
  check_input(dataset, config)
  for examples, _ in config.stages():
    if examples is not None and examples < BATCH_SIZE:
      raise ValueError(
        f'fidelity={config.fidelity}: a stage needs at least {BATCH_SIZE} examples, one batch'
      )
  workers = 1 if config.executor == 'inprocess' else config.workers
  return Setup(
    config=config,
    dataset=dataset,
    table=table,
    budget=config.budget(kinds_in(table)),
    speed=config.speed(),
    build=config.target_build(),
    workers=default_workers() if workers is None else workers,
    journals=journals,
    by_data=by_data,
  )


def check_augmentation(finish: FinishConfig, dataset: Dataset) -> None:
  """Raises ValueError if a random change is set that does not suit the examples.

  Images are moved and mirrored, features of sound moved in time, motion sensors turned.
  """
  if finish.turn:
    check_axes(f'finish_turn={finish.turn:g}', dataset)
  if dataset.sound is not None:
    if finish.flip:
      raise ValueError('finish_flip=True: recordings of sound are not images')
    if finish.shift is not None and finish.shift >= dataset.sound.frames:
      raise ValueError(
        f'finish_shift={finish.shift}: must be below the {dataset.sound.frames} frames of a clip'
      )
    return
  for name, value in (('flip', finish.flip), ('shift', finish.shift)):
    if value and len(dataset.input_shape) != 3:
      raise ValueError(f'finish_{name}={value}: examples of {dataset.input_shape} are not images')


def shaped_for(
  architecture: Architecture, dataset: Dataset, *, one_row: bool = False, one_pixel: bool = False
) -> Dataset:
  """The data in the shape that a network reads: images or sequences.

  Args:
    architecture: the network.
    dataset: the data.
    one_row: whether it reads sequences as images of one row; see `rlnas.spaces.decision`.
    one_pixel: whether it reads all examples as images of one pixel.

  Raises:
    ValueError: the network can read neither.
  """
  ways = (loaders.as_row,) if one_row else (loaders.as_images, loaders.as_sequences)
  ways = (loaders.as_pixel,) if one_pixel else ways
  errors = []
  for shaped in (way(dataset) for way in ways):
    try:
      infer_shapes(architecture, shaped.task)
    except ValueError as error:
      errors.append(f'cannot read examples of shape {shaped.input_shape} ({error})')
    else:
      return shaped
  raise ValueError(' and '.join(errors))


def build_space(config: SearchConfig) -> Space:
  """Builds the space. Raises ValueError."""
  name = named_space(config)
  options = choices.space_options(name, config.space_options)
  built: Space = _constructed('space', name, choices.find('space', name), **options)
  if not config.preprocess:
    return built
  given = choices.preprocess_options(config.preprocess_options)
  try:
    return choices.preprocessed(built, given)  # `built` itself if the data are not read yet
  except ValueError as error:
    raise ValueError(f'preprocess_option={_shown(given)}: {error}') from error


def build_strategy(
  name: str,
  table: Table,
  *,
  seed: int,
  options: tuple[str, ...] = (),
  penalty: Callable[[Architecture], float] | None = None,
  earlier: Sequence[Earlier] = (),
) -> Strategy:
  """Builds a strategy over a table, with its own controller if it needs one.

  It proposes only networks without a penalty: a strategy that does not take `admits` itself is
  wrapped (`rlnas.strategies.admitting`).

  Args:
    name: a strategy that the command line offers, or package.module:Name.
    table: the compiled space.
    seed: decides the initial weights of a controller, and the strategy's other random numbers.
    options: 'name=value' of the strategy or the controller.
    penalty: returns by how much a network exceeds the budget, 0 if it may fit; by default there is
      no budget, and every network may be proposed, as with the option admits=false.
    earlier: what earlier searches of the space found, for a strategy that takes it.

  Raises:
    ValueError: a name or an option is wrong.
  """
  strategy = choices.find('strategy', name)
  values = choices.strategy_options(name, options)
  if not values.admits:
    penalty = None
  admits = None if penalty is None else functools.partial(_has_none, penalty)
  given: dict[str, Any] = {'seed': seed, 'admits': admits, 'penalty': penalty, 'earlier': earlier}
  takes = inspect.signature(strategy).parameters
  arguments = {key: value for key, value in given.items() if key in takes}
  if 'controller' in takes:
    from rlnas.strategies.controller import Controller

    arguments['controller'] = _constructed(
      'strategy', name, Controller, table, seed=seed, **values.controller
    )
  built: Strategy = _constructed('strategy', name, strategy, table, **arguments, **values.strategy)
  if admits is None or not values.wrapped:
    return built
  return Admitting(built, table=table, admits=admits)


def _has_none(penalty: Callable[[Architecture], float], architecture: Architecture) -> bool:
  return penalty(architecture) == 0


def build_reward(config: SearchConfig) -> Reward:
  """Builds the reward with its options, and tries it. Raises ValueError."""
  reward: Reward = choices.find('reward', config.reward)
  options = choices.reward_options(config.reward, config.reward_options)
  # Its figures are those that real measurements have: latency only if the board's speed is known.
  complete = Measurement(
    Status.COMPLETE,
    validation_accuracy=0.5,
    int8_validation_accuracy=0.5,
    flash_bytes=1000,
    sram_bytes=1000,
    sram_source='tflm',
    macs=1000,
    parameters=1000,
    latency_ms=None if config.speed() is None else 1.0,
    instructions=None if config.speed() is None else 1000,
    curve=(0.5,) * len(config.stages()),
  )
  infeasible = dataclasses.replace(
    complete,
    status=Status.INFEASIBLE,
    validation_accuracy=None,
    int8_validation_accuracy=None,
    curve=(),
  )
  for measurement in (complete, infeasible):
    earned = _constructed(
      'reward', config.reward, reward, measurement, config.budget(()), **options
    )
    if isinstance(earned, bool) or not isinstance(earned, (int, float)):
      raise ValueError(f'reward={config.reward!r}: gives {earned!r}; must give a number')
  return functools.partial(reward, **options) if options else reward


def _constructed(kind: str, name: str, make: Callable[..., Any], *args: Any, **options: Any) -> Any:
  """Calls what a name stands for. Raises ValueError that begins with the setting at fault."""
  try:
    inspect.signature(make).bind(*args, **options)
  except TypeError as error:
    raise ValueError(f'{kind}={name!r}: cannot be called as it must be ({error})') from error
  try:
    return make(*args, **options)
  except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
    setting = f'{kind}_option={_shown(options)}' if options else f'{kind}={name!r}'
    raise ValueError(f'{setting}: {error}') from error


def _shown(options: Mapping[str, Any]) -> str:
  own = {key: value for key, value in options.items() if key not in choices.GIVEN}
  return ','.join(f'{key}={written(value)}' for key, value in own.items())


def build_pruner(config: SearchConfig) -> Pruner | None:
  """Builds the pruner, which promotes networks to later stages; None for a single stage."""
  stages = len(config.stages())
  return choices.PRUNERS[config.pruner](stages) if stages > 1 else None


def build_stages(config: SearchConfig) -> tuple[Stage, ...]:
  """The stages of a network's training."""
  from rlnas.evaluation.trained import Stage

  return tuple(Stage(epochs, examples) for examples, epochs in config.stages())


def build_evaluator(setup: Setup) -> StagedEvaluator:
  """Builds the evaluator, which trains and measures networks that may fit the budget."""
  from rlnas.evaluation.screened import Screened
  from rlnas.evaluation.trained import Trained

  data, config = setup.dataset, setup.config
  weights = pathlib.Path(config.workdir) / 'weights' if config.inherit else None
  speed, build = setup.speed, setup.build
  trained = Trained(
    data,
    epochs=build_stages(config),
    speed=speed,
    build=build,
    weights=weights,
    metric=metric_for(data, config.metric),
  )
  return Screened(trained, setup.budget, data.task, speed, build)


def build_executor(setup: Setup) -> Executor:
  """Builds the executor that the configuration names."""
  config = setup.config
  if config.executor == 'ray':
    from rlnas.evaluation.ray_executor import RayCluster

    return RayCluster(
      build_evaluator(setup), address=config.ray_address, trial_timeout=config.trial_timeout
    )
  from rlnas.evaluation.executors import InProcess, WorkerPool

  if config.executor == 'inprocess':
    return InProcess(build_evaluator(setup))
  return WorkerPool(
    build_evaluator(setup), workers=setup.workers, trial_timeout=config.trial_timeout
  )


def journal_configuration(setup: Setup) -> dict[str, Scalar | None]:
  """All settings that decide the course of a search; to resume it, they must be the same."""
  from rlnas.backend import ONEDNN, tf

  config = setup.config
  stages = config.stages()
  strategy = choices.strategy_options(config.strategy, config.strategy_options)
  return {
    'dataset_digest': setup.dataset.digest,
    'classes': setup.dataset.outputs,
    'space': config.space,
    'space_options': choices.recorded(
      choices.space_options(named_space(config), config.space_options)
    ),
    **_preprocess(config),
    'strategy': config.strategy,
    'strategy_options': strategy.recorded(),
    'learn_from': ','.join(journal.digest for journal in setup.journals) or None,
    'reward': config.reward,
    'reward_options': choices.recorded(
      choices.reward_options(config.reward, config.reward_options)
    ),
    **{f'budget_{name}': value for name, value in dataclasses.asdict(setup.budget).items()},
    'speed': None if setup.speed is None else str(setup.speed),
    'build': setup.build.name,
    'batch': config.batch,
    'lag': config.lag,
    'fidelity': ','.join(f'{examples or "all"}x{epochs}' for examples, epochs in stages),
    'pruner': config.pruner if len(stages) > 1 else None,
    'inherit': config.inherit,
    'metric': config.metric,
    'seed': config.seed,
    # Other versions round differently, so a resumed search would not be the same.
    'rlnas': rlnas.__version__,
    'tensorflow': tf.__version__,
    'onednn': str(int(ONEDNN)),
  }


def _preprocess(config: SearchConfig) -> dict[str, Scalar | None]:
  """What a journal says of --preprocess; nothing without it, as in journals of earlier versions."""
  if not config.preprocess:
    return {}
  return {'preprocess': choices.recorded(choices.preprocess_options(config.preprocess_options))}
