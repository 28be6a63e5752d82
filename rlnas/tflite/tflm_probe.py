"""Loads a .tflite file from the standard input into TFLite Micro and prints what it allocated.

A program of its own (`python -m rlnas.tflite.tflm_probe`), because TFLite Micro does not verify
what it reads: a damaged file can end its process, which should not be the caller's.
"""

from __future__ import annotations

import sys

from rlnas.cost.arena_head import ROOMY_ARENA_BYTES

MOST_MEMORY_BYTES = 4 * 2**30


def main() -> None:
  """Ends with exit code 0 where the model was loaded; the cause stands in the output otherwise."""
  import resource

  from tflite_micro import runtime

  resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
  model = sys.stdin.buffer.read()
  try:
    runtime.Interpreter.from_bytes(model, arena_size=ROOMY_ARENA_BYTES).print_allocations()
  except (RuntimeError, ValueError, MemoryError, AttributeError) as error:
    sys.exit(f'{type(error).__name__}: {error}')


if __name__ == '__main__':
  main()
