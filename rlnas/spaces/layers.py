"""Layers that several spaces share, written as explicit nodes."""

from __future__ import annotations

import dataclasses

from rlnas.architecture import Graph, Scalar


@dataclasses.dataclass(frozen=True)
class Map:
  """A node whose value is a map, and how many times smaller than the image that map is.

  All padding is 'same', so a side is ceil(side of the image / stride): maps of equal stride have
  equal sizes for every image.
  """

  node: int
  stride: int = 1


def conv(graph: Graph, x: int, *, filters: int, kernel: int, stride: int = 1) -> int:
  """Convolution, batch normalisation, ReLU with a square kernel."""
  return rectangular_conv(graph, x, filters=filters, height=kernel, width=kernel, stride=stride)


def separable_conv(graph: Graph, x: int, *, filters: int, kernel: int, stride: int = 1) -> int:
  """Depthwise then 1x1 convolution, each with batch normalisation and ReLU (MobileNet)."""
  return rectangular_separable_conv(
    graph, x, filters=filters, height=kernel, width=kernel, stride=stride
  )


def pool(graph: Graph, x: int, *, kind: str, kernel: int, stride: int) -> int:
  """Pooling with a square window; `kind` is 'max' or 'avg'."""
  return graph.add(f'{kind}_pool', x, kernel_height=kernel, kernel_width=kernel, stride=stride)


def rectangular_conv(
  graph: Graph, x: int, *, filters: int, height: int, width: int, stride: int = 1
) -> int:
  """Convolution, batch normalisation, ReLU with a kernel of any height and width."""
  return graph.add(
    'conv',
    x,
    filters=filters,
    kernel_height=height,
    kernel_width=width,
    stride=stride,
    activation='relu',
  )


def rectangular_separable_conv(
  graph: Graph, x: int, *, filters: int, height: int, width: int, stride: int = 1
) -> int:
  """`separable_conv` with a kernel of any height and width."""
  depthwise = graph.add(
    'depthwise_conv',
    x,
    kernel_height=height,
    kernel_width=width,
    stride=stride,
    activation='relu',
  )
  return conv(graph, depthwise, filters=filters, kernel=1)


def row_conv(
  graph: Graph,
  x: int,
  filters: int,
  kernel: int,
  *,
  stride: int = 1,
  dilation: int = 1,
  activation: str = 'relu',
) -> int:
  """Convolution with a 1 x `kernel` window; of the stride and the dilation one is 1."""
  window = {'kernel_height': 1, 'kernel_width': kernel}
  given: dict[str, Scalar] = {'filters': filters, 'activation': activation, **window}
  if dilation > 1:
    return graph.add('dilated_conv', x, dilation=dilation, **given)
  return graph.add('conv', x, stride=stride, **given)


def row_depthwise(
  graph: Graph,
  x: int,
  kernel: int,
  *,
  stride: int = 1,
  dilation: int = 1,
  activation: str = 'relu',
) -> int:
  """Depthwise convolution with a 1 x `kernel` window; see `row_conv`."""
  given: dict[str, Scalar] = {'activation': activation, 'kernel_height': 1, 'kernel_width': kernel}
  if dilation > 1:
    return graph.add('dilated_depthwise_conv', x, dilation=dilation, **given)
  return graph.add('depthwise_conv', x, stride=stride, **given)


def downsample(graph: Graph, x: Map, stride: int) -> Map:
  """Max pools a map, without overlap, to `stride`, a multiple of its own; no node if equal."""
  factor = stride // x.stride
  if factor == 1:
    return x
  return Map(pool(graph, x.node, kind='max', kernel=factor, stride=factor), stride)


def pad(graph: Graph, x: Map, like: Map) -> Map:
  """Pads a map with zeros to the size of another; adds no node if the sizes are equal."""
  if x.stride == like.stride:
    return x
  return Map(graph.add('pad_like', x.node, like.node), like.stride)
