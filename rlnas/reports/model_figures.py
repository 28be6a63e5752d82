"""Pictures of a network for reports, as SVG text, and the style that all pictures share.

Equal data give equal bytes. Each function draws one figure of about 450 to 900 pixels for a page;
titles and captions belong to the page (`rlnas.reports.html`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rlnas.reports.rendering import encoded

if TYPE_CHECKING:
  from rlnas.export.deployment import DeploymentInfo  # loads TensorFlow
  from rlnas.reports.classification_metrics import Quality

INK, GREY, BLUE, PALE_BLUE, ORANGE = '#2b3138', '#9aa3ad', '#2f6398', '#8fb3d6', '#c2622d'
# Applied to the defaults of matplotlib, so that a user's matplotlibrc changes nothing.
_STYLE: Any = {
  'axes.axisbelow': True,
  'axes.edgecolor': GREY,
  'axes.grid': True,
  'axes.labelcolor': INK,
  'axes.labelsize': 9.5,
  'axes.spines.right': False,
  'axes.spines.top': False,
  'figure.constrained_layout.use': True,
  'font.family': 'sans-serif',
  'font.sans-serif': ['DejaVu Sans', 'Verdana'],
  'font.size': 9,
  'grid.color': '#eceff2',
  'legend.fontsize': 8.5,
  'legend.frameon': False,
  'svg.fonttype': 'path',  # the same on every screen, whatever its fonts
  'svg.hashsalt': 'rlnas',
  'text.color': INK,
  'text.parse_math': False,
  'xtick.color': INK,
  'ytick.color': INK,
}
_BLOCK_COLORS = {
  'input': '#cfe3c8',
  'CONV_2D': '#a9c6e3',
  'DEPTHWISE_CONV_2D': '#a5d8d0',
  'scratch': '#e5b9a6',
  'MAX_POOL_2D': '#f3d9a6',
  'AVERAGE_POOL_2D': '#f3d9a6',
  'MEAN': '#f3d9a6',
  'FULLY_CONNECTED': '#cdbce2',
}
_MOST_CELLS_WITH_NUMBERS = 30  # classes of a confusion matrix


def svg(figure: Figure) -> str:
  """The figure as SVG text without a date."""
  return encoded(figure, '.svg', dpi=figure.dpi).decode()


@contextlib.contextmanager
def style() -> Iterator[None]:
  """A context that draws in the style of all reports, whatever the user's matplotlib settings."""
  with matplotlib.style.context(['default', _STYLE]):
    yield


def legend_below(figure: Figure, axes: Any) -> None:
  """A legend of what `axes` shows below the figure, where it covers nothing."""
  handles, names = axes.get_legend_handles_labels()
  if handles:
    figure.legend(handles, names, loc='outside lower center', ncols=len(names))


def confusion_matrix(quality: Quality, names: Sequence[str]) -> str:
  """True classes downwards, predicted ones across; shaded by share of the true class."""
  counts = np.array(quality.confusion)
  shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
  side = min(max(3.4, 0.36 * len(names) + 1.2), 9.0)
  labels = [short(name) for name in names]
  with style():
    figure = Figure(figsize=(side + 0.4, side))
    axes = figure.add_subplot()
    axes.grid(visible=False)
    # The square root makes rare mistakes visible beside many hits.
    axes.imshow(np.sqrt(shares), cmap='Blues', vmin=0, vmax=1.15, aspect='equal')
    ticks = range(len(names))
    axes.set_xticks(ticks, labels)
    if max(map(len, labels)) > 3:
      axes.tick_params(axis='x', rotation=45)
      for label in axes.get_xticklabels():
        label.set(ha='right', rotation_mode='anchor')
    axes.set_yticks(ticks, labels)
    axes.tick_params(length=0)
    axes.set(xlabel='predicted', ylabel='true')
    axes.spines[:].set_visible(False)
    if len(names) <= _MOST_CELLS_WITH_NUMBERS:
      for row, column in zip(*np.nonzero(counts), strict=True):
        dark = shares[row, column] > 0.4
        axes.text(
          *(column, row, f'{counts[row, column]}'),
          ha='center',
          va='center',
          fontsize=7.5,
          color='white' if dark else INK,
        )
    return svg(figure)


def reliability(quality: Quality) -> str:
  """Accuracy over confidence; the area of a dot is the number of examples."""
  bins = quality.reliability
  with style():
    figure = Figure(figsize=(4.9, 4.2))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle='--')
    along: dict[str, Any] = {
      'rotation': 45,
      'rotation_mode': 'anchor',
      'transform_rotates_text': True,
    }
    axes.text(0.04, 0.06, 'perfectly calibrated', color=GREY, fontsize=8.5, **along)
    confidence, accuracy = [b.confidence for b in bins], [b.accuracy for b in bins]
    sizes = [15 + 400 * b.examples / quality.examples for b in bins]
    axes.plot(confidence, accuracy, color=BLUE, linewidth=1.2)
    axes.scatter(confidence, accuracy, s=sizes, color=BLUE, alpha=0.75, linewidth=0)
    axes.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel='confidence', ylabel='accuracy')
    return svg(figure)


def arena(info: DeploymentInfo) -> str:
  """The head of the arena: the address of each tensor, from its first to its last operator."""
  steps = len(info.report.operators)
  top = info.report.arena_head_bytes / 1024
  with style():
    figure = Figure(figsize=(min(max(6.5, 0.42 * steps), 10.2), 3.9))
    axes = figure.add_subplot()
    for block in sorted(info.blocks, key=lambda b: b.label):
      axes.add_patch(
        Rectangle(
          (block.first - 0.5, block.offset / 1024),
          block.last - block.first + 1,
          block.size_bytes / 1024,
          facecolor=_BLOCK_COLORS.get(block.label, '#d5d9de'),
          edgecolor='white',
          linewidth=0.8,
        )
      )
    live = [operator.live_bytes / 1024 for operator in info.report.operators]
    axes.step(
      [0.5, *np.arange(1, steps + 1) + 0.5], [live[0], *live], where='pre', color=INK, linewidth=1.2
    )
    axes.axhline(top, color=ORANGE, linewidth=1, linestyle='--')
    axes.set(xlim=(-0.5, steps + 0.5), ylim=(0, 1.12 * top), ylabel='KiB')
    axes.grid(visible=False)
    if steps <= 40:
      kinds = [f'{o.kind.lower()}' for o in info.report.operators]
      axes.set_xticks(range(steps + 1), ['input', *kinds], rotation=55, ha='right', fontsize=7.5)
      for label in axes.get_xticklabels():
        label.set_rotation_mode('anchor')
    else:
      axes.set_xlabel('operator')
    return svg(figure)


def short(name: str, most: int = 18) -> str:
  """A name, cut off after `most` characters."""
  return name if len(name) <= most else f'{name[: most - 1]}…'
