"""Post-training quantization to full int8 (Jacob et al. 2018, arXiv:1712.05877, section 3).

The network is converted from one traced function, without a SavedModel in between: 0.2 s a network
instead of 2 to 3 s. Calibration and quantization are two calls, so that
`rlnas.tflite.calibration_fixes` can correct the calibrated network in between. Equal weights and
equal layer names give equal bytes (a .tflite file contains the names, so a builder must not take
them from Keras' global counter).

The weights of a convolution have one scale per output channel, those of a dense layer one scale in
all, because TFLite Micro ignored all but the first scale of a dense layer until 27 September 2024
(tflite-micro 47b545074).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.backend import keras, mlir_quantize, quiet, tf
from rlnas.data.scaling import Scaling
from rlnas.tflite.calibration_fixes import mend
from rlnas.tflite.compact import compact

Float32Array = npt.NDArray[np.float32]


def calibration_rows(x: npt.NDArray[Any], *, scaling: Scaling, count: int = 100) -> Float32Array:
  """Selects examples for calibration: evenly spaced ones, and the two with the extremes of `x`.

  With the extremes the int8 input covers all of the data: uint8 images over [0, 255] divided by
  255 get the scale 1/255 and the zero point -128, so a firmware converts a pixel by subtracting
  128. They are real examples, because an artificial one would widen the ranges of inner layers.

  Args:
    x: training examples in any order. [N, ...]
    scaling: how to scale `x` for the network.
    count: number of evenly spaced examples. 50 to 100 are enough: more changed no accuracy.

  Returns:
    float32 network inputs. [at most count + 2, ...]

  Raises:
    ValueError: `x` is empty, or `count` is not positive.
  """
  if len(x) == 0:
    raise ValueError(f'x of shape {x.shape}: must hold at least one example')
  if count < 1:
    raise ValueError(f'count={count}: must be at least 1')
  chosen = set(np.linspace(0, len(x) - 1, min(count, len(x))).astype(int).tolist())
  width = x[0].size
  # Scaling by plain numbers does not move the extremes, so it needs no scaled copy of the data.
  seen = scaling.apply(x) if scaling.is_per_feature else x
  chosen |= {int(np.argmin(seen)) // width, int(np.argmax(seen)) // width}
  return scaling.inputs(x[sorted(chosen)])


def quantize(model: keras.Model, calibration: Float32Array) -> bytes:
  """Converts a trained network to a .tflite file with int8 weights, activations, input and output.

  The file is packed and its operators are ordered for TFLite Micro (`rlnas.tflite.compact`).

  Args:
    model: a network with one input and one output, used in inference mode. [N, ...] -> [N, classes]
      If it ends by flattening, the file ends before that: its outputs have the sides of a map.
    calibration: network inputs that show the range of every activation; see `calibration_rows`.

  Returns:
    The bytes of the file, for batches of 1. The same weights give the same bytes.

  Raises:
    ValueError: `calibration` does not fit the model or is not finite, or a tensor of the result
      is not an integer.
  """
  return compact(convert(model, calibration))


def convert(model: keras.Model, calibration: Float32Array) -> bytes:
  """As `quantize`, but does not pack the file: it keeps names and the order of conversion."""
  return to_int8(calibrate(model, calibration))


def calibrate(model: keras.Model, calibration: Float32Array) -> bytes:
  """Converts a network to a floating-point .tflite file with the ranges to quantize with.

  Args:
    model: see `quantize`.
    calibration: see `quantize`.

  Returns:
    The bytes of the file; its tensors hold their ranges.

  Raises:
    ValueError: `calibration` does not fit the model or is not finite.
  """
  shape = tuple(model.input_shape[1:])
  if calibration.dtype != np.float32 or calibration.shape[1:] != shape or not len(calibration):
    raise ValueError(
      f'calibration of {calibration.dtype}{calibration.shape}: must be float32 [N, '
      f'{", ".join(map(str, shape))}] with N at least 1'
    )
  if not np.isfinite(calibration).all():
    raise ValueError('calibration: must be finite')
  signature = tf.TensorSpec((1, *shape), tf.float32, name='input')
  with quiet():
    body = _without_flatten(model)
    forward = tf.function(lambda x: body(x, training=False), autograph=False)
    function = forward.get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    converter.experimental_lower_to_saved_model = False
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter._experimental_calibrate_only = True
    return mend(converter.convert())


def _without_flatten(model: keras.Model) -> keras.Model:
  """The model without a last layer that flattens: on the chip that would copy all outputs."""
  last = model.layers[-1]
  if type(last) is not keras.layers.Flatten:
    return model
  return keras.Model(model.inputs, last.input, name=model.name)


def to_int8(calibrated: bytes, *, per_channel_dense: bool = False) -> bytes:
  """Quantizes a file from `calibrate`.

  Args:
    calibrated: the file.
    per_channel_dense: whether each output of a dense layer has its own scale of the weights. TFLite
      Micro reads these scales since September 2024; earlier releases use the first for all.

  Raises:
    ValueError: a tensor of the result is not an integer.
  """
  with quiet():
    converted = bytes(
      mlir_quantize(
        calibrated,
        fully_quantize=True,
        input_data_type=tf.int8,
        output_data_type=tf.int8,
        disable_per_channel_for_dense_layers=not per_channel_dense,
      )
    )
  check_integer(converted)
  return converted


def check_integer(model: bytes) -> None:
  """Raises ValueError if a .tflite file has tensors that are not integers, and names them."""
  with quiet():
    tensors = tf.lite.Interpreter(model_content=model).get_tensor_details()
  floats = [t['name'] for t in tensors if not np.issubdtype(t['dtype'], np.integer)]
  if floats:
    raise ValueError(f'model: not full-integer, these tensors are not: {", ".join(floats)}')
