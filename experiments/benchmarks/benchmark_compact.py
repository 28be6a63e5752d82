"""Measures how much flash and arena the packing and ordering save, over random networks.

  python experiments/benchmarks/benchmark_compact.py --count=100

Networks of all spaces with random weights are converted three times: by the documented route of
TensorFlow Lite (`TFLiteConverter.from_keras_model`), as `rlnas.tflite.quantize.convert` does it,
and packed. Flash is compared with the first, for packed files below --most_kib; arenas and outputs
on TFLite Micro with the second. The exit code is 1 if an output differs or an arena is larger.
Prints a table in Markdown.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
import time
from collections.abc import Sequence

import numpy as np
import pebble
import tqdm
from absl import app, flags
from random_networks import cases, draw, task_of

from rlnas.architecture import Architecture, TaskShape
from rlnas.backend import keras, quiet, tf
from rlnas.evaluation.executors import default_workers
from rlnas.evaluation.untrained import CALIBRATION_EXAMPLES, build_trained_looking, noise
from rlnas.evaluation.workers import CHILDREN_PER_WORKER
from rlnas.tflite.compact import agree, compact
from rlnas.tflite.footprint import ArenaOverflow, measure
from rlnas.tflite.quantize import Float32Array, convert
from rlnas.trial import derive_seed

FLAGS = flags.FLAGS
flags.DEFINE_integer('count', 100, 'Number of networks of each space.', lower_bound=1)
flags.DEFINE_integer('inputs', 50, 'Number of inputs on which outputs are compared.', lower_bound=1)
flags.DEFINE_float('most_kib', 32, 'Largest packed file whose flash is compared, in KiB.')
flags.DEFINE_list('spaces', list(cases()), 'Which to measure.')
flags.DEFINE_integer('seed', 0, 'Seed of networks, weights and inputs.')
flags.DEFINE_integer('workers', None, 'Number of processes; default: one per core.', lower_bound=1)

# Images are small, since TFLite Micro takes a second for a hundred inferences of 1 million MACs.
IMAGE, SEQUENCE = TaskShape((14, 14, 1), 10), TaskShape((49, 10), 10)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """Bytes of one network.

  Attributes:
    documented: file of the documented route; 0 if it fails or was not tried.
    converted: file before packing.
    packed: file after packing.
    head_before: head of the arena before the operators were ordered.
    head_after: head of the arena after that.
    same: whether all outputs are the same.
    seconds: time of packing, with its check.
  """

  documented: int
  converted: int
  packed: int
  head_before: int
  head_after: int
  same: bool
  seconds: float


def check(
  architecture: Architecture, task: TaskShape, inputs: int, most_bytes: float, seed: int
) -> Outcome | None:
  """Converts a network in three ways; None if its arena is too large for any chip."""
  model = build_trained_looking(architecture, task, seed=seed)
  calibration = noise(task.input_shape, CALIBRATION_EXAMPLES, seed)
  converted = convert(model, calibration)
  started = time.perf_counter()
  packed = compact(converted)
  seconds = time.perf_counter() - started
  try:
    before, after = measure(converted), measure(packed)
  except ArenaOverflow:
    return None
  return Outcome(
    documented=documented_bytes(model, calibration) if len(packed) < most_bytes else 0,
    converted=len(converted),
    packed=len(packed),
    head_before=before.arena_head_bytes,
    head_after=after.arena_head_bytes,
    same=agree(converted, packed, inputs=inputs),
    seconds=seconds,
  )


def documented_bytes(model: keras.Model, calibration: Float32Array) -> int:
  """Size of the file that the documented route makes; 0 if it makes none."""
  with quiet():
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([row[None]] for row in calibration)
    try:
      return len(converter.convert())
    except (RuntimeError, ValueError):
      return 0


def check_all(names: Sequence[str]) -> dict[str, list[Outcome]]:
  """All networks of all spaces, in worker processes."""
  with pebble.ProcessPool(
    max_workers=FLAGS.workers or default_workers(),
    max_tasks=CHILDREN_PER_WORKER,
    context=multiprocessing.get_context('spawn'),
  ) as pool:
    futures = {
      name: [
        pool.schedule(
          check,
          args=(
            network,
            task_of(name, image=IMAGE, sequence=SEQUENCE),
            FLAGS.inputs,
            1024 * FLAGS.most_kib,
            derive_seed(FLAGS.seed, name, i),
          ),
        )
        for i, network in enumerate(draw(name, FLAGS.count, FLAGS.seed))
      ]
      for name in names
    }
    with tqdm.tqdm(total=len(names) * FLAGS.count, unit='network', dynamic_ncols=True) as bar:
      results: dict[str, list[Outcome]] = {}
      for name in names:
        for future in futures[name]:
          outcome = future.result()
          results.setdefault(name, []).extend([outcome] if outcome else [])
          bar.update()
  return results


def table(results: dict[str, list[Outcome]]) -> str:
  """The report in Markdown."""
  rows = [
    '| space | networks | same outputs | small files | smaller by, mean (least) '
    '| head smaller | by, mean of those (most) | head larger | s a network |',
    '|---|---|---|---|---|---|---|---|---|',
  ]
  for name, outcomes in results.items():
    small = [1 - o.packed / o.documented for o in outcomes if o.documented]
    saved = [1 - o.head_after / o.head_before for o in outcomes if o.head_after < o.head_before]
    cells = [
      name,
      str(len(outcomes)),
      f'{np.mean([o.same for o in outcomes]):.1%}',
      str(len(small)),
      f'{np.mean(small):.1%} ({min(small):.1%})' if small else '–',
      f'{len(saved) / len(outcomes):.0%}',
      f'{np.mean(saved):.1%} ({max(saved):.1%})' if saved else '–',
      str(sum(o.head_after > o.head_before for o in outcomes)),
      f'{np.mean([o.seconds for o in outcomes]):.2f}',
    ]
    rows.append(f'| {" | ".join(cells)} |')
  return '\n'.join(rows)


def main(arguments: list[str]) -> None:
  """Runs, prints, and ends with exit code 1 if a network became worse."""
  if len(arguments) > 1:
    sys.exit(f'error: arguments {arguments[1:]} are not understood; all settings are flags')
  unknown = set(FLAGS.spaces) - set(cases())
  if unknown:
    sys.exit(f'error: --spaces={",".join(FLAGS.spaces)}: must be of {", ".join(cases())}')
  started = time.perf_counter()
  results = check_all(list(dict.fromkeys(FLAGS.spaces)))
  print(table(results))
  every = [o for outcomes in results.values() for o in outcomes]
  small = [1 - o.packed / o.documented for o in every if o.documented]
  if small:
    print(f'\n{len(small)} small files of all spaces: {np.mean(small):.1%} smaller on the mean')
  print(f'{time.perf_counter() - started:.0f} s')
  worse = [o for o in every if not o.same or o.head_after > o.head_before]
  sys.exit(1 if worse else 0)


if __name__ == '__main__':
  app.run(main)
