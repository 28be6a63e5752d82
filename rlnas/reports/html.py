"""A report as a tree of blocks, written as one self-contained HTML file and as Markdown.

This module escapes all text, so names of data sets and classes may hold any characters.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import os
import re
from collections.abc import Sequence

from rlnas.data.atomic_file import write_folder
from rlnas.reports.html_style import HTML, STYLE

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


@dataclasses.dataclass(frozen=True)
class Figures:
  """Pictures, side by side if there is room."""

  figures: tuple[Figure, ...]


@dataclasses.dataclass(frozen=True)
class Row:
  """Blocks, side by side if there is room."""

  blocks: tuple[Text | Table | Figures, ...]


Block = Text | Code | Facts | Table | Figures | Row


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
  """

  title: str
  lead: str
  top: tuple[Block, ...]
  sections: tuple[Section, ...]


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
  """One HTML file without scripts or links; it contains its pictures."""
  sections = ''.join(
    f'<section>\n<h2>{html.escape(section.title)}</h2>\n{_html_blocks(section.blocks)}</section>\n'
    for section in page.sections
  )
  return HTML.format(
    title=html.escape(page.title),
    lead=html.escape(page.lead),
    style=STYLE,
    top=_html_blocks(page.top),
    sections=sections,
  )


def _html_blocks(blocks: Sequence[Block]) -> str:
  return ''.join(map(_html_block, blocks))


def _html_block(block: Block) -> str:
  if isinstance(block, Text):
    return f'<p>{html.escape(block.text)}</p>\n'
  if isinstance(block, Code):
    return f'<pre>{html.escape(block.text)}</pre>\n'
  if isinstance(block, Facts):
    facts = ''.join(
      f'<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}'
      f'<small>{html.escape(remark)}</small></dd></div>\n'
      for name, value, remark in block.rows
    )
    return f'<dl class="facts">\n{facts}</dl>\n'
  if isinstance(block, Table):
    return _html_table(block)
  if isinstance(block, Row):
    parts = ''.join(f'<div>{_html_block(part)}</div>\n' for part in block.blocks)
    return f'<div class="row">\n{parts}</div>\n'
  figures = ''.join(_html_figure(figure) for figure in block.figures)
  return f'<div class="figures">\n{figures}</div>\n'


def _html_figure(figure: Figure) -> str:
  data = base64.b64encode(figure.svg.encode()).decode()
  caption = html.escape(figure.caption)
  width = _width_pixels(figure.svg)
  least = round(0.65 * width)  # a narrow screen scrolls, so that the text stays readable
  return (
    f'<figure style="flex-basis:{width}px">'
    f'<img src="data:image/svg+xml;base64,{data}" alt="{caption}" '
    f'style="width:{width}px;min-width:{least}px">'
    f'<figcaption>{caption}</figcaption></figure>\n'
  )


def _width_pixels(svg: str) -> int:
  """The picture's width: matplotlib gives it in points, each 4/3 of a pixel."""
  found = re.search(r'<svg[^>]*\swidth="([0-9.]+)pt"', svg)
  return round(float(found[1]) * 4 / 3) if found else 600


def _html_table(table: Table) -> str:
  def cells(tag: str, row: Sequence[str]) -> str:
    return ''.join(
      f'<{tag}{" class=n" if is_number else ""}>{html.escape(cell)}</{tag}>'
      for cell, is_number in zip(row, table.numeric, strict=True)
    )

  rows = ''.join(f'<tr>{cells("td", row)}</tr>\n' for row in table.rows)
  head = f'<thead><tr>{cells("th", table.head)}</tr></thead>'
  few = ' few' if len(table.head) <= 3 else ''  # a table with few columns has room for long lines
  text = f'<div class="table{few}"><table>\n{head}\n<tbody>\n{rows}</tbody></table></div>\n'
  if not table.summary:
    return text
  summary = html.escape(table.summary)
  return f'<details><summary>{summary}</summary>\n{text}</details>\n'


def to_markdown(page: Page) -> str:
  """The page as Markdown, with pictures in figures/."""
  parts = [f'# {_markdown(page.title)}', _markdown(page.lead), *map(_markdown_block, page.top)]
  for section in page.sections:
    parts.append(f'## {_markdown(section.title)}')
    parts.extend(map(_markdown_block, section.blocks))
  return '\n\n'.join(parts) + '\n'


def _markdown_block(block: Block) -> str:
  if isinstance(block, Text):
    return _markdown(block.text)
  if isinstance(block, Code):
    fence = '`' * max(3, 1 + max(map(len, re.findall('`+', block.text)), default=0))
    return f'{fence}\n{block.text}\n{fence}'
  if isinstance(block, Facts):
    return _markdown_block(Table(('', '', ''), block.rows))
  if isinstance(block, Table):
    rule = ['---:' if is_number else '---' for is_number in block.numeric]
    rows = [tuple(map(_markdown, row)) for row in (block.head, *block.rows)]
    return '\n'.join(f'| {" | ".join(row)} |' for row in (rows[0], tuple(rule), *rows[1:]))
  if isinstance(block, Row):
    return '\n\n'.join(map(_markdown_block, block.blocks))
  return '\n\n'.join(
    f'![{_markdown(figure.caption)}](figures/{figure.name}.svg)' for figure in block.figures
  )


def _markdown(text: str) -> str:
  """Text on one line, with all markup escaped."""
  return re.sub(r'([\\`*_{}\[\]<>|#!~])', r'\\\1', ' '.join(text.split()))
