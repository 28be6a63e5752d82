"""Compares searched autoencoders with ad01's own architecture, on synthesised machine sounds.

  python experiments/benchmarks/benchmark_anomaly.py --workdir=runs/anomaly

ad01 is the network of MLPerf Tiny's anomaly detection (Banbury et al. 2021, arXiv:2106.07597): its
file has 276,976 B, and its smallest arena on CMSIS-NN is 3,132 B. Here it is trained on the same
data, by the same recipe and for as many epochs as the finalists of searches within its flash, and
within a tenth of it. As 1x1 convolutions its layers need a larger arena than as dense ones. The
sounds are those of toy_car.py: they are not recordings.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys

import numpy as np
from absl import flags
from toy_car import toy_car

import rlnas
from rlnas.architecture import Architecture, Graph
from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric
from rlnas.finishing.recipe import Recipe, finish
from rlnas.reports.anomaly_metrics import AnomalyQuality, judged_scores
from rlnas.spaces import layers
from rlnas.tflite.footprint import measure

FLAGS = flags.FLAGS
flags.DEFINE_list('seeds', ['0', '1', '2'], 'Seeds of the data, of the searches and trainings.')
flags.DEFINE_integer('clips', 400, 'Number of normal clips to train on.')
flags.DEFINE_integer('trials', 12, 'Number of trials of each search.')
flags.DEFINE_integer('top', 2, 'Number of finalists of each search.')
flags.DEFINE_integer('epochs', 40, 'Number of epochs of a finalist, and of ad01.')
flags.DEFINE_list('shares', ['1', '0.1'], "Shares of ad01's flash that searches may take.")
flags.DEFINE_string('workdir', 'runs/anomaly', 'Folder of the searches, which are resumed.')

FLASH_BYTES = 276_976
SRAM_KIB = 4.0  # with room for the structures of convolutions, which have more tensors


def main(arguments: list[str]) -> None:
  """Prints one row for each network, and the means."""
  no_arguments(arguments)
  for name in ('clips', 'trials', 'top', 'epochs'):
    check_positive(name)
  head = ['network', 'seed', 'int8 AUC', 'partial AUC', 'flash B', 'SRAM B']
  print(f'| {" | ".join(head)} |\n|{"---|" * len(head)}', flush=True)
  for seed in map(int, FLAGS.seeds):
    data = toy_car(clips=FLAGS.clips, seed=seed)
    folder = pathlib.Path(FLAGS.workdir) / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'toy_car.npz'
    splits = ('train', 'val', 'test')
    np.savez(path, **{f'{n}_{s}': getattr(data, f'{n}_{s}') for n in 'xy' for s in splits})
    print(ad01_row(loaders.as_pixel(loaders.load(path)), seed), flush=True)
    for share in map(float, FLAGS.shares):
      print(search_row(path, folder, seed, share), flush=True)


def ad01() -> Architecture:
  """Its layers, as 1x1 convolutions of one pixel with batch normalisation and ReLU."""
  graph, x = Graph(), Graph.input
  for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
    x = layers.conv(graph, x, filters=width, kernel=1)
  return graph.finish(graph.classify(x))


def ad01_row(data: Dataset, seed: int) -> str:
  """ad01, trained on the data."""
  found = finish(ad01(), data, recipe=Recipe(FLAGS.epochs, metric=Metric.AUC), seed=seed)
  quality = judged_scores(found.model, data, 'test')
  foot = measure(found.model, build=rlnas.SearchConfig().target_build())  # as in searches
  return _row("ad01's layers", seed, quality, foot.flash_bytes, foot.sram_bytes)


def search_row(path: pathlib.Path, folder: pathlib.Path, seed: int, share: float) -> str:
  """The winner of a search within a share of ad01's flash."""
  config = rlnas.SearchConfig(
    dataset=str(path),
    flash_kib=share * FLASH_BYTES / 1024,
    sram_kib=SRAM_KIB,
    trials=FLAGS.trials,
    seed=seed,
    epochs=8,
    workdir=str(folder / f'search-{share:g}'),
    executor='inprocess',
    finish=rlnas.FinishConfig(top=FLAGS.top, epochs=FLAGS.epochs),
  )
  with contextlib.redirect_stdout(sys.stderr):
    winner = rlnas.run(config)
  quality, foot = winner.int8_test_alarms, winner.footprint
  if quality is None:
    raise ValueError(f'dataset={path}: must be an anomaly detection')
  return _row(f'search, {share:.0%}', seed, quality, foot.flash_bytes, foot.sram_bytes)


def _row(name: str, seed: int, quality: AnomalyQuality, flash: int, sram: int) -> str:
  figures = f'{quality.auc:.4f} | {quality.partial_auc:.4f} | {flash:,} | {sram:,}'
  return f'| {name} | {seed} | {figures} |'


if __name__ == '__main__':
  run(main)
