"""Rebuilds every picture and table of a search from its journal alone.

  python experiments/report.py runs/first

leaves search.html (it needs no network and no other file), SEARCH.md and figures/ in the folder of
the search. It may be run while the search goes on.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

from rlnas.architecture import Scalar
from rlnas.cli.choices import SPACES, with_options
from rlnas.cli.export import budget_of, named_workdir
from rlnas.cli.guard import run
from rlnas.reports.html import write_page
from rlnas.reports.search_report import search_page
from rlnas.search.journal import read_journal
from rlnas.spaces.decision import Space


def main(arguments: list[str]) -> None:
  """Writes the report of the workdir that is named."""
  workdir = named_workdir(arguments)
  print(report(workdir))


def report(workdir: pathlib.Path) -> pathlib.Path:
  """Writes the report of a search beside its journal.

  Raises:
    ValueError: the journal is damaged, empty, or does not tell the budget.
    OSError: it cannot be read, or the report not be written.
  """
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  page = search_page(
    trials,
    budget_of(configuration),
    space=space_of(configuration),
    configuration=configuration,
  )
  write_page(page, workdir, html_name='search.html', markdown_name='SEARCH.md')
  return workdir / 'search.html'


def space_of(configuration: Mapping[str, Scalar | None]) -> Space | None:
  """The space that a journal's tokens belong to; None where the experiments have none such."""
  name = str(configuration.get('space'))
  if name not in SPACES:
    return None
  space: Space = with_options(SPACES[name], str(configuration.get('space_options', '')).split())
  return space


if __name__ == '__main__':
  run(main)
