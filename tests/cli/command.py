"""The `rlnas` command, within this process or as one of its own."""

import subprocess
import sys

import pytest

from rlnas.cli.main import main


def refused(*arguments: object) -> str:
  """What a command that ends with an error says; it must be one line."""
  with pytest.raises(SystemExit) as ended:
    main([str(argument) for argument in arguments])
  message = ended.value.code
  assert isinstance(message, str), message
  assert len(message.strip().splitlines()) == 1, message
  assert message.startswith('error: ')
  return message


def launched(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
  """A command as a process."""
  command = [sys.executable, '-m', 'rlnas', *map(str, arguments)]
  return subprocess.run(
    command, capture_output=True, text=True, check=False, timeout=600, **options
  )
