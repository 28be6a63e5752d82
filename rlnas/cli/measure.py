"""`rlnas measure`: reports the memory that a .tflite file needs, and the boards that it fits.

The file may come from any tool. --json writes the figures of all builds of TFLite Micro and of the
boards; what is unknown is null. The command also writes a picture of the memory in use over the
operators, beside the file or to --out.
"""

from __future__ import annotations

import collections
import os
import pathlib
from typing import TYPE_CHECKING

from absl import flags

from rlnas.board import BOARDS, find_board
from rlnas.cli.chips import show_boards, show_builds, write_report
from rlnas.cli.flags import show
from rlnas.cli.loading import load_tensorflow
from rlnas.cli.text_tables import aligned
from rlnas.data.atomic_file import write_file

if TYPE_CHECKING:
  from rlnas.tflite.inspection import ModelReport

USAGE = 'rlnas measure MODEL.tflite [--flag=value ...]'


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of this command."""
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
  flags.DEFINE_string(
    'json', None, 'Also writes all figures to this JSON file.', flag_values=flag_values
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
  path = pathlib.Path(os.path.expanduser(arguments[1]))
  board, out = flag_values['board'].value, flag_values['out'].value
  boards = [find_board(board)] if board else list(BOARDS.values())
  load_tensorflow()
  from rlnas.tflite.inspection import DENSE_CHANNEL_SCALES_SINCE, measure

  try:
    report = measure(path)
  except ValueError as error:
    raise ValueError(f'{path}: {str(error).removeprefix(f"{path}: ")}') from error
  show(f'{path}\n')
  show_sizes(report, constants=flag_values['constants'].value)
  show_operators(report)
  show_builds(report)
  show_boards(report, boards)
  if report.has_dense_channel_scales:
    show(
      f'TFLite Micro before {DENSE_CHANNEL_SCALES_SINCE} computes wrong results with this model or '
      'refuses it: its dense layers have a scale for each output.'
    )
  if path_of_json := flag_values['json'].value:
    write_report(report, boards, pathlib.Path(os.path.expanduser(path_of_json)))
  out = pathlib.Path(os.path.expanduser(out)) if out else path.with_suffix('.memory.png')
  plot(report, out, title=path.name)
  show(f'\n{out}')


def show_sizes(report: ModelReport, *, constants: int) -> None:
  """Prints the parts of the flash and of the tensor arena."""
  is_planned = report.sram_source == 'analytic'
  source = 'planned without TFLite Micro' if is_planned else 'allocated by TFLite Micro'
  show(f'flash            {report.flash_bytes:>12,} B')
  show(f'  constants      {report.constant_bytes:>12,} B')
  for name, size in report.constants[:constants]:
    show(f'    {size:>12,} B  {name if len(name) < 64 else "…" + name[-62:]}')
  show(f'  quantization   {report.quantization_bytes:>12,} B  scales and zero points')
  show(f'  other          {report.overhead_bytes:>12,} B  operators, tensors, names, metadata')
  host = report.arena()
  show(f'tensor arena     {host.smallest_bytes:>12,} B  smallest that loads here, {source}')
  show(f'  in use         {host.used_bytes:>12,} B  once it is loaded')
  show(f'  head           {host.head_bytes:>12,} B  activations and scratch')
  if extra := report.unassigned_bytes:
    show(f'    {extra:>12,} B  scratch memory that is not part of an operator below')
  show(f'  tail           {host.tail_bytes:>12,} B  structures, with 64-bit pointers')
  show(f'MACs             {macs_text(report):>12}')
  show('')


def macs_text(report: ModelReport) -> str:
  """Returns the number of MACs, or which operators keep it unknown."""
  if report.macs is not None:
    return f'{report.macs:,}'
  kinds = report.uncounted
  return f'unknown: {", ".join(kinds)} {"is" if len(kinds) == 1 else "are"} not counted'


def show_operators(report: ModelReport) -> None:
  """Prints each operator in order, and sums by kind."""
  rows: list[tuple[str, ...]] = [('', 'operator', 'result', 'MACs', 'constants B', 'live B', '')]
  for index, o in enumerate(report.operators):
    runs = '' if o.step.runs == 1 else f' x {"?" if o.step.runs is None else o.step.runs}'
    rows.append(
      (
        str(index),
        '  ' * o.step.depth + o.kind + runs,
        'x'.join(map(str, o.shape)) or '–',
        '?' if o.macs is None else f'{o.macs:,}',
        f'{o.constant_bytes:,}',
        f'{o.live_bytes:,}',
        '<- peak' if index in report.peak else '',
      )
    )
  show(aligned(rows))
  show('')
  rows = [('', 'operators by kind', 'number', 'runs', 'MACs')]
  for kind, number in collections.Counter(o.kind for o in report.operators).most_common():
    runs, macs = (
      '?' if None in values else f'{sum(filter(None, values)):,}'
      for values in zip(
        *((o.step.runs, o.macs) for o in report.operators if o.kind == kind), strict=True
      )
    )
    rows.append(('', kind, str(number), runs, macs))
  show(aligned(rows))
  show('')


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
