"""`rlnas report`: rebuilds every picture and table of a search from its journal.

What the strategy said of itself comes from scalars.jsonl beside it, if that is there. The command
writes search.html (which needs no internet and no other file), SEARCH.md and figures/ to the
folder of the search. It may run while the search runs.
"""

from __future__ import annotations

import pathlib

from absl import flags

from rlnas.cli.flags import define_some_flags, no_arguments, show
from rlnas.cli.workdir import budget_of, named_workdir, space_of


def define_flags(flag_values: flags.FlagValues) -> None:
  """The flags of this command."""
  define_some_flags(flag_values, 'workdir')


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Writes the report of the search in the workdir."""
  no_arguments(arguments)
  show(str(report(named_workdir(flag_values))))


def report(workdir: pathlib.Path) -> pathlib.Path:
  """Writes the report of a search beside its journal.

  Raises:
    ValueError: the journal is damaged, is empty, or has no budget.
    OSError: the journal cannot be read, or the report cannot be written.
  """
  from rlnas.reports.html import write_page
  from rlnas.reports.search_report import search_page
  from rlnas.search.journal import read_journal
  from rlnas.search.scalars_file import NAME, read_scalars

  configuration, trials = read_journal(workdir / 'journal.jsonl')
  page = search_page(
    trials,
    budget_of(configuration),
    space=space_of(configuration),
    configuration=configuration,
    scalars=read_scalars(workdir / NAME),
  )
  write_page(page, workdir, html_name='search.html', markdown_name='SEARCH.md')
  return workdir / 'search.html'
