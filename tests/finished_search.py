"""One finished search for all tests that need one, whichever process runs them."""

import dataclasses
import fcntl
import json
import pathlib

from tests.cli.command import Shown, launched

# What decides the search, whatever its strategy.
SEARCH = (
  *('--dataset=digits', '--trials=4', '--batch=2', '--epochs=1', '--space_option=max_depth=3'),
  *('--sram_kib=20', '--finish_epochs=1', '--finish_top=2'),
)


@dataclasses.dataclass(frozen=True)
class Finished:
  """A search that came to its end; tests change copies of its folder."""

  workdir: pathlib.Path
  shown: Shown


def finished_search(folder: pathlib.Path) -> Finished:
  """The search in a folder that all processes of the tests share; the first one runs it."""
  workdir, record = folder / 'my run', folder / 'shown.json'
  folder.mkdir(exist_ok=True)
  with (folder / 'lock').open('w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not record.exists():
      how = ('--strategy_option=warm_start=10', '--executor=inprocess', f'--workdir={workdir}')
      shown = launched('search', *SEARCH, *how)
      record.write_text(json.dumps(dataclasses.asdict(shown)))
  return Finished(workdir, Shown(**json.loads(record.read_text())))
