"""A deployment bundle: the C files that a firmware needs besides model.tflite, and an example.

With the test vectors a firmware engineer can check that the chip computes the same as TFLite Micro
on this machine.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence

import numpy as np

from rlnas.budget import Budget
from rlnas.cost.builds import Build
from rlnas.data.anomalies import BUNDLED_RATE, thresholds_of
from rlnas.data.atomic_file import write_folder
from rlnas.data.dataset import Dataset
from rlnas.data.scaling import Scaling
from rlnas.data.tasks import Task
from rlnas.export import c_files
from rlnas.export.c_files import DEFAULT_NAME, Deployment, Vectors
from rlnas.export.c_text import prefix_of
from rlnas.export.deployment import Port, inspect, reserve
from rlnas.export.firmware import firmware_contents
from rlnas.export.operators import RESOLVER_METHODS, operators_header
from rlnas.export.sound_files import sound_contents
from rlnas.export.template_values import template_values
from rlnas.export.templates import filled
from rlnas.export.window_files import window_contents
from rlnas.tflite.inference import int8_answers, int8_logits, tflm_logits

_MOST_VECTORS = 10
_MOST_VECTOR_BYTES = 32 * 1024  # of all inputs: they need flash in a firmware that checks itself


def deployment(
  model: bytes, dataset: Dataset, *, builds: Sequence[Build] = (), name: str = DEFAULT_NAME
) -> Deployment:
  """Measures a model and computes its test vectors, on validation examples.

  Args:
    model: a full-integer .tflite file.
    dataset: the data that it was trained on, as seen through the window of the network, if it has
      one (`rlnas.data.windowed.through`).
    builds: the builds of TFLite Micro that the board may have, the usual one first; if none are
      given, all.
    name: the model's name, with which its C symbols begin.

  Raises:
    ValueError: the model does not fit the data, or has an operator that is not in
      `rlnas.export.operators.RESOLVER_METHODS`; or the name does not begin with a letter.
  """
  prefix = prefix_of(name)
  info = inspect(model)
  unknown = [kind for kind in info.kinds if kind not in RESOLVER_METHODS]
  if unknown:
    raise ValueError(f'model: has {", ".join(unknown)}, but no resolver method is known for it')
  outputs = math.prod(info.output.shape[1:])
  if (info.input.shape[1:], outputs) != (dataset.input_shape, dataset.outputs):
    raise ValueError(
      f'model: reads {info.input.shape} and gives {info.output.shape}, but {dataset.name} '
      f'has examples of shape {dataset.input_shape} in {dataset.classes} classes'
    )
  vectors = _vectors(model, info.input, dataset)
  threshold = None
  if dataset.head.task is Task.ANOMALY:
    scores = int8_answers(model, dataset.x_val, scaling=dataset.scaling, head=dataset.head)
    threshold = dict(thresholds_of(dataset.y_val, scores))[BUNDLED_RATE]
  found = Deployment(model, info, reserve(info, builds), vectors, prefix)
  return dataclasses.replace(found, threshold=threshold)


def export_model(
  model: bytes,
  dataset: Dataset,
  budget: Budget,
  folder: str | os.PathLike[str],
  *,
  builds: Sequence[Build] = (),
  name: str = DEFAULT_NAME,
  worlds: Sequence[str] = (),
) -> None:
  """Writes model.tflite and the files of `c_contents`, for users of the library.

  `rlnas.reports.model_report.write_bundle` adds the report of the search to them.

  Args:
    model: a full-integer .tflite file.
    dataset: see `deployment`.
    budget: budget of the board.
    folder: folder for the files; created if it does not exist.
    builds: see `deployment`.
    name: the model's name, with which its C symbols begin, such as `rlnas_model` and
      `RLNAS_ARENA_BYTES`. Models of different names, each in a folder of its own, fit in one
      firmware.
    worlds: see `c_contents`.

  Raises:
    ValueError: see `deployment` and `c_contents`.
    OSError: a file cannot be written.
  """
  deployed = deployment(model, dataset, builds=builds, name=name)
  write_folder(folder, {'model.tflite': model, **c_contents(deployed, dataset, budget, worlds)})


def write_c_files(
  deployed: Deployment, dataset: Dataset, budget: Budget, folder: str | os.PathLike[str]
) -> None:
  """Writes the files of `c_contents` into a folder. Raises OSError."""
  write_folder(folder, c_contents(deployed, dataset, budget))


def c_contents(
  deployed: Deployment, dataset: Dataset, budget: Budget, worlds: Sequence[str] = ()
) -> dict[str, bytes]:
  """The content of the C files by name, with a Makefile that tests them on the host.

  These are model.cc, model.h, rlnas_model.h, rlnas_operators.h, classify.h, classify.cc,
  test_vectors.h, main.cc, host_test.c and LICENSE.

  Args:
    deployed: the model and its measurements.
    dataset: gives the names of the classes and the scaling of raw values.
    budget: budget of the board, shown in README.md beside the arena.
    worlds: firmware platforms, of `rlnas.export.templates.WORLDS`; each adds a folder
      <world>/<name> that can be built for it.

  Raises:
    ValueError: a platform is not known.
  """
  values = template_values(deployed, dataset, budget)
  texts = {
    'model.h': c_files.model_header(deployed.name),
    'model.cc': c_files.model_source(deployed, dataset),
    'rlnas_model.h': c_files.constants(deployed, dataset),
    'rlnas_operators.h': operators_header(deployed.name, deployed.info.kinds),
    'test_vectors.h': c_files.vectors_header(deployed, dataset),
    **filled('bundle', values),
  }
  c_texts = {name: text.encode('ascii') for name, text in texts.items()}
  contents = dict(c_texts)
  for world in worlds:
    for path, content in firmware_contents(world, values, c_texts).items():
      contents[f'{world}/{deployed.name}/{path}'] = content
  if dataset.head.task is Task.CLASSIFICATION:  # the files of sound read classes
    contents |= sound_contents(deployed, dataset, worlds)
  return contents | window_contents(deployed, dataset, worlds)


def _vectors(model: bytes, port: Port, dataset: Dataset) -> Vectors:
  """Validation examples, at most as many as fit `_MOST_VECTOR_BYTES`.

  They are the first of each class, or evenly spaced by their first value.
  """
  room = min(_MOST_VECTORS, max(2, _MOST_VECTOR_BYTES // port.size_bytes))
  if dataset.head.task is not Task.REGRESSION:
    _, first = np.unique(dataset.y_val, return_index=True)
  else:
    by_value = np.argsort(dataset.y_val[:, 0], kind='stable')
    first = by_value[np.linspace(0, len(by_value) - 1, min(room, len(by_value))).astype(int)]
  chosen = np.array(sorted(first)[:room])
  raw = dataset.x_val[chosen].astype(np.float64)
  seen = dataset.scaling.apply(raw)
  inputs = np.clip(np.rint(seen / port.scale + port.zero_point), -128, 127).astype(np.int8)
  # This scaling turns the float copies of the int8 values back into the same int8 values.
  scaling = Scaling(float(port.zero_point), 1 / port.scale)
  try:
    outputs = tflm_logits(model, inputs.astype(np.float32), scaling=scaling)
    interpreter = 'TFLite Micro'
  except ImportError:
    outputs = int8_logits(model, inputs.astype(np.float32), scaling=scaling)
    interpreter = "TensorFlow Lite's builtin kernels, as TFLite Micro was not installed"
  return Vectors(inputs, outputs, dataset.y_val[chosen], interpreter)
