"""`rlnas measure`: the memory that a .tflite file needs, and the boards that it fits.

The file may come from any tool. The command also writes a picture of the memory in use over the
operators, beside the file or to --out.
"""

from __future__ import annotations

import collections
import pathlib
from typing import TYPE_CHECKING

from absl import flags

from rlnas.board import BOARDS, Board, find_board
from rlnas.budget import Resources
from rlnas.cli.flags import show
from rlnas.cost.kernels import SPEEDS
from rlnas.data.atomic_file import write_file

if TYPE_CHECKING:
  from rlnas.tflite.inspection import ModelReport

USAGE = 'rlnas measure MODEL.tflite [--flag=value ...]'


def define_flags(flag_values: flags.FlagValues) -> None:
  """The flags of this command."""
  boards = ', '.join(BOARDS)
  flags.DEFINE_string(
    'board', None, f'One of {boards}, or a .json file; default: all.', flag_values=flag_values
  )
  flags.DEFINE_string(
    'out',
    None,
    'Path of the picture (.png, .svg); default: beside the model.',
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'constants',
    8,
    'Number of the largest constants to list.',
    lower_bound=0,
    flag_values=flag_values,
  )


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Measures the file, prints the results and draws the picture."""
  if len(arguments) != 2:
    raise ValueError(f'arguments: {arguments[1:]}: must be the path of one .tflite file')
  path = pathlib.Path(arguments[1])
  board, out = flag_values['board'].value, flag_values['out'].value
  boards = [find_board(board)] if board else list(BOARDS.values())
  from rlnas.tflite.inspection import DENSE_CHANNEL_SCALES_SINCE, measure

  report = measure(path)
  show(f'{path}\n')
  show_sizes(report, constants=flag_values['constants'].value)
  show_operators(report)
  show_boards(report, boards)
  if report.has_dense_channel_scales:
    show(
      f'TFLite Micro before {DENSE_CHANNEL_SCALES_SINCE} computes wrong results with this model or '
      'refuses it: its dense layers have a scale for each output.'
    )
  out = pathlib.Path(out) if out else path.with_suffix('.memory.png')
  plot(report, out, title=path.name)
  show(f'\n{out}')


def show_sizes(report: ModelReport, *, constants: int) -> None:
  """Prints the parts of the flash and of the tensor arena."""
  source = {'tflm': 'allocated by TFLite Micro', 'analytic': 'planned without TFLite Micro'}
  show(f'flash            {report.flash_bytes:>12,} B')
  show(f'  constants      {report.constant_bytes:>12,} B')
  for name, size in report.constants[:constants]:
    show(f'    {size:>12,} B  {name if len(name) < 64 else "…" + name[-62:]}')
  show(f'  quantization   {report.quantization_bytes:>12,} B  scales and zero points')
  show(f'  other          {report.overhead_bytes:>12,} B  operators, tensors, names, metadata')
  show(f'tensor arena     {report.sram_bytes:>12,} B  {source[report.sram_source]}')
  show(f'  head           {report.arena_head_bytes:>12,} B  activations and scratch')
  if extra := report.unassigned_bytes:
    show(f'    {extra:>12,} B  scratch of kernels that no operator below is charged with')
  show(f'  tail           {report.arena_tail_bytes:>12,} B  structures, with 64-bit pointers')
  show(f'MACs             {macs_text(report):>12}\n')


def macs_text(report: ModelReport) -> str:
  """Returns the number of MACs, or which operators keep it unknown."""
  if report.macs is not None:
    return f'{report.macs:,}'
  kinds = report.uncounted
  return f'unknown: {", ".join(kinds)} {"is" if len(kinds) == 1 else "are"} not counted'


def show_operators(report: ModelReport) -> None:
  """Prints each operator in order, and sums by kind."""
  show(f'{"":4}{"operator":30}{"result":>20}{"MACs":>14}{"constants B":>13}{"live B":>11}')
  for index, o in enumerate(report.operators):
    shape = 'x'.join(map(str, o.shape))
    peak = '  <- peak' if index in report.peak else ''
    runs = '' if o.step.runs == 1 else f' x {"?" if o.step.runs is None else o.step.runs}'
    name = '  ' * o.step.depth + o.kind + runs
    macs = '?' if o.macs is None else f'{o.macs:,}'
    sizes = f'{o.constant_bytes:>13,}{o.live_bytes:>11,}'
    show(f'{index:<4}{name:30}{shape:>20}{macs:>14}{sizes}{peak}')
  kinds = collections.Counter(o.kind for o in report.operators)
  show('')
  for kind, count in kinds.most_common():
    counted = [o.macs for o in report.operators if o.kind == kind]
    total = 'unknown' if None in counted else f'{sum(filter(None, counted)):,}'
    show(f'{count:4} x {kind:30}{total:>14} MACs')
  show('')


def show_boards(report: ModelReport, boards: list[Board]) -> None:
  """Prints for each board whether it fits, its arena and, if known, the time of an inference."""
  show(
    f'{"board":24}{"kernels":10}{"flash B":>20}{"head + tail B":>18}{"SRAM B":>20}{"ms":>17}  fits'
  )
  for board in boards:
    arena = report.chip_arena_bytes(board.kernels)
    head, tail = arena or (report.arena_head_bytes, report.arena_tail_bytes)
    budget = board.budget
    latency = '–'
    if (speed := SPEEDS.get(board.name)) and report.work is None:
      latency = 'unknown'
    elif speed and (work := report.work):
      latency = f'{speed.latency_ms(work):,.1f} ± {100 * speed.error_of(work):.0f} %'
    flash = f'{report.flash_bytes:,} of {budget.flash_bytes:,}'
    parts = f'{head:,} + {tail:,}{" " if arena else "*"}'
    sram = f'{head + tail:,} of {budget.sram_bytes:,}'
    fits = 'yes' if budget.fits(Resources(report.flash_bytes, head + tail)) else 'no'
    show(f'{board.name:24}{board.kernels:10}{flash:>20}{parts:>18}{sram:>20}{latency:>17}  {fits}')
  if any(board.kernels == 'unknown' for board in boards):
    show("* as measured on this machine; the needs of this chip's kernels are not known")


def plot(report: ModelReport, path: pathlib.Path, *, title: str) -> None:
  """Draws the bytes of the arena's head that are live while each operator runs."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  from rlnas.reports.rendering import encoded

  figure = Figure(figsize=(min(16, 4 + 0.22 * len(report.operators)), 4.5), layout='constrained')
  FigureCanvasAgg(figure)
  axes = figure.subplots()
  places = range(len(report.operators))
  colours = ['tab:red' if i in report.peak else 'tab:blue' for i in places]
  axes.bar(places, [o.live_bytes / 1024 for o in report.operators], color=colours)
  axes.axhline(report.arena_head_bytes / 1024, color='black', linewidth=0.8, linestyle='--')
  axes.text(
    0, report.arena_head_bytes / 1024, ' head of the arena', va='bottom', ha='left', fontsize=8
  )
  axes.set_ylabel('live activations and scratch, KiB')
  axes.set_title(f'{title}: memory over operators')
  axes.margins(y=0.12)
  if len(report.operators) <= 60:
    labels = [o.kind.replace('_', ' ').lower() for o in report.operators]
    axes.set_xticks(places, labels, rotation=90, fontsize=7)
  else:
    axes.set_xlabel('operator')
  write_file(path, encoded(figure, path.suffix or '.png', dpi=150))
