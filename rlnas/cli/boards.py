"""`rlnas boards`: lists the known boards and the memory that each has for a model."""

from __future__ import annotations

from absl import flags

from rlnas.board import BOARDS, Board, find_board
from rlnas.cli.flags import show

USAGE = 'rlnas boards [NAME or FILE.json ...]'


def define_flags(flag_values: flags.FlagValues) -> None:
  """This command has no flags."""
  del flag_values


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Prints all boards, or only the named ones, with the sources of their figures."""
  del flag_values
  named = [find_board(name) for name in arguments[1:]]
  show(format_boards(named or list(BOARDS.values())))
  for board in named:
    show(f'\n{board.title}\n  source   {board.source}\n  builds   {", ".join(board.builds)}')


def format_boards(boards: list[Board]) -> str:
  """The boards as a table for a terminal, sizes in KiB."""
  lines = [
    f'{"board":22}  {"core":11}  {"MHz":>4}  {"flash KiB":>9}  {"SRAM KiB":>8}  '
    f'{"budget: flash B":>15}  {"SRAM B":>8}'
  ]
  lines += [
    f'{b.name:22}  {b.core:11}  {b.clock_hz / 1e6:4.0f}  {b.flash_bytes // 1024:9,d}  '
    f'{b.sram_bytes // 1024:8,d}  {b.budget.flash_bytes:15,d}  {b.budget.sram_bytes:8,d}'
    for b in boards
  ]
  return '\n'.join(lines)
