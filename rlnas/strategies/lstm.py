"""The equations of the controller, with their gradient: functions of its weights and of a table.

Zoph & Le 2016 (arXiv:1611.01578), section 3: a recurrent network makes one decision per step and
reads each choice back as the input of the next step; section 3.3: it points at earlier layers by
set-selection attention over *anchors*. This module does not depend on a space: states, masks,
transitions and anchors come from a `rlnas.spaces.table.Table`. Weights belong to symbols (kind,
choice), so a deeper table of the same symbols reuses them.

One rule gives every logit; h is the hidden vector of the top layer:
  a choice that points at anchor n:         v . tanh(W_prev h_n + W_curr h)   (section 3.3)
  a choice beside it without a pointer:     0, so a (False, True) pair is the paper's sigmoid
  a choice of a state without pointers:     head[symbol] . h + bias[symbol]
  a choice that the state does not offer:   ILLEGAL_LOGIT
The key W_prev h_n of an anchor is 0 before a state has written it.

A state with `hold` does not advance the LSTM: it reuses the hidden vector of the state before it.
The input of the next step that advances is the sum of the embeddings of all symbols chosen since
(and in) the last step that did.

This module scores walks, whose choices are all known. Their decisions lie in one array, step after
step and the longest walk first, so each step has only the walks that have not ended, and each
product with a matrix is one for all steps, but for the one that reads the hidden vector of the step
before. It is written in NumPy with the gradient by hand: for arrays this small TensorFlow is no
quicker, and takes seconds to trace a graph. `rlnas.strategies.sampler` draws walks by the same
equations.

Glossary: B batch, T step, A choice, S state, N anchor, H unit, Y symbol, M decision.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import ROOT
from rlnas.strategies.linear_algebra import one_thread
from rlnas.strategies.sampler import ILLEGAL_LOGIT, FloatArray, TableArrays

Weights = Mapping[str, FloatArray]  # by the names of `rlnas.strategies.controller_file`
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
  """Scores of walks under the policy.

  Attributes:
    log_prob: log-probability of each walk. [B]
    entropy: entropy of the policy, summed over the decisions of each walk, in nats. [B]
    gradient: maps the derivatives of a value in `log_prob` and in `entropy`, each [B], to those in
      the weights, by name.
  """

  log_prob: FloatArray
  entropy: FloatArray
  gradient: Callable[[npt.ArrayLike, npt.ArrayLike], dict[str, FloatArray]]


def score(weights: Weights, table: TableArrays, tokens: IntArray) -> Scores:
  """Scores walks.

  Args:
    weights: weights of the controller, float32; they must not change before `Scores.gradient`.
    table: the compiled space.
    tokens: indices of the choices, 0 after the end of a walk. [B, T]
  """
  with one_thread():
    route = _route(table, tokens)
    inputs = _inputs(weights, route)
    layers = []
    for i in range(sum(name[:4] == 'bias' for name in weights)):
      layers.append(_run(weights[f'kernel{i}'], weights[f'bias{i}'], route, inputs))
      inputs = layers[-1].hidden
    choices = _choose(weights, table, route, inputs)

  def gradient(d_log_prob: npt.ArrayLike, d_entropy: npt.ArrayLike) -> dict[str, FloatArray]:
    slopes = np.asarray(d_log_prob, np.float32), np.asarray(d_entropy, np.float32)
    with one_thread():
      gradients, d_x = _choices_gradient(weights, route, choices, *slopes)
      for i, layer in reversed(list(enumerate(layers))):
        d_x, gradients[f'kernel{i}'], gradients[f'bias{i}'] = _run_gradient(
          weights[f'kernel{i}'], route, layer, d_x
        )
      return {**gradients, **_inputs_gradient(weights, route, d_x)}

  log_prob, entropy = (
    np.bincount(route.walk, values, len(tokens)).astype(np.float32)
    for values in (choices.chosen, choices.entropy)
  )
  return Scores(log_prob, entropy, gradient)


class _Route(NamedTuple):
  """Where the tokens lead through the table. The decisions of a step are [start, end) of all."""

  state: IntArray  # [M]
  symbol: IntArray  # [M]
  token: IntArray  # [M]
  hold: BoolArray  # [M]
  walk: IntArray  # the walk of each decision. [M]
  batch: int
  starts: list[int]  # of each step. Length T
  ends: list[int]

  def steps(self) -> Iterator[tuple[slice, slice, bool]]:
    """For each step but the first: its decisions, those before them, whether any of it holds."""
    for before, start, end in zip(self.starts[:-1], self.starts[1:], self.ends[1:], strict=True):
      yield slice(start, end), slice(before, before + end - start), bool(self.hold[start:end].any())

  def before(self, values: FloatArray) -> FloatArray:
    """The values [M, H] of the decisions before, zeros before the first."""
    shifted = np.zeros_like(values)
    for now, last, _ in self.steps():
      shifted[now] = values[last]
    return shifted


def _route(table: TableArrays, tokens: IntArray) -> _Route:
  batch, steps = tokens.shape
  states = np.empty((steps, batch), np.int64)
  now = np.full(batch, ROOT)
  for step, token in enumerate(tokens.T):
    states[step] = now
    now = table.next[now, token]
  lives = states != table.end  # [T, B]
  order = np.argsort(-lives.sum(0), kind='stable')
  counts = lives.sum(1)
  steps_of, places = np.nonzero(np.arange(batch) < counts[:, np.newaxis])
  walk = order[places]
  state, token = states[steps_of, walk], tokens[walk, steps_of]
  ends = np.cumsum(counts[counts > 0])
  return _Route(
    state=state,
    symbol=table.symbol[state, token],
    token=token,
    hold=table.hold[state],
    walk=walk,
    batch=batch,
    starts=(ends - counts[counts > 0]).tolist(),
    ends=ends.tolist(),
  )


def _inputs(weights: Weights, route: _Route) -> FloatArray:
  """What the LSTM reads at each decision, if it advances. [M, H]."""
  embedded = weights['embedding'][route.symbol]
  inputs = np.empty_like(embedded)
  inputs[: route.batch] = weights['start']
  for now, last, _ in route.steps():
    inputs[now] = embedded[last] + route.hold[last, np.newaxis] * inputs[last]
  return inputs


def _inputs_gradient(
  weights: Weights, route: _Route, d_inputs: FloatArray
) -> dict[str, FloatArray]:
  """Gradients of `start` and `embedding`; those of inputs that were not read are zeros."""
  d_inputs, d_embedded = d_inputs.copy(), np.zeros_like(d_inputs)
  for now, last, _ in reversed(list(route.steps())):
    d_embedded[last] = d_inputs[now]
    d_inputs[last] += route.hold[last, np.newaxis] * d_inputs[now]
  of_symbol = _one_hot(route.symbol, len(weights['embedding']))  # [M, Y]
  return {
    'start': d_inputs[: route.batch].sum(0, keepdims=True),
    'embedding': of_symbol.T @ d_embedded,
  }


class _Layer(NamedTuple):
  """One layer of the LSTM at all decisions; each array is [M, H] but the gates, [4, M, H]."""

  x: FloatArray
  gates: FloatArray  # write, forget, read, and the new cell
  cell: FloatArray
  bounded: FloatArray  # tanh of the cell, if the layer advances
  hidden: FloatArray


def _run(kernel: FloatArray, bias: FloatArray, route: _Route, x: FloatArray) -> _Layer:
  units = x.shape[1]
  # sigmoid(z) = (1 + tanh(z / 2)) / 2, so all four gates take one tanh; halving is exact.
  scale = np.array([0.5, 0.5, 0.5, 1], np.float32)[:, np.newaxis, np.newaxis]
  of_input, of_hidden = (part * scale for part in _parts(kernel))
  gates = x @ of_input + bias.reshape(4, 1, units) * scale
  cell, bounded, hidden = np.zeros((3, *x.shape), np.float32)

  def advance(now: slice, cell_before: FloatArray | float) -> None:
    gate = gates[:, now]
    np.tanh(gate, out=gate)
    sigmoids = gate[:3]
    sigmoids *= 0.5
    sigmoids += 0.5
    write, forget, read, new = gate
    after = cell[now]
    np.multiply(write, new, out=after)
    after += forget * cell_before
    np.tanh(after, out=bounded[now])
    np.multiply(read, bounded[now], out=hidden[now])

  first = slice(0, route.batch)
  advance(first, 0.0)
  for values in (cell, hidden):
    np.copyto(values[first], 0, where=route.hold[first, np.newaxis])
  for now, last, holds in route.steps():
    gates[:, now] += hidden[last] @ of_hidden
    advance(now, cell[last])
    if holds:
      held = route.hold[now, np.newaxis]
      np.copyto(cell[now], cell[last], where=held)
      np.copyto(hidden[now], hidden[last], where=held)
  return _Layer(x, gates, cell, bounded, hidden)


def _run_gradient(
  kernel: FloatArray, route: _Route, layer: _Layer, d_outputs: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
  """Gradients of x, kernel and bias, given that of `hidden`. [M, H], [2 H, 4 H], [4 H]."""
  units = d_outputs.shape[1]
  of_input, of_hidden = (part.transpose(0, 2, 1).copy() for part in _parts(kernel))
  hidden_before, cell_before = route.before(layer.hidden), route.before(layer.cell)
  write, forget, read, new = layer.gates
  # The factors of the derivatives that are known for all steps at once. A decision that holds
  # passes the derivatives of hidden vector and cell on as they are.
  slopes = 1 - layer.gates
  slopes[:3] *= layer.gates[:3]
  slopes[3] *= 1 + new
  of_hidden_gate = layer.bounded * slopes[2]
  of_cell = read * (1 - layer.bounded * layer.bounded)
  slopes[0] *= new
  slopes[1] *= cell_before
  slopes[3] *= write
  d_gates = np.empty_like(layer.gates)
  d_hiddens, d_cells = d_outputs.copy(), np.zeros_like(d_outputs)

  def of_gates(now: slice) -> FloatArray:
    """Sets the gradient of the gates, and returns that of the cell after the step."""
    d_hidden, gate = d_hiddens[now], d_gates[:, now]
    d_cell = d_hidden * of_cell[now]
    d_cell += d_cells[now]
    np.multiply(slopes[:, now], d_cell, out=gate)
    np.multiply(of_hidden_gate[now], d_hidden, out=gate[2])
    np.copyto(gate, 0, where=route.hold[now, np.newaxis])
    return d_cell

  for now, last, holds in reversed(list(route.steps())):
    d_cell = of_gates(now)
    d_cell *= forget[now]
    if holds:
      held = route.hold[now, np.newaxis]
      np.copyto(d_cell, d_cells[now], where=held)
      d_hiddens[last] += d_hiddens[now] * held
    d_cells[last] += d_cell
    d_hiddens[last] += (d_gates[:, now] @ of_hidden).sum(0)
  of_gates(slice(0, route.batch))
  d_parts = [np.moveaxis(values.T @ d_gates, 0, 1) for values in (layer.x, hidden_before)]
  d_kernel = np.concatenate([part.reshape(units, 4 * units) for part in d_parts])
  return (d_gates @ of_input).sum(0), d_kernel, d_gates.sum(1).ravel()


def _parts(kernel: FloatArray) -> tuple[FloatArray, FloatArray]:
  """The kernels of the four gates for the input and for the hidden vector; each [4, H, H]."""
  units = len(kernel) // 2
  parts = np.ascontiguousarray(kernel.reshape(2, units, 4, units).transpose(0, 2, 1, 3))
  return parts[0], parts[1]


class _Choices(NamedTuple):
  """The decisions of all walks. M' are those among anchors, M" those that write one."""

  hidden: FloatArray  # of the top layer. [M, H]
  offered: IntArray  # columns of the logits (`TableArrays.column`). [M, A]
  token: IntArray  # [M]
  log_probs: FloatArray  # [M, A]
  probs: FloatArray  # [M, A]
  chosen: FloatArray  # log-probability of the token. [M]
  entropy: FloatArray  # [M]
  pointing: IntArray  # indices of the decisions among anchors. [M']
  writing: IntArray  # indices of the decisions that write an anchor. [M"]
  anchor: IntArray  # the anchors that they write. [M"]
  known: BoolArray  # whether an anchor was written before the decision. [M', N]
  bounded: FloatArray  # tanh of key and query. [M', N, H]


def _choose(weights: Weights, table: TableArrays, route: _Route, hidden: FloatArray) -> _Choices:
  anchors, symbols, decisions = table.anchors, len(weights['head_bias']), len(hidden)
  offered, token = table.column[route.state], route.token

  writing = np.flatnonzero(table.writes[route.state] >= 0)
  anchor = table.writes[route.state[writing]]
  keys = np.zeros((route.batch, anchors, hidden.shape[1]), np.float32)
  since = np.full((route.batch, anchors), decisions)  # the decision that wrote an anchor
  keys[route.walk[writing], anchor] = hidden[writing] @ weights['w_prev']
  since[route.walk[writing], anchor] = writing

  pointing = np.flatnonzero(((offered >= symbols) & (offered < symbols + anchors)).any(1))
  walk = route.walk[pointing]
  known = since[walk] < pointing[:, np.newaxis]
  query = hidden[pointing] @ weights['w_curr']  # [M', H]
  bounded = np.tanh(keys[walk] * known[..., np.newaxis] + query[:, np.newaxis])

  columns = np.zeros((decisions, symbols + anchors + 2), np.float32)
  columns[:, :symbols] = hidden @ weights['head'] + weights['head_bias']
  columns[pointing, symbols:-2] = (bounded @ weights['v'])[..., 0]
  columns[:, -1] = ILLEGAL_LOGIT
  logits = np.take_along_axis(columns, offered, 1)
  logits -= logits.max(1, keepdims=True)
  odds = np.exp(logits)  # of an illegal choice, 0
  total = odds.sum(1, keepdims=True)
  log_probs, probs = logits - np.log(total), odds / total
  return _Choices(
    hidden=hidden,
    offered=offered,
    token=token,
    log_probs=log_probs,
    probs=probs,
    chosen=log_probs[np.arange(decisions), token],
    entropy=-(probs * log_probs).sum(1),
    pointing=pointing,
    writing=writing,
    anchor=anchor,
    known=known,
    bounded=bounded,
  )


def _choices_gradient(
  weights: Weights, route: _Route, choices: _Choices, d_log_prob: FloatArray, d_entropy: FloatArray
) -> tuple[dict[str, FloatArray], FloatArray]:
  """Gradients of the weights that make logits, and of the top layer's hidden vectors. [M, H]."""
  hidden, offered, pointing = choices.hidden, choices.offered, choices.pointing
  symbols, anchors = len(weights['head_bias']), choices.known.shape[1]
  batch, units = route.batch, hidden.shape[1]
  d_chosen = d_log_prob[route.walk, np.newaxis]  # [M, 1]
  d_logits = -d_entropy[route.walk, np.newaxis] * (
    choices.log_probs + choices.entropy[:, np.newaxis]
  )
  d_logits -= d_chosen
  d_logits *= choices.probs
  d_logits[np.arange(len(d_logits)), choices.token] += d_chosen[:, 0]
  d_columns = _sums(d_logits, offered, symbols + anchors + 2)  # [M, Y + N + 2]

  d_dense = d_columns[:, :symbols]
  d_hidden = d_dense @ weights['head'].T  # [M, H]
  d_pointed = d_columns[pointing, symbols:-2]  # [M', N]
  d_summed = 1 - choices.bounded * choices.bounded
  d_summed *= d_pointed[..., np.newaxis] * weights['v'][:, 0]  # [M', N, H]
  d_query = d_summed.sum(1)  # [M', H]
  d_hidden[pointing] += d_query @ weights['w_curr'].T
  d_summed *= choices.known[..., np.newaxis]
  of_walk = _one_hot(route.walk[pointing], batch)  # [M', B]
  d_keys = of_walk.T @ d_summed.reshape(len(pointing), anchors * units)
  d_keys = d_keys.reshape(batch, anchors, units)
  d_key = d_keys[route.walk[choices.writing], choices.anchor]  # [M", H]
  d_hidden[choices.writing] += d_key @ weights['w_prev'].T
  return {
    'head': hidden.T @ d_dense,
    'head_bias': d_dense.sum(0),
    'w_prev': hidden[choices.writing].T @ d_key,
    'w_curr': hidden[pointing].T @ d_query,
    'v': choices.bounded.reshape(-1, units).T @ d_pointed.reshape(-1, 1),
  }, d_hidden


def _sums(values: FloatArray, columns: IntArray, count: int) -> FloatArray:
  """Sums the values of each row by their columns. [M, count]."""
  rows = len(values)
  flat = columns + count * np.arange(rows)[:, np.newaxis]
  sums = np.bincount(flat.ravel(), values.ravel(), rows * count)
  return sums.reshape(rows, count).astype(np.float32)


def _one_hot(indices: IntArray, count: int) -> FloatArray:
  return (indices[:, np.newaxis] == np.arange(count)).astype(np.float32)
