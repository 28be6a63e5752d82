"""Compares the finishing of two versions: processor time and what their winners reach.

  python experiments/benchmarks/benchmark_finishing.py --before=FOLDER --seeds=0,1,2

FOLDER is a checkout of an earlier version; without it this version is compared with itself without
successive halving (`--finish_halving=false`). Both finish copies of the same searches, one after
the other, with the order changed from one search to the next. Processor time is that of the command
with all its workers, so other work on the machine changes it little; the clock is shown too.
Searches are those of --workdirs, which must not be finished yet with these settings (`--trials=40
--finish_top=1 --finish_epochs=1` leaves one that is not), or are made, one for each seed.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from rlnas.cli.flags import check_positive
from rlnas.cli.guard import run

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'before', None, 'Checkout of an earlier version; default: this one without halving.'
)
flags.DEFINE_list('workdirs', [], 'Folders of searches; default: searches are made.')
flags.DEFINE_list('seeds', ['0', '1', '2'], 'Seeds of the searches that are made.')
flags.DEFINE_integer('trials', 40, 'Number of trials of the searches that are made; default: 40.')
flags.DEFINE_string('dataset', 'mnist5k', 'What the searches classify; default: mnist5k.')
flags.DEFINE_multi_string(
  'search_flag', [], 'A flag of the searches that are made, as --search_flag=--sram_kib=16.'
)
flags.DEFINE_multi_string(
  'finish_flag', [], 'A flag of both finishings, as --finish_flag=--finish_epochs=20.'
)
flags.DEFINE_integer('workers', None, 'Number of worker processes; default: one per core.')

_HERE = pathlib.Path(__file__).parents[2]


class Outcome(NamedTuple):
  """What a finishing took and found."""

  processor_seconds: float
  seconds: float
  test: float
  validation: float
  size: str
  epochs: int | None  # of all finalists; None if the version does not say


def main(arguments: list[str]) -> None:
  """Prints a row for each search, and the means."""
  if len(arguments) > 1:
    raise ValueError(f'arguments: {arguments[1:]}: must all be flags')
  check_positive('trials')
  check_positive('workers')
  earlier = _HERE if FLAGS.before is None else pathlib.Path(FLAGS.before).resolve()
  if not (earlier / 'rlnas' / '__main__.py').exists():
    raise ValueError(f'--before={FLAGS.before}: must be the folder of a checkout')
  options = () if FLAGS.before is not None else ('--finish_halving=false',)
  ways = {'before': (earlier, options), 'now': (_HERE, ())}
  print('| search | version | processor s | s | int8 test | int8 validation | size | epochs |')
  print('|---|---|---|---|---|---|---|---|', flush=True)
  found: dict[str, list[Outcome]] = {name: [] for name in ways}
  with tempfile.TemporaryDirectory() as folder:
    for number, (name, workdir) in enumerate(searches(pathlib.Path(folder), earlier)):
      for way in sorted(ways, reverse=number % 2 == 1):
        copy = pathlib.Path(folder) / f'{number}-{way}'
        shutil.copytree(workdir, copy)
        version, extra = ways[way]
        found[way].append(finished(copy, version, [*FLAGS.finish_flag, *extra]))
        print(row(name, way, found[way][-1]), flush=True)
  print('\n' + summary(found))


def searches(folder: pathlib.Path, version: pathlib.Path) -> Sequence[tuple[str, pathlib.Path]]:
  """The names and folders of the searches; those that are not given are made by `version`."""
  if FLAGS.workdirs:
    return [(path, pathlib.Path(path)) for path in FLAGS.workdirs]
  made = []
  for seed in map(int, FLAGS.seeds):
    workdir = folder / f'search-{seed}'
    arguments = [f'--dataset={FLAGS.dataset}', f'--trials={FLAGS.trials}', f'--seed={seed}']
    arguments += ['--finish_top=1', '--finish_epochs=1', *FLAGS.search_flag]
    command('search', workdir, version, arguments)  # whose folders both can read
    made.append((f'seed {seed}', workdir))
  return made


def finished(workdir: pathlib.Path, version: pathlib.Path, arguments: Sequence[str]) -> Outcome:
  """Finishes a search with a version."""
  before, started = _children_seconds(), time.perf_counter()
  command('finish', workdir, version, arguments)
  processor_seconds = _children_seconds() - before
  seconds = time.perf_counter() - started
  result: Mapping[str, Any] = json.loads((workdir / 'result.json').read_text())
  best = result['best']
  epochs = [finalist.get('epochs') for finalist in result['finalists']]
  return Outcome(
    processor_seconds,
    seconds,
    best['int8_test_accuracy'],
    best['int8_validation_accuracy'],
    f'{best["flash_bytes"]:,} B, {best["macs"] / 1e6:.2f} M MACs',
    None if None in epochs else sum(epochs),
  )


def command(
  name: str, workdir: pathlib.Path, version: pathlib.Path, arguments: Sequence[str]
) -> None:
  """Runs a command of a version. Raises ValueError with its last line if it fails."""
  call = [sys.executable, '-m', 'rlnas', name, f'--workdir={workdir}', *arguments]
  if FLAGS.workers is not None:
    call.append(f'--workers={FLAGS.workers}')
  environment = {**os.environ, 'PYTHONPATH': str(version)}
  done = subprocess.run(  # noqa: S603  the command is our own
    call, cwd=workdir.parent, env=environment, capture_output=True, text=True, check=False
  )
  if done.returncode:
    lines = (done.stderr or done.stdout).strip().splitlines()
    raise ValueError(f'{" ".join(call)}: {lines[-1] if lines else done.returncode}')


def _children_seconds() -> float:
  """Processor time of all child processes that have ended, with theirs."""
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  return used.ru_utime + used.ru_stime


def row(name: str, way: str, found: Outcome) -> str:
  """A row of the table."""
  cells = (
    *(name, way, f'{found.processor_seconds:.0f}', f'{found.seconds:.0f}', f'{found.test:.4f}'),
    *(f'{found.validation:.4f}', found.size, '–' if found.epochs is None else str(found.epochs)),
  )
  return f'| {" | ".join(cells)} |'


def summary(found: Mapping[str, Sequence[Outcome]]) -> str:
  """Means and deviations over the searches."""
  pairs = list(zip(found['now'], found['before'], strict=True))
  rows = {
    'processor time, now / before': [a.processor_seconds / b.processor_seconds for a, b in pairs],
    'clock, now / before': [a.seconds / b.seconds for a, b in pairs],
    'int8 test accuracy before': [b.test for _, b in pairs],
    'int8 test accuracy now': [a.test for a, _ in pairs],
    'difference': [a.test - b.test for a, b in pairs],
  }
  lines = []
  for name, values in rows.items():
    deviation = f' ± {statistics.stdev(values):.4f}' if len(values) > 1 else ''
    lines.append(f'{name:30} {statistics.mean(values):.4f}{deviation}  (n = {len(values)})')
  return '\n'.join(lines)


if __name__ == '__main__':
  run(main)
