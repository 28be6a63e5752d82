"""`rlnas export`: writes the deployment bundle of a finished search again, beside its model.

`rlnas search` does the same when it ends. The folder best/ then holds model.cc, model.h,
rlnas_model.h, rlnas_operators.h, classify.cc, classify.h, test_vectors.h, main.cc, host_test.c,
Makefile, LICENSE, report.html, REPORT.md and figures/. With --finalist=2 it is the bundle of
another finalist, in a folder of its own. With --for=arduino it gets a folder arduino/ with a
library for the Arduino IDE, and likewise for the other platforms.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from absl import flags

from rlnas.cli.config import FinishConfig, SearchConfig
from rlnas.cli.config_file import read_config
from rlnas.cli.flags import define_some_flags, finish_flag, no_arguments, show
from rlnas.cli.loading import load_tensorflow, pictures_counted
from rlnas.cli.results import Result, read_result, trial_at
from rlnas.cli.workdir import budget_of, build_of, dataset_of, given_config
from rlnas.export.templates import WORLDS

# The next step in the folder of each platform, in a terminal if not said otherwise.
_NEXT = {
  'arduino': 'copy it into Arduino/libraries, then choose File > Examples > {name} > check',
  'cmake': 'cd {folder} && cmake -B build && cmake --build build && ctest --test-dir build',
  'cpp': 'make -C {folder}/test test',
  'esp-idf': 'cd {folder}/examples/check && idf.py set-target esp32s3 && idf.py flash monitor',
  'platformio': 'cd {folder}/examples/check && pio run --target upload && pio device monitor',
  'zephyr': 'cd {folder} && west build --board nrf52840dk/nrf52840 samples/check && west flash',
}
_LONGER = 3  # times the epochs, in the command that finishes longer

if TYPE_CHECKING:
  from rlnas.architecture import Architecture
  from rlnas.board import Board
  from rlnas.cost.builds import Build
  from rlnas.data.dataset import Dataset
  from rlnas.trial import Trial


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of this command."""
  define_some_flags(flag_values, 'workdir', 'data_dir')
  flags.DEFINE_string(
    'name',
    'rlnas',
    'Name with which C symbols and macros begin, so that a firmware can have several models.',
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'finalist',
    1,
    'Number of the finalist, as result.json and the table of finalists list them: 1 is the winner, '
    'whose bundle is best/; that of the second is finalist-2/.',
    flag_values=flag_values,
  )
  flags.DEFINE_multi_enum(
    'for',
    [],
    WORLDS,
    'Firmware platform to write a ready-to-build folder for, beside the bundle; may be given '
    'several times.',
    flag_values=flag_values,
  )
  flags.DEFINE_bool(
    'portable',
    False,
    'Also writes portable.tflite, which keeps the scales of biases and the names that '
    'tools other than TFLite Micro need.',
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
  folder = export_workdir(
    workdir, dataset, name=name, finalist=flag_values['finalist'].value, worlds=tuple(worlds)
  )
  rows = [('report', str(folder / 'report.html')), _firmware_row(folder)]
  if flag_values['portable'].value:
    from rlnas.data.atomic_file import write_file
    from rlnas.tflite.portable import portable

    write_file(folder / 'portable.tflite', portable((folder / 'model.tflite').read_bytes()))
    rows.append(('portable', str(folder / 'portable.tflite')))
  for world in worlds:
    rows += _world_rows(folder / world, name)
  if not worlds:
    rows.append(('next', f'make -C {shlex.quote(str(folder))} test'))
  show(_labelled(rows))


def export_workdir(
  workdir: pathlib.Path,
  dataset: Dataset,
  *,
  name: str = 'rlnas',
  finalist: int = 1,
  worlds: Sequence[str] = (),
) -> pathlib.Path:
  """Writes the bundle of a finished search.

  Args:
    workdir: folder of the search, with config.json, journal.jsonl, result.json,
      best/model.tflite and, for other finalists, finalists/.
    dataset: the data of the search.
    name: the model's name, with which its C symbols begin.
    finalist: number of the finalist in result.json; 1 is the winner.
    worlds: firmware platforms to write a folder for, from `rlnas.export.templates.WORLDS`.

  Returns:
    The folder of the bundle: best/, or finalist-2/ for the second finalist.

  Raises:
    ValueError: the data set differs from that of the search, a file has wrong content, or there is
      no such finalist.
    OSError: a file is missing or cannot be written.
  """
  from rlnas.search.journal import read_journal

  config = read_config(workdir)
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  result = read_result(workdir, trials)
  if finalist <= len(result.records):  # otherwise an error follows at once
    load_tensorflow()
  winner = _winner_in(result) if finalist == 1 else _finalist_in(result, finalist)
  from rlnas.data.windowed import through
  from rlnas.reports.model_report import Origin, write_bundle

  board = _board(config)
  origin = Origin(
    trials=tuple(trials),
    winner=winner.trial,
    board=config.board if board is None else board.title,
    command=command(config),
    configuration=configuration,
    finish_epochs=winner.epochs or config.finish.epochs,
    validation_accuracy=winner.validation_accuracy,
    target=board,
    builds=_builds(config, build_of(configuration)),
    number=finalist,
    why=result.why,
    finalists=tuple(
      (', '.join(filter(None, (f.candidate.title, f.trained))), f.measurement)
      for f in result.readable_finalists()
    ),
  )
  folder = workdir / ('best' if finalist == 1 else f'finalist-{finalist}')
  model = (workdir / winner.model).read_bytes()
  with pictures_counted('writing the report'):
    _, seen = through(winner.trial.proposal.architecture, dataset)
    write_bundle(model, seen, budget_of(configuration), origin, folder, name=name, worlds=worlds)
  if finalist != 1:
    from rlnas.data.atomic_file import write_folder
    from rlnas.finishing.winner import architecture_contents

    network = winner.trial.proposal.architecture
    write_folder(folder, architecture_contents(network, dataset.task))
  return folder


def _firmware_row(folder: pathlib.Path) -> tuple[str, str]:
  """The line of the files that a firmware needs."""
  return 'firmware', f'{folder}: model.cc, rlnas_model.h, classify.cc, main.cc, test_vectors.h'


def _world_rows(folder: pathlib.Path, name: str) -> list[tuple[str, str]]:
  """The lines on the folder for a platform: where it is and what the next step is.

  Args:
    folder: the folder of the platform in that of the bundle.
    name: the model's name as the user gave it.
  """
  from rlnas.export.c_text import prefix_of

  library = folder / prefix_of(name)
  quoted = shlex.quote(str(library))
  return [
    (folder.name, f'{library}, see README.md'),
    ('next', _NEXT[folder.name].format(folder=quoted, name=library.name)),
  ]


def _labelled(rows: Sequence[tuple[str, str]]) -> str:
  """Lines with labels in a column of their own."""
  width = max(len(name) for name, _ in rows) + 1
  return '\n'.join(f'{name + ":" if name else "":{width}}  {text}' for name, text in rows)


class _Exported(NamedTuple):
  """What is exported.

  Attributes:
    trial: the trial that found the network, with the network itself, which may be pruned.
    validation_accuracy: of the float network; None if an earlier version did not write it.
    model: path of the .tflite file in the folder of the search.
    epochs: number of epochs of its training; None if an earlier version did not write it.
  """

  trial: Trial
  validation_accuracy: float | None
  model: str
  epochs: int | None


def _winner_in(result: Result) -> _Exported:
  """The winner of a result.json. Raises ValueError that names the file."""
  from rlnas.architecture import Architecture

  found = result.best
  try:
    architecture = Architecture.from_rows(found['architecture'])
    trial = trial_at(found['trial'], result.trials)
  except KeyError as error:
    raise ValueError(
      f'{result.path}: has no {error}; must hold the winner of the search'
    ) from error
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f'{result.path}: must hold the winner of the search ({error})') from error
  latency_ms = found.get('latency_ms')
  if 'latency_ms' not in found and architecture == trial.proposal.architecture:
    latency_ms = trial.measurement.latency_ms  # an older version wrote results without latency
  with_its_own = _with_network(trial, architecture, latency_ms)
  epochs = result.records[0].get('epochs') if result.records else None
  return _Exported(with_its_own, found.get('validation_accuracy'), 'best/model.tflite', epochs)


def _finalist_in(result: Result, number: int) -> _Exported:
  """A finalist of a result.json. Raises ValueError."""
  found = result.finalist(number)
  trial = trial_at(found.candidate.trial, result.trials)
  measured = found.measurement
  with_its_own = _with_network(trial, found.candidate.architecture, measured.latency_ms)
  path = f'finalists/{found.name}.tflite'
  return _Exported(with_its_own, measured.validation_accuracy, path, found.epochs)


def _with_network(trial: Trial, architecture: Architecture, latency_ms: float | None) -> Trial:
  return dataclasses.replace(
    trial,
    proposal=dataclasses.replace(trial.proposal, value=architecture),
    measurement=dataclasses.replace(trial.measurement, latency_ms=latency_ms),
  )


def command(config: SearchConfig) -> str:
  """The shell command that makes the same search again, with all settings that are not defaults."""
  values: list[tuple[str, object]] = []
  for field in dataclasses.fields(SearchConfig):
    value = getattr(config, field.name)
    if field.metadata and field.name != 'workdir' and value != field.default:
      given = value if isinstance(value, tuple) else (value,)
      values += [(field.metadata['flag'] or field.name, item) for item in given]
  parts = _quoted([*values, *_finish_values(config.finish), ('workdir', config.workdir)])
  return ' \\\n  '.join(['rlnas search', *parts])


def finish_command(config: SearchConfig) -> str:
  """The shell command that finishes the same search in this way."""
  parts = _quoted([('workdir', config.workdir), *_finish_values(config.finish)])
  return f'{_program()} finish {" ".join(parts)}'


def _program() -> str:
  """What a shell calls rlnas by: its path if the environment of this Python is not activated."""
  own, found = pathlib.Path(sys.executable).with_name('rlnas'), shutil.which('rlnas')
  is_found = found is not None and own.exists() and own.samefile(found)
  return 'rlnas' if is_found or not own.exists() else shlex.quote(str(own))


def closing_lines(config: SearchConfig, *, search: pathlib.Path, winner: pathlib.Path) -> str:
  """The last lines of a search: where everything is and what may come next.

  Args:
    config: configuration of the search.
    search: the page of the search.
    winner: the page of the winner.
  """
  from rlnas.reports.tensorboard_page import address, command

  longer = dataclasses.replace(config.finish, epochs=_LONGER * config.finish.epochs)
  where, (first, *others) = shlex.quote(f'--workdir={config.workdir}'), WORLDS
  rows = (
    ('report', str(search)),
    ('winner', str(winner)),
    _firmware_row(winner.parent),
    ('watch', command(pathlib.Path(config.workdir) / 'tensorboard')),
    ('', f'and open {address()}'),
    ('library', f'{_program()} export {where} --for={first} (or {", ".join(others)})'),
    ('finish longer', finish_command(dataclasses.replace(config, finish=longer))),
  )
  return _labelled(rows)


def _finish_values(finish: FinishConfig) -> list[tuple[str, object]]:
  """The flags of a finishing that have not their defaults, with their values."""
  values = ((field, getattr(finish, field.name)) for field in dataclasses.fields(FinishConfig))
  return [(finish_flag(field), value) for field, value in values if value != field.default]


def _quoted(values: Sequence[tuple[str, object]]) -> list[str]:
  return [shlex.quote(f'--{name}={_flag(value)}') for name, value in values]


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
