"""How many recurrent networks diverge in their training.

  python experiments/benchmarks/benchmark_divergence.py
  python experiments/benchmarks/benchmark_divergence.py --dataset=mnist5k

Cells are drawn uniformly from the space `recurrent` and trained as a search trains them. Without
--dataset they classify sequences that are made here, with features of very different range and
outliers, as those of sensors and of speech are. Prints the number of failures, and the mean and the
lowest validation accuracy of the others.
"""

from __future__ import annotations

import pathlib
import tempfile

import numpy as np
import tqdm
from absl import flags

from rlnas.child.builder import build
from rlnas.child.train import accuracy, train
from rlnas.cli.flags import no_arguments
from rlnas.cli.guard import run
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.spaces.decision import decode
from rlnas.spaces.recurrent import Recurrent
from rlnas.spaces.table import compile_table, sample_uniform

FLAGS = flags.FLAGS
flags.DEFINE_string('dataset', None, 'Name or path of the data; default: made sequences.')
flags.DEFINE_integer('count', 40, 'Number of networks.', lower_bound=1)
flags.DEFINE_integer('epochs', 4, 'Number of epochs of each training.', lower_bound=1)
flags.DEFINE_integer('seed', 0, 'Seed of the networks and of their weights.')


def main(arguments: list[str]) -> None:
  """Draws, trains and counts."""
  no_arguments(arguments)
  named = FLAGS.dataset
  data = loaders.as_sequences(loaders.load(named)) if named else made_sequences()
  space = Recurrent(frames=data.input_shape[0])
  table, rng = compile_table(space), np.random.default_rng(FLAGS.seed)
  reached, failures = [], []
  for index in tqdm.trange(FLAGS.count, unit='network'):
    architecture = decode(space, sample_uniform(table, rng))
    model = build(architecture, data.task, seed=FLAGS.seed + index)
    try:
      train(model, data, epochs=FLAGS.epochs, seed=FLAGS.seed + index)
    except FloatingPointError as error:
      failures.append(f'network {index}: {error}')
    else:
      reached.append(accuracy(model, data.x_val, data.y_val, scaling=data.scaling))
  print('\n'.join([f'{len(failures)} of {FLAGS.count} diverged', *failures]))
  if reached:
    print(f'accuracy of the others: mean {np.mean(reached):.3f}, lowest {min(reached):.3f}')


def made_sequences() -> Dataset:
  """1,500 random walks of 49 frames and 10 features about one of 10 walks, with outliers."""
  rng = np.random.default_rng(0)
  y = rng.integers(0, 10, 1500)
  x = np.cumsum(rng.normal(size=(10, 49, 10)), axis=1)[y]
  x += 0.7 * np.cumsum(rng.normal(size=x.shape), axis=1) + rng.standard_t(2.5, size=x.shape)
  x[..., 0] = 20 * x[..., 0] - 100
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'made.npz'
    np.savez(path, x_train=x.astype(np.float32), y_train=y)
    return loaders.load(str(path))


if __name__ == '__main__':
  run(main)
