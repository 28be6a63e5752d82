"""Every flag says what it is, in which unit, and what holds where it is not given."""

import ast
import dataclasses
import pathlib
import re

import absl.flags
import pytest

from rlnas.cli.flags import define_finish_flags, define_search_flags

ROOT = pathlib.Path(__file__).parents[2]
NUMBERS = ('integer', 'float')
# What a number can count, or be a share or the seed of.
UNITS = (
  *('KiB', 'seconds', 'minutes', 'milliseconds', 'millions', 'time-out', 'duration'),
  *('children', 'networks', 'trials', 'examples', 'images', 'inputs', 'blocks', 'batches'),
  *('epochs', 'steps', 'searches', 'processes', 'workers', 'trainings', 'cells', 'filters'),
  *('share', 'logarithm', 'learning rate', 'times', 'often', 'constants', 'classifier'),
  *('decides', 'of networks and trainings', 'of them'),
)
# How a help text says what holds without the flag; with a default, absl shows it in --help.
OTHERWISE = ('default', 'not given', 'without it', 'in place of', 'In place of', 'or all')


@dataclasses.dataclass(frozen=True)
class Flag:
  script: str
  kind: str
  name: str
  may_be_absent: bool  # it has no default and is not required
  text: str

  def __str__(self) -> str:
    return f'{self.script} --{self.name}'


def literal(node: ast.expr) -> str:
  """The text of a string expression; what is filled in at run time is left as a name."""
  if isinstance(node, ast.JoinedStr):
    return ''.join(map(literal, node.values))
  if isinstance(node, ast.BinOp):
    return literal(node.left) + literal(node.right)
  return str(node.value) if isinstance(node, ast.Constant) else 'NAME'


def flags():
  for path in sorted((ROOT / 'experiments').rglob('*.py')):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        kind = node.func.attr.removeprefix('DEFINE_')
        if kind != node.func.attr:
          name, default = literal(node.args[0]), node.args[1]
          absent = isinstance(default, ast.Constant) and default.value is None
          required = any(k.arg == 'required' for k in node.keywords)
          required |= f"mark_flag_as_required('{name}')" in path.read_text()
          yield Flag(path.name, kind, name, absent and not required, literal(node.args[-1]))


FLAGS = tuple(flags())


def test_the_flags_are_found():
  assert len(FLAGS) > 80
  assert {'depths', 'repeats', 'count', 'strategies'} <= {flag.name for flag in FLAGS}


@pytest.mark.parametrize('flag', FLAGS, ids=str)
def test_the_help_text_says_what_it_is(flag):
  assert re.match(r"[A-Z'N-]", flag.text), 'begins like a sentence'
  assert flag.text.endswith('.')
  assert len(flag.text) > 10
  if flag.kind in NUMBERS:
    said = f'{flag.name} {flag.text}'.lower()  # --help shows both on one line
    assert any(unit.lower() in said for unit in UNITS), 'names its unit'
  if flag.may_be_absent:
    assert any(word in flag.text for word in OTHERWISE), 'says what holds without it'


def test_the_readme_names_flags_that_there_are():
  readme = (ROOT / 'README.md').read_text()
  named = set(re.findall(r'--([a-z]\w+)', readme))
  others = {'help', 'logdir', 'host', 'head', 'port', 'address'}  # of TensorBoard, Ray and absl
  of_search = flags_of_search()
  assert len(of_search) > 30
  assert len(named) > 20
  assert named - others <= {flag.name for flag in FLAGS} | of_search


def flags_of_search() -> set[str]:
  values = absl.flags.FlagValues()
  define_search_flags(values)
  define_finish_flags(values)
  return set(values)
