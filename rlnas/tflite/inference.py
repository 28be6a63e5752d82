"""Runs quantized networks: their int8 outputs, their confusions and their accuracy.

The outputs come from TensorFlow Lite's builtin kernels without delegates, which are fast. Each
operator agrees with TFLite Micro's to one unit of the int8 result; XNNPACK's do not. Deep networks
amplify the different rounding of depthwise convolutions, and recurrent networks that of dense
layers, products and tanh: outputs of 200 untrained networks differed by at most 1 unit
(multi-branch), 6 (NASNet cells) and 11 (unrolled recurrent cells, convolutional autoencoders).
`tflm_logits` runs TFLite Micro itself, so its outputs have no such difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.backend import quiet
from rlnas.cost.arena_head import ROOMY_ARENA_BYTES
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Confusion, Metric, confusion_matrix
from rlnas.data.scaling import Scaling
from rlnas.data.spread import Spread, spread
from rlnas.data.tasks import Head, Task
from rlnas.tflite.footprint import Model, measure, read_model
from rlnas.tflite.model_file import interpreter_of, read_subgraphs

Int8Array = npt.NDArray[np.int8]


def int8_logits(
  model: Model, x: npt.NDArray[Any], *, scaling: Scaling, batch_size: int = 100
) -> Int8Array:
  """Runs a quantized network on the builtin kernels of TensorFlow Lite.

  Args:
    model: path or bytes of a full-integer .tflite file.
    x: examples as in the data set. [N, ...]
    scaling: how to scale `x` for the network, before it is rounded to the int8 input.
    batch_size: examples per call.

  Returns:
    The int8 outputs, not rescaled. [N, classes]

  Raises:
    ValueError: the model is not a .tflite file or not int8, or `x` does not fit it.
  """
  interpreter = interpreter_of(read_model(model))
  details = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
  port = _Port(details[0]['shape'], *details[0]['quantization'])
  _check_fit(port, [np.dtype(d['dtype']).name for d in details], x)
  batches = (_quantized(part, port, scaling) for part in _batches(x, batch_size))
  return _outputs(interpreter, batches)


def _batches(x: npt.NDArray[Any], size: int) -> Iterator[npt.NDArray[Any]]:
  return (x[start : start + size] for start in range(0, len(x), size))


def _outputs(interpreter: Any, batches: Iterable[npt.NDArray[Any]]) -> npt.NDArray[Any]:
  """Runs an interpreter of TensorFlow Lite on batches of inputs: [N, classes]."""
  entry, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
  found, rows = [], 0
  for batch in batches:
    if len(batch) != rows:
      rows = len(batch)
      interpreter.resize_tensor_input(entry['index'], batch.shape)
      interpreter.allocate_tensors()
    interpreter.set_tensor(entry['index'], batch)
    interpreter.invoke()
    found.append(interpreter.get_tensor(result['index']).reshape(rows, -1))
  return np.concatenate(found)


def real_logits(model: Model, x: npt.NDArray[Any], *, scaling: Scaling) -> npt.NDArray[np.float64]:
  """As `int8_logits`, but in real units. [N, classes]."""
  return real_units(model, int8_logits(model, x, scaling=scaling))


def real_units(model: Model, outputs: Int8Array) -> npt.NDArray[np.float64]:
  """The int8 outputs [N, outputs] of a network in real units."""
  scale, zero_point = interpreter_of(read_model(model)).get_output_details()[0]['quantization']
  return (outputs.astype(np.float64) - zero_point) * scale


def int8_spread(
  model: Model,
  x: npt.NDArray[Any],
  y: npt.NDArray[Any],
  *,
  scaling: Scaling,
  groups: npt.NDArray[Any] | None,
) -> Spread | None:
  """The accuracy on each group of examples; None without groups. Arguments as `int8_accuracy`."""
  if groups is None:
    return None
  return spread(int8_logits(model, x, scaling=scaling).argmax(axis=1) == y, groups)


def output_scale(model: Model) -> float:
  """The scale of a quantized network's outputs: the difference in logits for one int8 unit.

  Raises:
    ValueError: the model is not a .tflite file, or its output is not quantized.
  """
  network = read_subgraphs(read_model(model))[0]
  output = network.tensors[network.outputs[0]]
  if len(output.scales) != 1:
    raise ValueError(f'model: its output must be quantized, not {output.dtype}')
  return output.scales[0]


def int8_accuracy(
  model: Model,
  x: npt.NDArray[Any],
  y: npt.NDArray[Any],
  *,
  scaling: Scaling,
  batch_size: int = 100,
) -> float:
  """Returns the share of examples whose label has the largest int8 output.

  If several outputs are the largest, the first of them counts.

  Args:
    model: see `int8_logits`.
    x: see `int8_logits`. [N, ...]
    y: labels. [N]
    scaling: see `int8_logits`.
    batch_size: examples per call.

  Raises:
    ValueError: as for `int8_logits`, or `x` and `y` differ in length.
  """
  return Metric.ACCURACY.of(int8_confusion(model, x, y, scaling=scaling, batch_size=batch_size))


def int8_confusion(
  model: Model,
  x: npt.NDArray[Any],
  y: npt.NDArray[Any],
  *,
  scaling: Scaling,
  batch_size: int = 100,
) -> Confusion:
  """Counts the examples by their label and by the class with the largest int8 output.

  Args:
    model: see `int8_accuracy`.
    x: see `int8_accuracy`. [N, ...]
    y: see `int8_accuracy`. [N]
    scaling: see `int8_accuracy`.
    batch_size: examples per call.

  Returns:
    As `rlnas.data.metrics.confusion_matrix`. [classes, classes]

  Raises:
    ValueError: as for `int8_accuracy`.
  """
  if y.shape != x.shape[:1]:
    raise ValueError(f'y of shape {y.shape}: must be one label for each of {len(x)} examples')
  logits = int8_logits(model, x, scaling=scaling, batch_size=batch_size)
  return confusion_matrix(y, logits.argmax(axis=1), classes=logits.shape[1])


def int8_quality(model: Model, dataset: Dataset, metric: Metric) -> float:
  """A metric of a quantized network on the validation data of a data set.

  Raises:
    ValueError: as for `int8_logits`.
  """
  x, y, scaling = dataset.x_val, dataset.y_val, dataset.scaling
  if dataset.head.task is Task.CLASSIFICATION:
    return metric.of(int8_confusion(model, x, y, scaling=scaling))
  answers = int8_answers(model, x, scaling=scaling, head=dataset.head)
  return metric.judge(y, answers, outputs=dataset.classes)


def int8_answers(
  model: Model, x: npt.NDArray[Any], *, scaling: Scaling, head: Head
) -> npt.NDArray[Any]:
  """The answers of a quantized network: classes, values or scores (`Head.answers`).

  Arguments as `int8_logits`, and how the outputs are read. If several outputs are the largest, the
  first of them is the class.
  """
  return head.answers(
    real_logits(model, x, scaling=scaling), real_inputs(model, x, scaling=scaling)
  )


def real_inputs(model: Model, x: npt.NDArray[Any], *, scaling: Scaling) -> npt.NDArray[np.float64]:
  """The inputs of a quantized network in real units, after rounding to int8. [N, ...]."""
  details = interpreter_of(read_model(model)).get_input_details()[0]
  port = _Port(details['shape'], *details['quantization'])
  return (_quantized(x, port, scaling).astype(np.float64) - port.zero_point) * port.scale


def float_quality(model: Model, dataset: Dataset, metric: Metric) -> float:
  """As `int8_quality`, of a float32 .tflite file from `rlnas.tflite.quantize.calibrate`."""
  x, y, scaling = dataset.x_val, dataset.y_val, dataset.scaling
  if dataset.head.task is Task.CLASSIFICATION:
    return metric.of(float_confusion(model, x, y, scaling=scaling))
  outputs = _float_outputs(model, x, scaling=scaling)
  answers = dataset.head.answers(outputs, scaling.inputs(x))
  return metric.judge(y, answers, outputs=dataset.classes)


def float_confusion(
  model: Model,
  x: npt.NDArray[Any],
  y: npt.NDArray[Any],
  *,
  scaling: Scaling,
  batch_size: int = 100,
) -> Confusion:
  """As `int8_confusion`, of a network in floating point.

  Results of the builtin kernels agree with TensorFlow's but for rounding. XNNPACK is faster, but
  that of TensorFlow 2.21 reads wrong values where a window is smaller than its stride (1x3 with
  stride 4).

  Args:
    model: path or bytes of a float32 .tflite file, as `rlnas.tflite.quantize.calibrate` returns it.
    x: see `int8_confusion`. [N, ...]
    y: see `int8_confusion`. [N]
    scaling: how to scale `x` for the network.
    batch_size: examples per call.

  Raises:
    ValueError: the model is not a float32 .tflite file, there are no examples or not one label for
      each.
  """
  if len(x) == 0 or y.shape != x.shape[:1]:
    raise ValueError(
      f'y of shape {y.shape}: must be one label for each of {len(x)} examples, N >= 1'
    )
  logits = _float_outputs(model, x, scaling=scaling, batch_size=batch_size)
  return confusion_matrix(y, logits.argmax(axis=1), classes=logits.shape[1])


def _float_outputs(
  model: Model, x: npt.NDArray[Any], *, scaling: Scaling, batch_size: int = 100
) -> npt.NDArray[np.float32]:
  """The outputs of a float32 .tflite file on the builtin kernels. [N, outputs]."""
  interpreter = interpreter_of(read_model(model))
  ports = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
  if {port['dtype'] for port in ports} != {np.float32}:
    raise ValueError('model: must have float32 input and output')
  return _outputs(interpreter, map(scaling.inputs, _batches(x, batch_size)))


def tflm_logits(model: Model, x: npt.NDArray[Any], *, scaling: Scaling) -> Int8Array:
  """As `int8_logits`, but on TFLite Micro and one example at a time: slow, for checks.

  Raises:
    ImportError: TFLite Micro is not installed.
    ValueError, ArenaOverflow: as for `measure` and `int8_logits`.
  """
  content = read_model(model)
  network = read_subgraphs(content)[0]
  entry, result = network.tensors[network.inputs[0]], network.tensors[network.outputs[0]]
  port = _Port(entry.shape, *(entry.scales[:1] or (0,)), *(entry.zero_points[:1] or (0,)))
  _check_fit(port, [entry.dtype.lower(), result.dtype.lower()], x)
  measure(content)  # raises an error that names the fault, if the model has one
  from tflite_micro import runtime

  outputs = []
  with quiet():
    micro = runtime.Interpreter.from_bytes(content, arena_size=ROOMY_ARENA_BYTES)
    for row in _quantized(x, port, scaling):
      micro.set_input(row[None], 0)
      micro.invoke()
      outputs.append(micro.get_output(0)[0].ravel().copy())
  return np.stack(outputs)


class _Port(NamedTuple):
  """The input of a network: its shape with the batch, and how its values are quantized."""

  shape: Sequence[int]
  scale: float
  zero_point: int


def _check_fit(port: _Port, dtypes: Sequence[str], x: npt.NDArray[Any]) -> None:
  if any(dtype != 'int8' for dtype in dtypes):
    raise ValueError(f'model: must have int8 input and output, not {" and ".join(dtypes)}')
  shape = tuple(port.shape[1:])
  if x.shape[1:] != shape or len(x) == 0:
    raise ValueError(f'x of shape {x.shape}: must be (N, {", ".join(map(str, shape))}), N >= 1')


def _quantized(x: npt.NDArray[Any], port: _Port, scaling: Scaling) -> Int8Array:
  """Quantizes raw examples to int8 inputs; halves round to even, values out of range saturate."""

  def to_int8(values: npt.NDArray[Any]) -> Int8Array:
    seen = scaling.apply(values.astype(np.float64))
    return np.clip(np.rint(seen / port.scale + port.zero_point), -128, 127).astype(np.int8)

  if x.dtype == np.uint8 and not scaling.is_per_feature:
    return to_int8(np.arange(256))[x]
  return to_int8(x)
