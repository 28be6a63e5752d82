"""`rlnas export`: writes the deployment bundle of a finished search again, beside its model.

`rlnas search` does the same when it ends. The folder best/ then holds model.cc, model.h,
rlnas_model.h, classify.cc, classify.h, test_vectors.h, main.cc, host_test.c, Makefile, report.html,
REPORT.md and figures/. With --for=arduino it gets a folder arduino/ with a library of the Arduino
IDE, and so on for the other worlds.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from rlnas.cli.config import FinishConfig, SearchConfig
from rlnas.cli.config_file import read_config
from rlnas.cli.flags import FINISH, define_some_flags, no_arguments, show
from rlnas.cli.workdir import budget_of, build_of, dataset_of, given_config
from rlnas.export.templates import WORLDS

if TYPE_CHECKING:
  from rlnas.architecture import Architecture
  from rlnas.board import Board
  from rlnas.cost.builds import Build
  from rlnas.data.dataset import Dataset
  from rlnas.trial import Trial


def define_flags(flag_values: flags.FlagValues) -> None:
  """The flags of this command."""
  define_some_flags(flag_values, 'workdir', 'data_dir')
  flags.DEFINE_string(
    'name',
    'rlnas',
    'Name with which C symbols and macros begin, so that a firmware can have several models.',
    flag_values=flag_values,
  )
  flags.DEFINE_multi_enum(
    'for',
    [],
    WORLDS,
    'World of firmware to write a folder for that builds there, beside the bundle; may be given '
    'several times.',
    flag_values=flag_values,
  )
  flags.DEFINE_bool(
    'portable',
    False,
    'Also writes portable.tflite, which keeps the scales of biases and the names that other '
    'importers than TFLite Micro need.',
    flag_values=flag_values,
  )


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Writes the bundle of the search in the workdir."""
  no_arguments(arguments)
  config = given_config(flag_values)
  from rlnas.search.journal import read_journal

  workdir = pathlib.Path(config.workdir)
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  dataset = dataset_of(config, configuration, trials)
  name, worlds = flag_values['name'].value, dict.fromkeys(flag_values['for'].value)
  folder = export_workdir(workdir, dataset, name=name, worlds=tuple(worlds))
  if flag_values['portable'].value:
    from rlnas.data.atomic_file import write_file
    from rlnas.tflite.portable import portable

    write_file(folder / 'portable.tflite', portable((folder / 'model.tflite').read_bytes()))
  show(str(folder / 'report.html'))


def export_workdir(
  workdir: pathlib.Path, dataset: Dataset, *, name: str = 'rlnas', worlds: Sequence[str] = ()
) -> pathlib.Path:
  """Writes the bundle of a finished search.

  Args:
    workdir: folder of the search, with config.json, journal.jsonl, result.json and
      best/model.tflite.
    dataset: the data of the search.
    name: the model's name, with which its C symbols begin.
    worlds: worlds of firmware to write a folder for, from `rlnas.export.templates.WORLDS`.

  Returns:
    The folder of the bundle.

  Raises:
    ValueError: the data set differs from that of the search, or a file has wrong content.
    OSError: a file is missing or cannot be written.
  """
  from rlnas.reports.model_report import Origin, write_bundle
  from rlnas.search.journal import read_journal

  config = read_config(workdir)
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  found, winner, architecture = _winner_in(workdir / 'result.json', trials)
  latency_ms = found.get('latency_ms')
  if 'latency_ms' not in found and architecture == winner.proposal.architecture:
    latency_ms = winner.measurement.latency_ms  # an older version wrote results without latency
  board = _board(config)
  origin = Origin(
    trials=tuple(trials),
    winner=dataclasses.replace(
      winner,
      proposal=dataclasses.replace(winner.proposal, architecture=architecture),
      measurement=dataclasses.replace(winner.measurement, latency_ms=latency_ms),
    ),
    board=config.board if board is None else board.title,
    command=command(config),
    configuration=configuration,
    finish_epochs=config.finish.epochs,
    validation_accuracy=found.get('validation_accuracy'),
    target=board,
    builds=_builds(config, build_of(configuration)),
  )
  best = workdir / 'best'
  model = (best / 'model.tflite').read_bytes()
  write_bundle(model, dataset, budget_of(configuration), origin, best, name=name, worlds=worlds)
  return best


def _winner_in(
  path: pathlib.Path, trials: Sequence[Trial]
) -> tuple[dict[str, Any], Trial, Architecture]:
  """What result.json says of the winner, its trial, and its architecture, which may be pruned.

  Raises:
    OSError: the file cannot be read.
    ValueError: it is damaged, or of another search; names the file.
  """
  from rlnas.architecture import Architecture

  try:
    found = json.loads(path.read_text(encoding='utf-8'))['best']
    architecture = Architecture.from_rows(found['architecture'])
    trial = found['trial']
    if type(trial) is not int or not 0 <= trial < len(trials):
      raise ValueError(f'trial={trial!r}: must be one of the {len(trials)} in the journal')
  except KeyError as error:
    raise ValueError(f'{path}: has no {error}; must hold the winner of the search') from error
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f'{path}: must hold the winner of the search ({error})') from error
  return found, trials[trial], architecture


def command(config: SearchConfig) -> str:
  """The shell command that makes the same search again, with all settings that are not defaults."""
  values: list[tuple[str, object]] = []
  for field in dataclasses.fields(SearchConfig):
    value = getattr(config, field.name)
    if field.metadata and field.name != 'workdir' and value != field.default:
      given = value if isinstance(value, tuple) else (value,)
      values += [(field.metadata['flag'] or field.name, item) for item in given]
  for field in dataclasses.fields(FinishConfig):
    value = getattr(config.finish, field.name)
    if value != field.default:
      values.append((FINISH + field.name, value))
  values.append(('workdir', config.workdir))
  parts = [f'--{name}={_flag(value)}' for name, value in values]
  return ' \\\n  '.join(['rlnas search', *map(shlex.quote, parts)])


def _flag(value: object) -> str:
  if isinstance(value, float):
    short = f'{value:g}'
    return short if float(short) == value else repr(value)
  return str(value).lower() if isinstance(value, bool) else str(value)


def _board(config: SearchConfig) -> Board | None:
  """The board; None if the user's board file is gone."""
  try:
    return config.target_board()
  except (OSError, ValueError):
    return None


def _builds(config: SearchConfig, build: Build) -> tuple[Build, ...]:
  """The build of the search and those that the board may have; the first if its file is gone."""
  from rlnas.cost.builds import find_build

  board = _board(config)
  others = [find_build(name) for name in (board.builds if board else ())]
  return (build, *(other for other in others if other != build))
