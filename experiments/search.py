"""Searches a network for a microcontroller: the same as the command `rlnas search`."""

from rlnas.cli.guard import run
from rlnas.cli.search import main

if __name__ == '__main__':
  run(main)
