"""Loads .tflite files into TFLite Micro and reads what its recording allocator reports."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys

from rlnas.backend import captured_output
from rlnas.cost.arena_head import ROOMY_ARENA_BYTES
from rlnas.tflite.model_file import read_subgraphs

_SECONDS = 120  # time limit for TFLite Micro to load a model
_MOST_CAUSE = 300  # characters of TFLite Micro's output in an error


def load(content: bytes) -> str:
  """Loads a verified, planned model in this process and returns the allocator's report.

  Raises:
    ImportError: TFLite Micro is not installed.
    ValueError: TFLite Micro cannot run the model; the cause is quoted.
  """
  from tflite_micro import runtime

  failed = False
  with captured_output() as output:
    try:
      runtime.Interpreter.from_bytes(content, arena_size=ROOMY_ARENA_BYTES).print_allocations()
    except RuntimeError:  # the output contains its cause
      failed = True
    report = output()
  if failed:
    raise ValueError(_refusal(report, content))
  return report


def load_elsewhere(content: bytes) -> str:
  """As `load`, but in a process of its own, since a damaged file may end the process.

  Raises:
    ImportError: TFLite Micro is not installed.
    ValueError: TFLite Micro cannot run the model, takes too long or is ended by a signal.
  """
  if importlib.util.find_spec('tflite_micro') is None:
    raise ImportError('TFLite Micro (tflite-micro) is not installed')
  root = pathlib.Path(__file__).parents[2]
  paths = os.pathsep.join([str(root), *filter(None, [os.environ.get('PYTHONPATH')])])
  try:
    done = subprocess.run(  # noqa: S603  a module of this package
      [sys.executable, '-m', 'rlnas.tflite.tflm_probe', str(ROOMY_ARENA_BYTES)],
      input=content,
      capture_output=True,
      check=False,
      timeout=_SECONDS,
      env={**os.environ, 'PYTHONPATH': paths, 'OPENBLAS_NUM_THREADS': '1'},
    )
  except subprocess.TimeoutExpired as error:
    raise ValueError(
      f'model of {len(content)} bytes: TFLite Micro takes too long to load'
    ) from error
  report = (done.stdout + done.stderr).decode(errors='replace')
  if done.returncode == 0:
    return report
  if done.returncode > 0:
    raise ValueError(_refusal(report, content))
  how = signal.Signals(-done.returncode)
  cause = ': a check of a kernel failed' if how is signal.SIGABRT else ''
  raise ValueError(
    f'model of {len(content)} bytes: loading it ended TFLite Micro ({how.name}{cause})'
  )


def counted(report: str, part: str) -> int:
  """Reads the bytes of a part of the arena ('total', 'head', 'tail') from the allocator's report.

  Raises:
    RuntimeError: the report does not contain them.
  """
  found = re.search(rf'Arena allocation {part} (\d+) bytes', report)
  if not found:
    raise RuntimeError(f'TFLite Micro reports no {part} of its arena: {report!r}')
  return int(found[1])


def _refusal(output: str, content: bytes) -> str:
  """Returns why TFLite Micro refuses a model: the operator, then the message of TFLite Micro."""
  if missing := re.search(r'Failed to get registration from op code (\S+)', output):
    return f'model: TFLite Micro has no operator {missing[1]}'
  lines = [line for line in output.splitlines() if line.strip()]
  node = re.search(r'Node (\S+) \(number (\d+)\) failed to prepare', output)
  if not node:
    return f'model: TFLite Micro cannot load it: {" ".join(lines)[:_MOST_CAUSE]}'
  said = ' '.join(line for line in lines if not re.match(r'Node |RuntimeError|AllocateT', line))
  shown = f'operator {node[2]}, {node[1]}'
  network = read_subgraphs(content)[0]
  operator = network.operators[min(int(node[2]), len(network.operators) - 1)]
  if operator.kind == node[1]:  # otherwise it is in another subgraph
    dtypes = [network.tensors[i].dtype for i in operator.inputs if i >= 0]
    shown += f' of {", ".join(dtypes)}'
  return f'model: TFLite Micro cannot run {shown}: {said[:_MOST_CAUSE]}'
