"""The controller: an LSTM policy over the token sequences of a compiled space.

Zoph & Le 2016 (arXiv:1611.01578), section 3. This module holds the weights; the equations are in
`rlnas.strategies.lstm`, and in `rlnas.strategies.sampler` for drawing.

Glossary: B batch, T step, A choice, H unit, Y symbol.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import IntArray, Table, states_of
from rlnas.strategies.controller_file import Parts, read_parts, weight_shapes, write_parts
from rlnas.strategies.lstm import Scores, score
from rlnas.strategies.sampler import Sample, TableArrays, draw, table_arrays


class Controller:
  """The policy of Zoph & Le 2016.

  The defaults are those of section 4.1: two layers of 35 units, weights uniform in [-0.08, 0.08].

  Attributes:
    weights: all weights by name, arrays that change in place as the policy learns, in the order
      and of the shapes of `rlnas.strategies.controller_file.weight_shapes`.
  """

  def __init__(
    self,
    tables: Table | Sequence[Table],
    *,
    layers: int = 2,
    units: int = 35,
    init_scale: float = 0.08,
    seed: int = 0,
  ) -> None:
    """Draws the initial weights.

    Args:
      tables: the compiled spaces whose symbols get weights. The controller can later be used with
        other tables, such as deeper ones, if they have no further symbols.
      layers: number of LSTM layers of the controller.
      units: hidden units of each LSTM layer of the controller, and width of its embeddings.
      init_scale: initial weights of the controller are uniform in [-init_scale, init_scale].
      seed: seed of the initial weights.

    Raises:
      ValueError: an argument is out of its range.
    """
    known = (tables,) if isinstance(tables, Table) else tuple(tables)
    if not known:
      raise ValueError('tables=(): must hold at least one table')
    for name, value in (('layers', layers), ('units', units)):
      if value < 1:
        raise ValueError(f'{name}={value}: must be at least 1')
    if not init_scale > 0:
      raise ValueError(f'init_scale={init_scale}: must be positive')
    symbols = tuple(dict.fromkeys(symbol for table in known for symbol in table.symbols))
    rng = np.random.default_rng(seed)
    weights = {
      name: rng.uniform(-init_scale, init_scale, shape).astype(np.float32)
      for name, shape in weight_shapes(len(symbols), layers, units).items()
    }
    self._adopt(Parts(symbols, layers, units, weights))

  def _adopt(self, parts: Parts) -> None:
    """Sets symbols and weights."""
    self._symbol_index = {symbol: i for i, symbol in enumerate(parts.symbols)}
    self._layers, self._units = parts.layers, parts.units
    self._arrays: weakref.WeakKeyDictionary[Table, TableArrays] = weakref.WeakKeyDictionary()
    self.weights: Mapping[str, npt.NDArray[np.float32]] = dict(parts.weights)

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes all weights, and the symbols that they belong to, to a file for `load`.

    Args:
      path: path of an .npz file. It is written atomically; its folder is created if needed.

    Raises:
      ValueError: a weight is not finite, or a choice is not a JSON scalar; nothing is written.
      OSError: the file cannot be written.
    """
    symbols = tuple(self._symbol_index)
    write_parts(path, Parts(symbols, self._layers, self._units, self.weights))

  @classmethod
  def load(cls, path: str | os.PathLike[str]) -> Controller:
    """Reads a controller; its samples and scores equal those of the saved one bit for bit.

    Args:
      path: path of a file that `save` wrote. No code in it is executed.

    Raises:
      ValueError: the file is damaged, is not a controller or has another format, or a weight has a
        wrong shape or type or is not finite.
      OSError: the file cannot be read.
    """
    controller = cls.__new__(cls)
    controller._adopt(read_parts(path))
    return controller

  def sample(
    self, table: Table, count: int, rng: np.random.Generator, *, exploration: float = 0.0
  ) -> Sample:
    """Draws token sequences. Computes no gradient and changes no state.

    Args:
      table: a compiled space.
      count: number of sequences, B.
      rng: the only source of randomness.
      exploration: share of the uniform distribution in the mixture that each choice is drawn from.

    Returns:
      The sample; T is `table.max_length`.

    Raises:
      ValueError: `count` is below 1, `exploration` does not lie in [0, 1], or the table has a
        symbol that the controller does not know.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    if not 0 <= exploration <= 1:
      raise ValueError(f'exploration={exploration}: must lie in [0, 1]')
    shape = (table.max_length, count, table.next.shape[1])
    noise = rng.gumbel(size=shape).astype(np.float32)  # [T, B, A]
    return draw(self.weights, self._arrays_of(table), noise, exploration)

  def score(self, table: Table, tokens: npt.ArrayLike) -> Scores:
    """Log-probability and entropy of token sequences, and the gradient in the weights.

    The mean entropy of sequences that were drawn from the policy is the policy's (chain rule).

    Args:
      table: a compiled space.
      tokens: integers from `pad_tokens` or `Sample.tokens`. [B, T]

    Raises:
      ValueError: the table has a symbol that the controller does not know.
    """
    weights = {name: weight.copy() for name, weight in self.weights.items()}  # for the gradient
    return score(weights, self._arrays_of(table), np.asarray(tokens))

  def check(self, table: Table) -> None:
    """Raises ValueError if the table has a symbol that the controller does not know."""
    self._arrays_of(table)

  def _arrays_of(self, table: Table) -> TableArrays:
    """The table compiled for the symbols of this controller; computed once and then cached."""
    if table not in self._arrays:
      unknown = [symbol for symbol in table.symbols if symbol not in self._symbol_index]
      if unknown:
        raise ValueError(
          f'table: symbols {unknown} are unknown; the controller was built for other tables'
        )
      index = np.array([self._symbol_index[symbol] for symbol in table.symbols], np.int32)
      self._arrays[table] = table_arrays(table, index, len(self._symbol_index))
    return self._arrays[table]


def pad_tokens(table: Table, sequences: Sequence[Sequence[int]]) -> IntArray:
  """Pads token sequences to one array for `Controller.score`.

  Returns:
    The tokens, with 0 after the end of each walk; T is the length of the longest. [B, T]

  Raises:
    ValueError: there is no sequence, or one is not in the space.
  """
  if not sequences:
    raise ValueError('sequences=(): must hold at least one')
  padded = np.zeros((len(sequences), max(map(len, sequences))), np.int32)
  for row, tokens in zip(padded, sequences, strict=True):
    states_of(table, tokens)
    row[: len(tokens)] = tokens
  return padded
