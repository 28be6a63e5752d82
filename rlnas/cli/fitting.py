"""Checks that data, space and budget of a search fit together, before anything is evaluated."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable

import numpy as np

from rlnas.architecture import Architecture
from rlnas.child.defaults import BATCH_SIZE
from rlnas.cli import choices
from rlnas.cli.config import EPOCHS, LARGE, STAGES_IF_LARGE, SearchConfig, named_space
from rlnas.cli.options import written
from rlnas.cost.kinds import operator_kinds
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import metric_for
from rlnas.data.sound_settings import HEARD
from rlnas.data.tasks import Task
from rlnas.search.journal import JournalError, read_journal
from rlnas.spaces.decision import decode
from rlnas.spaces.preprocessed import Preprocessed
from rlnas.spaces.preprocessed_sound import PreprocessedSound, choices_around
from rlnas.spaces.table import Table, sample_uniform

# Options of `chain` for examples of one pixel, whose layers are dense.
OF_ONE_PIXEL = ('operations=conv', 'kernels=1', 'max_strides=0')
LEAST_STEPS = 400  # of the training of a network that names no classes
_DRAWN = 100  # networks, to see how many may fit
_FEW = 3  # of them; the next one ends the drawing
# Networks, to see which operators a space has. One that 5 % of its networks have is missed once in
# 28,000 times; the rarest of the spaces here is in 23 %.
_DRAWN_FOR_KINDS = 200


def with_space(config: SearchConfig, dataset: Dataset) -> SearchConfig:
  """Names the space that suits the data if the configuration names none; checks its options.

  A search that began when `chain` was the default for sequences keeps it. The rows of a table are
  images of one pixel: for their values the space is `chain` with windows of that pixel, which are
  dense layers.

  Raises:
    ValueError: an option or an earlier journal is of another space.
  """
  if config.space is not None:
    return config
  space = choices.DEFAULT_SPACES[len(dataset.input_shape)]
  if dataset.head.task is Task.ANOMALY:
    space = choices.ANOMALY_SPACE
  elif space != 'chain' and _recorded(config.workdir, 'space') == 'chain':
    space = 'chain'
  options = config.space_options
  if dataset.head.task is Task.REGRESSION and dataset.input_shape[:-1] == (1, 1):
    given = {option.partition('=')[0] for option in options}
    options += tuple(o for o in OF_ONE_PIXEL if o.partition('=')[0] not in given)
  config = dataclasses.replace(config, space=space, space_options=options)
  config.check()
  return config


def with_training(config: SearchConfig, dataset: Dataset) -> SearchConfig:
  """Decides how networks are trained if the configuration does not: large data get stages.

  Most networks are bad, and a sixth of 60,000 examples is enough to show it
  (`rlnas.search.fidelity`). For regression and anomaly detection, small data get as many epochs as
  make `LEAST_STEPS` steps: tables of values often have a few hundred rows, and values need more
  precise outputs than classes. A search that is resumed keeps the settings of its journal.
  """
  if config.epochs is not None or config.fidelity is not None:
    return config
  recorded = _recorded(config.workdir, 'fidelity')
  if recorded is not None:
    return dataclasses.replace(config, fidelity=str(recorded))
  if len(dataset.y_train) >= LARGE:
    return dataclasses.replace(config, fidelity=STAGES_IF_LARGE)
  if dataset.head.task is Task.CLASSIFICATION:
    return dataclasses.replace(config, epochs=EPOCHS)
  steps = max(1, len(dataset.y_train) // BATCH_SIZE)
  return dataclasses.replace(config, epochs=max(EPOCHS, -(-LEAST_STEPS // steps)))


def with_metric(config: SearchConfig, dataset: Dataset) -> SearchConfig:
  """Names the metric of the data's task if the configuration names none.

  Raises:
    ValueError: the metric that it names does not suit the task.
  """
  return dataclasses.replace(config, metric=metric_for(dataset, config.metric).value)


def _recorded(workdir: str, name: str) -> object:
  """A setting in the journal of a folder; None if there is none to read."""
  try:
    return read_journal(pathlib.Path(workdir) / 'journal.jsonl')[0].get(name)
  except (OSError, JournalError):
    return None


def with_frames(config: SearchConfig, dataset: Dataset) -> SearchConfig:
  """Sets the option `frames` of a space, if it has one, to the length of the sequences.

  So it reads whole sequences, unless `frames` or `frames_per_step` is given. The configuration is
  the same if the data have as many frames as the space expects.
  """
  space = named_space(config)
  option = choices.options_of(choices.find('space', space)).get('frames')
  given = choices.space_options(space, config.space_options)
  frames = dataset.input_shape[0]  # the rows of an image, as in `loaders.as_sequences`
  if option is None or option.default == frames or given.keys() & {'frames', 'frames_per_step'}:
    return config
  options = (*config.space_options, f'frames={frames}')
  return dataclasses.replace(config, space_options=options)


def with_preprocessing(config: SearchConfig, dataset: Dataset) -> SearchConfig:
  """Gives the shape of the data to `--preprocess`; without it, returns the same configuration.

  Raises:
    ValueError: the data are neither sequences of floats nor sound, the space needs a fixed number
      of frames, or an option does not fit the data.
  """
  if not config.preprocess:
    return config
  space, shape, sound = named_space(config), dataset.input_shape, dataset.sound
  if sound is None and (len(shape) != 2 or dataset.x_train.dtype.kind != 'f'):
    raise ValueError(
      f'preprocess=True: examples of {dataset.name} are {dataset.x_train.dtype} of shape {shape}; '
      'must be sequences of floats, such as those of a motion sensor, or WAV files'
    )
  if 'frames' in choices.options_of(choices.find('space', space)):
    raise ValueError(
      f'preprocess=True: not with --space={space}, whose networks read a fixed number of frames'
    )
  if dataset.head.task is Task.ANOMALY:
    raise ValueError(
      'preprocess=True: not for anomaly detection, since the scores of networks that reconstruct '
      'different parts of an example cannot be compared'
    )
  given = choices.preprocess_options(config.preprocess_options)
  if sound is None:
    of_data: dict[str, object] = dict(zip(choices.SEQUENCE_OF_DATA, shape, strict=True))
    offered, defaults = choices.options_of(Preprocessed), {}
  else:
    chosen = {name: given[name] for name in HEARD if name in given}
    of_data = {name: getattr(sound, name) for name in (*choices.SOUND_OF_DATA, 'front_end')}
    offered, defaults = choices.options_of(PreprocessedSound), choices_around(sound, chosen)
  for name, value in given.items():
    if name not in offered.keys() | of_data.keys():
      what = 'sequences of floats' if sound is None else 'sound'
      own = ', '.join(option for option in offered if option not in of_data)
      raise ValueError(
        f'preprocess_option={name}={written(value)}: not for {what}, whose options are {own}'
      )
    if of_data.get(name, value) != value:
      raise ValueError(f'preprocess_option={name}={value}: the data have {of_data[name]}')
  missing = {name: value for name, value in (of_data | defaults).items() if name not in given}
  options = (f'{name}={written(value)}' for name, value in missing.items())
  return dataclasses.replace(config, preprocess_options=(*config.preprocess_options, *options))


def check_reconstruction(dataset: Dataset, config: SearchConfig) -> None:
  """Raises ValueError if a space of reconstructions is to name classes or to read images."""
  space = named_space(config)
  if not getattr(choices.find('space', space), 'reconstructs', False):
    return
  if dataset.head.task is not Task.ANOMALY:
    raise ValueError(
      f'space={space}: its networks reconstruct their input, which is for anomaly detection alone; '
      f'that of {dataset.name} is {dataset.head.task.value}'
    )
  if len(dataset.input_shape) != 2:
    raise ValueError(
      f'space={space}: must have sequences (time, features); examples of {dataset.name} have shape '
      f'{dataset.input_shape}. --space={choices.ANOMALY_SPACE} reads any'
    )


def check_input(dataset: Dataset, config: SearchConfig) -> None:
  """Raises ValueError if an example alone needs more SRAM than the budget has."""
  if config.preprocess:  # which part of an example is read is still to be decided
    return
  input_bytes, sram_bytes = math.prod(dataset.input_shape), config.budget(()).sram_bytes
  if input_bytes > sram_bytes:
    setting = f'board={config.board}' if config.sram_kib is None else f'sram_kib={config.sram_kib}'
    shape = 'x'.join(map(str, dataset.input_shape))
    raise ValueError(
      f'{setting}: no network fits, as one example of {dataset.name} ({shape}, int8) takes '
      f'{input_bytes:,} B, and the budget has {sram_bytes:,} B of SRAM; take smaller examples, '
      'such as smaller images, or a larger board'
    )


def kinds_in(table: Table) -> frozenset[str]:
  """The kinds of operators that networks of a space have, drawn with a fixed seed.

  Args:
    table: the compiled space.
  """
  rng = np.random.default_rng(0)
  found: frozenset[str] = frozenset()
  for _ in range(_DRAWN_FOR_KINDS):
    found |= operator_kinds(decode(table.space, sample_uniform(table, rng)))
  return found


def warning_of_few(table: Table, admits: Callable[[Architecture], bool]) -> str:
  """A line that warns if hardly any network of a space may fit the budget; '' if enough do.

  Args:
    table: the compiled space.
    admits: whether a network may fit, by an estimate.
  """
  rng, fitting = np.random.default_rng(0), 0
  for _ in range(_DRAWN):
    fitting += admits(decode(table.space, sample_uniform(table, rng)))
    if fitting > _FEW:
      return ''
  found = str(fitting) if fitting else 'none'
  return (
    f'warning  {found} of {_DRAWN} networks drawn from the space may fit the budget; a larger '
    'board, smaller examples or smaller options of the space would help'
  )
