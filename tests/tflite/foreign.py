"""Models as other tools make them, for tests of what is measured and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlnas.backend import flatbuffer_utils, keras, quiet, tf

schema = flatbuffer_utils.schema_fb


def edited(model: bytes, edit: Callable[[Any], None]) -> bytes:
  """The model after `edit` has changed its object."""
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  edit(graph)
  return bytes(flatbuffer_utils.convert_object_to_bytearray(graph))


def of_function(function: Callable[..., Any], *shapes: tuple[int | None, ...]) -> bytes:
  """A float model of a function of tensors."""
  made = tf.function(function, input_signature=[tf.TensorSpec(s, tf.float32) for s in shapes])
  with quiet():
    converter = tf.lite.TFLiteConverter.from_concrete_functions([made.get_concrete_function()])
    return bytes(converter.convert())


def of_keras(
  model: keras.Model, *, kind: str = 'float', shape: tuple[int | None, ...] | None = None
) -> bytes:
  """A Keras model as `kind`: float, float16, dynamic (range) or int8.

  Args:
    model: the network, with one input.
    kind: how it is quantized.
    shape: shape of the input with the batch; by default the model's with a batch of 1.
  """
  shape = shape or (1, *model.input_shape[1:])
  forward = tf.function(model, input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
  with quiet():
    function = forward.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    # Only recurrent layers need a SavedModel, in which TensorFlow Lite finds their operators.
    converter.experimental_lower_to_saved_model = any(
      isinstance(layer, keras.layers.RNN) for layer in model.layers
    )
    if kind != 'float':
      converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == 'float16':
      converter.target_spec.supported_types = [tf.float16]
    if kind == 'int8':
      rows = np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)
      converter.representative_dataset = lambda: ([row] for row in rows)
      converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
      converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def convolutional(side: int | None = 8, filters: int = 8) -> keras.Model:
  """A convolution and a dense layer over its mean."""
  inputs = keras.layers.Input((side, side, 1))
  x = keras.layers.Conv2D(filters, 3, activation='relu')(inputs)
  x = keras.layers.GlobalAveragePooling2D()(x)
  return keras.Model(inputs, keras.layers.Dense(4)(x))


def recurrent(layer: keras.layers.Layer, *, steps: int = 6, features: int = 5) -> keras.Model:
  """A recurrent layer and a dense layer of 3."""
  inputs = keras.layers.Input((steps, features))
  return keras.Model(inputs, keras.layers.Dense(3)(layer(inputs)))


def streaming(steps: int = 4, features: int = 8) -> bytes:
  """A dense layer over the last `steps` inputs, which a resource variable keeps."""

  class Streaming(tf.Module):
    def __init__(self) -> None:
      super().__init__()
      self.past = tf.Variable(tf.zeros((1, steps, features)))
      self.kernel = tf.constant(
        np.random.default_rng(0).normal(size=(steps * features, 3)), tf.float32
      )

    @tf.function(input_signature=[tf.TensorSpec((1, 1, features), tf.float32)])
    def forward(self, x: tf.Tensor) -> tf.Tensor:
      past = tf.concat([self.past[:, 1:], x], axis=1)
      self.past.assign(past)
      return tf.reshape(past, (1, steps * features)) @ self.kernel

  module = Streaming()
  with quiet():
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
      [module.forward.get_concrete_function()], module
    )
    converter.experimental_enable_resource_variables = True
    return bytes(converter.convert())


def svdf(inputs: int = 10, filters: int = 8, memory: int = 6) -> bytes:
  """A single SVDF of rank 1, as streaming keyword models have; TensorFlow has no such layer."""
  rng = np.random.default_rng(0)

  def constant(*shape: int) -> tuple[tuple[int, ...], Any]:
    return shape, np.frombuffer(rng.normal(size=shape).astype(np.float32).tobytes(), np.uint8)

  rows = [
    ((1, inputs), None),
    constant(filters, inputs),
    constant(filters, memory),
    constant(filters),
    ((1, filters * memory), None),
    ((1, filters), None),
  ]
  model, graph = schema.ModelT(), schema.SubGraphT()
  model.version, model.subgraphs, model.description = 3, [graph], 'svdf'
  model.buffers, graph.tensors = [schema.BufferT()], []
  for index, (shape, data) in enumerate(rows):
    tensor, buffer = schema.TensorT(), schema.BufferT()
    tensor.shape, tensor.type = np.array(shape, np.int32), schema.TensorType.FLOAT32
    tensor.buffer, tensor.name, tensor.isVariable = index + 1, f't{index}', index == 4
    buffer.data = data
    graph.tensors.append(tensor)
    model.buffers.append(buffer)
  graph.inputs, graph.outputs = np.array([0], np.int32), np.array([5], np.int32)
  code, operator = schema.OperatorCodeT(), schema.OperatorT()
  code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SVDF
  operator.builtinOptionsType = schema.BuiltinOptions.SVDFOptions
  operator.builtinOptions = schema.SVDFOptionsT()
  operator.builtinOptions.rank = 1
  operator.inputs, operator.outputs = np.arange(5, dtype=np.int32), np.array([5], np.int32)
  model.operatorCodes, graph.operators = [code], [operator]
  return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def branches(x: tf.Tensor) -> tf.Tensor:
  """One of two products of matrices of different sizes, as the data decide."""
  small, large = (
    tf.constant(np.random.default_rng(n).normal(size=(8, n)), tf.float32) for n in (2, 6)
  )
  return tf.cond(
    tf.reduce_sum(x) > 0,
    lambda: tf.reduce_sum(x @ small, keepdims=True),
    lambda: tf.reduce_sum(x @ large, keepdims=True),
  )


def int16x8(model: keras.Model) -> bytes:
  """A Keras model with activations of 16 bits and weights of 8."""
  shape = (1, *model.input_shape[1:])
  forward = tf.function(model, input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
  rows = np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)
  with quiet():
    function = forward.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.experimental_lower_to_saved_model = False
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row] for row in rows)
    converter.target_spec.supported_ops = [
      tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    converter.inference_input_type = converter.inference_output_type = tf.int16
    return bytes(converter.convert())


def int4_kernels(model: bytes) -> bytes:
  """An int8 model whose convolutions have kernels of 4 bits, two values a byte."""

  def pack(graph: Any) -> None:
    convolutions = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
    for operator in graph.subgraphs[0].operators:
      if graph.operatorCodes[operator.opcodeIndex].builtinCode in convolutions:
        kernel = graph.subgraphs[0].tensors[operator.inputs[1]]
        buffer = graph.buffers[kernel.buffer]
        values = np.asarray(buffer.data).view(np.int8) // 16  # [even]
        buffer.data = ((values[::2] & 15) | ((values[1::2] & 15) << 4)).astype(np.uint8)
        kernel.type = schema.TensorType.INT4
        kernel.quantization.scale = 16 * np.asarray(kernel.quantization.scale)

  return edited(model, pack)


def two_inputs() -> keras.Model:
  """A convolution over an image and a dense layer over six numbers, put together."""
  image, numbers = keras.layers.Input((8, 8, 1)), keras.layers.Input((6,))
  seen = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(image))
  known = keras.layers.Dense(5)(numbers)
  both = keras.layers.Concatenate()([seen, known])
  return keras.Model([image, numbers], keras.layers.Dense(4)(both))


def attention(steps: int = 10, features: int = 16) -> keras.Model:
  """One head of self-attention, and a dense layer of 4 over the mean of its results."""
  inputs = keras.layers.Input((steps, features))
  query, key, value = (keras.layers.Dense(features)(inputs) for _ in range(3))
  weights = keras.layers.Softmax()(tf.matmul(query, key, transpose_b=True))
  mean = keras.layers.GlobalAveragePooling1D()(tf.matmul(weights, value))
  return keras.Model(inputs, keras.layers.Dense(4)(mean))


def u_net() -> keras.Model:
  """16x16 pixels to 8x8 and back, beside a connection across."""
  inputs = keras.layers.Input((16, 16, 1))
  fine = keras.layers.Conv2D(4, 3, padding='same')(inputs)
  coarse = keras.layers.Conv2D(8, 3, padding='same')(keras.layers.MaxPool2D()(fine))
  raised = keras.layers.Conv2DTranspose(4, 3, 2, padding='same')(coarse)
  both = keras.layers.Concatenate()([raised, fine])
  return keras.Model(inputs, keras.layers.Conv2D(1, 1)(both))
