"""The controller: an LSTM policy over the token sequences of a compiled space.

Zoph & Le 2016 (arXiv:1611.01578), section 3: a recurrent network emits one decision a step and
reads each choice back as the input of the next step; section 3.3: it points at earlier layers by
set-selection attention over *anchors*. The controller knows no space: states, masks, transitions
and anchors come from a `rlnas.table.Table`, whose arrays are passed in as tensors. Weights belong
to symbols (kind, choice), so a deeper table of the same symbols reuses them and does not retrace.

One rule makes every logit, h being the hidden vector of the top layer:
  a choice that points at anchor n:         v . tanh(W_prev h_n + W_curr h)   (section 3.3)
  a sibling that points nowhere beside it:  0, so a (False, True) pair is the paper's sigmoid
  a choice of a state without pointers:     head[symbol] . h + bias[symbol]
  a choice that the state does not offer:   ILLEGAL_LOGIT

A state that holds does not advance the LSTM: it reuses the hidden vector of the state before it.
The input of the next advancing step is the sum of the embeddings of all symbols chosen since (and
in) the last advancing one. END is a state with one choice, so it adds exactly 0 to log-probability
and entropy.

Glossary: B batch, T step, A choice, S state, N anchor, H unit, Y symbol.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.backend import tf
from rlnas.table import ROOT, IntArray, Table, states_of

# exp() of it is 0 in float32, and so is its product with 0, where that of -inf would be NaN.
ILLEGAL_LOGIT = -1e9


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
  """Token sequences drawn from the controller.

  Attributes:
    tokens: choice indices, 0 after the end of a walk. [B, T]
    log_prob: log-probability of each sequence, natural logarithm. [B]
    entropy: sum over the decisions of a walk of the entropy of that choice, in nats. [B]
    length: number of decisions of each walk. [B]
  """

  tokens: IntArray
  log_prob: npt.NDArray[np.float32]
  entropy: npt.NDArray[np.float32]
  length: IntArray

  @property
  def sequences(self) -> tuple[tuple[int, ...], ...]:
    """The tokens without padding, as proposals hold them."""
    rows = zip(self.tokens.tolist(), self.length.tolist(), strict=True)
    return tuple(tuple(row[:length]) for row, length in rows)


class Controller:
  """The policy of Zoph & Le 2016.

  The defaults are those of section 4.1: two layers of 35 units, weights uniform in [-0.08, 0.08].

  Attributes:
    trainable_variables: all weights, float32, in a fixed order.
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
      tables: the compiled spaces whose symbols the controller shall know. Tables that come later
        may be deeper, but may hold no further symbols.
      layers: number of LSTM layers.
      units: hidden units of a layer, and width of the embeddings.
      init_scale: the weights start uniform in [-init_scale, init_scale].
      seed: decides the initial weights.

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
    symbols = dict.fromkeys(symbol for table in known for symbol in table.symbols)
    self._symbol_index = {symbol: i for i, symbol in enumerate(symbols)}
    self._tensors: weakref.WeakKeyDictionary[Table, _TableTensors] = weakref.WeakKeyDictionary()
    rng = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> tf.Variable:
      initial = rng.uniform(-init_scale, init_scale, shape).astype(np.float32)
      return tf.Variable(initial, name=name)

    self._units = units
    self._start = weight('start', 1, units)
    self._embedding = weight('embedding', len(symbols), units)
    self._head = weight('head', units, len(symbols))
    self._head_bias = weight('head_bias', len(symbols))
    self._kernels = [weight(f'kernel{i}', 2 * units, 4 * units) for i in range(layers)]
    self._biases = [weight(f'bias{i}', 4 * units) for i in range(layers)]
    self._w_prev = weight('w_prev', units, units)
    self._w_curr = weight('w_curr', units, units)
    self._v = weight('v', units, 1)
    self.trainable_variables = (
      *(self._start, self._embedding, self._head, self._head_bias),
      *(*self._kernels, *self._biases, self._w_prev, self._w_curr, self._v),
    )
    noise = tf.TensorSpec([None, None, None], tf.float32)
    tokens = tf.TensorSpec([None, None], tf.int32)
    self._sample = tf.function(self._sample_graph, [_SPECS, noise], autograph=False)
    self._score = tf.function(self._score_graph, [_SPECS, tokens], autograph=False)

  def sample(self, table: Table, count: int, rng: np.random.Generator) -> Sample:
    """Draws token sequences; no gradient, no state.

    Args:
      table: a compiled space.
      count: how many sequences, B.
      rng: the only source of randomness (the Gumbel-max trick: Maddison et al. 2014, section 2).

    Returns:
      The sample, T being `table.max_length`.

    Raises:
      ValueError: `count` is below 1, or the table has a symbol that the controller does not know.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    shape = (table.max_length, count, table.next.shape[1])
    noise = rng.gumbel(size=shape).astype(np.float32)  # [T, B, A]
    results = self._sample(self._tensors_of(table), noise)
    return Sample(*(tensor.numpy() for tensor in results))

  def score(self, table: Table, tokens: npt.ArrayLike) -> tuple[tf.Tensor, tf.Tensor]:
    """The probability of token sequences; differentiable in the weights.

    May be called inside a `tf.function`, the table being a constant of it.

    Args:
      table: a compiled space.
      tokens: int32 from `pad_tokens` or `Sample.tokens`, array or tensor. [B, T]

    Returns:
      log_prob [B]: log-probability of each sequence, and entropy [B]: sum over the decisions of a
      walk of the entropy of that choice, in nats. The mean of `entropy` over sequences drawn from
      the policy is the policy's entropy (chain rule).

    Raises:
      ValueError: the table has a symbol that the controller does not know.
    """
    return self._score(self._tensors_of(table), tf.convert_to_tensor(tokens, tf.int32))

  def _tensors_of(self, table: Table) -> _TableTensors:
    if table not in self._tensors:
      unknown = [symbol for symbol in table.symbols if symbol not in self._symbol_index]
      if unknown:
        raise ValueError(
          f'table: symbols {unknown} are unknown; the controller was built for other tables'
        )
      index = np.array([self._symbol_index[symbol] for symbol in table.symbols], np.int32)
      with tf.init_scope():  # constants outlive the graph that may be under construction
        self._tensors[table] = _table_tensors(table, index, len(self._symbol_index))
    return self._tensors[table]

  def _sample_graph(self, table: _TableTensors, noise: tf.Tensor) -> tuple[tf.Tensor, ...]:
    def choose(step: tf.Tensor, log_probs: tf.Tensor) -> tf.Tensor:
      return tf.argmax(log_probs + noise[step], axis=1, output_type=tf.int32)  # [B]

    steps, batch = tf.shape(noise)[0], tf.shape(noise)[1]
    return self._run(table, steps, batch, choose)

  def _score_graph(self, table: _TableTensors, tokens: tf.Tensor) -> tuple[tf.Tensor, ...]:
    by_step = tf.transpose(tokens)  # [T, B]

    def choose(step: tf.Tensor, log_probs: tf.Tensor) -> tf.Tensor:
      del log_probs  # teacher forcing
      return by_step[step]  # [B]

    _, log_prob, entropy, _ = self._run(table, tf.shape(tokens)[1], tf.shape(tokens)[0], choose)
    return log_prob, entropy

  def _run(
    self,
    table: _TableTensors,
    steps: tf.Tensor,
    batch: tf.Tensor,
    choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
  ) -> tuple[tf.Tensor, ...]:
    """Walks the table; `choose` maps step and log-probabilities [B, A] to tokens [B].

    Returns:
      tokens [B, T], log_prob [B], entropy [B], length [B].
    """

    def body(step: tf.Tensor, walk: _Walk, totals: _Totals) -> tuple[tf.Tensor, _Walk, _Totals]:
      hiddens, cells = self._advance(table, walk)
      log_probs = self._log_probs(table, walk, hiddens[-1])  # [B, A]
      token = choose(step, log_probs)  # [B]
      chosen = tf.gather(log_probs, token, batch_dims=1)  # [B]
      totals = _Totals(
        totals.tokens.write(step, token),
        totals.log_prob + chosen,
        totals.entropy - tf.reduce_sum(tf.exp(log_probs) * log_probs, 1),
        totals.length + tf.cast(walk.state != table.end, tf.int32),
      )
      return step + 1, self._follow(table, walk, token, hiddens, cells), totals

    zeros = tf.zeros([batch], tf.float32)
    tokens = tf.TensorArray(tf.int32, size=steps, element_shape=[None])
    totals = _Totals(tokens, zeros, zeros, tf.zeros([batch], tf.int32))
    _, _, totals = tf.while_loop(
      lambda step, walk, totals: step < steps,
      body,
      (tf.constant(0), self._begin(table, batch), totals),
    )
    return tf.transpose(totals.tokens.stack()), totals.log_prob, totals.entropy, totals.length

  def _begin(self, table: _TableTensors, batch: tf.Tensor) -> _Walk:
    zeros = tf.zeros([batch, self._units])
    return _Walk(
      state=tf.fill([batch], ROOT),
      hiddens=(zeros,) * len(self._kernels),
      cells=(zeros,) * len(self._kernels),
      pending=tf.repeat(self._start, batch, axis=0),
      anchors=tf.zeros([batch, table.anchors, self._units]),
    )

  def _advance(
    self, table: _TableTensors, walk: _Walk
  ) -> tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
    """One step of the LSTM (Hochreiter & Schmidhuber 1997, with forget gates); holds stand still.

    Returns:
      Hidden vectors and cells of the layers, each [B, H].
    """
    hold = tf.gather(table.hold, walk.state)[:, tf.newaxis]  # [B, 1]
    hiddens, cells = [], []
    x = walk.pending
    for layer, (kernel, bias) in enumerate(zip(self._kernels, self._biases, strict=True)):
      gates = tf.concat([x, walk.hiddens[layer]], 1) @ kernel + bias  # [B, 4 H]
      write, forget, read, new = tf.split(gates, 4, 1)  # [B, H]
      cell = tf.sigmoid(forget) * walk.cells[layer] + tf.sigmoid(write) * tf.tanh(new)
      x = tf.where(hold, walk.hiddens[layer], tf.sigmoid(read) * tf.tanh(cell))
      hiddens.append(x)
      cells.append(tf.where(hold, walk.cells[layer], cell))
    return tuple(hiddens), tuple(cells)

  def _log_probs(self, table: _TableTensors, walk: _Walk, hidden: tf.Tensor) -> tf.Tensor:
    """Log-probability of every choice of the current states. [B, A]."""
    dense = hidden @ self._head + self._head_bias  # [B, Y]
    query = (hidden @ self._w_curr)[:, tf.newaxis]  # [B, 1, H]
    pointed = tf.squeeze(tf.tanh(walk.anchors + query) @ self._v, 2)  # [B, N]
    zero = tf.zeros_like(hidden[:, :1])
    columns = tf.concat([dense, pointed, zero, zero + ILLEGAL_LOGIT], 1)  # [B, Y + N + 2]
    offered = tf.gather(table.column, walk.state)  # [B, A]
    return tf.nn.log_softmax(tf.gather(columns, offered, batch_dims=1))

  def _follow(
    self,
    table: _TableTensors,
    walk: _Walk,
    token: tf.Tensor,
    hiddens: tuple[tf.Tensor, ...],
    cells: tuple[tf.Tensor, ...],
  ) -> _Walk:
    """Takes a choice: the next state, its input, and the anchor that the state writes."""
    edge = walk.state * tf.shape(table.next)[1] + token  # [B], index into [S, A] laid flat
    symbol = tf.gather(tf.reshape(table.symbol, [-1]), edge)  # [B]
    held = tf.cast(tf.gather(table.hold, walk.state), tf.float32)[:, tf.newaxis]  # [B, 1]
    written = tf.one_hot(tf.gather(table.writes, walk.state), table.anchors)  # [B, N]; -1 gives 0
    key = (hiddens[-1] @ self._w_prev)[:, tf.newaxis]  # [B, 1, H]
    return _Walk(
      state=tf.gather(tf.reshape(table.next, [-1]), edge),
      hiddens=hiddens,
      cells=cells,
      pending=held * walk.pending + tf.gather(self._embedding, symbol),
      anchors=walk.anchors + written[:, :, tf.newaxis] * key,  # a walk writes an anchor once
    )


def pad_tokens(table: Table, sequences: Sequence[Sequence[int]]) -> IntArray:
  """Token sequences as one array for `Controller.score`.

  Returns:
    The tokens, 0 after the end of a walk; T is the length of the longest. [B, T]

  Raises:
    ValueError: there is no sequence, or one that is not in the space.
  """
  if not sequences:
    raise ValueError('sequences=(): must hold at least one')
  padded = np.zeros((len(sequences), max(map(len, sequences))), np.int32)
  for row, tokens in zip(padded, sequences, strict=True):
    states_of(table, tokens)
    row[: len(tokens)] = tokens
  return padded


class _TableTensors(NamedTuple):
  """A table for the graph: END has a row of its own, with the single choice 0.

  Attributes:
    column: where a choice finds its logit among [head Y, anchors N, zero, illegal]. [S + 1, A]
    symbol: index of the controller's symbol, 0 where there is none. [S + 1, A]
    next: the state after a choice. [S + 1, A]
    writes: the anchor that a state writes, or -1. [S + 1]
    hold: whether the LSTM stands still. [S + 1]
    anchors: N, a scalar.
    end: S, a scalar.
  """

  column: tf.Tensor
  symbol: tf.Tensor
  next: tf.Tensor
  writes: tf.Tensor
  hold: tf.Tensor
  anchors: tf.Tensor
  end: tf.Tensor


class _Walk(NamedTuple):
  """Where a batch of walks stands.

  Attributes:
    state: current states. [B]
    hiddens: hidden vectors of the layers. Each [B, H]
    cells: cells of the layers. Each [B, H]
    pending: the input of the next advancing step. [B, H]
    anchors: W_prev h of every anchor, 0 where it is not written. [B, N, H]
  """

  state: tf.Tensor
  hiddens: tuple[tf.Tensor, ...]
  cells: tuple[tf.Tensor, ...]
  pending: tf.Tensor
  anchors: tf.Tensor


class _Totals(NamedTuple):
  """What a run gathers: tokens [T, B], and sums over the steps, each [B]."""

  tokens: tf.TensorArray
  log_prob: tf.Tensor
  entropy: tf.Tensor
  length: tf.Tensor


_SPECS = _TableTensors(
  column=tf.TensorSpec([None, None], tf.int32),
  symbol=tf.TensorSpec([None, None], tf.int32),
  next=tf.TensorSpec([None, None], tf.int32),
  writes=tf.TensorSpec([None], tf.int32),
  hold=tf.TensorSpec([None], tf.bool),
  anchors=tf.TensorSpec([], tf.int32),
  end=tf.TensorSpec([], tf.int32),
)


def _table_tensors(table: Table, index: IntArray, symbols: int) -> _TableTensors:
  """Compiles the rule for logits into one gather; `index` maps the table's symbols to ours."""
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
  return _TableTensors(
    column=tf.constant(np.concatenate([column, end_column]), tf.int32),
    symbol=tf.constant(np.pad(symbol, ((0, 1), (0, 0))), tf.int32),
    next=tf.constant(np.pad(table.next, ((0, 1), (0, 0)), constant_values=end), tf.int32),
    writes=tf.constant(np.append(table.writes, -1), tf.int32),
    hold=tf.constant(np.append(table.hold, True), tf.bool),
    anchors=tf.constant(anchors, tf.int32),
    end=tf.constant(end, tf.int32),
  )
