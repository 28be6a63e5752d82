"""Pages are self-contained, well-formed, and escape whatever names hold."""

import html.parser
import re

import pytest

from rlnas.reports.html import (
  Code,
  Facts,
  Figure,
  Figures,
  Page,
  Row,
  Section,
  Table,
  Text,
  to_html,
  to_markdown,
  write_page,
)

EVIL = '<script>alert(1)</script> & "quotes" | `ticks` [x](y) *a* # {b}'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt"></svg>'
PAGE = Page(
  EVIL,
  EVIL,
  (Facts(((EVIL, '1', EVIL),)),),
  (
    Section(
      EVIL,
      (
        Text(EVIL),
        Code(f'{EVIL}\n```'),
        Table((EVIL, 'n', 'words'), ((EVIL, '1,234.5', 'a'), ('2', '–', '7')), EVIL),
        Row((Figures((Figure('a', SVG, EVIL),)), Text('beside'))),
      ),
    ),
  ),
)


class Reader(html.parser.HTMLParser):
  """Collects tags and text; void elements need no end."""

  VOID = ('meta', 'img')

  def __init__(self):
    super().__init__()
    self.open, self.tags, self.text = [], [], []

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.text.append(data)


def read(text: str) -> Reader:
  reader = Reader()
  reader.feed(text)
  assert reader.open == []
  return reader


def test_html_is_well_formed_and_escaped():
  reader = read(to_html(PAGE))
  assert 'script' not in {tag for tag, _ in reader.tags}
  held = 12  # times that the page holds it, beside its alternative texts
  assert ''.join(reader.text).count('<script>alert(1)</script>') == held
  assert [a['class'] for tag, a in reader.tags if tag == 'td' and 'class' in a] == ['n', 'n']


def test_html_needs_nothing_from_elsewhere():
  text = to_html(PAGE)
  for tag, attributes in read(text).tags:
    assert tag not in ('script', 'link', 'iframe', 'object')
    assert attributes.get('src', 'data:').startswith('data:')
  style = text.split('<style>')[1].split('</style>')[0]
  assert 'url(' not in style
  assert '@import' not in style
  assert "default-src 'none'" in text


def test_markdown_escapes_all_markup():
  text = to_markdown(PAGE)
  outside = re.sub(r'````.*?````', '', text, flags=re.DOTALL)
  assert '<script' not in re.sub(r'\\.', '', outside)
  row = next(line for line in outside.splitlines() if '1,234.5' in line)
  assert len(re.findall(r'(?<!\\)\|', row)) == 4
  assert '| --- | ---: | --- |' in text
  assert f'````\n{EVIL}\n```\n````' in text


def test_files_are_written(tmp_path):
  write_page(PAGE, tmp_path / 'new', html_name='a.html', markdown_name='A.md')
  assert (tmp_path / 'new/figures/a.svg').read_text() == SVG
  assert '(figures/a.svg)' in (tmp_path / 'new/A.md').read_text()
  assert (tmp_path / 'new/a.html').read_text(encoding='utf-8') == to_html(PAGE)


@pytest.mark.parametrize('name', ['', 'A', '../a', 'a b'])
def test_a_figure_has_a_plain_name(name):
  with pytest.raises(ValueError, match='name='):
    Figure(name, SVG, '')
