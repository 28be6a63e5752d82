"""The needs of a measured .tflite file on builds of TFLite Micro and on boards: tables, JSON."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlnas.board import Board
from rlnas.budget import Budget, Resources
from rlnas.cli.flags import show
from rlnas.cost.builds import BUILDS, find_build
from rlnas.cost.firmware import firmware_bytes
from rlnas.cost.instructions import Range
from rlnas.data.atomic_file import write_file

if TYPE_CHECKING:
  from rlnas.tflite.inspection import ModelReport


@dataclasses.dataclass(frozen=True)
class OnBuild:
  """The needs of the model with a build of TFLite Micro; a figure is None if it is unknown.

  Attributes:
    used_bytes: size of the tensor arena in use after loading.
    smallest_bytes: smallest arena that loads.
    firmware_bytes: flash of a firmware without the model, which registers kernels for all types.
    instructions: instructions of one inference.
  """

  used_bytes: int | None
  smallest_bytes: int | None
  firmware_bytes: int | None
  instructions: int | None


def on_build(report: ModelReport, name: str) -> OnBuild:
  """The needs of the model with the build of this name."""
  build = find_build(name)
  arena = report.arena(build) if build.scratch_is_known else None
  count = report.instructions(name)
  return OnBuild(
    None if arena is None else arena.used_bytes,
    None if arena is None else arena.smallest_bytes,
    firmware_bytes(report.kinds, name),
    None if count is None else round(count.middle),
  )


@dataclasses.dataclass(frozen=True)
class OnBoard:
  """The memory that a board leaves for a model, and whether it fits.

  Attributes:
    board: the board.
    room_bytes: flash that runtime and application leave; 0 if they leave none.
    sram_bytes: SRAM that the application leaves.
    smallest_bytes: smallest arena that loads on the board's default build.
    fits: whether the model fits.
    too_large: the first of the board's other builds with which its arena is too large; '' if none.
    latency_ms: time of one inference; None if it is unknown.
  """

  board: Board
  room_bytes: int
  sram_bytes: int
  smallest_bytes: int
  fits: bool
  too_large: str
  latency_ms: Range | None


def on_board(report: ModelReport, board: Board) -> OnBoard:
  """The memory that a board leaves for the model, and whether the model fits."""
  room = board.room_bytes(report.kinds, is_int8=report.is_int8)
  sram = max(0, board.sram_bytes - board.reserved_sram_bytes)
  needs = {name: report.arena(find_build(name)).smallest_bytes for name in board.builds}
  smallest = needs[board.builds[0]]
  too_large = next((name for name, size in needs.items() if size > sram >= smallest), '')
  fits = bool(room and sram) and Budget(room, sram).fits(Resources(report.flash_bytes, smallest))
  latency = None
  if board.speed is not None and report.workload is not None:
    latency = board.speed.latency(report.workload)
  return OnBoard(board, room, sram, smallest, fits, too_large, latency)


def write_report(report: ModelReport, boards: Sequence[Board], path: pathlib.Path) -> None:
  """Writes all figures to a JSON file; what is unknown is null. Raises OSError."""
  write_file(path, json.dumps(record_of(report, boards), indent=2) + '\n')


def record_of(report: ModelReport, boards: Sequence[Board]) -> Mapping[str, Any]:
  """The figures of a model on all builds and on some boards, as JSON holds them."""
  found = [on_board(report, board) for board in boards]
  return {
    'flash_bytes': report.flash_bytes,
    'macs': report.macs,
    'builds': {name: dataclasses.asdict(on_build(report, name)) for name in BUILDS},
    'boards': {
      on.board.name: {
        'build': on.board.builds[0],
        'fits': on.fits,
        'latency_ms': on.latency_ms and [on.latency_ms.low, on.latency_ms.high],
      }
      for on in found
    },
  }


def show_builds(report: ModelReport) -> None:
  """Prints what the model needs with every build of TFLite Micro."""
  show(f'{"build":18}{"arena: used B":>14}{"smallest B":>12}{"firmware B":>12}{"instructions":>16}')
  for name in BUILDS:
    on = on_build(report, name)
    cells = zip(dataclasses.astuple(on), (14, 12, 12, 16), strict=True)
    show(f'{name:18}' + ''.join(f'{_count(value):>{width}}' for value, width in cells))
  show('firmware: text and data beside the model, kernels for all types; –: not known\n')


def show_boards(report: ModelReport, boards: Sequence[Board]) -> None:
  """Prints for each board whether the model fits, and the time of an inference with its range."""
  show(f'{"board":22}{"flash left B":>13}{"arena B":>10}{"of B":>10}{"ms (range)":>31}  fits')
  found = [on_board(report, board) for board in boards]
  for on in found:
    board = on.board
    room = f'{on.room_bytes:,}' if on.room_bytes else 'no room'
    mark = ' ' if find_build(board.builds[0]).scratch_is_known else '*'
    latency = 'unknown' if on.latency_ms is None else str(on.latency_ms)
    show(
      f'{board.name:22}{room:>13}{on.smallest_bytes:>9,}{mark}{on.sram_bytes:>10,}'
      f'{latency:>31}  {"yes" if on.fits else "no"}'
      f'{f"; no: {on.too_large}" if on.fits and on.too_large else ""}'
    )
  if any(not on.room_bytes for on in found):
    show('no room: the runtime with these operators and the application take all of the flash')
  if any(on.fits and on.too_large for on in found):
    show('yes; no: the arena fits, but not that of another build that the board may have')
  if any(not find_build(board.builds[0]).scratch_is_known for board in boards):
    show("* without the scratch memory of this chip's kernels, which is not known")


def _count(value: int | None) -> str:
  return '–' if value is None else f'{value:,}'
