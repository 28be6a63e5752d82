"""The front end of sequences of floats in a deployment bundle: window.h, from samples to the input.

It takes one sample of the sensor at a time, makes frames of them as `rlnas.data.windowed` does,
quantizes each once, and keeps the int8 frames in a ring. At every hop it writes the window to the
network's input. The arithmetic is that of the type of the data: sums from the oldest sample to the
newest, a division by their number, then `<name>_quantize`. None of it can be fused into one
operation, so all machines with IEEE floats give the same bits; `quantized` is the same in NumPy.

window_test.c holds a few validation examples. It compares the inputs that the network gets, and
with TFLite Micro the classes, or the first outputs of other tasks, with those found here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rlnas.cost.window import Window, sequence_shape
from rlnas.data.checks import Array
from rlnas.data.dataset import Dataset
from rlnas.data.description import as_sequence
from rlnas.data.tasks import Task
from rlnas.data.windowed import scaling_of, windowed
from rlnas.export.c_files import Deployment, fnv1a
from rlnas.export.c_text import c_float, comment, lines, without_folders
from rlnas.export.calls import call_values
from rlnas.export.quantizer import c_type, quantized
from rlnas.export.sound_files import outputs_of_bytes
from rlnas.export.templates import filled, in_folders

_MOST_EXAMPLES = 4
_MOST_VALUES = 8192  # of all examples in window_test.c


def window_contents(
  deployed: Deployment, dataset: Dataset, worlds: Sequence[str] = ()
) -> dict[str, bytes]:
  """The files of the front end by name, in the bundle and in its folders <world>/<name>.

  These are window.h, window_test.c and window.mk, which the Makefile includes. There are none if
  the data are not sequences of floats.

  Args:
    deployed: the model and its measurements.
    dataset: the data that it was trained on, as seen through its window if it has one.
    worlds: see `rlnas.export.bundle.c_contents`.
  """
  window = window_in(dataset)
  if window is None:
    return {}
  texts = {
    **filled('window', _values(deployed, dataset, window)),
    **filled('front_end', {'front': 'window'}),
  }
  return in_folders(texts, deployed.name, worlds, header='window.h')


def window_in(dataset: Dataset) -> Window | None:
  """The window of data: their own, or whole examples; None if they are not sequences of floats."""
  if dataset.window is not None:
    return dataset.window
  sequence = as_sequence(dataset)
  if sequence is None or dataset.sound is not None or dataset.x_train.dtype.kind != 'f':
    return None
  steps, features = sequence
  return Window(steps, 1, tuple(range(features))) if steps > 1 else None


def inputs_of(
  deployed: Deployment, dataset: Dataset, x: Array
) -> tuple[npt.NDArray[np.int8], Array]:
  """The inputs that window.h computes for examples, and the samples that it needs for them.

  Args:
    deployed: the model.
    dataset: the data that it was trained on, as seen through its window if it has one.
    x: examples as they were given. [N, ...]

  Returns:
    The int8 inputs [N, frames * features], and the last samples of each example [N, steps, values].
  """
  window = window_in(dataset)
  if window is None:
    raise ValueError(f'dataset={dataset.name}: must be sequences of floats')
  given = dataset if dataset.given is None else dataset.given
  steps, values = sequence_shape(given.input_shape)
  seen = windowed(x, window).reshape(len(x), -1)
  inputs = quantized(seen, deployed.info.input, scaling_of(given.scaling, window))
  return inputs, x.reshape(len(x), steps, values)[:, steps - window.steps :]


def _values(deployed: Deployment, dataset: Dataset, window: Window) -> dict[str, str]:
  """The values of the templates."""
  given = dataset if dataset.given is None else dataset.given
  _, values = sequence_shape(given.input_shape)
  _, first = np.unique(given.y_val, axis=0, return_index=True)
  room = min(_MOST_EXAMPLES, max(1, _MOST_VALUES // (window.steps * values)))
  inputs, samples = inputs_of(deployed, dataset, given.x_val[sorted(first)[:room]])
  kind, name = c_type(dataset), deployed.name
  literal = repr if kind == 'double' else c_float
  # The sums of doubles are larger than what a budget counts, and so is the alignment.
  size = f'  if (sizeof({name}_window_stream) != {window.sram_bytes}) return 2;\n'
  return {
    'name': name,
    'NAME': name.upper(),
    'title': comment(dataset.name),
    'description': comment(str(window)),
    'source': comment(without_folders(dataset.source) or 'unknown'),
    'model_header': 'rlnas_model.h',
    'window_header': 'window.h',
    'classify_header': 'classify.h',
    'raw': kind,
    'values': str(values),
    'rate': str(window.rate),
    'frames': str(window.frames),
    'features': str(len(window.features)),
    'indices': ', '.join(map(str, window.features)),
    'hop': str(max(1, window.frames // 2)),
    'place': ', i' if dataset.scaling.is_per_feature else '',
    'stream_bytes': str(window.sram_bytes),
    'size_check': '' if kind == 'double' else size,
    'examples': str(len(samples)),
    'samples': lines(_example(row.ravel().tolist(), literal) for row in samples),
    'hashes': ', '.join(f'{fnv1a(one.tobytes())}u' for one in inputs),
    **_answers(deployed, dataset, inputs),
    'use': call_values(name, dataset)['used'],
  }


def _answers(
  deployed: Deployment, dataset: Dataset, inputs: npt.NDArray[np.int8]
) -> dict[str, str]:
  """What window_test.c expects of the network: classes, or the first outputs of other tasks."""
  outputs = outputs_of_bytes(deployed, list(inputs))
  is_class = dataset.head.task is Task.CLASSIFICATION
  answers = outputs.argmax(1) if is_class else outputs[:, 0]
  return {
    'answer': 'the class that the network gives' if is_class else "the network's first output",
    'answers': ', '.join(map(str, answers.tolist())),
    'found': f'{deployed.name}_best_class(outputs)' if is_class else 'outputs[0]',
    # Optimised kernels may round an output differently.
    'tolerance': '0' if is_class else '1',
  }


def _example(values: Sequence[float], literal: Callable[[float], str], width: int = 8) -> str:
  """The initializer of an example's samples."""
  starts = range(0, len(values), width)
  rows = ('    ' + ', '.join(map(literal, values[i : i + width])) + ',' for i in starts)
  return '  {\n' + '\n'.join(rows) + '\n  },'
