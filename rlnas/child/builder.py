"""Builds a Keras model from an architecture, with one small function per operation.

A convolution becomes Conv2D without bias, batch normalisation (Ioffe & Szegedy 2015) and an
activation. Kernels are initialised as He et al. 2015 propose (arXiv:1502.01852, equation 10), each
from its own seed, so that the weights are bit-identical in every process. Layers are named after
their node, because a .tflite file contains their names.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

from rlnas.architecture import Architecture, Node, Shape, TaskShape, infer_shapes
from rlnas.backend import keras, tf
from rlnas.child.convolution import Conv2D, NearestResize
from rlnas.cost.limits import within_limits
from rlnas.trial import derive_seed

# A network is trained with a few hundred batches: with Keras' 0.99 the moving statistics would
# still contain much of their initial values.
BATCH_NORM_MOMENTUM = 0.9


def build(architecture: Architecture, task: TaskShape, *, seed: int) -> keras.Model:
  """Builds an untrained network.

  Args:
    architecture: the network to build.
    task: shape of its input and number of its classes.
    seed: determines the initial weights.

  Returns:
    A model: scaled float32 inputs [N, *input_shape] -> logits [N, classes]; a reconstruction is
    flattened, which conversion omits (`rlnas.tflite.quantize`).

  Raises:
    ValueError: the shapes of the network do not fit together.
  """
  architecture = within_limits(architecture)
  shapes = infer_shapes(architecture, task)
  shared: dict[int, keras.layers.Layer] = {}
  values: list[tf.Tensor] = []
  for index, (node, shape) in enumerate(zip(architecture.nodes, shapes, strict=True)):
    place = _Place(index, node, shape, seed, shared)
    values.append(_BUILDERS[node.op](place, *(values[i] for i in node.inputs)))
  output = values[-1]
  if len(shapes[-1]) > 1:
    output = keras.layers.Flatten(name='outputs')(output)
  return keras.Model(values[0], output, name='child')


@dataclasses.dataclass(frozen=True)
class _Place:
  """A node and what is needed to build its layers.

  Attributes:
    index: index of the node.
    node: the node.
    shape: shape of its value, without the batch.
    seed: seed of the network.
    shared: dense layers by their `weights` attribute; `_dense` adds to them.
  """

  index: int
  node: Node
  shape: Shape
  seed: int
  shared: dict[int, keras.layers.Layer]

  def name(self, layer: str) -> str:
    return f'node{self.index}_{layer}'

  def he_normal(self, fan_in: int) -> keras.initializers.Initializer:
    # Keras' HeNormal is not used: it multiplies the fan-in of a depthwise kernel by the channels.
    return keras.initializers.RandomNormal(
      stddev=math.sqrt(2 / fan_in), seed=derive_seed(self.seed, 'node', self.index)
    )

  @property
  def window(self) -> tuple[int, int]:
    return self.node['kernel_height'], self.node['kernel_width']


def _input(place: _Place) -> tf.Tensor:
  return keras.Input(place.shape, name='input')


def _conv(place: _Place, x: tf.Tensor) -> tf.Tensor:
  return _convolved(place, x, strides=place.node['stride'])


def _dilated_conv(place: _Place, x: tf.Tensor) -> tf.Tensor:
  return _convolved(place, x, dilation_rate=_dilation(place))


def _convolved(place: _Place, x: tf.Tensor, **options: int | tuple[int, int]) -> tf.Tensor:
  convolution = Conv2D(
    place.node['filters'],
    place.window,
    padding='same',
    use_bias=False,
    kernel_initializer=place.he_normal(math.prod(place.window) * x.shape[-1]),
    name=place.name('conv'),
    **options,
  )
  return _normalised(place, convolution(x))


def _depthwise_conv(place: _Place, x: tf.Tensor) -> tf.Tensor:
  return _filtered(place, x, strides=place.node['stride'])


def _dilated_depthwise_conv(place: _Place, x: tf.Tensor) -> tf.Tensor:
  return _filtered(place, x, dilation_rate=_dilation(place))


def _dilation(place: _Place) -> tuple[int, int]:
  """The dilation along each side: 1 where the window is one pixel wide, which changes no result.

  TensorFlow would pad that side of a depthwise convolution's input to a multiple of its dilation.
  """
  dilation = place.node['dilation']
  height, width = (dilation if side > 1 else 1 for side in place.window)
  return height, width


def _filtered(place: _Place, x: tf.Tensor, **options: int | tuple[int, int]) -> tf.Tensor:
  convolution = keras.layers.DepthwiseConv2D(
    place.window,
    padding='same',
    use_bias=False,
    depthwise_initializer=place.he_normal(math.prod(place.window)),
    name=place.name('depthwise'),
    **options,
  )
  return _normalised(place, convolution(x))


def _normalised(place: _Place, x: tf.Tensor) -> tf.Tensor:
  """Adds batch normalisation and activation; conversion folds them into the convolution."""
  norm = keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=place.name('norm'))
  return _relu(place, norm(x)) if place.node['activation'] == 'relu' else norm(x)


def _pool(place: _Place, x: tf.Tensor) -> tf.Tensor:
  layer = {'max_pool': keras.layers.MaxPool2D, 'avg_pool': keras.layers.AveragePooling2D}
  pool = layer[place.node.op]
  return pool(place.window, place.node['stride'], padding='same', name=place.name('pool'))(x)


def _add(place: _Place, *terms: tf.Tensor) -> tf.Tensor:
  return keras.layers.Add(name=place.name('add'))(terms)


def _multiply(place: _Place, *factors: tf.Tensor) -> tf.Tensor:
  return keras.layers.Multiply(name=place.name('multiply'))(factors)


def _concat(place: _Place, *parts: tf.Tensor) -> tf.Tensor:
  return keras.layers.Concatenate(name=place.name('concat'))(parts)


def _pad_like(place: _Place, x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  missing = [like.shape[axis] - x.shape[axis] for axis in (1, 2)]
  padding = [(m // 2, m - m // 2) for m in missing]
  return keras.layers.ZeroPadding2D(padding, name=place.name('pad'))(x)


def _resize_like(place: _Place, x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  _, height, width, _ = like.shape
  return NearestResize(height, width, name=place.name('resize'))(x)


def _relu(place: _Place, x: tf.Tensor) -> tf.Tensor:
  return keras.layers.ReLU(name=place.name('relu'))(x)


def _saturate(place: _Place, x: tf.Tensor) -> tf.Tensor:
  """Adds tanh or sigmoid; the names of these operations are those of Keras."""
  return keras.layers.Activation(place.node.op, name=place.name(place.node.op))(x)


def _frames(place: _Place, x: tf.Tensor) -> tf.Tensor:
  first = place.node['first']
  after = x.shape[1] - first - place.node['count']
  x = keras.layers.Cropping1D((first, after), name=place.name('frames'))(x)
  return keras.layers.Flatten(name=place.name('flat'))(x)


def _dense(place: _Place, x: tf.Tensor) -> tf.Tensor:
  key = place.node['weights']
  if key not in place.shared:
    place.shared[key] = keras.layers.Dense(
      place.node['units'],
      kernel_initializer=place.he_normal(x.shape[-1]),
      name=place.name('dense'),
    )
  return place.shared[key](x)


def _global_avg_pool(place: _Place, x: tf.Tensor) -> tf.Tensor:
  return keras.layers.GlobalAveragePooling2D(name=place.name('mean'))(x)


def _classifier(place: _Place, x: tf.Tensor) -> tf.Tensor:
  kernel = place.he_normal(x.shape[-1])
  name = place.name('logits')
  return keras.layers.Dense(place.shape[0], kernel_initializer=kernel, name=name)(x)


def _reconstruction(place: _Place, x: tf.Tensor) -> tf.Tensor:
  return Conv2D(
    place.shape[-1],
    place.window,
    padding='same',
    kernel_initializer=place.he_normal(math.prod(place.window) * x.shape[-1]),
    name=place.name('outputs'),
  )(x)


_BUILDERS: Mapping[str, Callable[..., tf.Tensor]] = {
  'input': _input,
  'conv': _conv,
  'dilated_conv': _dilated_conv,
  'depthwise_conv': _depthwise_conv,
  'dilated_depthwise_conv': _dilated_depthwise_conv,
  'max_pool': _pool,
  'avg_pool': _pool,
  'add': _add,
  'multiply': _multiply,
  'concat': _concat,
  'pad_like': _pad_like,
  'relu': _relu,
  'tanh': _saturate,
  'sigmoid': _saturate,
  'frames': _frames,
  'dense': _dense,
  'global_avg_pool': _global_avg_pool,
  'classifier': _classifier,
  'resize_like': _resize_like,
  'reconstruction': _reconstruction,
}
