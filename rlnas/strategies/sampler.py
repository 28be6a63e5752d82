"""Draws walks from the controller.

The equations are those of `rlnas.strategies.lstm`, whose docstring defines them, without gradients.
Here each step has to wait for the choices of the step before.

Glossary: B batch, T step, A choice, S state, N anchor, H unit, Y symbol.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import ROOT, IntArray, Table
from rlnas.strategies.linear_algebra import one_thread

FloatArray = npt.NDArray[np.float32]

# Its exp() is 0 in float32. It is finite, since the product of 0 and -inf would be NaN.
ILLEGAL_LOGIT = -1e9


class TableArrays(NamedTuple):
  """A table with the rule for logits compiled into one gather. END has its own row, with choice 0.

  Attributes:
    column: column of each choice's logit in [head Y, anchors N, zero, illegal]. [S + 1, A]
    symbol: index of the controller's symbol; 0 if there is none. [S + 1, A]
    next: the state after a choice. [S + 1, A]
    writes: the anchor that a state writes, or -1. [S + 1]
    hold: whether the LSTM does not advance. [S + 1]
    anchors: number of anchors N.
    end: index of END, S.
  """

  column: IntArray
  symbol: IntArray
  next: IntArray
  writes: IntArray
  hold: npt.NDArray[np.bool_]
  anchors: int
  end: int


def table_arrays(table: Table, index: IntArray, symbols: int) -> TableArrays:
  """Compiles a table for a controller.

  Args:
    table: the compiled space.
    index: the controller's symbol for each symbol of the table.
    symbols: number of the controller's symbols, Y.
  """
  anchors, end = len(table.anchors), table.end
  zero, illegal = symbols + anchors, symbols + anchors + 1
  legal = table.symbol >= 0  # [S, A]
  symbol = np.where(legal, index[table.symbol], 0)
  points = table.pointer >= 0
  column = np.where(points.any(1, keepdims=True), zero, symbol)
  column = np.where(points, symbols + table.pointer, column)
  column = np.where(legal, column, illegal)
  end_column = np.full((1, table.next.shape[1]), illegal)
  end_column[0, 0] = zero
  return TableArrays(
    column=np.concatenate([column, end_column]).astype(np.int32),
    symbol=np.pad(symbol, ((0, 1), (0, 0))).astype(np.int32),
    next=np.pad(table.next, ((0, 1), (0, 0)), constant_values=end),
    writes=np.append(table.writes, -1).astype(np.int32),
    hold=np.append(table.hold, True),
    anchors=anchors,
    end=end,
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
  """Token sequences drawn from the controller.

  Attributes:
    tokens: choice indices, 0 after the end of a walk. [B, T]
    log_prob: log-probability (natural logarithm) of each sequence under the distribution that it
      was drawn from, exploration included. [B]
    entropy: entropy of the policy, summed over the decisions of each walk, in nats. [B]
    length: number of decisions of each walk. [B]
  """

  tokens: IntArray
  log_prob: npt.NDArray[np.float32]
  entropy: npt.NDArray[np.float32]
  length: IntArray

  @property
  def sequences(self) -> tuple[tuple[int, ...], ...]:
    """The tokens without padding, as in a `Proposal`."""
    rows = zip(self.tokens.tolist(), self.length.tolist(), strict=True)
    return tuple(tuple(row[:length]) for row, length in rows)


def draw(
  weights: Mapping[str, FloatArray], table: TableArrays, noise: FloatArray, exploration: float
) -> Sample:
  """Draws walks by the Gumbel-max trick (Maddison et al. 2014, section 2).

  Args:
    weights: weights of the controller, by the names of `controller_file.weight_shapes`.
    table: the compiled space.
    noise: standard Gumbel noise. [T, B, A]
    exploration: share of the uniform distribution in that of each choice, in [0, 1].

  Returns:
    The sample; its entropies are those of the policy without exploration.
  """
  steps, batch, _ = noise.shape
  layers = [_Layer(weights, i, batch) for i in range(sum(name[:4] == 'bias' for name in weights))]
  pending = np.repeat(weights['start'], batch, axis=0)  # [B, H]
  anchors = np.zeros((batch, table.anchors, pending.shape[1]), np.float32)  # W_prev h; 0 before
  head = _Head(weights, table.anchors, batch)
  state = np.full(batch, ROOT)
  tokens = np.zeros((batch, steps), np.int32)
  log_prob, entropy = np.zeros((2, batch), np.float32)
  length = np.zeros(batch, np.int32)
  rows = np.arange(batch)
  # The logarithm of 0 is -inf, whose exp() is 0.
  with one_thread(), np.errstate(divide='ignore'):
    for step in range(steps):
      live = state != table.end
      if not live.any():
        break
      hold = table.hold[state]
      x = pending
      for layer in layers:
        x = layer.advance(x, hold)
      logits = head.logits(x, anchors, table.column[state])  # [B, A]
      odds = np.exp(logits)  # of an illegal choice, 0
      total = odds.sum(1, keepdims=True)
      log_probs, probs = logits - np.log(total), odds / total
      entropy -= (probs * log_probs).sum(1)
      if exploration:
        legal = logits > ILLEGAL_LOGIT / 2
        share = np.float32(exploration) / legal.sum(1, keepdims=True, dtype=np.float32)
        log_probs = np.log((1 - np.float32(exploration)) * probs + share * legal)
      token = (log_probs + noise[step]).argmax(1)
      tokens[:, step] = token
      log_prob += np.where(live, log_probs[rows, token], 0)
      length += live
      written = table.writes[state]
      writing = np.flatnonzero(written >= 0)
      if len(writing):
        anchors[writing, written[writing]] = x[writing] @ weights['w_prev']
      embedded = weights['embedding'][table.symbol[state, token]]
      pending = embedded + hold[:, np.newaxis] * pending
      state = table.next[state, token]
  return Sample(tokens, log_prob, entropy, length)


class _Layer:
  """One layer of the LSTM with its state for a batch."""

  def __init__(self, weights: Mapping[str, FloatArray], number: int, batch: int) -> None:
    kernel, bias = weights[f'kernel{number}'], weights[f'bias{number}']
    self._units = units = len(bias) // 4
    # sigmoid(z) = (1 + tanh(z / 2)) / 2, so all four gates take one tanh; halving is exact.
    scale = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), units)
    self._kernel, self._bias = kernel * scale, bias * scale
    self._joined = np.zeros((batch, 2 * units), np.float32)  # input and hidden vector
    self._cell = np.zeros((batch, units), np.float32)

  def advance(self, x: FloatArray, hold: npt.NDArray[np.bool_]) -> FloatArray:
    """Reads `x` [B, H], except on `hold` [B], and returns the hidden vectors. [B, H]."""
    units = self._units
    self._joined[:, :units] = x
    gates = self._joined @ self._kernel  # [B, 4 H]
    gates += self._bias
    np.tanh(gates, out=gates)
    sigmoids = gates[:, : 3 * units]
    sigmoids *= 0.5
    sigmoids += 0.5
    write, forget, read = (gates[:, i * units : (i + 1) * units] for i in range(3))
    cell = forget * self._cell
    cell += write * gates[:, 3 * units :]
    hidden = read * np.tanh(cell)
    if hold.any():
      cell[hold] = self._cell[hold]
      hidden[hold] = self._joined[hold, units:]
    self._cell = cell
    self._joined[:, units:] = hidden
    return hidden


class _Head:
  """The logits of a batch."""

  def __init__(self, weights: Mapping[str, FloatArray], anchors: int, batch: int) -> None:
    self._weights = weights
    self._symbols = len(weights['head_bias'])
    self._columns = np.zeros((batch, self._symbols + anchors + 2), np.float32)
    self._columns[:, -1] = ILLEGAL_LOGIT
    self._rows = np.arange(batch)[:, np.newaxis]

  def logits(self, hidden: FloatArray, anchors: FloatArray, offered: IntArray) -> FloatArray:
    """Logits of the choices `offered` [B, A], less the largest of their row. [B, A]."""
    weights, symbols, columns = self._weights, self._symbols, self._columns
    columns[:, :symbols] = hidden @ weights['head'] + weights['head_bias']
    zero = columns.shape[1] - 2
    if ((offered >= symbols) & (offered < zero)).any():
      query = hidden @ weights['w_curr']
      columns[:, symbols:zero] = (np.tanh(anchors + query[:, np.newaxis]) @ weights['v'])[..., 0]
    logits = columns[self._rows, offered]
    logits -= logits.max(1, keepdims=True)
    return logits
