"""Measures trials per hour: a plain Keras loop against this library's pipeline, in one run.

  python experiments/benchmarks/benchmark_children.py --dataset=fashion_mnist --examples=10000 \
    --epochs=2

Both train the same networks of the chain space from the same weights, with the same batches per
epoch, optimiser and schedule, quantize them to int8 and validate both forms on the same images.
The plain loop does it as tutorials do: `fit`, `evaluate`, `TFLiteConverter.from_keras_model`, and
the interpreter one image at a time, all with one thread per core. Ours runs in worker processes
with one thread each. The two take turns in blocks, so a busy machine slows both. The start of the
processes does not count on either side. Prints the seconds of each stage, accuracies, and the
speedup.

With --before=FOLDER, a checkout of an earlier version, a third side takes turns: its pipeline, in
processes of its own (`version_before.py`). The ratio against it is printed, too.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

import numpy as np
from absl import flags
from random_networks import draw
from version_before import Before

from rlnas.architecture import Architecture
from rlnas.backend import keras, tf
from rlnas.board import find_board
from rlnas.budget import Budget
from rlnas.child.builder import build
from rlnas.child.train import BATCH_SIZE, LEARNING_RATE, train
from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric
from rlnas.evaluation.executors import WorkerPool, default_workers
from rlnas.evaluation.trained import Trained
from rlnas.tflite.compact import compact
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import float_confusion, int8_accuracy
from rlnas.tflite.quantize import calibrate, calibration_rows, to_int8
from rlnas.trial import Measurement, Status

FLAGS = flags.FLAGS
flags.DEFINE_string('dataset', 'fashion_mnist', 'What the networks classify: images.')
flags.DEFINE_string('data_dir', None, 'Folder of IDX or binary files; default: downloads.')
flags.DEFINE_integer('examples', 10000, 'Number of training images; default: 10,000.')
flags.DEFINE_integer('epochs', 2, 'Number of epochs of a trial; default: 2.')
flags.DEFINE_integer('children', 24, 'Number of networks that either side trains; default: 24.')
flags.DEFINE_integer('blocks', 3, 'Number of turns of the two sides; default: 3.')
flags.DEFINE_string(
  'board', 'nucleo-l010rb', 'Whose budget the networks keep; default: nucleo-l010rb.'
)
flags.DEFINE_integer('workers', None, 'Number of our worker processes; default: one per core.')
flags.DEFINE_integer('seed', 0, 'Seed of networks and weights; default: 0.')
flags.DEFINE_string(
  'before', None, 'Checkout of an earlier version to compare with, too; default: none.'
)
flags.DEFINE_float(
  'min_mmacs',
  0.0,
  'Number of MACs, in million, that networks have at least; default: 0.',
  lower_bound=0.0,
)
flags.DEFINE_float(
  'max_mmacs',
  None,
  'Number of MACs, in million, that they have at most; default: no limit.',
  lower_bound=0.0,
)


@dataclasses.dataclass(frozen=True)
class Child:
  """The results of one side for a network: accuracies in [0, 1], and seconds by stage."""

  accuracy: float
  int8_accuracy: float
  seconds: dict[str, float]


class Stopwatch:
  """Seconds by stage."""

  def __init__(self) -> None:
    self.seconds: dict[str, float] = {}
    self._last = time.perf_counter()

  def lap(self, stage: str) -> None:
    """Ends a stage, which began at the end of the last one."""
    now = time.perf_counter()
    self.seconds[stage] = now - self._last
    self._last = now


def plain_child(architecture: Architecture, data: Dataset, epochs: int, seed: int) -> Child:
  """Trains, converts and validates a network as tutorials do."""
  watch = Stopwatch()
  x_train = data.scaling.apply(data.x_train.astype(np.float32))
  x_val = data.scaling.apply(data.x_val.astype(np.float32))
  model = build(architecture, data.task, seed=seed)
  steps = len(x_train) // BATCH_SIZE * epochs
  model.compile(
    keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=['accuracy'],
  )
  watch.lap('build')
  model.fit(x_train, data.y_train, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
  watch.lap('train')
  validated = model.evaluate(x_val, data.y_val, batch_size=BATCH_SIZE, verbose=0)[1]
  watch.lap('validate')
  converter = tf.lite.TFLiteConverter.from_keras_model(model)
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  converter.representative_dataset = lambda: ([row[None]] for row in x_train[:100])
  converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
  converter.inference_input_type = converter.inference_output_type = tf.int8
  content = converter.convert()
  watch.lap('convert')
  hits = _one_by_one(content, x_val, data.y_val)
  watch.lap('validate int8')
  return Child(validated, hits / len(x_val), watch.seconds)


def _one_by_one(content: bytes, x: np.ndarray, y: np.ndarray) -> int:
  interpreter = tf.lite.Interpreter(model_content=content, num_threads=default_workers())
  interpreter.allocate_tensors()
  entry, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
  scale, zero_point = entry['quantization']
  hits = 0
  for row, label in zip(x, y, strict=True):
    interpreter.set_tensor(
      entry['index'], np.clip(np.rint(row / scale + zero_point), -128, 127).astype(np.int8)[None]
    )
    interpreter.invoke()
    hits += int(interpreter.get_tensor(output['index'])[0].argmax() == label)
  return hits


def our_stages(architecture: Architecture, data: Dataset, epochs: int, seed: int) -> Child:
  """Does the same as `Trained`, and measures the time of each step."""
  watch = Stopwatch()
  model = build(architecture, data.task, seed=seed)
  watch.lap('build')
  train(model, data, epochs=epochs, seed=seed)
  watch.lap('train')
  calibrated = calibrate(model, calibration_rows(data.x_train, scaling=data.scaling))
  content = compact(to_int8(calibrated))
  watch.lap('convert')
  validated = Metric.ACCURACY.of(
    float_confusion(calibrated, data.x_val, data.y_val, scaling=data.scaling)
  )
  watch.lap('validate')
  int8_validated = int8_accuracy(content, data.x_val, data.y_val, scaling=data.scaling)
  watch.lap('validate int8')
  measure(content)
  watch.lap('measure')
  return Child(validated, int8_validated, watch.seconds)


def serve_plain(connection: Connection, data: Dataset, epochs: int, seed: int) -> None:
  """A process that evaluates networks in a plain loop, with one thread per core."""
  tf.config.threading.set_intra_op_parallelism_threads(default_workers())
  tf.config.threading.set_inter_op_parallelism_threads(default_workers())
  while (architecture := connection.recv()) is not None:
    connection.send(plain_child(architecture, data, epochs, seed))


class Plain:
  """The plain loop in its own process, as a process can set its threads only once."""

  def __init__(self, data: Dataset, epochs: int, seed: int) -> None:
    context = multiprocessing.get_context('spawn')
    self._connection, theirs = context.Pipe()
    arguments = (theirs, data, epochs, seed)
    self._process = context.Process(target=serve_plain, args=arguments, daemon=True)
    self._process.start()

  def evaluate(self, networks: Sequence[Architecture]) -> Iterator[Child]:
    """One network after the other."""
    for architecture in networks:
      self._connection.send(architecture)
      yield self._connection.recv()

  def close(self) -> None:
    """Ends the process."""
    self._connection.send(None)
    self._process.join()


def evaluate_ours(
  pool: WorkerPool, networks: Sequence[Architecture], seed: int
) -> list[Measurement]:
  """Evaluates all networks in the pool; returns results in their order."""
  for key, architecture in enumerate(networks):
    pool.submit(key, architecture, seed=seed)
  found: dict[int, Measurement] = {}
  while len(found) < len(networks):
    if (arrived := pool.collect(600.0)) is not None:
      found[arrived[0]] = arrived[1]
  return [found[key] for key in range(len(networks))]


def networks_within(data: Dataset, count: int, budget: Budget, seed: int) -> list[Architecture]:
  """Networks of the chain space that fit a budget, drawn uniformly."""
  kept: list[Architecture] = []
  least = FLAGS.min_mmacs * 1e6
  most = math.inf if FLAGS.max_mmacs is None else FLAGS.max_mmacs * 1e6
  for architecture in draw('chain', 200 * count, seed):
    cost = estimate_cost(architecture, data.task)
    if least <= cost.macs <= most and budget.fits(cost.resources):
      kept.append(architecture)
    if len(kept) == count:
      return kept
  raise ValueError(f'--board={FLAGS.board}: only {len(kept)} of {200 * count} networks fit')


def stage_table(columns: dict[str, Sequence[Child]]) -> str:
  """Mean seconds per stage, in Markdown."""
  totals = {
    name: {stage: float(np.mean([c.seconds[stage] for c in group])) for stage in group[0].seconds}
    for name, group in columns.items()
  }
  stages = list(dict.fromkeys(stage for total in totals.values() for stage in total))
  rows = [f'| seconds per trial | {" | ".join(totals)} |', '|---|' + '---|' * len(totals)]
  for stage in stages:
    cells = [f'{total[stage]:.2f}' if stage in total else '–' for total in totals.values()]
    rows.append(f'| {stage} | {" | ".join(cells)} |')
  cells = [f'{sum(total.values()):.2f}' for total in totals.values()]
  rows.append(f'| all | {" | ".join(cells)} |')
  return '\n'.join(rows)


def spread(name: str, values: Sequence[float]) -> str:
  """Mean and deviation of some accuracies."""
  return f'{name}: {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}'


def main(arguments: list[str]) -> None:
  """Runs both sides in turns and prints their times."""
  no_arguments(arguments)
  for name in ('examples', 'epochs', 'children', 'blocks', 'workers'):
    check_positive(name)
  data = loaders.as_images(loaders.load(FLAGS.dataset, data_dir=FLAGS.data_dir)).without_test()
  kept = slice(FLAGS.examples)
  data = dataclasses.replace(data, x_train=data.x_train[kept], y_train=data.y_train[kept])
  networks = networks_within(data, FLAGS.children + 1, find_board(FLAGS.board).budget, FLAGS.seed)
  first, networks = networks[0], networks[1:]  # one to warm up with, which is not counted
  workers = FLAGS.workers or default_workers()
  pool = WorkerPool(Trained(data, epochs=FLAGS.epochs), workers=workers)
  names = ('dataset', 'data_dir', 'examples', 'epochs', 'seed')
  settings = {name: FLAGS[name].value for name in names} | {'workers': workers}
  before = Before(FLAGS.before, settings) if FLAGS.before else None
  plain = Plain(data, FLAGS.epochs, FLAGS.seed)
  list(plain.evaluate([first]))
  evaluate_ours(pool, [first] * workers, FLAGS.seed)
  if before is not None:
    before.evaluate([first] * workers)
  earlier: list[tuple[float, float]] = []
  theirs: list[Child] = []
  ours: list[Measurement] = []
  seconds = {'plain': 0.0, 'ours': 0.0} | ({} if before is None else {'before': 0.0})
  for block in np.array_split(np.arange(len(networks)), FLAGS.blocks):
    chosen = [networks[i] for i in block]
    started = time.perf_counter()
    theirs += plain.evaluate(chosen)
    between = time.perf_counter()
    ours += evaluate_ours(pool, chosen, FLAGS.seed)
    seconds['plain'] += between - started
    seconds['ours'] += time.perf_counter() - between
    if before is not None:
      started = time.perf_counter()
      earlier += before.evaluate(chosen)
      seconds['before'] += time.perf_counter() - started
    told = ', '.join(f'{side} {spent:.1f} s' for side, spent in seconds.items())
    print(f'{len(ours)} trials: {told}', flush=True)
  if before is not None:
    before.close()
  plain.close()
  pool.close()
  failed = [m.detail for m in ours if m.status is not Status.COMPLETE]
  if failed:
    raise ValueError(f'{len(failed)} trials failed; cause of the first: {failed[0]}')
  alone = [our_stages(a, data, FLAGS.epochs, FLAGS.seed) for a in [first, *networks]][1:]
  print(stage_table({f'plain, {default_workers()} threads': theirs, 'ours, 1 thread': alone}))
  for name, values in (
    ('plain float accuracy', [c.accuracy for c in theirs]),
    ('ours', [m.validation_accuracy or 0.0 for m in ours]),
    ('plain int8 accuracy', [c.int8_accuracy for c in theirs]),
    ('ours', [m.int8_validation_accuracy or 0.0 for m in ours]),
    *([('int8 accuracy before', [quantized for _, quantized in earlier])] if earlier else []),
  ):
    print(spread(name, values))
  hourly = {name: len(networks) / value * 3600 for name, value in seconds.items()}
  print(
    f'trials per hour: plain {hourly["plain"]:.0f}, ours {hourly["ours"]:.0f} ({workers} workers)'
  )
  print(f'speedup {hourly["ours"] / hourly["plain"]:.2f}x')
  if earlier:
    print(f'against the version before {hourly["ours"] / hourly["before"]:.2f}x')


if __name__ == '__main__':
  run(main)
