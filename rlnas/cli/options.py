"""Options as 'name=value' texts, read from the signature and docstring of a function.

Every keyword argument of a space, a strategy or a reward is an option on the command line; its
type, default and text are written only once, in its own code.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

_SCALARS: Mapping[str, Callable[[str], Any]] = {'int': int, 'float': float, 'str': str}
_BOOLS = {'true': True, '1': True, 'yes': True, 'false': False, '0': False, 'no': False}
_NOT_READABLE = ('Callable', 'Controller', 'Table')  # types that cannot be written as text


@dataclasses.dataclass(frozen=True)
class Option:
  """A keyword argument that a text may set.

  Attributes:
    name: name of the argument.
    kind: its annotation, such as 'int', 'float | None' or 'tuple[int, ...]'.
    default: its default value.
    text: its description in the docstring.
  """

  name: str
  kind: str
  default: Any
  text: str

  def read(self, text: str) -> Any:
    """Converts a text to a value. Raises ValueError if it has another type."""
    kinds = [kind.strip() for kind in re.split(r'\|', self.kind)]
    if text == 'None' and 'None' in kinds:
      return None
    kind = next((kind for kind in kinds if kind != 'None'), 'str')
    if kind in _SCALARS:
      return _SCALARS[kind](text)
    if kind == 'bool':
      if text.lower() not in _BOOLS:
        raise ValueError(f'{text!r}: must be true or false')
      return _BOOLS[text.lower()]
    if item := re.fullmatch(r'(?:tuple|Sequence)\[(int|float|str)(?:, (?:\.\.\.|\1))*\]', kind):
      return tuple(_SCALARS[item[1]](part) for part in text.split(',') if part)
    return as_tuples(json.loads(text))

  def __str__(self) -> str:
    return f'{self.name}={written(self.default)}'


def written(value: Any) -> str:
  """Formats a value as the text of an option: the inverse of `Option.read`."""
  if isinstance(value, tuple):
    nested = any(isinstance(item, tuple) for item in value)
    return json.dumps(value, separators=(',', ':')) if nested else ','.join(map(str, value))
  return str(value)


def options_of(function: Callable[..., Any], *, without: Collection[str] = ()) -> dict[str, Option]:
  """The options of a function or class: its arguments that have a default.

  Args:
    function: the function or class.
    without: names of arguments that are not options.
  """
  texts = _texts(function)
  found = {}
  for name, parameter in inspect.signature(function).parameters.items():
    if parameter.default is parameter.empty or name in without:
      continue
    kind = _kind(parameter)
    if not any(word in kind for word in _NOT_READABLE):
      found[name] = Option(name, kind, parameter.default, texts.get(name, ''))
  return found


def read_options(
  flag: str, texts: Sequence[str], options: Mapping[str, Option], *, of: str
) -> dict[str, Any]:
  """Reads 'name=value' texts.

  Args:
    flag: name of the flag of the texts, for errors.
    texts: texts to read; of several with one name the last counts.
    options: all options, by name.
    of: name of the owner of the options, for errors.

  Raises:
    ValueError: there is no such option, or a value has another type.
  """
  values = {}
  for given in texts:
    name, equals, text = given.partition('=')
    if name not in options:
      offered = ', '.join(map(str, options.values()))
      has = f'has the options {offered}' if offered else 'has no options'
      raise ValueError(f'{flag}={given!r}: {of} {has}{did_you_mean(name, options)}')
    option = options[name]
    try:
      if not equals:
        raise ValueError('it has no value')
      values[name] = option.read(text)
    except (ValueError, TypeError) as error:
      raise ValueError(f'{flag}={given!r}: must be of type {option.kind}, like {option}') from error
  return values


def did_you_mean(name: str, offered: Iterable[str]) -> str:
  """Returns the end of an error message, which suggests similar names; '' if there are none."""
  close = difflib.get_close_matches(name, list(offered), n=2, cutoff=0.6)
  return f'; did you mean {" or ".join(close)}?' if close else ''


def _kind(parameter: inspect.Parameter) -> str:
  annotation = parameter.annotation
  if annotation is parameter.empty:
    return type(parameter.default).__name__
  if isinstance(annotation, str):
    return annotation
  return (
    annotation.__name__
    if isinstance(annotation, type) and not hasattr(annotation, '__args__')
    else str(annotation)
  )


def _texts(function: Callable[..., Any]) -> dict[str, str]:
  """The texts in the sections 'Args:' and 'Attributes:' of the docstrings, by name."""
  documented = [function, getattr(function, '__init__', None)]
  found: dict[str, str] = {}
  for documented_by in documented:
    doc = inspect.getdoc(documented_by) or ''
    for section in re.findall(r'^(?:Args|Attributes):\n((?:[ ]+.*\n?|\n)+)', doc, flags=re.M):
      for name, text in re.findall(r'^  (\w+): ((?:.*\n?)(?:    .*\n?)*)', section, flags=re.M):
        found[name] = ' '.join(text.split())
  return found


def as_tuples(value: Any) -> Any:
  """Lists of JSON as tuples."""
  return tuple(map(as_tuples, value)) if isinstance(value, list) else value
