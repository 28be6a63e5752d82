"""absl flags of the settings of a search: defined from `SearchConfig`, and read into one at once.

`rlnas` defines them in a separate set of flags for each command, an experiment in absl's own set.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from absl import flags

from rlnas.cli import choices
from rlnas.cli.config import FinishConfig, SearchConfig
from rlnas.cli.options import did_you_mean
from rlnas.spaces.preprocessed import Preprocessed
from rlnas.spaces.preprocessed_sound import PreprocessedSound

if TYPE_CHECKING:
  from rlnas.cli.build import Setup

# Settings without a meaning if an experiment runs several searches and sets them itself.
OF_ONE_SEARCH = (
  *('strategy', 'strategy_options', 'reward', 'reward_options', 'minutes', 'seed', 'lag'),
  *('cache_dir', 'learn_from'),
)
# The same for a benchmark, which times worker processes and trainings of its own.
OF_TIMED_SEARCH = (*OF_ONE_SEARCH, 'executor', 'ray_address', 'trial_timeout', 'metric')
# What most searches set; the help shows these before all others.
FIRST = (
  *('dataset', 'board', 'space', 'strategy', 'trials', 'minutes', 'seed', 'workdir'),
  *('finish_epochs', 'prefer'),
)
FINISH = 'finish_'  # begins the name of each flag of `FinishConfig`
_WIDTH = 100
_INDENT = ' ' * 6
_DEFINE: Mapping[str, Callable[..., Any]] = {
  'int': flags.DEFINE_integer,
  'float': flags.DEFINE_float,
  'bool': flags.DEFINE_bool,
  'str': flags.DEFINE_string,
  'tuple[str, ...]': flags.DEFINE_multi_string,
}


def define_search_flags(
  flag_values: flags.FlagValues = flags.FLAGS,
  *,
  without: Collection[str] = (),
  **defaults: Any,
) -> None:
  """Defines a flag for each setting of a search, except those of its finishing.

  Args:
    flag_values: the set of flags to define them in.
    without: settings that get no flag.
    **defaults: defaults that replace those of `SearchConfig`.
  """
  for field in dataclasses.fields(SearchConfig):
    if field.metadata and field.name not in without:
      _define(field, flag_values, default=defaults.get(field.name, field.default))


def define_finish_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines a flag for each setting of the finishing."""
  for field in dataclasses.fields(FinishConfig):
    _define(field, flag_values, default=field.default, name=finish_flag(field))


def define_some_flags(flag_values: flags.FlagValues, *names: str) -> None:
  """Defines the flags of only some settings of a search, with the default None."""
  for field in dataclasses.fields(SearchConfig):
    if field.name in names:
      _define(field, flag_values, default=None)


def read_search_config(flag_values: flags.FlagValues = flags.FLAGS, **others: Any) -> SearchConfig:
  """The configuration that the flags give, checked.

  Args:
    flag_values: parsed flags; settings without a flag have their defaults.
    **others: settings that replace their flags.

  Raises:
    ValueError: a setting breaks its rule; the message begins with its flag.
    OSError: the board's file cannot be read.
  """
  given = {
    field.name: flag_values[_flag_name(field)].value
    for field in dataclasses.fields(SearchConfig)
    if field.metadata and _flag_name(field) in flag_values
  }
  finish = read_finish_config(flag_values)
  with named_by_flags():
    config = SearchConfig(**{**given, **others}, finish=finish)
    config.check()
  return config


def read_finish_config(flag_values: flags.FlagValues = flags.FLAGS) -> FinishConfig:
  """The finishing that the flags give. Raises ValueError that begins with a flag."""
  given = {
    field.name: flag_values[finish_flag(field)].value
    for field in dataclasses.fields(FinishConfig)
    if finish_flag(field) in flag_values
  }
  with named_by_flags(FINISH):
    return FinishConfig(**given)


@contextlib.contextmanager
def named_by_flags(prefix: str = '') -> Iterator[None]:
  """In a ValueError that begins with a setting, names its flag instead."""
  try:
    yield
  except ValueError as error:
    text = str(error)
    flag = {name.removeprefix(prefix): name for name in _metadata()}.get(re.split(r'[=:]', text)[0])
    if type(error) is not ValueError or flag is None:
      raise
    raise ValueError(f'--{flag}{text[len(flag.removeprefix(prefix)) :]}') from error


def read_setup(arguments: list[str]) -> Setup:
  """Reads an experiment's flags and loads the data. Raises as `read_search_config`, `set_up`."""
  from rlnas.cli.build import set_up

  no_arguments(arguments)
  config = read_search_config()
  with named_by_flags():
    return set_up(config)


def check_positive(name: str, flag_values: flags.FlagValues = flags.FLAGS) -> None:
  """Raises ValueError if an integer flag is given and below 1."""
  value = flag_values[name].value
  if value is not None and value < 1:
    raise ValueError(f'--{name}={value}: must be at least 1')


def no_arguments(arguments: list[str]) -> None:
  """Raises ValueError if there are arguments besides flags; the first one is the program."""
  if len(arguments) > 1:
    raise ValueError(f'arguments: {arguments[1:]}: must all be flags')


def parse(flag_values: flags.FlagValues, arguments: list[str]) -> list[str]:
  """Parses flags; returns the other arguments, the program first.

  Raises:
    ValueError: a flag is unknown (the error suggests similar ones) or has a wrong value.
  """
  try:
    return flag_values(arguments)
  except flags.UnrecognizedFlagError as error:
    meant = did_you_mean(f'--{error.flagname}', [f'--{name}' for name in flag_values])
    raise ValueError(f'--{error.flagname}: there is no such flag{meant}') from error
  except flags.Error as error:
    raise ValueError(str(error)) from error


def help_text(flag_values: flags.FlagValues) -> str:
  """The flags as text for a terminal: those of the command itself, then settings by topic.

  If the command has all of `FIRST`, these come before all others.
  """
  metadata = _metadata()
  settings = [name for name in metadata if name in flag_values]
  own = [n for n in flag_values if n not in metadata and flag_values[n].name == n]
  first = FIRST if set(FIRST) <= set(settings) else ()
  groups: dict[str, list[str]] = {}
  for name in [*first, *own, *(n for n in settings if n not in first)]:
    group = 'what most searches set' if name in first else 'this command'
    if name in metadata and name not in first:
      group = metadata[name]['group']
    groups.setdefault(group, []).append(_entry(flag_values[name]))
  return '\n\n'.join(
    f'{group.capitalize()}:\n' + '\n'.join(entries) for group, entries in groups.items()
  )


def options_text() -> str:
  """The options of every space, strategy and reward, with defaults and meaning, for a terminal."""
  lines = []
  for kind, offered in (
    ('space', choices.SPACES),
    ('strategy', choices.STRATEGIES),
    ('reward', choices.REWARDS),
  ):
    for name in offered:
      if kind == 'strategy':
        own, of_controller = choices.options_of_strategy(name)
        options = {**own, **of_controller}
      else:
        options = choices.options_of(choices.find(kind, name))
      if options:
        lines.append(f'\n--{kind}={name}, --{kind}_option=')
        lines += [_wrapped(f'{option}', option.text) for option in options.values()]
  for what, space in (('sequences of floats', Preprocessed), ('sound', PreprocessedSound)):
    lines.append(f'\n--preprocess of {what}, --preprocess_option=')
    named = choices.options_of(space, without=('front_end',)).values()  # as the data have it
    lines += [_wrapped(f'{option}', option.text) for option in named]
  return '\n'.join(lines)


def _define(
  field: dataclasses.Field[Any],
  flag_values: flags.FlagValues,
  *,
  default: Any,
  name: str = '',
) -> None:
  kind = str(field.type).removesuffix(' | None')
  value = list(default) if isinstance(default, tuple) else default
  name = name or _flag_name(field)
  _DEFINE[kind](name, value, field.metadata['text'], flag_values=flag_values)
  flags.declare_key_flag(name, flag_values=flag_values)


def _flag_name(field: dataclasses.Field[Any]) -> str:
  return str(field.metadata['flag'] or field.name)


def finish_flag(field: dataclasses.Field[Any]) -> str:
  """The flag of a setting of `FinishConfig`."""
  return str(field.metadata['flag'] or FINISH + field.name)


def _metadata() -> dict[str, Mapping[str, str]]:
  """Group and text of each setting, by the name of its flag."""
  fields = [f for f in dataclasses.fields(SearchConfig) if f.metadata]
  found = {_flag_name(f): f.metadata for f in fields}
  return found | {finish_flag(f): f.metadata for f in dataclasses.fields(FinishConfig)}


def _entry(flag: flags.Flag) -> str:
  switch = f'--[no]{flag.name}' if flag.boolean else f'--{flag.name}={_default(flag)}'
  # absl adds a hint to the text of a flag that may be repeated.
  text = (flag.help or '').split(';\n')[0]
  return _wrapped(switch, text)


def _default(flag: flags.Flag) -> str:
  if flag.default is None:
    return '...'
  if isinstance(flag.default, list):
    return ','.join(map(str, flag.default)) or '...'
  return str(flag.default)


def _wrapped(head: str, text: str) -> str:
  body = textwrap.fill(
    text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
  )
  return f'  {head}\n{body}' if body else f'  {head}'


def show(text: str) -> None:
  """Prints text for the user; characters that the terminal does not have become question marks.

  If nobody reads the output any more, as after `| head`, the command still does its work.
  """
  stream, line = sys.stdout, text.rstrip('\n') + '\n'
  try:
    try:
      stream.write(line)
    except UnicodeEncodeError:
      stream.write(line.encode(stream.encoding, 'replace').decode(stream.encoding))
    stream.flush()
  except BrokenPipeError:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
