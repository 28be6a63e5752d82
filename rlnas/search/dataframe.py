"""Trials as a table for pandas."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlnas.architecture import Architecture, Scalar
from rlnas.spaces.table import Table, choices_of
from rlnas.trial import Measurement, Trial

if TYPE_CHECKING:
  import pandas as pd

_DTYPES = {'int | None': 'Int64', 'float | None': 'float64', 'float': 'float64'}  # by type of field
_Columns = dict[str, tuple[str, list[Any]]]  # type and values, by name


def frame_of(trials: Sequence[Trial], table: Table | None = None) -> pd.DataFrame:
  """Trials as a table with one row each; see `rlnas.to_dataframe`.

  Args:
    trials: the trials, in any order.
    table: the compiled space of their tokens, for one column per decision.

  Raises:
    ValueError: tokens are not in the space.
  """
  import pandas as pd  # takes half a second to load

  values = [t.proposal.value for t in trials]
  nodes = [len(v.nodes) if isinstance(v, Architecture) else None for v in values]
  columns: _Columns = {
    'index': ('int64', [t.index for t in trials]),
    'batch': ('int64', [t.batch for t in trials]),
    'seed': ('int64', [t.seed for t in trials]),
    'reward': ('float64', [t.reward for t in trials]),
    'predicted_accuracy': ('float64', [t.predicted_accuracy for t in trials]),
    'tokens': ('object', [t.proposal.tokens for t in trials]),
    'log_prob': ('float64', [t.proposal.log_prob for t in trials]),
    'parent': ('Int64', [t.proposal.parent for t in trials]),
    'digest': ('object', [t.proposal.digest for t in trials]),
    'nodes': ('Int64', nodes),
    'value': ('object', [None if isinstance(v, Architecture) else v for v in values]),
    'status': ('object', [t.measurement.status.value for t in trials]),
  }
  for field in dataclasses.fields(Measurement):
    kind = _DTYPES.get(str(field.type), 'object')
    columns.setdefault(field.name, (kind, [getattr(t.measurement, field.name) for t in trials]))
  columns['quality'] = 'float64', [t.measurement.quality for t in trials]
  if table is not None:
    for name, column in _decisions(trials, table).items():
      columns[f'decision/{name}' if name in columns else name] = column
  series = {name: pd.Series(values, dtype=kind) for name, (kind, values) in columns.items()}
  return pd.DataFrame(series).set_index('index')


def _decisions(trials: Sequence[Trial], table: Table) -> _Columns:
  """A column for each decision of the space; None where a walk does not come to it."""
  offered: dict[str, list[Scalar]] = {}
  for name, choices in zip(table.names, table.choices, strict=True):
    offered.setdefault(name, []).extend(choices)
  chosen = [choices_of(table, t.proposal.tokens) for t in trials]
  return {
    name: (_type_of(choices), [walk.get(name) for walk in chosen])
    for name, choices in offered.items()
  }


def _type_of(choices: Sequence[Scalar]) -> str:
  """The type of a column in which values may be missing."""
  types = {type(choice) for choice in choices}
  if types == {bool}:
    return 'boolean'
  if types == {int}:
    return 'Int64'
  return 'float64' if types <= {int, float} else 'object'
