"""The file of a controller: an .npz archive without pickle.

The file holds one array for each weight, under its name. The array `header` holds JSON: the number
of the format, layers, units, and the symbols in the order of their weights.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.atomic_file import write_file
from rlnas.spaces.table import Symbol

FORMAT = 1
_HEADER = 'header'
_KEYS = {'format', 'layers', 'units', 'symbols'}
_SCALARS = (bool, int, float, str)


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
  """Everything that determines what a controller samples.

  Attributes:
    symbols: the symbols that have weights, in the order of these weights. Length Y.
    layers: number of LSTM layers.
    units: hidden units of each layer, H.
    weights: the weights by name; `weight_shapes` gives names and shapes.
  """

  symbols: tuple[Symbol, ...]
  layers: int
  units: int
  weights: Mapping[str, npt.NDArray[np.float32]]


def weight_shapes(symbols: int, layers: int, units: int) -> dict[str, tuple[int, ...]]:
  """The shape of each weight of a controller by its name.

  Args:
    symbols: number of symbols, Y.
    layers: number of LSTM layers.
    units: hidden units of each layer, H.

  Returns:
    start: the first input. embedding: embeddings of the symbols. head, head_bias: the dense layer
    that gives the logits of the symbols. kernel0 and bias0, kernel1, ...: the LSTM layers; the
    first H rows of a kernel are for the input. w_prev, w_curr, v: the attention, for an anchor's
    hidden vector, the current one, and the logit.
  """
  return {
    'start': (1, units),
    'embedding': (symbols, units),
    'head': (units, symbols),
    'head_bias': (symbols,),
    **{f'kernel{i}': (2 * units, 4 * units) for i in range(layers)},
    **{f'bias{i}': (4 * units,) for i in range(layers)},
    'w_prev': (units, units),
    'w_curr': (units, units),
    'v': (units, 1),
  }


def write_parts(path: str | os.PathLike[str], parts: Parts) -> None:
  """Writes the file as a whole; creates its folder if needed.

  Raises:
    ValueError: a weight is not finite, or a choice is not a JSON scalar; nothing is written.
    OSError: the file cannot be written.
  """
  path = pathlib.Path(path)
  try:
    for symbol in parts.symbols:
      _check_symbol(symbol)
    _check_weights(parts)
  except ValueError as error:
    raise ValueError(f'{path}: this controller cannot be saved ({error})') from error
  header = {
    'format': FORMAT,
    'layers': parts.layers,
    'units': parts.units,
    'symbols': parts.symbols,
  }
  arrays: dict[str, Any] = {_HEADER: np.array(json.dumps(header)), **parts.weights}
  content = io.BytesIO()
  np.savez(content, **arrays)
  write_file(path, content.getvalue())


def read_parts(path: str | os.PathLike[str]) -> Parts:
  """Reads a file that `write_parts` wrote.

  Raises:
    ValueError: the file is damaged, is not a controller or has another format, or a weight has a
      wrong shape or type or is not finite.
    OSError: the file cannot be read.
  """
  content = io.BytesIO(pathlib.Path(path).read_bytes())
  try:
    return _parse(content)
  except Exception as error:  # zipfile, zlib and NumPy raise many kinds if bytes are damaged
    raise ValueError(f'{path}: not a controller ({error})') from error


def _parse(content: io.BytesIO) -> Parts:
  if not zipfile.is_zipfile(content):
    raise ValueError('not an .npz file, or a truncated one')
  content.seek(0)
  with np.load(content, allow_pickle=False) as file:
    if _HEADER not in file.files:
      raise ValueError(f'it has no array {_HEADER!r}')
    symbols, layers, units = _parse_header(file[_HEADER])
    names = set(file.files) - {_HEADER}
    # Compare the numbers first: naming the layers that a damaged header claims can take forever.
    count = len(weight_shapes(1, 0, 1)) + 2 * layers
    shapes = weight_shapes(len(symbols), layers, units) if count == len(names) else {}
    if names != set(shapes):
      raise ValueError(f'arrays {sorted(names)}: must be the weights of {layers} layers')
    parts = Parts(symbols, layers, units, {name: file[name] for name in shapes})
  _check_weights(parts)
  return parts


def _parse_header(array: npt.NDArray[Any]) -> tuple[tuple[Symbol, ...], int, int]:
  """Returns symbols, layers and units. Raises ValueError if the header is malformed."""
  if not isinstance(array, np.ndarray) or array.shape != () or array.dtype.kind != 'U':
    raise ValueError(f'{_HEADER}: must be one string')
  header = json.loads(array.item())
  if not isinstance(header, dict) or type(header.get('format')) is not int:
    raise ValueError(f'{_HEADER}: has no format number')
  if header['format'] != FORMAT:
    raise ValueError(f'format {header["format"]}: must be {FORMAT}')
  if set(header) != _KEYS:
    raise ValueError(f'{_HEADER}: has {sorted(header)}: must be {sorted(_KEYS)}')
  for name in ('layers', 'units'):
    if type(header[name]) is not int or header[name] < 1:
      raise ValueError(f'{name}={header[name]!r}: must be an integer of at least 1')
  if not isinstance(header['symbols'], list) or not header['symbols']:
    raise ValueError('symbols: must be a list that is not empty')
  symbols = tuple(map(_check_symbol, header['symbols']))
  if len(set(symbols)) < len(symbols):
    raise ValueError('symbols: one occurs twice')
  return symbols, header['layers'], header['units']


def _check_symbol(symbol: Sequence[Any]) -> Symbol:
  """Returns the symbol as a tuple. Raises ValueError if it is malformed."""
  if isinstance(symbol, list | tuple) and len(symbol) == 3:
    kind, type_name, choice = symbol
    named = type(kind) is str and type(choice) in _SCALARS and type_name == type(choice).__name__
    if named and (type(choice) is not float or math.isfinite(choice)):
      return kind, type_name, choice
  raise ValueError(f'symbol {symbol!r}: must be a kind, a type and a JSON scalar of this type')


def _check_weights(parts: Parts) -> None:
  """Raises ValueError if a weight has a wrong shape or type or is not finite."""
  for name, shape in weight_shapes(len(parts.symbols), parts.layers, parts.units).items():
    weight = parts.weights[name]
    if not isinstance(weight, np.ndarray) or (weight.shape, weight.dtype) != (shape, np.float32):
      raise ValueError(f'{name}: must be float32 of shape {list(shape)}')
    if not np.isfinite(weight).all():
      raise ValueError(f'{name}: must be finite')
