"""Compares what a controller proposes before and after the warm start with uniform networks.

  python experiments/benchmarks/benchmark_warm_start.py --spaces=chain,multibranch,nasnet \
    --out=runs/warm_start.png

Nothing is trained. The table shows the share of networks that may fit the budget, the entropy of
the policy, and the multiply-accumulates of the networks that fit, which the picture beside shows as
distributions: a warm start must not narrow a search to small networks. Uniform is the uniform
distribution over the space; of it, too, only the networks that fit enter the multiply-accumulates.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from absl import flags
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlnas.cli import choices
from rlnas.cli import flags as cli_flags
from rlnas.cli.build import Setup
from rlnas.cli.flags import OF_TIMED_SEARCH, check_positive, define_search_flags, read_setup
from rlnas.cli.guard import run
from rlnas.cost.cost import estimate_cost
from rlnas.data.atomic_file import write_file
from rlnas.reports.rendering import encoded
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.strategies.controller import Controller
from rlnas.strategies.warm_start import WarmStart, budget_value

FLAGS = flags.FLAGS
define_search_flags(without=(*OF_TIMED_SEARCH, 'space', 'space_option'))
flags.adopt_module_key_flags(cli_flags)
flags.DEFINE_list('spaces', ['chain'], f'Some of {", ".join(choices.SPACES)}.')
flags.DEFINE_list('steps', ['0', '100'], 'Numbers of steps of the warm start.')
flags.DEFINE_integer(
  'count', 2000, 'Number of networks that are drawn for each row; default: 2000.'
)
flags.DEFINE_integer('seed', 0, 'Seed of the networks and the controller; default: 0.')
flags.DEFINE_string('out', 'runs/warm_start.png', 'Where to write the picture.')

COLORS = ('0.45', 'tab:orange', 'tab:blue', 'tab:green', 'tab:purple')
Walks = Sequence[tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Drawn:
  """What some networks are.

  Attributes:
    name: where they were drawn from.
    fits: share that may fit the budget.
    entropy: entropy of the distribution that they were drawn from, in nats.
    log_macs: decimal logarithm of the multiply-accumulates of those that fit. [fitting]
    seconds: time of the warm start.
  """

  name: str
  fits: float
  entropy: float
  log_macs: npt.NDArray[np.float64]
  seconds: float

  def row(self, space: str) -> str:
    """The row of the table."""
    macs = f'{self.log_macs.mean():.2f} ± {self.log_macs.std():.2f}' if len(self.log_macs) else '–'
    cells = (
      space,
      self.name,
      f'{self.fits:.1%}',
      f'{self.entropy:.1f}',
      macs,
      f'{self.seconds:.1f}',
    )
    return f'| {" | ".join(cells)} |'


def described(setup: Setup, name: str, walks: Walks, entropy: float, seconds: float) -> Drawn:
  """Estimates the networks that walks lead to."""
  networks = [decode(setup.table.space, walk) for walk in walks]
  fitting = [network for network in networks if setup.admits(network)]
  macs = [estimate_cost(network, setup.dataset.task).macs for network in fitting]
  return Drawn(name, len(fitting) / len(networks), entropy, np.log10(np.maximum(macs, 1)), seconds)


def compare(setup: Setup, steps: Sequence[int]) -> Iterator[Drawn]:
  """Uniform networks, and those of a controller after some numbers of steps."""
  table, count = setup.table, FLAGS.count
  rng = np.random.default_rng(FLAGS.seed)
  uniform = [sample_uniform(table, rng) for _ in range(count)]
  yield described(setup, 'uniform', uniform, math.log(table.size), 0.0)
  for number in steps:
    controller = Controller(table, seed=FLAGS.seed)
    warm_start = WarmStart(
      table,
      controller=controller,
      value=budget_value(table, setup.penalty),
      steps=number,
      seed=FLAGS.seed,
    )
    started = time.perf_counter()
    warm_start.finish()
    seconds = time.perf_counter() - started
    sample = controller.sample(table, count, rng)
    name = 'untrained' if not number else f'{number} steps'
    yield described(setup, name, sample.sequences, float(sample.entropy.mean()), seconds)


def plot(results: dict[str, list[Drawn]], path: pathlib.Path) -> None:
  """Draws the distributions of the multiply-accumulates of the networks that fit."""
  figure = Figure(figsize=(4.2 * len(results), 3.2), layout='constrained')
  FigureCanvasAgg(figure)
  for axes, (space, rows) in zip(
    figure.subplots(1, len(results), squeeze=False)[0], results.items(), strict=True
  ):
    values = np.concatenate([row.log_macs for row in rows])
    bins = np.linspace(values.min(), values.max() + 1e-6, 25)
    for i, (row, color) in enumerate(zip(rows, COLORS, strict=False)):
      heights, edges = np.histogram(row.log_macs, bins, density=True)
      filled = row.name == 'uniform'
      axes.stairs(
        heights, edges, fill=filled, alpha=0.35 if filled else 1, color=color, linewidth=1.6
      )
      axes.text(
        0.02,
        0.97 - 0.08 * i,
        f'{row.name}: {row.fits:.0%} fit',
        color=color,
        fontsize=9,
        va='top',
        transform=axes.transAxes,
      )
    axes.set_title(space)
    axes.set_xlabel('multiply-accumulates of networks that fit, log10')
    axes.margins(y=0.45)
    axes.set_yticks([])
    axes.spines[['top', 'right', 'left']].set_visible(False)
  write_file(path, encoded(figure, '.png', dpi=130))


def main(arguments: list[str]) -> None:
  """Prints the table and draws the picture."""
  check_positive('count')
  if not all(step.isdecimal() for step in FLAGS.steps):
    raise ValueError(f'--steps={",".join(FLAGS.steps)}: must be whole numbers such as 0,100')
  for name in FLAGS.spaces:
    choices.choose('spaces', name, choices.SPACES)
  setup = read_setup(arguments)
  print('| space | networks | fit | entropy, nats | log10 MACs of those that fit | seconds |')
  print('|---|---|---|---|---|---|')
  results: dict[str, list[Drawn]] = {}
  for name in FLAGS.spaces:
    table = compile_table(choices.find('space', name)())
    results[name] = []
    for drawn in compare(dataclasses.replace(setup, table=table), list(map(int, FLAGS.steps))):
      results[name].append(drawn)
      print(drawn.row(name), flush=True)
  plot(results, pathlib.Path(FLAGS.out))


if __name__ == '__main__':
  run(main)
