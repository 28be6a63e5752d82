"""Quantization-aware training: the network is trained with the rounding of the int8 model.

tensorflow-model-optimization wraps each layer of a twin of the trained network. The twin is trained
a little further, and its weights are copied back into the network, which is converted like any
other (`rlnas.tflite.quantize`). The twin rounds weights in each step and passes gradients through,
as Jacob et al. 2018 (arXiv:1712.05877, section 3) and Krishnamoorthi 2018 (arXiv:1806.08342,
section 3) do. With its default settings tensorflow-model-optimization made short trainings worse.
The differences to them are:

- The ranges of activations are fixed to those of the calibrated network, which the int8 model will
  have (for example one range for all values that a concatenation ties together). By default they
  start at ±6 and move by a thousandth per batch, so that a short training uses wrong ranges.
- Quantizers are placed exactly where the int8 model has a tensor.
- Batch normalisation is folded, with its moving statistics, into the convolution before it, so that
  the rounded weights are those on the chip. By default it continues to use statistics of batches.
- The weights of depthwise convolutions have one range per channel, as on the chip. By default all
  channels share one range, because the quantizer uses the last axis, whose size is 1 for them.
- The weights of a dense layer have one range in all (`rlnas.tflite.quantize` says why).

All operators of rlnas are supported. The int8 model has the same operators, and so the same size
and arena, as the model without this training.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.backend import flatbuffer_utils, keras, quiet, tf

with quiet():
  from tensorflow_model_optimization.quantization.keras import QuantizeConfig, QuantizeWrapperV2
  from tensorflow_model_optimization.quantization.keras.quantizers import (
    FixedQuantizer,
    LastValueQuantizer,
  )

# The smallest and the largest value of each layer's result, by the layer's name.
Ranges = Mapping[str, tuple[float, float]]

_KERNELS = {
  keras.layers.Conv2D: 'kernel',
  keras.layers.DepthwiseConv2D: 'depthwise_kernel',
  keras.layers.Dense: 'kernel',
}
# The ranges of their int8 results in TensorFlow Lite, whatever their values are.
_FIXED = {'tanh': (-1.0, 127 / 128), 'sigmoid': (0.0, 255 / 256)}
_OUTPUT = 'Identity'  # the name of the result in a calibrated file
_PREFIX = 'aware_'


def read_ranges(calibrated: bytes, network: keras.Model) -> dict[str, tuple[float, float]]:
  """Reads the ranges with which a network will be quantized.

  Args:
    calibrated: the file that `rlnas.tflite.quantize.calibrate` returned for the network.
    network: the network; its last layer computes the result.

  Returns:
    By the layer's name, the range of each result that is a tensor of the int8 model, and the range
    of the input. Layers that run several times, as in recurrent cells, are left out: each of their
    runs has its own range.
  """
  model = flatbuffer_utils.convert_bytearray_to_object(bytearray(calibrated))
  graph = model.subgraphs[0]
  entry = network.layers[0].name, graph.tensors[graph.inputs[0]].quantization
  results = [entry, *_results(model, network)]
  times = collections.Counter(name for name, _ in results)
  return {
    name: (float(quantization.min[0]), float(quantization.max[0]))
    for name, quantization in results
    if times[name] == 1
  }


def with_ranges(calibrated: bytes, network: keras.Model, ranges: Ranges) -> bytes:
  """Replaces the ranges in a calibrated file by those that the network was trained with, if any."""
  model = flatbuffer_utils.convert_bytearray_to_object(bytearray(calibrated))
  for name, quantization in _results(model, network):
    if name in ranges:
      quantization.min, quantization.max = [ranges[name][0]], [ranges[name][1]]
  return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def aware_twin(network: keras.Model, ranges: Ranges) -> keras.Model:
  """Builds a trainable twin that computes like the network's future int8 model.

  Args:
    network: a trained network, as `rlnas.child.builder` builds it.
    ranges: the ranges from `read_ranges`.

  Returns:
    A model: float32 [B, ...] -> logits [B, classes].
  """
  folded = _folded(network)

  def wrapped(layer: keras.layers.Layer) -> keras.layers.Layer:
    kind = type(layer)
    if kind is keras.layers.BatchNormalization:
      return keras.layers.Activation('linear', name=layer.name)
    options = layer.get_config()
    if layer.name in folded:
      options['use_bias'] = True
    config = _Rounding(_kernel_of(layer), _range_of(layer, ranges))
    return QuantizeWrapperV2(kind.from_config(options), config, name_prefix=_PREFIX)

  inner = keras.models.clone_model(network, clone_function=wrapped)
  inputs = keras.Input(network.input_shape[1:])
  rounded = wrapped(keras.layers.Activation('linear', name=network.layers[0].name))
  twin = keras.Model(inputs, inner(rounded(inputs)))
  for layer in network.layers:
    if layer.trainable_weights and type(layer) is not keras.layers.BatchNormalization:
      values = folded.get(layer.name) or layer.get_weights()
      for variable, value in zip(_weights_of(twin, layer.name), values, strict=True):
        variable.assign(value)
  return twin


def adopt(network: keras.Model, twin: keras.Model) -> None:
  """Copies the weights of a trained twin into its network.

  Afterwards the network's batch normalisation only adds the bias.
  """
  norms = _norms(network)
  for layer in network.layers:
    if not layer.trainable_weights or type(layer) is keras.layers.BatchNormalization:
      continue
    values = [variable.numpy() for variable in _weights_of(twin, layer.name)]
    if layer.name not in norms:
      layer.set_weights(values)
      continue
    norm, (kernel, bias) = norms[layer.name], values
    ones = np.ones_like(bias)
    layer.set_weights([kernel])
    norm.set_weights([ones, bias, 0 * ones, ones - norm.epsilon])


class _Rounding(QuantizeConfig):
  """How to round the weights of a layer, if it has any, and its result."""

  def __init__(self, kernel: str, result: tuple[float, float] | None) -> None:
    self._kernel = kernel
    self._result = result

  def get_weights_and_quantizers(self, layer: keras.layers.Layer) -> list[tuple[Any, Any]]:
    if not self._kernel:
      return []
    kind = _DepthwiseQuantizer if self._kernel == 'depthwise_kernel' else LastValueQuantizer
    per_channel = not isinstance(layer, keras.layers.Dense)
    quantizer = kind(num_bits=8, per_axis=per_channel, symmetric=True, narrow_range=True)
    return [(getattr(layer, self._kernel), quantizer)]

  def set_quantize_weights(
    self, layer: keras.layers.Layer, quantize_weights: Sequence[tf.Tensor]
  ) -> None:
    for weights in quantize_weights:
      setattr(layer, self._kernel, weights)

  def get_activations_and_quantizers(self, layer: keras.layers.Layer) -> list[tuple[Any, Any]]:
    return []

  def set_quantize_activations(
    self, layer: keras.layers.Layer, quantize_activations: Sequence[Any]
  ) -> None:
    del layer, quantize_activations

  def get_output_quantizers(self, layer: keras.layers.Layer) -> list[Any]:
    if self._result is None:
      return []
    return [FixedQuantizer(8, *self._result, narrow_range=False)]

  def get_config(self) -> dict[str, Any]:
    return {'kernel': self._kernel, 'result': self._result}


class _DepthwiseQuantizer(LastValueQuantizer):
  """Uses one range per channel for kernels [H, W, C, 1]."""

  def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> Any:
    height, width, channels, _ = tensor_shape
    return super().build(tf.TensorShape((height, width, 1, channels)), name, layer)

  def __call__(self, inputs: tf.Tensor, training: bool, weights: Any, **kwargs: Any) -> tf.Tensor:
    swapped = tf.transpose(inputs, (0, 1, 3, 2))
    return tf.transpose(super().__call__(swapped, training, weights, **kwargs), (0, 1, 3, 2))


def _kernel_of(layer: keras.layers.Layer) -> str:
  """Returns the name of the weights to round; '' if there are none."""
  return next((name for kind, name in _KERNELS.items() if isinstance(layer, kind)), '')


def _range_of(layer: keras.layers.Layer, ranges: Ranges) -> tuple[float, float] | None:
  """Returns the range in which the result of a layer is rounded; None if it is not rounded."""
  fixed = _FIXED.get(layer.get_config().get('activation', ''))
  if fixed is not None or layer.name not in ranges:
    return fixed
  least, most = ranges[layer.name]
  least, most = min(least, 0.0), max(most, 0.0)
  return (least, most) if most - least > 0 else None  # a dead layer's result is 0 anyway


def _results(model: Any, network: keras.Model) -> list[tuple[str, Any]]:
  """Returns the results of operators as (name of the layer, range).

  A tensor has the name of the last operation that was fused into its operator, as in
  'child/node1_relu/Relu;child/node1_conv/Conv2D'. Names of biases are ignored, because equal biases
  share a name.
  """
  graph = model.subgraphs[0]
  found = []
  for operator in graph.operators:
    tensor = graph.tensors[operator.outputs[0]]
    paths = [path.split('/') for path in tensor.name.decode().split(';')]
    own = [path for path in paths if not path[-1].startswith('BiasAdd')] or paths
    name = network.layers[-1].name if own[0][0] == _OUTPUT else own[0][1]
    if tensor.quantization is not None and tensor.quantization.min is not None:
      found.append((name, tensor.quantization))
  return found


def _weights_of(twin: keras.Model, name: str) -> list[tf.Variable]:
  """Returns the kernel of a layer's twin, and its bias if there is one."""
  variables = twin.layers[-1].get_layer(f'{_PREFIX}{name}').trainable_weights
  return sorted(variables, key=lambda v: 'bias' in v.name)


def _norms(network: keras.Model) -> dict[str, keras.layers.Layer]:
  """Returns the batch normalisation after each convolution, by the name of the convolution."""
  norms = {}
  for layer in network.layers:
    if type(layer) is keras.layers.BatchNormalization:
      norms[layer.inbound_nodes[0].inbound_layers.name] = layer
  return norms


def _folded(network: keras.Model) -> dict[str, list[npt.NDArray[np.float32]]]:
  """Folds the batch normalisation into each convolution (Jacob et al., eq. 14).

  Returns:
    Kernel and bias, by the name of the convolution.
  """
  folded = {}
  for name, norm in _norms(network).items():
    layer = network.get_layer(name)
    (kernel,) = layer.get_weights()
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + norm.epsilon)
    is_depthwise = type(layer) is keras.layers.DepthwiseConv2D
    folded[name] = [kernel * (factor[:, None] if is_depthwise else factor), beta - mean * factor]
  return folded
