"""The controller: an LSTM policy over the token sequences of a compiled space.

Zoph & Le 2016 (arXiv:1611.01578), section 3. This module holds the weights and takes and returns
numpy arrays; the equations are in `rlnas.strategies.lstm`, and in `rlnas.strategies.sampler` for
drawing. TensorFlow is loaded when a controller is created, so the command line can read the
arguments of this class without it.

Glossary: B batch, T step, A choice, H unit, Y symbol.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import IntArray, Table, states_of
from rlnas.strategies.controller_file import Parts, read_parts, weight_shapes, write_parts
from rlnas.strategies.sampler import Sample, TableArrays, draw, table_arrays

if TYPE_CHECKING:
  from rlnas.backend import tf
  from rlnas.strategies import lstm


class Controller:
  """The policy of Zoph & Le 2016.

  The defaults are those of section 4.1: two layers of 35 units, weights uniform in [-0.08, 0.08].

  Attributes:
    weights: all learned weights.
    trainable_variables: the same weights as a flat tuple, in a fixed order.
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
    from rlnas.backend import tf
    from rlnas.strategies import lstm

    self._symbol_index = {symbol: i for i, symbol in enumerate(parts.symbols)}
    self._arrays: weakref.WeakKeyDictionary[Table, TableArrays] = weakref.WeakKeyDictionary()
    self._tensors: weakref.WeakKeyDictionary[Table, lstm.TableTensors] = weakref.WeakKeyDictionary()
    variables = {name: tf.Variable(value, name=name) for name, value in parts.weights.items()}
    kernels, biases = (
      tuple(variables.pop(f'{name}{i}') for i in range(parts.layers)) for name in ('kernel', 'bias')
    )
    self.weights = lstm.Weights(**variables, kernels=kernels, biases=biases)
    self.trainable_variables: tuple[tf.Variable, ...] = tuple(tf.nest.flatten(self.weights))

  @property
  def _named_weights(self) -> dict[str, npt.NDArray[np.float32]]:
    """The values of all weights by the names of `weight_shapes`."""
    layers, units = len(self.weights.kernels), int(self.weights.start.shape[1])
    names = weight_shapes(len(self._symbol_index), layers, units)
    values = (variable.value().numpy() for variable in self.trainable_variables)
    return dict(zip(names, values, strict=True))

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes all weights, and the symbols that they belong to, to a file for `load`.

    Args:
      path: path of an .npz file. It is written atomically; its folder is created if needed.

    Raises:
      ValueError: a weight is not finite, or a choice is not a JSON scalar; nothing is written.
      OSError: the file cannot be written.
    """
    symbols = tuple(self._symbol_index)
    layers, units = len(self.weights.kernels), int(self.weights.start.shape[1])
    write_parts(path, Parts(symbols, layers, units, self._named_weights))

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
    return draw(self._named_weights, self._arrays_of(table), noise, exploration)

  def score(self, table: Table, tokens: npt.ArrayLike) -> tuple[tf.Tensor, tf.Tensor]:
    """Log-probability and entropy of token sequences, differentiable in the weights.

    Args:
      table: a compiled space.
      tokens: int32 from `pad_tokens` or `Sample.tokens`, array or tensor. [B, T]

    Returns:
      log_prob [B]: log-probability of each sequence. entropy [B]: entropy of the choices, summed
      over the decisions of each walk, in nats. The mean of `entropy` over sequences drawn from
      the policy is the policy's entropy (chain rule).

    Raises:
      ValueError: the table has a symbol that the controller does not know.
    """
    from rlnas.backend import tf
    from rlnas.strategies import lstm

    # One trace with open shapes serves all batch sizes, lengths and tables.
    score = lstm.score.get_concrete_function(self.weights, lstm.TABLE_SPECS, lstm.TOKENS_SPEC)
    return score(self.weights, self.tensors_of(table), tf.convert_to_tensor(tokens, tf.int32))

  def tensors_of(self, table: Table) -> lstm.TableTensors:
    """The table as tensors for `rlnas.strategies.lstm`; converted once and then cached.

    Raises:
      ValueError: the table has a symbol that the controller does not know.
    """
    from rlnas.strategies import lstm

    if table not in self._tensors:
      self._tensors[table] = lstm.table_tensors(self._arrays_of(table))
    return self._tensors[table]

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
