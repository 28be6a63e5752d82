"""One set of weights for all networks of a space, trained once (Pham et al. 2018, ENAS).

A network of the space is a path through the supernet: where two networks have the same kind of
layer at the same depth, they read the same weights (arXiv:1802.03268, section 2). Every step trains
the path of one network with one batch, as in Guo et al. 2020 (arXiv:1904.00420, section 3.2), who
draw it uniformly: no controller takes part, so that one supernet serves every strategy.

What a layer shares is found from the architecture alone, for any space:

- Its place is its depth, the most convolutions on a way from the image to it, depthwise ones not
  counted; of like layers at equal depth the first, second and so on are different ones.
- An array is as large as the largest layer at its place. Others take its first channels and the
  centre of its window (Cai et al. 2020, Once-for-All, arXiv:1908.09791, section 3).
- Of a concatenation each part has weights of its own, named after the depth that it comes from, as
  ENAS has them for each incoming connection.
- Kernels begin near the identity (Zagoruyko & Komodakis 2017, DiracNets, arXiv:1706.00388), so that
  a channel means the same whatever layers it has come through, from the first step on.

In every step a layer finds other layers below it, so most of this is needed to learn at all: after
800 chains on small digits the loss was 1.5; with weights of their own for each window it was 2.0,
with a classifier for each depth as well 2.2, and without the identity 2.3, which is chance.

Moving statistics of batch normalisation mean nothing where networks change with every step. Paths
are trained with statistics of the batch, and those of a network that is looked at are estimated
anew (Guo et al. 2020, section 3.4; Bender et al. 2018, section 3.3).
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.architecture import COMMUTATIVE, Architecture, Node, Shape, infer_shapes
from rlnas.backend import keras, tf
from rlnas.child.builder import build
from rlnas.child.limits import within_limits
from rlnas.datasets import Dataset
from rlnas.trial import derive_seed

Float32Array = npt.NDArray[np.float32]
# Is called with the number of finished steps and the loss of the last one.
OnStep = Callable[[int, float], object]

_MIXING = ('conv', 'dilated_conv')
_CONVOLUTIONS = (*_MIXING, 'depthwise_conv')
_REFUSED = ('dense', 'frames')
_NOISE = 0.3  # of the kernels of He et al. 2015 beside the identity; 0.03, 0.1 and 1 learned slower
_EPSILON = 1e-3  # of batch normalisation, as Keras has it
_BETA_1, _BETA_2, _ADAM_EPSILON = 0.9, 0.999, 1e-7  # as `rlnas.child.adam`


class Slice(NamedTuple):
  """A part of a shared array: the centre of its window [height, width], the first channels."""

  name: str
  shape: Shape


class Layer(NamedTuple):
  """What a node with weights takes from the supernet.

  Attributes:
    node: index of the node.
    kernels: concatenated along the input channels they are the layer's kernel, or the weights of
      the classifier [channels, classes].
    norm: name of scale and offset of the batch normalisation; '' for the classifier.
    channels: of the output.
  """

  node: int
  kernels: tuple[Slice, ...]
  norm: str
  channels: int

  @property
  def slices(self) -> tuple[Slice, ...]:
    """The kernels, then scale and offset, or the classifier's bias."""
    names = (f'{self.norm}/gamma', f'{self.norm}/beta') if self.norm else ('classifier/bias',)
    return (*self.kernels, *(Slice(name, (self.channels,)) for name in names))


class _Part(NamedTuple):
  """Channels of a value that come from one node, and its depth."""

  depth: int
  channels: int


def layers_of(
  architecture: Architecture, input_shape: Sequence[int], classes: int
) -> tuple[Layer, ...]:
  """What every node with weights takes from the supernet, in order.

  Args:
    architecture: the network, within the limits of `rlnas.child.limits`.
    input_shape: of an example.
    classes: width of the classifier.

  Raises:
    ValueError: the network has operations whose weights are not shared by place: 'dense' nodes
      share theirs already, from one step of a recurrent network to the next.
  """
  shapes = infer_shapes(architecture, input_shape, classes)
  depths: list[int] = []
  parts: list[tuple[_Part, ...]] = []  # of each value
  found: list[Layer] = []
  counts: Counter[str] = Counter()
  for index, (node, shape) in enumerate(zip(architecture.nodes, shapes, strict=True)):
    if node.op in _REFUSED:
      raise ValueError(f'node {index}: a supernet has no {node.op} nodes, only maps')
    depth = max((depths[i] for i in node.inputs), default=0) + (node.op in _MIXING)
    read = parts[node.inputs[0]] if node.inputs else ()
    if node.op in _CONVOLUTIONS:
      name = _place(node, depth)
      counts[name] += 1
      found.append(_layer(index, node, f'{name}.{counts[name]}', read, shape))
    elif node.op == 'classifier':
      kernels = _slices('classifier', read, lambda channels: (channels, classes))
      found.append(Layer(index, kernels, '', classes))
    depths.append(depth)
    parts.append(_parts(node, depth, [parts[i] for i in node.inputs], shape))
  return tuple(found)


def _place(node: Node, depth: int) -> str:
  dilation = f'{node["dilation"]}' if node.op == 'dilated_conv' else ''
  return f'{node.op}{dilation}@{depth}'


def _layer(index: int, node: Node, place: str, read: Sequence[_Part], shape: Shape) -> Layer:
  window = (node['kernel_height'], node['kernel_width'])
  outputs = 1 if node.op == 'depthwise_conv' else shape[-1]
  kernels = _slices(place, read, lambda channels: (*window, channels, outputs))
  return Layer(index, kernels, place, shape[-1])


def _slices(place: str, read: Sequence[_Part], shape: Callable[[int], Shape]) -> tuple[Slice, ...]:
  """One of each part that is read; what is no concatenation comes from the depth before."""
  if len(read) == 1:
    return (Slice(place, shape(read[0].channels)),)
  found, counts = [], Counter[int]()
  for part in read:
    counts[part.depth] += 1
    found.append(Slice(f'{place}<{part.depth}.{counts[part.depth]}', shape(part.channels)))
  return tuple(found)


def _parts(
  node: Node, depth: int, inputs: Sequence[tuple[_Part, ...]], shape: Shape
) -> tuple[_Part, ...]:
  """Where the channels of a value come from."""
  if node.op == 'concat':
    return tuple(part for parts in inputs for part in parts)
  if node.op in (*_MIXING, 'input') or (node.op in COMMUTATIVE and len(set(inputs)) > 1):
    return (_Part(depth, shape[-1]),)
  return inputs[0]


@dataclasses.dataclass(frozen=True, eq=False)
class Supernet:
  """Trained shared weights.

  Attributes:
    arrays: by the names of `Slice`.
    input_shape: of an example.
    classes: width of the classifier.
    seed: of the training; decides weights that no step has reached.
  """

  arrays: Mapping[str, Float32Array]
  input_shape: Shape
  classes: int
  seed: int

  def network(self, architecture: Architecture, batches: Sequence[Float32Array]) -> keras.Model:
    """Builds a network with its part of the weights.

    Where it is wider or deeper than all networks of the training, the rest of its weights are
    fresh.

    Args:
      architecture: the network.
      batches: network inputs, [N, *input_shape] each; the statistics of batch normalisation are
        the means of theirs.

    Returns:
      As `rlnas.child.builder.build`.

    Raises:
      ValueError: as `layers_of`, or there is no batch.
    """
    if not batches:
      raise ValueError('batches: must hold at least one')
    architecture = within_limits(architecture)
    layers = layers_of(architecture, self.input_shape, self.classes)
    weights = {s: tf.constant(self._take(s)) for layer in layers for s in layer.slices}
    path = _Path(architecture, layers)
    moments = [path.run(tf.constant(batch), weights.__getitem__).moments for batch in batches]
    model = build(architecture, self.input_shape, self.classes, seed=self.seed)
    for number, layer in enumerate(layers):
      own = [weights[s] for s in layer.slices]
      kernel, rest = tf.concat(own[: len(layer.kernels)], -2), own[len(layer.kernels) :]
      if not layer.norm:
        model.get_layer(f'node{layer.node}_logits').set_weights([kernel, *rest])
        continue
      kind = 'depthwise' if architecture.nodes[layer.node].op == 'depthwise_conv' else 'conv'
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
      whole[_within(sides, held.shape)] = held
      held = whole
    return held[_within(held.shape, wanted.shape)]


def initial(wanted: Slice, seed: int) -> Float32Array:
  """Weights before training: scale 1, offset 0, kernels the identity and noise."""
  if len(wanted.shape) == 1:
    return np.full(wanted.shape, wanted.name.endswith('/gamma'), np.float32)
  # A depthwise kernel [height, width, channels, 1] sums over its window alone.
  depthwise = wanted.name.startswith('depthwise_conv')
  window = wanted.shape[:2] if depthwise else wanted.shape[:-1]
  rng = np.random.default_rng(derive_seed(seed, wanted.name))
  values = rng.normal(0, math.sqrt(2 / math.prod(window)), wanted.shape)
  if len(wanted.shape) == 4:
    values *= _NOISE
    centre = values[_centre(wanted.shape[0]), _centre(wanted.shape[1])]
    centre += 1 if depthwise else np.eye(*centre.shape)
  return values.astype(np.float32)


def _centre(side: int) -> int:
  """The element of a window that lies on the pixel of the output."""
  return (side - 1) // 2


def _within(whole: Sequence[int], part: Sequence[int]) -> tuple[slice, ...]:
  """Where a `Slice` of the one shape lies in an array of the other."""
  starts = [0] * len(whole)
  if len(whole) == 4:
    starts[:2] = [_centre(side) - _centre(own) for side, own in zip(whole[:2], part, strict=False)]
  return tuple(slice(start, start + own) for start, own in zip(starts, part, strict=True))


class _Run(NamedTuple):
  logits: tf.Tensor  # [B, classes]
  moments: list[tuple[tf.Tensor, tf.Tensor]]  # mean and variance [C] of each normalised layer


class _Path:
  """Runs one network on weights that are handed in, with the statistics of the batch.

  Eager: every step has another network, and to trace one takes longer than to run it.
  """

  def __init__(self, architecture: Architecture, layers: Sequence[Layer]) -> None:
    self._nodes = architecture.nodes
    self._layers = {layer.node: layer for layer in layers}

  def run(self, x: tf.Tensor, take: Callable[[Slice], tf.Tensor]) -> _Run:
    """Float32 network inputs [B, ...] to logits."""
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
    return tf.nn.conv2d(x, kernel, node['stride'], 'SAME')
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


def train_supernet(
  architectures: Sequence[Architecture],
  dataset: Dataset,
  *,
  seed: int,
  batch_size: int = 64,
  learning_rate: float = 1e-2,
  on_step: OnStep | None = None,
) -> Supernet:
  """Trains shared weights, each step those of one network.

  Args:
    architectures: the network of each step, in order; draw them from the space.
    dataset: its training data, its offset and its scale are used.
    seed: decides the initial weights and the order of the examples.
    batch_size: examples a step.
    learning_rate: of the first step; falls to 0 as half a cosine.
    on_step: called after each step.

  Raises:
    ValueError: an argument is out of its range, or as `layers_of`.
    FloatingPointError: the loss is no longer finite.
  """
  if not architectures:
    raise ValueError('architectures: must hold at least one, the network of each step')
  if batch_size < 1:
    raise ValueError(f'batch_size={batch_size}: must be at least 1')
  if not (learning_rate > 0 and math.isfinite(learning_rate)):
    raise ValueError(f'learning_rate={learning_rate}: must be positive')
  limited = [within_limits(a) for a in architectures]
  paths = [layers_of(a, dataset.input_shape, dataset.classes) for a in limited]
  bank = _Bank(paths, seed)
  rng = np.random.default_rng(derive_seed(seed, 'order'))
  order = np.zeros(0, np.int64)
  batch_size = min(batch_size, len(dataset.x_train))
  for step, (architecture, layers) in enumerate(zip(limited, paths, strict=True)):
    if len(order) < batch_size:
      order = rng.permutation(len(dataset.x_train))
    chosen, order = order[:batch_size], order[batch_size:]
    x = (dataset.x_train[chosen].astype(np.float32) - dataset.offset) / dataset.scale
    rate = learning_rate * (1 + math.cos(math.pi * step / len(paths))) / 2
    y = tf.constant(dataset.y_train[chosen], tf.int32)
    loss = bank.descend(_Path(architecture, layers), tf.constant(x, tf.float32), y, rate)
    if not math.isfinite(loss):
      raise FloatingPointError(f'training diverged: loss {loss} in step {step + 1} of {len(paths)}')
    if on_step is not None:
      on_step(step + 1, loss)
  return Supernet(bank.arrays(), dataset.input_shape, dataset.classes, seed)


class _Bank:
  """The shared weights as variables, and Adam (Kingma & Ba 2015, algorithm 1) for each.

  A variable counts the steps that reached it, and rests in all others.
  """

  def __init__(self, paths: Sequence[Sequence[Layer]], seed: int) -> None:
    largest: dict[str, Shape] = {}
    for name, shape in {s for layers in paths for layer in layers for s in layer.slices}:
      sides = zip(largest.get(name, shape), shape, strict=True)
      largest[name] = tuple(max(pair) for pair in sides)
    self._variables = {
      name: tf.Variable(initial(Slice(name, shape), seed))
      for name, shape in sorted(largest.items())
    }
    self._slots = {
      name: (tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v)))
      for name, v in self._variables.items()
    }
    self._steps: Counter[str] = Counter()

  def arrays(self) -> dict[str, Float32Array]:
    return {name: variable.numpy() for name, variable in self._variables.items()}

  def descend(self, path: _Path, x: tf.Tensor, y: tf.Tensor, rate: float) -> float:
    """One step of all that the path reads; returns the mean cross-entropy in nats."""
    reached: list[str] = []

    def take(wanted: Slice) -> tf.Tensor:
      reached.append(wanted.name)
      whole = self._variables[wanted.name]
      places = _within(whole.shape, wanted.shape)
      return tf.slice(whole, [place.start for place in places], wanted.shape)

    with tf.GradientTape() as tape:
      logits = path.run(x, take).logits
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
      loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [self._variables[name] for name in reached])
    for name, gradient in zip(reached, gradients, strict=True):
      self._apply(name, gradient, rate)
    return float(loss)

  def _apply(self, name: str, gradient: tf.Tensor, rate: float) -> None:
    self._steps[name] += 1
    first, second = self._slots[name]
    time = self._steps[name]
    tf.raw_ops.ResourceApplyAdam(
      var=self._variables[name].handle,
      m=first.handle,
      v=second.handle,
      beta1_power=_BETA_1**time,
      beta2_power=_BETA_2**time,
      lr=rate,
      beta1=_BETA_1,
      beta2=_BETA_2,
      epsilon=_ADAM_EPSILON,
      grad=gradient,
    )
