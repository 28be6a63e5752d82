"""Trials as a table for pandas."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rlnas.search.journal import read_journal
from rlnas.trial import Measurement, Trial

if TYPE_CHECKING:
  import pandas as pd

_DTYPES = {'int | None': 'Int64', 'float | None': 'float64', 'float': 'float64'}  # by type of field


def to_dataframe(journal: str | os.PathLike[str] | Iterable[Trial]) -> pd.DataFrame:
  """A journal as a table with one row per trial.

  Args:
    journal: its path, or trials in any order.

  Returns:
    A frame indexed by the index of the trial. Columns: batch, seed, reward, predicted_accuracy,
    tokens (a tuple), log_prob, parent (the index of a trial), digest (of the architecture), nodes
    (their number), and the fields of `Measurement` by their names. Unknown values are missing (NaN
    or NA). The types of the columns do not depend on the trials.

  Raises:
    JournalError: the file is damaged.
    OSError: it cannot be read.
  """
  import pandas as pd  # takes half a second to load

  if isinstance(journal, (str, os.PathLike)):
    _, trials = read_journal(journal)
  else:
    trials = list(journal)
  columns: dict[str, tuple[str, list[Any]]] = {
    'index': ('int64', [t.index for t in trials]),
    'batch': ('int64', [t.batch for t in trials]),
    'seed': ('int64', [t.seed for t in trials]),
    'reward': ('float64', [t.reward for t in trials]),
    'predicted_accuracy': ('float64', [t.predicted_accuracy for t in trials]),
    'tokens': ('object', [t.proposal.tokens for t in trials]),
    'log_prob': ('float64', [t.proposal.log_prob for t in trials]),
    'parent': ('Int64', [t.proposal.parent for t in trials]),
    'digest': ('object', [t.proposal.architecture.digest for t in trials]),
    'nodes': ('int64', [len(t.proposal.architecture.nodes) for t in trials]),
    'status': ('object', [t.measurement.status.value for t in trials]),
  }
  for field in dataclasses.fields(Measurement):
    kind = _DTYPES.get(str(field.type), 'object')
    columns.setdefault(field.name, (kind, [getattr(t.measurement, field.name) for t in trials]))
  series = {name: pd.Series(values, dtype=kind) for name, (kind, values) in columns.items()}
  return pd.DataFrame(series).set_index('index')
