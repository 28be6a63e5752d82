"""The flags that experiments define, read from their sources."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator

from tests.documents import ROOT


@dataclasses.dataclass(frozen=True)
class Flag:
  script: str
  kind: str
  name: str
  may_be_absent: bool  # it has no default and is not required
  text: str

  def __str__(self) -> str:
    return f'{self.script} --{self.name}'


def flags() -> Iterator[Flag]:
  for path in sorted((ROOT / 'experiments').rglob('*.py')):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        kind = node.func.attr.removeprefix('DEFINE_')
        if kind != node.func.attr:
          name, default = _literal(node.args[0]), node.args[1]
          absent = isinstance(default, ast.Constant) and default.value is None
          required = any(k.arg == 'required' for k in node.keywords)
          required |= f"mark_flag_as_required('{name}')" in path.read_text()
          yield Flag(path.name, kind, name, absent and not required, _literal(node.args[-1]))


def _literal(node: ast.expr) -> str:
  """The text of a string expression; what is filled in at run time is left as a name."""
  if isinstance(node, ast.JoinedStr):
    return ''.join(map(_literal, node.values))
  if isinstance(node, ast.BinOp):
    return _literal(node.left) + _literal(node.right)
  return str(node.value) if isinstance(node, ast.Constant) else 'NAME'
