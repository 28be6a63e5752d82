"""Drawings of architectures as SVG and PNG: boxes from the image on top to the classifier below.

A box is a layer with the shape of its output; its colour shows the kind of operation. Sums,
concatenations, padding and separate activations are small pills. A skip, a line that passes other
layers, has one colour from its source on; a dotted line passes only a size. The text of an SVG
stays text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.textpath import TextToPath

from rlnas.architecture import SIZED, Architecture, TaskShape
from rlnas.data.atomic_file import write_files
from rlnas.reports.graph_boxes import Box, boxes
from rlnas.reports.graph_layout import Layout, place
from rlnas.reports.rendering import any_script, encoded, pixels_of

_SUFFIXES = ('.svg', '.png')
_DPI = 110
# Applied to the defaults of matplotlib, so that a user's matplotlibrc changes nothing.
_SETTINGS: Any = {
  'text.parse_math': False,
  'svg.fonttype': 'none',
  'svg.hashsalt': 'rlnas',
  'font.family': 'sans-serif',
  'font.sans-serif': ['DejaVu Sans', 'Verdana'],
}
_LABEL_POINTS, _SHAPE_POINTS, _TITLE_POINTS = 9.0, 7.5, 10.0
# Inches.
_MARGIN, _LEAST_WIDTH, _BOX_HEIGHT, _PILL_HEIGHT = 0.2, 1.0, 0.44, 0.24
_BESIDE, _LANE, _PORT, _ARROW = 0.22, 0.16, 0.13, 0.06

_LINE = '#808890'
_SKIPS = (
  *('#c2553a', '#2f7d8c', '#7a5ba6', '#b8860b', '#3b8a3b', '#b0407c'),
  *('#3f62b8', '#7d6b4f', '#111827', '#6bb1c9', '#e08e45', '#9acd6b'),
)
_COLORS = {
  'input': '#d9ead3',
  'frames': '#d9ead3',
  'conv': '#cfe2f7',
  'dilated_conv': '#cfe2f7',
  'depthwise_conv': '#c7ebe6',
  'dilated_depthwise_conv': '#c7ebe6',
  'separable_conv': '#c7ebe6',
  'max_pool': '#fde7c4',
  'avg_pool': '#fde7c4',
  'global_avg_pool': '#fde7c4',
  'dense': '#e3d7f0',
  'classifier': '#e3d7f0',
  'reconstruction': '#e3d7f0',
  'relu': '#f6d5dc',
  'tanh': '#f6d5dc',
  'sigmoid': '#f6d5dc',
}


def draw(
  architecture: Architecture,
  paths: Sequence[str | os.PathLike[str]],
  *,
  task: TaskShape,
  title: str = '',
) -> None:
  """Writes a drawing of an architecture; equal architectures give SVGs with equal bytes.

  Args:
    architecture: what to draw.
    paths: files to write; the suffix, .svg or .png, decides the format.
    task: input shape and number of classes; the drawing shows the shapes that follow.
    title: lines above the drawing.

  Raises:
    ValueError: a suffix is another, or the architecture cannot read the input.
    OSError: a file cannot be written.
  """
  for path in paths:
    if pathlib.Path(path).suffix not in _SUFFIXES:
      raise ValueError(f'paths: {os.fspath(path)!r} must end in one of {_SUFFIXES}')
  suffixes = [pathlib.Path(path).suffix for path in paths]
  pictures = drawings(architecture, suffixes, task=task, title=title)
  write_files(dict(zip(paths, pictures, strict=True)))


def drawings(
  architecture: Architecture, suffixes: Sequence[str], *, task: TaskShape, title: str = ''
) -> list[bytes]:
  """The content of a drawing for each suffix, .svg or .png. See `draw`."""
  with _style():
    figure = _figure(boxes(architecture, task), title)
    return [encoded(figure, suffix, dpi=_DPI) for suffix in suffixes]


def pixels(
  architecture: Architecture, *, task: TaskShape, title: str = ''
) -> npt.NDArray[np.uint8]:
  """The drawing as an image [height, width, 3]. See `draw` for arguments and errors."""
  with _style():
    return pixels_of(_figure(boxes(architecture, task), title), dpi=_DPI)


@contextlib.contextmanager
def _style() -> Iterator[None]:
  """A context for drawing; texts are measured in it, too."""
  with matplotlib.style.context(['default', _SETTINGS]), any_script():
    yield


@dataclasses.dataclass(frozen=True)
class _Rows:
  """Upper and lower border of each row, in inches from the top of the picture."""

  top: tuple[float, ...]
  bottom: tuple[float, ...]


def _figure(parts: Sequence[Box], title: str) -> Figure:
  """The whole picture; one inch is one unit of its axes."""
  widths = [_width(box) for box in parts]
  edges = sorted({(source, i) for i, box in enumerate(parts) for source in box.inputs})
  layout = place(edges, [w + _BESIDE for w in widths], lane_width=_LANE)
  titles = title.splitlines()
  title_height = len(titles) * 0.2 + (0.1 if titles else 0)
  rows = _rows(parts, edges, layout, top=_MARGIN + title_height)
  title_width = max((_text_width(line, _TITLE_POINTS) for line in titles), default=0)
  width = max(layout.width, title_width) + 2 * _MARGIN
  height = rows.bottom[-1] + _MARGIN
  figure = Figure(figsize=(width, height), facecolor='white')
  axes = figure.add_axes((0, 0, 1, 1))
  left = (width - layout.width) / 2
  axes.set(xlim=(-left, width - left), ylim=(height, 0))
  axes.axis('off')
  for i, line in enumerate(titles):
    y = _MARGIN + 0.2 * i
    axes.text(width / 2 - left, y, line, fontsize=_TITLE_POINTS, ha='center', va='center')
  _draw_edges(axes, parts, edges, layout, rows)
  for box, x, rank, box_width in zip(parts, layout.x, layout.ranks, widths, strict=True):
    _draw_box(axes, box, x, (rows.top[rank] + rows.bottom[rank]) / 2, box_width)
  return figure


def _width(box: Box) -> float:
  widest = max(_text_width(box.label, _LABEL_POINTS), _text_width(box.shape, _SHAPE_POINTS))
  if box.is_pill:
    return max(widest + 0.2, _PILL_HEIGHT)
  return max(widest + 0.26, _LEAST_WIDTH)


def _text_width(text: str, points: float) -> float:
  if not text:
    return 0.0
  width, _, _ = TextToPath().get_text_width_height_descent(
    text, FontProperties(family='DejaVu Sans', size=points), ismath=False
  )
  return width / 72


def _rows(
  parts: Sequence[Box], edges: Sequence[tuple[int, int]], layout: Layout, *, top: float
) -> _Rows:
  """Rows are as high as their highest box; if lines run far sideways, the gap is larger."""
  count = max(layout.ranks) + 1
  heights, aside = [0.0] * count, [0.0] * count
  for box, rank in zip(parts, layout.ranks, strict=True):
    heights[rank] = max(heights[rank], _PILL_HEIGHT if box.is_pill else _BOX_HEIGHT)
  for (u, v), lanes in zip(edges, layout.lanes, strict=True):
    way = (layout.x[u], *lanes, layout.x[v])
    for step, (a, b) in enumerate(itertools.pairwise(way)):
      rank = layout.ranks[u] + step
      aside[rank] = max(aside[rank], abs(a - b))
  tops, bottoms, y = [], [], top
  for height, far in zip(heights, aside, strict=True):
    tops.append(y)
    bottoms.append(y + height)
    y += height + min(0.24 + 0.08 * far, 0.7)
  return _Rows(tuple(tops), tuple(bottoms))


def _draw_edges(
  axes: Any,
  parts: Sequence[Box],
  edges: Sequence[tuple[int, int]],
  layout: Layout,
  rows: _Rows,
) -> None:
  lanes = dict(zip(edges, layout.lanes, strict=True))
  colors = _skip_colors(lanes, layout.ranks)
  for target, box in enumerate(parts):
    x, width, rank = layout.x[target], _width(box), layout.ranks[target]
    ways = [((layout.x[u], *lanes[u, target]), u) for u in box.inputs]
    ways.sort(key=lambda way: way[0][-1])  # arrows have the order in which lines arrive
    spread = min(_PORT, 0.6 * width / max(len(ways), 1))
    for port, (way, u) in enumerate(ways):
      aside = (port - (len(ways) - 1) / 2) * spread
      middle = (rows.top[rank] + rows.bottom[rank]) / 2
      end = (x + aside, middle - _half_height(box, aside, width))
      color = colors[u] if len(way) > 1 else _LINE
      size_only = box.kind in SIZED and u in box.inputs[1:]
      _draw_edge(axes, way, end, layout.ranks[u], rows, color, ':' if size_only else '-')


def _skip_colors(
  lanes: dict[tuple[int, int], tuple[float, ...]], ranks: Sequence[int]
) -> dict[int, str]:
  """A colour for each source of skips, unlike those beside it if there are enough colours."""
  ends: dict[int, int] = {}
  for u, v in lanes:
    if lanes[u, v]:
      ends[u] = max(ends.get(u, 0), ranks[v])
  free_from = [0] * len(_SKIPS)  # the first row in which each color is free again
  colors = {}
  for u in sorted(ends, key=lambda u: (ranks[u], u)):
    unused = [c for c, row in enumerate(free_from) if row <= ranks[u]]
    color = unused[0] if unused else free_from.index(min(free_from))
    free_from[color] = ends[u]
    colors[u] = _SKIPS[color]
  return colors


def _half_height(box: Box, aside: float, width: float) -> float:
  """Height of the upper border above the middle, at `aside` from the centre (pills are round)."""
  if not box.is_pill:
    return _BOX_HEIGHT / 2
  radius = _PILL_HEIGHT / 2
  into_corner = max(abs(aside) - (width / 2 - radius), 0.0)
  return math.sqrt(max(radius**2 - into_corner**2, 0.0))


def _draw_edge(
  axes: Any,
  way: Sequence[float],
  end: tuple[float, float],
  rank: int,
  rows: _Rows,
  color: str,
  style: str,
) -> None:
  """Draws a line from the middle of the source through its lanes; it bends only between rows."""
  points = [(way[0], (rows.top[rank] + rows.bottom[rank]) / 2)]
  codes = [Path.MOVETO]
  for x, x_next in zip(way, (*way[1:], end[0]), strict=True):
    y, y_next = rows.bottom[rank], rows.top[rank + 1]
    middle = (y + y_next) / 2
    points += [(x, y), (x, middle), (x_next, middle), (x_next, y_next)]
    codes += [Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    rank += 1
  line = Path([*points, end], [*codes, Path.LINETO])
  axes.add_patch(
    PathPatch(line, fill=False, edgecolor=color, linewidth=1.1, linestyle=style, zorder=1)
  )
  x, tip = end
  corners = [(x, tip), (x - _ARROW / 2, tip - _ARROW), (x + _ARROW / 2, tip - _ARROW)]
  axes.add_patch(Polygon(corners, color=color, linewidth=0, zorder=1))


def _draw_box(axes: Any, box: Box, x: float, y: float, width: float) -> None:
  pill = box.is_pill
  height = _PILL_HEIGHT if pill else _BOX_HEIGHT
  style = f'round,pad=0,rounding_size={height / 2 if pill else 0.07}'
  axes.add_patch(
    FancyBboxPatch(
      (x - width / 2, y - height / 2),
      width,
      height,
      boxstyle=style,
      facecolor=_COLORS.get(box.kind, 'white'),
      edgecolor='#404850',
      linewidth=0.8,
      zorder=2,
    )
  )
  place_text = {'ha': 'center', 'va': 'center', 'zorder': 3}
  label_y = y if pill else y - 0.085
  axes.text(x, label_y, box.label, fontsize=_LABEL_POINTS, color='#101418', **place_text)
  if box.shape:
    axes.text(x, y + 0.1, box.shape, fontsize=_SHAPE_POINTS, color='#505860', **place_text)
