"""Checks that every network of every space can be built, converted to int8, and run.

  python experiments/benchmarks/benchmark_spaces.py --count=200
  python experiments/benchmarks/benchmark_spaces.py --count=20 --image=1,7,3 --sequence=49,1 \
    --classes=2

Networks are drawn uniformly, given random weights (biases and statistics of batch normalisation
too), quantized, and run both on TensorFlow Lite's builtin kernels and on TFLite Micro. Prints a
table; the exit code is 1 if any network fails. "ran" includes the networks whose tensor arena would
be larger than that of any microcontroller: they are rejected with an error, not by a crash.

"differs" is the greatest difference of the two runtimes, in int8 units of the output, over the
networks and their inputs. If it is above 1, the table names the operators that caused it: those
that give different results for equal inputs, with the greatest difference.
"""

from __future__ import annotations

import collections
import dataclasses
import multiprocessing
import statistics
import sys
import time
import traceback
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pebble
import tqdm
from absl import app, flags
from random_networks import cases, draw, task_of

from rlnas.architecture import Architecture, TaskShape
from rlnas.backend import quiet, tf
from rlnas.cost.cost import estimate_cost
from rlnas.data.scaling import UNSCALED
from rlnas.evaluation.executors import default_workers
from rlnas.evaluation.untrained import CALIBRATION_EXAMPLES, build_trained_looking, noise
from rlnas.evaluation.workers import CHILDREN_PER_WORKER
from rlnas.tflite.footprint import MAX_ARENA_BYTES, ArenaOverflow, measure
from rlnas.tflite.inference import int8_logits, tflm_logits
from rlnas.tflite.quantize import quantize
from rlnas.trial import derive_seed

INPUTS = 20  # on which the two runtimes are compared

FLAGS = flags.FLAGS
flags.DEFINE_integer('count', 200, 'Number of networks of each space.', lower_bound=1)
flags.DEFINE_list('image', ['28', '28', '1'], 'Height, width and channels of an image.')
flags.DEFINE_list('sequence', ['49', '10'], 'Length and features of a sequence.')
flags.DEFINE_integer('classes', 10, 'Number of classes.', lower_bound=2)
flags.DEFINE_list('spaces', list(cases()), 'Which to check.')
flags.DEFINE_integer('seed', 0, 'Seed of networks, weights and inputs.')
flags.DEFINE_integer('workers', None, 'Number of processes; default: one per core.', lower_bound=1)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The stages that a network passed.

  Attributes:
    built: whether it could be built.
    converted: whether its file has no float tensors.
    ran: whether it ran in TFLite Micro, or needs too large an arena.
    feasible: whether it ran.
    flash_bytes: size of the file; 0 if there is none, as for the following.
    arena_bytes: size of the tensor arena.
    macs: multiply-accumulate operations.
    difference: greatest difference of the runtimes, in units of the int8 output.
    causes: (operator, greatest difference for equal inputs).
    seconds: wall time, from building to running.
    error: traceback of the error, or ''.
  """

  built: bool = False
  converted: bool = False
  ran: bool = False
  feasible: bool = False
  flash_bytes: int = 0
  arena_bytes: int = 0
  macs: int = 0
  difference: int = 0
  causes: tuple[tuple[str, int], ...] = ()
  seconds: float = 0.0
  error: str = ''


def check(architecture: Architecture, task: TaskShape, seed: int) -> Outcome:
  """Takes one network through all stages; never raises."""
  started = time.perf_counter()
  outcome = Outcome()
  try:
    model = build_trained_looking(architecture, task, seed=seed)
    macs = estimate_cost(architecture, task).macs
    outcome = dataclasses.replace(outcome, built=True, macs=macs)
    converted = quantize(model, noise(task.input_shape, CALIBRATION_EXAMPLES, seed))
    outcome = dataclasses.replace(outcome, converted=True, flash_bytes=len(converted))
    outcome = run(converted, noise(task.input_shape, INPUTS, seed + 1), outcome)
  except Exception:  # to be reported with the others
    outcome = dataclasses.replace(outcome, error=traceback.format_exc())
  return dataclasses.replace(outcome, seconds=time.perf_counter() - started)


def run(model: bytes, x: npt.NDArray[np.float32], outcome: Outcome) -> Outcome:
  """Measures a converted network and compares the runtimes on `x` [N, ...]."""
  try:
    footprint = measure(model)
  except ArenaOverflow:
    return dataclasses.replace(outcome, ran=True)
  builtin = int8_logits(model, x, scaling=UNSCALED).astype(int)  # [N, classes]
  micro = tflm_logits(model, x, scaling=UNSCALED)
  difference = int(np.abs(builtin - micro).max())
  return dataclasses.replace(
    outcome,
    ran=True,
    feasible=True,
    arena_bytes=footprint.sram_bytes,
    difference=difference,
    causes=operator_differences(model, x) if difference > 1 else (),
  )


def operator_differences(model: bytes, x: npt.NDArray[np.float32]) -> tuple[tuple[str, int], ...]:
  """Operators that give different results for equal inputs in the two runtimes, worst first."""
  from tflite_micro import runtime

  worst: collections.Counter[str] = collections.Counter()
  with quiet():
    lite = tf.lite.Interpreter(
      model_content=model,
      experimental_preserve_all_tensors=True,
      experimental_op_resolver_type=(
        tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
      ),
    )
    lite.allocate_tensors()
    micro = runtime.Interpreter.from_bytes(
      model,
      arena_size=16 * MAX_ARENA_BYTES,
      intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,  # its authors' spelling
    )
    source = lite.get_input_details()[0]
    step, zero_point = source['quantization']
    for row in x:
      pixels = np.clip(np.rint(row / step + zero_point), -128, 127).astype(np.int8)[None]
      lite.set_tensor(source['index'], pixels)
      lite.invoke()
      micro.set_input(pixels, 0)
      micro.invoke()
      gaps = {source['index']: 0}  # of every tensor that an operator wrote
      for operator in lite._get_ops_details():
        target = int(operator['outputs'][0])
        found = micro.GetTensor(target, 0)['tensor_data'].astype(int)
        gaps[target] = int(np.abs(found - lite.get_tensor(target)).max())
        if not any(gaps.get(int(i), 0) for i in operator['inputs']):
          worst[operator['op_name']] = max(worst[operator['op_name']], gaps[target])
  return tuple((name, gap) for name, gap in worst.most_common() if gap)


def check_all(
  names: Sequence[str], image: TaskShape, sequence: TaskShape
) -> dict[str, list[Outcome]]:
  """Checks all networks of all spaces in worker processes; a crash ends only one of them."""
  workers = FLAGS.workers or default_workers()
  with pebble.ProcessPool(
    max_workers=workers,
    max_tasks=CHILDREN_PER_WORKER,
    context=multiprocessing.get_context('spawn'),
  ) as pool:
    futures = {
      name: [
        pool.schedule(
          check,
          args=(
            architecture,
            task_of(name, image=image, sequence=sequence),
            derive_seed(FLAGS.seed, name, i) % 2**31,
          ),
        )
        for i, architecture in enumerate(draw(name, FLAGS.count, FLAGS.seed))
      ]
      for name in names
    }
    with tqdm.tqdm(total=len(names) * FLAGS.count, unit='network', dynamic_ncols=True) as bar:

      def outcome(future: pebble.ProcessFuture) -> Outcome:
        result = outcome_of(future)
        bar.update()
        return result

      return {name: [outcome(future) for future in futures[name]] for name in names}


def outcome_of(future: pebble.ProcessFuture) -> Outcome:
  """The result of a worker; a crash counts as a failure of all stages."""
  try:
    outcome: Outcome = future.result()
  except pebble.ProcessExpired as error:
    return Outcome(error=f'the process died (exit code {error.exitcode})')
  return outcome


def table(results: dict[str, list[Outcome]]) -> str:
  """The report in Markdown."""
  rows = [
    '| space | networks | built | int8 | ran | infeasible | differs | by | flash KB | arena KB '
    '| million MACs | s a network |',
    '|---|---|---|---|---|---|---|---|---|---|---|---|',
  ]
  for name, outcomes in results.items():
    shares = [
      f'{np.mean([getattr(o, stage) for o in outcomes]):.1%}'
      for stage in ('built', 'converted', 'ran')
    ]
    fit = [o for o in outcomes if o.feasible] or [Outcome()]
    causes: collections.Counter[str] = collections.Counter()
    for outcome in outcomes:
      for operator, gap in outcome.causes:
        causes[operator] = max(causes[operator], gap)
    medians = [
      f'{statistics.median(getattr(o, field) for o in fit) / unit:.1f}'
      for field, unit in (('flash_bytes', 1e3), ('arena_bytes', 1e3), ('macs', 1e6))
    ]
    cells = [
      name,
      str(len(outcomes)),
      *shares,
      str(sum(o.ran and not o.feasible for o in outcomes)),
      f'{max(o.difference for o in outcomes)} ({np.mean([o.difference > 1 for o in fit]):.1%} > 1)',
      ', '.join(f'{operator} {gap}' for operator, gap in causes.most_common()) or '–',
      *medians,
      f'{statistics.mean(o.seconds for o in outcomes):.2f}',
    ]
    rows.append(f'| {" | ".join(cells)} |')
  return '\n'.join(rows)


def parse_shape(flag: str, rank: int) -> tuple[int, ...]:
  """The sizes that a flag lists. Raises ValueError."""
  sizes = FLAGS[flag].value
  if len(sizes) != rank or not all(size.isdigit() and int(size) for size in sizes):
    raise ValueError(f'--{flag}={",".join(sizes)}: must be {rank} positive integers')
  return tuple(map(int, sizes))


def main(arguments: list[str]) -> None:
  """Runs, prints, and ends with exit code 1 if a network failed."""
  if len(arguments) > 1:
    sys.exit(f'error: arguments {arguments[1:]} are not understood; all settings are flags')
  unknown = set(FLAGS.spaces) - set(cases())
  if unknown:
    sys.exit(f'error: --spaces={",".join(FLAGS.spaces)}: must be of {", ".join(cases())}')
  try:
    image = TaskShape(parse_shape('image', 3), FLAGS.classes)
    sequence = TaskShape(parse_shape('sequence', 2), FLAGS.classes)
  except ValueError as error:
    sys.exit(f'error: {error}')
  started = time.perf_counter()
  results = check_all(list(dict.fromkeys(FLAGS.spaces)), image, sequence)
  print(table(results))
  shapes = f'{image.input_shape} and {sequence.input_shape}'
  print(f'\n{time.perf_counter() - started:.0f} s, shapes {shapes}')
  failures = [
    (name, i, o) for name, outcomes in results.items() for i, o in enumerate(outcomes) if not o.ran
  ]
  for name, i, outcome in failures:
    print(f'\n{name}, network {i}: {outcome.error}\n{draw(name, FLAGS.count, FLAGS.seed)[i]}')
  sys.exit(1 if failures else 0)


if __name__ == '__main__':
  app.run(main)
