"""`python -m rlnas` is the command `rlnas`."""

from rlnas.cli.main import main

if __name__ == '__main__':
  main()
