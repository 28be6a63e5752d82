"""The equations of the controller: pure functions of its weights and of a compiled table.

Zoph & Le 2016 (arXiv:1611.01578), section 3: a recurrent network makes one decision per step and
reads each choice back as the input of the next step; section 3.3: it points at earlier layers by
set-selection attention over *anchors*. This module does not depend on a space: states, masks,
transitions and anchors come from a `rlnas.spaces.table.Table`, whose arrays are passed in as
tensors. Weights belong to symbols (kind, choice), so a deeper table of the same symbols reuses them
without a new trace.

`_log_probs` computes every logit by one rule; h is the hidden vector of the top layer:
  a choice that points at anchor n:         v . tanh(W_prev h_n + W_curr h)   (section 3.3)
  a choice beside it without a pointer:     0, so a (False, True) pair is the paper's sigmoid
  a choice of a state without pointers:     head[symbol] . h + bias[symbol]
  a choice that the state does not offer:   ILLEGAL_LOGIT

A state with `hold` does not advance the LSTM: it reuses the hidden vector of the state before it.
The input of the next step that advances is the sum of the embeddings of all symbols chosen since
(and in) the last step that did. END is a state with one choice, so it adds exactly 0 to
log-probability and entropy.

This module scores walks, with gradients; `rlnas.strategies.sampler` draws them. Scoring has all
choices as input, so its loop runs only the LSTM, and one matrix product computes the logits of all
steps.

Glossary: B batch, T step, A choice, S state, N anchor, H unit, Y symbol, M either B or T x B.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rlnas.backend import tf
from rlnas.spaces.table import ROOT
from rlnas.strategies.sampler import ILLEGAL_LOGIT, TableArrays


class Weights(NamedTuple):
  """All weights of the controller, float32.

  Attributes:
    start: the first input. [1, H]
    embedding: embeddings of the symbols. [Y, H]
    head: kernel of the dense layer that gives the logits of the symbols. [H, Y]
    head_bias: bias of that layer. [Y]
    kernels: kernels of the LSTM layers; the first H rows are for the input. Each [2 H, 4 H]
    biases: biases of the LSTM layers. Each [4 H]
    w_prev: attention weights for an anchor's hidden vector. [H, H]
    w_curr: attention weights for the current hidden vector. [H, H]
    v: attention weights for the logit. [H, 1]
  """

  start: tf.Variable
  embedding: tf.Variable
  head: tf.Variable
  head_bias: tf.Variable
  kernels: tuple[tf.Variable, ...]
  biases: tuple[tf.Variable, ...]
  w_prev: tf.Variable
  w_curr: tf.Variable
  v: tf.Variable


class TableTensors(NamedTuple):
  """`rlnas.strategies.sampler.TableArrays` as tensors; those of all states are [S + 1, ...]."""

  column: tf.Tensor
  symbol: tf.Tensor
  next: tf.Tensor
  writes: tf.Tensor
  hold: tf.Tensor
  anchors: tf.Tensor
  end: tf.Tensor


TABLE_SPECS = TableTensors(
  column=tf.TensorSpec([None, None], tf.int32),
  symbol=tf.TensorSpec([None, None], tf.int32),
  next=tf.TensorSpec([None, None], tf.int32),
  writes=tf.TensorSpec([None], tf.int32),
  hold=tf.TensorSpec([None], tf.bool),
  anchors=tf.TensorSpec([], tf.int32),
  end=tf.TensorSpec([], tf.int32),
)
TOKENS_SPEC = tf.TensorSpec([None, None], tf.int32)
SCALAR_SPEC = tf.TensorSpec([], tf.float32)


def table_tensors(arrays: TableArrays) -> TableTensors:
  """The arrays as tensors of the types that the graphs take."""
  pairs = zip(arrays, TABLE_SPECS, strict=True)
  return TableTensors(*(tf.constant(array, spec.dtype) for array, spec in pairs))


def score_graph(
  weights: Weights, table: TableTensors, tokens: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Log-probability and entropy of walks under the policy, differentiable in the weights.

  Args:
    weights: weights of the controller.
    table: the compiled space.
    tokens: indices of the choices, 0 after the end of a walk. [B, T]

  Returns:
    log_prob [B] of each walk, and entropy [B], summed over its decisions.
  """
  by_step = tf.transpose(tokens)  # [T, B]
  steps, batch = tf.shape(by_step)[0], tf.shape(by_step)[1]
  state, symbol = _route(table, by_step)  # [T, B], [T, B]
  hold = tf.gather(table.hold, state)
  hidden = _hiddens(weights, hold, tf.gather(weights.embedding, symbol))  # [T, B, H]
  size = tf.shape(hidden)[2]
  writes = tf.one_hot(tf.gather(table.writes, state), table.anchors)  # [T, B, N]; -1 gives 0
  keys = tf.einsum('tbn,tbh->bnh', writes, tf.einsum('tbh,hk->tbk', hidden, weights.w_prev))
  written = tf.cumsum(writes, exclusive=True)  # [T, B, N]: 1 from the step after the writing on
  anchors = written[..., tf.newaxis] * keys  # [T, B, N, H]
  flat = steps * batch
  log_probs = _log_probs(
    weights,
    table,
    tf.reshape(state, [flat]),
    tf.reshape(hidden, [flat, size]),
    tf.reshape(anchors, [flat, table.anchors, size]),
  )  # [T B, A]
  chosen = tf.gather(log_probs, tf.reshape(by_step, [flat]), batch_dims=1)
  total = [tf.reduce_sum(tf.reshape(x, [steps, batch]), 0) for x in (chosen, _entropy(log_probs))]
  return total[0], total[1]


# Weights are arguments, not captures: all controllers of one shape in a process share one trace.
score = tf.function(score_graph, autograph=False)  # for callers outside a graph


class _Memory(NamedTuple):
  """Hidden vectors and cells of the LSTM layers, each [B, H]."""

  hiddens: tuple[tf.Tensor, ...]
  cells: tuple[tf.Tensor, ...]


def _log_probs(
  weights: Weights,
  table: TableTensors,
  state: tf.Tensor,  # [M]
  hidden: tf.Tensor,  # [M, H]
  anchors: tf.Tensor,  # [M, N, H]
) -> tf.Tensor:
  """Log-probability of every choice, by the rule at the top of this module. [M, A]."""
  dense = hidden @ weights.head + weights.head_bias  # [M, Y]
  query = (hidden @ weights.w_curr)[:, tf.newaxis]  # [M, 1, H]
  pointed = tf.squeeze(tf.tanh(anchors + query) @ weights.v, 2)  # [M, N]
  zero = tf.zeros_like(hidden[:, :1])
  columns = tf.concat([dense, pointed, zero, zero + ILLEGAL_LOGIT], 1)  # [M, Y + N + 2]
  offered = tf.gather(table.column, state)  # [M, A]
  return tf.nn.log_softmax(tf.gather(columns, offered, batch_dims=1))


def _entropy(log_probs: tf.Tensor) -> tf.Tensor:
  return -tf.reduce_sum(tf.exp(log_probs) * log_probs, 1)


def _carry(pending: tf.Tensor, hold: tf.Tensor, embedded: tf.Tensor) -> tf.Tensor:
  """The next input: the symbol chosen now, plus `pending` if the LSTM did not read it. [B, H]."""
  return tf.cast(hold, tf.float32)[:, tf.newaxis] * pending + embedded


def _forget(weights: Weights, batch: tf.Tensor) -> _Memory:
  zeros = (tf.zeros([batch, weights.start.shape[1]]),) * len(weights.kernels)
  return _Memory(zeros, zeros)


class _Step(NamedTuple):
  """What one LSTM layer computes in a step: its input [B, 2 H], gates, cell and tanh(cell).

  The gradient needs all but `cell`.
  """

  joined: tf.Tensor
  write: tf.Tensor
  forget: tf.Tensor
  read: tf.Tensor
  new: tf.Tensor
  before: tf.Tensor  # the cell before the step
  bounded: tf.Tensor
  cell: tf.Tensor | None = None


def _step(
  kernel: tf.Tensor, bias: tf.Tensor, x: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor
) -> _Step:
  joined = tf.concat([x, hidden], 1)
  gates = tf.split(joined @ kernel + bias, 4, 1)  # [B, H] each
  write, forget, read = map(tf.sigmoid, gates[:3])
  new = tf.tanh(gates[3])
  after = forget * cell + write * new
  return _Step(joined, write, forget, read, new, cell, tf.tanh(after), after)


def _unless(
  hold: tf.Tensor, step: _Step, hidden: tf.Tensor, cell: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Hidden vector and cell after a step; those before it where the LSTM does not advance."""
  hold = hold[:, tf.newaxis]
  return tf.where(hold, hidden, step.read * step.bounded), tf.where(hold, cell, step.cell)


def _step_gradient(
  kernel: tf.Tensor, hold: tf.Tensor, step: _Step, d_hidden: tf.Tensor, d_cell: tf.Tensor
) -> tuple[tf.Tensor, ...]:
  """Gradients of x, hidden, cell, kernel and bias, given those of `_unless(hold, _step(...))`."""
  zeros, hold = tf.zeros_like(d_cell), hold[:, tf.newaxis]
  d_made = tf.where(hold, zeros, d_hidden)
  d_after = tf.where(hold, zeros, d_cell)
  d_after += tf.raw_ops.TanhGrad(y=step.bounded, dy=d_made * step.read)
  d_gates = tf.concat(
    [
      tf.raw_ops.SigmoidGrad(y=step.write, dy=d_after * step.new),
      tf.raw_ops.SigmoidGrad(y=step.forget, dy=d_after * step.before),
      tf.raw_ops.SigmoidGrad(y=step.read, dy=d_made * step.bounded),
      tf.raw_ops.TanhGrad(y=step.new, dy=d_after * step.write),
    ],
    1,
  )
  d_x, d_old = tf.split(tf.matmul(d_gates, kernel, transpose_b=True), 2, 1)
  return (
    d_x,
    tf.where(hold, d_hidden, zeros) + d_old,
    tf.where(hold, d_cell, zeros) + d_after * step.forget,
    tf.matmul(step.joined, d_gates, transpose_a=True),
    tf.reduce_sum(d_gates, 0),
  )


def _route(table: TableTensors, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """The states and symbols that the tokens [T, B] lead through: integers, no gradient."""
  steps, batch = tf.shape(tokens)[0], tf.shape(tokens)[1]
  choices = tf.shape(table.next)[1]
  after = tf.reshape(table.next, [-1])
  edges = tf.TensorArray(tf.int32, size=steps, element_shape=[None])

  def body(step: tf.Tensor, state: tf.Tensor, edges: tf.TensorArray) -> tuple[tf.Tensor, ...]:
    edge = state * choices + tokens[step]  # [B], as in `_follow`
    return step + 1, tf.gather(after, edge), edges.write(step, edge)

  start = (tf.constant(0), tf.fill([batch], ROOT), edges)
  *_, edges = tf.while_loop(lambda step, *_: step < steps, body, start)
  taken = edges.stack()  # [T, B]
  return taken // choices, tf.gather(tf.reshape(table.symbol, [-1]), taken)


def _hiddens(weights: Weights, hold: tf.Tensor, embedded: tf.Tensor) -> tf.Tensor:
  """Hidden vectors of the top layer, given the embedded choice of every step. [T, B, H].

  The gradient is written out. TensorFlow's own for a loop is the same to the bit, but takes several
  times as many operations, as it does not know that the shapes of a step are equal.
  """
  steps, batch = tf.shape(hold)[0], tf.shape(hold)[1]
  layers, size = len(weights.kernels), weights.start.shape[1]

  def array(*shape: int | None) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, size=steps, element_shape=shape)

  @tf.custom_gradient
  def run(pending: tf.Tensor, embedded: tf.Tensor, *parameters: tf.Tensor) -> Any:
    kernels, biases = parameters[:layers], parameters[layers:]

    def body(step: tf.Tensor, memory: _Memory, pending: tf.Tensor, saved: Any, top: Any) -> Any:
      x, hiddens, cells, kept = pending, [], [], []
      for layer in range(layers):
        before = memory.hiddens[layer], memory.cells[layer]
        done = _step(kernels[layer], biases[layer], x, *before)
        x, cell = _unless(hold[step], done, *before)
        hiddens.append(x)
        cells.append(cell)
        joined, others = saved[layer]
        kept.append((joined.write(step, done.joined), others.write(step, tf.stack(done[1:-1]))))
      memory = _Memory(tuple(hiddens), tuple(cells))
      pending = _carry(pending, hold[step], embedded[step])
      return step + 1, memory, pending, kept, top.write(step, x)

    # Few arrays: reading and writing them is a good part of the work.
    saved = [(array(None, 2 * size), array(6, None, size)) for _ in range(layers)]
    start = (tf.constant(0), _forget(weights, batch), pending, saved, array(None, size))
    *_, saved, top = tf.while_loop(lambda step, *_: step < steps, body, start)

    def gradient(d_top: tf.Tensor) -> tuple[tf.Tensor, ...]:
      def back(step: tf.Tensor, d_memory: _Memory, d_pending: tf.Tensor, sums: Any, d: Any) -> Any:
        d_x = d_top[step]
        d_hiddens, d_cells, added = list(d_memory.hiddens), list(d_memory.cells), [*sums]
        for layer in reversed(range(layers)):
          joined, others = (a.read(step) for a in saved[layer])
          done = _Step(joined, *tf.unstack(others))
          d_x, d_hiddens[layer], d_cells[layer], d_kernel, d_bias = _step_gradient(
            kernels[layer], hold[step], done, d_hiddens[layer] + d_x, d_cells[layer]
          )
          added[layer] += d_kernel
          added[layers + layer] += d_bias
        d_memory = _Memory(tuple(d_hiddens), tuple(d_cells))
        d = d.write(step, d_pending)  # the gradient of the embedded choice
        return step - 1, d_memory, _carry(d_pending, hold[step], d_x), added, d

      zeros = [tf.zeros_like(parameter) for parameter in parameters]
      start = (
        steps - 1,
        _forget(weights, batch),
        tf.zeros_like(pending),
        zeros,
        array(None, size),
      )
      *_, d_pending, sums, d_embedded = tf.while_loop(lambda step, *_: step >= 0, back, start)
      return d_pending, d_embedded.stack(), *sums

    return top.stack(), gradient

  parameters = [tf.convert_to_tensor(v) for v in (*weights.kernels, *weights.biases)]
  pending = tf.repeat(weights.start, batch, axis=0)
  return run(pending, embedded, *parameters)
