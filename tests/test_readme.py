"""README.md and docs/ say what is true: their code runs, commands parse, links lead somewhere."""

import importlib
import os
import pathlib
import re
import runpy
import subprocess
import sys

import absl.flags
import pytest

from rlnas import board
from rlnas.board import BOARDS
from rlnas.cli import choices
from rlnas.cli.flags import parse, read_search_config
from rlnas.cli.main import COMMANDS
from rlnas.data import loaders
from tests.documents import ALL, ROOT, anchors, blocks, commands, links
from tests.experiments import script

README = (ROOT / 'README.md').read_text()
TABLES = README + (ROOT / 'docs' / 'search.md').read_text()
WORDS = 900  # of the README beside its tables
HELP = ('--help', '--version')


def flags_of(command: str) -> absl.flags.FlagValues:
  values = absl.flags.FlagValues()
  importlib.import_module(f'rlnas.cli.{command}').define_flags(values)
  return values


def ours(*, with_flags: bool):
  """The command lines of `rlnas COMMAND`."""
  found = [c for c in commands() if c.words[0] == 'rlnas' and len(c.words) > 1]
  found = [c for c in found if not set(HELP) & set(c.words)]
  return [c for c in found if len(c.words) > 2 or not with_flags]


def of_scripts():
  """The command lines of each script that a document gives, without its name."""
  found: dict[str, list[list[str]]] = {}
  for command in commands():
    path, *arguments = command.words
    if path.endswith('.py') and arguments:
      found.setdefault(path, []).append(arguments)
  return found


@pytest.fixture
def own_files(tmp_path, monkeypatch):
  """The present folder, which holds the files that the documents tell to save."""
  for block in blocks('python', 'json'):
    if block.name:
      (tmp_path / block.name).write_text(block.code)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', [str(tmp_path), *sys.path])
  return tmp_path


def run(command: list[str], folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
  environment = {**os.environ, 'PYTHONPATH': str(ROOT)}  # of this tree, whatever is installed
  return subprocess.run(
    command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
  )


def takes_long(block) -> bool:
  """Whether it runs a whole search, the contract suites or processes of its own."""
  long = ('rlnas.run(', 'multiprocessing')
  return any(text in block.code for text in long) or block.name.startswith('test_')


@pytest.mark.slow
@pytest.mark.parametrize(
  'block',
  [
    pytest.param(block, marks=[pytest.mark.nightly] if takes_long(block) else [], id=str(block))
    for block in blocks('python')
  ],
)
def test_python_examples_run(block, own_files, request):
  if 'runs/search' in block.code:
    (own_files / 'runs').mkdir()
    (own_files / 'runs' / 'search').symlink_to(request.getfixturevalue('finished').workdir)
  path = own_files / (block.name or 'example.py')
  path.write_text(block.code)
  if block.name.startswith('test_'):
    done = run([sys.executable, '-m', 'pytest', '-q', path.name], own_files)
    assert done.returncode == 0, done.stdout + done.stderr
  else:
    modules = set(sys.modules)
    runpy.run_path(str(path), run_name='__main__')
    for name in set(sys.modules) - modules:  # the next example has its own
      if pathlib.Path(getattr(sys.modules[name], '__file__', None) or '/').parent == own_files:
        del sys.modules[name]


@pytest.mark.parametrize('block', blocks('json'), ids=str)
def test_json_examples_are_boards(block, own_files):
  (own_files / 'board.json').write_text(block.code)
  assert board.find_board(own_files / 'board.json').budget.sram_bytes > 0


def test_each_thing_that_one_may_bring_has_an_example():
  own = (ROOT / 'docs' / 'own.md').read_text()
  sections = re.findall(r'^## (.*?)\n(.*?)(?=^## |\Z)', own, flags=re.MULTILINE | re.DOTALL)
  titles = ['Data', 'A board', 'A space', 'A strategy', 'A reward', 'An evaluator', 'An executor']
  assert [title for title, _ in sections[: len(titles)]] == titles
  for _, text in sections[: len(titles)]:
    assert text.count('```python\n') >= 1
    assert 'run_search(' in text
  suites = importlib.import_module('rlnas.testing').__all__
  for suite in (name for name in suites if name.startswith('check_')):
    assert own.count(suite) >= 3, suite  # imported, called and described
  assert blocks('json')


@pytest.mark.parametrize(
  'offered',
  [
    *(choices.SPACES, choices.STRATEGIES, choices.REWARDS, choices.PRUNERS),
    *(BOARDS, loaders.BUILT_IN),
  ],
)
def test_the_tables_name_what_there_is(offered):
  rows = set(re.findall(r'`([\w.-]+)`', ' '.join(re.findall(r'^\|([^|]*)\|', TABLES, flags=re.M))))
  assert set(offered) <= rows


def test_the_readme_is_read_in_ten_minutes():
  lines = [line for line in README.splitlines() if not line.startswith('|')]
  assert len(' '.join(lines).split()) <= WORDS


def test_each_figure_in_the_readme_is_in_the_results():
  results = (ROOT / 'docs' / 'results.md').read_text()
  found = README.partition('## What it finds')[2].partition('\n## ')[0]
  figures = set(re.findall(r'(?<![\d.])\.\d{3,4}\b|\b9\d\.\d{3}\b|\b\d+,\d{3}\b', found))
  assert len(figures) > 20
  assert not {figure for figure in figures if figure not in results}


def test_the_commands_are_listed():
  listed = re.findall(r'^\| `rlnas (\w+)', README, flags=re.MULTILINE)
  assert listed == list(COMMANDS)


def test_command_lines_are_found():
  assert len(ours(with_flags=True)) > 20
  assert {c.words[1] for c in ours(with_flags=False)} == set(COMMANDS)
  assert sum(map(len, of_scripts().values())) > 15


@pytest.mark.parametrize('command', ours(with_flags=False), ids=str)
def test_command_lines_parse(command, own_files):
  name = command.words[1]
  values = flags_of(name)
  arguments = parse(values, list(command.words[1:]))
  assert len(arguments) == 1 or name in ('measure', 'boards')
  for argument in arguments[1:]:
    assert name == 'measure' or board.find_board(argument)
  if name == 'search':
    assert read_search_config(values)  # spaces, strategies, rewards, options and boards exist


@pytest.mark.parametrize(('path', 'lines'), of_scripts().items(), ids=list(of_scripts()))
def test_command_lines_of_experiments_parse(path, lines):
  others = script.parse(path.removeprefix('experiments/'), lines)
  assert not [word for word in others if word.startswith('-')]


def test_targets_of_make_that_are_named_exist():
  makefile = (ROOT / 'Makefile').read_text()
  targets = set(re.findall(r'^(\w+):', makefile, flags=re.MULTILINE))
  named = {c.words[1] for c in commands() if c.words[0] == 'make'}
  assert {'search', 'test', 'check', 'lint'} <= named <= targets
  called = set(re.findall(r'^make (\w+)', (ROOT / '.ci' / 'run').read_text(), flags=re.MULTILINE))
  assert called <= targets


@pytest.mark.parametrize(('path', 'target'), links(), ids=lambda value: pathlib.Path(value).name)
def test_links_lead_somewhere(path, target):
  file, _, anchor = target.partition('#')
  linked = (path.parent / file).resolve() if file else path
  assert linked.exists()
  assert not anchor or anchor in anchors(linked)


def test_every_document_is_linked_from_the_readme():
  linked = {
    (ROOT / target.partition('#')[0]).resolve() for path, target in links() if path == ALL[0]
  }
  assert {path.resolve() for path in ALL[1:]} <= linked
