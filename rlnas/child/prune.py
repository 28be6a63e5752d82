"""Structured pruning: removes the weakest filters of a trained network to save memory and work.

Zeros spread over a kernel (unstructured sparsity) neither shrink a .tflite file, which stores them
like other weights, nor save TFLite Micro any work. Removing whole filters does both and leaves an
ordinary smaller network. Li et al. 2017 (arXiv:1608.08710, section 3.1) remove the filters with the
smallest L1 norm and train the rest further. Here the norm is that of the filter together with its
batch normalisation, without which the filter's size means nothing.

If values are added or multiplied, their channels can only be removed together; if they are
concatenated, each part keeps its own channels. So every network of convolutions can be pruned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture, TaskShape, infer_shapes
from rlnas.backend import keras
from rlnas.child.builder import build
from rlnas.child.widths import with_widths
from rlnas.cost.limits import within_limits

_CONVOLUTIONS = ('conv', 'dilated_conv')
_TIED = ('add', 'multiply')
_FIXED = ('input', 'frames', 'dense', 'classifier', 'reconstruction')  # they keep their channels


def prune_filters(
  network: keras.Model, architecture: Architecture, *, share: float
) -> tuple[Architecture, keras.Model]:
  """Removes the weakest filters of every convolution, but keeps at least one of each.

  Args:
    network: a trained network, as `build` returns it for `architecture`; it is not changed.
    architecture: the network's architecture.
    share: share of the filters to remove, in (0, 1). Their number is rounded down for each
      convolution, or for each group of convolutions whose results are added or multiplied.

  Returns:
    The smaller network's architecture, and the network itself with the weights of the filters that
    are left; it must be trained further.

  Raises:
    ValueError: `share` is out of its range, or the network has no filters to spare.
  """
  if not 0 < share < 1:
    raise ValueError(f'share={share}: must lie in (0, 1)')
  architecture = within_limits(architecture)  # the layers are named after its indices
  task = TaskShape(network.input_shape[1:], network.output_shape[-1])
  channels = _Channels(architecture, task)
  removed = channels.weakest(_scores(network, architecture), share)
  if not removed:
    raise ValueError(f'share={share}: no convolution has filters to spare')
  kept = [np.array([c not in removed for c in row], bool) for row in channels.of_nodes]
  widths = {
    index: int(kept[index].sum())
    for index, node in enumerate(architecture.nodes)
    if node.op in _CONVOLUTIONS
  }
  smaller = with_widths(architecture, widths)
  result = build(smaller, task, seed=0)
  for layer in result.layers:
    if layer.weights:
      index = int(layer.name.split('_')[0].removeprefix('node'))
      node = architecture.nodes[index]
      weights = network.get_layer(layer.name).get_weights()
      layer.set_weights(_left(layer, weights, kept[node.inputs[0]], kept[index]))
  return smaller, result


class _Channels:
  """Finds out which channels of a network's values can only be removed together.

  Attributes:
    of_nodes: for each node the channels of its value, as numbers. Channels with equal numbers are
      removed or kept together.
  """

  def __init__(self, architecture: Architecture, task: TaskShape) -> None:
    self._parent: list[int] = []
    self._filters: dict[int, list[int]] = {}  # channels of each convolution's result
    shapes = infer_shapes(architecture, task)
    found: list[list[int]] = []
    for index, (node, shape) in enumerate(zip(architecture.nodes, shapes, strict=True)):
      inputs = [found[i] for i in node.inputs]
      if node.op == 'concat':
        found.append([channel for row in inputs for channel in row])
      elif node.op in (*_CONVOLUTIONS, *_FIXED):
        found.append(self._new(shape[-1]))
        if node.op in _CONVOLUTIONS:
          self._filters[index] = found[-1]
      else:
        if node.op in _TIED:
          for first, second in zip(*inputs, strict=True):
            self._parent[self._root(second)] = self._root(first)
        found.append(inputs[0])
    self.of_nodes = [[self._root(channel) for channel in row] for row in found]
    self._filters = {i: [self._root(c) for c in row] for i, row in self._filters.items()}
    fixed = [
      row for row, node in zip(self.of_nodes, architecture.nodes, strict=True) if node.op in _FIXED
    ]
    self._fixed = {channel for row in fixed for channel in row}

  def weakest(self, scores: dict[int, npt.NDArray[np.float64]], share: float) -> set[int]:
    """Returns the channels to remove, by the scores of each convolution's filters."""
    strength: dict[int, float] = {}
    for index, row in self._filters.items():
      for channel, score in zip(row, scores[index], strict=True):
        strength[channel] = strength.get(channel, 0.0) + float(score)
    safe = {max(row, key=lambda c: strength[c]) for row in self._filters.values()} | self._fixed
    removed: set[int] = set()
    for group in self._groups():
      spare = sorted((c for c in group if c not in safe), key=lambda c: (strength[c], c))
      removed.update(spare[: int(share * len(group))])
    return removed

  def _groups(self) -> list[set[int]]:
    """Groups the channels of convolutions: those that share a channel form one group."""
    groups: list[set[int]] = []
    for row in self._filters.values():
      joined = set(row)
      apart = []
      for group in groups:
        if group & joined:
          joined |= group
        else:
          apart.append(group)
      groups = [*apart, joined]
    return groups

  def _new(self, count: int) -> list[int]:
    first = len(self._parent)
    self._parent.extend(range(first, first + count))
    return list(range(first, first + count))

  def _root(self, channel: int) -> int:
    while self._parent[channel] != channel:
      channel = self._parent[channel]
    return channel


def _scores(network: keras.Model, architecture: Architecture) -> dict[int, npt.NDArray[np.float64]]:
  """Returns the L1 norm of each filter with its batch normalisation, by node."""
  scores = {}
  for index, node in enumerate(architecture.nodes):
    if node.op in _CONVOLUTIONS:
      (kernel,) = network.get_layer(f'node{index}_conv').get_weights()
      norm = network.get_layer(f'node{index}_norm')
      gamma, _, _, variance = norm.get_weights()
      factor = np.abs(gamma) / np.sqrt(variance + norm.epsilon)
      scores[index] = np.abs(kernel).sum((0, 1, 2), dtype=np.float64) * factor
  return scores


def _left(
  layer: keras.layers.Layer,
  weights: Sequence[npt.NDArray[Any]],
  entering: npt.NDArray[np.bool_],
  leaving: npt.NDArray[np.bool_],
) -> list[npt.NDArray[Any]]:
  """Returns the weights of a layer without the removed channels.

  Args:
    layer: the layer, which determines the axes of the channels.
    weights: its weights before pruning.
    entering: whether each input channel is kept.
    leaving: whether each output channel is kept.
  """
  if isinstance(layer, keras.layers.Conv2D):
    return [weights[0][:, :, entering][..., leaving], *(row[leaving] for row in weights[1:])]
  if isinstance(layer, keras.layers.DepthwiseConv2D):
    return [weights[0][:, :, entering]]
  if isinstance(layer, keras.layers.Dense):
    return [weights[0][entering], *weights[1:]]
  return [row[leaving] for row in weights]  # batch normalisation
