"""The `rlnas` command, within this process or as one of its own."""

import contextlib
import dataclasses
import io
import pathlib
import subprocess
import sys

import pytest

from rlnas.cli.main import main


@dataclasses.dataclass(frozen=True)
class Shown:
  """What a command wrote."""

  stdout: str
  stderr: str


def within(*arguments: object) -> Shown:
  """A command within this process, which has loaded TensorFlow already; it must succeed."""
  with (
    contextlib.redirect_stdout(io.StringIO()) as out,
    contextlib.redirect_stderr(io.StringIO()) as err,
  ):
    main([str(argument) for argument in arguments])
  return Shown(out.getvalue(), err.getvalue())


def refused(*arguments: object) -> str:
  """What a command that ends with an error says; it must be one line."""
  with pytest.raises(SystemExit) as ended:
    main([str(argument) for argument in arguments])
  message = ended.value.code
  assert isinstance(message, str), message
  assert len(message.strip().splitlines()) == 1, message
  assert message.startswith('error: ')
  return message


def launched(*arguments: object, cwd: pathlib.Path | None = None) -> Shown:
  """A command as a process; it must succeed."""
  command = [sys.executable, '-m', 'rlnas', *map(str, arguments)]
  done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=cwd)
  assert done.returncode == 0, done.stderr
  return Shown(done.stdout, done.stderr)
