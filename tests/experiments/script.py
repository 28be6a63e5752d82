"""Runs the scripts of experiments/ within this process, which has loaded TensorFlow already."""

import contextlib
import dataclasses
import importlib.util
import io
import os
import pathlib
import runpy
import sys
import types
from collections.abc import Iterable, Iterator
from unittest import mock

from absl import app, flags

ROOT = pathlib.Path(__file__).parents[2] / 'experiments'
app.define_help_flags()  # once for all scripts


@dataclasses.dataclass(frozen=True)
class Done:
  """How a script ended and what it wrote."""

  code: int
  stdout: str
  stderr: str


def run(script: str, *arguments: object) -> Done:
  """Runs a script as `python SCRIPT ARGUMENTS` would.

  Args:
    script: path below experiments/.
    *arguments: its flags.
  """
  path = ROOT / script
  code: object = None
  main = types.ModuleType('__main__')
  main.__file__ = str(path)  # worker processes import it
  names = ('__main__', '__mp_main__')  # multiprocessing adds the second when it is imported
  ours = {name: sys.modules[name] for name in names if name in sys.modules}
  sys.modules.update(dict.fromkeys(ours, main))
  with (
    mock.patch.object(sys, 'argv', [str(path), *map(str, arguments)]),
    contextlib.redirect_stdout(io.StringIO()) as out,
    contextlib.redirect_stderr(io.StringIO()) as err,
    forgotten_afterwards(path),
  ):
    try:
      exec(compile(path.read_text(), path, 'exec'), vars(main))  # noqa: S102
    except SystemExit as ended:
      code = ended.code
    finally:
      sys.modules.update(ours)
  if isinstance(code, str):  # as the interpreter does with the text of an error
    return Done(1, out.getvalue(), f'{err.getvalue()}{code}\n')
  return Done(int(code or 0), out.getvalue(), err.getvalue())


def parse(script: str, lines: Iterable[list[str]]) -> list[str]:
  """Parses command lines of a script by its flags, without running it.

  Returns:
    What is no flag in them.

  Raises:
    flags.Error: a flag is unknown or has a wrong value.
  """
  path, others = ROOT / script, []
  with forgotten_afterwards(path):
    runpy.run_path(str(path), run_name='script')
    for line in lines:
      flags.FLAGS.unparse_flags()
      others += flags.FLAGS([script, *line])[1:]
  return others


@contextlib.contextmanager
def imported(script: str) -> Iterator[types.ModuleType]:
  """A script as a module, so that a test can call its functions."""
  path = ROOT / script
  with forgotten_afterwards(path):
    spec = importlib.util.spec_from_file_location(f'{path.stem}_experiment', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module


@contextlib.contextmanager
def forgotten_afterwards(path: pathlib.Path) -> Iterator[None]:
  """Forgets the flags that a script defines and the modules beside it that it loads."""
  defined, loaded = set(flags.FLAGS), set(sys.modules)
  with mock.patch.object(sys, 'path', [str(path.parent), *sys.path]), mock.patch.dict(os.environ):
    try:
      yield
    finally:
      for name in set(flags.FLAGS) - defined:
        delattr(flags.FLAGS, name)
      flags.FLAGS.unparse_flags()
      for name in set(sys.modules) - loaded:
        file = getattr(sys.modules[name], '__file__', None)
        if file and pathlib.Path(file).parent == path.parent:
          del sys.modules[name]
