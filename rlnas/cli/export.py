"""`rlnas export`: writes the deployment bundle of a finished search again, beside its model.

`rlnas search` does the same when it ends. The folder best/ then holds model.cc, model.h,
rlnas_model.h, test_vectors.h, main.cc, report.html, REPORT.md and figures/.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
from typing import TYPE_CHECKING

from absl import flags

from rlnas.cli.config import FinishConfig, SearchConfig
from rlnas.cli.config_file import read_config
from rlnas.cli.flags import FINISH, define_some_flags, no_arguments, show
from rlnas.cli.workdir import budget_of, dataset_of, given_config

if TYPE_CHECKING:
  from rlnas.data.dataset import Dataset


def define_flags(flag_values: flags.FlagValues) -> None:
  """The flags of this command."""
  define_some_flags(flag_values, 'workdir', 'data_dir')
  flags.DEFINE_string(
    'name',
    'rlnas',
    'Name with which C symbols and macros begin, so that a firmware can have several models.',
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
  show(str(export_workdir(workdir, dataset, name=flag_values['name'].value) / 'report.html'))


def export_workdir(workdir: pathlib.Path, dataset: Dataset, *, name: str = 'rlnas') -> pathlib.Path:
  """Writes the bundle of a finished search.

  Args:
    workdir: folder of the search, with config.json, journal.jsonl, result.json and
      best/model.tflite.
    dataset: the data of the search.
    name: the model's name, with which its C symbols begin.

  Returns:
    The folder of the bundle.

  Raises:
    ValueError: the data set differs from that of the search, or a file has wrong content.
    OSError: a file is missing or cannot be written.
  """
  from rlnas.architecture import Architecture
  from rlnas.reports.model_report import Origin, write_bundle
  from rlnas.search.journal import read_journal

  config = read_config(workdir)
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  found = json.loads((workdir / 'result.json').read_text())['best']
  winner = trials[found['trial']]
  architecture = Architecture.from_rows(found['architecture'])  # may be pruned
  latency_ms = found.get('latency_ms')
  if 'latency_ms' not in found and architecture == winner.proposal.architecture:
    latency_ms = winner.measurement.latency_ms  # an older version wrote results without latency
  origin = Origin(
    trials=tuple(trials),
    winner=dataclasses.replace(
      winner,
      proposal=dataclasses.replace(winner.proposal, architecture=architecture),
      measurement=dataclasses.replace(winner.measurement, latency_ms=latency_ms),
    ),
    board=_board_title(config),
    command=command(config),
    configuration=configuration,
    finish_epochs=config.finish.epochs,
    validation_accuracy=found.get('validation_accuracy'),
  )
  best = workdir / 'best'
  model = (best / 'model.tflite').read_bytes()
  write_bundle(model, dataset, budget_of(configuration), origin, best, name=name)
  return best


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


def _board_title(config: SearchConfig) -> str:
  """The board's title, or its name if the user's board file is gone."""
  from rlnas.board import find_board

  try:
    return find_board(config.board).title
  except (OSError, ValueError):
    return config.board
