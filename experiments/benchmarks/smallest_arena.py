"""Searches for the smallest arena that loads on this machine, and compares it with the prediction.

  python experiments/benchmarks/smallest_arena.py --count=10

Networks of all spaces, drawn uniformly, are converted with random weights. Each is loaded into
TFLite Micro with arenas of different sizes, by bisection in steps of 16 bytes. Prints a Markdown
table: how far the prediction is above the smallest arena that loads. It must never be below.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence

from absl import app, flags
from random_networks import cases, draw, task_of

from rlnas.architecture import TaskShape

STEP_BYTES = 16  # MicroArenaBufferAlignment()
IMAGES = (TaskShape((28, 28, 1), 10), TaskShape((12, 20, 3), 5), TaskShape((8, 8, 2), 40))
SEQUENCES = (TaskShape((49, 10), 12), TaskShape((60, 7), 3))

FLAGS = flags.FLAGS
flags.DEFINE_integer('count', 10, 'Number of networks of each space.', lower_bound=1)
flags.DEFINE_list('spaces', list(cases()), 'Whose networks to load.')
flags.DEFINE_integer('seed', 0, 'Seed of networks and weights.')

# Too small an arena may end the process, so each size is tried in a fork.
_PROBE = """
import os, sys
from tflite_micro import runtime

least, most, step = map(int, sys.stdin.buffer.readline().split())
model = sys.stdin.buffer.read()


def loads(size):
  child = os.fork()
  if child == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    try:
      runtime.Interpreter.from_bytes(model, arena_size=size)
    except BaseException:
      os._exit(1)
    os._exit(0)
  return os.waitpid(child, 0)[1] == 0


low, high = least // step, -(-most // step)
while low < high:
  middle = (low + high) // 2
  low, high = (low, middle) if loads(step * middle) else (middle + 1, high)
print(step * low if loads(step * low) else -1)
"""


def smallest_arena(model: bytes, *, least: int, most: int) -> int:
  """Returns the size in bytes of the smallest arena in which TFLite Micro loads a model here.

  Args:
    model: the .tflite file.
    least: a size in bytes that is too small.
    most: a size in bytes that is large enough.

  Raises:
    ValueError: not even `most` bytes are enough.
    subprocess.CalledProcessError: TFLite Micro is not installed.
  """
  done = subprocess.run(  # noqa: S603 (the program is a constant)
    [sys.executable, '-c', _PROBE],
    input=f'{least} {most} {STEP_BYTES}\n'.encode() + model,
    capture_output=True,
    check=True,
    env={**os.environ, 'PYTHONPATH': ''},
  )
  found = int(done.stdout)
  if found < 0:
    raise ValueError(f'most={most}: the model does not load')
  return found


def main(argv: Sequence[str]) -> None:
  """Loads the networks and prints the table."""
  del argv
  from rlnas.evaluation.untrained import convert_untrained
  from rlnas.tflite.footprint import measure

  unknown = set(FLAGS.spaces) - set(cases())
  if unknown:
    sys.exit(f'error: --spaces={",".join(unknown)}: must be among {", ".join(cases())}')
  print('| space | networks | prediction above the smallest arena, B: least | most |')
  print('|---|---|---|---|')
  for case in FLAGS.spaces:
    above = []
    tasks = zip(itertools.cycle(IMAGES), itertools.cycle(SEQUENCES), strict=False)
    for index, network in enumerate(draw(case, FLAGS.count, FLAGS.seed)):
      image, sequence = next(tasks)
      task = task_of(case, image=image, sequence=sequence)
      model = convert_untrained(network, task, seed=index)
      predicted = measure(model).sram_bytes
      found = smallest_arena(model, least=0, most=2 * predicted)
      above.append(predicted - found)
    print(f'| {case} | {len(above)} | {min(above)} | {max(above)} |', flush=True)


if __name__ == '__main__':
  app.run(main)
