"""Times the stages of a whole `rlnas search` on a machine where nothing is compiled yet.

  python experiments/benchmarks/benchmark_start.py --seeds=0,1,2 --search_flag=--trials=60

Each search has a folder of its own for machine code, which is empty at first (`--compiled` shares
one, so that only the first search compiles). For each stage the table shows the seconds since the
start of the command, and the processor time that the command and all processes below it have taken
by then. The command is the real one; it is watched from outside:

- compiled: the machine code of the estimate is complete;
- first trial begins: the earliest time at which a trial arrived in the journal, less its duration;
- first result, last result: the arrival of these trials in the journal;
- finished: result.json is written;
- end: the command ended, with its reports.

Needs Linux, whose /proc tells of processes. Other jobs on the machine make all figures larger.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from absl import flags

from rlnas.cli.guard import run

FLAGS = flags.FLAGS
flags.DEFINE_list('seeds', ['0'], 'Seeds of the searches, one search each; default: 0.')
flags.DEFINE_multi_string(
  'search_flag', [], 'A flag of the searches, as --search_flag=--prefer=accuracy.'
)
flags.DEFINE_bool('compiled', False, 'Whether all searches share machine code; default: no.')

STAGES = (*('compiled', 'first trial begins', 'first result', 'last result', 'finished', 'end'),)
_LOOK_SECONDS = 0.05


@dataclasses.dataclass
class Stages:
  """When each stage was reached, in seconds since the start: by the clock, and processor time."""

  wall: dict[str, float] = dataclasses.field(default_factory=dict)
  processor: dict[str, float] = dataclasses.field(default_factory=dict)
  accuracy: float = float('nan')

  def reach(self, stage: str, wall: float, processor: float) -> None:
    """Notes a stage, the first time that it is reached."""
    self.wall.setdefault(stage, wall)
    self.processor.setdefault(stage, processor)


class ProcessorTime:
  """Adds up the processor time of a process and all below it, also of those that have ended."""

  def __init__(self, process: int) -> None:
    self._known = {process}
    self._taken: dict[tuple[int, str], float] = {}  # by id and start, since ids are used again
    self._tick = os.sysconf('SC_CLK_TCK')

  def look(self) -> float:
    """Returns the sum in seconds, without what an ended process took since the last look."""
    found = {}
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
      try:
        fields = path.read_text().rpartition(')')[2].split()
      except (FileNotFoundError, ProcessLookupError):
        continue
      found[int(path.parent.name)] = fields
    grown = True
    while grown:
      below = {p for p, f in found.items() if int(f[1]) in self._known} - self._known
      self._known |= below
      grown = bool(below)
    for process in self._known & found.keys():
      fields = found[process]
      taken = (int(fields[11]) + int(fields[12])) / self._tick
      self._taken[process, fields[19]] = taken
    return sum(self._taken.values())


def watch(command: Sequence[str], workdir: pathlib.Path, cache: pathlib.Path) -> Stages:
  """Runs a search and notes its stages.

  Raises:
    ValueError: the command fails.
  """
  stages, seen, began = Stages(), 0, float('inf')
  with tempfile.TemporaryFile() as errors:
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603  our own command
      command,
      env=os.environ | {'NUMBA_CACHE_DIR': str(cache)},
      stdout=subprocess.DEVNULL,
      stderr=errors,
    )
    clock = ProcessorTime(process.pid)
    while process.poll() is None:
      time.sleep(_LOOK_SECONDS)
      now, taken = time.perf_counter() - started, clock.look()
      if any(cache.glob('numba-*/complete')):
        stages.reach('compiled', now, taken)
      durations = arrived(workdir)
      for seconds in durations[seen:]:
        began = min(began, now - seconds)
        stages.reach('first result', now, taken)
        stages.wall['last result'], stages.processor['last result'] = now, taken
      seen = max(seen, len(durations))
      if (workdir / 'result.json').exists():
        stages.reach('finished', now, taken)
      stages.reach('end', now, taken)
      stages.wall['end'], stages.processor['end'] = now, taken
    errors.seek(0)
    if process.returncode:
      raise ValueError(f'{" ".join(command)}: {errors.read().decode(errors="replace").strip()}')
  stages.wall['first trial begins'] = began
  result = json.loads((workdir / 'result.json').read_text())
  stages.accuracy = result['best']['int8_test_accuracy']
  return stages


def arrived(workdir: pathlib.Path) -> list[float]:
  """The durations of the trials that are in the journal or wait beside it; new ones at the end."""
  found: dict[int, float] = {}
  for name in ('journal.jsonl', 'journal.jsonl.ahead'):
    try:
      lines = (workdir / name).read_text().splitlines()
    except FileNotFoundError:
      continue
    for line in lines[1:]:
      try:
        record = json.loads(line)
        found.setdefault(record['index'], record['measurement']['seconds'])
      except ValueError:
        continue  # half a line
  return list(found.values())


def table(seeds: Sequence[str], found: Sequence[Stages]) -> str:
  """A row for each stage: seconds, and seconds of processor time in brackets."""
  lines = [
    '| stage | ' + ' | '.join(f'seed {seed}' for seed in seeds) + ' |',
    '|---|' + '---|' * len(seeds),
  ]
  for stage in STAGES:
    cells = []
    for stages in found:
      wall, processor = stages.wall.get(stage), stages.processor.get(stage)
      cell = '–' if wall is None else f'{wall:.1f}'
      cells.append(cell if processor is None else f'{cell} ({processor:.1f})')
    lines.append(f'| {stage} | ' + ' | '.join(cells) + ' |')
  accuracies = ' | '.join(f'{stages.accuracy:.4f}' for stages in found)
  return '\n'.join([*lines, f'| int8 test accuracy | {accuracies} |'])


def main(arguments: list[str]) -> None:
  """Runs a search for each seed and prints the table."""
  if len(arguments) > 1:
    raise ValueError(f'arguments: {arguments[1:]}: must all be flags')
  if not FLAGS.seeds or not all(seed.isdecimal() for seed in FLAGS.seeds):
    raise ValueError(f'--seeds={",".join(FLAGS.seeds)}: must be whole numbers such as 0,1,2')
  found = []
  with tempfile.TemporaryDirectory() as folder:
    for seed in FLAGS.seeds:
      place = pathlib.Path(folder, seed)
      place.mkdir()
      command = [
        *(sys.executable, '-m', 'rlnas', 'search', f'--seed={seed}'),
        *(f'--workdir={place / "run"}', *FLAGS.search_flag),
      ]
      cache = pathlib.Path(folder, 'compiled') if FLAGS.compiled else place / 'compiled'
      cache.mkdir(exist_ok=True)
      found.append(watch(command, place / 'run', cache))
  print(table(FLAGS.seeds, found))


if __name__ == '__main__':
  run(main)
