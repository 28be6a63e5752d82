"""A supernet: one set of weights for all networks of a space (Pham et al. 2018, ENAS).

A network of the space is a path through the supernet: if two networks have the same kind of layer
at the same depth, they use the same weights (arXiv:1802.03268, section 2;
`rlnas.child.shared_layers`). `rlnas.child.train_supernet` trains them.

Kernels are initialised near the identity (Zagoruyko & Komodakis 2017, DiracNets, arXiv:1706.00388),
so that from the first step on a channel has the same meaning behind any layers.

Moving statistics of batch normalisation mean nothing if the network changes in every step. The
training uses statistics of the batch, and the statistics of a network are estimated again before it
is evaluated (Guo et al. 2020, arXiv:1904.00420, section 3.4; Bender et al. 2018, section 3.3).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture, Node, TaskShape
from rlnas.backend import keras, tf
from rlnas.child.builder import build
from rlnas.child.convolution import convolve
from rlnas.child.shared_layers import DEPTHWISE, Layer, Slice, layers_of
from rlnas.cost.limits import within_limits
from rlnas.trial import derive_seed

Float32Array = npt.NDArray[np.float32]

_NOISE = 0.3  # factor of He et al. 2015's kernels, added to the identity; 0.03, 0.1, 1 were slower
_EPSILON = 1e-3  # of batch normalisation, as Keras has it


@dataclasses.dataclass(frozen=True, eq=False)
class Supernet:
  """Trained shared weights.

  Attributes:
    arrays: the weights by the names of `Slice`.
    task: shape of the networks' input and number of their classes.
    seed: seed of the training; also determines weights that no step has trained.
  """

  arrays: Mapping[str, Float32Array]
  task: TaskShape
  seed: int

  def network(self, architecture: Architecture, batches: Sequence[Float32Array]) -> keras.Model:
    """Builds a network with its part of the shared weights.

    If it is wider or deeper than all networks of the training, its remaining weights are initial
    ones.

    Args:
      architecture: the network.
      batches: network inputs, [N, *input_shape] each. The statistics of batch normalisation are the
        means of the batches' statistics.

    Returns:
      As `rlnas.child.builder.build`.

    Raises:
      ValueError: as `layers_of`, or there is no batch.
    """
    if not batches:
      raise ValueError('batches: must hold at least one')
    architecture = within_limits(architecture)
    layers = layers_of(architecture, self.task)
    weights = {s: tf.constant(self._take(s)) for layer in layers for s in layer.slices}
    path = Path(architecture, layers)
    moments = [path.run(tf.constant(batch), weights.__getitem__).moments for batch in batches]
    model = build(architecture, self.task, seed=self.seed)
    for number, layer in enumerate(layers):
      own = [weights[s] for s in layer.slices]
      kernel, rest = tf.concat(own[: len(layer.kernels)], -2), own[len(layer.kernels) :]
      if not layer.norm:
        model.get_layer(f'node{layer.node}_logits').set_weights([kernel, *rest])
        continue
      kind = 'depthwise' if architecture.nodes[layer.node].op in DEPTHWISE else 'conv'
      model.get_layer(f'node{layer.node}_{kind}').set_weights([kernel])
      mean, variance = (np.mean([m[number][i] for m in moments], 0) for i in (0, 1))
      model.get_layer(f'node{layer.node}_norm').set_weights([*rest, mean, variance])
    return model

  def _take(self, wanted: Slice) -> Float32Array:
    held = self.arrays.get(wanted.name)
    if held is None:
      return initial(wanted, self.seed)
    if any(have < want for have, want in zip(held.shape, wanted.shape, strict=True)):
      sides = tuple(map(max, held.shape, wanted.shape))
      whole = initial(Slice(wanted.name, sides), self.seed)
      whole[within(sides, held.shape)] = held
      held = whole
    return held[within(held.shape, wanted.shape)]


def initial(wanted: Slice, seed: int) -> Float32Array:
  """Returns weights before training: scale 1, offset 0, and kernels of the identity plus noise."""
  if len(wanted.shape) == 1:
    return np.full(wanted.shape, wanted.name.endswith('/gamma'), np.float32)
  # A depthwise kernel [height, width, channels, 1] sums over its window only.
  depthwise = wanted.name.startswith(DEPTHWISE)
  window = wanted.shape[:2] if depthwise else wanted.shape[:-1]
  rng = np.random.default_rng(derive_seed(seed, wanted.name))
  values = rng.normal(0, math.sqrt(2 / math.prod(window)), wanted.shape)
  if len(wanted.shape) == 4:
    values *= _NOISE
    centre = values[_centre(wanted.shape[0]), _centre(wanted.shape[1])]
    centre += 1 if depthwise else np.eye(*centre.shape)
  return values.astype(np.float32)


def _centre(side: int) -> int:
  """Returns the index of a window's element that lies on the output's pixel."""
  return (side - 1) // 2


def within(whole: Sequence[int], part: Sequence[int]) -> tuple[slice, ...]:
  """Returns where a `Slice` of shape `part` lies in an array of shape `whole`."""
  starts = [0] * len(whole)
  if len(whole) == 4:
    starts[:2] = [_centre(side) - _centre(own) for side, own in zip(whole[:2], part, strict=False)]
  return tuple(slice(start, start + own) for start, own in zip(starts, part, strict=True))


class _Run(NamedTuple):
  logits: tf.Tensor  # [B, classes]
  moments: list[tuple[tf.Tensor, tf.Tensor]]  # mean and variance [C] of each normalised layer


class Path:
  """Runs one network on given weights, with the statistics of the batch.

  It runs eagerly: each step has another network, and tracing one takes longer than running it.
  """

  def __init__(self, architecture: Architecture, layers: Sequence[Layer]) -> None:
    self._nodes = architecture.nodes
    self._layers = {layer.node: layer for layer in layers}

  def run(self, x: tf.Tensor, take: Callable[[Slice], tf.Tensor]) -> _Run:
    """Computes the logits and the statistics of the batch.

    Args:
      x: float32 network inputs. [B, ...]
      take: returns the weights of a slice.
    """
    values: list[tf.Tensor] = []
    moments: list[tuple[tf.Tensor, tf.Tensor]] = []
    for index, node in enumerate(self._nodes):
      inputs = [values[i] for i in node.inputs]
      if index not in self._layers:
        values.append(_WEIGHTLESS[node.op](node, *inputs) if inputs else x)
        continue
      weights = [take(s) for s in self._layers[index].slices]
      kernels = weights[: len(weights) - (2 if self._layers[index].norm else 1)]
      kernel = kernels[0] if len(kernels) == 1 else tf.concat(kernels, -2)
      if node.op == 'classifier':
        values.append(tf.nn.bias_add(tf.matmul(inputs[0], kernel), weights[-1]))
        continue
      value, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        _convolve(node, inputs[0], kernel), *weights[-2:], epsilon=_EPSILON, is_training=True
      )
      values.append(tf.nn.relu(value) if node['activation'] == 'relu' else value)
      moments.append((mean, variance))
    return _Run(values[-1], moments)


def _convolve(node: Node, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
  if node.op == 'dilated_conv':
    return tf.nn.conv2d(x, kernel, 1, 'SAME', dilations=node['dilation'])
  if node.op == 'conv':
    return convolve(x, kernel, stride=node['stride'])
  if node.op == 'dilated_depthwise_conv':
    dilations = [node['dilation'] if side > 1 else 1 for side in kernel.shape[:2]]
    return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], 'SAME', dilations=dilations)
  return tf.nn.depthwise_conv2d(x, kernel, [1, node['stride'], node['stride'], 1], 'SAME')


def _pool(node: Node, x: tf.Tensor) -> tf.Tensor:
  pool = tf.nn.max_pool2d if node.op == 'max_pool' else tf.nn.avg_pool2d
  return pool(x, (node['kernel_height'], node['kernel_width']), node['stride'], 'SAME')


def _pad_like(node: Node, x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  del node
  missing = [like.shape[axis] - x.shape[axis] for axis in (1, 2)]
  return tf.pad(x, [(0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)])


_WEIGHTLESS: Mapping[str, Callable[..., tf.Tensor]] = {
  'max_pool': _pool,
  'avg_pool': _pool,
  'add': lambda node, *terms: tf.add_n(terms),
  'multiply': lambda node, a, b: a * b,
  'concat': lambda node, *parts: tf.concat(parts, -1),
  'pad_like': _pad_like,
  'relu': lambda node, x: tf.nn.relu(x),
  'tanh': lambda node, x: tf.tanh(x),
  'sigmoid': lambda node, x: tf.sigmoid(x),
  'global_avg_pool': lambda node, x: tf.reduce_mean(x, (1, 2)),
}
