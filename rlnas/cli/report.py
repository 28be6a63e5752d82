"""`rlnas report`: rebuilds every picture and table of a search from its journal.

The figures of the strategy, such as its loss, come from scalars.jsonl beside it, if that exists.
The command writes search.html (which needs no internet and no other file), SEARCH.md and figures/
to the folder of the search. It may run while the search runs.
"""

from __future__ import annotations

import pathlib

from absl import flags

from rlnas.cli.config_file import read_config
from rlnas.cli.flags import define_some_flags, no_arguments, show
from rlnas.cli.loading import load_tensorflow, pictures_counted
from rlnas.cli.results import read_record
from rlnas.cli.workdir import budget_of, named_workdir, space_of


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of this command."""
  define_some_flags(flag_values, 'workdir')


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Writes the report of the search in the workdir."""
  no_arguments(arguments)
  show(str(report(named_workdir(flag_values))))


def report(workdir: pathlib.Path) -> pathlib.Path:
  """Writes the report of a search beside its journal.

  Raises:
    ValueError: the journal is damaged, is empty, or has no budget; or result.json is damaged.
    OSError: the journal cannot be read, or the report cannot be written.
  """
  from rlnas.search.journal import read_journal
  from rlnas.search.scalars_file import NAME, read_scalars

  configuration, trials = read_journal(workdir / 'journal.jsonl')
  finished = workdir / 'result.json'
  result = read_record(finished) if finished.exists() else None
  scalars = read_scalars(workdir / NAME)
  budget, space = budget_of(configuration), space_of(configuration)
  load_tensorflow()
  from rlnas.reports.html import write_page
  from rlnas.reports.search_report import search_page

  with pictures_counted('writing the report of the search'):
    page = search_page(
      trials,
      budget,
      space=space,
      configuration=configuration,
      scalars=scalars,
      dataset=_dataset_of(workdir),
      result=result,
    )
    write_page(page, workdir, html_name='search.html', markdown_name='SEARCH.md')
  return workdir / 'search.html'


def _dataset_of(workdir: pathlib.Path) -> str:
  """The name of the data; '' if config.json is gone or of another version."""
  try:
    return pathlib.Path(read_config(workdir).dataset).stem
  except (OSError, ValueError):
    return ''
