"""Fits the flash that a firmware takes beside model and test vectors, by build and operators.

  python experiments/benchmarks/fit_firmware.py --readings=PATH/readings.json

The readings are sizes of linked firmwares. Text and data, without the model and the ten test
vectors, are the sum of a base and of a size for each kind of operator. There are fewer firmwares
than sizes, so each size stays near a guess (`GUESSES`): ridge regression, in which a guess may be
wrong by half. Prints the table of `rlnas.cost.firmware`, to be copied, and a Markdown table: each
model's error if the sizes come from the other models.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import app, flags

from rlnas.tflite.model_file import read_subgraphs

FLAGS = flags.FLAGS
flags.DEFINE_string(
  'readings',
  None,
  'Path of readings.json, with its models beside it, or of a table that --table wrote.',
  required=True,
)
flags.DEFINE_string(
  'table', None, 'Path of a small JSON file for what is fitted; default: it is not written.'
)

VECTORS = 10  # in each firmware
_LABEL_BYTES = 4  # an int for each vector
_OTHERS = {
  'ADD': 6500,
  'CONCATENATION': 2500,
  'FULLY_CONNECTED': 3500,
  'LOGISTIC': 5000,
  'MAX_POOL_2D': 2700,
  'MEAN': 4500,
  'MUL': 5000,
  'RELU': 3500,
  'RESHAPE': 1000,
  'STRIDED_SLICE': 3500,
  'TANH': 6500,
}
_REFERENCE = {**_OTHERS, 'CONV_2D': 4000, 'DEPTHWISE_CONV_2D': 3500}
# Checks and error messages.
_CHECKED = {kind: 1.25 * size for kind, size in _REFERENCE.items()}
# With CMSIS-NN each of these holds kernels for several types.
_CMSIS_NN = {**_CHECKED, 'CONV_2D': 19000, 'DEPTHWISE_CONV_2D': 15500, 'FULLY_CONNECTED': 6000}
_CMSIS_NN_2023 = {**_CHECKED, 'CONV_2D': 8000, 'DEPTHWISE_CONV_2D': 7500}
GUESSES: Mapping[str, Mapping[str, float]] = {
  'm3-ref': _CHECKED,
  'm3-ref-release': _REFERENCE,
  'm0-ref-release': _REFERENCE,
  'm4-cmsis': _CMSIS_NN,
  'm4-ard2023': _CMSIS_NN_2023,
}
_GUESS_ERROR, _READING_ERROR = 0.5, 300.0  # relative, and in bytes


class Firmware(NamedTuple):
  """A model's firmwares.

  Attributes:
    model: name of the model.
    kinds: its kinds of operators.
    sizes: bytes without model and test vectors, by build.
  """

  model: str
  kinds: Sequence[str]
  sizes: Mapping[str, int]


def read(path: pathlib.Path) -> list[Firmware]:
  """Reads the firmwares of all models that have any."""
  content: Mapping[str, Any] = json.loads(path.read_text())
  if 'firmwares' in content:
    return [Firmware(*row) for row in content['firmwares']]
  found = []
  for name, model in content['models'].items():
    linked = {b: r for b, r in model['readings'].items() if 'text' in r}
    if linked:
      (graph,) = read_subgraphs((path.parent / model['file']).read_bytes())
      ports = sum(math.prod(graph.tensors[i].shape) for i in (*graph.inputs, *graph.outputs))
      vectors = VECTORS * (ports + _LABEL_BYTES)
      sizes = {b: r['text'] + r['data'] - r['model_bytes'] - vectors for b, r in linked.items()}
      found.append(Firmware(name, sorted({o.kind for o in graph.operators}), sizes))
  return found


def fit(firmwares: Sequence[Firmware], build: str) -> dict[str, float]:
  """The base, under '', and the size of each kind of operator."""
  guesses = GUESSES[build]
  kinds = list(guesses)
  rows, targets = [], []
  for firmware in firmwares:
    has = [1.0, *(float(kind in firmware.kinds) for kind in kinds)]
    rows.append(np.array(has) / _READING_ERROR)
    targets.append(firmware.sizes[build] / _READING_ERROR)
  for place, kind in enumerate(kinds, 1):
    spread = _GUESS_ERROR * guesses[kind]
    rows.append(np.eye(len(kinds) + 1)[place] / spread)
    targets.append(guesses[kind] / spread)
  solved, *_ = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)
  return dict(zip(('', *kinds), solved.tolist(), strict=True))


def predicted(sizes: Mapping[str, float], kinds: Sequence[str]) -> float:
  """The bytes of a firmware with these operators."""
  return sizes[''] + sum(sizes[kind] for kind in kinds)


def main(_: Sequence[str]) -> None:
  """Prints the tables, then the errors."""
  firmwares = read(pathlib.Path(FLAGS.readings))
  if FLAGS.table:
    rows = ',\n'.join(json.dumps(firmware) for firmware in firmwares)
    pathlib.Path(FLAGS.table).write_text(f'{{"firmwares": [\n{rows}\n]}}\n')
  for build in GUESSES:
    sizes = {kind: round(size, -1) for kind, size in fit(firmwares, build).items()}
    print(f'  {build!r}: { ({kind: int(size) for kind, size in sizes.items()}) },')
  print(f'\n| left out | {" | ".join(GUESSES)} |\n|---|{"---|" * len(GUESSES)}')
  for firmware in firmwares:
    rest = [other for other in firmwares if other is not firmware]
    errors = [
      predicted(fit(rest, build), firmware.kinds) / firmware.sizes[build] - 1 for build in GUESSES
    ]
    print(f'| {firmware.model} | {" | ".join(f"{error:+.1%}" for error in errors)} |')


if __name__ == '__main__':
  app.run(main)
