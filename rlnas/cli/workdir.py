"""Reads the folder of a search for the commands that need it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from rlnas.budget import Budget
from rlnas.cli import choices
from rlnas.cli.config import SearchConfig
from rlnas.cli.config_file import read_config
from rlnas.cost.builds import Build, find_build
from rlnas.trial import Trial

if TYPE_CHECKING:
  from rlnas.architecture import Scalar
  from rlnas.data.dataset import Dataset
  from rlnas.spaces.decision import Space


def named_workdir(flag_values: flags.FlagValues) -> pathlib.Path:
  """The folder that --workdir names. Raises ValueError if it holds no search."""
  workdir = pathlib.Path(os.path.expanduser(flag_values['workdir'].value or SearchConfig.workdir))
  if not (workdir / 'journal.jsonl').exists():
    raise ValueError(
      f'--workdir={workdir}: must be the folder of a search; it has no journal.jsonl'
    )
  return workdir


def given_config(flag_values: flags.FlagValues) -> SearchConfig:
  """The configuration of the search in --workdir, with --data_dir if it is given.

  Raises:
    ValueError: a flag is wrong, or the folder holds no search.
    OSError: the folder cannot be read.
  """
  config = read_config(named_workdir(flag_values))
  data_dir = flag_values['data_dir'].value
  return config if data_dir is None else dataclasses.replace(config, data_dir=data_dir)


def budget_of(configuration: Mapping[str, Any]) -> Budget:
  """The budget in the header of a journal. Raises ValueError if it is not recorded."""
  prefix = 'budget_'
  found = {k.removeprefix(prefix): v for k, v in configuration.items() if k.startswith(prefix)}
  try:
    return Budget(**found)
  except TypeError as error:
    raise ValueError(f'configuration: its budget cannot be read ({error})') from error


def build_of(configuration: Mapping[str, Any]) -> Build:
  """The build of TFLite Micro in the header of a journal.

  Earlier searches measured the arena on their own machine, so theirs is 'host'.
  """
  return find_build(str(configuration.get('build', 'host')))


def dataset_of(
  config: SearchConfig, configuration: Mapping[str, Any], trials: Sequence[Trial]
) -> Dataset:
  """The data of a search, in the shape that its networks read.

  Raises:
    ValueError: the journal has no trial, or the data differ from those of the search.
    OSError: the data cannot be read.
  """
  from rlnas.data import loaders

  if not trials:
    raise ValueError(f'--workdir={config.workdir}: its journal must hold at least one trial')
  dataset = loaders.load(config.dataset, config.data_dir, **config.reading())
  digests = []
  for way in (loaders.as_images, loaders.as_sequences, loaders.as_row, loaders.as_pixel):
    shaped = way(dataset)
    digests.append(shaped.digest)
    if digests[-1] == configuration.get('dataset_digest'):
      return shaped
  raise ValueError(
    f'dataset {dataset.name}: has digest {digests[0]}; must be that of the search in '
    f'{config.workdir}, {configuration.get("dataset_digest")}'
  )


def space_of(configuration: Mapping[str, Scalar | None]) -> Space | None:
  """The space of a journal's tokens; None if it is the user's own and is gone."""
  name, options = (str(configuration.get(key, '')) for key in ('space', 'space_options'))
  try:
    arguments = choices.recorded_options('space', name, options)
    space: Space = choices.find('space', name)(**arguments)
    if given := configuration.get('preprocess'):
      space = choices.preprocessed(space, choices.recorded_arguments(str(given)))
  except Exception:  # whatever a module of one's own does
    return None
  return space
