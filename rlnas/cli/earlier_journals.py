"""The journals that --learn_from names: read, and checked to be of the same space."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from rlnas.architecture import Scalar
from rlnas.cli import choices
from rlnas.search.journal import read_journal
from rlnas.spaces.decision import decode
from rlnas.spaces.table import Table
from rlnas.strategies.earlier_results import Earlier
from rlnas.trial import Trial

_OF_DATA = 'frames'  # an option that `rlnas.cli.fitting.with_frames` takes from the data


@dataclasses.dataclass(frozen=True)
class EarlierJournal:
  """A journal to learn from.

  Attributes:
    path: the file.
    digest: what identifies its content.
    trials: its trials that have a reward, at least one.
  """

  path: str
  digest: str
  trials: tuple[Trial, ...]


def check_earlier(
  names: Sequence[str],
  *,
  strategy: str,
  space: str | None,
  space_options: Sequence[str],
  workdir: str | os.PathLike[str],
) -> None:
  """Checks the journals to learn from, as far as that needs no data.

  Args:
    names: journals, or folders of searches.
    strategy: the strategy that is to learn from them.
    space: name of the space of this search; None if the data decide it, then it is not compared.
    space_options: 'name=value' texts of the space.
    workdir: folder of this search.

  Raises:
    ValueError: the strategy cannot learn from them, or a journal is missing, damaged, without a
      result, of another space or that of this search; the message begins with `learn_from`.
  """
  if not names:
    return
  if 'earlier' not in inspect.signature(choices.find('strategy', strategy)).parameters:
    raise ValueError(
      f'learn_from={",".join(names)}: not with --strategy={strategy}, which cannot learn from '
      'earlier searches; must be reinforce, or a strategy of your own with an argument earlier'
    )
  paths = [os.path.realpath(_path_of(name)) for name in names]
  for name, path in zip(names, paths, strict=True):
    if path == os.path.realpath(pathlib.Path(workdir) / 'journal.jsonl'):
      raise ValueError(f'learn_from={name}: is the journal of this search; must be an earlier one')
    if paths.count(path) > 1:
      raise ValueError(f'learn_from={",".join(names)}: must name each journal once')
  found = {name: _read(name)[0] for name in names}
  if space is not None:
    ours = _all_options(space, choices.space_options(space, space_options))
    for name, configuration in found.items():
      _check_space(name, configuration, space, ours)


def read_earlier(names: Sequence[str]) -> tuple[EarlierJournal, ...]:
  """Reads journals. Raises as `check_earlier`."""
  found = []
  for name in names:
    path = _path_of(name)
    _, trials = _read(name)
    whole = path.read_bytes().rpartition(b'\n')[0]  # a half-written last line is not a trial
    found.append(EarlierJournal(name, hashlib.sha256(whole).hexdigest()[:16], trials))
  return tuple(found)


def walks_of(journal: EarlierJournal, table: Table) -> Earlier:
  """The walks and rewards of a journal.

  Raises:
    ValueError: its tokens do not give the same networks in `table`.
  """
  for trial in journal.trials:
    try:
      same = decode(table.space, trial.proposal.tokens) == trial.proposal.value
    except ValueError:
      same = False
    if not same:
      raise ValueError(
        f'learn_from={journal.path}: its trial {trial.index} is another network in the space of '
        'this search; must be of the same space, which depends on its options and on the shape of '
        'the data'
      )
  trials = [(t.proposal.tokens, t.reward) for t in journal.trials if t.reward is not None]
  walks, rewards = zip(*trials, strict=True)
  return Earlier(walks, rewards)


def _path_of(name: str) -> pathlib.Path:
  path = pathlib.Path(name)
  return path / 'journal.jsonl' if path.is_dir() else path


def _read(name: str) -> tuple[dict[str, Scalar | None], tuple[Trial, ...]]:
  path = _path_of(name)
  try:
    configuration, trials = read_journal(path)
  except FileNotFoundError as error:
    raise ValueError(
      f'learn_from={name}: there is no {path}; must be a journal.jsonl or the folder of a search'
    ) from error
  except (OSError, ValueError) as error:
    raise ValueError(f'learn_from={name}: cannot be read ({error})') from error
  known = tuple(trial for trial in trials if trial.reward is not None)
  if not known:
    raise ValueError(f'learn_from={name}: must hold at least one trial that did not fail')
  return configuration, known


def _check_space(
  name: str, configuration: dict[str, Scalar | None], space: str, ours: dict[str, Any]
) -> None:
  theirs = str(configuration.get('space'))
  if theirs != space:
    raise ValueError(f'learn_from={name}: is of --space={theirs}; must be of --space={space}')
  try:
    text = str(configuration.get('space_options', ''))
    found = _all_options(space, choices.recorded_options('space', space, text))
  except ValueError as error:
    raise ValueError(f'learn_from={name}: cannot be read ({error})') from error
  differing = [
    f'{key}={found.get(key)} there and {ours.get(key)} here'
    for key in sorted({*found, *ours} - {_OF_DATA})
    if found.get(key) != ours.get(key)
  ]
  if differing:
    raise ValueError(
      f'learn_from={name}: has another space ({", ".join(differing)}); must have the same '
      '--space_option'
    )


def _all_options(space: str, given: dict[str, Any]) -> dict[str, Any]:
  options = choices.options_of(choices.find('space', space))
  return {**{name: option.default for name, option in options.items()}, **given}
