"""A report as a tree of blocks, written as HTML that needs nothing else, and as Markdown.

All text is escaped here, so names of data sets and classes may hold anything.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import os
import pathlib
import re
from collections.abc import Sequence

_NUMBER = re.compile(r'-?[0-9][0-9,.]*%?|–')


@dataclasses.dataclass(frozen=True)
class Text:
  """A paragraph."""

  text: str


@dataclasses.dataclass(frozen=True)
class Code:
  """Lines to be typed, or quoted as they are."""

  text: str


@dataclasses.dataclass(frozen=True)
class Facts:
  """A few figures to be seen first.

  Attributes:
    rows: (name, value, remark).
  """

  rows: tuple[tuple[str, str, str], ...]


@dataclasses.dataclass(frozen=True)
class Table:
  """A table; columns of numbers, the first apart, are set to the right."""

  head: tuple[str, ...]
  rows: tuple[tuple[str, ...], ...]

  @property
  def numeric(self) -> tuple[bool, ...]:
    """Whether each column is one of numbers."""
    return tuple(
      i > 0 and all(_NUMBER.fullmatch(row[i]) for row in self.rows) for i in range(len(self.head))
    )


@dataclasses.dataclass(frozen=True)
class Figure:
  """A picture.

  Attributes:
    name: of its file beside the Markdown: lower case, digits and hyphens.
    svg: the picture.
    caption: a sentence on what it shows.
  """

  name: str
  svg: str
  caption: str

  def __post_init__(self) -> None:
    if not re.fullmatch(r'[a-z0-9-]+', self.name):
      raise ValueError(f'name={self.name!r}: must be of lower case letters, digits and hyphens')


@dataclasses.dataclass(frozen=True)
class Figures:
  """Pictures that stand side by side where there is room."""

  figures: tuple[Figure, ...]


@dataclasses.dataclass(frozen=True)
class Row:
  """Blocks that stand side by side where there is room."""

  blocks: tuple[Text | Table | Figures, ...]


Block = Text | Code | Facts | Table | Figures | Row


@dataclasses.dataclass(frozen=True)
class Section:
  """A heading and what stands below."""

  title: str
  blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class Page:
  """A report.

  Attributes:
    title: its heading.
    lead: a sentence below.
    top: what comes before the first section.
    sections: the rest.
  """

  title: str
  lead: str
  top: tuple[Block, ...]
  sections: tuple[Section, ...]


def write_page(
  page: Page, folder: str | os.PathLike[str], *, html_name: str, markdown_name: str
) -> None:
  """Writes a page as HTML and as Markdown; the latter's pictures go to figures/.

  Raises:
    OSError: a file cannot be written.
  """
  folder = pathlib.Path(folder)
  (folder / 'figures').mkdir(parents=True, exist_ok=True)
  for block in (*page.top, *(block for section in page.sections for block in section.blocks)):
    for figure in _figures(block):
      (folder / 'figures' / f'{figure.name}.svg').write_text(figure.svg, encoding='utf-8')
  (folder / html_name).write_text(to_html(page), encoding='utf-8', errors='replace')
  (folder / markdown_name).write_text(to_markdown(page), encoding='utf-8', errors='replace')


def _figures(block: Block) -> tuple[Figure, ...]:
  if isinstance(block, Row):
    return tuple(figure for part in block.blocks for figure in _figures(part))
  return block.figures if isinstance(block, Figures) else ()


def to_html(page: Page) -> str:
  """One file without scripts, links or anything from elsewhere; pictures are inside."""
  sections = ''.join(
    f'<section>\n<h2>{html.escape(section.title)}</h2>\n{_html_blocks(section.blocks)}</section>\n'
    for section in page.sections
  )
  return _HTML.format(
    title=html.escape(page.title),
    lead=html.escape(page.lead),
    style=_STYLE,
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
  least = round(0.65 * width)  # on a narrow screen rather scroll than become illegible
  return (
    f'<figure style="flex-basis:{width}px">'
    f'<img src="data:image/svg+xml;base64,{data}" alt="{caption}" '
    f'style="width:{width}px;min-width:{least}px">'
    f'<figcaption>{caption}</figcaption></figure>\n'
  )


def _width_pixels(svg: str) -> int:
  """The picture's own width: matplotlib states it in points, 4/3 of a pixel."""
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
  few = ' few' if len(table.head) <= 3 else ''  # only few columns leave room for long lines
  return f'<div class="table{few}"><table>\n{head}\n<tbody>\n{rows}</tbody></table></div>\n'


def to_markdown(page: Page) -> str:
  """The same with pictures in figures/, for a repository."""
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
  """Text on one line in which nothing is markup."""
  return re.sub(r'([\\`*_{}\[\]<>|#!~])', r'\\\1', ' '.join(text.split()))


_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f6f7f9; color: #2b3138; line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .8rem; }
.lead { color: #5b6570; margin: 0 0 1.4rem; overflow-wrap: anywhere; }
section { background: #fff; border: 1px solid #e3e7eb; border-radius: 8px;
  padding: 1.2rem 1.4rem; margin-top: 1.2rem; }
p { max-width: 46rem; margin: .6rem 0; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem;
  margin: 0; }
.facts div { background: #fff; border: 1px solid #e3e7eb; border-radius: 8px; padding: .8rem 1rem; }
dt { color: #5b6570; font-size: .85rem; }
dd { margin: 0; font-size: 1.45rem; font-weight: 600; font-variant-numeric: tabular-nums; }
dd small { display: block; color: #5b6570; font-size: .8rem; font-weight: 400; }
.figures { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem; align-items: flex-start;
  margin: .8rem 0; }
.row { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }
.row > div { flex: 0 1 auto; min-width: 0; max-width: 100%; }
.row p { max-width: 24rem; }
figure { margin: 0; max-width: 100%; flex: 0 1 auto; min-width: 0; overflow-x: auto; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { color: #5b6570; font-size: .85rem; margin-top: .3rem; }
.table { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
td { white-space: nowrap; }
.few td { white-space: normal; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; border-bottom: 1px solid #eceff2;
  vertical-align: top; }
th { color: #5b6570; font-weight: 600; white-space: nowrap; }
.n { text-align: right; white-space: nowrap; }
pre { background: #f2f4f6; border-radius: 6px; padding: .8rem 1rem; overflow-x: auto;
  font-size: .85rem; line-height: 1.45; }
@media (max-width: 560px) {
  main { padding: 1.2rem .7rem 2rem; }
  section { padding: 1rem .9rem; }
  h1 { font-size: 1.35rem; }
}
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
_HTML = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="lead">{lead}</p>
{top}{sections}</main>
</body>
</html>
"""
