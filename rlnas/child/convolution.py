"""Layers that Keras does not have: a convolution that trains faster, and a resizing.

The convolution is trained by a matrix product if its window is 1x1. Forward and backward, this
takes two thirds of the time of TensorFlow's convolution; with a stride it reads only the pixels
that count. It is also what makes oneDNN safe: on processors without AVX-512, oneDNN ended the
process in the gradient of a 1x1 filter with stride 2 on one channel.
Networks compute, are validated and are converted as before; only the training differs, by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rlnas.backend import keras, tf

Call = TypeVar('Call', bound=Callable[..., Any])


def convolve(x: tf.Tensor, kernel: tf.Tensor, *, stride: int) -> tf.Tensor:
  """Convolves with 'same' padding, in a form whose gradient is safe and fast.

  Args:
    x: images. [B, H, W, C]
    kernel: filters. [height, width, C, F]
    stride: pixels from one window to the next, on either axis.

  Returns:
    The sums. [B, ceil(H / stride), ceil(W / stride), F]
  """
  if tuple(kernel.shape[:2]) != (1, 1):
    return tf.nn.conv2d(x, kernel, stride, 'SAME')
  if stride > 1:
    x = x[:, ::stride, ::stride]
  _, height, width, channels = x.shape
  rows = tf.matmul(tf.reshape(x, (-1, channels)), kernel[0, 0])  # [B * H * W, F]
  return tf.reshape(rows, (-1, height, width, kernel.shape[-1]))


def _unconverted(call: Call) -> Call:
  """Lets AutoGraph take a layer's function as it is.

  Else it writes a copy into a temporary file, which is left behind if the process is killed. Its
  own decorator hides the arguments of the function from Keras, which then passes no `training`.
  """
  call.autograph_info__ = None  # type: ignore[attr-defined]
  return call


# It has Keras' name because files of weights name the kind of a layer (`rlnas.child.inherit`).
class Conv2D(keras.layers.Conv2D):
  """A 'same' convolution as Keras has it, which trains by `convolve`."""

  @_unconverted
  def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
    """Convolves images: [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), F]."""
    if training is not True or self.kernel_size != (1, 1):
      return super().call(inputs)
    sums = convolve(inputs, self.kernel, stride=self.strides[0])
    if self.use_bias:
      sums = tf.nn.bias_add(sums, self.bias)
    return sums if self.activation is None else self.activation(sums)

  def get_prunable_weights(self) -> list[tf.Variable]:
    """The kernel; tensorflow-model-optimization asks layers that are not Keras' own."""
    return [self.kernel]


class NearestResize(keras.layers.Layer):
  """Repeats the values of a map to fill another size: nearest neighbours of pixels' centres.

  Keras' own layers are not used: they skip maps that have the size already, or repeat and join.
  """

  def __init__(self, height: int, width: int, **options: Any) -> None:
    """Takes the new size, and the options of every layer."""
    super().__init__(**options)
    self._size = (height, width)

  @_unconverted
  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Resizes images: [B, H, W, C] -> [B, height, width, C]."""
    return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=self._size, half_pixel_centers=True)

  def get_config(self) -> dict[str, Any]:
    """The size and the options, with which Keras makes a copy."""
    height, width = self._size
    return {**super().get_config(), 'height': height, 'width': width}
