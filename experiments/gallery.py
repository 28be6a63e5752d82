"""Draws the pictures of README.md from a search that is kept in experiments/gallery/.

  python experiments/gallery.py

Nothing is trained: the folder has the journal and the result of `rlnas search` with its defaults,
and `rlnas report` reads it, too. The other pictures in docs/images/ are drawn by the commands
beside them in docs/results.md.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags

from rlnas.cli.config_file import read_config
from rlnas.cli.flags import no_arguments
from rlnas.cli.guard import run
from rlnas.cli.results import read_result
from rlnas.cli.workdir import budget_of
from rlnas.data import loaders
from rlnas.data.atomic_file import write_files
from rlnas.reports.graph_drawing import drawings
from rlnas.reports.model_figures import style, svg
from rlnas.reports.pareto_figure import memory_costs, pareto_figure
from rlnas.reports.search_figures import course
from rlnas.reward import is_feasible
from rlnas.search.journal import read_journal

ROOT = pathlib.Path(__file__).parents[1]
WINDOW = 20  # networks of the moving mean
FLAGS = flags.FLAGS
flags.DEFINE_string('search', str(ROOT / 'experiments' / 'gallery'), 'Folder of a finished search.')
flags.DEFINE_string('out', str(ROOT / 'docs' / 'images'), 'Folder to write the pictures to.')


def main(arguments: list[str]) -> None:
  """Writes the pictures and prints their paths."""
  no_arguments(arguments)
  pictures = draw(pathlib.Path(FLAGS.search))
  out = pathlib.Path(FLAGS.out)
  write_files({out / name: content for name, content in pictures.items()})
  print('\n'.join(str(out / name) for name in pictures))


def draw(workdir: pathlib.Path) -> dict[str, bytes]:
  """The content of each picture by the name of its file.

  Args:
    workdir: folder with the journal and the result of a search on embedded data.

  Raises:
    OSError: a file cannot be read.
    ValueError: a file is damaged.
  """
  configuration, trials = read_journal(workdir / 'journal.jsonl')
  budget, winner = budget_of(configuration), read_result(workdir, trials).finalist(1)
  rewarded = [(t.index, t.reward, is_feasible(t.measurement, budget)) for t in trials]
  known = [(index, reward, fits) for index, reward, fits in rewarded if reward is not None]
  indices, rewards, fit = zip(*known, strict=True)
  curve = course(
    *(indices, rewards, fit),
    ylabel='reward',
    mean=mean_of_fitting(rewards, fit),
    mean_name=f'mean of {WINDOW} that fit',
  )
  with style():
    sram = memory_costs(budget)[1:]
    front = svg(pareto_figure(trials, budget, winner=trials[winner.candidate.trial], costs=sram))
  data = loaders.load(str(read_config(workdir).dataset))
  network = drawings(winner.candidate.architecture, ['.svg'], task=data.task)[0]
  return {'rewards.svg': curve.encode(), 'front.svg': front.encode(), 'network.svg': network}


def mean_of_fitting(rewards: Sequence[float], fit: Sequence[bool]) -> list[float]:
  """At each trial the mean reward of the last `WINDOW` networks that fit; 0 before the first."""
  means, fitting = [], list[float]()
  for reward, fits in zip(rewards, fit, strict=True):
    fitting += [reward] if fits else []
    recent = fitting[-WINDOW:]
    means.append(sum(recent) / max(len(recent), 1))
  return means


if __name__ == '__main__':
  run(main)
