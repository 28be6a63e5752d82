"""Names of modules, files and flags in documents, strings and comments are those of today."""

from __future__ import annotations

import ast
import functools
import importlib
import io
import pathlib
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence

import absl.flags
import pytest

import rlnas
from rlnas.cli.main import COMMANDS
from tests.documents import ALL, ROOT, blocks
from tests.experiments.script_flags import flags

SOURCES = tuple(p for top in ('rlnas', 'experiments', 'tests') for p in (ROOT / top).rglob('*.py'))
OTHERS = (*ALL, ROOT / 'Makefile', ROOT / 'CITATION.cff', ROOT / '.ci' / 'run')
DOTTED = re.compile(r'(?<![\w./-])rlnas(?:\.[A-Za-z_]\w*)+')
PATHS = re.compile(r'(?<![\w./-])(?:rlnas|experiments|tests|docs)/[\w./*-]*')
FILES = re.compile(r'(?<![\w./*-])(?:\w[\w-]*/)*\w[\w-]*\.pyi?\b(?!\.)')
# Files of others, and those that tests write.
FOREIGN = {'nasnet_utils.py', 'example.py', 'mine.py', 'parts.py', 'script.py', 'sitecustomize.py'}
FOREIGN |= {'create_tflm_tree.py', 'hillclimb_allocation.py', 'idf.py'}
MISSPELT = {'rlnas.Chian'}  # on purpose, in a test
FLAGS = re.compile(r'(?<![\w-])--([a-z]\w+)')
# Of absl, TensorBoard, Ray and CMake (--test-dir), and '--flag=value' in a usage.
FOREIGN_FLAGS = {
  'flag',
  'help',
  'helpshort',
  'version',
  'logdir',
  'logdir_spec',
  'target',
  'test',
  'host',
  'head',
  'port',
  'address',
}


@functools.cache
def texts() -> tuple[tuple[str, str], ...]:
  """Where each text of ours stands, and the text."""
  return tuple(_texts())


def _texts() -> Iterator[tuple[str, str]]:
  for path in OTHERS:
    text = path.read_text()
    if path.name == 'CHANGELOG.md':  # the first cell of a row is what there was
      text = re.sub(r'^\|[^|]*\|', '', text, flags=re.MULTILINE)
    yield path.name, text
  for path in SOURCES:
    where, source = str(path.relative_to(ROOT)), path.read_text()
    for node in ast.walk(ast.parse(source)):
      if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield where, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
      if token.type == tokenize.COMMENT:
        yield where, token.string


def unknown(
  pattern: re.Pattern[str],
  is_known: Callable[[str], bool],
  among: Sequence[tuple[str, str]] | None = None,
) -> str:
  """A line for each name that is not known, with the file that it stands in."""
  among = texts() if among is None else among
  found = {(where, name) for where, text in among for name in pattern.findall(text)}
  return '\n'.join(f'{where}: {name}' for where, name in sorted(found) if not is_known(name))


def is_name(name: str) -> bool:
  """Whether a dotted name is a module or stands in one, by the sources alone."""
  folder, parts = ROOT / 'rlnas', name.split('.')[1:]
  while parts and (folder / parts[0] / '__init__.py').exists():
    folder = folder / parts.pop(0)
  if not parts:
    return True
  if (folder / f'{parts[0]}.py').exists():
    return stands_in(folder / f'{parts[0]}.py', parts[1:])
  stub = folder / '__init__.pyi'
  return stands_in(stub if stub.exists() else folder / '__init__.py', parts)


def stands_in(path: pathlib.Path, parts: list[str]) -> bool:
  """Whether a module has a name, and that name the attributes that follow."""
  if not parts:
    return True
  if parts[0].startswith('__'):
    return True
  found = definitions(path).get(parts[0])
  if isinstance(found, str):  # imported
    return is_name('.'.join([found, *parts[1:]]))
  if isinstance(found, ast.ClassDef):
    return len(parts) == 1 or has_attribute(path, found, parts[1])
  return found is not None


@functools.cache
def definitions(path: pathlib.Path) -> dict[str, ast.stmt | str]:
  """What a module defines by name; the dotted name of what it imports from rlnas."""
  package = ('rlnas', *path.parent.relative_to(ROOT / 'rlnas').parts)
  found: dict[str, ast.stmt | str] = {}
  for node in statements(ast.parse(path.read_text()).body):
    if isinstance(node, ast.ImportFrom):
      base = '.'.join(package) if node.level else ''
      module = '.'.join(filter(None, [base, node.module]))
      for alias in node.names:
        name = f'{module}.{alias.name}'
        found[alias.asname or alias.name] = name if name.startswith('rlnas.') else node
    else:
      found |= dict.fromkeys(names_of(node), node)
  return found


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
  for node in body:
    yield node
    if isinstance(node, ast.If | ast.Try | ast.With):
      yield from statements(node.body)


def names_of(node: ast.stmt) -> list[str]:
  if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
    return [node.name]
  if isinstance(node, ast.Import):
    return [(alias.asname or alias.name).split('.')[0] for alias in node.names]
  if isinstance(node, ast.Assign | ast.AnnAssign):
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
  return []


def has_attribute(path: pathlib.Path, node: ast.ClassDef, name: str) -> bool:
  """Whether a class, or a class of the same module that it inherits from, has an attribute."""
  if name in {n for statement in node.body for n in names_of(statement)}:
    return True
  set_by_methods = {
    n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)
  }
  if name in set_by_methods:
    return True
  bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
  return any(stands_in(path, [base, name]) for base in bases if base in definitions(path))


def is_path(name: str) -> bool:
  name = name.rstrip('.')
  if '__pycache__' in name:
    return True
  return any(ROOT.glob(name)) if '*' in name else (ROOT / name).exists()


@functools.cache
def our_files() -> frozenset[str]:
  """Every Python file of ours, by all ends of its path."""
  written = [block.name for block in blocks('python')]
  paths = [p.relative_to(ROOT).parts for top in SOURCES for p in (top, top.with_suffix('.pyi'))]
  existing = [parts for parts in paths if ROOT.joinpath(*parts).exists()]
  ends = ['/'.join(parts[i:]) for parts in existing for i in range(len(parts))]
  return frozenset(['setup.py', *ends, *written, *FOREIGN])


def test_the_help_of_rlnas_names_what_there_is():
  named = set(re.findall(r'`([A-Za-z_]\w*)`', rlnas.__doc__))
  assert len(named) > 50
  assert named <= set(rlnas.__all__)


def test_dotted_names_resolve():
  assert unknown(DOTTED, lambda name: is_name(name) or name in MISSPELT) == ''


def test_paths_exist():
  assert unknown(PATHS, is_path) == ''


def test_files_exist():
  assert unknown(FILES, our_files().__contains__) == ''


def test_flags_exist():
  known = {flag.name for flag in flags()} | FOREIGN_FLAGS
  for command in COMMANDS:
    values = absl.flags.FlagValues()
    importlib.import_module(f'rlnas.cli.{command}').define_flags(values)
    known |= set(values)
  assert len(known) > 80
  ours = [t for t in texts() if t[0].endswith('.md') or t[0].startswith(('rlnas/', 'experiments/'))]
  assert unknown(FLAGS, known.__contains__, ours) == ''


@pytest.mark.parametrize(
  ('name', 'known'),
  [
    ('spaces', True),
    ('spaces.chain', True),
    ('spaces.chain.Chain', True),
    ('Chain', True),
    ('Controller.sample', True),
    ('Winner.model', True),
    ('reward.linear_excess', True),
    ('losses', True),
    ('losses.no_loss', False),
    ('Controller.simple', False),
    ('datasets', False),
    ('spaces.chains', False),
    ('spaces.chain.Chains', False),
    ('Chains', False),
  ],
)
def test_names_are_told_from_those_that_are_gone(name, known):
  assert is_name(f'rlnas.{name}') == known


def test_texts_are_found():
  for pattern in (DOTTED, PATHS, FILES, FLAGS):
    assert sum(len(pattern.findall(text)) for _, text in texts()) > 50
