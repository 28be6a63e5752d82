"""Loads a .tflite file from standard input into TFLite Micro and prints what it allocated.

This is a separate program (`python -m rlnas.tflite.tflm_probe ARENA_BYTES`), because TFLite Micro
does not verify its input: a damaged file can end the process, which must not be the caller's. It
loads nothing else, since it is started for every file.
"""

from __future__ import annotations

import sys

MOST_MEMORY_BYTES = 4 * 2**30


def main() -> None:
  """Exits with code 0 if the model was loaded; otherwise the output contains the cause."""
  import resource

  from tflite_micro import runtime

  resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
  model = sys.stdin.buffer.read()
  try:
    runtime.Interpreter.from_bytes(model, arena_size=int(sys.argv[1])).print_allocations()
  except Exception as error:
    sys.exit(f'{type(error).__name__}: {error}')


if __name__ == '__main__':
  main()
