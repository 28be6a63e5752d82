"""Autoencoders of sequences: convolutions over time down to a code and back.

A sequence is read as an image of one row whose channels are the features, as in
`rlnas.spaces.temporal`: so its bytes are those of the sequence, and the usual kernels of two
dimensions apply. The encoder's layers are convolutions with a stride, each of which may be
separable; a 1x1 convolution makes the code, a few channels at each of the times that are left. The
decoder has the same layers in reverse order, and the last one gives all features of all frames.
Both halves share their weights over time, so they take fewer than the dense layers of
`rlnas.spaces.autoencoder`, which know each place of a window.

Where the encoder has a stride, the decoder repeats each value to the length that the encoder had
there, and convolves (Odena et al. 2016, "Deconvolution and checkerboard artifacts",
doi:10.23915/distill.00003). A transposed convolution would overlap unevenly if its stride does not
divide its kernel, and asks TFLite Micro for a scratch area of 32-bit sums; a dense layer from the
code to all values would take most of the weights. Repeating has no weights, keeps the int8 scale
and reaches any length, so strides need not divide the number of frames.

A separable convolution has no ReLU between its two steps, since there each feature is on its own
(Chollet 2017, arXiv:1610.02357, section 4.7), and the code has none, so it takes both signs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from rlnas.architecture import Architecture, Graph
from rlnas.spaces import layers
from rlnas.spaces.decision import Decision, Walk

OPERATIONS = ('conv', 'separable_conv')


@dataclasses.dataclass(frozen=True)
class ConvAutoencoder:
  """The space.

  Attributes:
    max_layers: largest number of layers before the code, and after it; at least one.
    operations: operations to choose from for each of them, among 'conv' and 'separable_conv'.
    kernels: numbers of frames to choose from for the window of each.
    strides: numbers of frames to choose from between two windows, up to the length of a window:
      beyond it, no frame could be told from its neighbours.
    filters: numbers of output channels to choose from for each layer of the encoder.
    codes: numbers of channels to choose from for the code.

  Raises:
    ValueError: an option is out of its range.
  """

  one_row: ClassVar[bool] = True  # see `rlnas.spaces.decision`
  reconstructs: ClassVar[bool] = True

  max_layers: int = 3
  operations: tuple[str, ...] = OPERATIONS
  kernels: tuple[int, ...] = (3, 5, 9)
  strides: tuple[int, ...] = (1, 2, 4)
  filters: tuple[int, ...] = (8, 16, 32, 64)
  codes: tuple[int, ...] = (2, 4, 8, 16)

  def __post_init__(self) -> None:
    if self.max_layers < 1:
      raise ValueError(f'max_layers={self.max_layers}: must be at least 1')
    given = self.operations
    if not given or not set(given) <= set(OPERATIONS) or len(set(given)) < len(given):
      raise ValueError(f'operations={given}: must be distinct, taken from {OPERATIONS}')
    for name in ('kernels', 'strides', 'filters', 'codes'):
      values = getattr(self, name)
      if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ValueError(f'{name}={values}: must be distinct positive integers, at least one')
    if min(self.strides) > min(self.kernels):
      raise ValueError(
        f'strides={self.strides}: one must be at most the smallest of kernels={self.kernels}'
      )

  def __call__(self) -> Walk[Architecture]:
    encoder: list[_Layer] = []
    for i in range(self.max_layers):
      at = f'layer{i}/'
      # 0 ends the encoder, so it decides the depth.
      filters = yield Decision(at + 'filters', 'filters', (*self.filters, *((0,) if i else ())))
      if not filters:
        break
      op = yield Decision(at + 'op', 'op', self.operations)
      kernel = yield Decision(at + 'kernel', 'kernel', self.kernels)
      steps = tuple(step for step in self.strides if step <= int(kernel))
      stride = yield Decision(at + 'stride', 'stride', steps, (kernel,))
      encoder.append(_Layer(op == 'separable_conv', int(kernel), int(stride), int(filters)))
    code = yield Decision('code', 'code', self.codes)
    return _assemble(encoder, int(code))


@dataclasses.dataclass(frozen=True)
class _Layer:
  """A layer of the encoder, which the decoder has in reverse."""

  is_separable: bool
  kernel: int
  stride: int
  filters: int

  @property
  def mixing_kernel(self) -> int:
    """The window of the convolution that mixes the channels."""
    return 1 if self.is_separable else self.kernel


def _assemble(encoder: Sequence[_Layer], code: int) -> Architecture:
  graph, read = Graph(), [Graph.input]  # what each layer of the encoder reads; then its result
  for layer in encoder:
    x = _filtered(graph, read[-1], layer, stride=layer.stride)
    read.append(_mixed(graph, x, layer, layer.filters, stride=layer.stride))
  x = layers.row_conv(graph, read.pop(), code, 1, activation='none')
  x = layers.row_conv(graph, x, encoder[-1].filters, 1)
  for i in reversed(range(len(encoder))):
    layer = encoder[i]
    if layer.stride > 1:
      x = graph.add('resize_like', x, read[i])
    x = _filtered(graph, x, layer)
    if i:
      x = _mixed(graph, x, layer, encoder[i - 1].filters)
  return graph.finish(
    graph.add('reconstruction', x, kernel_height=1, kernel_width=encoder[0].mixing_kernel)
  )


def _filtered(graph: Graph, x: int, layer: _Layer, *, stride: int = 1) -> int:
  """The first step of a separable layer; adds no node if the layer is not separable."""
  if not layer.is_separable:
    return x
  return layers.row_depthwise(graph, x, layer.kernel, stride=stride, activation='none')


def _mixed(graph: Graph, x: int, layer: _Layer, filters: int, *, stride: int = 1) -> int:
  """The second step of a separable layer, or the whole of another."""
  step = 1 if layer.is_separable else stride
  return layers.row_conv(graph, x, filters, layer.mixing_kernel, stride=step)
