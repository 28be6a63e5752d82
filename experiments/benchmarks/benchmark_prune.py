"""Measures the gain of pruning: zeros of tensorflow-model-optimization against whole filters.

  python experiments/benchmarks/benchmark_prune.py --dataset=mnist5k

A network is trained, pruned, trained further for equal epochs and quantized. The table shows the
sizes of the packed .tflite file, of that file compressed by zlib, and of TFLite Micro's arena.
"""

from __future__ import annotations

import dataclasses
import zlib

from absl import flags

from rlnas.architecture import Architecture, Graph
from rlnas.backend import keras, quiet
from rlnas.child.augment import suited_augmentation
from rlnas.child.prune import prune_filters
from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.finishing.recipe import Finished, Recipe, finish, quantized, train_by
from rlnas.spaces import layers
from rlnas.tflite.footprint import measure

FLAGS = flags.FLAGS
flags.DEFINE_string('dataset', 'mnist5k', 'Images to train on.')
flags.DEFINE_integer('epochs', 20, 'Number of epochs of the first training.')
flags.DEFINE_integer('further_epochs', 10, 'Number of epochs of each further training.')
flags.DEFINE_list('shares', ['0.25', '0.5'], 'What is pruned.')
flags.DEFINE_integer('seed', 0, 'Seed of the trainings.')

_FURTHER_LEARNING_RATE = 4e-3


def main(arguments: list[str]) -> None:
  """Prints one row for each way to prune."""
  no_arguments(arguments)
  for name in ('epochs', 'further_epochs'):
    check_positive(name)
  shares = [float(share) for share in FLAGS.shares]
  dataset = loaders.as_images(loaders.load(FLAGS.dataset))
  whole = example()
  recipe = Recipe(FLAGS.epochs, augmentation=suited_augmentation(dataset.input_shape))
  trained = finish(whole, dataset, recipe=recipe, seed=FLAGS.seed)
  further = dataclasses.replace(
    recipe, epochs=FLAGS.further_epochs, learning_rate=_FURTHER_LEARNING_RATE
  )
  head = ['', 'validation', 'int8 validation', 'flash B', 'compressed B', 'SRAM B', 'MACs']
  print(f'| {" | ".join(head)} |\n|{"---|" * len(head)}')
  print(row('trained', trained, whole, dataset), flush=True)
  for share in shares:
    found = with_zeros(trained.network, share, further, dataset)
    print(row(f'{share:.0%} zeros', found, whole, dataset), flush=True)
  for share in shares:
    smaller, network = prune_filters(trained.network, whole, share=share)
    train_by(further, network, dataset, seed=FLAGS.seed)
    found = quantized(network, dataset)
    print(row(f'{share:.0%} of the filters', found, smaller, dataset), flush=True)


def example() -> Architecture:
  """A convolution, one residual and two separable convolutions."""
  graph = Graph()
  x = layers.conv(graph, graph.input, filters=16, kernel=3, stride=2)
  x = graph.add('add', x, layers.conv(graph, x, filters=16, kernel=3))
  x = layers.separable_conv(graph, x, filters=48, kernel=3, stride=2)
  x = layers.separable_conv(graph, x, filters=64, kernel=3)
  return graph.finish(graph.classify(x))


def with_zeros(network: keras.Model, share: float, recipe: Recipe, dataset: Dataset) -> Finished:
  """Sets the smallest weights of each kernel to 0 in each step of the training."""
  with quiet():
    from tensorflow_model_optimization.sparsity.keras import (
      ConstantSparsity,
      prune_low_magnitude,
      strip_pruning,
    )

    schedule = ConstantSparsity(share, begin_step=0, frequency=1)
    twin = prune_low_magnitude(keras.models.clone_model(network), pruning_schedule=schedule)
  copy = strip_pruning(twin)
  copy.set_weights(network.get_weights())
  for layer in twin.layers:
    if hasattr(layer, 'pruning_step'):
      layer.pruning_step.assign(0)  # the schedule is constant
  train_by(recipe, twin, dataset, seed=FLAGS.seed)
  return quantized(strip_pruning(twin), dataset)


def row(name: str, found: Finished, architecture: Architecture, dataset: Dataset) -> str:
  """The figures of one network."""
  foot = measure(found.model)
  macs = estimate_cost(architecture, dataset.task).macs
  cells = [
    name,
    f'{found.validation_accuracy:.4f}',
    f'{found.int8_validation_accuracy:.4f}',
    *(f'{n:,}' for n in (foot.flash_bytes, len(zlib.compress(found.model, 9)), foot.sram_bytes)),
    f'{macs:,}',
  ]
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  run(main)
