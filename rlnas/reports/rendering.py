"""Turns figures of matplotlib into the bytes of a file, or into pixels.

Names of classes, of data sets and of a user's own choices may be of any script. The font of the
pictures has Latin, Greek, Cyrillic and some others; it draws a box in place of other characters, of
which matplotlib would warn on the terminal.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rlnas.progress import PICTURE, Step, tell

if TYPE_CHECKING:
  from matplotlib.figure import Figure


@contextlib.contextmanager
def any_script() -> Iterator[None]:
  """A context in which characters that the font lacks give no warning."""
  with warnings.catch_warnings():
    warnings.filterwarnings('ignore', message=r'Glyph .* missing from')
    yield


def encoded(figure: Figure, suffix: str, *, dpi: float) -> bytes:
  """The figure as the content of a file; equal figures give equal bytes.

  Args:
    figure: the figure.
    suffix: the suffix of the file, such as .png, .svg or .pdf.
    dpi: pixels per inch, for which it is laid out.

  Raises:
    ValueError: matplotlib does not know the format.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.backends.backend_svg import FigureCanvasSVG

  content = io.BytesIO()
  tell(Step(0, 1, unit=PICTURE))  # each takes up to a second
  with any_script():
    figure.set_dpi(dpi)
    if suffix == '.svg':  # by its canvas, as PNG: savefig gives the same and draws twice
      FigureCanvasSVG(figure).print_svg(content, metadata={'Date': None})
    elif suffix == '.png':
      FigureCanvasAgg(figure).print_png(content)
    else:
      figure.savefig(content, format=suffix.removeprefix('.'), dpi=dpi)
  return content.getvalue()


def pixels_of(figure: Figure, *, dpi: float) -> npt.NDArray[np.uint8]:
  """The figure as an image [height, width, 3]."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  canvas = FigureCanvasAgg(figure)
  figure.set_dpi(dpi)
  with any_script():
    canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3]
