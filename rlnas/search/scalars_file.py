"""The scalars that a strategy reports after each batch, as lines of JSON beside the journal.

The journal holds what decides a search; these scalars follow from it, but only by learning
everything again. The file is not part of the state of a search: it is written again when the search
resumes, and without it a report only has fewer pictures.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Sequence

from rlnas.trial import Trial

NAME = 'scalars.jsonl'
_TRIAL = 'trial'  # key of the index of a batch's last trial


class ScalarsFile:
  """An observer that writes the scalars of each batch.

  Args:
    path: the file; an existing one is overwritten.

  Raises:
    OSError: it cannot be written; `on_batch` raises it, too.
  """

  def __init__(self, path: str | os.PathLike[str]) -> None:
    self._path = pathlib.Path(path)
    self._path.parent.mkdir(parents=True, exist_ok=True)
    self._path.write_text('')

  def on_trial(self, trial: Trial) -> None:
    """Does nothing."""

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Adds a line."""
    known = {name: float(value) for name, value in scalars.items() if math.isfinite(value)}
    with self._path.open('a', encoding='utf-8') as file:
      file.write(json.dumps({_TRIAL: trials[-1].index, **known}) + '\n')


def read_scalars(path: str | os.PathLike[str]) -> dict[str, dict[int, float]]:
  """The scalars by name, each by the index of the last trial of its batch.

  Empty if there is no file. Lines that are not whole are left out: the search may be writing.

  Raises:
    OSError: the file cannot be read.
  """
  try:
    lines = pathlib.Path(path).read_text(encoding='utf-8', errors='replace').splitlines()
  except FileNotFoundError:
    return {}
  found: dict[str, dict[int, float]] = {}
  for line in lines:
    try:
      record = json.loads(line)
      last = int(record.pop(_TRIAL))
      values = {str(name): float(value) for name, value in record.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
      continue
    for name, value in values.items():
      found.setdefault(name, {})[last] = value
  return found
