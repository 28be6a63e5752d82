"""Compares quantization-aware training with further training as before, on different networks.

  python experiments/benchmarks/benchmark_qat.py --dataset=fashion_mnist --train_examples=10000

Each network is trained, then trained further in three ways with equal epochs, from the same weights
and with the same order of examples: as before; aware of quantization as
tensorflow-model-optimization does by default; aware of it as rlnas does (`rlnas.child.qat`). The
table shows the accuracy of the int8 models on validation data, and their sizes.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from absl import flags

from rlnas.architecture import Architecture, Graph
from rlnas.backend import keras, quiet, tf
from rlnas.child.augment import suited_augmentation
from rlnas.cli.choices import choose
from rlnas.cli.flags import check_positive, no_arguments
from rlnas.cli.guard import run
from rlnas.cost.cost import estimate_cost
from rlnas.data import loaders
from rlnas.data.dataset import Dataset
from rlnas.finishing.recipe import (
  FURTHER_LEARNING_RATE,
  Finished,
  Recipe,
  finish,
  train_by,
  trained_aware,
  trained_further,
)
from rlnas.spaces import BlockQNN, Chain, Joint, MultiBranch, NASNet, layers
from rlnas.spaces.decision import Space, decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.compact import compact
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_accuracy
from rlnas.tflite.quantize import check_integer

_SPACES: dict[str, Space] = {
  'chain': Chain(),
  'multibranch': MultiBranch(),
  'nasnet': NASNet(),
  'blockqnn': BlockQNN(),
  'joint': Joint(),
}

FLAGS = flags.FLAGS
flags.DEFINE_string('dataset', 'fashion_mnist', 'Images to train on.')
flags.DEFINE_integer('train_examples', 10_000, 'Number of training images.')
flags.DEFINE_integer('epochs', 8, 'Number of epochs of the first training.')
flags.DEFINE_integer('further_epochs', 4, 'Number of epochs of each further training.')
flags.DEFINE_list(
  'networks',
  ['separable', *_SPACES],
  'Which: a hand-made one, and one drawn from each space named.',
)
flags.DEFINE_integer('seed', 0, 'Seed of networks and trainings.')

_FLASH_BYTES = (8 * 1024, 64 * 1024)  # of the networks that are drawn


def main(arguments: list[str]) -> None:
  """Prints one row per network."""
  no_arguments(arguments)
  for name in ('train_examples', 'epochs', 'further_epochs'):
    check_positive(name)
  dataset = loaders.as_images(loaders.load(FLAGS.dataset))
  dataset = loaders.take(dataset, min(FLAGS.train_examples, len(dataset.x_train)))
  head = ['network', 'trained', 'further', 'aware, default', 'aware, ours', 'kept']
  head += ['flash B: trained', 'default', 'ours', 'SRAM B: trained', 'default', 'ours']
  print(f'| {" | ".join(head)} |\n|{"---|" * len(head)}')
  for name in FLAGS.networks:
    print(row(name, network_of(name, dataset), dataset), flush=True)


def row(name: str, architecture: Architecture, dataset: Dataset) -> str:
  """Trains one network in all ways."""
  recipe = Recipe(FLAGS.epochs, augmentation=suited_augmentation(dataset.input_shape))
  seed = FLAGS.seed
  trained = finish(architecture, dataset, recipe=recipe, seed=seed)
  further = dataclasses.replace(
    recipe, epochs=FLAGS.further_epochs, learning_rate=FURTHER_LEARNING_RATE
  )
  control = trained_further(trained.network, dataset, recipe=further, seed=seed)
  ours = trained_aware(trained.network, dataset, recipe=further, seed=seed)
  default = aware_by_default(trained.network, dataset, further, seed)
  kept = max((trained, control, ours), key=lambda found: found.int8_validation_accuracy)
  cells = [name]
  cells += [f'{found.int8_validation_accuracy:.4f}' for found in (trained, control)]
  x, y = dataset.x_val, dataset.y_val
  cells.append(
    f'{int8_accuracy(default, x, y, scaling=dataset.scaling):.4f}' if default else 'not converted'
  )
  cells += [f'{ours.int8_validation_accuracy:.4f}', _title(kept)]
  feet = [measure(model) if model else None for model in (trained.model, default, ours.model)]
  cells += [f'{foot.flash_bytes:,}' if foot else '' for foot in feet]
  cells += [f'{foot.sram_bytes:,}' if foot else '' for foot in feet]
  return f'| {" | ".join(cells)} |'


def _title(kept: Finished) -> str:
  return f'{kept.way} {kept.int8_validation_accuracy:.4f}'


def aware_by_default(
  network: keras.Model, dataset: Dataset, recipe: Recipe, seed: int
) -> bytes | None:
  """The int8 model of the training as tensorflow-model-optimization does it by default.

  None if it cannot be converted, for example if a pooling has another scale than its input.
  """
  with quiet():
    from tensorflow_model_optimization.quantization.keras import quantize_model

    twin = quantize_model(network)
  train_by(recipe, twin, dataset, seed=seed)
  signature = tf.TensorSpec((1, *dataset.input_shape), tf.float32, name='input')
  with quiet():
    forward = tf.function(lambda x: twin(x, training=False), autograph=False)
    function = forward.get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], twin)
    converter.experimental_lower_to_saved_model = False
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
      model = bytes(converter.convert())
    except Exception as error:
      if type(error).__name__ != 'ConverterError':  # TensorFlow does not export the class
        raise
      return None
  check_integer(model)
  return compact(model)


def network_of(name: str, dataset: Dataset) -> Architecture:
  """The hand-made network, or the first drawn one of a space that has a common size."""
  if name == 'separable':
    return separable_concat()
  space = choose('networks', name, _SPACES)
  table, rng = compile_table(space), np.random.default_rng(FLAGS.seed)
  while True:
    architecture = decode(space, sample_uniform(table, rng))
    flash_bytes = estimate_cost(architecture, dataset.task).flash_bytes
    if _FLASH_BYTES[0] <= flash_bytes <= _FLASH_BYTES[1]:
      return architecture


def separable_concat() -> Architecture:
  """Parallel separable 5x5 convolutions, concatenated: the network that lost most by default."""
  graph = Graph()
  x = layers.conv(graph, graph.input, filters=16, kernel=3, stride=2)
  parts = [layers.separable_conv(graph, x, filters=16, kernel=5) for _ in range(2)]
  x = graph.add('concat', *parts)
  x = layers.separable_conv(graph, x, filters=32, kernel=5, stride=2)
  return graph.finish(graph.classify(layers.conv(graph, x, filters=32, kernel=1)))


if __name__ == '__main__':
  run(main)
