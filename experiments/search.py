"""Searches for a network for a microcontroller: the command `rlnas search` as a script."""

import sys

from rlnas.cli.main import run_command

if __name__ == '__main__':
  run_command('search', sys.argv[1:])
