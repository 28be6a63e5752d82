"""config.json: the configuration of a search in its folder, in its present and older format."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from rlnas.board import find_board
from rlnas.budget import Budget
from rlnas.cli.config import FinishConfig, SearchConfig
from rlnas.data.atomic_file import write_file

FORMAT = 3  # of config.json; files without a number have format 1


def write_config(config: SearchConfig, workdir: str | os.PathLike[str]) -> None:
  """Writes config.json into the folder of a search. Raises OSError."""
  record = {'format': FORMAT, **dataclasses.asdict(config)}
  write_file(pathlib.Path(workdir) / 'config.json', json.dumps(record, indent=2) + '\n')


def read_config(workdir: str | os.PathLike[str]) -> SearchConfig:
  """The configuration of the search in a folder; its `workdir` is that folder.

  Raises:
    OSError: there is no config.json, or it cannot be read.
    ValueError: it does not hold the configuration of a search; names the file.
  """
  path = pathlib.Path(workdir) / 'config.json'
  try:
    record = json.loads(path.read_text(encoding='utf-8'))
    if not isinstance(record, dict) or not isinstance(record.get('dataset'), str):
      raise ValueError('must hold the settings of a search')
    number = record.pop('format', 1)
    if number not in range(1, FORMAT + 1):
      raise ValueError(f'format {number!r}; this version reads 1 to {FORMAT}')
    if number == 1:
      record = _from_format_1(record)
    if number < FORMAT:
      record |= _strategy_of_today(record)
    record.setdefault('space', 'chain')  # the default of earlier versions
    finish = FinishConfig(**record.pop('finish'))
    return SearchConfig(**{**record, 'workdir': str(workdir)}, finish=finish)
  except (ValueError, TypeError, KeyError, AttributeError) as error:
    raise ValueError(f'{path}: {error}') from error


def _from_format_1(old: Mapping[str, Any]) -> dict[str, Any]:
  """The fields of a configuration of format 1, which had no format number."""
  known = {field.name for field in dataclasses.fields(SearchConfig)} - {'finish'}
  record = {name: value for name, value in old.items() if name in known}
  record['space_options'] = str(old.get('space_options', '')).split()
  record['finish'] = {
    field.name: old[f'finish_{field.name}']
    for field in dataclasses.fields(FinishConfig)
    if f'finish_{field.name}' in old
  }
  record['pruner'] = old.get('ladder') or 'halving'
  examples, _, epochs = str(old['fidelity']).partition('x')
  if examples == 'all' and epochs.isdecimal():  # a single stage of all data
    record |= {'fidelity': None, 'epochs': int(epochs)}
  record |= _limits(old)
  return record


def _strategy_of_today(old: Mapping[str, Any]) -> dict[str, Any]:
  """The strategy of formats 1 and 2, in which reinforce was the paper's and imitation the default.

  Imitation is now what is left of the default without its episodes.
  """
  name, options = old.get('strategy', 'imitation'), tuple(old.get('strategy_options', ()))
  if name == 'reinforce':
    return {'strategy': 'zoph_le'}
  if name != 'imitation':
    return {}
  renamed = (option.replace('best=', 'elite=') for option in options)
  return {'strategy': 'reinforce', 'strategy_options': ('imagined=0', 'real=false', *renamed)}


def _limits(old: Mapping[str, Any]) -> dict[str, float]:
  """The limits of format 1, in bytes, that are not the board's."""
  try:
    board: Budget | None = find_board(old['board']).budget
  except (KeyError, OSError, ValueError):
    board = None  # the user's board file is gone
  units = (
    ('flash_bytes', 'flash_kib', 1024),
    ('sram_bytes', 'sram_kib', 1024),
    ('macs', 'max_mmacs', 1e6),
    ('latency_ms', 'max_latency_ms', 1),
  )
  found = {}
  for name, setting, unit in units:
    limit = old.get(f'budget_{name}')
    if limit is not None and (board is None or limit != getattr(board, name)):
      found[setting] = limit / unit
  return found
