"""What README.md, docs/ and the other documents hold: code, command lines, flags and links."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import re
import shlex
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[1]
# What users read; the others are for builders.
FOR_USERS = (ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')))
ALL = (*FOR_USERS, *(ROOT / f'{name}.md' for name in ('BUILD_NOTES', 'CONTRIBUTING', 'CHANGELOG')))

# A line that ends with the name of a file and a colon names the block that follows.
_BLOCK = re.compile(r'(?:`([\w.]+)`(?:, for pytest)?:\n\n)?```(\w+)\n(.*?)```', re.DOTALL)
_SPAN = re.compile(r'`([^`\n]+)`')


@dataclasses.dataclass(frozen=True)
class Block:
  """A block of code; `name` is the file that it is to be saved as, '' if it is none."""

  document: str
  number: int
  language: str
  name: str
  code: str

  def __str__(self) -> str:
    return f'{self.document}-{self.name or self.number}'


@dataclasses.dataclass(frozen=True)
class Command:
  """A command line, without variables before it."""

  document: str
  words: tuple[str, ...]

  def __str__(self) -> str:
    return f'{self.document}: {" ".join(self.words)}'


@functools.cache
def blocks(*languages: str) -> tuple[Block, ...]:
  return tuple(
    Block(path.stem, number, language, name, code)
    for path in FOR_USERS
    for number, (name, language, code) in enumerate(_BLOCK.findall(path.read_text()))
    if language in languages
  )


@functools.cache
def commands() -> tuple[Command, ...]:
  """Those that begin with rlnas, an experiment or make, in blocks and within sentences."""
  found = {}
  for path in ALL:
    text = path.read_text()
    for line in _lines(text):
      words = _words(line)
      if words and (words[0] in ('rlnas', 'make') or words[0].startswith('experiments/')):
        command = Command(path.stem, words)
        found[str(command)] = command
  return tuple(found.values())


def _lines(text: str) -> Iterator[str]:
  for _, language, code in _BLOCK.findall(text):
    if language == 'sh':
      yield from code.replace('\\\n', ' ').splitlines()
  for line in re.sub(r'```.*?```', '', text, flags=re.DOTALL).splitlines():
    # The first cell of a row in the list of changes is what there was.
    line = re.sub(r'^\|[^|]*\|', '', line) if 'Renamed' in text else line
    yield from _SPAN.findall(line)


def _words(line: str) -> tuple[str, ...]:
  try:
    words = shlex.split(line, comments=True)
  except ValueError:  # not a command line
    return ()
  while words and re.match(r'[A-Z_]+=', words[0]):
    del words[0]
  if words[:1] == ['python'] and len(words) > 1 and words[1].endswith('.py'):
    del words[0]
  return tuple(words)


def links() -> Iterator[tuple[pathlib.Path, str]]:
  """Each link within the repository and each picture, with the document that it stands in."""
  for path in ALL:
    for target in re.findall(r'(?:\]\(|src=")([^)"\s]+)[)"]', path.read_text()):
      if not target.startswith(('http://', 'https://')):
        yield path, target


def anchors(path: pathlib.Path) -> set[str]:
  """The names by which headings can be linked to."""
  text = re.sub(r'```.*?```', '', path.read_text(), flags=re.DOTALL)
  titles = re.findall(r'^#+ (.*)$', text, flags=re.MULTILINE)
  return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}
