"""Compares searched int8 regressions with scikit-learn's gradient boosting, on small real tables.

  python experiments/benchmarks/benchmark_regression.py --workdir=runs/regression

Each table is split several times. For each split a search within --flash_kib and --sram_kib ends
with an int8 network; its R² on the test rows stands beside that of HistGradientBoosting and of a
linear regression in floating point. These two learn from training and validation rows together, of
which a search trains on the first part alone.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys

import numpy as np
import numpy.typing as npt
from absl import flags
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

import rlnas
from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.data import loaders
from rlnas.data.dataset import Dataset

FLAGS = flags.FLAGS
flags.DEFINE_list('tables', ['diabetes', 'auto_mpg'], 'Regressions that are built in.')
flags.DEFINE_integer('splits', 5, 'Number of times that each table is split.')
flags.DEFINE_integer('trials', 16, 'Number of trials of each search.')
flags.DEFINE_integer('top', 3, 'Number of finalists of each search.')
flags.DEFINE_integer('epochs', 120, 'Number of epochs of a finalist.')
flags.DEFINE_float('flash_kib', 16, 'Flash for the network in KiB.')
flags.DEFINE_float('sram_kib', 16, 'SRAM for its arena in KiB.')
flags.DEFINE_string('workdir', 'runs/regression', 'Folder of the searches, which are resumed.')


def main(arguments: list[str]) -> None:
  """Prints one row for each split, and the mean and standard deviation of each table."""
  no_arguments(arguments)
  for name in ('splits', 'trials', 'top', 'epochs'):
    check_positive(name)
  head = ['table', 'split', 'int8 network', 'gradient boosting', 'linear', 'flash B', 'SRAM B']
  print(f'| {" | ".join(head)} |\n|{"---|" * len(head)}', flush=True)
  for table in FLAGS.tables:
    rows = [row(table, number) for number in range(FLAGS.splits)]
    for number, cells in enumerate(rows):
      shown = [f'{r2:.3f}' for r2 in cells[:3]] + [f'{count:,.0f}' for count in cells[3:]]
      print(f'| {table} | {number} | {" | ".join(shown)} |', flush=True)
    means, deviations = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=min(1, len(rows) - 1))
    shown = [f'{m:.3f} ± {d:.3f}' for m, d in zip(means, deviations, strict=True)]
    print(f'| {table} | mean | {" | ".join(shown[:3])} | {means[3]:,.0f} | {means[4]:,.0f} |')


def row(table: str, number: int) -> tuple[float, ...]:
  """R² of the int8 network, of boosting and of a line on the test rows; flash and SRAM."""
  folder = pathlib.Path(FLAGS.workdir) / f'{table}-{number}'
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / f'{table}.npz'
  whole, splits = loaders.load(table), ('train', 'val', 'test')
  x, y = (np.concatenate([getattr(whole, f'{n}_{s}') for s in splits]) for n in 'xy')
  order = np.random.default_rng(number).permutation(len(x))
  # Rows in another order get another split.
  np.savez(path, x=x[order], y=y[order], class_names=np.array(whole.class_names))
  config = rlnas.SearchConfig(
    dataset=str(path),
    task='regression',
    flash_kib=FLAGS.flash_kib,
    sram_kib=FLAGS.sram_kib,
    trials=FLAGS.trials,
    workdir=str(folder / 'search'),
    executor='inprocess',
    finish=rlnas.FinishConfig(top=FLAGS.top, epochs=FLAGS.epochs),
  )
  with contextlib.redirect_stdout(sys.stderr):
    winner = rlnas.run(config)
  data = loaders.load(path, task='regression')
  known = (_flat(data, 'train', 'val'), np.concatenate([data.y_train, data.y_val])[:, 0])
  test = _flat(data, 'test'), data.y_test[:, 0]
  others = [
    r2_score(test[1], model.fit(*known).predict(test[0]))
    for model in (HistGradientBoostingRegressor(random_state=0), LinearRegression())
  ]
  foot = winner.footprint
  return winner.int8_test_accuracy, *others, foot.flash_bytes, foot.sram_bytes


def _flat(data: Dataset, *splits: str) -> npt.NDArray[np.float64]:
  """The features of some splits. [N, F]."""
  x = np.concatenate([getattr(data, f'x_{split}') for split in splits])
  return x.reshape(len(x), -1).astype(np.float64)


if __name__ == '__main__':
  run(main)
