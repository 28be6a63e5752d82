"""A finished search by macro F1 on recordings of twenty people, in a CSV file."""

from __future__ import annotations

import csv
import dataclasses
import fcntl
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import rlnas
from tests.cli.command import within

FEATURES = ('ax', 'ay', 'az')
_ACTIVITIES = {'walk': 8, 'run': 4, 'fall': 2}  # windows of each person
_FLAGS = (
  *('--trials=2', '--batch=2', '--epochs=2', '--space_option=max_depth=1', '--strategy=random'),
  *('--sram_kib=20', '--finish_epochs=3', '--finish_top=2', '--finish_shift=0'),
  *('--executor=inprocess', '--window=16', '--hop=16', '--metric=macro_f1'),
)


@dataclasses.dataclass(frozen=True)
class Moves:
  """The search.

  Attributes:
    workdir: its folder.
    shown: what its command showed.
    best: its winner in result.json.
    data: its data.
  """

  workdir: pathlib.Path
  shown: str
  best: dict[str, Any]
  data: rlnas.Dataset


def search_of_moves(folder: pathlib.Path) -> Moves:
  """The search in a folder that all processes of the tests share; the first one runs it."""
  path, workdir, record = folder / 'moves.csv', folder / 'search', folder / 'shown.txt'
  folder.mkdir(exist_ok=True)
  with (folder / 'lock').open('w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not record.exists():
      rng = np.random.default_rng(0)
      windows = [
        (f'person {person}', kind, _window(rng, kind))
        for person in range(20)
        for kind, count in _ACTIVITIES.items()
        for _ in range(count)
      ]
      write_recordings(path, windows)
      shown = within('search', *_FLAGS, f'--dataset={path}', f'--workdir={workdir}')
      record.write_text(shown.stdout)
  best = json.loads((workdir / 'result.json').read_text())['best']
  config = rlnas.read_config(workdir)
  data = rlnas.data.as_images(rlnas.data.load(str(path), **config.reading()))
  return Moves(workdir, record.read_text(), best, data)


def _window(rng: np.random.Generator, kind: str) -> np.ndarray:
  """16 rows of three features that differ in range."""
  x = rng.normal(size=(16, 3))
  x[:, 0] += 1.2 * (kind == 'run') * np.sin(np.arange(16))
  x[4:8, 1] += 2.5 * (kind == 'fall')
  return x * (1, 100, 0.1) + (0, 0, 9.81)


def write_recordings(
  path: pathlib.Path,
  windows: Iterable[tuple[str, str, np.ndarray]],
  *,
  features: Sequence[str] = FEATURES,
) -> pathlib.Path:
  """Writes windows, given as person, activity and values [16, 3], one after the other."""
  with path.open('w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(['activity', *features, 'person'])
    for person, activity, values in windows:
      columns = dict(zip(FEATURES, values.T.tolist(), strict=True))
      rows = zip(*(columns.get(name, [0.5] * 16) for name in features), strict=True)
      writer.writerows([activity, *row, person] for row in rows)
  return path
