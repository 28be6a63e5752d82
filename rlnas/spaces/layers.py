"""Layers that several spaces share, written as explicit nodes."""

from __future__ import annotations

from rlnas.architecture import Graph


def conv(graph: Graph, x: int, *, filters: int, kernel: int, stride: int = 1) -> int:
  """Convolution, batch normalisation, ReLU with a square kernel."""
  return graph.add(
    'conv',
    x,
    filters=filters,
    kernel_height=kernel,
    kernel_width=kernel,
    stride=stride,
    activation='relu',
  )


def separable_conv(graph: Graph, x: int, *, filters: int, kernel: int, stride: int = 1) -> int:
  """Depthwise then 1x1 convolution, each with batch normalisation and ReLU (MobileNet)."""
  depthwise = graph.add(
    'depthwise_conv',
    x,
    kernel_height=kernel,
    kernel_width=kernel,
    stride=stride,
    activation='relu',
  )
  return conv(graph, depthwise, filters=filters, kernel=1)


def pool(graph: Graph, x: int, *, kind: str, kernel: int, stride: int) -> int:
  """Pooling with a square window; `kind` is 'max' or 'avg'."""
  return graph.add(f'{kind}_pool', x, kernel_height=kernel, kernel_width=kernel, stride=stride)
