"""A journal as a table for pandas, with a column for each decision of its space."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rlnas.cli import choices
from rlnas.cli.workdir import space_of
from rlnas.search.dataframe import frame_of
from rlnas.search.journal import read_journal
from rlnas.spaces.table import Table, compile_table
from rlnas.trial import Trial

if TYPE_CHECKING:
  import pandas as pd


def to_dataframe(
  journal: str | os.PathLike[str] | Iterable[Trial], *, table: Table | None = None
) -> pd.DataFrame:
  """A journal as a table with one row per trial.

  Args:
    journal: its path, or trials in any order.
    table: the compiled space of the search. Not needed for the journal of a command that searched a
      space of rlnas: its first line names the space.

  Returns:
    A frame indexed by the index of the trial. Columns: batch, seed, reward, predicted_accuracy,
    tokens (a tuple), log_prob, parent (the index of a trial), digest (of the network), nodes (their
    number), value (what the space returned, if that is not an `Architecture`), and the fields of
    `Measurement` by their names. Then, if the space is known, one column for each decision, by its
    name (behind 'decision/' if that is the name of a column above): the choice, missing where a
    walk does not come to the decision. Unknown values are missing (NaN or NA). The types of the
    columns do not depend on the trials.

  Raises:
    JournalError: the file is damaged.
    ValueError: the tokens are not in the space of `table`.
    OSError: the file cannot be read.
  """
  if not isinstance(journal, (str, os.PathLike)):
    return frame_of(list(journal), table)
  configuration, trials = read_journal(journal)
  # A space of one's own is not imported: reading a file must not run code that the file names.
  if table is None and configuration.get('space') in choices.SPACES:
    space = space_of(configuration)
    with contextlib.suppress(ValueError):  # the space was another in an earlier version
      return frame_of(trials, None if space is None else compile_table(space))
  return frame_of(trials, table)
