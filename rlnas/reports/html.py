"""A report as a tree of blocks, written as one self-contained HTML file and as Markdown.

The templates of both are in the folder `templates`, for jinja2. They escape all text, so names of
data sets and classes may hold any characters.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import os
import re

import jinja2

from rlnas.data.atomic_file import write_folder

_NUMBER = re.compile(r'-?[0-9][0-9,.]*%?|–')


@dataclasses.dataclass(frozen=True)
class Text:
  """A paragraph."""

  text: str


@dataclasses.dataclass(frozen=True)
class Code:
  """Lines of code or of a command, shown as they are."""

  text: str


@dataclasses.dataclass(frozen=True)
class Links:
  """Links to other files.

  Attributes:
    rows: (text, path relative to the folder of the page).
  """

  rows: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Facts:
  """A few important figures, shown first.

  Attributes:
    rows: (name, value, remark).
  """

  rows: tuple[tuple[str, str, str], ...]


@dataclasses.dataclass(frozen=True)
class Table:
  """A table; columns of numbers, except the first, are aligned right.

  Attributes:
    head: names of the columns.
    rows: one text per column.
    summary: title of a long table, which is closed until the reader opens it; '' for others.
  """

  head: tuple[str, ...]
  rows: tuple[tuple[str, ...], ...]
  summary: str = ''

  @property
  def numeric(self) -> tuple[bool, ...]:
    """Whether each column holds numbers."""
    return tuple(
      i > 0 and all(_NUMBER.fullmatch(row[i]) for row in self.rows) for i in range(len(self.head))
    )


@dataclasses.dataclass(frozen=True)
class Figure:
  """A picture.

  Attributes:
    name: name of its file beside the Markdown: lower-case letters, digits and hyphens.
    svg: the picture.
    caption: a sentence that says what it shows.
  """

  name: str
  svg: str
  caption: str

  def __post_init__(self) -> None:
    if not re.fullmatch(r'[a-z0-9-]+', self.name):
      raise ValueError(f'name={self.name!r}: must have lower-case letters, digits and hyphens only')

  @property
  def width_pixels(self) -> int:
    """Its width on the page: matplotlib gives it in points, each 4/3 of a pixel."""
    found = re.search(r'<svg[^>]*\swidth="([0-9.]+)pt"', self.svg)
    return round(float(found[1]) * 4 / 3) if found else 600


@dataclasses.dataclass(frozen=True)
class Figures:
  """Pictures, side by side if there is room."""

  figures: tuple[Figure, ...]


@dataclasses.dataclass(frozen=True)
class Row:
  """Blocks, side by side if there is room."""

  blocks: tuple[Text | Table | Figures, ...]


Block = Text | Code | Links | Facts | Table | Figures | Row


@dataclasses.dataclass(frozen=True)
class Section:
  """A heading and the blocks below it."""

  title: str
  blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class Page:
  """A report.

  Attributes:
    title: its heading.
    lead: a sentence below the heading.
    top: blocks before the first section.
    sections: its sections.
    refresh_seconds: seconds after which a browser reloads the page; None for never.
  """

  title: str
  lead: str
  top: tuple[Block, ...]
  sections: tuple[Section, ...]
  refresh_seconds: int | None = None


def write_page(
  page: Page, folder: str | os.PathLike[str], *, html_name: str, markdown_name: str
) -> None:
  """Writes the files of `page_contents`. Raises OSError."""
  write_folder(folder, page_contents(page, html_name=html_name, markdown_name=markdown_name))


def page_contents(page: Page, *, html_name: str, markdown_name: str) -> dict[str, bytes]:
  """A page as HTML, as Markdown, and the pictures of the Markdown, by their names in a folder."""
  blocks = (*page.top, *(block for section in page.sections for block in section.blocks))
  texts = {
    **{f'figures/{figure.name}.svg': figure.svg for block in blocks for figure in _figures(block)},
    html_name: to_html(page),
    markdown_name: to_markdown(page),
  }
  return {name: text.encode('utf-8', errors='replace') for name, text in texts.items()}


def _figures(block: Block) -> tuple[Figure, ...]:
  if isinstance(block, Row):
    return tuple(figure for part in block.blocks for figure in _figures(part))
  return block.figures if isinstance(block, Figures) else ()


def to_html(page: Page) -> str:
  """One HTML file without scripts, which contains its pictures."""
  return _templates().get_template('page.html').render(page=page).lstrip()


def to_markdown(page: Page) -> str:
  """The page as Markdown, with pictures in figures/."""
  return _templates().get_template('page.md').render(page=page).strip() + '\n'


@functools.cache
def _templates() -> jinja2.Environment:
  templates = jinja2.Environment(
    loader=jinja2.PackageLoader('rlnas.reports'),
    autoescape=jinja2.select_autoescape(['html']),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  templates.filters |= {'base64': _base64, 'fence': _fence, 'kind': _kind, 'md': _markdown}
  return templates


def _kind(block: Block) -> str:
  return type(block).__name__


def _base64(text: str) -> str:
  return base64.b64encode(text.encode()).decode()


def _fence(text: str) -> str:
  """The mark around lines of code in Markdown: longer than any within them."""
  return '`' * max(3, 1 + max(map(len, re.findall('`+', text)), default=0))


def _markdown(text: str) -> str:
  """Text on one line, with all markup escaped."""
  return re.sub(r'([\\`*_{}\[\]<>|#!~])', r'\\\1', ' '.join(text.split()))
