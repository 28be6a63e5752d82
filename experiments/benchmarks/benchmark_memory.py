"""Measures the memory of a long search: of this process and its workers, over many trials.

  python experiments/benchmarks/benchmark_memory.py --children=300

One pool trains networks of the chain space on MNIST images, each for one epoch, as in a search.
Prints how much this process has grown since the first trial, and the most memory that any worker
had (Linux only: /proc).
"""

from __future__ import annotations

import multiprocessing
import pathlib

import tqdm
from absl import flags
from random_networks import draw

from rlnas.cli.flags import check_positive
from rlnas.cli.guard import run
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.evaluation.executors import WorkerPool, default_workers
from rlnas.evaluation.trained import Trained

FLAGS = flags.FLAGS
flags.DEFINE_string('dataset', 'mnist5k', 'What the networks classify: images; default: mnist5k.')
flags.DEFINE_string('data_dir', None, 'Folder of IDX or binary files; default: downloads.')
flags.DEFINE_integer('children', 300, 'Number of trials; default: 300.')
flags.DEFINE_float('kib', 64, 'Most flash, and most SRAM, of a network, in KiB; default: 64.')
flags.DEFINE_integer('workers', None, 'Number of worker processes; default: one per core.')
flags.DEFINE_integer('seed', 0, 'Seed of networks and weights; default: 0.')


def megabytes(pid: int | str, field: str) -> float:
  """A field of /proc/<pid>/status, such as VmRSS (now) or VmHWM (the most so far); 0 if ended."""
  try:
    lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
  except (FileNotFoundError, ProcessLookupError):
    return 0.0
  return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


def main(arguments: list[str]) -> None:
  """Evaluates networks and reads the memory after each."""
  if len(arguments) > 1:
    raise ValueError(f'arguments: {arguments[1:]}: must all be flags')
  check_positive('children')
  check_positive('workers')
  data = loaders.as_images(loaders.load(FLAGS.dataset, data_dir=FLAGS.data_dir)).without_test()
  pool = WorkerPool(Trained(data, epochs=1), workers=FLAGS.workers or default_workers())
  count = 0
  for architecture in draw('chain', 50 * FLAGS.children, FLAGS.seed):
    needed = estimate_cost(architecture, data.task)
    if max(needed.flash_bytes, needed.sram_bytes) <= 1024 * FLAGS.kib and count < FLAGS.children:
      pool.submit(count, architecture, seed=FLAGS.seed)
      count += 1
  first, most, failed = 0.0, 0.0, 0
  workers: set[int | None] = set()
  for _ in tqdm.trange(count, unit='trial', dynamic_ncols=True):
    while (arrived := pool.collect(60.0)) is None:
      pass
    failed += arrived[1].int8_validation_accuracy is None
    first = first or megabytes('self', 'VmRSS')
    alive = [process.pid for process in multiprocessing.active_children()]
    workers.update(alive)
    most = max([most, *(megabytes(pid, 'VmHWM') for pid in alive if pid)])
  grown = megabytes('self', 'VmRSS') - first
  pool.close()
  print(
    f'{count} trials ({failed} failed), {len(workers)} worker processes: this process grew by '
    f'{grown:.0f} MB to {first + grown:.0f} MB; the largest worker had {most:.0f} MB'
  )


if __name__ == '__main__':
  run(main)
