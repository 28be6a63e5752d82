"""Autoencoders of one frame or window: dense layers down to a code and back.

The form is that of MLPerf Tiny's anomaly detection, ad01 (Banbury et al. 2021, arXiv:2106.07597),
and of DCASE 2020's baseline (Koizumi et al. 2020, arXiv:2006.05822): four layers of 128 units, a
code of 8, four layers of 128 units and an output for each input. Here the number and widths of the
layers and the size of the code are decisions, and encoder and decoder need not be alike.

An example is read as an image of one pixel, whose channels are all its values: a 1x1 convolution of
it is a dense layer, with batch normalisation and ReLU as in ad01.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from rlnas.architecture import Architecture, Graph
from rlnas.spaces import layers
from rlnas.spaces.decision import Decision, Walk

HALVES = ('encoder', 'decoder')


@dataclasses.dataclass(frozen=True)
class Autoencoder:
  """The space.

  Attributes:
    max_layers: largest number of layers before the code, and after it.
    widths: numbers of units to choose from for these layers.
    codes: numbers of units to choose from for the code between them.

  Raises:
    ValueError: an option is out of its range.
  """

  one_pixel: ClassVar[bool] = True  # see `rlnas.spaces.decision`

  max_layers: int = 4
  widths: tuple[int, ...] = (8, 16, 32, 64, 128)
  codes: tuple[int, ...] = (4, 8, 16, 32)

  def __post_init__(self) -> None:
    if self.max_layers < 0:
      raise ValueError(f'max_layers={self.max_layers}: must be at least 0')
    for name in ('widths', 'codes'):
      values = getattr(self, name)
      if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ValueError(f'{name}={values}: must be distinct positive integers, at least one')

  def __call__(self) -> Walk[Architecture]:
    graph, x = Graph(), Graph.input
    for half in HALVES:
      if half == 'decoder':
        code = yield Decision('code', 'code', self.codes)
        x = layers.conv(graph, x, filters=int(code), kernel=1)
      for layer in range(self.max_layers):
        # 0 ends the half, so it decides the depth.
        width = yield Decision(f'{half}/width{layer}', f'{half}_width', (*self.widths, 0))
        if not width:
          break
        x = layers.conv(graph, x, filters=int(width), kernel=1)
    return graph.finish(graph.classify(x))
