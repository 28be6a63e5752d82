"""`rlnas boards`: lists the known boards and the memory that each has for a model.

With names or .json files it lists only those boards, with the sources of their figures.
"""

from __future__ import annotations

from absl import flags

from rlnas.board import BOARDS, Board, find_board
from rlnas.cli.flags import show
from rlnas.cost.firmware import DEFAULT_KINDS

USAGE = 'rlnas boards [NAME or FILE.json ...]'


def define_flags(flag_values: flags.FlagValues) -> None:
  """This command has no flags."""
  del flag_values


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Prints all boards, or only the named ones, with the sources of their figures."""
  del flag_values
  named = [find_board(name) for name in arguments[1:]]
  show(format_boards(named or list(BOARDS.values())))
  kinds = ', '.join(DEFAULT_KINDS)
  show(f'\nflash beside a runtime with {kinds}:\nan estimate; other operators take more or less')
  for board in named:
    show(
      f'\n{board.title}\n  source   {board.source}\n  builds   {", ".join(board.builds)}\n'
      f'  taken    {board.taken_flash_bytes():,} B flash by runtime and application'
    )


def format_boards(boards: list[Board]) -> str:
  """The boards as a table for a terminal; the last two columns are the budget of a model."""
  lines = [
    f'{"board":22}  {"core":11}  {"MHz":>4}  {"flash KiB":>9}  {"SRAM KiB":>8}  '
    f'{"budget: flash B":>15}  {"SRAM B":>8}'
  ]
  for b in boards:
    room = f'{b.room_bytes():,}' if b.room_bytes() else 'no room'
    lines.append(
      f'{b.name:22}  {b.core:11}  {b.clock_hz / 1e6:4.0f}  {b.flash_bytes // 1024:9,d}  '
      f'{b.sram_bytes // 1024:8,d}  {room:>15}  {max(0, b.sram_bytes - b.reserved_sram_bytes):8,d}'
    )
  return '\n'.join(lines)
