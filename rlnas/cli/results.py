"""result.json: the outcome of a search, as `rlnas.finishing.winner.write_winner` wrote it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlnas.trial import Measurement, Status, Trial

if TYPE_CHECKING:
  from rlnas.finishing.finalists import Finalist

_FIGURES = (
  *('int8_validation_accuracy', 'validation_accuracy', 'flash_bytes', 'sram_bytes', 'macs'),
  *('latency_ms', 'parameters', 'detail'),
)


@dataclasses.dataclass(frozen=True)
class Result:
  """A result.json.

  Attributes:
    path: its path.
    best: the record of the winner.
    why: why the winner won; '' in files of earlier versions.
    records: the record of each finalist, the winner first.
    trials: trials of the search.
  """

  path: pathlib.Path
  best: Mapping[str, Any]
  why: str
  records: tuple[Mapping[str, Any], ...]
  trials: Sequence[Trial]

  def finalist(self, number: int) -> Finalist:
    """A finalist by its number, from 1.

    Raises:
      ValueError: there is none of that number, its record is damaged, or an earlier version left
        out its network.
    """
    if not 1 <= number <= len(self.records):
      raise ValueError(
        f'finalist={number}: must be one of the {len(self.records)} that {self.path} lists, from 1'
      )
    from rlnas.architecture import Architecture
    from rlnas.finishing.finalists import Candidate, Finalist, Stop

    record = self.records[number - 1]
    try:
      trial = trial_at(record['trial'], self.trials)
      if 'architecture' in record:
        architecture = Architecture.from_rows(record['architecture'])
      else:  # an earlier version wrote only the digest
        architecture = trial.proposal.architecture
        if architecture.digest != record['digest']:
          raise ValueError('its network is not written; `rlnas finish` writes it')
      if 'measurement' in record:
        measurement = Measurement.from_record(record['measurement'])
      else:
        figures = {name: record[name] for name in _FIGURES}
        measurement = Measurement(Status.COMPLETE, **figures)
      candidate = Candidate(trial.index, architecture, record['seed'], record['note'])
      stopped = record.get('stopped')
      return Finalist(
        *(candidate, record['name'], measurement, record.get('epochs')),
        None if stopped is None else Stop(stopped),
      )
    except KeyError as error:
      raise ValueError(f'{self.path}: finalist {number} has no {error}') from error
    except (ValueError, TypeError, AttributeError) as error:
      raise ValueError(f'{self.path}: finalist {number}: {error}') from error

  def readable_finalists(self) -> tuple[Finalist, ...]:
    """All finalists; none if the file does not hold them all, as of an earlier version."""
    try:
      return self.finalists()
    except ValueError:
      return ()

  def finalists(self) -> tuple[Finalist, ...]:
    """All finalists, the winner first. Raises ValueError as `finalist`."""
    return tuple(self.finalist(number) for number in range(1, len(self.records) + 1))


def read_result(workdir: pathlib.Path, trials: Sequence[Trial]) -> Result:
  """Reads the result.json of a search.

  Raises:
    OSError: the file cannot be read.
    ValueError: it is damaged, or of another search; names the file.
  """
  path = workdir / 'result.json'
  if not path.exists():
    raise FileNotFoundError(
      f'{path}: no such file; the search is not finished: run its command again, or `rlnas finish`'
    )
  record = read_record(path)
  try:
    best = record['best']
    trial_at(best['trial'], trials)
    records = tuple(dict(one) for one in record.get('finalists', ()))
    return Result(path, best, str(record.get('why', '')), records, trials)
  except KeyError as error:
    raise ValueError(f'{path}: has no {error}; must hold the winner of the search') from error
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f'{path}: must hold the winner of the search ({error})') from error


def read_record(path: pathlib.Path) -> dict[str, Any]:
  """The content of a result.json. Raises OSError, or ValueError that names the file."""
  try:
    record = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise ValueError(f'{path}: must hold the winner of the search ({error})') from error
  if not isinstance(record, dict):
    raise ValueError(f'{path}: must hold the winner of the search ({record!r} is not an object)')
  return record


def trial_at(index: object, trials: Sequence[Trial]) -> Trial:
  """The trial of an index. Raises ValueError if there is none."""
  if type(index) is not int or not 0 <= index < len(trials):
    raise ValueError(f'trial={index!r}: must be one of the {len(trials)} in the journal')
  return trials[index]
