"""Writes the deployment bundle of a finished search beside its best/model.tflite, anew.

  python experiments/export.py runs/first

experiments/search.py does the same at its end. The folder best/ then holds model.cc, model.h,
rlnas_model.h, test_vectors.h, main.cc, report.html, REPORT.md and figures/. Data that the search
was given by --data_dir are given so here, too.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

from absl import flags

from rlnas.architecture import Architecture
from rlnas.board import find_board
from rlnas.budget import Budget
from rlnas.cli import settings as _  # noqa: F401  it defines --data_dir
from rlnas.cli.choices import SEQUENCE_SPACES
from rlnas.cli.guard import run
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.reports.model_report import Origin, write_bundle
from rlnas.search.journal import read_journal

FLAGS = flags.FLAGS
flags.declare_key_flag('data_dir', flag_values=FLAGS)

# The flag that sets a limit of the budget, and its unit.
_BUDGET_FLAGS = {
  'flash_bytes': ('flash_kib', 1024),
  'sram_bytes': ('sram_kib', 1024),
  'macs': ('max_mmacs', 1e6),
  'latency_ms': ('max_latency_ms', 1),
}
# What config.json holds beside flags: it follows from them, or from the machine.
_NO_FLAGS = frozenset({'dataset_digest', 'space_options', 'rlnas', 'tensorflow', 'onednn'})


def main(arguments: list[str]) -> None:
  """Writes the bundle of the workdir that is named."""
  workdir = named_workdir(arguments)
  config = read_config(workdir)
  space = config.get('space')
  dataset = loaders.load(config['dataset'], data_dir=FLAGS.data_dir)
  reshape = loaders.as_sequences if space in SEQUENCE_SPACES else loaders.as_images
  best = export_workdir(workdir, reshape(dataset))
  print(best / 'report.html')


def named_workdir(arguments: list[str]) -> pathlib.Path:
  """The one folder on the command line. Raises ValueError where there is none or more."""
  if len(arguments) != 2:
    raise ValueError(f'arguments: {arguments[1:]}; must be the folder of one search')
  return pathlib.Path(arguments[1])


def read_config(workdir: pathlib.Path) -> dict[str, Any]:
  """The settings of a search. Raises OSError or ValueError."""
  path = workdir / 'config.json'
  config = json.loads(path.read_text())
  if not isinstance(config, dict) or not isinstance(config.get('dataset'), str):
    raise ValueError(f'{path}: must hold the settings of a search')
  return config


def export_workdir(workdir: pathlib.Path, dataset: Dataset) -> pathlib.Path:
  """Writes the bundle of a finished search.

  Args:
    workdir: of the search; holds config.json, journal.jsonl, result.json and best/model.tflite.
    dataset: that it was made on.

  Returns:
    The folder that holds the bundle.

  Raises:
    ValueError: the data set is another, or a file is not what it should be.
    OSError: a file is missing or cannot be written.
  """
  config = read_config(workdir)
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  if configuration.get('dataset_digest') != dataset.digest:
    raise ValueError(
      f'dataset {dataset.name}: has digest {dataset.digest}; the search in {workdir} was made on '
      f'{configuration.get("dataset_digest")}'
    )
  found = json.loads((workdir / 'result.json').read_text())['best']
  winner = trials[found['trial']]
  architecture = Architecture.from_rows(found['architecture'])  # may be pruned
  proposal = dataclasses.replace(winner.proposal, architecture=architecture)
  origin = Origin(
    trials=tuple(trials),
    winner=dataclasses.replace(winner, proposal=proposal),
    board=_board_title(config),
    command=command(config, workdir),
    configuration=configuration,
    finish_epochs=config.get('finish_epochs'),
    validation_accuracy=found.get('validation_accuracy'),
  )
  best = workdir / 'best'
  write_bundle((best / 'model.tflite').read_bytes(), dataset, budget_of(config), origin, best)
  return best


def budget_of(config: Mapping[str, Any]) -> Budget:
  """The budget that a search had to keep. Raises ValueError where it is not recorded."""
  prefix = 'budget_'
  found = {k.removeprefix(prefix): v for k, v in config.items() if k.startswith(prefix)}
  try:
    return Budget(**found)
  except TypeError as error:
    raise ValueError(f'configuration: its budget cannot be read ({error})') from error


def command(config: Mapping[str, Any], workdir: pathlib.Path) -> str:
  """The command that makes the same search again, for a shell."""
  values = [
    (name, value)
    for name, value in config.items()
    if name not in _NO_FLAGS and not name.startswith('budget_') and value is not None
  ]
  values += [('space_option', option) for option in str(config.get('space_options', '')).split()]
  for name, (flag, unit) in _BUDGET_FLAGS.items():
    limit = config.get(f'budget_{name}')
    if limit is not None and not _is_the_boards(config, name, limit):
      values.append((flag, f'{limit / unit:.12g}'))
  values.append(('workdir', str(workdir)))
  parts = [f'--{name}={_flag(value)}' for name, value in values]
  return ' \\\n  '.join(['python experiments/search.py', *map(shlex.quote, parts)])


def _flag(value: object) -> str:
  return str(value).lower() if isinstance(value, bool) else str(value)


def _is_the_boards(config: Mapping[str, Any], name: str, limit: float) -> bool:
  try:
    return bool(limit == getattr(find_board(config['board']).budget, name))
  except (AttributeError, KeyError, OSError, ValueError):
    return False


def _board_title(config: Mapping[str, Any]) -> str:
  """The board's name for people; a file of one's own may be gone by now."""
  try:
    return find_board(config['board']).title
  except (KeyError, OSError, ValueError):
    return str(config.get('board', 'a microcontroller'))


if __name__ == '__main__':
  run(main)
