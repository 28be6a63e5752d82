"""The `rlnas` command: finds the subcommand, parses its flags, and only then loads the rest."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from absl import flags

from rlnas.cli.flags import help_text, parse, show
from rlnas.cli.guard import Guard
from rlnas.cli.options import did_you_mean
from rlnas.cost import machine_code

COMMANDS = {
  'search': 'Searches for a network that fits a board and writes a deployable int8 model.',
  'finish': 'Finishes a search again, with other settings.',
  'report': 'Rebuilds the report of a search from its journal.',
  'evaluate': 'Tests the winner of a search on other examples, in int8.',
  'measure': 'Reports the memory that a .tflite file needs on a microcontroller.',
  'export': 'Writes the deployment bundle of a finished search again.',
  'boards': 'Lists the boards and the memory that each has for a model.',
}
_HELP = ('-h', '--help', '--helpshort')
_EXAMPLES = (
  '  rlnas search                                  a few minutes, on images that come with it',
  '  rlnas search --dataset=FOLDER --board=esp32   your own images, recordings or sound',
  '  rlnas export --for=arduino                    a library with the network that won',
)


def main(arguments: Sequence[str] | None = None) -> None:
  """Runs `rlnas COMMAND ...`; by default with the arguments of the process."""
  _open_streams()
  given = list(sys.argv[1:] if arguments is None else arguments)
  if given[:1] == ['help'] and len(given) > 1:
    given = [given[1], '--help']
  if not given or given[0] in (*_HELP, 'help'):
    show(overview())
    sys.exit(0 if given else 2)
  if given[0] == '--version':
    import rlnas

    show(f'rlnas {rlnas.__version__}')
    return
  name = given[0]
  if name not in COMMANDS:
    listed = ', '.join(COMMANDS)
    sys.exit(f'error: {name!r}: must be one of {listed}{did_you_mean(name, COMMANDS)}')
  run_command(name, given[1:])


def run_command(name: str, arguments: Sequence[str]) -> None:
  """Runs one command; a user error ends the process with one line.

  Args:
    name: one of `COMMANDS`.
    arguments: the arguments after it.
  """
  with Guard():
    module = importlib.import_module(f'rlnas.cli.{name}')
    flag_values = flags.FlagValues()
    module.define_flags(flag_values)
    if any(argument in _HELP for argument in arguments):
      show(_help(name, module, flag_values))
      return
    given = parse(flag_values, [f'rlnas {name}', *arguments])
    machine_code.compile_in_background()
    # TensorFlow loads Keras 3 beside Keras 2, and with it pandas, scikit-learn, Matplotlib and
    # IPython: a quarter of the time. A process of this command and its workers need none of them.
    os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')
    module.main(flag_values, given)


def _open_streams() -> None:
  """Opens the null device in place of standard streams that are closed, as in some services.

  Otherwise the next file that is opened, such as a journal, would get their descriptors, and with
  them what TensorFlow writes to the terminal.
  """
  for descriptor in range(3):
    try:
      os.fstat(descriptor)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor: this one
  for name, descriptor in (('stdout', 1), ('stderr', 2)):
    if getattr(sys, name) is None:
      setattr(sys, name, open(descriptor, 'w', encoding='utf-8', closefd=False))  # noqa: SIM115


def overview() -> str:
  """The list of commands, for a terminal."""
  lines = ['rlnas designs neural networks for microcontrollers by reinforcement learning.', '']
  lines += ['usage: rlnas COMMAND [--flag=value ...]', '']
  lines += [f'  {name:8} {text}' for name, text in COMMANDS.items()]
  lines += ['', *_EXAMPLES, '', 'rlnas COMMAND --help shows the flags of a command.']
  return '\n'.join(lines)


def _help(name: str, module: ModuleType, flag_values: flags.FlagValues) -> str:
  usage = getattr(module, 'USAGE', f'rlnas {name} [--flag=value ...]')
  text = (module.__doc__ or '').split(': ', 1)[1].strip()
  parts = [f'usage: {usage}', text[0].upper() + text[1:], help_text(flag_values)]
  if hasattr(module, 'extra_help'):
    parts.append(module.extra_help())
  return '\n\n'.join(part for part in parts if part)
