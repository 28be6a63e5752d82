"""Fits the instructions of an inference, and prints the errors on models that were left out.

  python experiments/benchmarks/fit_instructions.py --readings=PATH/readings.json

The readings are instructions by operator, as an emulated Cortex-M counts them. Every case of an
operator gets a sum of a few terms of its work (`rlnas.cost.terms`), each with a coefficient that
is not negative; least squares over relative errors. An operator of which only one size was measured
keeps an assumed part, which `ASSUMED` lists. Prints the tables of `rlnas.cost.instructions`, to be
copied, and a Markdown table: each model's error if the coefficients come from the other models.
"""

from __future__ import annotations

import collections
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from absl import app, flags
from scipy.optimize import nnls

from rlnas.cost.terms import CASES, TERMS, Workload, no_work
from rlnas.tflite.model_file import read_subgraphs
from rlnas.tflite.work import add_operator

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

# The builds whose operators were counted, and the name of their table.
TABLES = {'m3-ref': 'REFERENCE', 'm4-cmsis': 'CMSIS_NN', 'm4-ard2023': 'CMSIS_NN_2023'}
_FEW = ('calls', 'results')
_COMMON: Mapping[str, tuple[str, ...]] = {
  'ADD': _FEW,
  'CONCATENATION': ('calls', 'reads', 'copies'),
  'FULLY_CONNECTED': (*_FEW, 'products'),
  'LOGISTIC': _FEW,
  'MAX_POOL_2D': ('results', 'inside'),
  'MEAN': ('calls', 'reads', 'results'),
  'MUL': _FEW,
  'RELU': _FEW,
  'RESHAPE': _FEW,
  'STRIDED_SLICE': _FEW,
  'TANH': _FEW,
}
_CMSIS_NN: Mapping[str, tuple[str, ...]] = {
  **_COMMON,
  'CONV_2D': ('results', 'places', 'products', 'columns', 'patches'),
  'CONV_2D 1x1': (*_FEW, 'products', 'rest'),
  'DEPTHWISE_CONV_2D': ('products', 'rest', 'patches'),
  'DEPTHWISE_CONV_2D 3x3': ('results', 'places', 'inside'),
}
# The terms of each case.
FITTED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
  'm3-ref': {
    **_COMMON,
    'CONV_2D': ('results', 'rows', 'visits', 'inner'),
    'CONV_2D 1x1': (*_FEW, 'inner'),
    'DEPTHWISE_CONV_2D': ('calls', 'visits', 'inner'),
    'DEPTHWISE_CONV_2D 3x3': ('calls', 'visits', 'inner'),
  },
  'm4-cmsis': _CMSIS_NN,
  'm4-ard2023': _CMSIS_NN,
}
# Coefficients that one size cannot tell: a sum or product prepares for broadcasting, the others do
# not; what moves memory takes few instructions an element.
ASSUMED: Mapping[str, Mapping[str, float]] = {
  'ADD': {'calls': 2600},
  'MUL': {'calls': 1900},
  'LOGISTIC': {'calls': 600},
  'TANH': {'calls': 600},
  'RELU': {'calls': 1000},
  'STRIDED_SLICE': {'results': 3},
  'RESHAPE': {'results': 1},
}


class Reading(NamedTuple):
  """Operators of one model with the same work.

  Attributes:
    model: name of the model.
    case: their case.
    terms: their work together, by term.
    instructions: by build, together.
  """

  model: str
  case: str
  terms: Mapping[str, float]
  instructions: Mapping[str, int]


def read(path: pathlib.Path) -> list[Reading]:
  """Reads the operators of all models; those with equal work are one reading."""
  content: Mapping[str, Any] = json.loads(path.read_text())
  if 'operators' in content:
    return [Reading(*row) for row in content['operators']]
  found: list[Reading] = []
  for name, model in content['models'].items():
    counted = {b: r['ops'] for b, r in model['readings'].items() if b in TABLES and 'ops' in r}
    if counted:
      found += _merged(name, _loads(path.parent / model['file']), counted)
  return found


def _loads(path: pathlib.Path) -> Iterable[Workload]:
  """The work of each operator of a model."""
  (graph,) = read_subgraphs(path.read_bytes())
  constants = {i for i, tensor in enumerate(graph.tensors) if tensor.constant_bytes}
  for operator in graph.operators:
    load = no_work()
    add_operator(load, operator, graph.tensors, constants=constants, runs=1)
    yield load


def _merged(
  model: str, loads: Iterable[Workload], counted: Mapping[str, Sequence[tuple[str, int]]]
) -> list[Reading]:
  sums: dict[bytes, tuple[Workload, collections.Counter[str]]] = {}
  for place, load in enumerate(loads):
    whole, instructions = sums.setdefault(load.tobytes(), (no_work(), collections.Counter()))
    whole += load
    instructions.update({build: rows[place][1] for build, rows in counted.items()})
  found = []
  for load, instructions in sums.values():
    (row,) = np.flatnonzero(load.any(1))
    terms = {term: float(load[row, i]) for i, term in enumerate(TERMS) if load[row, i]}
    found.append(Reading(model, CASES[row], terms, dict(instructions)))
  return found


Coefficients = dict[str, dict[str, float]]


def fit(readings: Sequence[Reading], build: str) -> Coefficients:
  """The coefficients of each case that was measured."""
  found: Coefficients = {}
  for case, terms in FITTED[build].items():
    rows = [r for r in readings if r.case == case]
    if not rows:
      continue
    assumed = ASSUMED.get(case, {})
    free = [term for term in terms if term not in assumed]
    counted = np.array([r.instructions[build] for r in rows], float)
    known = np.array([sum(v * r.terms.get(t, 0) for t, v in assumed.items()) for r in rows])
    matrix = np.array([[r.terms.get(term, 0) for term in free] for r in rows])
    weight = np.sqrt([r.terms['calls'] for r in rows]) / counted
    solved, _ = nnls(matrix * weight[:, None], (counted - known) * weight)
    values = {**assumed, **dict(zip(free, solved.tolist(), strict=True))}
    found[case] = {term: _rounded(values[term]) for term in terms if values[term] > 0}
  return found


def _rounded(value: float) -> float:
  return float(f'{value:.4g}')


def predicted(coefficients: Coefficients, reading: Reading) -> float | None:
  """The instructions of a reading; None without coefficients for its case."""
  known = coefficients.get(reading.case)
  if known is None:
    return None
  return sum(value * reading.terms.get(term, 0) for term, value in known.items())


def left_out(readings: Sequence[Reading], build: str, model: str) -> tuple[float, float]:
  """A model's error with coefficients of the others, and the share of it that these can tell."""
  rest = fit([r for r in readings if r.model != model], build)
  own = [r for r in readings if r.model == model]
  pairs: npt.NDArray[np.float64] = np.array(
    [(p, r.instructions[build]) for r in own if (p := predicted(rest, r)) is not None]
  )
  found, told = pairs.sum(0)
  return found / told - 1, told / sum(r.instructions[build] for r in own)


def main(_: Sequence[str]) -> None:
  """Prints the tables, then the errors."""
  readings = read(pathlib.Path(FLAGS.readings))
  if FLAGS.table:
    rows = ',\n'.join(json.dumps(reading) for reading in readings)
    pathlib.Path(FLAGS.table).write_text(f'{{"operators": [\n{rows}\n]}}\n')
  for build, name in TABLES.items():
    print(f'{name} = {{')
    for case, values in fit(readings, build).items():
      print(f'  {case!r}: {values},')
    print('}')
  models = list(dict.fromkeys(r.model for r in readings))
  print(f'\n| left out | {" | ".join(TABLES)} |\n|---|{"---|" * len(TABLES)}')
  for model in models:
    cells = []
    for build in TABLES:
      error, share = left_out(readings, build, model)
      cells.append(f'{error:+.1%}' + (f' of {share:.0%}' if share < 0.9999 else ''))
    print(f'| {model} | {" | ".join(cells)} |')


if __name__ == '__main__':
  app.run(main)
